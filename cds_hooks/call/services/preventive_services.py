"""Which preventive services are due: USPSTF recommendations with grade A or B, at patient-view.

The recommendations, with source, grade and year, are in `cards/preventive/services.json`. Abnormal results that nothing
on record has followed have their own card, before it.
"""

from functools import partial
from typing import Any, Final

from msgspec import to_builtins
from msgspec.structs import replace

from cards.compose.preventive import preventive_card, preventive_states, results_card
from cards.extension import WorklistEntry
from cards.preventive.abnormal import FollowUp, open_results
from cards.preventive.abnormal_rows import ABNORMAL_RESULTS
from cards.preventive.criteria import BODY_MASS, body_mass, judge_services
from cards.preventive.in_hospital import results_in_hospital
from cards.preventive.recommendation import ABNORMAL_RESULT, FOR_CHECK_UP, ServiceAnswer
from cds_hooks.call.hold_back.visit import VisitRank
from cds_hooks.call.prefetch.needs import Needs
from cds_hooks.call.protocol.hooks import PATIENT_VIEW
from cds_hooks.call.services._equation import is_check_up, is_moment_for_reminder, kept_for_worklist, today
from cds_hooks.call.services._exclusions import NO_ESTIMATE, SHORT_OUTLOOK, limited_outlook
from cds_hooks.call.services._outlook import OUTLOOK_FEATURES, short_outlook
from cds_hooks.call.services._service import Advice, Advisor, ServiceInput, no_card
from fhir.mapping.stays import is_in_hospital
from fhir.record.record import PatientRecord
from fhir.record.refusals import WhyNot

SUBJECT: Final = "preventive-services"
# What can hold a test beyond what a recommendation needs.
_MAY_HOLD_TESTS: Final = {"DiagnosticReport": "reports of studies", "Procedure": "procedures"}
_REASONS: Final = {
    "done": "already-done",
    "ordered": "already-ordered",
    "declined": "declined",
    "condition": "outside-population",
    "abnormal": "outside-population",
    FOR_CHECK_UP: "worklist",
    ABNORMAL_RESULT: "abnormal-result",
    "outlook": "outside-population",
    "risk": "below-threshold",
    "not-charted": "input-missing",
    "not-sent": "input-missing",
}


_IN_HOSPITAL: Final = "The patient is in hospital now: of results only critical ones of the last days are told."
_AT_ONCE: Final = frozenset({"tobacco", "hypertension"})
"""What helps within weeks or months, whatever the outlook; the project's own choice."""
AT_CHECK_UPS: Final = frozenset({"hepatitis-c", "hiv"})
"""Once in a life for nearly everybody: at a check-up; the project's own choice."""

_NOT_FOR: Final = frozenset({"age", "sex"})


def find(call: ServiceInput) -> Advice:
    """One card where a service is due, and for each of the others the reason why it is not, or is not known."""
    record = call.record
    results, why_not = tuple(result for result in record.derive(open_results) if result.row.discharge != "only"), ""
    if is_in_hospital(record):
        results, why_not = results_in_hospital(record), _IN_HOSPITAL
    if (words := limited_outlook(record, SHORT_OUTLOOK)) is not None:
        results = tuple(result for result in results if result.row.in_limited_outlook)
        why_not = f"{words} is on record: prevention is not suggested."
    if why_not:
        advice = no_card(SUBJECT, "outside-population", why_not)
        _add_results(advice, results, call)
        return advice
    judged = record.derive(_judged)
    if any(answer.state == "due" for answer in judged):
        outlook, in_check_up = short_outlook(call), is_check_up(call)
        judged = tuple(answer if answer.state != "due" else _changed(answer, outlook, in_check_up) for answer in judged)
    states = preventive_states(judged, today(call))
    advice = Advice(
        features=record.derive(body_mass), scores={"preventive": to_builtins(states)}, orders=_basis(judged)
    )
    advice.silences = _silences(judged)
    _add_results(advice, results, call)
    due = [answer for answer in judged if answer.state == "due"]
    later = [answer for answer in judged if answer.because == FOR_CHECK_UP]
    advice.worklist = [_entry(later)] if later else []
    if not any(answer.because != FOR_CHECK_UP for answer in due):
        return advice
    if not is_moment_for_reminder(call):
        advice.worklist = [_entry(due)]
        advice.silences.insert(0, kept_for_worklist(call, SUBJECT))
        return advice
    rank = VisitRank.QUESTIONS if all(answer.order is None for answer in due) else None
    not_sent = [words for kind, words in _MAY_HOLD_TESTS.items() if not record.was_requested(kind)]
    card = partial(preventive_card, judged, states, call.card_identity(), record.patient_id, not_sent)
    advice.add(card(), shorten=partial(card, is_brief=True), reminder=_entry(due), rank=rank)
    return advice


