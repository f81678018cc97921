"""Screening tests: when the same one was last done, and whether the order says what it is for."""

import re
from collections.abc import Iterator, Mapping
from datetime import date

from msgspec import Struct

from cards.extension import Fact
from cards.rules.conditions.condition import DAYS, TEXT, Condition, Predicate, Spec, Truth, flag, needs, no_facts
from cards.rules.families.orders.retesting import ABNORMAL, OBSERVATIONS
from cards.rules.families.orders.study import codes_of, listed_problems, study_of
from cards.rules.language.rule import RuleError
from cards.rules.patient.context import RuleContext
from cards.text import plain
from fhir.mapping.studies import SCREENING, screening_groups_of
from fhir.mapping.study_words import says_no_result
from fhir.mapping.tobacco import smoking_history
from fhir.record.datatypes import CodeableConcept, FhirTime, parse_time
from fhir.record.measurement import USABLE_STATUS, effective_time
from fhir.record.record import PatientRecord
from fhir.record.resources import DiagnosticReport, Observation, Procedure
from fhir.terminology.analytes import LOINC_OR_UNNAMED
from fhir.terminology.assertions import states

_LONGEST_DAYS = 3650.0
# USPSTF B 2021 (id 1916): 50 to 80 years, 20 pack-years, smoking now or until 15 years ago.
_LUNG_FROM, _LUNG_TO, _PACK_YEARS, _QUIT_YEARS = 50, 80, 20.0, 15
_CERVIX = frozenset({"cervical", "hpv"})
_ABNORMAL_WORDS = re.compile(
    r"\basc-?(?:us|h)\b|\b[lh]sil\b|\bagc\b|\bcin\b|dysplasia|carcinoma|malignan|atypical|abnormal|suspicious|positive"
    r"|\bdetected|bi-?rads(?: category)?:? ?[03-6]",
    re.IGNORECASE,
)
_NORMAL_WORDS = re.compile(
    r"\bnilm\b|negative|not detected|\bno (?:abnormal|evidence|suspicious)|bi-?rads(?: category)?:? ?[12]\b",
    re.IGNORECASE,
)
_FINAL_REPORT = USABLE_STATUS | {"appended"}
_SYMPTOMS = re.compile(
    r"(?<!a)(?<!without )(?<!no )symptom"
    r"|diagnos|follow|known|lump|mass|pain|bleed|abnormal|surveil|monitor|elevated|raised|luts|nodule|treat|biops"
    r"|\bturp\b|resection of (?:the )?prostate|cystoscop|ureteroscop|lithotrip|urologic"
    r"|urinary|nocturia|dysuria|ha?ematuria|weak stream|hesitancy|retention"
    r"|brca|lynch|hereditary|high[- ]risk",
    re.IGNORECASE,
)


_SCREENING = re.compile(r"screen|asymptomatic|without symptoms|check-?up", re.IGNORECASE)
# ICD-10-CM: encounters for screening for infections, cancer and other diseases.
_SCREENING_ICD10 = ("Z11", "Z12", "Z13")
_CERVICAL_FROM, _CERVICAL_TO = 21, 65
# ICD-10-CM Z90.710 and Z90.712: no cervix any more. A hysterectomy of which no more is said may have left it.
_NO_CERVIX_ICD10 = ("Z90710", "Z90712")
_WITHOUT_CERVIX = re.compile(
    r"\b(?:total|radical)\b[^.;]{0,80}hysterectomy|hysterectomy (?:with|including) (?:the )?cervix|absence of cervix",
    re.IGNORECASE,
)


class _Done(Struct, frozen=True):
    """A screening that was done: when, what was found in words, and whether the laboratory marked it."""

    time: FhirTime
    finding: str = ""
    is_marked: bool = False

    @property
    def is_abnormal(self) -> bool:
        """Whether it was marked, or its words name a finding that is followed up."""
        return self.is_marked or bool(_ABNORMAL_WORDS.search(self.finding) and not _NORMAL_WORDS.search(self.finding))


