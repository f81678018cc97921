"""Orders of imaging and tests: the placeholders, conditions and corrections that only these rules use."""

import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from cards.extension import Fact
from cards.rules.conditions.condition import Condition, Predicate, Spec, Truth, flag, needs, no_facts, only
from cards.rules.conditions.words.medications import MEDICATIONS
from cards.rules.conditions.words.patient import CONDITIONS, PREGNANCY
from cards.rules.engine.family import Family
from cards.rules.language.rule import LabOrder, OrderChange
from cards.rules.patient.context import RuleContext
from cards.rules.patient.orders import DraftStudy
from cards.rules.patient.session import PatientSession
from cards.text import format_number, plain, unit
from fhir.mapping.childbearing import childbearing_no_contraception
from fhir.mapping.conditions import condition_status
from fhir.mapping.pregnancy_signs import pregnancy_signs
from fhir.mapping.studies import RetestInterval, Study, read_study, retest_intervals, study_codes
from fhir.record.datatypes import DAY_SECONDS, FhirTime, parse_time
from fhir.record.measurement import USABLE_STATUS, effective_time
from fhir.record.resources import Condition as Problem
from fhir.record.resources import Observation, ServiceRequest
from fhir.terminology.analytes import ANALYTE_BY_LOINC

_OBSERVATIONS = needs("Observation")


def _study(context: RuleContext) -> Study:
    drafted = context.drafted
    return drafted.study if isinstance(drafted, DraftStudy) else read_study({})


# Urgency

_EMERGENCIES = re.compile(r"\bstroke\b|dissect|embol|\bstat\b|\bemergen|\btrauma", re.IGNORECASE)


def _is_urgent(context: RuleContext) -> Truth:
    """Stat or asap, in an emergency department, or for what cannot wait."""
    study = _study(context)
    visits = context.session.record.encounters
    in_emergency = any(
        one.class_ is not None and one.class_.code == "EMER" and one.status == "in-progress" for one in visits
    )
    return study.urgent or in_emergency or bool(_EMERGENCIES.search(study.detail))


# Gadolinium: ACR groups, as quoted from the ACR manual 10.3 of 2018

_GROUP_ONE = re.compile(r"gadodiamide|omniscan|gadopentetate|magnevist|gadoversetamide|optimark", re.IGNORECASE)
_GROUP_TWO = re.compile(
    r"gadobenate|multihance|gadobutrol|gadavist|gadovist|gadoterate|dotarem|clariscan|gadoteridol|prohance",
    re.IGNORECASE,
)


def _agent_group(spec: Spec) -> Predicate:
    wanted = only(spec, "gadolinium_group")["gadolinium_group"]

    def test(context: RuleContext) -> Truth:
        said = _study(context).detail
        group = "I" if _GROUP_ONE.search(said) else "II" if _GROUP_TWO.search(said) else "not stated"
        return bool(group == wanted)

    return Predicate(test)


def _agent(context: RuleContext) -> str | None:
    found = _GROUP_ONE.search(_study(context).detail)
    return found[0].lower() if found is not None else None


# Pregnancy

_NEGATIVE_DAYS = 14


def _pregnancy_possible(context: RuleContext) -> Truth:
    """A woman of 12 to 50 without anything that prevents a pregnancy and no negative test of the last 14 days."""
    record = context.session.record
    newest = next(iter(pregnancy_signs(record).negative), None)
    if newest is not None and int(newest.time.age_days(record.as_of_epoch)) <= _NEGATIVE_DAYS:
        return False
    return childbearing_no_contraception(record, [one.medication for one in context.session.active])


# Low back pain: NASS and AAFP (Choosing Wisely); the codes can only silence a card

_BACK_PAIN_ICD10 = ("M54.5",)
_BACK_PAIN_SNOMED = "279039007"
_BACK_PAIN_WORDS = re.compile(r"low(?:er)? back pain|\blbp\b|lumbago|\bback ?ache", re.IGNORECASE)
_RED_FLAG_ICD10 = (
    "C", "D84.9", "F11", "F15", "G06.1", "G83.4", "M46.2", "M46.3", "M46.4", "M80", "M81", "R15", "R29.8", "R32", "R33",
    "R50.9", "R63.4", "S", "W0", "W1", "Z79.52", "Z79.6", "Z85", "Z94",
)  # fmt: skip
_RED_FLAG_WORDS = re.compile(
    r"cauda equina|cancer|metasta|malignan|myeloma|fracture|trauma|\bfall\b|\bfell\b|fever|infection|osteomyelitis"
    r"|abscess|discitis|weight loss|immunosuppress|osteoporosis|incontinence|retention|saddle|weakness|deficit"
    r"|drug use|steroid",
    re.IGNORECASE,
)
_SIX_WEEKS_DAYS = 42


