"""What is taken already and does not fit this patient: one card at patient-view, in place of one for each criterion.

At 65 and over the criteria of STOPP version 3; at every age the contraindications by a disease or a value. What is
ordered now is judged by `order-safety`, what goes home by `discharge-medications`.
"""

import csv
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Final

from cards.card import SEVERITY
from cards.compose.medications import MEDICATION_REVIEW, ReviewedDrug, may_be_stopped, review_card
from cards.compose.orders import shown_findings
from cards.extension import WorklistEntry
from cards.rules.engine.finding import Finding, Silence, merge_repeated_findings
from cards.rules.engine.rule_book import MISSING, RuleBook, whole_book
from cards.rules.patient.orders import DraftMedication, DraftOrder
from cards.rules.patient.session import PatientSession
from cards.text import plain
from cds_hooks.prefetch.needs import Needs
from cds_hooks.protocol.hooks import PATIENT_VIEW
from cds_hooks.protocol.repair import OriginalOrders
from cds_hooks.services._current_medications import taken_medications
from cds_hooks.services._equation import is_moment_for_review, kept_for_worklist, reason_not_to_advise
from cds_hooks.services._service import Advice, Service, ServiceInput, no_card
from fhir.mapping.medications.presence import unreadable_medications, words_of_unreadable
from fhir.record.record import PatientRecord

SUBJECT: Final = MEDICATION_REVIEW
FROM_YEARS: Final = 65
"""STOPP is about people of this age and over."""
_CONTRAINDICATIONS: Final = "disease"
"""The family whose warnings hold at every age."""
_OWN: Final = frozenset({"review", _CONTRAINDICATIONS})
_ELSEWHERE: Final = frozenset({"renal-dabigatran/mechanical_valve"})
"""Contraindications by a disease that stand in a rule of another family, as `rule/band`."""


@cache
def _criteria() -> frozenset[str]:
    """What covers the criteria of STOPP: rules of the review and of contraindications, `rule/band` of others."""
    text = files("cards.rules.families.review").joinpath("stopp.csv").read_text("utf-8")
    return frozenset(
        criterion for row in csv.DictReader(text.splitlines()) for criterion in row["rules"].split(";") if criterion
    )


@cache
def review_book() -> RuleBook:
    """The rules of the review: its own family, the contraindications, and what other families have of STOPP."""
    rule_ids = {criterion.partition("/")[0] for criterion in _criteria() | _ELSEWHERE}
    return RuleBook(rule for rule in whole_book().rules if rule.family.name in _OWN or rule.id in rule_ids)


async def decide(call: ServiceInput) -> Advice:
    """One card where something that is taken does not fit, else the reason for none."""
    record = call.record
    past = reason_not_to_advise(record, SUBJECT, at_home=False, can_opt_out=False)
    if past is not None:
        return past
    if not (record.was_requested("MedicationRequest") or record.was_requested("MedicationStatement")):
        return no_card(SUBJECT, "input-missing", "The medication list is not known: nothing is reviewed.")
    drafts = [draft for _, draft in taken_medications(record, OriginalOrders(call.sent))][: call.max_drafts]
    advice = Advice()
    reviewed = list(_reviewed_drugs(record, drafts, advice.silences, call))
    advice.orders = {"drafts": [draft.resource for draft in drafts], "judged": [draft.name for draft in drafts]}
    advice.scores = {"review": sorted({f"{drug.finding.rule}/{drug.finding.band} {drug.name}" for drug in reviewed})}
    unreadable = words_of_unreadable(unreadable_medications(record, systemic=False))
    if unreadable:
        text = f"On the medication list, not readable, so not reviewed: {unreadable}."
        advice.silences.append(Silence("medications", "not-recognised", text))
    if not reviewed:
        advice.silences.append(_nothing_found(record, len(drafts)))
    elif not is_moment_for_review(call):
        names = ", ".join(dict.fromkeys(drug.name for drug in reviewed))
        advice.worklist.append(
            WorklistEntry(test=plain(f"Medication review: {names}", 160), purpose=SUBJECT, because="no-visit")
        )
        advice.silences.append(kept_for_worklist(SUBJECT))
    else:
        advice.cards.append(review_card(reviewed, call.card_identity()))
    return advice


def _reviewed_drugs(
    record: PatientRecord, drafts: list[DraftOrder], silences: list[Silence], call: ServiceInput
) -> Iterator[ReviewedDrug]:
    """What is found about each drug; what two drugs do together is said once."""
    session = PatientSession(record, drafts, signing=True, active_orders=True)
    age = record.age_years()
    is_older = age is not None and age >= FROM_YEARS
    # What two drugs do together is told of the one that can be stopped: of aspirin, not of the anticoagulant beside it.
    drugs = sorted(session.drafted, key=lambda drafted: not may_be_stopped(drafted.medication))
    by_draft = []
    for drafted in drugs:
        evaluation = review_book().evaluate(session, drafted)
        meant_findings = [finding for finding in evaluation.findings if _is_meant(finding, is_older=is_older)]
        by_draft.append((drafted.draft.name, shown_findings(meant_findings, call.suppress, silences)))
    kept_findings, repeated = merge_repeated_findings(by_draft)
    silences.extend(repeated)
    for drafted, findings in zip(drugs, kept_findings, strict=True):
        yield from (_reviewed(drafted, finding) for finding in findings)


def _nothing_found(record: PatientRecord, count: int) -> Silence:
    """Nothing found is said of what was looked at only: most criteria are about a problem."""
    if not record.was_requested("Condition"):
        text = "The problem list is not known: criteria about a disease were not checked, and no other one was met."
        return Silence(SUBJECT, "input-missing", text)
    if not count:
        return Silence(SUBJECT, "below-threshold", "No medication that is taken is on the chart.")
    subject_and_verb = (
        "The medication that is taken is" if count == 1 else f"The {count} medications that are taken are"
    )
    return Silence(SUBJECT, "below-threshold", f"{subject_and_verb} not named by the criteria.")


def _is_meant(finding: Finding, *, is_older: bool) -> bool:
    """Whether the review tells it: at 65 and over every criterion, before that the contraindications.

    What is only asked for because it is missing is left to the order.
    """
    if finding.band == MISSING:
        return False
    name = f"{finding.rule}/{finding.band}"
    if name in _ELSEWHERE or (finding.group == _CONTRAINDICATIONS and SEVERITY[finding.indicator] > SEVERITY["info"]):
        return True
    return is_older and (finding.group in _OWN or name in _criteria())


def _reviewed(drafted: DraftMedication, finding: Finding) -> ReviewedDrug:
    resource = drafted.draft.resource
    is_offered = any(offer.suggestion.declared.only_removes for offer in finding.suggestions)
    can_stop = resource.get("id") and is_offered and may_be_stopped(drafted.medication)
    return ReviewedDrug(plain(drafted.medication.name, 60), finding, resource if can_stop else None)


SERVICE = Service(
    id=SUBJECT,
    hooks=(PATIENT_VIEW,),
    title="A review of the medications that are taken",
    description=(
        "Compares what is taken with STOPP version 3 at 65 and over, and with contraindications by diseases and values "
        "at every age; one card with what to do for each finding, silent where nothing is found and in palliative care."
    ),
    usage_requirements="For prescribers and pharmacists at an outpatient visit; not signed off by a human pharmacist.",
    warns_of_harm=True,
    needs=Needs.of(analytes=review_book().needs.analytes, resources=review_book().needs.resources),
    decide=decide,
    returns_resources=frozenset({"MedicationRequest"}),
)
