"""Genetic results and the drugs that the patient takes already: one card at patient-view.

The rules of the family `genes` are evaluated over what is taken. A result of the last thirty days is shown with
everything that it means for a drug. An older one was there when the drug was ordered, and may have been judged then,
elsewhere or not at all: it is shown where it warns, until somebody answers.
"""

from collections.abc import Iterator, Set
from functools import cache
from typing import Final

from msgspec import to_builtins

from cards.card import SEVERITY
from cards.compose.medications import GENES_AND_MEDICATIONS, ReviewedDrug, genes_card
from cards.compose.orders import shown_findings
from cards.rules.engine.finding import Finding, Silence
from cards.rules.engine.rule_book import RuleBook, rule_book
from cards.rules.patient.orders import DraftOrder
from cards.rules.patient.session import PatientSession
from cards.text import plain
from cds_hooks.prefetch.needs import Needs
from cds_hooks.protocol.hooks import PATIENT_VIEW
from cds_hooks.services._service import Advice, Service, ServiceInput, no_card
from cds_hooks.services._taken import taken_medications
from fhir.mapping.genomics.observation import GeneReading
from fhir.mapping.genomics.reports import gene_readings
from fhir.mapping.medications.active import ActiveMedication
from fhir.record.measurement import GENOMICS
from fhir.record.record import PatientRecord

SUBJECT: Final = GENES_AND_MEDICATIONS
NEW_DAYS: Final = 30.0
"""So long a result is new, from when it was issued or, where that is not said, from its own date; the project's
own choice."""


@cache
def _book() -> RuleBook:
    return RuleBook(one for one in rule_book().rules if one.family.name == "genes")


async def decide(call: ServiceInput) -> Advice:
    """One card where a new result matters to a drug that is taken, else the reason for none."""
    record = call.record
    if record.deceased:
        return no_card(SUBJECT, "deceased", "The patient has died.")
    known = {reading.source: reading for reading in _readings(record)}
    if not known:
        if not record.was_requested(GENOMICS):
            return no_card(SUBJECT, "input-missing", "The genetic results are not known: nothing is said.")
        return no_card(SUBJECT, "below-threshold", "No genetic result is on record.")
    new = {source for source, reading in known.items() if _is_new(reading, record)}
    taken = list(taken_medications(record))
    advice = Advice()
    every = list(_found(record, taken, advice, call))
    found = [one for one in every if _is_meant(one.finding, new)]
    advice.scores = {"genes": [to_builtins(reading) for reading in known.values()]}
    advice.orders = {"drafts": [], "judged": [draft.name for _, draft in taken]}
    if not found:
        advice.silences.append(Silence(SUBJECT, "below-threshold", _nothing_new(every, len(taken))))
        return advice
    is_new = any(_rests_on(one.finding, new) for one in found)
    advice.cards.append(genes_card(found, call.card_identity(), is_new=is_new))
    return advice


def _nothing_new(left: list[ReviewedDrug], taken: int) -> str:
    """Why there is no card: nothing was found, or only information from results that are not new."""
    if left:
        names = ", ".join(dict.fromkeys(one.name for one in left))
        return f"Older genetic results are information only about {names}: said when it is ordered."
    if not taken:
        return "No medication that is taken is on the chart."
    drugs = "The drug that is taken needs" if taken == 1 else f"The {taken} drugs that are taken need"
    return f"{drugs} no change for the genetic results on record."


def _readings(record: PatientRecord) -> Iterator[GeneReading]:
    found = gene_readings(record)
    yield from (one for readings in found.by_gene.values() for one in readings)
    yield from found.implications


def _is_new(reading: GeneReading, record: PatientRecord) -> bool:
    entered = reading.entered or reading.time
    return entered is not None and entered.age_days(record.as_of_epoch) <= NEW_DAYS


def _is_meant(finding: Finding, new: Set[str]) -> bool:
    """Whether it rests on a new result, or warns."""
    return _rests_on(finding, new) or SEVERITY[finding.indicator] >= SEVERITY["warning"]


def _found(
    record: PatientRecord, taken: list[tuple[ActiveMedication, DraftOrder]], advice: Advice, call: ServiceInput
) -> Iterator[ReviewedDrug]:
    session = PatientSession(record, [draft for _, draft in taken], signing=True, active_orders=True)
    told: set[tuple[str, str]] = set()
    for drafted in session.drafted:
        evaluation = _book().evaluate(session, drafted)
        for finding in shown_findings(evaluation.findings, call.suppress, advice.silences):
            if (finding.rule, finding.band) not in told:
                told.add((finding.rule, finding.band))
                yield ReviewedDrug(plain(drafted.medication.name, 60), finding)


def _rests_on(finding: Finding, sources: Set[str]) -> bool:
    return any(fact.name == "gene" and fact.source in sources for fact in finding.facts)


SERVICE = Service(
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
    decide=decide,
)
