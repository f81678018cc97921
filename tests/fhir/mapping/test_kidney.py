"""Kidney function: which value is the best, when values contradict each other, and why there is none."""

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from fhir.mapping.equations import ckd_epi_2021, cockcroft_gault
from fhir.mapping.kidney import KidneyAbsence, KidneyEstimate, KidneyFunction, crcl_cockcroft_gault, egfr_best
from fhir.record.datatypes import parse_time
from fhir.record.record import PatientRecord, read_record
from tests.each import each_row, for_rows
from tests.fhir.builders import (
    ICD10,
    MAN,
    WOMAN,
    condition,
    creatinine,
    egfr,
    encounter,
    lean,
    observation,
    quantity,
    record_of,
    weight,
)

PER_AREA = "mL/min/{1.73_m2}"
NOVEMBER = "2026-11-10T08:00:00Z"
CHILD = WOMAN | {"birthDate": "2010-01-01"}
HEIGHT = observation("8302-2", 160.0, "cm", "2020-01-01")
STAY = encounter("IMP", id="e", period={"start": "2026-11-18"})


def _estimate(found: KidneyFunction) -> KidneyEstimate:
    assert isinstance(found, KidneyEstimate), found
    return found


def _reported(text: str, when: str = "2026-11-10T08:00:00Z", **more: Any) -> dict[str, Any]:
    """An eGFR in words."""
    return observation("98979-8", when=when, id=f"words-{text}-{when}", valueString=text) | more


def _compared(
    comparator: str, value: float, when: str = "2026-11-10T08:00:00Z", unit: str = PER_AREA
) -> dict[str, Any]:
    """An eGFR with a comparator."""
    bounded = quantity(value, unit, comparator=comparator)
    return observation("98979-8", when=when, id=f"{comparator}{value}-{when}", valueQuantity=bounded)


def _absence(found: KidneyFunction) -> KidneyAbsence:
    assert isinstance(found, KidneyAbsence), found
    return found


def _facts(found: KidneyFunction, names: Iterable[str]) -> dict[str, Any]:
    """These fields of an answer; a field that it does not have is named so."""
    return {name: getattr(found, name, "no such field") for name in names}


