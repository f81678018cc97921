"""Whether the patient is in hospital: a stay that has just ended, a visit that nobody closed, a stay within another."""

from typing import Any

import msgspec

from fhir.mapping.stays import current_stay, is_in_hospital, is_left_open, stays_in_hospital
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


@for_rows(("code", "is_in"), [("IMP", True), ("EMER", True), ("OBSENC", True), ("AMB", False), ("HH", False)])
def test_a_stay_an_emergency_and_an_observation_are_in_hospital(code: str, is_in: bool) -> None:
    assert is_in_hospital(record_of(_stay(code, start="2026-11-19"))) is is_in


@for_rows(("start", "end", "is_one"))
def test_a_stay_within_a_longer_one_is_a_part_of_it(start: str, end: str, is_one: bool) -> None:
    whole = _stay(status="finished", start="2026-11-01T00:00:00Z", end="2026-11-10T00:00:00Z")
    other = _stay(status="finished", start=start, end=end) | {"id": "e2"}
    stays = stays_in_hospital(record_of(whole, other))
    assert sorted(stay.source for stay in stays) == ["Encounter/e1", *([] if is_one else ["Encounter/e2"])]


def visit(code: str, start: str, end: str | None) -> dict[str, Any]:
    period = {"start": start} | ({"end": end} if end else {})
    return builders.encounter(code, "finished" if end else "in-progress", id=code, period=period)
