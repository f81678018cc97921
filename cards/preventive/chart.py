"""What a chart tells about a screening test: when it was done and with which result, whether ordered or declined.

Done: a completed Procedure, a final DiagnosticReport or a final Observation that names the test. Ordered: an open
ServiceRequest of the last 90 days. What was declined is read by fhir/mapping/declined.py.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence, Set
from datetime import date
from typing import Any, Final, TypeAlias, TypeVar

from cards.preventive.entries import (
    STOPPED,
    Done,
    has_value,
    interpretation_codes,
    read_procedure,
    read_report,
    read_result,
    says_not_done,
    words_of_result,
)
from cards.preventive.knowledge import tests_named
from fhir.mapping.conditions import condition_status, condition_time
from fhir.mapping.declined import Declined, declined_in_chart, is_open_order
from fhir.record.datatypes import CodeableConcept, parse_time
from fhir.record.measurement import USABLE_STATUS, CodedPart, effective_time, newest_parts
from fhir.record.record import PatientRecord
from fhir.record.resources import Condition, DiagnosticReport, Procedure, ServiceRequest

_BEGUN: Final = frozenset({"completed", STOPPED})
_FINAL_REPORT: Final = USABLE_STATUS | {"appended"}
_PRELIMINARY: Final = "preliminary"
_WITH_FIRST_WORDS: Final = _FINAL_REPORT | {_PRELIMINARY}
_BY_FIRST_WORD: Final = frozenset({"blood_culture"})
"""A blood culture is told by its first report: the final one takes days."""
_CULTURES: Final = _BY_FIRST_WORD | {"urine_culture"}
_CULTURE: Final = re.compile(r"[ck]ultur(?!al)|cultiv|kweek|coltur")
_CULTURE_DAYS: Final = 30
"""So old a culture that is not final is still told; the project's own choice."""
# FHIR R4, diagnostic-report-status and observation-status; an order is 0, what is final 2.
_STAGES: Final = {"registered": 1, "partial": 1, _PRELIMINARY: 1} | dict.fromkeys(("cancelled", "entered-in-error"), -1)
_CRITICAL_CODES: Final = frozenset({"HH", "LL", "AA"})
_CRITICAL_WORDS: Final = re.compile(r"(?:critical(?:ly)?|panic)\b|(?:high|low) (?:critical|panic)$", re.IGNORECASE)
_TALKS: Final = frozenset({"tobacco_counselling", "vascular_surgery", "cardiology_visit", "cancer_specialist"})