OF_1_5 = ckd_epi_2021(70, "female", 1.5)  # 37.2
OCTOBER, EARLIER, LATER = "2026-10-01T08:00:00Z", "2026-11-10T06:00:00Z", "2026-11-10T18:00:00Z"
BORN_UNKNOWN = {key: value for key, value in WOMAN.items() if key != "birthDate"}
BEST: list[tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]] = [
    # An eGFR of which the laboratory says only on which side of a number it lies is used as a limit.
    ([_compared(">", 60)], WOMAN, {"side": ">", "value": 60.0, "stale": False}),
    ([_compared(">=", 90)], WOMAN, {"side": ">=", "value": 90.0, "stale": False}),
    ([_compared("<", 15)], WOMAN, {"side": "<", "value": 15.0, "stale": False}),
    ([_reported(">60")], WOMAN, {"side": ">", "value": 60.0, "stale": False}),
    ([_reported("> 60 mL/min/1.73m2")], WOMAN, {"side": ">", "value": 60.0, "stale": False}),
    ([_reported("≥90")], WOMAN, {"side": ">=", "value": 90.0, "stale": False}),
    ([_reported("<15")], WOMAN, {"side": "<", "value": 15.0, "stale": False}),
    # What cannot be read is not used.
    ([_reported("normal")], WOMAN, {"reason": "missing"}),
    ([_reported("60")], WOMAN, {"reason": "missing"}),
    ([_reported(">60 mmol/L")], WOMAN, {"reason": "missing"}),
    ([_compared(">", 60) | {"status": "preliminary"}], WOMAN, {"reason": "missing"}),
    ([_compared(">", 600)], WOMAN, {"reason": "missing"}),
    # In mL/min a limit is used only where there is nothing else.
    ([_compared(">", 60, unit="mL/min")], WOMAN, {"side": ">", "method": "reported, unit unclear"}),
    ([_compared(">", 60, unit="mL/min"), creatinine(2.0, OCTOBER)], WOMAN, {"side": None}),
    # A number of the same day or later goes before a limit, and a limit before an older number.
    ([_compared(">", 60), creatinine(1.2)], WOMAN, {"side": None}),
    ([_compared(">", 60), creatinine(1.2, "2026-11-12T08:00:00Z")], WOMAN, {"side": None}),
    ([_compared(">", 60), creatinine(2.0, OCTOBER)], WOMAN, {"side": ">"}),
    # Under a limit says less than a low number.
    ([_compared("<", 15), egfr(12.0, OCTOBER)], WOMAN, {"value": 12.0}),
    ([_compared("<", 15), egfr(15.0, OCTOBER)], WOMAN, {"side": "<"}),
    ([_compared("<", 15), egfr(40.0, OCTOBER)], WOMAN, {"side": "<"}),
    # A value of 365 days before counts beside it, an older one does not.
    ([_compared("<", 15), egfr(12.0, "2025-11-20T09:00:00Z")], WOMAN, {"value": 12.0}),
    ([_compared("<", 15), egfr(12.0, "2025-11-18T09:00:00Z"), creatinine(1.5, OCTOBER)], WOMAN, {"side": "<"}),
    # Estimated from creatinine, which may be molar; the newest of reported and estimated, on one day the reported.
    ([creatinine(1.5)], WOMAN, {
        "value": OF_1_5, "method": "CKD-EPI 2021", "unit": "mL/min/{1.73_m2}", "time": parse_time(NOVEMBER),
        "sources": (f"Observation/o-2160-0-1.5-{NOVEMBER}",)}),
    ([creatinine(190.0, unit="umol/L")], WOMAN, {
        "value": pytest.approx(ckd_epi_2021(70, "female", 190.0 / 88.4), rel=1e-4)}),
    ([egfr(50.0, "2026-10-01"), creatinine(1.5, "2026-11-01")], WOMAN, {"method": "CKD-EPI 2021"}),
    ([egfr(50.0, "2026-11-01"), creatinine(1.5, "2026-10-01")], WOMAN, {"value": 50.0}),
    ([egfr(40.0, EARLIER), creatinine(1.5)], WOMAN, {"value": 40.0, "method": "reported", "disputed": False}),
    # Of two values with one timestamp the worse, of one day the later.
    ([creatinine(1.2), creatinine(1.4)], WOMAN, {"value": ckd_epi_2021(70, "female", 1.4)}),
    ([creatinine(1.4, EARLIER), creatinine(1.3, LATER)], WOMAN, {"value": ckd_epi_2021(70, "female", 1.3)}),
    ([creatinine(3.0, EARLIER), creatinine(1.3, LATER)], WOMAN, {"disputed": False}),
    # Values of one day that differ by over 30 percent are disputed, and the lower is used.
    ([egfr(53.2), creatinine(1.5)], WOMAN, {"value": 53.2, "disputed": False, "notes": ()}),
    ([egfr(53.3), creatinine(1.5)], WOMAN, {"value": OF_1_5, "disputed": True}),
    ([egfr(26.1), creatinine(1.5)], WOMAN, {"value": 26.1, "disputed": False, "notes": ()}),
    ([egfr(26.0), creatinine(1.5)], WOMAN, {"value": 26.0, "disputed": True}),
    ([egfr(70.0), egfr(100.0)], WOMAN, {"disputed": False}),
    ([egfr(40.0), egfr(37.0, "2026-10-01"), egfr(82.0, "2026-10-01")], WOMAN, {"disputed": False}),
    # One in mL/min gives way to the creatinine of its day or an older one, but not of years ago.
    ([egfr(40.0, unit="mL/min"), creatinine(1.5)], WOMAN, {"method": "CKD-EPI 2021", "disputed": False}),
    ([egfr(20.0, unit="mL/min"), creatinine(1.5, "2026-09-01")], WOMAN, {"value": OF_1_5}),
    ([egfr(40.0, unit="mL/min"), creatinine(1.5, "2016-09-01")], WOMAN, {
        "value": 40.0, "method": "reported, unit unclear"}),
    ([egfr(26.7, unit="mL/min"), creatinine(0.62)], WOMAN, {"value": 26.7, "disputed": True}),
    # Dialysis counts as 0, CKD 5 alone does not.
    ([creatinine(1.0), condition("Z99.2", ICD10, onsetDateTime="2020-01-01")], WOMAN, {
        "value": 0.0, "method": "dialysis", "sources": ("Condition/c-Z99.2",)}),
    ([creatinine(1.0), condition("265764009", onsetDateTime="2020-01-01")], WOMAN, {
        "value": 0.0, "method": "dialysis", "sources": ("Condition/c-265764009",)}),
    ([creatinine(1.0), condition("433146000")], WOMAN, {"value": ckd_epi_2021(70, "female", 1.0)}),
    # Adults only; without a birth date a reported eGFR still counts.
    ([creatinine(1.0), egfr(90.0)], WOMAN | {"birthDate": "2008-11-20"}, {"value": 90.0}),
    ([creatinine(1.0), egfr(90.0)], WOMAN | {"birthDate": "2008-11-21"}, {"reason": "under-18"}),
    ([egfr(40.0), creatinine(1.0)], BORN_UNKNOWN, {"value": 40.0}),
    ([creatinine(1.0)], BORN_UNKNOWN, {"reason": "no-age"}),
    ([creatinine(1.5)], WOMAN | {"birthDate": "1906-11-20"}, {"method": "CKD-EPI 2021"}),  # 120 years
    # Missing, too old, refused; in hospital the limit is 30 days.
    ([], WOMAN, {"reason": "missing", "old": None}),
    ([creatinine(3.0, "2025-11-20")], WOMAN, {"value": ckd_epi_2021(70, "female", 3.0), "stale": False}),
    ([creatinine(1.0, "2026-10-21"), STAY], WOMAN, {"value": ckd_epi_2021(70, "female", 1.0), "stale": False}),
    ([creatinine(1.0, "2026-10-20"), STAY], WOMAN, {"reason": "stale"}),
    ([creatinine(1.0, "2027-01-01")], WOMAN, {"reason": "missing"}),
]  # fmt: skip


