"""Screening tests: when the same one was last done, and whether the order says what it is for."""

import re
from collections.abc import Iterator, Mapping

from cards.rules.conditions.condition import TEXT, Condition, Predicate, Spec, Truth, flag, needs, no_facts, only
from cards.rules.families.orders.retesting import OBSERVATIONS
from cards.rules.families.orders.study import codes_of, listed_problems, study_of
from cards.rules.language.rule import RuleError
from cards.rules.patient.context import RuleContext
from fhir.mapping.studies import SCREENING, screening_groups_of
from fhir.record.datatypes import CodeableConcept, FhirTime, parse_time
from fhir.record.measurement import USABLE_STATUS, effective_time
from fhir.record.record import PatientRecord
from fhir.terminology.analytes import LOINC
from fhir.terminology.condition_words import is_of_patient

_LONGEST_DAYS = 3650.0
_FINAL_REPORT = USABLE_STATUS | {"appended"}
_SYMPTOMS = re.compile(
    r"(?<!a)(?<!without )(?<!no )symptom"
    r"|diagnos|follow|known|lump|mass|pain|bleed|abnormal|surveil|monitor|elevated|raised|luts|nodule|treat|biops"
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
    r"\b(?:total|radical)\b[^.;]*hysterectomy|hysterectomy (?:with|including) (?:the )?cervix|absence of cervix",
    re.IGNORECASE,
)


def _newest_by_group(record: PatientRecord) -> Mapping[str, FhirTime]:
    """When a result or procedure of each group of screening tests was last recorded."""
    newest: dict[str, FhirTime] = {}
    for groups, time in _screenings(record):
        if time is None or time.age_days(record.as_of_epoch) < 0.0:
            continue
        for name in groups:
            if name not in newest or time.instant > newest[name].instant:
                newest[name] = time
    return newest


def _screenings(record: PatientRecord) -> Iterator[tuple[frozenset[str], FhirTime | None]]:
    for observation in record.observations_for("screening by test"):
        coding = observation.code.coding
        words = "" if any(one.system in (LOINC, None) for one in coding) else observation.code.text or ""
        found = screening_groups_of((one.code for one in coding), words)
        if found and observation.status in USABLE_STATUS:
            record.note_use(observation)
            yield found, effective_time(observation)
    for procedure in record.procedures:
        if procedure.status == "completed" and (found := _groups_of(procedure.code)):
            period = procedure.performedPeriod
            yield found, parse_time(procedure.performedDateTime or (period.start if period is not None else "") or "")
    for report in record.diagnostic_reports:
        if report.status in _FINAL_REPORT and (found := _groups_of(report.code)):
            yield found, parse_time(report.effectiveDateTime or report.issued or "")


def _groups_of(concept: CodeableConcept | None) -> frozenset[str]:
    """The groups of screening that the concept of a procedure or report names."""
    if concept is None:
        return frozenset()
    return screening_groups_of(codes_of(concept), concept.words)


def _last_same(context: RuleContext, days: float, group: str | None = None) -> FhirTime | None:
    """When a result of a test of the same screening groups, or of that group, was last recorded within so many days."""
    record = context.session.record
    newest = record.derive(_newest_by_group)
    wanted = study_of(context).groups & SCREENING if group is None else {group}
    found = [newest[name] for name in wanted if name in newest]
    time = max(found, key=lambda one: one.instant, default=None)
    return time if time is not None and time.age_days(record.as_of_epoch) <= days else None


def _done_within(spec: Spec) -> Predicate:
    days = float(only(spec, "done_within_days", "of_group")["done_within_days"])
    group: str | None = spec.get("of_group")
    if group is not None and group not in SCREENING:
        raise RuleError(f"of_group is one of {', '.join(sorted(SCREENING))}")

    def test(context: RuleContext) -> Truth:
        return _last_same(context, days, group) is not None

    return Predicate(test, no_facts, frozenset({"last_same"}))


def _has_symptom(context: RuleContext) -> Truth:
    """Whether the order says that it is no screening."""
    return bool(_SYMPTOMS.search(study_of(context).detail))


def _says_screening(context: RuleContext) -> Truth:
    """Whether the order says that it is for screening, in words or by a code of its reason."""
    codes = [code for reason in context.drafted.order.reasonCode for code in codes_of(reason)]
    return bool(_SCREENING.search(study_of(context).detail)) or any(one.startswith(_SCREENING_ICD10) for one in codes)


def _has_no_cervix(context: RuleContext) -> Truth:
    """Whether the cervix was removed, by a code or the words of the problem list or a procedure."""
    record = context.session.record
    done = (one.code for one in record.procedures if one.status == "completed" and one.code is not None)
    concepts = [*(concept for concept, _ in listed_problems(context)), *done]
    for concept in concepts:
        if any(code.replace(".", "").startswith(_NO_CERVIX_ICD10) for code in codes_of(concept)):
            return True
        said = _WITHOUT_CERVIX.search(concept.words)
        if said and is_of_patient(concept.words, said.start()):
            return True
    return False


def cervical_reason(context: RuleContext) -> str | None:
    """Why no cervical screening is advised, for a sentence."""
    age = context.age_years
    if _has_no_cervix(context):
        return "after removal of the cervix without cervical disease"
    if age is None or _CERVICAL_FROM <= age <= _CERVICAL_TO:
        return None
    return f"under {_CERVICAL_FROM}" if age < _CERVICAL_FROM else "over 65 where earlier screening was adequate"


def last_same_date(context: RuleContext) -> str | None:
    """The day on which the same screening was last done."""
    time = _last_same(context, _LONGEST_DAYS)
    return time.text[:10] if time is not None else None


WORDS: tuple[Condition, ...] = (
    Condition(
        "done_within_days",
        "a result of the same screening test, or of the group `of_group`, was recorded in so many days",
        _done_within,
        {"type": "number", "exclusiveMinimum": 0},
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
    flag("says_screening", _says_screening, "the order says that it is for screening"),
    flag("says_symptom", _has_symptom, "the order says that it is no screening"),
)
