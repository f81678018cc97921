"""Evaluates the criteria of a coverage policy over a chart, in three values, with the resources that show them.

True: the chart shows it. False: the chart was looked through and does not show it. None: it cannot be told, because
the data did not come or only a clinician can say it. A criterion is a JSON object of one test (docs/payers.md). Before
it `policy.py` reads the policies, after it `determination.py` makes an answer of the criteria.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta

from cards.coverage.results import bmi_test, observation_test, pack_years_test, smoking_test
from cards.coverage.seen import NO, UNKNOWN, Seen, Subject, Test, absent, counted, is_in, is_within, words_of
from cards.rules.conditions.condition import LIMITS, TEXTS, members
from cards.rules.language.rule import RuleError, Some, typed, within
from fhir.mapping.conditions import (
    condition_status,
    condition_time,
    doubt_of,
    find_condition,
    read_concept,
    words_take_back,
)
from fhir.mapping.medications.active import presence_of
from fhir.record.datatypes import CodeableConcept, FhirTime, parse_time
from fhir.record.record import relative_reference
from fhir.record.resources import Condition, DiagnosticReport, Encounter, Procedure
from fhir.terminology.conditions import CONDITION_GROUPS
from fhir.terminology.medications import CLASS_MEMBERS

_ICD10: Final = ("icd-10", "2.16.840.1.113883.6.90")
_LATE_STATUS: Final = frozenset({"cancelled", "planned", "entered-in-error"})


def evaluate(test: Test, subject: Subject) -> Seen:
    """Return whether the test holds.

    Raises:
        KeyError: The test is not one of those that are known (`check_test` says so at load).
    """
    ((name, wanted),) = test.items()
    return _TESTS[name](wanted, subject)


def check_test(test: Any) -> None:
    """Check a test as it stands in a file.

    Raises:
        RuleError: It is not of its form, or names a group of conditions or a class of medicines that is not there.
    """
    written: Mapping[str, Any] = typed(test, _OF_ONE_MEMBER)
    ((name, wanted),) = written.items()
    if name not in _TESTS:
        raise RuleError(f"there is no test {name!r}; there are {', '.join(sorted(_TESTS))}")
    typed(wanted, _FORMS[name], name)
    if name == "not":
        with within(name):
            check_test(wanted)
    elif name in ("any", "all"):
        for position, part in enumerate(wanted):
            with within(name, position):
                check_test(part)
    elif isinstance(wanted, dict):
        if unknown := sorted(set(wanted.get("groups", ())) - set(CONDITION_GROUPS)):
            raise RuleError(f"there is no group of conditions {unknown[0]!r}", (name, "groups"))
        if unknown := sorted(set(wanted.get("classes", ())) - set(CLASS_MEMBERS) if name == "medication" else ()):
            raise RuleError(f"there is no class of medicines {unknown[0]!r}", (name, "classes"))


# Logic


def _any(tests: Sequence[Test], subject: Subject) -> Seen:
    results = [evaluate(test, subject) for test in tests]
    for result in results:
        if result.holds:
            return result
    if any(result.holds is None for result in results):
        return UNKNOWN
    return Seen(False, tuple(source for result in results for source in result.sources))


def _all(tests: Sequence[Test], subject: Subject) -> Seen:
    results = [evaluate(test, subject) for test in tests]
    for result in results:
        if result.holds is False:
            return result
    if any(result.holds is None for result in results):
        return UNKNOWN
    return Seen(True, tuple(source for result in results for source in result.sources))


def _not(test: Test, subject: Subject) -> Seen:
    result = evaluate(test, subject)
    return UNKNOWN if result.holds is None else Seen(not result.holds, result.sources)


# The patient


def _age(wanted: Test, subject: Subject) -> Seen:
    born = subject.record.birth_date
    months = born.completed_months(subject.day - timedelta(days=wanted.get("days_after", 0))) if born else None
    if months is None:
        return UNKNOWN
    return Seen(is_in(months // 12, wanted), (f"Patient/{subject.record.patient_id}",))


def _sex(wanted: str, subject: Subject) -> Seen:
    sex = subject.record.sex
    return UNKNOWN if sex is None else Seen(sex == wanted, (f"Patient/{subject.record.patient_id}",))


# Conditions


def _condition(wanted: Test, subject: Subject) -> Seen:
    record, any_status = subject.record, wanted.get("status", "any") == "any"
    sites: dict[str, list[tuple[bool | None, str]]] = {}
    for condition in record.facts(Condition):
        code = _code_of(condition, wanted)
        if code is None or (not any_status and condition_status(condition, record.as_of_epoch) == "past"):
            continue
        holds = is_within(condition_time(condition, record), wanted, subject.day)
        if doubt_of(condition):
            holds = None if holds is not False else False
        sites.setdefault(code, []).append((holds, f"Condition/{condition.id}"))
    hit = find_condition(record, *wanted.get("groups", ()))
    if hit is not None and hit.source.startswith("Procedure/"):  # a transplant, a bypass or dialysis that was done
        sites[hit.code] = [(is_within(hit.time, wanted, subject.day), hit.source)]
    best = (max(hits, key=lambda hit: (hit[0] is True, hit[0] is None)) for hits in sites.values())
    seen = counted(best, wanted.get("sites", 1))
    return absent(record, "Condition") if seen.holds is False and not sites else seen


def _code_of(condition: Condition, wanted: Test) -> str | None:
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


def _procedure(wanted: Test, subject: Subject) -> Seen:
    record = subject.record
    hits: list[tuple[bool | None, str]] = [
        (is_within(_performed(procedure), wanted, subject.day), f"Procedure/{procedure.id}")
        for procedure in record.facts(Procedure)
        if procedure.status == "completed" and _names(procedure.code, wanted)
    ]
    if wanted.get("reports"):
        for report in record.facts(DiagnosticReport):
            if _names(report.code, wanted):
                text = report.effectiveDateTime or report.issued
                time = parse_time(text) if text else None
                hits.append((is_within(time, wanted, subject.day), f"DiagnosticReport/{report.id}"))
    if wanted.get("encounters"):
        hits += [
            (is_within(_began(visit), wanted, subject.day), f"Encounter/{visit.id}")
            for visit in record.facts(Encounter)
            if _took_place(visit) and any(_names(concept, wanted) for concept in visit.type)
        ]
    seen = counted(hits, wanted.get("count", 1))
    return absent(record, "Procedure") if not hits else seen


def _names(concept: CodeableConcept | None, wanted: Test) -> bool:
    if concept is None:
        return False
    if any(coding.code in wanted.get("codes", ()) for coding in concept.coding):
        return True
    words = words_of(concept)
    return any(word in words for word in wanted.get("words", ()))


def _performed(procedure: Procedure) -> FhirTime | None:
    period = procedure.performedPeriod
    text = procedure.performedDateTime or ((period.end or period.start) if period is not None else None)
    return parse_time(text) if text else None


def _began(visit: Encounter) -> FhirTime | None:
    return parse_time(visit.period.start) if visit.period is not None and visit.period.start else None


def _took_place(visit: Encounter) -> bool:
    return visit.status not in _LATE_STATUS


def _encounter(wanted: Test, subject: Subject) -> Seen:
    record = subject.record
    hits = [
        (is_within(_began(visit), wanted, subject.day), f"Encounter/{visit.id}")
        for visit in record.facts(Encounter)
        if _took_place(visit) and _is_meant(visit, wanted, subject)
    ]
    return counted(hits, 1) if hits else absent(record, "Encounter")


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


def _medication(wanted: Test, subject: Subject) -> Seen:
    presence = presence_of(subject.record, frozenset(wanted["classes"]))
    if presence.state == "present":
        return Seen(True, tuple(medication.source for medication in presence.medications))
    return NO if presence.state == "absent" else UNKNOWN


def _statement(_wanted: Any, _subject: Subject) -> Seen:
    """Only a clinician can say it: a QuestionnaireResponse may."""
    return UNKNOWN


def _order(_wanted: Any, _subject: Subject) -> Seen:
    """Return true: the order itself is the evidence."""
    return Seen(True)


_TESTS: Final[dict[str, Callable[[Any, Subject], Seen]]] = {
    "any": _any,
    "all": _all,
    "not": _not,
    "age": _age,
    "sex": _sex,
    "condition": _condition,
    "observation": observation_test,
    "bmi": bmi_test,
    "pack_years": pack_years_test,
    "smoked_within_years": smoking_test,
    "procedure": _procedure,
    "encounter": _encounter,
    "medication": _medication,
    "statement": _statement,
    "order": _order,
}
_OF_ONE_MEMBER: Any = Annotated[dict[str, Any], Meta(min_length=1, max_length=1)]
_Count: TypeAlias = Annotated[int, Meta(ge=0, le=36_525)]
"""At most the days of a century: a window beyond it is a slip, and no day could be reckoned with it."""
_WINDOWS: Final[Mapping[str, Any]] = dict.fromkeys(
    ("within_months", "within_days", "within_full_months", "older_than_days", "older_than_months"), _Count
)
_FORMS: Final[Mapping[str, Any]] = {
    "any": Some[dict[str, Any]],
    "all": Some[dict[str, Any]],
    "not": dict[str, Any],
    "age": members((), **LIMITS, days_after=_Count),
    "sex": str,
    "condition": members(
        (),
        **_WINDOWS,
        **dict.fromkeys(("icd10", "snomed", "words", "groups", "except_codes", "last"), TEXTS),
        status=Literal["active", "any"],
        sites=_Count,
    ),
    "observation": members(
        (),
        **LIMITS,
        **_WINDOWS,
        **dict.fromkeys(("loinc", "text", "words", "without_words"), TEXTS),
        units=dict[str, float],
        room_air=bool,
        count=_Count,
    ),
    "bmi": members((), **LIMITS),
    "pack_years": members((), **LIMITS),
    "smoked_within_years": _Count,
    "procedure": members((), **_WINDOWS, codes=TEXTS, words=TEXTS, reports=bool, encounters=bool, count=_Count),
    "encounter": members(
        (), **_WINDOWS, **dict.fromkeys(("classes", "reason_icd10", "reason_words"), TEXTS), by_requester=bool
    ),
    "medication": members(("classes",), classes=TEXTS),
    "statement": Any,
    "order": Any,
}
"""What stands beside each test, as the words of rules say it (cards/rules/conditions/condition.py)."""


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
