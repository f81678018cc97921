"""Which preventive services are due: USPSTF recommendations with grade A or B, at patient-view.

The recommendations, with source, grade and year, are in `cards/preventive/services.json`.
"""

from typing import Any, Final

from msgspec import to_builtins

from cards.compose.preventive import preventive_card, preventive_states
from cards.extension import WorklistEntry
from cards.preventive.judgement import Judgement
from cards.preventive.judging import judge_services
from cards.preventive.knowledge import PREVENTIVE
from cards.rules.engine.finding import Silence
from cds_hooks.prefetch.needs import Needs
from cds_hooks.protocol.hooks import PATIENT_VIEW
from cds_hooks.services._equation import (
    is_moment_for_reminder,
    kept_for_worklist,
    limited_outlook,
    reason_not_to_advise,
    today,
)
from cds_hooks.services._service import Advice, Service, ServiceInput, no_card
from fhir.record.record import PatientRecord
from models_onnx.equations.declaration import get_equation
from models_onnx.equations.record_inputs import features_of, inputs_from_record

SUBJECT: Final = "preventive-services"
PREVENT = get_equation("prevent_base")
# What can hold a test beyond what a recommendation needs.
_MAY_HOLD_TESTS: Final = {"DiagnosticReport": "reports of studies", "Procedure": "procedures"}
_REASONS: Final = {
    "done": "already-done",
    "ordered": "already-ordered",
    "declined": "declined",
    "condition": "outside-population",
    "abnormal": "outside-population",
    "risk": "below-threshold",
    "not-charted": "input-missing",
    "not-sent": "input-missing",
}


_NOT_FOR: Final = frozenset({"age", "sex"})


async def decide(call: ServiceInput) -> Advice:
    """One card where a service is due, and for each of the others the reason why it is not, or is not known."""
    record = call.record
    past = reason_not_to_advise(record, SUBJECT) or _limited_outlook(record)
    if past is not None:
        return past
    risk = inputs_from_record(PREVENT, record)
    judged = judge_services(record, PREVENTIVE, risk)
    states = preventive_states(judged, PREVENTIVE, today(call))
    advice = Advice(features=risk.vector, scores={"preventive": to_builtins(states)}, orders=_basis(judged))
    advice.silences = _silences(judged)
    due = [judgement for judgement in judged if judgement.state == "due"]
    if not due:
        return advice
    if not is_moment_for_reminder(call):
        advice.worklist = [_entry(due)]
        advice.silences.insert(0, kept_for_worklist(SUBJECT))
        return advice
    identity = call.card_identity()
    advice.reminders[identity.uuid] = _entry(due)
    card = preventive_card(judged, PREVENTIVE, identity, record.patient_id, today(call), _not_sent(record))
    advice.cards.append(card)
    return advice


def _limited_outlook(record: PatientRecord) -> Advice | None:
    words = limited_outlook(record)
    if words is None:
        return None
    return no_card(SUBJECT, "outside-population", f"{words} is on record: prevention is not suggested.")


def _silences(judged: tuple[Judgement, ...]) -> list[Silence]:
    """The reason for each that is not due; those that are not for this age or sex are named in one."""
    outside = [judgement.service.short for judgement in judged if judgement.because in _NOT_FOR]
    not_due = [judgement for judgement in judged if judgement.state != "due" and judgement.because not in _NOT_FOR]
    silences = [_silence(judgement) for judgement in not_due]
    if outside:
        text = f"Not for this age or sex: {', '.join(outside)}."
        silences.append(Silence(SUBJECT, "outside-population", text))
    return silences


def _silence(judgement: Judgement) -> Silence:
    return Silence(
        judgement.service.id,
        _REASONS[judgement.because],
        f"{judgement.service.name}: {judgement.state}, {judgement.text}.",
    )


def _entry(due: list[Judgement]) -> WorklistEntry:
    names = ", ".join(judgement.service.short for judgement in due)
    return WorklistEntry(test=f"Preventive services: {names}", purpose=SUBJECT, because="no-visit")


def _not_sent(record: PatientRecord) -> list[str]:
    return [words for kind, words in _MAY_HOLD_TESTS.items() if not record.was_requested(kind)]


def _basis(judged: tuple[Judgement, ...]) -> dict[str, Any]:
    """The tests that the answers rest on, for the decision record: equal inputs, equal decision."""
    tests = {judgement.service.id: judgement.last.source for judgement in judged if judgement.last is not None}
    return {"drafts": [], "judged": [], "tests": tests}


SERVICE = Service(
    id=SUBJECT,
    hooks=(PATIENT_VIEW,),
    title="Which preventive services are due",
    description=(
        "Compares dated tests, orders and conditions with twelve USPSTF recommendations of grade A or B; one card at a "
        "visit with what is due, what is not known and what was not seen, silent where nothing is due."
    ),
    usage_requirements="For physicians, nurses and pharmacists at an outpatient visit; never shown to patients.",
    needs=Needs.of(
        features=features_of(PREVENT),
        analytes=("screening", "smoking_status", "hba1c", "glucose_fasting", "glucose", "ldl_cholesterol", "dbp"),
        resources=(
            "Condition",
            "Procedure",
            "DiagnosticReport",
            "ServiceRequest",
            "MedicationRequest",
            "MedicationStatement",
            "AllergyIntolerance",
            "Encounter",
        ),
        whole_history=("Procedure",),
    ),
    decide=decide,
)