@for_rows(("entries", "patient", "expected"), BEST)
def test_the_best_egfr(entries: list[dict[str, Any]], patient: dict[str, Any], expected: dict[str, Any]) -> None:
    found = egfr_best(record_of(*entries, patient=patient))
    assert _facts(found, expected) == expected
    if isinstance(found, KidneyEstimate) and found.disputed:
        assert found.notes


@pytest.mark.parametrize("gender", ["other", "unknown"])
def test_without_male_or_female_the_lower_of_both_is_used_and_the_range_said(gender: str) -> None:
    found, woman, man = (
        _estimate(egfr_best(record_of(creatinine(1.0), patient=WOMAN | {"gender": sex})))
        for sex in (gender, "female", "male")
    )
    assert found.value == woman.value < man.value
    assert found.notes == (
        f"The sex is not known: {woman.value:.0f} (female) to {man.value:.0f} (male); the lower is used.",
    )


def _case_record(path: Path) -> tuple[dict[str, Any], PatientRecord]:
    case = json.loads(path.read_text(encoding="utf-8"))
    request = case["request"]
    prefetch = {key: lean(value) for key, value in request["prefetch"].items()}
    return case, read_record(prefetch, request["context"]["patientId"], datetime.fromisoformat(case["as_of"]))


# The figures the cases of the data folder state in their `why` and `gist`.
@pytest.mark.outside_data
@pytest.mark.parametrize(
    ("case", "low", "high"),
    [("oc-012", 28, 28), ("oc-013", 30, 30), ("oc-014", 45, 45), ("oc-015", 24.0, 24.2), ("oc-018", 26.6, 26.8),
     ("oc-019", 27.5, 28.5), ("oc-029", 28.9, 29.1), ("oc-030", 36.5, 37.5)],
)  # fmt: skip
def test_egfr_of_the_given_cases(case: str, low: float, high: float, data_folder: Path) -> None:
    _, record = _case_record(data_folder / "cases" / "order-select" / f"{case}.json")
    assert low <= _estimate(egfr_best(record)).value <= high


@pytest.mark.outside_data
@pytest.mark.parametrize(
    ("case", "value"), [("oc-023", 36.4), ("oc-024", 10.2), ("oc-025", 75), ("oc-028", 25.5), ("oc-038", 15.8)]
)
def test_clearance_of_the_given_cases(case: str, value: float, data_folder: Path) -> None:
    _, record = _case_record(data_folder / "cases" / "order-select" / f"{case}.json")
    assert _estimate(crcl_cockcroft_gault(record, "actual")).value == pytest.approx(value, abs=0.55)


