"""Which orders are over, recent, replaced or supplied, worked out by hand to the day and the second."""

from datetime import UTC, datetime
from typing import Any

import pytest

from fhir.mapping.medications.active import (
    active_medications,
    days_valid,
    ended_medications,
    entry_of,
    forgotten_orders,
    has_read_medications,
    is_new_start,
    is_recent_start,
    last_order_after,
    order_end,
    orders_ever_taken,
    orders_not_active,
    written_at,
)
from fhir.record.datatypes import parse_time
from fhir.record.refusals import Refusal
from tests.fhir.mapping.charts import administration, coded, dispense, record_of, request, statement
from tests.fhir.record.charts import lean

METFORMIN = coded("861007", "metformin hydrochloride 500 MG Oral Tablet")
M, W = "6809", "11289"


def _sources(*resources: dict[str, Any], as_of: datetime | None = None) -> list[str]:
    record = record_of(*resources) if as_of is None else record_of(*resources, as_of=as_of)
    return [medication.source for medication in active_medications(record)]


def _epoch(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[arg-type,misc]


def _bounds(*periods: dict[str, str] | None) -> dict[str, Any]:
    return {
        "dosageInstruction": [
            {"timing": {"repeat": {"boundsPeriod": period}}} if period is not None else {"text": "daily"}
            for period in periods
        ]
    }


def _valid(**period: str) -> dict[str, Any]:
    return {"dispenseRequest": {"validityPeriod": period}}


# When an order ends.


@pytest.mark.parametrize(
    ("more", "end"),
    [
        ({}, None),
        ({"dispenseRequest": {}}, None),
        (_valid(start="2026-11-01"), None),
        (_valid(end="2026-11-10"), _epoch(2026, 11, 11)),
        (_valid(end="2026-11-10T12:00:00Z"), _epoch(2026, 11, 10, 12)),
        (_valid(end="2026-11"), _epoch(2026, 12, 1)),
        (_valid(end="2026"), _epoch(2027, 1, 1)),
        (_valid(end="fnord"), None),
        (_bounds({"end": "2026-11-10"}), _epoch(2026, 11, 11)),
        (_bounds({"end": "2026-11-10"}, {"end": "2026-11-12"}), _epoch(2026, 11, 13)),
        (_bounds({"end": "2026-11-10"}, {"start": "2026-11-12"}), None),
        (_bounds({"end": "2026-11-10"}) | _valid(end="2026-11-20"), _epoch(2026, 11, 11)),
        (_bounds({"end": "2026-11-10"}, None) | _valid(end="2026-11-20"), _epoch(2026, 11, 21)),
        (_bounds({"end": "2026-11-10"}, None), None),
        ({"dosageInstruction": [{"timing": {}}]} | _valid(end="2026-11-20"), _epoch(2026, 11, 21)),
    ],
)
def test_when_an_order_ends(more: dict[str, Any], end: float | None) -> None:
    assert order_end(lean(request("warfarin", **more))) == end


@pytest.mark.parametrize(
    ("resource", "end"),
    [
        (statement("warfarin"), None),
        (statement("warfarin", effectivePeriod={"end": "2026-11-10"}), _epoch(2026, 11, 11)),
        (statement("warfarin", effectivePeriod={"start": "2026-11-10"}), None),
        # 30 days of supply from 1 November on, and the day of the last dose; without a length 90 days.
        (dispense("warfarin"), _epoch(2026, 12, 2)),
        (dispense("warfarin", daysSupply=None), _epoch(2027, 1, 31)),
        (dispense("warfarin", daysSupply={"value": 30}), _epoch(2027, 1, 31)),
        (dispense("warfarin", daysSupply={"value": 0, "code": "d"}), _epoch(2026, 11, 2)),
        (dispense("warfarin", whenHandedOver=None, whenPrepared="2026-11-03"), _epoch(2026, 12, 4)),
        (dispense("warfarin", whenHandedOver=None), 0.0),
        (administration("warfarin"), _epoch(2026, 11, 22)),
        (administration("warfarin", effectiveDateTime="2026-11-19T08:00:00Z"), _epoch(2026, 11, 21, 8)),
        (administration("warfarin", effectiveDateTime="2026-11"), _epoch(2026, 12, 3)),
        (administration("warfarin", effectiveDateTime=None), 0.0),
        (
            administration(
                "warfarin", effectiveDateTime=None, effectivePeriod={"start": "2026-11-10", "end": "2026-11-15"}
            ),
            _epoch(2026, 11, 18),
        ),
        (
            administration("warfarin", effectiveDateTime=None, effectivePeriod={"start": "2026-11-10"}),
            _epoch(2026, 11, 13),
        ),
    ],
)
def test_when_a_statement_or_a_supply_ends(resource: dict[str, Any], end: float | None) -> None:
    assert order_end(lean({name: value for name, value in resource.items() if value is not None})) == end


@pytest.mark.parametrize(
    ("period", "days"),
    [
        (None, None),
        ({"start": "2026-11-01"}, None),
        ({"end": "2026-11-01"}, None),
        ({"start": "2026-11-01", "end": "2026-11-30"}, 30.0),
        ({"start": "2026-11-01", "end": "2026-11-01"}, 1.0),
        ({"start": "2026-11-02", "end": "2026-11-01"}, None),
        ({"start": "2026-11-01T00:00:00Z", "end": "2026-11-01T12:00:00Z"}, 0.5),
        ({"start": "2026-11-01T00:00:00Z", "end": "2026-11-01T00:00:00Z"}, None),
    ],
)
def test_how_many_days_a_prescription_is_valid(period: dict[str, str] | None, days: float | None) -> None:
    more = _valid(**period) if period is not None else {}
    assert days_valid(lean(request("warfarin", **more))) == days
    assert days_valid(lean(request("warfarin", dispenseRequest={}))) is None


def test_an_order_is_over_after_its_end_and_not_at_it() -> None:
    order = request("warfarin", **_valid(end="2026-11-19"))
    assert _sources(order, as_of=datetime(2026, 11, 20, tzinfo=UTC)) == ["MedicationRequest/m1"]
    assert _sources(order, as_of=datetime(2026, 11, 20, 0, 0, 1, tzinfo=UTC)) == []


# When it was written.


@pytest.mark.parametrize(
    ("resource", "text"),
    [
        (request("warfarin"), "2026-11-01"),
        (statement("warfarin", dateAsserted="2026-11-02", effectiveDateTime="2026-11-01"), "2026-11-02"),
        (statement("warfarin", effectiveDateTime="2026-11-01"), None),
        (dispense("warfarin", whenPrepared="2026-10-31"), "2026-11-01"),
        (administration("warfarin"), "2026-11-19"),
        (request("warfarin", authoredOn="fnord"), None),
    ],
)
def test_when_it_was_written(resource: dict[str, Any], text: str | None) -> None:
    assert written_at(lean(resource)) == (parse_time(text) if text is not None else None)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"effectiveDateTime": "2026-11-01", "dateAsserted": "2026-11-05"}, "2026-11-01"),
        ({"effectivePeriod": {"start": "2026-11-02"}, "dateAsserted": "2026-11-05"}, "2026-11-02"),
        ({"effectivePeriod": {"end": "2026-12-02"}, "dateAsserted": "2026-11-05"}, "2026-11-05"),
        ({"dateAsserted": "2026-11-05"}, "2026-11-05"),
        ({}, None),
    ],
)
def test_since_when_a_statement_holds(more: dict[str, Any], text: str | None) -> None:
    (entry,) = active_medications(record_of(statement("warfarin", **more)))
    assert (entry.authored.text if entry.authored is not None else None) == text


