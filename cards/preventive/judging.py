"""Decides for each recommendation whether it is due, not due, or cannot be told, and why.

"Due" is said only where everything that a recommendation needs was sent: what was not sent, or not charted, makes it
"not known". Ages are completed years; an interval is over on the same day so many years later.

Source of the criteria: `services.json` (USPSTF, data of 2024-05-02). What the project chose
itself is in docs/preventive.md.
"""

from typing import Final

from cards.preventive.chart import declined, is_ordered
from cards.preventive.criteria import DECIDERS
from cards.preventive.judgement import Chart, Judgement, by_interval, judge
from cards.preventive.knowledge import PreventiveKnowledge, PreventiveService
from cards.text import plain
from fhir.mapping.conditions import ConditionHit, find_condition
from fhir.mapping.tobacco import smoking_history
from fhir.record.record import PatientRecord
from models_onnx.equations.record_inputs import RecordInputs

_NEED_WORDS: Final = {
    "Condition": "problems",
    "Procedure": "procedures",
    "MedicationRequest": "medications",
    "screening": "screening results",
    "smoking_status": "smoking status",
    "hba1c": "laboratory results",
    "sbp": "blood pressures",
}


def judge_services(record: PatientRecord, knowledge: PreventiveKnowledge, risk: RecordInputs) -> tuple[Judgement, ...]:
    """The answer for each recommendation, in the order of the knowledge; `risk` are the inputs of PREVENT."""
    smoking = smoking_history(record)
    chart = Chart(record, record.as_of.date(), smoking, risk, knowledge, record.age_years(), record.sex)
    return tuple(_judge(service, chart) for service in knowledge.services)


def _judge(service: PreventiveService, chart: Chart) -> Judgement:
    outside = _outside(service, chart)
    if outside is not None:
        return outside
    judgement = DECIDERS.get(service.id, by_interval)(service, chart)
    if judgement.state != "due":
        return judgement
    return _not_sent(service, chart) or _settled(service, chart, judgement) or judgement


def _outside(service: PreventiveService, chart: Chart) -> Judgement | None:
    """Whom the recommendation is not for: by age, sex, or a condition of the list."""
    age, sex = chart.age, chart.sex
    if age is None:
        return judge(service, "not known", "not-charted", "the age is not known")
    if age < service.from_age or (service.to_age is not None and age > service.to_age):
        ages = (
            f"{service.from_age} to {service.to_age}" if service.to_age is not None else f"{service.from_age} and over"
        )
        return judge(service, "not due", "age", f"for ages {ages}")
    if service.sex is not None and sex is None:
        return judge(service, "not known", "not-charted", "the sex is not known")
    if service.sex is not None and sex != service.sex:
        return judge(service, "not due", "sex", f"for {'women' if service.sex == 'female' else 'men'}")
    hit = find_condition(chart.record, *service.excluded) if service.excluded else None
    return _for_condition(service, hit) if hit is not None else None


def _for_condition(service: PreventiveService, hit: ConditionHit) -> Judgement:
    words = plain(hit.words or hit.code, 60)
    when = f" ({hit.time.date})" if hit.time is not None else ""
    return judge(service, "not due", "condition", f"for people at average risk, not meant with {words}{when}")


def _not_sent(service: PreventiveService, chart: Chart) -> Judgement | None:
    lacking = [_NEED_WORDS[need] for need in service.needs if not chart.record.was_requested(need)]
    if not lacking:
        return None
    return judge(service, "not known", "not-sent", f"{' and '.join(lacking)} not sent")


def _settled(service: PreventiveService, chart: Chart, judgement: Judgement) -> Judgement | None:
    """Not due after all: ordered, or declined by the patient."""
    for interval in service.tests:
        refused = declined(chart.record, interval.test)
        if refused is not None:
            when = f" ({refused[1]})" if refused[1] else ""
            return judge(service, "not due", "declined", f"{chart.test(interval.test).words} declined{when}")
    names = ("colonoscopy",) if judgement.because == "positive-test" else tuple(test.test for test in service.tests)
    for name in names:
        source = is_ordered(chart.record, name)
        if source is not None:
            return judge(service, "not due", "ordered", f"ordered ({plain(source, 60)})")
    return None