def years_after(day: date, years: int) -> date:
    """Return the same day so many years later; 29 February becomes 1 March."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)


def done(record: PatientRecord, name: str, *, incomplete: bool = False) -> list[Done]:
    """Every time that the chart says the test was done, newest first; what has no date stands last.

    `incomplete`: instead every time that it was begun and not done to its end.
    """
    entries = record.derive(_that_name_tests).get(name)
    if entries is None:
        return []
    tests = [read(name, entry) for read, entry in entries]
    # A procedure without words of its own beside the report of the same day: what the report says is true of both.
    broken_off = {test.day for test in tests if test.is_incomplete}
    past = [
        test
        for test in tests
        if (test.is_incomplete or (not test.result and test.day is not None and test.day in broken_off)) == incomplete
        and (test.time is None or not test.time.is_after(record.as_of_epoch))
    ]
    return sorted(past, key=lambda test: test.day.toordinal() if test.day is not None else 0, reverse=True)


def results_of(
    record: PatientRecord, names: Collection[str], others: Sequence[Done] = (), *, incomplete: bool = False
) -> list[Done]:
    """Every entry about one of these tests that has a date before now, newest first, each entry once.

    `others` are entries of another name that are among them for what they say. `incomplete`: those that were not done
    to their end.
    """
    if not others and record.derive(_that_name_tests).keys().isdisjoint(names):
        return []
    entries = [*(test for name in names for test in done(record, name, incomplete=incomplete)), *others]
    now = record.as_of_epoch
    past = {test.source: test for test in reversed(entries) if test.time is not None and not test.time.is_after(now)}
    return sorted(past.values(), key=lambda test: test.time.instant if test.time is not None else 0.0, reverse=True)


def tests_on_chart(record: PatientRecord) -> Set[str]:
    """Return the names of the tests that an entry of the chart names."""
    return record.derive(_that_name_tests).keys()


def other_entries(
    record: PatientRecord, is_meant: Callable[[str, str], bool] = lambda _words, _result: True
) -> list[Done]:
    """Return reports and results by any name that have words of their own, and active problems.

    `is_meant` is asked with the name and what came of it, before the rest of an entry is read.
    """
    reports = [read_report("", report) for report in record.facts(DiagnosticReport) if report.status in _FINAL_REPORT]
    parts = [
        read_result("", part)
        for part in record.screening_parts()
        if part[0].status in USABLE_STATUS and is_meant(*words_of_result(part)) and has_value(part)
    ]
    problems = [
        Done("", condition_time(condition, record), condition.source, condition.code.words)
        for condition in record.facts(Condition)
        if condition.code is not None and is_meant(condition.code.words, "")
        if condition_status(condition, record.as_of_epoch) != "past"
    ]
    reports = [report for report in reports if is_meant(report.words, report.result)]
    return [*(entry for entry in (*reports, *parts) if entry.result), *problems]


def marked_critical(record: PatientRecord) -> list[Done]:
    """Return the results that the laboratory marks as critical, if no value of that name has a newer date."""
    parts = [(key, part) for key, of_key in record.parts_by_analyte.items() for part in of_key]
    usable = [(key, part) for key, part in parts if part[0].status in USABLE_STATUS]
    marked: dict[tuple[str, str], list[CodedPart]] = {
        _test_of(key, part): [] for key, part in usable if part[1].interpretation and _is_critical(part)
    }
    for key, part in usable if marked else ():
        replaces = has_value(part) and effective_time(part[0]) is not None
        if (test := _test_of(key, part)) in marked and (replaces or _is_critical(part)):
            marked[test].append(part)
    last = ((key, list(filter(_is_critical, newest_parts(results)[1]))) for (key, _), results in marked.items())
    return [read_result(key, critical[0]) for key, critical in last if critical]


def _test_of(key: str, part: CodedPart) -> tuple[str, str]:
    """Return the analyte of a result, or its own name where it is of none."""
    return key, "" if key not in ("", "screening") else part[1].code.words


def _is_critical(part: CodedPart) -> bool:
    words = (concept.words for concept in part[1].interpretation)
    return bool(interpretation_codes(part) & _CRITICAL_CODES) or any(map(_CRITICAL_WORDS.match, words))


def cultures_under_way(record: PatientRecord) -> list[Done]:
    """Return the cultures of the last days that are ordered or begun and not final, without what a later entry ends."""
    orders = (item for item in record.facts(ServiceRequest) if item.status != "draft" and is_open_order(item, record))
    ordered = ((item, item.code, parse_time(item.authoredOn)) for item in orders if item.code is not None)
    reports, parts = record.facts(DiagnosticReport), record.screening_parts()
    cultures = [
        *((0, Done(_culture(code), time, item.source, code.words)) for item, code, time in ordered),
        *((_STAGES.get(item.status or "", 2), read_report(_culture(item.code), item)) for item in reports),
        *((_STAGES.get(part[0].status, 2), read_result(_culture(part[1].code), part)) for part in parts),
    ]
    dated = [(stage, entry, entry.day) for stage, entry in cultures if entry.test and entry.day is not None]
    return [
        entry
        for stage, entry, day in dated
        if stage in (0, 1)
        and (record.as_of.date() - day).days <= _CULTURE_DAYS
        and not any(later > stage and other.test == entry.test and since >= day for later, other, since in dated)
    ]


def _culture(concept: CodeableConcept | None) -> str:
    """Return which culture a concept means, its own words for one that has no name; "" for none."""
    if concept is None:
        return ""
    words = concept.words.lower()
    return min(tests_named(concept) & _CULTURES, default=words if _CULTURE.search(words) else "")


def is_ordered(record: PatientRecord, name: str) -> str | None:
    """Return the open order of the last 90 days that names the test, as Type/id; None where there is none."""
    for request, names in record.derive(_open_requests):
        if name in names:
            return request.source
    return None


def declined(record: PatientRecord, name: str) -> tuple[str, str] | None:
    """Where it says that the patient declined the test within a year, with the day; None where nothing does."""
    for entry, names in record.derive(_refused):
        if name in names:
            return entry.source, entry.time.date if entry.time is not None else ""
    return None


_Entry = TypeVar("_Entry")
_Read: TypeAlias = Callable[[str, Any], Done]


def _that_name_one(entries: Iterable[tuple[_Entry, CodeableConcept | None]]) -> list[tuple[_Entry, frozenset[str]]]:
    """Those whose concept means tests, with the names of these."""
    return [(entry, names) for entry, concept in entries if concept is not None and (names := tests_named(concept))]


def _that_did_one(entries: Iterable[tuple[_Entry, CodeableConcept | None]]) -> list[tuple[_Entry, frozenset[str]]]:
    """Return the same without those whose words say that the test was not done ("no colonoscopy", "incomplete ...")."""
    concepts = [(entry, concept) for entry, concept in entries if concept is not None]
    with_names = ((entry, concept, tests_named(concept)) for entry, concept in concepts)
    return [
        (entry, names & _TALKS if names and says_not_done(concept) else names) for entry, concept, names in with_names
    ]


def _open_requests(record: PatientRecord) -> list[tuple[ServiceRequest, frozenset[str]]]:
    return _that_name_one(
        (service_request, service_request.code)
        for service_request in record.facts(ServiceRequest)
        if is_open_order(service_request, record)
    )


def _refused(record: PatientRecord) -> list[tuple[Declined, frozenset[str]]]:
    return _that_name_one((entry, entry.concept) for entry in declined_in_chart(record))


def _that_name_tests(record: PatientRecord) -> dict[str, list[tuple[_Read, Any]]]:
    """Procedures, then reports, then results by the tests that they name, each with what reads it; most name none."""
    reports = record.facts(DiagnosticReport)
    parts = [part for part in record.screening_parts() if part[0].status in _WITH_FIRST_WORDS and has_value(part)]
    kinds: tuple[tuple[_Read, list[tuple[Any, frozenset[str]]]], ...] = (
        (read_procedure, _that_did_one((item, item.code) for item in record.facts(Procedure) if item.status in _BEGUN)),
        (read_report, _that_did_one((item, item.code) for item in reports if item.status in _WITH_FIRST_WORDS)),
        (read_result, _that_did_one((part, part[1].code) for part in parts)),
    )
    by_test: dict[str, list[tuple[_Read, Any]]] = {}
    for read, entries in kinds:
        for entry, names in entries:
            status = (entry[0] if isinstance(entry, tuple) else entry).status
            for name in names if status != _PRELIMINARY else names & _BY_FIRST_WORD:
                by_test.setdefault(name, []).append((read, entry))
    return by_test
