"""What the patient is on, and what is new to them."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fhir.mapping.medications.active import active_medications, held_medications, is_new_start, uncertain_medications
from fhir.record.record import read_record
from tests.fhir.builders import administration, coded, dispense, lean, record_of, request, statement

METFORMIN = coded("861007", "metformin hydrochloride 500 MG Oral Tablet")
RXCUI = "6809"


def _names(*resources: dict[str, Any]) -> list[str]:
    return [one.name for one in active_medications(record_of(*resources))]


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


@pytest.mark.parametrize(
    ("status", "active"),
    [("active", True), ("on-hold", False), ("cancelled", False), ("completed", False), ("entered-in-error", False),
     ("stopped", False), ("draft", False), ("unknown", False)],
)  # fmt: skip
def test_the_status_of_an_order_decides(status: str, active: bool) -> None:
    assert bool(_names(request(METFORMIN, status=status))) is active


@pytest.mark.parametrize(("when", "active"), [("2025-11-20", True), ("2025-11-19", False), (None, False)])
def test_an_order_without_a_status_counts_for_a_year(when: str | None, active: bool) -> None:
    order = request(METFORMIN, authoredOn=when)
    given = {key: value for key, value in order.items() if key != "status" and value is not None}
    assert bool(_names(given)) is active


@pytest.mark.parametrize(
    ("status", "active"),
    [("active", True), ("intended", True), ("completed", False), ("entered-in-error", False), ("stopped", False),
     ("on-hold", False), ("unknown", False), ("not-taken", False)],
)  # fmt: skip
def test_the_status_of_a_statement_decides(status: str, active: bool) -> None:
    assert bool(_names(statement(METFORMIN, status=status))) is active


@pytest.mark.parametrize(
    ("intent", "active"),
    [("order", True), ("original-order", True), ("reflex-order", True), ("filler-order", True),
     ("instance-order", True), ("proposal", False), ("plan", False), ("option", False)],
)  # fmt: skip
def test_only_an_order_counts(intent: str, active: bool) -> None:
    assert bool(_names(request(METFORMIN, intent=intent))) is active


def test_an_order_not_to_give_is_not_on_the_list() -> None:
    assert _names(request(METFORMIN, doNotPerform=True)) == []


@pytest.mark.parametrize(
    ("end", "active"), [("2026-11-19", False), ("2026-11-20", True), ("2026-11-20T08:59:00Z", False), ("2027", True)]
)
def test_an_order_ends_with_its_validity_or_its_bounds(end: str, active: bool) -> None:
    bounds = {"timing": {"repeat": {"boundsPeriod": {"start": "2026-01-01", "end": end}}}}
    assert bool(_names(request(METFORMIN, dispenseRequest={"validityPeriod": {"end": end}}))) is active
    assert bool(_names(request(METFORMIN, dosageInstruction=[bounds]))) is active
    assert bool(_names(statement(METFORMIN, effectivePeriod={"start": "2026-01-01", "end": end}))) is active


def test_one_instruction_that_goes_on_keeps_the_order() -> None:
    over = {"timing": {"repeat": {"boundsPeriod": {"end": "2026-01-01"}}}}
    assert _names(request(METFORMIN, dosageInstruction=[over, {"text": "1 tablet daily"}])) == ["metformin"]


def test_what_was_written_after_the_instant_of_the_record_is_not_there_yet() -> None:
    assert _names(request(METFORMIN, authoredOn="2026-12-01")) == []


@pytest.mark.parametrize(
    ("stated", "sources"),
    [
        ("metformin", ["MedicationRequest/m1"]),
        ("metformin 500 mg tablet", ["MedicationRequest/m1"]),
        ("metformin 850 mg tablet", ["MedicationRequest/m1", "MedicationStatement/s1"]),
        ("Janumet", ["MedicationRequest/m1", "MedicationStatement/s1"]),
        ("herbal drops", ["MedicationRequest/m1", "MedicationStatement/s1"]),
    ],
)
def test_a_statement_that_repeats_an_order_is_that_order(stated: str, sources: list[str]) -> None:
    found = active_medications(record_of(request(METFORMIN), statement(stated)))
    assert [one.source for one in found] == sources


# one and the same order, as a server of its own, a version of it, or both name it
@pytest.mark.parametrize("start", ["", "https://ehr.example/fhir/"])
@pytest.mark.parametrize("end", ["", "/_history/3"])
def test_an_order_is_the_same_however_its_reference_is_written(start: str, end: str) -> None:
    named = {"reference": f"{start}MedicationRequest/m1{end}"}
    later = request(METFORMIN, "m2", priorPrescription=named)
    assert [one.source for one in active_medications(record_of(request(METFORMIN), later))] == ["MedicationRequest/m2"]
    given_out = dispense(METFORMIN, authorizingPrescription=[named])
    assert active_medications(record_of(request(METFORMIN, status="stopped"), given_out)) == ()


@pytest.mark.parametrize("status", ["active", "completed", "stopped"])
def test_an_order_that_a_later_one_replaces_is_not_on_the_list(status: str) -> None:
    later = request(METFORMIN, "m2", status=status, priorPrescription={"reference": "MedicationRequest/m1"})
    found = active_medications(record_of(request(METFORMIN), later))
    assert [one.source for one in found] == (["MedicationRequest/m2"] if status == "active" else [])


@pytest.mark.parametrize(
    ("more", "active"),
    [
        ({"intent": "plan", "reportedBoolean": True}, True),
        ({"intent": "plan", "reportedReference": {"reference": "Patient/p1"}}, True),
        ({"intent": "plan", "reportedBoolean": False}, False),
        ({"intent": "plan", "reportedBoolean": True, "status": "stopped"}, False),
        ({"intent": "plan", "reportedBoolean": True, "doNotPerform": True}, False),
        ({"intent": "proposal", "reportedBoolean": True}, False),
        ({"intent": "order", "reportedBoolean": True}, True),
    ],
)
def test_what_the_patient_takes_without_a_prescription_is_a_reported_plan(more: dict[str, Any], active: bool) -> None:
    assert bool(_names(request(METFORMIN, **more))) is active


def test_a_draft_or_a_plan_replaces_nothing_yet() -> None:
    for more in ({"status": "draft"}, {"intent": "plan"}):
        later = request(METFORMIN, "m2", priorPrescription={"reference": "MedicationRequest/m1"}, **more)
        assert "MedicationRequest/m1" in [
            one.source for one in active_medications(record_of(request(METFORMIN), later))
        ]


class TestDispenses:
    """What a pharmacy gave out counts while the supply lasts, where no order tells of it."""

    def test_a_dispense_is_on_the_list_with_its_source_and_day(self) -> None:
        (found,) = active_medications(record_of(dispense(METFORMIN, dosageInstruction=[{"text": "1 tablet bid"}])))
        assert (found.source, found.name) == ("MedicationDispense/d1", "metformin")
        assert found.authored is not None
        assert found.authored.date == "2026-11-01"
        assert found.dose.per_day[0].high == 1000.0

    @pytest.mark.parametrize(
        ("given", "days", "active"),
        [
            ("2026-11-01", 18, False),
            ("2026-11-01", 19, True),
            ("2026-08-23", None, True),
            ("2026-08-20", None, False),
            ("2026-11-25", 30, False),
        ],
    )
    def test_it_counts_while_the_supply_lasts(self, given: str, days: int | None, active: bool) -> None:
        given_out = dispense(METFORMIN, whenHandedOver=given)
        given_out["daysSupply"] = {"value": days, "code": "d"} if days else {}
        assert bool(_names(given_out)) is active

    @pytest.mark.parametrize("status", ["preparation", "in-progress", "cancelled", "stopped", "declined", "on-hold"])
    def test_only_what_was_handed_over_counts(self, status: str) -> None:
        assert _names(dispense(METFORMIN, status=status)) == []

    def test_one_without_a_day_says_nothing_about_today(self) -> None:
        assert _names({key: one for key, one in dispense(METFORMIN).items() if key != "whenHandedOver"}) == []

    @pytest.mark.parametrize("status", ["active", "stopped", "completed"])
    def test_the_order_it_was_given_out_for_goes_first(self, status: str) -> None:
        given_out = dispense(METFORMIN, authorizingPrescription=[{"reference": "MedicationRequest/m1"}])
        found = active_medications(record_of(request(METFORMIN, status=status), given_out))
        assert [one.source for one in found] == (["MedicationRequest/m1"] if status == "active" else [])

    def test_a_drug_that_an_order_tells_is_not_counted_twice(self) -> None:
        assert _names(request("metformin"), dispense(METFORMIN)) == ["metformin"]
        assert _names(dispense(METFORMIN), dispense(METFORMIN, "d2")) == ["metformin"]

    def test_it_makes_a_renewal(self) -> None:
        assert not is_new_start(record_of(dispense(METFORMIN, whenHandedOver="2026-06-01")), RXCUI)
        assert is_new_start(record_of(dispense(METFORMIN, whenHandedOver="2026-05-01")), RXCUI)


class TestNewStart:
    """No order of the ingredient that was taken in the last 180 days."""

    def test_without_any_order_it_is_new(self) -> None:
        assert is_new_start(record_of(request("warfarin")), RXCUI)

    @pytest.mark.parametrize("status", ["active", "completed", "stopped", "on-hold", "unknown"])
    def test_a_recent_order_that_was_taken_makes_it_a_renewal(self, status: str) -> None:
        assert not is_new_start(record_of(request(METFORMIN, status=status)), RXCUI)

    @pytest.mark.parametrize("status", ["draft", "cancelled", "entered-in-error"])
    def test_an_order_that_was_never_taken_does_not(self, status: str) -> None:
        assert is_new_start(record_of(request(METFORMIN, status=status)), RXCUI)

    @pytest.mark.parametrize(("when", "new"), [("2026-05-24", False), ("2026-05-23", True)])
    def test_a_finished_order_counts_for_180_days(self, when: str, new: bool) -> None:
        assert is_new_start(record_of(request(METFORMIN, status="completed", authoredOn=when)), RXCUI) is new

    def test_an_active_order_counts_however_old(self) -> None:
        assert not is_new_start(record_of(request(METFORMIN, authoredOn="2001-01-01")), RXCUI)

    def test_an_old_order_that_ended_recently_counts(self) -> None:
        ended = request(
            METFORMIN,
            status="completed",
            authoredOn="2020-01-01",
            dispenseRequest={"validityPeriod": {"end": "2026-10-01"}},
        )
        assert not is_new_start(record_of(ended), RXCUI)

    def test_a_statement_counts(self) -> None:
        assert not is_new_start(record_of(statement(METFORMIN)), RXCUI)

    def test_a_combination_counts_for_each_ingredient(self) -> None:
        assert not is_new_start(record_of(request("Janumet")), RXCUI)

    def test_the_draft_itself_is_no_earlier_order(self) -> None:
        record = record_of(request(METFORMIN))
        assert is_new_start(record, RXCUI, besides="MedicationRequest/m1")

    @pytest.mark.parametrize("more", [{"intent": "plan"}, {"doNotPerform": True}, {"authoredOn": "2026-12-24"}])
    def test_what_is_no_order_does_not_count(self, more: dict[str, Any]) -> None:
        assert is_new_start(record_of(request(METFORMIN, **more)), RXCUI)


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


class TestAdministrations:
    """What was given in the hospital counts for two days, where nothing else tells of it."""

    @pytest.mark.parametrize(
        ("when", "active"),
        [
            ({"effectiveDateTime": "2026-11-19"}, True),
            ({"effectiveDateTime": "2026-11-18T10:00:00Z"}, True),
            ({"effectiveDateTime": "2026-11-18T08:00:00Z"}, False),
            ({"effectiveDateTime": "2026-11-25"}, False),
            ({"effectiveDateTime": None, "effectivePeriod": {"start": "2026-11-12", "end": "2026-11-19"}}, True),
            ({"effectiveDateTime": None, "effectivePeriod": {"start": "2026-11-12", "end": "2026-11-13"}}, False),
            ({"effectiveDateTime": None}, False),
        ],
    )
    def test_it_counts_for_two_days(self, when: dict[str, Any], active: bool) -> None:
        given = {name: part for name, part in administration(METFORMIN, **when).items() if part is not None}
        assert bool(_names(given)) is active

    @pytest.mark.parametrize("status", ["not-done", "on-hold", "stopped", "unknown", "entered-in-error"])
    def test_only_what_was_given_counts(self, status: str) -> None:
        assert _names(administration(METFORMIN, status=status)) == []

    def test_the_order_goes_first_and_the_drug_is_no_new_start(self) -> None:
        given = administration(METFORMIN, request={"reference": "MedicationRequest/m1"})
        stopped = request(METFORMIN, status="stopped")
        assert active_medications(record_of(stopped, given)) == ()
        assert not is_new_start(record_of(administration(METFORMIN)), RXCUI)
        assert [one.source for one in active_medications(record_of(request(METFORMIN), administration(METFORMIN)))] == [
            "MedicationRequest/m1"
        ]


@pytest.mark.parametrize(
    ("more", "active"),
    [
        ({"authoredOn": "1987-03-02"}, False),
        ({"authoredOn": "2016-11-01"}, False),
        ({"authoredOn": "2017-01-01"}, True),
        ({"authoredOn": "1987-03-02", "dispenseRequest": {"validityPeriod": {"end": "2027-01-01"}}}, True),
    ],
)
def test_an_order_of_over_ten_years_ago_without_an_end_is_named_and_not_taken(
    more: dict[str, Any], active: bool
) -> None:
    record = record_of(request(METFORMIN, **more))
    assert bool(active_medications(record)) is active
    assert bool(record.refusals) is not active
    if not active:
        assert "metformin was ordered on" in record.refusals[0].text


def test_what_has_an_unknown_status_is_neither_taken_nor_absent() -> None:
    stated = statement("warfarin", status="unknown", dateAsserted="2026-11-01")
    old = statement("digoxin", "s2", status="unknown", dateAsserted="2026-05-01")
    record = record_of(stated, old, request(METFORMIN), statement(METFORMIN, "s3", status="unknown"))
    assert [one.name for one in active_medications(record)] == ["metformin"]
    assert [one.name for one in uncertain_medications(record)] == ["warfarin"]


def test_what_is_on_hold_is_named() -> None:
    held = request("oxycodone 5 mg tablet", status="on-hold")
    assert active_medications(record_of(held)) == ()
    assert [one.name for one in held_medications(record_of(held))] == ["oxycodone"]


@pytest.mark.parametrize(
    ("end", "active"),
    [("2026-11-20T09:00:00Z", True), ("2026-11-20T08:59:59Z", False), ("2026-11-20", True), ("2026-11-19", False)],
)
def test_an_order_goes_on_to_the_last_instant_of_its_bounds(end: str, active: bool) -> None:
    dosage = {"text": "1 tablet", "timing": {"repeat": {"boundsPeriod": {"start": "2026-11-01", "end": end}}}}
    assert bool(_names(request(METFORMIN, dosageInstruction=[dosage]))) is active