def _judged(record: PatientRecord) -> tuple[ServiceAnswer, ...]:
    return judge_services(record, record.derive(open_results))


def _add_results(advice: Advice, results: tuple[FollowUp, ...], call: ServiceInput) -> None:
    """Add the card of abnormal results: first, whatever the visit is for."""
    if results:
        record = call.record
        card = partial(results_card, results, call.card_identity(), record.patient_id, record.as_of.date())
        shorten = partial(card, is_brief=True) if len(results) > 1 else None
        advice.add(card(), shorten=shorten, rank=VisitRank.DANGER)


def _changed(answer: ServiceAnswer, outlook: str | None, is_check_up: bool) -> ServiceAnswer:
    """Return what is due in the light of the visit and of the outlook."""
    name = answer.row.id
    if outlook is not None and name not in _AT_ONCE:
        return replace(answer, because="outlook", text=outlook, order=None)
    if name in AT_CHECK_UPS and not is_check_up:
        return replace(answer, because=FOR_CHECK_UP, order=None)
    return answer


_STATES = {"due": "is due", "not due": "is not due", "not known": "cannot be judged"}


def _silences(judged: tuple[ServiceAnswer, ...]) -> list[WhyNot]:
    """Return the reason for each that is not due; those that are not for this age or sex are named in one."""
    silences = []
    for answer in judged:
        is_later = answer.because == FOR_CHECK_UP
        if answer.because not in _NOT_FOR and (answer.state != "due" or is_later):
            kept = " It is kept for a check-up." if is_later else ""
            text = f"{answer.row.name} {_STATES[answer.state]}: {answer.text}.{kept}"
            silences.append(WhyNot(answer.row.id, _REASONS[answer.because], text))
    if outside := [answer.row.short for answer in judged if answer.because in _NOT_FOR]:
        text = f"Not recommended for this age or sex: {', '.join(outside)}."
        silences.append(WhyNot(SUBJECT, "outside-population", text))
    return silences


def _entry(due: list[ServiceAnswer]) -> WorklistEntry:
    names = ", ".join(answer.row.short for answer in due)
    return WorklistEntry(test=f"Preventive services: {names}", purpose=SUBJECT, because="no-visit")


def _basis(judged: tuple[ServiceAnswer, ...]) -> dict[str, Any]:
    """Return the tests that the answers are based on, for the decision record: equal inputs, equal decision."""
    tests = {answer.row.id: answer.facts[0].source for answer in judged if answer.facts}
    return {"drafts": [], "judged": [], "tests": tests}


ADVISOR = Advisor(
    id=SUBJECT,
    hooks=(PATIENT_VIEW,),
    title="Which preventive services are due",
    description=(
        "Compares dated tests, orders and conditions with USPSTF recommendations of grade A or B; one card at a "
        "visit with what is due, what is not known and what was not seen, silent where nothing is due. Abnormal "
        "results have a card before it; in hospital only critical ones."
    ),
    usage_requirements="For physicians, nurses and pharmacists; never shown to patients.",
    needs=Needs.of(
        features=(*BODY_MASS, *OUTLOOK_FEATURES),
        analytes=(
            *("screening", "sex_at_birth", "smoking_status"),
            *ABNORMAL_RESULTS.analytes,
        ),
        resources=(
            "Condition",
            "Procedure",
            "DiagnosticReport",
            "ServiceRequest",
            "MedicationRequest",
            "MedicationStatement",
            "MedicationAdministration",
            "AllergyIntolerance",
            "Encounter",
            "FamilyMemberHistory",
            "Immunization",
        ),
        whole_history=("Procedure",),
        named_results=20,
    ),
    exclusions=NO_ESTIMATE,
    find=find,
    rank=VisitRank.PREVENTION,
)