def _newest_by_group(record: PatientRecord) -> Mapping[str, _Done]:
    """Return the last result or procedure of each group of screening tests."""
    newest: dict[str, _Done] = {}
    for groups, time, words, is_marked in _screenings(record):
        if time is None or time.is_after(record.as_of_epoch):
            continue
        for name in groups:
            if name not in newest or time.instant > newest[name].time.instant:
                newest[name] = _Done(time, words, is_marked)
    return newest


def _screenings(record: PatientRecord) -> Iterator[tuple[frozenset[str], FhirTime | None, str, bool]]:
    for observation in record.facts(Observation):
        coding = observation.code.coding
        words = "" if any(entry.system in LOINC_OR_UNNAMED for entry in coding) else observation.code.text
        groups = screening_groups_of((entry.code for entry in coding), words)
        if groups and observation.status in USABLE_STATUS:
            value = observation.valueCodeableConcept
            finding = value.words if value is not None else observation.valueString or ""
            if observation.dataAbsentReason is not None or says_no_result(finding):
                continue
            marks = {coding.code for concept in observation.interpretation for coding in concept.coding}
            yield groups, effective_time(observation), finding, not marks.isdisjoint(ABNORMAL)
    for procedure in record.facts(Procedure):
        if procedure.status == "completed" and (groups := _groups_of(procedure.code)):
            yield groups, procedure.performed, "", False
    for report in record.facts(DiagnosticReport):
        if report.status in _FINAL_REPORT and (groups := _groups_of(report.code)):
            finding = " ".join([report.conclusion or "", *(concept.words for concept in report.conclusionCode)])
            time = parse_time(report.effectiveDateTime or report.issued or "")
            yield groups, time, finding, False


def _groups_of(concept: CodeableConcept | None) -> frozenset[str]:
    """Return the groups of screening that the concept of a procedure or report names."""
    if concept is None:
        return frozenset()
    return screening_groups_of(codes_of(concept), concept.words)


def _last_same(context: RuleContext, days: float, group: str | None = None) -> _Done | None:
    """Return the last test of the same screening groups, or of that group, within so many days."""
    record = context.session.record
    newest = record.derive(_newest_by_group)
    wanted = study_of(context).groups & SCREENING if group is None else {group}
    results = [newest[name] for name in wanted if name in newest]
    last = max(results, key=lambda result: result.time.instant, default=None)
    return last if last is not None and last.time.whole_days(record.as_of_epoch) <= days else None


def _done_within(spec: Spec) -> Predicate:
    days = float(spec["done_within_days"])
    group: str | None = spec.get("of_group")
    if group is not None and group not in SCREENING:
        raise RuleError(f"of_group is one of {', '.join(sorted(SCREENING))}")

    def test(context: RuleContext) -> Truth:
        return _last_same(context, days, group) is not None

    return Predicate(test, no_facts, frozenset({"last_same"}))


def _has_symptom(context: RuleContext) -> Truth:
    """Whether the order says that it is not a screening."""
    return bool(_SYMPTOMS.search(study_of(context).detail))


def _says_screening(context: RuleContext) -> Truth:
    """Whether the order says that it is for screening, in words or by a code of its reason."""
    codes = [code for reason in context.drafted.order.reasonCode for code in codes_of(reason)]
    return bool(_SCREENING.search(study_of(context).detail)) or any(code.startswith(_SCREENING_ICD10) for code in codes)


def _has_no_cervix(context: RuleContext) -> Truth:
    """Whether the cervix was removed, by a code or the words of the problem list or a procedure."""
    record = context.session.record
    done = (
        procedure.code
        for procedure in record.facts(Procedure)
        if procedure.status == "completed" and procedure.code is not None
    )
    concepts = [*(concept for concept, _ in listed_problems(context)), *done]
    for concept in concepts:
        if any(code.replace(".", "").startswith(_NO_CERVIX_ICD10) for code in codes_of(concept)):
            return True
        if states(_WITHOUT_CERVIX, concept.words):
            return True
    return False


def cervical_reason(context: RuleContext) -> str | None:
    """Why no cervical screening is advised, for a sentence."""
    age = context.age_years
    if _has_no_cervix(context):
        return "after removal of the cervix without cervical disease"
    if age is not None and age < _CERVICAL_FROM:
        return f"under {_CERVICAL_FROM}"
    return "over 65 where earlier screening was adequate" if age is not None and age > _CERVICAL_TO else None


