"""What the patient is on, what is over, when an order ends, and what is new to them: to the day and the second."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fhir.mapping.medications.active import active_medications, order_end, uncertain_medications
from fhir.record.record import read_record
from tests.each import for_rows
from tests.fhir.builders import administration, coded, dispense, lean, record_of, request, statement

Json = dict[str, Any]
METFORMIN = coded("861007", "metformin hydrochloride 500 MG Oral Tablet")
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


@pytest.mark.parametrize(("when", "active"), [("2025-11-20", True), ("2025-11-19", False), (None, False)])
def test_an_order_without_a_status_counts_for_a_year(when: str | None, active: bool) -> None:
    assert bool(_names(_present(request(METFORMIN, authoredOn=when, status=None)))) is active


@for_rows(("stated", "repeats"))
def test_a_statement_that_repeats_an_order_is_that_order(stated: str, repeats: bool) -> None:
    expected = ["MedicationRequest/m1"] if repeats else ["MedicationRequest/m1", "MedicationStatement/s1"]
    assert _sources(LISTED, statement(stated)) == expected
    unread = _sources(request("herbal drops"), statement("herbal drops"))
    assert unread == ["MedicationRequest/m1", "MedicationStatement/s1"]


@for_rows(("more", "sources"))
def test_an_order_that_a_later_one_replaces_is_not_on_the_list(more: Json, sources: list[str]) -> None:
    later = request(METFORMIN, "m2", priorPrescription={"reference": "MedicationRequest/m1"}, **more)
    assert _sources(LISTED, later) == sources
    assert _sources(LISTED, request("warfarin", "m2", priorPrescription={"display": "m1"})) == [
        "MedicationRequest/m1", "MedicationRequest/m2",
    ]  # fmt: skip


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


def test_what_has_an_unknown_status_is_neither_taken_nor_absent() -> None:
    stated = statement("warfarin", status="unknown", dateAsserted="2026-11-01")
    old = statement("digoxin", "s2", status="unknown", dateAsserted="2026-05-01")
    record = record_of(stated, old, LISTED, statement(METFORMIN, "s3", status="unknown"))
    assert [one.name for one in active_medications(record)] == ["metformin"]
    assert [one.name for one in uncertain_medications(record)] == ["warfarin"]


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
