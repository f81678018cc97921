"""Which version of a fact counts, what becomes of a visit, and which numbers are one person: worked out by hand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.events.effects import Effects, Fact, Merge, codes_of, resource_id
from cds_hooks.events.facts import (
    Applied,
    _person_of,
    _visit_of,
    apply_fact,
    chart_of,
    follow_link,
    link_patients,
    numbers_of,
    versions_of,
)
from cds_hooks.events.inbox import Inbox

Json = dict[str, Any]


class Store:
    """The facts of an inbox, within one transaction."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def put(self, fact: Fact, inbox: int = 1, now: float = 100.0) -> Applied:
        return apply_fact(self.connection, fact, inbox, now)

    def rows(self) -> list[tuple[Any, ...]]:
        query = "SELECT patient, type, id, codes, at, rank, current, status, inbox FROM facts ORDER BY sequence"
        return list(map(tuple, self.connection.execute(query).fetchall()))

    def current(self) -> list[Json]:
        return [resource for patient in ("p1", "p2", "p3") for _, _, resource in chart_of(self.connection, patient)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty inbox."""
    inbox = Inbox(tmp_path / "events.sqlite3")
    with inbox.transaction() as connection:
        yield Store(connection)
    inbox.close()


def _lab(value: float, **more: Any) -> Json:
    code = {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]}
    resource = {"resourceType": "Observation", "id": "o1", "status": "final", "code": code, "value": value}
    return resource | more


def test_the_first_version_is_stored_without_what_is_removed(store: Store) -> None:
    fact = Fact("p1", _lab(5.0, note=None), 10.0, 2)
    assert store.put(fact, inbox=7) == Applied(fact, changed=True)
    assert store.rows() == [("p1", "Observation", "o1", " http://loinc.org|2823-3 ", 10.0, 2, 1, "final", 7)]
    assert versions_of(store.connection, "Observation", "o1") == [_lab(5.0)]


def test_a_patient_who_was_not_there_is_a_new_person(store: Store) -> None:
    patient = Fact("p1", {"resourceType": "Patient", "id": "p1"}, 10.0)
    assert store.put(patient) == Applied(patient, changed=True, is_new_person=True)
    assert store.put(patient) == Applied(patient, changed=False)


@pytest.mark.parametrize(
    ("at", "rank", "is_stale"),
    [(10.0, 2, False), (10.0, 3, False), (10.0, 1, True), (9.9, 3, True), (10.1, 1, False)],
)
def test_the_version_with_the_later_time_or_the_higher_rank_counts(
    store: Store, at: float, rank: int, is_stale: bool
) -> None:
    store.put(Fact("p1", _lab(5.0), 10.0, 2), inbox=1)
    fact = Fact("p1", _lab(6.0), at, rank)
    applied = store.put(fact, inbox=2)
    assert store.current() == [_lab(5.0 if is_stale else 6.0)]
    flags = [(row[4], row[5], row[6], row[8]) for row in store.rows()]
    if is_stale:
        assert applied == Applied(fact, changed=False, is_stale=True)
        assert flags == [(10.0, 2, 1, 1), (at, rank, 0, 2)]
    else:
        assert applied == Applied(fact, changed=True)
        assert flags == [(10.0, 2, 0, 1), (at, rank, 1, 2)]


def test_the_same_again_changes_nothing(store: Store) -> None:
    store.put(Fact("p1", _lab(5.0), 10.0))
    assert store.put(Fact("p1", _lab(5.0), 12.0)).changed is False
    assert len(store.rows()) == 1


def test_what_is_only_for_nobody_known_leaves_what_is_there(store: Store) -> None:
    store.put(Fact("p1", _lab(5.0), 10.0))
    fact = Fact("p1", _lab(6.0), 12.0, how="known-or-new")
    assert store.put(fact) == Applied(fact, changed=False)
    assert store.current() == [_lab(5.0)]


def test_what_is_taken_back_is_noted_once(store: Store) -> None:
    wrong = _lab(5.0, status="entered-in-error")
    store.put(Fact("p1", _lab(5.0), 10.0))
    store.put(Fact("p1", wrong, 11.0), now=77.0)
    store.put(Fact("p1", wrong | {"note": "x"}, 12.0), now=88.0)
    withdrawn = store.connection.execute("SELECT patient, fact, since FROM withdrawn").fetchall()
    assert list(map(tuple, withdrawn)) == [("p1", "Observation/o1", 77.0)]


def test_demographics_add_to_what_is_known_and_late_ones_change_nothing(store: Store) -> None:
    patient = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1950-01-01"}
    store.put(Fact("p1", patient, 10.0, how="demographics"))
    update = {"resourceType": "Patient", "id": "p1", "gender": None, "phone": "1"}
    store.put(Fact("p1", update, 11.0, how="demographics"))
    known = {"resourceType": "Patient", "id": "p1", "birthDate": "1950-01-01", "phone": "1"}
    assert store.current() == [known]
    late = store.put(Fact("p1", {"resourceType": "Patient", "id": "p1", "phone": "2"}, 5.0, how="demographics"))
    assert (late.changed, late.is_stale) == (False, True)
    assert store.current() == [known]


def test_a_person_is_what_is_known_and_what_is_sent() -> None:
    earlier = {"a": 1, "b": 2, "c": None}
    sent = {"b": None, "d": 4}
    assert _person_of(earlier, sent, is_stale=False) == {"a": 1, "d": 4}
    assert _person_of(earlier, sent, is_stale=True) == earlier


# Visits

BEGUN = {"status": "in-progress", "ward": "A", "period": {"start": "2026-11-01"}}


@pytest.mark.parametrize(
    ("earlier", "sent", "is_stale", "says_status", "visit"),
    [
        # an update after the admission: its members, not its status
        (BEGUN, {"status": "planned", "ward": "B"}, False, False, BEGUN | {"ward": "B"}),
        # a discharge
        (BEGUN, {"status": "finished", "period": {"end": "2026-11-05"}}, False, True,
         {"status": "finished", "ward": "A", "period": {"start": "2026-11-01", "end": "2026-11-05"}}),
        # a late update changes nothing
        (BEGUN, {"status": "planned", "ward": "B", "period": {"start": "2026-10-30"}}, True, False, BEGUN),
        # a late event that says the status: the status and its period, not the ward
        (BEGUN, {"status": "finished", "ward": "B", "period": {"start": "2026-10-30", "end": "2026-11-05"}}, True, True,
         {"status": "finished", "ward": "A", "period": {"start": "2026-10-30", "end": "2026-11-05"}}),
        # a late admission adds its beginning to a visit that has none
        ({"status": "finished", "period": {"end": "2026-11-05"}},
         {"status": "in-progress", "period": {"start": "2026-11-01"}}, True, False,
         {"status": "finished", "period": {"end": "2026-11-05", "start": "2026-11-01"}}),
        # admitted again: the end goes
        ({"status": "finished", "period": {"start": "2026-11-01", "end": "2026-11-05"}},
         {"status": "in-progress", "period": {}}, False, True,
         {"status": "in-progress", "period": {"start": "2026-11-01"}}),
        # a cancelled visit is not finished by a discharge, and is admitted again
        ({"status": "cancelled"}, {"status": "finished", "period": {"end": "2026-11-05"}}, False, True,
         {"status": "cancelled"}),
        ({"status": "cancelled"}, {"status": "in-progress"}, False, True, {"status": "in-progress"}),
        ({"status": "in-progress"}, {"status": "finished"}, False, True, {"status": "finished"}),
        # nothing is left of a period that had an end alone
        ({"status": "finished", "period": {"end": "2026-11-05"}}, {"status": "in-progress"}, False, True,
         {"status": "in-progress", "period": {}}),
    ],
)  # fmt: skip
def test_a_visit_after_an_event(earlier: Json, sent: Json, is_stale: bool, says_status: bool, visit: Json) -> None:
    assert _visit_of(earlier, sent, is_stale=is_stale, says_status=says_status) == visit


def _stay(status: str, **period: str) -> Json:
    return {"resourceType": "Encounter", "id": "v1", "status": status, "period": period}


def test_only_a_ranked_event_says_the_status_of_a_visit(store: Store) -> None:
    store.put(Fact("p1", _stay("in-progress", start="2026-11-01"), 10.0, 1, "visit"))
    store.put(Fact("p1", _stay("finished", end="2026-11-05"), 20.0, 2, "visit"))
    finished = _stay("finished", start="2026-11-01", end="2026-11-05")
    assert store.current() == [finished]
    store.put(Fact("p1", _stay("in-progress"), 30.0, 0, "visit"))  # an update: rank 0
    assert store.current() == [finished]
    store.put(Fact("p1", _stay("in-progress"), 25.0, 1, "visit"))  # an older admission, arriving late
    assert store.current() == [finished]
    store.put(Fact("p1", _stay("in-progress"), 40.0, 2, "visit"))  # the same rank, newer
    assert store.current() == [_stay("in-progress", start="2026-11-01")]
    assert store.rows()[-1][4:7] == (40.0, 2, 1)


def test_a_visit_keeps_its_highest_rank_and_latest_time(store: Store) -> None:
    store.put(Fact("p1", _stay("in-progress", start="2026-11-01"), 10.0, 3, "visit"))
    store.put(Fact("p1", _stay("in-progress") | {"ward": "B"}, 20.0, 1, "visit"))
    assert store.rows()[-1][4:7] == (20.0, 3, 1)
    store.put(Fact("p1", _stay("finished", end="2026-11-02"), 5.0, 4, "visit"))
    assert store.rows()[-1][4:7] == (20.0, 4, 1)
    assert store.current()[0]["status"] == "finished"


# Numbers that are one person


def test_a_number_goes_on_under_another_until_the_merge_is_turned_round(store: Store) -> None:
    connection = store.connection
    assert follow_link(connection, "p1") == "p1"
    link_patients(connection, Merge("p2", "p1"), 1, 10.0)
    link_patients(connection, Merge("p3", "p2"), 1, 11.0)
    assert [follow_link(connection, number) for number in ("p1", "p2", "p3")] == ["p3", "p3", "p3"]
    assert numbers_of(connection, "p3") == ["p3", "p2", "p1"]
    assert numbers_of(connection, "p2") == ["p2"]  # it is no survivor any more
    link_patients(connection, Merge("p2", "p3"), 2, 12.0)  # turned round: no circle
    assert [follow_link(connection, number) for number in ("p1", "p2", "p3")] == ["p2", "p2", "p2"]
    undone = connection.execute("SELECT merged, undone_at FROM links ORDER BY sequence").fetchall()
    assert list(map(tuple, undone)) == [("p1", None), ("p2", 12.0), ("p3", None)]


def test_the_last_merge_of_a_number_counts(store: Store) -> None:
    connection = store.connection
    link_patients(connection, Merge("p2", "p1"), 1, 10.0)
    link_patients(connection, Merge("p3", "p1"), 1, 11.0)
    assert follow_link(connection, "p1") == "p3"
    assert numbers_of(connection, "p2") == ["p2"]
    assert numbers_of(connection, "p3") == ["p3", "p1"]


def test_a_chart_has_the_facts_of_all_numbers_under_the_survivors(store: Store) -> None:
    store.put(Fact("p1", {"resourceType": "Patient", "id": "p1"}, 10.0))
    store.put(Fact("p1", _lab(5.0, subject={"reference": "Patient/p1"}), 10.0))
    store.put(Fact("p2", {"resourceType": "Patient", "id": "p2"}, 10.0))
    allergy = {"resourceType": "AllergyIntolerance", "id": "a", "patient": {"reference": "Patient/p2"}}
    store.put(Fact("p2", allergy, 10.0))
    link_patients(store.connection, Merge("p2", "p1"), 1, 10.0)
    assert chart_of(store.connection, "p2") == [
        ("Patient", "", {"resourceType": "Patient", "id": "p2"}),
        ("AllergyIntolerance", "", allergy),
        ("Observation", " http://loinc.org|2823-3 ", _lab(5.0, subject={"reference": "Patient/p2"})),
    ]


def _keyed(number: str, value: float, time: str, order: str = "1") -> Fact:
    key = ("NORTH", "result", number, "ORDER", order)
    resource = _lab(value, id=resource_id(*key), effectiveDateTime=time)
    return Fact(number, resource, 10.0, key=key)


def test_after_a_merge_a_result_is_known_under_the_number_of_before(store: Store) -> None:
    before = _keyed("p1", 5.0, "2026-11-01")
    store.put(before)
    link_patients(store.connection, Merge("p2", "p1"), 1, 10.0)
    applied = store.put(_keyed("p2", 6.0, "2026-11-01"))
    assert (applied.changed, applied.fact.patient, applied.fact.id) == (True, "p1", before.id)
    assert [resource["value"] for _, _, resource in chart_of(store.connection, "p2")] == [6.0]


def test_of_a_series_the_result_of_the_same_time_is_meant(store: Store) -> None:
    for number, (value, time) in enumerate([(1.0, "08:00"), (2.0, "09:00"), (3.0, "10:00")]):
        fact = _keyed("p1", value, time, f"{number}" if number else "0")
        store.put(fact)
    again = store.put(_keyed("p1", 2.5, "09:00", "0"))
    assert again.fact.id == _keyed("p1", 0, "", "1").id
    assert [resource["value"] for resource in store.current()] == [1.0, 3.0, 2.5]
    store.put(_keyed("p1", 9.0, "11:00", "0"))  # of no known time: the result itself is another one now
    assert [resource["value"] for resource in store.current()] == [3.0, 2.5, 9.0]


# What a message brings


def test_the_codes_of_a_fact_are_those_of_every_concept_and_component() -> None:
    coded = {"coding": [{"system": "s", "code": "1"}, {"code": "2"}, {"system": "s"}, "x"]}
    resource = {
        "code": coded,
        "vaccineCode": {"coding": [{"system": "cvx", "code": "3"}]},
        "medicationCodeableConcept": {"coding": [{"system": "rx", "code": "4"}]},
        "component": [{"code": {"coding": [{"system": "s", "code": "5"}]}}, {"code": coded}, "x"],
    }
    assert codes_of(resource) == " s|1 |2 cvx|3 rx|4 s|5 "
    assert codes_of({"code": {"text": "x"}, "component": {}}) == ""


def test_an_id_is_made_of_all_its_parts() -> None:
    assert resource_id("NORTH", "V1") == resource_id("NORTH", "V1")
    assert len({resource_id("NORTH", "V1"), resource_id("NORT", "HV1"), resource_id("NORTH", "V", "1")}) == 3
    assert len(resource_id("a")) == 35
    assert resource_id("a").startswith("v2-")
    assert Effects() == Effects([], [], {}, [])  # type: ignore[arg-type]
