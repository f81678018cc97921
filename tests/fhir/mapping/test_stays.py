"""Whether the patient is in hospital, and what is left out of an estimate for people at home because of it."""

from typing import Any

import msgspec
import pytest

from fhir.mapping.stays import (
    admitted_as_emergency,
    current_stay,
    is_left_open,
    length_of_stay,
    stays_before,
    stays_in_hospital,
)
from fhir.record.resources import Encounter
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import AS_OF, encounter, record_of


def _stay(code: str = "IMP", status: str = "in-progress", **period: str) -> dict[str, Any]:
    return encounter(code, status, id="e1", period=period)


@for_rows(
    ("end", "is_current"),
    [("2026-11-19T09:00:00Z", True), ("2026-11-19T08:59:59Z", False), ("2026-11-19", True), ("2026-11-18", False)],
)
def test_a_stay_that_ended_within_the_last_day_is_the_current_one(end: str, is_current: bool) -> None:
    record = record_of(_stay(status="finished", start="2026-11-10", end=end))
    assert (current_stay(record) is not None) is is_current


@for_rows(
    ("visit", "left_open"),
    [
        # 20 November 2025 is 365 days before 20 November 2026, and the 13th of the month seven days.
        (_stay(start="2025-11-20"), False), (_stay(start="2025-11-19"), True),
        (_stay("AMB", start="2026-11-13"), False), (_stay("AMB", start="2026-11-12"), True),
        (_stay("AMB", start="2026-11-12", end="2026-11-12"), False), (_stay("AMB"), False),
        ({name: part for name, part in _stay(start="2026-11-12").items() if name != "class"}, True),
        (_stay() | {"period": None}, False),
    ],
)  # fmt: skip
def test_a_visit_that_nobody_closed_is_over_after_a_week_and_a_stay_after_a_year(
    visit: dict[str, Any], left_open: bool
) -> None:
    assert is_left_open(msgspec.convert(visit, Encounter), AS_OF.timestamp()) is left_open


@for_rows(
    ("start", "end", "is_one"),
    [
        ("2026-11-03", "2026-11-05", True),
        ("2026-11-09T00:00:00Z", "2026-11-11T00:00:00Z", True),  # closed a day after the whole
        ("2026-11-09T00:00:00Z", "2026-11-11T00:00:01Z", False),
        ("2026-11-10T00:00:00Z", "2026-11-10T12:00:00Z", False),  # begun when the whole ended
        ("2026-10-31T00:00:00Z", "2026-11-02T00:00:00Z", False),
    ],
)
def test_a_stay_within_a_longer_one_is_a_part_of_it(start: str, end: str, is_one: bool) -> None:
    whole = _stay(status="finished", start="2026-11-01T00:00:00Z", end="2026-11-10T00:00:00Z")
    other = _stay(status="finished", start=start, end=end) | {"id": "e2"}
    stays = stays_in_hospital(record_of(whole, other))
    assert sorted(stay.source for stay in stays) == ["Encounter/e1", *([] if is_one else ["Encounter/e2"])]


@for_rows(
    ("start", "end", "fact"),
    [
        ("2026-11-18", "2026-11-19", (1.0, "day", "Encounter/e1")),
        ("2026-11-18", "2026-11-18", (0.0, "days", "Encounter/e1")),
        ("2026-11-18T23:00:00Z", "2026-11-20T01:00:00Z", (2.0, "days", "Encounter/e1")),
        # By the calendar of the place: 23:30 there and half past midnight of the next day.
        ("2026-11-18T23:30:00-05:00", "2026-11-19T00:30:00-05:00", (1.0, "day", "Encounter/e1")),
        ("2026-11-19T19:00:00-05:00", "2026-11-19T23:00:00-05:00", (0.0, "days", "Encounter/e1")),
    ],
)
def test_the_length_of_a_stay_is_counted_in_nights(start: str, end: str, fact: tuple[float, str, str]) -> None:
    record = record_of(_stay(status="finished", start=start, end=end), as_of=AS_OF)
    (stay,) = stays_in_hospital(record)
    assert length_of_stay(record, stay) == fact


@for_rows(
    ("more", "fact"),
    [
        ({}, (0.0, "not charted as an emergency")),
        ({"priority": {"coding": [{"code": "EM"}]}}, (1.0, "urgent")),
        ({"priority": {"text": "Urgent"}}, (1.0, "urgent")),
        ({"priority": {"text": "Non-urgent"}}, (0.0, "not charted as an emergency")),
        ({"priority": {"coding": [{"code": "R"}]}}, (0.0, "not charted as an emergency")),
        ({"hospitalization": {"admitSource": {"coding": [{"code": "emd"}]}}}, (1.0, "from the emergency department")),
        ({"hospitalization": {"admitSource": {"coding": [{"code": "EMERGENCY ROOM"}]}}},
         (1.0, "from the emergency department")),
        ({"hospitalization": {"admitSource": {"text": "Home"}}}, (0.0, "not charted as an emergency")),
        ({"hospitalization": {}, "priority": {"text": "Elective"}}, (0.0, "not charted as an emergency")),
    ],
)  # fmt: skip
def test_a_stay_began_as_an_emergency_or_not(more: dict[str, Any], fact: tuple[float, str]) -> None:
    record = record_of(_stay(start="2026-11-18") | more)
    (stay,) = stays_in_hospital(record)
    assert admitted_as_emergency(record, stay) == (*fact, "Encounter/e1")


@pytest.mark.parametrize(
    ("start", "end", "counts"),
    [
        # A year is 365.25 days: from 3 o'clock on 20 November 2025 to 9 o'clock on 20 November 2026.
        ("2025-11-20T03:00:00Z", "2025-11-22T00:00:00Z", True),
        ("2025-11-20T02:59:59Z", "2025-11-22T00:00:00Z", False),
        ("2026-06-01T00:00:00Z", "2026-06-05T00:00:00Z", True),
    ],
)
def test_stays_of_the_year_before_are_counted_with_the_newest_as_their_source(
    start: str, end: str, counts: bool
) -> None:
    record = record_of(_stay(status="finished", start=start, end=end))
    expected = (1.0, "stay", "Encounter/e1") if counts else (0.0, "stays", "Patient/p1")
    assert stays_before(record, None) == expected


def visit(code: str, start: str, end: str | None) -> dict[str, Any]:
    period = {"start": start} | ({"end": end} if end else {})
    return builders.encounter(code, "finished" if end else "in-progress", id=code, period=period)


EMERGENCY = visit("EMER", "2026-09-10T08:00:00Z", "2026-09-10T12:00:00Z")