def last_same_date(context: RuleContext) -> str | None:
    """Return the day on which the same screening was last done."""
    last = _last_same(context, _LONGEST_DAYS)
    return last.time.text[:10] if last is not None else None


def last_same_sentence(context: RuleContext) -> str:
    """When the same screening was last done, as a sentence; empty where none is on the record."""
    day = last_same_date(context)
    return f"The last one was on {day}." if day is not None else ""


def _smoking_facts(context: RuleContext) -> list[Fact]:
    """Return the answer and the pack-years that lung screening is judged by, with their days."""
    history = smoking_history(context.session.record)
    facts = []
    if (answer := history.answer) is not None:
        day = answer.time.text if answer.time is not None else None
        facts.append(Fact("smoking", plain(answer.words, 60), answer.status, effective=day, source=answer.source))
    if (years := history.pack_years) is not None:
        day = years.time.text if years.time is not None else None
        words = f"{years.value:g} pack-years"
        facts.append(Fact("pack_years", words, f"{years.value:g}", effective=day, source=years.source))
    return facts


def _last_is_abnormal(context: RuleContext) -> Truth:
    """Whether the last of these tests found something: then the interval of screening does not hold."""
    newest = context.session.record.derive(_newest_by_group)
    ordered_groups = study_of(context).groups & SCREENING
    wanted = ordered_groups | _CERVIX if ordered_groups & _CERVIX else ordered_groups
    return any(newest[name].is_abnormal for name in wanted if name in newest)


def _never_smoked(context: RuleContext) -> Truth:
    """Whether the last answer to the smoking status that came is that the patient never smoked."""
    answer = smoking_history(context.session.record).answer
    return answer is not None and answer.status == "never"


def lung_reason(context: RuleContext) -> str | None:
    """Return what stands against lung screening, for a sentence; None for nothing that is on record."""
    age, record = context.age_years, context.session.record
    if age is not None and not _LUNG_FROM <= age <= _LUNG_TO:
        return f"at {age}"
    history = smoking_history(record)
    if history.answer is not None and history.answer.status == "never":
        return "in somebody who never smoked"
    if history.pack_years is not None and history.pack_years.value < _PACK_YEARS:
        return f"with {history.pack_years.value:g} pack-years"
    stopped = history.stopped_by
    if stopped is not None and stopped < _years_before(record.as_of.date(), _QUIT_YEARS):
        return f"after smoking stopped by {stopped.isoformat()}"
    return None


def _is_outside_lung_screening(context: RuleContext) -> Truth:
    """Unknown without an age; what is not on record about smoking stands against nothing."""
    if lung_reason(context) is not None:
        return True
    return None if context.age_years is None else False


def _years_before(day: date, years: int) -> date:
    return day.replace(year=day.year - years, day=min(day.day, 28))


WORDS: tuple[Condition, ...] = (
    Condition(
        "done_within_days",
        "a result of the same screening test, or of the group `of_group`, was recorded in so many days",
        _done_within,
        DAYS,
        lambda spec: f"{spec.get('of_group', 'the same')} done in the last {spec['done_within_days']} days",
        OBSERVATIONS | needs("Procedure"),
        {"of_group": TEXT},
    ),
    flag(
        "cervix_removed",
        _has_no_cervix,
        "the cervix was removed, as a code or the words of the record say",
        needs=needs("Condition", "Procedure"),
    ),
    flag(
        "last_screening_abnormal",
        _last_is_abnormal,
        "the last screening of this kind found something that is followed up",
        needs=OBSERVATIONS | needs("Procedure"),
    ),
    flag(
        "never_smoked",
        _never_smoked,
        "the smoking status that came says that the patient never smoked",
        facts=_smoking_facts,
    ),
    flag(
        "outside_lung_screening",
        _is_outside_lung_screening,
        "age, pack-years or the time since smoking stopped are outside those of lung screening, as far as they came",
        frozenset({"age"}),
        _smoking_facts,
    ),
    flag("says_screening", _says_screening, "the order says that it is for screening"),
    flag("says_symptom", _has_symptom, "the order says that it is not a screening"),
)
