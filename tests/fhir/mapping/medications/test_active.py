"""What the patient is on, what is over, when an order ends, and what is new to them: to the day and the second."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fhir.mapping.medications.active import (
    active_medications,
    days_valid,
    ended_medications,
    forgotten_orders,
    held_medications,
    is_new_start,
    is_recent_start,
    last_order_after,
    order_end,
    orders_ever_taken,
    orders_not_active,
    uncertain_medications,
)
from fhir.record.datatypes import parse_time
from fhir.record.record import read_record
from fhir.record.refusals import Refusal
from tests.each import for_rows
from tests.fhir.builders import administration, coded, dispense, lean, record_of, request, statement

Json = dict[str, Any]
METFORMIN = coded("861007", "metformin hydrochloride 500 MG Oral Tablet")
RXCUI = "6809"
LISTED = request(METFORMIN)


def _present(resource: Json) -> Json:
    return {name: part for name, part in resource.items() if part is not None}


def _names(*resources: Json) -> list[str]:
    return [one.name for one in active_medications(record_of(*resources))]


def _sources(*resources: Json) -> list[str]:
    return [one.source for one in active_medications(record_of(*resources))]


def _bounds(*periods: Json | None) -> Json:
    timings = [{"timing": {"repeat": {"boundsPeriod": period}}} if period else {"text": "daily"} for period in periods]
    return {"dosageInstruction": timings}


def _valid(**period: str) -> Json:
    return {"dispenseRequest": {"validityPeriod": period}}


def test_orders_and_statements_are_on_the_list_with_their_source() -> None:
    dosage = {"text": "1 tablet twice daily"}
    found = active_medications(record_of(request(METFORMIN, dosageInstruction=[dosage]), statement("warfarin")))
    assert [(one.source, one.name) for one in found] == [
        ("MedicationRequest/m1", "metformin"),
        ("MedicationStatement/s1", "warfarin"),
    ]
    assert found[0].authored is not None
    assert found[0].authored.date == "2026-11-01"
    assert found[0].dose.per_day[0].high == 1000.0


def test_an_original_order_and_its_instances_are_one_prescription() -> None:
    original = request(METFORMIN, "m1", intent="original-order")
    instances = [request(METFORMIN, f"m{number}", intent="instance-order") for number in (2, 3)]
    assert _names(*instances, original) == ["metformin"]
    assert _names(*instances) == ["metformin"]
    assert _names(original, request("warfarin", "m4", intent="instance-order")) == ["metformin", "warfarin"]
    assert _names(original, request(METFORMIN, "m5")) == ["metformin", "metformin"]


def test_what_is_not_recognised_is_on_the_list_too() -> None:
    found = active_medications(record_of(request("herbal drops")))
    assert [(one.identity.recognised, one.name) for one in found] == [(False, "herbal drops")]


@for_rows(
    ("status", "of_an_order", "of_a_statement"),
    [("active", True, True), ("on-hold", False, False), ("cancelled", False, False), ("completed", False, False),
     ("entered-in-error", False, False), ("stopped", False, False), ("draft", False, False), ("unknown", False, False),
     ("intended", False, True), ("not-taken", False, False)],
)  # fmt: skip
def test_the_status_of_an_order_or_a_statement_decides(status: str, of_an_order: bool, of_a_statement: bool) -> None:
    assert bool(_names(request(METFORMIN, status=status))) is of_an_order
    assert bool(_names(statement(METFORMIN, status=status))) is of_a_statement


@pytest.mark.parametrize(("when", "active"), [("2025-11-20", True), ("2025-11-19", False), (None, False)])
def test_an_order_without_a_status_counts_for_a_year(when: str | None, active: bool) -> None:
    assert bool(_names(_present(request(METFORMIN, authoredOn=when, status=None)))) is active


@for_rows(
    ("more", "active"),
    [
        *(({"intent": intent}, True) for intent in ("order", "original-order", "reflex-order", "filler-order")),
        ({"intent": "instance-order"}, True),
        *(({"intent": intent}, False) for intent in ("proposal", "plan", "option")),
        ({"doNotPerform": True}, False),
        ({"authoredOn": "2026-12-01"}, False),
        # What the patient takes without a prescription is a reported plan.
        ({"intent": "plan", "reportedBoolean": True}, True),
        ({"intent": "plan", "reportedReference": {"reference": "Patient/p1"}}, True),
        ({"intent": "plan", "reportedBoolean": False}, False),
        ({"intent": "plan", "reportedBoolean": True, "status": "stopped"}, False),
        ({"intent": "plan", "reportedBoolean": True, "doNotPerform": True}, False),
        ({"intent": "proposal", "reportedBoolean": True}, False),
        ({"intent": "order", "reportedBoolean": True}, True),
    ],
)
def test_only_an_order_that_is_to_be_given_counts(more: Json, active: bool) -> None:
    assert bool(_names(request(METFORMIN, **more))) is active


@for_rows(
    ("end", "active"),
    [
        ("2026-11-19", False),
        ("2026-11-20", True),
        ("2026-11-20T09:00:00Z", True),
        ("2026-11-20T08:59:59Z", False),
        ("2027", True),
    ],
)
def test_an_order_ends_with_its_validity_or_its_bounds(end: str, active: bool) -> None:
    bounds = _bounds({"start": "2026-01-01", "end": end})
    assert bool(_names(request(METFORMIN, dispenseRequest={"validityPeriod": {"end": end}}))) is active
    assert bool(_names(request(METFORMIN, **bounds))) is active
    assert bool(_names(statement(METFORMIN, effectivePeriod={"start": "2026-01-01", "end": end}))) is active


@for_rows(
    ("stated", "repeats"),
    [
        ("metformin", True),
        ("metformin 500 mg tablet", True),
        ("metformin 850 mg tablet", False),
        ("Janumet", False),
        ("warfarin", False),
        ("metformin ophthalmic ointment", False),
        ("herbal drops", False),
    ],
)
def test_a_statement_that_repeats_an_order_is_that_order(stated: str, repeats: bool) -> None:
    expected = ["MedicationRequest/m1"] if repeats else ["MedicationRequest/m1", "MedicationStatement/s1"]
    assert _sources(LISTED, statement(stated)) == expected
    unread = _sources(request("herbal drops"), statement("herbal drops"))
    assert unread == ["MedicationRequest/m1", "MedicationStatement/s1"]


# one and the same order, as a server of its own, a version of it, or both name it
@for_rows("start", ["", "https://ehr.example/fhir/"])
@for_rows("end", ["", "/_history/3"])
def test_an_order_is_the_same_however_its_reference_is_written(start: str, end: str) -> None:
    named = {"reference": f"{start}MedicationRequest/m1{end}"}
    assert _sources(LISTED, request(METFORMIN, "m2", priorPrescription=named)) == ["MedicationRequest/m2"]
    given_out = dispense(METFORMIN, authorizingPrescription=[named])
    assert _sources(request(METFORMIN, status="stopped"), given_out) == []


@for_rows(
    ("more", "sources"),
    [
        ({"status": "active"}, ["MedicationRequest/m2"]),
        ({"status": "completed"}, []),
        ({"status": "stopped"}, []),
        # A draft or a plan replaces nothing yet.
        ({"status": "draft"}, ["MedicationRequest/m1"]),
        ({"intent": "plan"}, ["MedicationRequest/m1"]),
    ],
)
def test_an_order_that_a_later_one_replaces_is_not_on_the_list(more: Json, sources: list[str]) -> None:
    later = request(METFORMIN, "m2", priorPrescription={"reference": "MedicationRequest/m1"}, **more)
    assert _sources(LISTED, later) == sources
    assert _sources(LISTED, request("warfarin", "m2", priorPrescription={"display": "m1"})) == [
        "MedicationRequest/m1", "MedicationRequest/m2",
    ]  # fmt: skip


def test_what_was_given_out_is_on_the_list_with_its_source_day_and_dose() -> None:
    (found,) = active_medications(record_of(dispense(METFORMIN, dosageInstruction=[{"text": "1 tablet bid"}])))
    assert (found.source, found.name) == ("MedicationDispense/d1", "metformin")
    assert found.authored is not None
    assert found.authored.date == "2026-11-01"
    assert found.dose.per_day[0].high == 1000.0
    assert _names(dispense(METFORMIN), dispense(METFORMIN, "d2")) == ["metformin"]
    assert _names(dispense("herbal drops"), dispense("green dew", "d2")) == ["herbal drops", "green dew"]


def _supply(days: int) -> Json:
    return {"daysSupply": {"value": days, "code": "d"}}


def _given_until(end: str) -> Json:
    return administration(METFORMIN, effectiveDateTime=None, effectivePeriod={"start": "2026-11-12", "end": end})


@for_rows(
    ("supply", "is_listed"),
    [
        # What a pharmacy gave out counts while the supply lasts, 90 days where that is not said.
        (dispense(METFORMIN, **_supply(18)), False),
        (dispense(METFORMIN, **_supply(19)), True),
        (dispense(METFORMIN, whenHandedOver="2026-08-23", daysSupply=None), True),
        (dispense(METFORMIN, whenHandedOver="2026-08-20", daysSupply=None), False),
        (dispense(METFORMIN, whenHandedOver="2026-10-21"), True),
        (dispense(METFORMIN, whenHandedOver="2026-10-20"), False),
        (dispense(METFORMIN, whenHandedOver="2026-11-25"), False),
        (dispense(METFORMIN, whenHandedOver="fnord"), False),
        (dispense(METFORMIN, whenHandedOver=None), False),
        *((dispense(METFORMIN, status=status), False) for status in ("preparation", "in-progress", "cancelled")),
        *((dispense(METFORMIN, status=status), False) for status in ("stopped", "declined", "on-hold")),
        (dispense(METFORMIN, authorizingPrescription=[{"reference": "MedicationRequest/m1"}]), False),
        (dispense(METFORMIN, authorizingPrescription=[{"reference": "MedicationRequest/m7"}]), True),
        (dispense(METFORMIN, authorizingPrescription=[{"display": "m1"}]), True),
        (dispense("warfarin"), False),
        (dispense("herbal drops"), True),
        # What was given in the hospital counts for two days.
        (administration(METFORMIN), True),
        (administration(METFORMIN, status="in-progress"), True),
        *((administration(METFORMIN, status=status), False) for status in ("not-done", "on-hold", "stopped")),
        *((administration(METFORMIN, status=status), False) for status in ("unknown", "entered-in-error")),
        (administration(METFORMIN, effectiveDateTime="2026-11-18"), True),
        (administration(METFORMIN, effectiveDateTime="2026-11-17"), False),
        (administration(METFORMIN, effectiveDateTime="2026-11-18T10:00:00Z"), True),
        (administration(METFORMIN, effectiveDateTime="2026-11-18T08:00:00Z"), False),
        (administration(METFORMIN, effectiveDateTime="2026-11-25"), False),
        (_given_until("2026-11-19"), True),
        (_given_until("2026-11-13"), False),
        (administration(METFORMIN, effectiveDateTime=None), False),
        (administration(METFORMIN, request={"reference": "MedicationRequest/m1"}), False),
        (administration(METFORMIN, request={"reference": "MedicationRequest/m7"}), True),
    ],
)
def test_a_supply_is_listed_where_no_order_tells_of_it(supply: Json, is_listed: bool) -> None:
    source = f"{supply['resourceType']}/{supply['id']}"
    beside = request("warfarin 5 MG Oral Tablet")
    assert _sources(beside, _present(supply)) == ["MedicationRequest/m1", *([source] * is_listed)]


def test_an_order_of_the_drug_goes_before_what_was_given_out_or_given() -> None:
    for supply in (dispense(METFORMIN), administration(METFORMIN)):
        assert _sources(LISTED, supply) == ["MedicationRequest/m1"]
    of_the_order = administration(METFORMIN, request={"reference": "MedicationRequest/m1"})
    assert _sources(request(METFORMIN, status="stopped"), of_the_order) == []


@pytest.mark.outside_data
def test_every_active_order_of_the_given_cases_is_on_the_list(data_folder: Path) -> None:
    listed = recognised = 0
    for path in sorted((data_folder / "cases" / "order-select").glob("oc-*.json")):
        case = json.loads(path.read_text(encoding="utf-8"))
        call = case["request"]
        prefetch = {key: lean(value) for key, value in call["prefetch"].items()}
        record = read_record(prefetch, call["context"]["patientId"], datetime.fromisoformat(case["as_of"]))
        found = active_medications(record)
        listed += len(found)
        recognised += sum(one.identity.recognised for one in found)
    assert listed > 200  # 71 more were ordered over ten years ago (Synthea)
    assert recognised / listed > 0.97


@for_rows(
    ("written", "more", "is_forgotten"),
    [
        ("2016-11-20", {}, False),  # 3652 days, and ten years are 3652.5
        ("2016-11-19", {}, True),
        ("2001-01-01", {}, True),
        ("2001-01-01", _valid(end="2027-01-01"), False),
    ],
)
def test_an_order_of_over_ten_years_ago_is_forgotten(written: str, more: Json, is_forgotten: bool) -> None:
    record = record_of(request("warfarin", authoredOn=written, **more))
    assert bool(active_medications(record)) is not is_forgotten
    assert [order.source for order in forgotten_orders(record)] == ["MedicationRequest/m1"] * is_forgotten
    text = f"warfarin was ordered on {written} and has no end: whether it is still taken is not known."
    assert record.refusals == (Refusal("MedicationRequest/m1", "order-too-old", text),) * is_forgotten


def test_what_has_an_unknown_status_is_neither_taken_nor_absent() -> None:
    stated = statement("warfarin", status="unknown", dateAsserted="2026-11-01")
    old = statement("digoxin", "s2", status="unknown", dateAsserted="2026-05-01")
    record = record_of(stated, old, LISTED, statement(METFORMIN, "s3", status="unknown"))
    assert [one.name for one in active_medications(record)] == ["metformin"]
    assert [one.name for one in uncertain_medications(record)] == ["warfarin"]


def test_what_is_on_hold_is_named() -> None:
    held = request("oxycodone 5 mg tablet", status="on-hold")
    assert active_medications(record_of(held)) == ()
    assert [one.name for one in held_medications(record_of(held))] == ["oxycodone"]


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
        "MedicationRequest/m2", "MedicationStatement/s1", "MedicationRequest/m1", "MedicationRequest/m3",
    ]  # fmt: skip


@for_rows(
    ("more", "text"),
    [
        ({"effectiveDateTime": "2026-11-01", "dateAsserted": "2026-11-05"}, "2026-11-01"),
        ({"effectivePeriod": {"start": "2026-11-02"}, "dateAsserted": "2026-11-05"}, "2026-11-02"),
        ({"effectivePeriod": {"end": "2026-12-02"}, "dateAsserted": "2026-11-05"}, "2026-11-05"),
        ({"dateAsserted": "2026-11-05"}, "2026-11-05"),
        ({}, None),
    ],
)
def test_since_when_a_statement_holds(more: Json, text: str | None) -> None:
    (entry,) = active_medications(record_of(statement("warfarin", **more)))
    assert (entry.authored.text if entry.authored is not None else None) == text


@for_rows(
    ("resource", "end"),
    [
        (request(METFORMIN), None),
        (request(METFORMIN, dispenseRequest={}), None),
        (request(METFORMIN, **_valid(start="2026-11-01")), None),
        (request(METFORMIN, **_valid(end="2026-11-10")), "2026-11-11"),
        (request(METFORMIN, **_valid(end="2026-11-10T12:00:00Z")), "2026-11-10T12:00"),
        (request(METFORMIN, **_valid(end="2026-11")), "2026-12-01"),
        (request(METFORMIN, **_valid(end="2026")), "2027-01-01"),
        (request(METFORMIN, **_valid(end="fnord")), None),
        (request(METFORMIN, **_bounds({"end": "2026-11-10"})), "2026-11-11"),
        (request(METFORMIN, **_bounds({"end": "2026-11-10T08:00:00Z"})), "2026-11-10T08:00"),
        (request(METFORMIN, **_bounds({"end": "2026-11-10"}, {"end": "2026-11-12"})), "2026-11-13"),
        (request(METFORMIN, **_bounds({"end": "2026-11-10"}, {"start": "2026-11-12"})), None),
        (request(METFORMIN, **_bounds({"end": "2026-11-10"}, None)), None),
        (request(METFORMIN, **_bounds(None), **_valid(end="2026-11-12")), "2026-11-13"),
        (request(METFORMIN, **_bounds({"end": "2026-11-10"}), **_valid(end="2026-11-20")), "2026-11-11"),
        (request(METFORMIN, **_bounds({"end": "2026-11-10"}, None), **_valid(end="2026-11-20")), "2026-11-21"),
        (request(METFORMIN, dosageInstruction=[{"timing": {}}], **_valid(end="2026-11-20")), "2026-11-21"),
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
def test_an_order_ends_with_its_bounds_its_validity_or_its_supply(resource: Json, end: str | None) -> None:
    at = datetime.fromisoformat(end).replace(tzinfo=UTC).timestamp() if end is not None else None
    assert order_end(lean(_present(resource))) == at


@for_rows(
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
    assert days_valid(lean(request(METFORMIN, **_valid(**period)))) == days
    assert days_valid(lean(request(METFORMIN))) is None


@for_rows(
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
        (request("warfarin", status="completed"), None),
        (statement("warfarin", status="completed", effectivePeriod={"end": "2026-11-10"}), "2026-11-10"),
        (statement("warfarin", effectivePeriod={"end": "2026-11-10"}), "2026-11-10"),
        (statement("warfarin", status="not-taken", effectivePeriod={"end": "2026-11-10"}), None),
    ],
)
def test_what_ended_in_the_last_thirty_days(resource: Json, ended: str | None) -> None:
    entries = ended_medications(record_of(resource), 30.0)
    assert [entry.ended.text if entry.ended is not None else None for entry in entries] == [ended] * (ended is not None)


@for_rows(
    ("resource", "is_new"),
    [
        # An order that was taken in the last 180 days, or is being taken.
        (request(METFORMIN, authoredOn="2001-01-01"), False),
        (request(METFORMIN, authoredOn=None), False),
        (request(METFORMIN, authoredOn="2025-01-01", **_valid(end="2026-05-22")), True),
        *((request(METFORMIN, status=status), False) for status in ("completed", "stopped", "on-hold", "unknown")),
        (request(METFORMIN, status="completed", authoredOn="2026-05-24"), False),  # 180 days and nine hours
        (request(METFORMIN, status="completed", authoredOn="2026-05-23"), True),
        (request(METFORMIN, status="stopped", authoredOn="2025-01-01", **_valid(end="2026-05-23")), False),
        (request(METFORMIN, status="stopped", authoredOn="2025-01-01", **_valid(end="2026-05-22")), True),
        (request(METFORMIN, status="completed", authoredOn=None), True),
        (request(METFORMIN, status="completed", authoredOn="2026-05-24", **_valid(start="2026-05-24")), False),
        *((request(METFORMIN, status=status), True) for status in ("draft", "cancelled", "entered-in-error")),
        *((request(METFORMIN, intent=intent), True) for intent in ("plan", "proposal")),
        (request(METFORMIN, doNotPerform=True), True),
        (request(METFORMIN, authoredOn="2026-12-01"), True),
        (request("warfarin"), True),
        (request("Janumet"), False),
        (statement(METFORMIN), False),
        (statement(METFORMIN, status="not-taken"), True),
        (statement(METFORMIN, status="unknown", effectiveDateTime="2026-05-24"), False),
        (statement(METFORMIN, status="unknown", effectiveDateTime="2026-05-23"), True),
        (dispense(METFORMIN, whenHandedOver="2026-05-24"), False),
        (dispense(METFORMIN, whenHandedOver="2026-05-23"), True),
        (dispense(METFORMIN, whenHandedOver="fnord"), True),
        (dispense(METFORMIN, status="cancelled"), True),
        (administration(METFORMIN, effectiveDateTime="2026-05-24"), False),
        (administration(METFORMIN, status="not-done"), True),
    ],
)
def test_a_drug_is_new_where_it_was_not_taken_for_180_days(resource: Json, is_new: bool) -> None:
    record = record_of(_present(resource))
    assert is_new_start(record, RXCUI) is is_new
    assert is_new_start(record, RXCUI, besides=f"{resource['resourceType']}/{resource['id']}")


@for_rows(
    ("resources", "is_recent"),
    [
        ((), True),
        ((request(METFORMIN, authoredOn="2026-11-06"),), True),  # 14 days
        ((request(METFORMIN, authoredOn="2026-11-05"),), False),
        ((request(METFORMIN, authoredOn="2026-11-18"), request(METFORMIN, "m2", authoredOn="2026-05-01")), False),
        ((request(METFORMIN, authoredOn="2026-11-18", **_bounds({"start": "2026-10-01"})),), False),
        ((request(METFORMIN, authoredOn="2026-11-18", **_bounds({"start": "fnord"}, {"end": "2026-12-01"})),), True),
        ((request(METFORMIN, status="completed", authoredOn="2025-10-01", **_valid(end="2026-01-01")),), True),
        ((statement(METFORMIN),), None),
        ((statement(METFORMIN), request(METFORMIN, authoredOn="2026-11-05")), False),
        ((statement(METFORMIN, effectivePeriod={"start": "2026-11-05"}),), False),
    ],
)
def test_a_drug_is_begun_lately_where_no_order_of_it_is_older(resources: tuple[Json, ...], is_recent: bool) -> None:
    record = record_of(*resources)
    assert is_recent_start(record, RXCUI, 14) is is_recent
    assert is_recent_start(record, RXCUI, 14) is is_recent


def test_every_order_that_was_taken_has_its_source() -> None:
    never = [request(METFORMIN, "m2", status="cancelled"), dispense(METFORMIN, "d2", whenHandedOver="")]
    never += [administration(METFORMIN, "a2", status="unknown"), administration(METFORMIN, "a3", effectiveDateTime="")]
    never.append(dispense(METFORMIN, "d3", status="cancelled"))
    record = record_of(request(METFORMIN), statement(METFORMIN), dispense(METFORMIN), administration(METFORMIN), *never)
    assert [source for source, _ in orders_ever_taken(record, RXCUI)] == [
        "MedicationRequest/m1", "MedicationStatement/s1", "MedicationDispense/d1", "MedicationAdministration/a1",
    ]  # fmt: skip
    assert orders_ever_taken(record, "161") == ()


@for_rows(
    ("day", "last"),
    [("2026-01-01", "2026-11-19"), ("2026-11-18", "2026-11-19"), ("2026-11-19", None), ("2026-11-25", None)],
)
def test_the_last_order_after_a_day_and_before_the_day_of_the_call(day: str, last: str | None) -> None:
    orders = [
        request(METFORMIN, f"m{when[-2:]}", authoredOn=when) for when in ("2026-10-01", "2026-11-19", "2026-11-20")
    ]
    orders.append(request(METFORMIN, "undated", authoredOn=None))
    since = parse_time(day)
    assert since is not None
    found = last_order_after(record_of(*orders), RXCUI, since)
    assert (found.date if found is not None else None) == last
