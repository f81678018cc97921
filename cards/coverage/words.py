"""The words with which a payer's criteria ask for something of a chart, beside those of rules that combine them.

A criterion is a condition of the rule language (cards/rules/conditions/condition.py) about a `Subject`. True: the chart
shows it. False: the chart was looked through and does not show it. None: it cannot be told, because the data did not
come or only a clinician can say it. `policy.py` compiles the criteria, `determination.py` makes an answer of them.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta

from cards.coverage.results import bmi_test, observation_test, pack_years_test, smoking_test
from cards.coverage.seen import Subject, Test, is_in, is_within, words_of
from cards.rules.conditions.condition import (
    COMPARED,
    LIMITS,
    TEXTS,
    Condition,
    Truth,
    Vocabulary,
    members,
    some,
    with_value,
)
from cards.rules.conditions.words.numbers import OF_LOGIC
from cards.rules.conditions.words.patient import SEX
from fhir.mapping.condition_concepts import read_concept, words_take_back
from fhir.mapping.conditions import condition_status, condition_time, doubt_of, find_condition
from fhir.mapping.medications.active import presence_of
from fhir.record.datatypes import CodeableConcept, parse_time
from fhir.record.record import relative_reference
from fhir.record.resources import Condition as Problem
from fhir.record.resources import DiagnosticReport, Encounter, Procedure
from fhir.terminology.conditions import CONDITION_GROUPS
from fhir.terminology.medications import CLASS_MEMBERS

_ICD10: Final = ("icd-10", "2.16.840.1.113883.6.90")
_LATE_STATUS: Final = frozenset({"cancelled", "planned", "entered-in-error"})


# The patient


def _age(wanted: Test, subject: Subject) -> Truth:
    born = subject.record.birth_date
    months = born.completed_months(subject.day - timedelta(days=wanted.get("days_after", 0))) if born else None
    return None if months is None else is_in(months // 12, wanted)


# Conditions


def _condition(wanted: Test, subject: Subject) -> Truth:
    record, any_status = subject.record, wanted.get("status", "any") == "any"
    sites: dict[str, list[Truth]] = {}
    for condition in record.facts(Problem):
        code = _code_of(condition, wanted)
        if code is None or (not any_status and condition_status(condition, record.as_of_epoch) == "past"):
            continue
        holds = is_within(condition_time(condition, record), wanted, subject.day)
        if doubt_of(condition):
            holds = None if holds is not False else False
        sites.setdefault(code, []).append(holds)
    hit = find_condition(record, *wanted.get("groups", ()))
    if hit is not None and hit.source.startswith("Procedure/"):  # a transplant, a bypass or dialysis that was done
        sites[hit.code] = [is_within(hit.time, wanted, subject.day)]
    best = (max(hits, key=lambda holds: (holds is True, holds is None)) for hits in sites.values())
    return subject.counted(best, wanted.get("sites", 1)) if sites else subject.lacks("Condition")


def _code_of(condition: Problem, wanted: Test) -> str | None:
    """Return the code by which a condition is meant: its ICD-10-CM code, and a group only where it has none."""
    prefixes, last = tuple(code.replace(".", "") for code in wanted.get("icd10", ())), wanted.get("last")
    concept = condition.code
    if concept is None:
        return None
    codes = [
        coding.code.replace(".", "").upper()
        for coding in concept.coding
        if any(name in (coding.system or "") for name in _ICD10)
    ]
    if codes and prefixes:
        code = next((code for code in codes if code.startswith(prefixes) and (not last or code[-1:] in last)), None)
        return None if code is None or words_take_back(concept, code) else code
    if (listed := _listed_finding(concept, wanted)) is not None:
        return listed
    groups, excepted = wanted.get("groups", ()), wanted.get("except_codes", ())
    meant = read_concept(concept).meant if groups else ()
    return next((hit.code for hit in meant if hit.group in groups and hit.code not in excepted), None)


def _listed_finding(concept: CodeableConcept | None, wanted: Test) -> str | None:
    """Return the SNOMED CT code, or the text, by which a finding that no group has is named."""
    if concept is None:
        return None
    codes = (coding.code for coding in concept.coding if coding.code in wanted.get("snomed", ()))
    words = words_of(concept)
    return next(codes, None) or next((word for word in wanted.get("words", ()) if word in words), None)


# Procedures, visits and medications


def _procedure(wanted: Test, subject: Subject) -> Truth:
    record = subject.record
    hits = [
        is_within(procedure.finished, wanted, subject.day)
        for procedure in record.facts(Procedure)
        if procedure.status == "completed" and _names(procedure.code, wanted)
    ]
    if wanted.get("reports"):
        for report in record.facts(DiagnosticReport):
            if _names(report.code, wanted):
                time = parse_time(report.effectiveDateTime or report.issued)
                hits.append(is_within(time, wanted, subject.day))
    if wanted.get("encounters"):
        hits += [
            is_within(visit.begun, wanted, subject.day)
            for visit in record.facts(Encounter)
            if _took_place(visit) and any(_names(concept, wanted) for concept in visit.type)
        ]
    return subject.counted(hits, wanted.get("count", 1)) if hits else subject.lacks("Procedure")


def _names(concept: CodeableConcept | None, wanted: Test) -> bool:
    if concept is None:
        return False
    if any(coding.code in wanted.get("codes", ()) for coding in concept.coding):
        return True
    words = words_of(concept)
    return any(word in words for word in wanted.get("words", ()))


def _took_place(visit: Encounter) -> bool:
    return visit.status not in _LATE_STATUS


def _encounter(wanted: Test, subject: Subject) -> Truth:
    hits = [
        is_within(visit.begun, wanted, subject.day)
        for visit in subject.record.facts(Encounter)
        if _took_place(visit) and _is_meant(visit, wanted, subject)
    ]
    return subject.counted(hits, 1) if hits else subject.lacks("Encounter")


def _is_meant(visit: Encounter, wanted: Test, subject: Subject) -> bool:
    took_part = subject.participants.get(visit.id or "", frozenset())
    if wanted.get("by_requester") and subject.requester is not None and subject.requester in took_part:
        return True
    if visit.class_code in wanted.get("classes", ()):
        return True
    prefixes = tuple(code.replace(".", "") for code in wanted.get("reason_icd10", ()))
    for reason in visit.reasonCode:
        if prefixes and any(coding.code.replace(".", "").startswith(prefixes) for coding in reason.coding):
            return True
        if any(word in words_of(reason) for word in wanted.get("reason_words", ())):
            return True
    return False


def _medication(wanted: Test, subject: Subject) -> Truth:
    state = presence_of(subject.record, frozenset(wanted["classes"])).state
    return True if state == "present" else subject.lacks() if state == "absent" else None


_Count: TypeAlias = Annotated[int, Meta(ge=0, le=36_525)]
"""At most the days of a century: a window beyond it is a slip, and no day could be reckoned with it."""
_WINDOWS: Final[Mapping[str, Any]] = dict.fromkeys(
    ("within_months", "within_days", "within_full_months", "older_than_days", "older_than_months"), _Count
)
_named: Any = Literal  # of the keys of a table
_GROUPS, _CLASSES = some(_named[tuple(CONDITION_GROUPS)]), some(_named[tuple(CLASS_MEMBERS)])


def _word(word: str, meaning: str, kind: Any, test: Callable[[Any, Subject], Truth]) -> Condition:
    return with_value(word, kind, test, str, meaning)


VOCABULARY: Final = Vocabulary(
    (
        *OF_LOGIC,
        SEX,
        _word("age", "the completed years on the day of service", members((), **LIMITS, days_after=_Count), _age),
        _word(
            "condition",
            "conditions with such a code, or of such a group where they have none",
            members(
                (),
                **_WINDOWS,
                **dict.fromkeys(("icd10", "snomed", "words", "except_codes", "last"), TEXTS),
                groups=_GROUPS,
                status=Literal["active", "any"],
                sites=_Count,
            ),
            _condition,
        ),
        _word(
            "observation",
            "the newest result, or so many, with its circumstances",
            members(
                (),
                **LIMITS,
                **_WINDOWS,
                **dict.fromkeys(("loinc", "text", "words", "without_words"), TEXTS),
                units=dict[str, float],
                room_air=bool,
                count=_Count,
            ),
            observation_test,
        ),
        _word("bmi", "the body mass index", COMPARED, bmi_test),
        _word("pack_years", "the pack-years", COMPARED, pack_years_test),
        _word("smoked_within_years", "smokes, or stopped within so many years", _Count, smoking_test),
        _word(
            "procedure",
            "procedures that were done; reports and visits of that name too",
            members((), **_WINDOWS, codes=TEXTS, words=TEXTS, reports=bool, encounters=bool, count=_Count),
            _procedure,
        ),
        _word(
            "encounter",
            "a visit that took place",
            members(
                (), **_WINDOWS, **dict.fromkeys(("classes", "reason_icd10", "reason_words"), TEXTS), by_requester=bool
            ),
            _encounter,
        ),
        _word("medication", "medicines of a class", members(("classes",), classes=_CLASSES), _medication),
        _word("statement", "only a clinician can say it", Any, lambda _wanted, _subject: None),
        _word("order", "the order itself is the evidence", Any, lambda _wanted, _subject: True),
    )
)
"""Every word of criteria, with what stands beside it."""


def participants_of(encounters: Iterable[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """Return who took part in each of these visits, as `Type/id`, by the id of the visit."""
    return {
        str(visit.get("id")): frozenset(
            relative_reference(reference)
            for part in visit.get("participant") or ()
            if isinstance(part, dict)
            for reference in [(part.get("individual") or {}).get("reference")]
            if isinstance(reference, str)
        )
        for visit in encounters
    }
