"""Genetic results and the drugs that the patient takes already: one card at patient-view.

The rules of the family `genes` are evaluated over what is taken. A result of the last thirty days is shown with
everything that it means for a drug. An older one was there when the drug was ordered, and may have been judged then,
elsewhere or not at all: it is shown where it warns, until somebody answers.
"""

from collections.abc import Iterator, Set
from functools import cache
from typing import Final

from msgspec import to_builtins

from cards.compose.medications import GENES_AND_MEDICATIONS, genes_card
from cards.orders import shown_findings
from cards.rules.engine.finding import RuleFinding
from cards.rules.engine.rule_book import RuleBook, rule_book
from cards.rules.patient.orders import DraftOrder
from cards.rules.patient.session import PatientSession
from cards.suggest import OrderCheck
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import PATIENT_VIEW
from cds_hooks.call.protocol.originals import OriginalOrders
from cds_hooks.call.services._current_medications import taken_medications, with_offers
from cds_hooks.call.services._exclusions import DECEASED
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput, no_card
from fhir.mapping.genomics.observation import GeneReading
from fhir.mapping.genomics.reports import gene_readings
from fhir.mapping.medications.active import ActiveMedication, unreadable_medications, words_of_unreadable
from fhir.record.measurement import GENOMICS
from fhir.record.record import PatientRecord
from fhir.record.refusals import WhyNot

SUBJECT: Final = GENES_AND_MEDICATIONS
NEW_DAYS: Final = 30.0
"""So long a result is new, from when it was issued or, where that is not said, from its own date; the project's
own choice."""


@cache
def _book() -> RuleBook:
    return rule_book().of_families(lambda name: name == "genes")


def find(call: ServiceInput) -> Advice:
    """One card where a new result matters to a drug that is taken, else the reason for none."""
    record = call.record
    readings = {reading.source: reading for reading in _readings(record)}
    if not readings:
        if not record.was_requested(GENOMICS):
            return no_card(
                SUBJECT, "input-missing", "The genetic results are not available: no drug was checked against them."
            )
        return no_card(SUBJECT, "below-threshold", "No genetic result is on record.")
    new = {source for source, reading in readings.items() if _is_new(reading, record)}
    medications = list(taken_medications(record, OriginalOrders(call.sent)))
    advice = Advice()
    findings = list(_findings(record, medications, advice, call))
    of_new = [finding for finding in findings if _rests_on(finding, new)]
    shown = [finding for finding in findings if finding in of_new or finding.indicator != "info"]
    advice.scores = {"genes": [to_builtins(reading) for reading in readings.values()]}
    advice.orders = {"drafts": [], "judged": [draft.name for _, draft in medications]}
    if not shown:
        advice.silences.append(WhyNot(SUBJECT, "below-threshold", _nothing_new(record, findings, len(medications))))
        return advice
    advice.cards.append(genes_card(shown, call.card_identity(), is_new=bool(of_new)))
    return advice


def _nothing_new(record: PatientRecord, not_shown: list[RuleFinding], count: int) -> str:
    """Why there is no card: nothing was found, or only information from results that are not new."""
    unreadable = words_of_unreadable(unreadable_medications(record, systemic=False))
    also = f" These entries of the medication list cannot be read: {unreadable}." if unreadable else ""
    if not_shown:
        names = ", ".join(dict.fromkeys(finding.drug for finding in not_shown))
        text = f"Older genetic results are for information only about {names}: they are shown when the drug is ordered."
        return f"{text}{also}"
    if not count:
        return f"No current medication {'can be read' if also else 'is on record'}.{also}"
    drugs = "The current medication needs" if count == 1 else f"The {count} current medications need"
    return f"{drugs} no change for the genetic results on record.{also}"


def _readings(record: PatientRecord) -> Iterator[GeneReading]:
    gene_results = gene_readings(record)
    yield from (reading for readings in gene_results.by_gene.values() for reading in readings)
    yield from gene_results.implications


def _is_new(reading: GeneReading, record: PatientRecord) -> bool:
    entered = reading.entered or reading.time
    return entered is not None and entered.whole_days(record.as_of_epoch) <= NEW_DAYS


def _findings(
    record: PatientRecord, medications: list[tuple[ActiveMedication, DraftOrder]], advice: Advice, call: ServiceInput
) -> Iterator[RuleFinding]:
    session = PatientSession(record, [draft for _, draft in medications], signing=True, active_orders=True)
    check = OrderCheck(session, _book(), call.card_uuid, OriginalOrders(call.sent).original)
    shown_bands: set[tuple[str, str]] = set()
    for drafted in session.drafted:
        for finding in shown_findings(check.evaluate(drafted).findings, call.suppress, advice.silences):
            if (finding.rule, finding.band) not in shown_bands:
                shown_bands.add((finding.rule, finding.band))
                # The drug is stopped for the result alone; after a stent another antiplatelet comes first.
                is_offered = finding.indicator == "critical" and "antiplatelet" not in drafted.medication.classes
                written = finding.write(finding)
                yield with_offers(written, drafted, check) if is_offered else written


def _rests_on(finding: RuleFinding, sources: Set[str]) -> bool:
    return any(fact.name == "gene" and fact.source in sources for fact in finding.facts)


ADVISOR = Advisor(
    id=SUBJECT,
    hooks=(PATIENT_VIEW,),
    title="Genetic results and the drugs taken already",
    description=(
        "Compares genetic results with the medications on the list by CPIC's recommendations and FDA's table; one card "
        "of at most three lines, silent where no drug needs a change. Results over 30 days old are shown only "
        "as a warning."
    ),
    usage_requirements="For prescribers and pharmacists; not signed off by a human pharmacist.",
    warns_of_harm=True,
    needs=Needs.of(
        analytes=(GENOMICS, "body_weight"),
        resources=("MedicationRequest", "MedicationStatement", "Condition", "Procedure", "DiagnosticReport"),
    ),
    exclusions=(DECEASED,),
    find=find,
    returns_resources=frozenset({"MedicationRequest"}),
)