# What repeats what.

LISTED = request("warfarin 5 MG Oral Tablet")


@pytest.mark.parametrize(
    ("words", "repeats"),
    [
        ("warfarin", True),
        ("warfarin 5 MG Oral Tablet", True),
        ("warfarin 3 MG Oral Tablet", False),
        ("metformin", False),
        ("warfarin ophthalmic ointment", False),
        ("herbal drops", False),
    ],
)
def test_a_statement_that_repeats_an_order_is_not_listed(words: str, repeats: bool) -> None:
    expected = ["MedicationRequest/m1"] if repeats else ["MedicationRequest/m1", "MedicationStatement/s1"]
    assert _sources(LISTED, statement(words)) == expected


def test_a_statement_beside_an_order_that_is_not_recognised_is_listed() -> None:
    assert _sources(request("herbal drops"), statement("herbal drops")) == [
        "MedicationRequest/m1",
        "MedicationStatement/s1",
    ]


# Replaced orders.


@pytest.mark.parametrize(
    ("more", "is_replaced"),
    [
        ({}, True),
        ({"status": "completed"}, True),
        ({"status": "draft"}, False),
        ({"status": "cancelled"}, False),
        ({"intent": "plan"}, False),
        ({"intent": "plan", "reportedBoolean": True}, True),
        ({"intent": "proposal", "reportedBoolean": True}, False),
        ({"doNotPerform": True}, False),
        ({"doNotPerform": False}, True),
        ({"priorPrescription": {"reference": "https://h.example/MedicationRequest/m1/_history/3"}}, True),
        ({"priorPrescription": {"reference": "MedicationRequest/m7"}}, False),
        ({"priorPrescription": {"display": "the one before"}}, False),
        ({"priorPrescription": {"reference": ""}}, False),
    ],
)
def test_a_later_order_replaces_the_one_that_it_names(more: dict[str, Any], is_replaced: bool) -> None:
    later = request(METFORMIN, "m2", **({"priorPrescription": {"reference": "MedicationRequest/m1"}} | more))
    assert ("MedicationRequest/m1" not in _sources(LISTED, later)) is is_replaced


