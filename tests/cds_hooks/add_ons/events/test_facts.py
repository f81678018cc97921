"""Facts of patients, one rule at a time: which version counts, what a visit becomes, which numbers are one person."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.add_ons.events.facts import (
    Applied,
    Fact,
    How,
    Merge,
    apply_fact,
    chart_of,
    follow_link,
    link_patients,
    numbers_of,
    resource_id,
)
from cds_hooks.add_ons.events.inbox import Inbox

Json = dict[str, Any]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    inbox = Inbox(tmp_path / "events.sqlite3")
    with inbox.transaction() as opened:
        yield opened
    inbox.close()


def _lab(value: float, status: str = "final", **members: Any) -> Json:
    code = {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]}
    return {"resourceType": "Observation", "id": "o1", "status": status, "code": code, "value": value} | members


def _visit(status: str, **period: str) -> Json:
    return {"resourceType": "Encounter", "id": "e1", "status": status} | ({"period": period} if period else {})


def _apply(
    connection: sqlite3.Connection, resource: Json, at: float, rank: int = 0, how: How = "put", patient: str = "p"
) -> Applied:
    return apply_fact(connection, Fact(patient, resource, at, rank, how), inbox=7, now=1000.0)


_VISITS: list[tuple[Json, float, int, Json, float, int, Json]] = [
    (_visit("finished", start="1", end="9"), 9, 3, _visit("in-progress", start="1"), 10, 0,
     _visit("finished", start="1", end="9")),
    (_visit("finished", start="1", end="9"), 9, 3, _visit("in-progress", start="1"), 10, 3,
     _visit("in-progress", start="1")),
    (_visit("finished", start="1", end="9"), 9, 3, _visit("in-progress", start="2"), 10, 2,
     _visit("finished", start="2", end="9")),
    (_visit("finished", end="9"), 9, 3, _visit("in-progress", start="1"), 1, 1, _visit("finished", end="9", start="1")),
    (_visit("in-progress", start="2"), 9, 3, _visit("finished", start="1", end="8"), 8, 3,
     _visit("finished", start="1", end="8")),
    (_visit("in-progress", start="2"), 9, 3, _visit("in-progress", start="1"), 8, 0, _visit("in-progress", start="2")),
    (_visit("planned"), 9, 0, _visit("in-progress"), 10, 0, _visit("planned")),
    (_visit("cancelled", start="1"), 9, 3, _visit("finished", start="1", end="9"), 10, 3,
     _visit("cancelled", start="1")),
    (_visit("cancelled", start="1"), 9, 3, _visit("in-progress", start="2"), 10, 3, _visit("in-progress", start="2")),
    (_visit("planned"), 9, 1, _visit("in-progress"), 10, 1, _visit("in-progress")),
    (_visit("planned", end="9"), 9, 1, _visit("in-progress"), 10, 1, {**_visit("in-progress"), "period": {}}),
]  # fmt: skip


@pytest.mark.parametrize(("earlier", "at", "rank", "sent", "sent_at", "sent_rank", "expected"), _VISITS)
def test_a_visit_after_an_event_of_it(
    connection: sqlite3.Connection,
    earlier: Json,
    at: float,
    rank: int,
    sent: Json,
    sent_at: float,
    sent_rank: int,
    expected: Json,
) -> None:
    _apply(connection, earlier, at, rank, "visit")
    applied = _apply(connection, sent, sent_at, sent_rank, "visit")
    assert [resource for _, _, resource in chart_of(connection, "p")] == [expected]
    assert applied.changed is (expected != earlier)
    assert applied.is_stale is (sent_at < at)
    if applied.changed:
        assert (applied.fact.at, applied.fact.rank) == (max(at, sent_at), max(rank, sent_rank))


def test_patients_go_on_under_the_last_number_and_a_circle_is_undone(connection: sqlite3.Connection) -> None:
    assert (follow_link(connection, "a"), numbers_of(connection, "a")) == ("a", ["a"])
    link_patients(connection, Merge("b", "a"), 1, 10.0)
    link_patients(connection, Merge("c", "b"), 2, 20.0)
    link_patients(connection, Merge("c", "d"), 3, 30.0)
    assert [follow_link(connection, number) for number in "abcd"] == ["c"] * 4
    assert (numbers_of(connection, "c"), numbers_of(connection, "b")) == (["c", "b", "d", "a"], ["b"])
    link_patients(connection, Merge("b", "c"), 4, 40.0)  # the other way round: b into c is undone
    rows = connection.execute("SELECT merged, survivor, inbox, at, undone_at FROM links ORDER BY sequence").fetchall()
    assert rows == [("a", "b", 1, 10.0, None), ("b", "c", 2, 20.0, 40.0), ("d", "c", 3, 30.0, None),
                    ("c", "b", 4, 40.0, None)]  # fmt: skip
    assert [follow_link(connection, number) for number in "abcd"] == ["b"] * 4
    assert sorted(numbers_of(connection, "b")) == ["a", "b", "c", "d"]


def _keyed(patient: str, when: str, value: float, *series: str) -> Fact:
    key = ("SOUTH", "result", patient, "F1", *series)
    return Fact(patient, _lab(value, id=resource_id(*key), effectiveDateTime=when), 1.0, key=key)


def test_of_a_series_with_one_code_the_result_of_the_same_time_is_replaced(connection: sqlite3.Connection) -> None:
    for number, when in enumerate(("09:00", "10:00", "11:00")):
        apply_fact(connection, _keyed("p", when, 4.0 + number, str(number)), 1, 1.0)
    alone = apply_fact(connection, _keyed("p", "11:00", 9.9, "0"), 2, 2.0)
    assert (alone.changed, alone.fact.id) == (True, resource_id("SOUTH", "result", "p", "F1", "2"))
    values = [(resource["effectiveDateTime"], resource["value"]) for _, _, resource in chart_of(connection, "p")]
    assert sorted(values) == [("09:00", 4.0), ("10:00", 5.0), ("11:00", 9.9)]
    second = apply_fact(connection, _keyed("p", "10:00", 8.8, "0"), 2, 2.0)
    assert second.fact.id == resource_id("SOUTH", "result", "p", "F1", "1")
    corrected = apply_fact(connection, _keyed("p", "12:00", 1.1, "0"), 3, 3.0)  # no result of that time is there
    assert corrected.fact.id == resource_id("SOUTH", "result", "p", "F1", "0")
    same = apply_fact(connection, _keyed("p", "12:00", 2.2, "0"), 4, 4.0)
    assert same.fact.id == corrected.fact.id


def test_the_members_of_a_late_event_of_a_visit_do_not_replace_newer_ones(connection: sqlite3.Connection) -> None:
    _apply(connection, _visit("in-progress", start="1") | {"class": "new"}, 9, 1, "visit")
    _apply(connection, _visit("finished", end="5") | {"class": "old"}, 5, 2, "visit")
    expected = _visit("finished", start="1", end="5") | {"class": "new"}
    assert [resource for _, _, resource in chart_of(connection, "p")] == [expected]
