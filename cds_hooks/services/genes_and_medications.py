"""A genetic result that is new, and the drugs that the patient takes already: one card at patient-view.

The rules of the family `genes` are evaluated over what is taken. A result that was there when the drug was ordered was
judged then; this service speaks where the result came later, for thirty days.
"""

from collections.abc import Iterator
from functools import cache
from typing import Final

from msgspec import to_builtins

from cards.compose.genes import GENES_AND_MEDICATIONS, TakenDrug, genes_card
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
"""So long a result counts as new, from when it was issued or, where that is not said, from its own date; the project's
own choice."""


@cache
def _book() -> RuleBook:
    return RuleBook(one for one in rule_book().rules if one.family.name == "genes")


async def decide(call: ServiceInput) -> Advice:
    """One card where a new result matters to a drug that is taken, else the reason for none."""
    record = call.record
    if record.deceased:
        return no_card(SUBJECT, "deceased", "The patient has died.")
    new = {reading.source: reading for reading in _new_readings(record)}
    if not new:
        if not record.was_requested(GENOMICS):
            return no_card(SUBJECT, "input-missing", "The genetic results are not known: nothing is said.")
        return no_card(SUBJECT, "below-threshold", f"No genetic result came in the last {NEW_DAYS:g} days.")
    taken = list(taken_medications(record))
    advice = Advice()
    found = [one for one in _found(record, taken, advice, call) if _rests_on(one.finding, set(new))]
    advice.scores = {"genes": [to_builtins(reading) for reading in new.values()]}
    advice.orders = {"drafts": [], "judged": [draft.name for _, draft in taken]}
    if not found:
        text = f"No drug of the {len(taken)} that are taken needs a change for a result of the last {NEW_DAYS:g} days."
        advice.silences.append(Silence(SUBJECT, "below-threshold", text))
        return advice
    advice.cards.append(genes_card(found, call.card_uuid(), call.explain_url))
    return advice


def _new_readings(record: PatientRecord) -> Iterator[GeneReading]:
    found = gene_readings(record)
    for reading in (*(one for readings in found.by_gene.values() for one in readings), *found.implications):
        entered = reading.entered or reading.time
        if entered is not None and entered.age_days(record.as_of_epoch) <= NEW_DAYS:
            yield reading


def _found(
    record: PatientRecord, taken: list[tuple[ActiveMedication, DraftOrder]], advice: Advice, call: ServiceInput
) -> Iterator[TakenDrug]:
    session = PatientSession(record, [draft for _, draft in taken], signing=True, active_orders=True)
    told: set[tuple[str, str]] = set()
    for drafted in session.drafted:
        for finding in _book().evaluate(session, drafted).findings:
            why_not = call.suppress(finding)
            if why_not is not None:
                advice.silences.append(why_not)
            elif (finding.rule, finding.band) not in told:
                told.add((finding.rule, finding.band))
                yield TakenDrug(plain(drafted.medication.name, 60), finding)
    session.release()


def _rests_on(finding: Finding, sources: set[str]) -> bool:
    return any(fact.name == "gene" and fact.source in sources for fact in finding.facts)


SERVICE = Service(
    id=SUBJECT,
    hooks=(PATIENT_VIEW,),
    title="A new genetic result and the drugs taken already",
    description=(
        "Compares genetic results of the last 30 days with the medications on the list by CPIC's recommendations and "
        "FDA's table; one card of at most three lines, silent where no drug needs a change."
    ),
    usage_requirements="For prescribers and pharmacists; not signed off by a human pharmacist.",
    needs=Needs.of(
        analytes=(GENOMICS, "body_weight"),
        resources=("MedicationRequest", "MedicationStatement", "Condition", "Procedure"),
    ),
    decide=decide,
)
