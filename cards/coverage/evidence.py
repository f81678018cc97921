"""Evaluates the criteria of a coverage policy over a chart, in three values, with the resources that show them.

True: the chart shows it. False: the chart was looked through and does not show it. None: it cannot be told, because
the data did not come or only a clinician can say it. A criterion is a JSON object of one test (docs/payers.md).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from math import isfinite
from typing import Any, Final

from cards.coverage.results import bmi_test, observation_test, pack_years_test, smoking_test
from cards.coverage.seen import NO, UNKNOWN, Seen, Subject, Test, absent, counted, is_in, is_within, words_of
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
from fhir.record.resources import Condition, Encounter, Procedure
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


def check_test(test: Any) -> str | None:
    """Return what is wrong with a test as it stands in a file; None where nothing is."""
    if not isinstance(test, dict) or len(test) != 1:
        return "a test is an object with one member"
    ((name, wanted),) = test.items()
    if name not in _TESTS:
        return f"there is no test {name!r}; there are {', '.join(sorted(_TESTS))}"
    if name in ("any", "all"):
        if not isinstance(wanted, list) or not wanted:
            return f"{name} has a list of tests"
        return next((fault for part in wanted if (fault := check_test(part))), None)
    if name == "not":
        return check_test(wanted)
    members = _MEMBERS.get(name)
    if members is not None:
        if not isinstance(wanted, dict):
            return f"{name} has an object"
        if unknown := sorted(set(wanted) - members):
            return f"{name} has no member {unknown[0]!r}; it has {', '.join(sorted(members))}"
        if fault := next((fault for item in wanted.items() if (fault := _member_fault(*item))), None):
            return f"{name}: {fault}"
        if unknown := sorted(set(wanted.get("groups", ())) - set(CONDITION_GROUPS)):
            return f"there is no group of conditions {unknown[0]!r}"
        if unknown := sorted(set(wanted.get("classes", ())) - set(CLASS_MEMBERS) if name == "medication" else ()):
            return f"there is no class of medicines {unknown[0]!r}"
    if name == "medication" and "classes" not in wanted:
        return "medication has classes"
    if name == "sex" and not isinstance(wanted, str):
        return "sex is a text"
    return _member_fault("within_years", wanted) if name == "smoked_within_years" else None


def _member_fault(name: str, value: Any) -> str | None:
    """Return what is wrong with the type of a member of a test; None where nothing is."""
    if name in _LIMITS:
        return None if _is_number(value) else f"{name} is a number"
    if name in _COUNTS:
        is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_DAYS
        return None if is_count else f"{name} is a whole number from 0 to {_MOST_DAYS}"
    if name in _FLAGS:
        return None if isinstance(value, bool) else f"{name} is true or false"
    if name == "units":
        are_factors = isinstance(value, dict) and all(_is_number(factor) for factor in value.values())
        return None if are_factors else "units is an object of units with their factors"
    if name == "status":
        return None if value in ("active", "any") else "status is active or any"
    are_texts = isinstance(value, list) and bool(value) and all(isinstance(text, str) and text for text in value)
    return None if are_texts else f"{name} is a list of texts"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


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
    for condition in record.conditions:
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
    codings = condition.code.coding if condition.code is not None else ()
    codes = [
        (coding.code or "").replace(".", "").upper()
        for coding in codings
        if any(name in (coding.system or "") for name in _ICD10)
    ]
    if codes and prefixes:
        code = next((code for code in codes if code.startswith(prefixes) and (not last or code[-1:] in last)), None)
        return None if code is None or condition.code is None or words_take_back(condition.code, code) else code
    if (listed := _listed_finding(condition.code, wanted)) is not None:
        return listed
    groups, excepted = wanted.get("groups", ()), wanted.get("except_codes", ())
    meant = read_concept(condition.code).meant if groups else ()
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
        for procedure in record.procedures
        if procedure.status == "completed" and _names(procedure.code, wanted)
    ]
    if wanted.get("reports"):
        for report in record.diagnostic_reports:
            if _names(report.code, wanted):
                text = report.effectiveDateTime or report.issued
                time = parse_time(text) if text else None
                hits.append((is_within(time, wanted, subject.day), f"DiagnosticReport/{report.id}"))
    if wanted.get("encounters"):
        hits += [
            (is_within(_began(visit), wanted, subject.day), f"Encounter/{visit.id}")
            for visit in record.encounters
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
        for visit in record.encounters
        if _took_place(visit) and _is_meant(visit, wanted, subject)
    ]
    return counted(hits, 1) if hits else absent(record, "Encounter")


def _is_meant(visit: Encounter, wanted: Test, subject: Subject) -> bool:
    took_part = subject.participants.get(visit.id or "", frozenset())
    if wanted.get("by_requester") and subject.requester is not None and subject.requester in took_part:
        return True
    if visit.class_ is not None and visit.class_.code in wanted.get("classes", ()):
        return True
    prefixes = tuple(code.replace(".", "") for code in wanted.get("reason_icd10", ()))
    for reason in visit.reasonCode:
        if prefixes and any((coding.code or "").replace(".", "").startswith(prefixes) for coding in reason.coding):
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
_LIMITS: Final = frozenset({"ge", "le", "gt", "lt"})
_WINDOWS: Final = frozenset(
    {"within_months", "within_days", "within_full_months", "older_than_days", "older_than_months"}
)
_COUNTS: Final = _WINDOWS | {"days_after", "sites", "count", "within_years"}
_FLAGS: Final = frozenset({"room_air", "reports", "encounters", "by_requester"})
_MOST_DAYS: Final = 36_525
"""A century: a window beyond it is a slip, and no day could be reckoned with it."""
_MEMBERS: Final[Mapping[str, frozenset[str]]] = {
    "age": _LIMITS | {"days_after"},
    "condition": _WINDOWS | {"icd10", "snomed", "words", "groups", "except_codes", "status", "sites", "last"},
    "observation": _LIMITS | _WINDOWS | {"loinc", "text", "units", "room_air", "words", "without_words", "count"},
    "bmi": _LIMITS,
    "pack_years": _LIMITS,
    "procedure": _WINDOWS | {"codes", "words", "reports", "encounters", "count"},
    "encounter": _WINDOWS | {"classes", "by_requester", "reason_icd10", "reason_words"},
    "medication": frozenset({"classes"}),
}


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
