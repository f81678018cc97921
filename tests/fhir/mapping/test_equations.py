"""The equations reproduce every published or computed vector, and refuse what they are not for."""

import json
from pathlib import Path
from typing import Any

import pytest

from fhir.mapping.equations import (
    ckd_epi_2021,
    cockcroft_gault,
)
from tests.each import for_rows

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