@pytest.mark.outside_data
def test_the_given_cases_without_kidney_function_have_none(data_folder: Path) -> None:
    for case in ("oc-016", "oc-017"):
        _, record = _case_record(data_folder / "cases" / "order-select" / f"{case}.json")
        assert _absence(egfr_best(record)).reason == "missing"


@each_row(("codes", "value", "method", "source"))
def test_a_stage_on_the_problem_list_is_an_upper_limit(
    codes: list[str], value: float, method: Any, source: str
) -> None:
    problems = [condition(code, ICD10, onsetDateTime="2026-01-01") for code in codes]
    note = f"{method} is on the problem list without a recent value: repeat creatinine; no dose is derived."
    assert egfr_best(record_of(*problems)) == KidneyEstimate(
        value, PER_AREA, method, parse_time("2026-01-01"), (source,), side="<", notes=(note,)
    )
    transplanted = condition("Z94.0", ICD10)
    assert isinstance(egfr_best(record_of(*problems, transplanted)), KidneyAbsence)


# Creatinine clearance: from which weight and creatinine it is estimated, and why there is none.
CLEARANCES: list[tuple[list[dict[str, Any]], dict[str, Any], str, dict[str, Any]]] = [
    # The newest creatinine and weight; men have no factor, and the weight of an adult may be old.
    ([creatinine(1.5), weight(60.0), weight(90.0, "2019-01-01")], WOMAN, "actual", {
        "value": cockcroft_gault(70, "female", 60.0, 1.5), "method": "Cockcroft-Gault", "unit": "mL/min",
        "weight_used": "actual"}),
    ([creatinine(1.5), weight(60.0)], MAN, "actual", {"value": cockcroft_gault(70, "male", 60.0, 1.5)}),
    ([creatinine(1.5), weight(68.0, "2010-01-01")], WOMAN, "actual", {"method": "Cockcroft-Gault"}),
    # Over 130 % of the ideal weight the adjusted one is used: ideal 52.4 kg, 130 % are 68.1.
    *(([creatinine(1.5), weight(mass), HEIGHT], WOMAN, asked, {"weight_used": used}) for mass, asked, used in (
        (68.0, "adjusted", "actual"), (69.0, "adjusted", "adjusted"), (69.0, "actual", "actual"))),
    # Without a usable weight, a creatinine or a recent one the eGFR stands in.
    ([creatinine(1.5)], WOMAN, "actual", {"instead_of_clearance": "weight", "value": OF_1_5}),
    ([creatinine(1.5), weight(20.0)], WOMAN, "actual", {"instead_of_clearance": "weight", "value": OF_1_5}),
    ([egfr(40.0), weight(70.0)], WOMAN, "actual", {"instead_of_clearance": "creatinine", "value": 40.0}),
    ([egfr(40.0), creatinine(1.0, "2020-01-01"), weight(70.0)], WOMAN, "actual", {
        "instead_of_clearance": "recent creatinine"}),
    # Nothing, dialysis, children.
    ([weight(70.0)], WOMAN, "actual", {"reason": "missing"}),
    ([creatinine(1.5, "2020-01-01"), weight(70.0)], WOMAN, "actual", {"reason": "stale"}),
    ([creatinine(1.0), weight(70.0), condition("265764009")], WOMAN, "actual", {"value": 0.0}),
    ([creatinine(1.0), weight(40.0)], CHILD, "actual", {"reason": "under-18"}),
]  # fmt: skip


@for_rows(("entries", "patient", "asked", "expected"), CLEARANCES)
def test_a_clearance_by_cockcroft_and_gault(
    entries: list[dict[str, Any]], patient: dict[str, Any], asked: Any, expected: dict[str, Any]
) -> None:
    found = crcl_cockcroft_gault(record_of(*entries, patient=patient), asked)
    assert _facts(found, expected) == expected


@pytest.mark.parametrize("equation", [ckd_epi_2021, cockcroft_gault], ids=lambda function: str(function.__name__))
def test_the_published_vectors_are_reproduced(equation: Callable[..., float]) -> None:
    (file,) = Path(__file__).parent.glob(f"{equation.__name__}*.json")
    for vector in json.loads(file.read_text(encoding="utf-8"))["test_vectors"]:
        assert equation(*vector["inputs"].values()) == pytest.approx(vector["expected"], rel=1e-9), vector["id"]