def _is_back_pain(problem: Problem) -> bool:
    if problem.code is None:
        return False
    codes = [coding.code or "" for coding in problem.code.coding]
    coded = any(code.startswith(_BACK_PAIN_ICD10) or code == _BACK_PAIN_SNOMED for code in codes)
    return coded or bool(_BACK_PAIN_WORDS.search(problem.code.words))


def _active_problems(context: RuleContext) -> Iterator[Problem]:
    for problem in context.session.record.conditions:
        if problem.code is not None and condition_status(problem, context.session.record.as_of_epoch) != "past":
            yield problem


def _is_for_back_pain(context: RuleContext) -> Truth:
    reasons = context.drafted.order.reasonCode
    codes = [coding.code or "" for reason in reasons for coding in reason.coding]
    coded = any(code.startswith(_BACK_PAIN_ICD10) or code == _BACK_PAIN_SNOMED for code in codes)
    return coded or bool(_BACK_PAIN_WORDS.search(_study(context).detail))


def _back_pain_days(context: RuleContext) -> int | None:
    """Days since the newest onset of low back pain on the problem list; None where no onset is there."""
    record = context.session.record
    onsets = [
        time.age_days(record.as_of_epoch)
        for problem in _active_problems(context)
        if _is_back_pain(problem) and problem.onsetDateTime and (time := parse_time(problem.onsetDateTime)) is not None
    ]
    return int(min(onsets)) if onsets else None


def _back_pain_early(context: RuleContext) -> Truth:
    days = _back_pain_days(context)
    return None if days is None else days < _SIX_WEEKS_DAYS


def _has_red_flag(context: RuleContext) -> Truth:
    if _RED_FLAG_WORDS.search(_study(context).detail):
        return True
    for problem in _active_problems(context):
        codes = [coding.code or "" for coding in problem.code.coding] if problem.code is not None else []
        words = problem.code.words if problem.code is not None else ""
        if any(code.startswith(_RED_FLAG_ICD10) for code in codes) or _RED_FLAG_WORDS.search(words):
            return True
    keys = ("cancer_pain_or_active_cancer", "substance_use_disorder", "transplant", "falls_or_fracture")
    return any(context.session.condition(key) is not None for key in keys)


# Repeated tests


class _Last(Struct, frozen=True):
    interval: RetestInterval
    observation: Observation
    time: FhirTime

    @property
    def words(self) -> str:
        quantity = self.observation.valueQuantity
        if quantity is None or quantity.value is None:
            return "done"
        return f"{format_number(quantity.value)} {unit(quantity.unit or quantity.code or '')}".strip()


def _interval(context: RuleContext) -> RetestInterval | None:
    return next((retest_intervals()[one] for one in _study(context).loincs if one in retest_intervals()), None)


def _last(context: RuleContext) -> _Last | None:
    """The newest final result of the test or of a member of its panel, within its interval."""
    interval = _interval(context)
    if interval is None:
        return None
    record = context.session.record
    planned = parse_time(str(context.drafted.draft.resource.get("occurrenceDateTime") or ""))
    when = max(record.as_of_epoch, planned.instant if planned is not None else 0.0)
    found: list[_Last] = []
    for observation in record.observations:
        time = effective_time(observation) if observation.status in USABLE_STATUS else None
        coded = any(coding.code in interval.loincs for coding in observation.code.coding)
        if coded and time is not None and 0.0 <= (when - time.instant) / DAY_SECONDS < interval.days:
            found.append(_Last(interval, observation, time))
    return max(found, key=lambda one: one.time.instant, default=None)


def _is_abnormal(last: _Last) -> bool:
    """Whether the laboratory marked it, or it is outside the limits of its row."""
    codes = {c.code for one in last.observation.interpretation for c in one.coding}
    if codes & {"H", "HH", "HU", "L", "LL", "LU", "A", "AA", "POS", "DET"}:
        return True
    quantity, interval = last.observation.valueQuantity, last.interval
    if quantity is None or quantity.value is None:
        return False
    low, high = interval.normal_low, interval.normal_high
    return (low is not None and quantity.value < low) or (high is not None and quantity.value > high)


