"""The equations reproduce every published or computed vector, and refuse what they are not for."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from fhir.mapping.equations import (
    WeightRule,
    adjusted_weight_kg,
    body_mass_index,
    ckd_epi_2021,
    cockcroft_gault,
    dosing_weight,
    ideal_weight_kg,
    is_creatinine_unstable,
    mean_arterial_pressure,
    newest_weight,
)
from tests.each import for_rows
from tests.fhir.builders import MAN, observation, record_of, weight

# No time limit: the first example loads the tables, and the machine may be busy.
CALM = settings(deadline=None)

CASES = Path(__file__).parents[2] / "models_onnx" / "equations" / "published"


def _vectors(name: str) -> list[dict[str, Any]]:
    vectors = json.loads((CASES / f"{name}.json").read_text(encoding="utf-8"))["test_vectors"]
    return [{**vector, **vector["inputs"]} for vector in vectors]


@pytest.mark.parametrize("vector", _vectors("ckd_epi_2021_creatinine"), ids=lambda vector: vector["id"])
def test_ckd_epi_2021_equals_its_vectors(vector: dict[str, Any]) -> None:
    value = ckd_epi_2021(vector["age"], vector["sex"], vector["creatinine"])
    assert value == pytest.approx(vector["expected"], rel=1e-9)
    if "published" in vector:
        assert round(value, vector["published_decimals"]) == vector["published"]


@pytest.mark.parametrize("vector", _vectors("cockcroft_gault"), ids=lambda vector: vector["id"])
def test_cockcroft_gault_equals_its_vectors(vector: dict[str, Any]) -> None:
    value = cockcroft_gault(vector["age"], vector["sex"], vector["weight"], vector["creatinine"])
    assert value == pytest.approx(vector["expected"], rel=1e-9)


@pytest.mark.outside_data
@pytest.mark.parametrize("name", ["ckd_epi_2021_creatinine", "cockcroft_gault"])
def test_no_vector_of_the_data_folder_is_missing_here(name: str, data_folder: Path) -> None:
    given = json.loads((data_folder / "equations" / f"{name}.json").read_text(encoding="utf-8"))["test_vectors"]
    ours = {vector["id"]: vector["expected"] for vector in _vectors(name)}
    assert {vector["id"]: vector["expected"] for vector in given} == ours


@for_rows(("age", "creatinine"), [(17, 1.0), (121, 1.0), (50, 0.05), (50, 20.1)])
def test_outside_its_range_an_equation_refuses(age: int, creatinine: float) -> None:
    with pytest.raises(ValueError, match="outside the range"):
        ckd_epi_2021(age, "female", creatinine)
    with pytest.raises(ValueError, match="outside the range"):
        cockcroft_gault(age, "female", 70.0, creatinine)


@pytest.mark.parametrize("weight", [29.9, 300.1])
def test_a_weight_outside_the_range_is_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="weight"):
        cockcroft_gault(50, "male", weight, 1.0)


def test_ideal_and_adjusted_weight() -> None:
    assert ideal_weight_kg("male", 177.8) == pytest.approx(73.0)
    assert ideal_weight_kg("female", 152.4) == pytest.approx(45.5)
    assert adjusted_weight_kg(100.0, 50.0) == pytest.approx(70.0)


def test_body_mass_index_and_mean_pressure() -> None:
    assert body_mass_index(81.0, 180.0) == pytest.approx(25.0)
    assert mean_arterial_pressure(120.0, 90.0) == pytest.approx(100.0)
    assert is_creatinine_unstable([]) is False


@for_rows(
    ("kilograms", "rule", "height", "expected"),
    [
        # A man of 152.4 cm has an ideal weight of 50 kg; 130 % of it are 65 kg.
        (65.0, "adjusted", 152.4, (65.0, "actual", "")),
        (75.0, "adjusted", 152.4, (60.0, "adjusted", "Adjusted body weight: actual is over 130 % of ideal.")),
        # So short that the equation gives less than nothing.
        (75.0, "adjusted", 95.0, (75.0, "actual", "")),
        (75.0, "actual", 152.4, (75.0, "actual", "")),
        (75.0, "adjusted", None, (75.0, "actual", "Height is missing: actual weight used, which may be too high.")),
    ],
)
def test_the_weight_of_a_dose_is_adjusted_over_130_percent_of_the_ideal(
    kilograms: float, rule: WeightRule, height: float | None, expected: tuple[float, str, str]
) -> None:
    heights = [observation("8302-2", height, "cm", "2020-01-01")] if height else []
    record = record_of(weight(kilograms), *heights, patient=MAN)
    measured = newest_weight(record)
    assert measured is not None
    used, used_rule, note = dosing_weight(record, measured, rule)
    assert used == pytest.approx(expected[0])
    assert (used_rule, note) == expected[1:]


@for_rows(("kilograms", "counts"), [(29.9, False), (30.0, True), (300.0, True), (300.1, False)])
def test_a_weight_counts_within_the_range_of_the_equation(kilograms: float, counts: bool) -> None:
    assert (newest_weight(record_of(weight(kilograms))) is not None) is counts