# Forgotten orders.


@pytest.mark.parametrize(
    ("written", "more", "is_forgotten"),
    [
        ("2016-11-20", {}, False),  # 3652 days, and ten years are 3652.5
        ("2016-11-19", {}, True),
        ("2001-01-01", {}, True),
        ("2001-01-01", _valid(end="2027-01-01"), False),
    ],
)
def test_an_order_of_over_ten_years_ago_is_forgotten(written: str, more: dict[str, Any], is_forgotten: bool) -> None:
    record = record_of(request("warfarin", authoredOn=written, **more))
    assert bool(active_medications(record)) is not is_forgotten
    assert [order.source for order in forgotten_orders(record)] == ["MedicationRequest/m1"] * is_forgotten
    text = f"warfarin was ordered on {written} and has no end: whether it is still taken is not known."
    assert record.refusals == (Refusal("MedicationRequest/m1", "order-too-old", text),) * is_forgotten


def test_whether_somebody_has_asked() -> None:
    record = record_of(LISTED)
    assert has_read_medications(record) is False
    assert record.refusals == ()
    active_medications(record)
    assert has_read_medications(record) is True


# What was given out or given.


@pytest.mark.parametrize(
    ("supply", "is_listed"),
    [
        (dispense(METFORMIN), True),
        (dispense(METFORMIN, status="in-progress"), False),
        (dispense(METFORMIN, authorizingPrescription=[{"reference": "MedicationRequest/m1"}]), False),
        (dispense(METFORMIN, authorizingPrescription=[{"reference": "https://h/MedicationRequest/m1"}]), False),
        (dispense(METFORMIN, authorizingPrescription=[{"reference": "MedicationRequest/m7"}]), True),
        (dispense(METFORMIN, authorizingPrescription=[{"display": "m1"}]), True),
        (dispense(METFORMIN, whenHandedOver="2026-10-21"), True),
        (dispense(METFORMIN, whenHandedOver="2026-10-20"), False),
        (dispense(METFORMIN, whenHandedOver="fnord"), False),
        (dispense(METFORMIN, whenHandedOver="2026-12-01"), False),
        (dispense("warfarin"), False),
        (dispense("herbal drops"), True),
        (administration(METFORMIN), True),
        (administration(METFORMIN, status="in-progress"), True),
        (administration(METFORMIN, status="not-done"), False),
        (administration(METFORMIN, effectiveDateTime="2026-11-18"), True),
        (administration(METFORMIN, effectiveDateTime="2026-11-17"), False),
        (administration(METFORMIN, request={"reference": "MedicationRequest/m1"}), False),
        (administration(METFORMIN, request={"reference": "MedicationRequest/m7"}), True),
    ],
)
def test_a_supply_is_listed_where_no_order_tells_of_it(supply: dict[str, Any], is_listed: bool) -> None:
    source = f"{supply['resourceType']}/{supply['id']}"
    assert _sources(LISTED, supply) == ["MedicationRequest/m1", *([source] * is_listed)]