def _repeated(context: RuleContext) -> Truth:
    last = _last(context)
    if last is None or last.observation.status == "preliminary" or _is_abnormal(last):
        return False
    # A value in an unknown unit is no result that a repeat could be spared for.
    analytes = {ANALYTE_BY_LOINC[code].key for code in _codes(last.observation) if code in ANALYTE_BY_LOINC}
    return not analytes or any(context.session.record.newest(key) is not None for key in analytes)


def _codes(observation: Observation) -> set[str]:
    return {coding.code for coding in observation.code.coding if coding.code}


def _repeat_facts(context: RuleContext) -> list[Fact]:
    last = _last(context)
    if last is None:
        return []
    source = f"Observation/{last.observation.id}" if last.observation.id else None
    return [
        Fact("last_result", f"{last.interval.name} {last.words}", last.words, effective=last.time.text, source=source)
    ]


def _ordered_twice(context: RuleContext) -> Truth:
    """Whether an earlier draft of the session, or an order of the same day, is of the same test."""
    interval, session = _interval(context), context.session
    codes = interval.loincs if interval is not None else frozenset(_study(context).loincs)
    own = context.drafted.draft
    earlier = [one for one in session.studies if one.draft.position < own.position]
    same_day = [one for one in earlier if _day(one.draft.resource, session) == _day(own.resource, session)]
    if any(codes.intersection(one.study.loincs) for one in same_day):
        return True
    return any(
        _is_same_day(one, session) and codes.intersection(_codes_of(one)) for one in session.record.service_requests
    )


def _day(resource: dict[str, Any], session: PatientSession) -> str:
    """The day for which a draft is: that of its occurrence, else today."""
    return str(resource.get("occurrenceDateTime") or session.record.as_of.date().isoformat())[:10]


def _is_same_day(request: ServiceRequest, session: PatientSession) -> bool:
    day = (request.occurrenceDateTime or request.authoredOn or "")[:10]
    drafted = any(one.reference == f"ServiceRequest/{request.id}" for one in session.drafts)
    return request.status == "active" and not drafted and day == session.record.as_of.date().isoformat()


def _codes_of(request: ServiceRequest) -> set[str]:
    return {coding.code for coding in request.code.coding if coding.code} if request.code is not None else set()


# Screening


def _done_within(spec: Spec) -> Predicate:
    days = float(only(spec, "done_within_days")["done_within_days"])

    def test(context: RuleContext) -> Truth:
        return _last_same(context, days) is not None

    return Predicate(test, no_facts, frozenset({"last_same"}))


def _last_same(context: RuleContext, days: float) -> FhirTime | None:
    """When a result of a test of the same screening groups was last recorded, within so many days."""
    record, wanted = context.session.record, _study(context).groups - {"lab", "lumbar_spine", "uterus"}
    found: list[FhirTime] = []
    for observation in record.observations:
        time = effective_time(observation) if observation.status in USABLE_STATUS else None
        if time is None or not 0.0 <= time.age_days(record.as_of_epoch) <= days:
            continue
        codings = [{"system": one.system, "code": one.code} for one in observation.code.coding]
        if wanted & read_study({"code": {"coding": codings}}).groups:
            found.append(time)
    return max(found, key=lambda one: one.instant, default=None)


_SYMPTOMS = re.compile(
    r"symptom|diagnos|follow|known|lump|mass|pain|bleed|abnormal|surveil|monitor|elevated|raised|luts|nodule|treat|biops",
    re.IGNORECASE,
)


def _has_symptom(context: RuleContext) -> Truth:
    """Whether the order says that it is no screening."""
    return bool(_SYMPTOMS.search(_study(context).detail))


# Placeholders


def _study_words(context: RuleContext) -> str:
    return plain(_study(context).words, 50)


def _age(context: RuleContext) -> str | None:
    return str(context.age_years) if context.age_years is not None else None


def _days(context: RuleContext) -> str | None:
    days = _back_pain_days(context)
    return str(days) if days is not None else None


def _test_name(context: RuleContext) -> str:
    interval = _interval(context)
    return interval.name if interval is not None else _study_words(context)


def _last_words(context: RuleContext) -> str | None:
    last = _last(context)
    return last.words if last is not None else None


