"""When an order begins and ends, which one was the last, and whether a drug is new: on the day and beside it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from fhir.mapping.medications.active import (
    days_valid,
    is_new_start,
    is_recent_start,
    last_order_after,
    order_end,
    orders_ever_taken,
)
from fhir.record.datatypes import parse_time
from tests.fhir.mapping.charts import administration, coded, dispense, record_of, request, statement
from tests.fhir.record.charts import lean

METFORMIN, RXCUI = coded("861007", "metformin hydrochloride 500 MG Oral Tablet"), "6809"


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def bounds(**period: str) -> dict[str, Any]:
    return {"timing": {"repeat": {"boundsPeriod": period}}}


def valid(**period: str) -> dict[str, Any]:
    return {"dispenseRequest": {"validityPeriod": period}}


@pytest.mark.parametrize(
    ("resource", "end"),
    [
        (request(METFORMIN), None),
        (request(METFORMIN, dosageInstruction=[bounds(end="2026-11-10")]), "2026-11-11"),
        (request(METFORMIN, dosageInstruction=[bounds(end="2026-11-10T08:00:00Z")]), "2026-11-10T08:00"),
        (request(METFORMIN, dosageInstruction=[bounds(end="2026-11-10"), bounds(end="2026-12-10")]), "2026-12-11"),
        (request(METFORMIN, dosageInstruction=[bounds(end="2026-11-10"), bounds(start="2026-12-10")]), None),
        (request(METFORMIN, dosageInstruction=[bounds(end="2026-11-10"), {"text": "x"}]), None),
        (request(METFORMIN, dosageInstruction=[{"text": "x"}], **valid(end="2026-11-12")), "2026-11-13"),
        (request(METFORMIN, dosageInstruction=[bounds(end="2026-11-10")], **valid(end="2026-11-12")), "2026-11-11"),
        (request(METFORMIN, dosageInstruction=[bounds(end="2026-11-10"), {"text": "x"}], **valid(end="2026-11-12")),
         "2026-11-13"),
        (request(METFORMIN, dispenseRequest={}), None),
        (statement(METFORMIN), None),
        (statement(METFORMIN, effectivePeriod={"start": "2026-01-01", "end": "2026-11-10"}), "2026-11-11"),
        (dispense(METFORMIN), "2026-12-02"),
        (dispense(METFORMIN, daysSupply={"value": 2, "unit": "wk", "code": "wk"}), "2026-11-16"),
        (dispense(METFORMIN, daysSupply=None), "2027-01-31"),  # 90 days and the last one
        (dispense(METFORMIN, whenHandedOver=None, whenPrepared="2026-11-02"), "2026-12-03"),
        (dispense(METFORMIN, whenHandedOver=None), "1970-01-01"),
        (administration(METFORMIN), "2026-11-22"),
        (administration(METFORMIN, effectiveDateTime="2026-11-19T08:00:00Z"), "2026-11-21T08:00"),
        (administration(METFORMIN, effectivePeriod={"start": "2026-11-18", "end": "2026-11-20T08:00:00Z"}),
         "2026-11-22T08:00"),
        (administration(METFORMIN, effectivePeriod={"start": "2026-11-18"}), "2026-11-21"),
        (administration(METFORMIN, effectiveDateTime=None), "1970-01-01"),
    ],
)  # fmt: skip
def test_an_order_ends_with_its_bounds_its_validity_or_its_supply(resource: dict[str, Any], end: str | None) -> None:
    order = lean({name: part for name, part in resource.items() if part is not None})
    assert order_end(order) == (at(end) if end is not None else None)


@pytest.mark.parametrize(
    ("period", "days"),
    [
        ({"start": "2026-11-01", "end": "2026-11-10"}, 10.0),
        ({"start": "2026-11-01T00:00:00Z", "end": "2026-11-02T12:00:00Z"}, 1.5),
        ({"start": "2026-11-01"}, None),
        ({"end": "2026-11-01"}, None),
        ({"start": "2026-11-02", "end": "2026-11-01"}, None),
        ({"start": "2026-11-02", "end": "2026-11-02"}, 1.0),
        ({"start": "2026-11-02T08:00:00Z", "end": "2026-11-02T08:00:00Z"}, None),
    ],
)
def test_a_validity_has_its_days(period: dict[str, str], days: float | None) -> None:
    assert days_valid(lean(request(METFORMIN, **valid(**period)))) == days
    assert days_valid(lean(request(METFORMIN))) is None


@pytest.mark.parametrize(
    ("resource", "is_new"),
    [
        (request(METFORMIN, authoredOn="2020-01-01"), False),  # active: it is being taken
        (request(METFORMIN, authoredOn="2020-01-01", **valid(end="2020-02-01")), True),
        (request(METFORMIN, status="completed", authoredOn="2026-05-24"), False),  # 180 days ago
        (request(METFORMIN, status="completed", authoredOn="2026-05-23"), True),
        (request(METFORMIN, status="completed", authoredOn="2026-01-01", **valid(end="2026-08-01")), False),
        (request(METFORMIN, status="completed", authoredOn=None), True),
        (request(METFORMIN, status="cancelled"), True),
        (request(METFORMIN, intent="proposal"), True),
        (request(METFORMIN, authoredOn="2026-12-01"), True),
        (request("warfarin"), True),
        (statement(METFORMIN, status="not-taken"), True),
        (statement(METFORMIN, status="stopped", effectiveDateTime="2026-06-01"), False),
        (statement(METFORMIN), False),
        (dispense(METFORMIN), False),
        (dispense(METFORMIN, status="cancelled"), True),
        (dispense(METFORMIN, whenHandedOver="2026-01-01"), True),
        (administration(METFORMIN), False),
        (administration(METFORMIN, status="not-done"), True),
    ],
)
def test_a_drug_is_new_where_it_was_not_taken_for_180_days(resource: dict[str, Any], is_new: bool) -> None:
    record = record_of({name: part for name, part in resource.items() if part is not None})
    assert is_new_start(record, RXCUI) is is_new
    source = f"{resource['resourceType']}/{resource['id']}"
    assert is_new_start(record, RXCUI, besides=source)


@pytest.mark.parametrize(
    ("resources", "is_recent"),
    [
        ((), True),
        ((request(METFORMIN, authoredOn="2026-11-06"),), True),  # 14 days
        ((request(METFORMIN, authoredOn="2026-11-05"),), False),
        ((request(METFORMIN, authoredOn="2026-11-18", dosageInstruction=[bounds(start="2026-10-01")]),), False),
        ((statement(METFORMIN),), None),
        ((statement(METFORMIN), request(METFORMIN, authoredOn="2026-11-05")), False),
        ((statement(METFORMIN, effectivePeriod={"start": "2026-11-05"}),), False),
    ],
)
def test_a_drug_is_begun_lately_where_no_order_of_it_is_older(
    resources: tuple[dict[str, Any], ...], is_recent: bool | None
) -> None:
    record = record_of(*resources)
    assert is_recent_start(record, RXCUI, 14) is is_recent
    assert is_recent_start(record, RXCUI, 14) is is_recent


def test_every_order_that_was_taken_has_its_source() -> None:
    never = request(METFORMIN, "m2", status="cancelled"), dispense(METFORMIN, "d2", whenHandedOver="")
    record = record_of(request(METFORMIN), statement(METFORMIN), dispense(METFORMIN), administration(METFORMIN), *never)
    assert [source for source, _ in orders_ever_taken(record, RXCUI)] == [
        "MedicationRequest/m1", "MedicationStatement/s1", "MedicationDispense/d1", "MedicationAdministration/a1",
    ]  # fmt: skip
    assert orders_ever_taken(record, "161") == ()


@pytest.mark.parametrize(
    ("day", "last"),
    [("2026-01-01", "2026-11-19"), ("2026-11-18", "2026-11-19"), ("2026-11-19", None), ("2026-11-25", None)],
)
def test_the_last_order_after_a_day_and_before_the_day_of_the_call(day: str, last: str | None) -> None:
    orders = [
        request(METFORMIN, f"m{when[-2:]}", authoredOn=when) for when in ("2026-10-01", "2026-11-19", "2026-11-20")
    ]
    since = parse_time(day)
    assert since is not None
    found = last_order_after(record_of(*orders), RXCUI, since)
    assert (found.date if found is not None else None) == last