def test_a_drug_that_was_given_out_twice_is_listed_once_and_what_is_not_recognised_each_time() -> None:
    assert _sources(dispense(METFORMIN, "d1"), dispense(METFORMIN, "d2"), administration(METFORMIN)) == [
        "MedicationDispense/d1"
    ]
    assert _sources(dispense("herbal drops", "d1"), dispense("green drops", "d2")) == [
        "MedicationDispense/d1",
        "MedicationDispense/d2",
    ]


# What ended.


@pytest.mark.parametrize(
    ("resource", "ended"),
    [
        (request("warfarin", **_valid(end="2026-11-10")), "2026-11-10"),
        (request("warfarin", status="stopped", **_valid(end="2026-11-10")), "2026-11-10"),
        (request("warfarin", status="stopped", **_valid(end="2026-11-20")), "2026-11-20"),
        (request("warfarin", status="stopped", **_valid(end="2026-11-21")), None),
        (request("warfarin", **_valid(end="2026-11-20")), None),  # it goes on to the end of that day
        (request("warfarin", status="cancelled", **_valid(end="2026-11-10")), None),
        (request("warfarin", **_valid(end="2026-10-21T09:00:00Z")), "2026-10-21T09:00:00Z"),
        (request("warfarin", **_valid(end="2026-10-21T08:59:59Z")), None),
        (request("warfarin", **_valid(end="fnord")), None),
        (request("warfarin", **_valid(start="2026-11-10")), None),
        (request("warfarin", **_bounds({"end": "2026-11-10"}, {"end": "2026-11-08"})), "2026-11-10"),
        (request("warfarin", status="stopped"), None),
        (statement("warfarin", status="completed", effectivePeriod={"end": "2026-11-10"}), "2026-11-10"),
        (statement("warfarin", effectivePeriod={"end": "2026-11-10"}), "2026-11-10"),
        (statement("warfarin", status="not-taken", effectivePeriod={"end": "2026-11-10"}), None),
    ],
)
def test_what_ended_in_the_last_thirty_days(resource: dict[str, Any], ended: str | None) -> None:
    entries = ended_medications(record_of(resource), 30.0)
    assert [entry.ended.text if entry.ended is not None else None for entry in entries] == [ended] * (ended is not None)


def test_what_is_over_or_on_hold_is_named_the_newest_first() -> None:
    record = record_of(
        request("warfarin", "m1", status="stopped", authoredOn="2026-01-01"),
        request("warfarin", "m2", status="on-hold", authoredOn="2026-03-01"),
        request("warfarin", "m3", status="completed", authoredOn=None),
        request("warfarin", "m4"),
        request("warfarin", "m5", status="stopped", intent="proposal"),
        request("warfarin", "m6", status="cancelled"),
        statement("warfarin", "s1", status="completed", effectiveDateTime="2026-02-01"),
        statement("warfarin", "s2", status="not-taken"),
    )
    assert [entry.source for entry in orders_not_active(record)] == [
        "MedicationRequest/m2",
        "MedicationStatement/s1",
        "MedicationRequest/m1",
        "MedicationRequest/m3",
    ]


def test_an_order_as_an_entry_whatever_its_status() -> None:
    record = record_of()
    order = lean(request(METFORMIN, status="cancelled"))
    entry = entry_of(order, "MedicationRequest/m1", record)
    assert (entry.name, entry.source, entry.order, entry.ended) == ("metformin", "MedicationRequest/m1", order, None)
    assert entry.authored == parse_time("2026-11-01")


# What is new to the patient.