def _last_date(context: RuleContext) -> str | None:
    last = _last(context)
    return last.time.text[:10] if last is not None else None


def _interval_days(context: RuleContext) -> str | None:
    interval = _interval(context)
    return f"{interval.days:g} day{'' if interval.days == 1 else 's'}" if interval is not None else None


def _interval_source(context: RuleContext) -> str | None:
    interval = _interval(context)
    return interval.source if interval is not None else None


def _last_same_date(context: RuleContext) -> str | None:
    time = _last_same(context, 3650.0)
    return time.text[:10] if time is not None else None


# Corrections


def _without_contrast(context: RuleContext) -> OrderChange | None:
    code = _study(context).without_contrast
    known = study_codes().get(code)
    return OrderChange(test=LabOrder(code, known.name)) if known is not None else None


def _study_group(spec: Spec) -> Predicate:
    wanted = str(only(spec, "study_group")["study_group"])
    return Predicate(lambda context: wanted in _study(context).groups)


_WORDS: tuple[Condition, ...] = (
    Condition(
        "study_group",
        "what is ordered is of this group of studies and tests",
        _study_group,
        {"type": "string", "minLength": 1},
        lambda spec: f"a study of the group {spec['study_group']}",
    ),
    flag(
        "urgent", _is_urgent, "stat or asap, an emergency visit, or an emergency in its words", needs=needs("Encounter")
    ),
    Condition(
        "gadolinium_group",
        "the order names a gadolinium agent of this ACR group (`I`, `II`), or none (`not stated`)",
        _agent_group,
        {"enum": ["I", "II", "not stated"]},
        lambda spec: f"gadolinium group {spec['gadolinium_group']}",
    ),
    flag(
        "pregnancy_possible",
        _pregnancy_possible,
        "a woman of 12 to 50, nothing on record that prevents a pregnancy, no negative test in 14 days",
        frozenset({"childbearing", "sex", "age", "conditions", "active"}),
        needs=PREGNANCY | MEDICATIONS,
    ),
    flag("for_back_pain", _is_for_back_pain, "the order is for low back pain"),
    flag(
        "back_pain_early",
        _back_pain_early,
        "low back pain on the problem list began less than six weeks ago",
        frozenset({"onset", "conditions"}),
        needs=CONDITIONS,
    ),
    flag(
        "onset_known",
        lambda context: _back_pain_days(context) is not None,
        "the problem list says when the low back pain began",
        needs=CONDITIONS,
    ),
    flag("red_flag", _has_red_flag, "a red flag of back pain is in the order or on the problem list", needs=CONDITIONS),
    flag(
        "repeated_early",
        _repeated,
        "a normal final result of the test, or of a member of its panel, is younger than its least interval",
        frozenset({"last_result"}),
        _repeat_facts,
        _OBSERVATIONS,
    ),
    flag(
        "ordered_twice",
        _ordered_twice,
        "an earlier draft, or an active order of the same day, is of the same test",
        needs=needs("ServiceRequest"),
    ),
    Condition(
        "done_within_days",
        "a result of the same screening test was recorded in so many days",
        _done_within,
        {"type": "number", "exclusiveMinimum": 0},
        lambda spec: f"done in the last {spec['done_within_days']} days",
        _OBSERVATIONS,
    ),
    flag(
        "medication_drafted",
        lambda context: bool(context.session.drafted),
        "a medication is drafted in the same session: a changed treatment",
    ),
    flag("says_symptom", _has_symptom, "the order says that it is no screening"),
)

FAMILY = Family(
    "orders",
    placeholders={
        "study": _study_words,
        "agent": _agent,
        "age": _age,
        "days": _days,
        "test": _test_name,
        "last": _last_words,
        "last_date": _last_date,
        "interval": _interval_days,
        "interval_source": _interval_source,
        "last_same": _last_same_date,
    },
    longest={
        "study": "x" * 50,
        "agent": "gadopentetate",
        "age": "100",
        "days": "41",
        "test": "Urea, creatinine and electrolytes",
        "last": "123.5 mmol/L",
        "last_date": "2026-11-20",
        "interval": "1.5 days",
        "interval_source": "Leeds Teaching Hospitals NHS Trust, retesting guidance",
        "last_same": "2026-11-20",
    },
    conditions=_WORDS,
    changes={"without_contrast": _without_contrast},
)