@pytest.mark.parametrize(
    ("resource", "is_new"),
    [
        (request("warfarin", authoredOn="2001-01-01"), False),
        (request("warfarin", authoredOn=None), False),
        (request("warfarin", status="stopped", authoredOn="2026-05-24"), False),  # 180 days and nine hours
        (request("warfarin", status="stopped", authoredOn="2026-05-23"), True),
        (request("warfarin", status="stopped", authoredOn=None), True),
        (request("warfarin", status="stopped", authoredOn="2025-01-01", **_valid(end="2026-05-23")), False),
        (request("warfarin", status="stopped", authoredOn="2025-01-01", **_valid(end="2026-05-22")), True),
        (request("warfarin", authoredOn="2025-01-01", **_valid(end="2026-05-22")), True),
        (request("warfarin", authoredOn="2026-12-01"), True),
        (request("warfarin", status="cancelled"), True),
        (request("metformin"), True),
        (statement("warfarin"), False),
        (statement("warfarin", status="unknown", effectiveDateTime="2026-05-24"), False),
        (statement("warfarin", status="unknown", effectiveDateTime="2026-05-23"), True),
        (dispense("warfarin", whenHandedOver="2026-05-24"), False),
        (dispense("warfarin", whenHandedOver="2026-05-23"), True),
        (dispense("warfarin", whenHandedOver="fnord"), True),
        (dispense("warfarin", status="cancelled"), True),
        (administration("warfarin", effectiveDateTime="2026-05-24"), False),
        (administration("warfarin", status="not-done"), True),
    ],
)
def test_a_drug_is_new_where_none_was_taken_in_half_a_year(resource: dict[str, Any], is_new: bool) -> None:
    record = record_of({name: value for name, value in resource.items() if value is not None})
    assert is_new_start(record, W) is is_new
    assert is_new_start(record, W, besides=f"{resource['resourceType']}/{resource['id']}") is True


@pytest.mark.parametrize(
    ("orders", "is_recent"),
    [
        ([], True),
        ([request("warfarin", authoredOn="2026-11-10")], True),  # ten days and nine hours ago
        ([request("warfarin", authoredOn="2026-11-09")], False),
        ([request("warfarin", authoredOn="2026-11-15"), request("warfarin", "m2", authoredOn="2026-11-01")], False),
        ([request("warfarin", authoredOn=None)], None),
        ([request("warfarin", authoredOn=None), request("warfarin", "m2", authoredOn="2026-11-01")], False),
        ([request("warfarin", authoredOn=None), request("warfarin", "m2", authoredOn="2026-11-15")], None),
        ([request("warfarin", status="stopped", authoredOn="2026-01-01")], True),
        ([request("warfarin", authoredOn="2026-11-15", **_valid(start="2026-11-01", end="2026-12-01"))], False),
        ([request("warfarin", authoredOn="2026-11-01", **_valid(start="2026-11-15", end="2026-12-01"))], False),
        ([request("warfarin", authoredOn="2026-11-15", **_valid(start="fnord", end="2026-12-01"))], True),
        ([request("metformin", authoredOn="2001-01-01")], True),
    ],
)
def test_whether_a_drug_was_begun_in_the_last_ten_days(orders: list[dict[str, Any]], is_recent: bool | None) -> None:
    record = record_of(*({name: value for name, value in order.items() if value is not None} for order in orders))
    assert is_recent_start(record, W, 10) is is_recent
    assert is_recent_start(record, W, 10) is is_recent


def test_the_orders_that_were_ever_taken_by_ingredient() -> None:
    record = record_of(
        request("warfarin", status="stopped"), statement(METFORMIN), dispense("warfarin"), administration("warfarin")
    )
    assert [source for source, _ in orders_ever_taken(record, W)] == [
        "MedicationRequest/m1",
        "MedicationDispense/d1",
        "MedicationAdministration/a1",
    ]
    assert [source for source, _ in orders_ever_taken(record, M)] == ["MedicationStatement/s1"]
    assert orders_ever_taken(record, "0") == ()


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (["2026-11-01"], None),
        (["2026-11-02"], "2026-11-02"),
        (["2026-11-02", "2026-11-10", "2026-11-05"], "2026-11-10"),
        (["2026-11-19"], "2026-11-19"),
        (["2026-11-19T09:00:00Z"], "2026-11-19T09:00:00Z"),
        (["2026-11-19T09:00:01Z"], None),
        (["2026-11-20"], None),
        ([], None),
    ],
)
def test_the_last_order_after_a_day(days: list[str], expected: str | None) -> None:
    record = record_of(*(request("warfarin", f"m{number}", authoredOn=day) for number, day in enumerate(days)))
    since = parse_time("2026-11-01")
    assert since is not None
    last = last_order_after(record, W, since)
    assert (last.text if last is not None else None) == expected
