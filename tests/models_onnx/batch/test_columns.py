"""Columns of a table as numbers: every form of a value, every unit, and what is refused at its limits."""

from typing import Any

import numpy as np
import pyarrow
import pytest

from fhir.mapping.features.catalog import FEATURES
from models_onnx.artifact.manifest import Manifest
from models_onnx.batch import BatchModel, TableDeclaration, load
from models_onnx.batch.columns import Column, column_of, read_input
from models_onnx.batch.declaration import InputColumn, plan_of
from models_onnx.errors import BatchRefused
from tests.each import rows_of


def _column(name: str = "creatinine_mg_dl", **more: Any) -> InputColumn:
    return InputColumn(FEATURES[name], more.pop("column", name), **more)


def _arrow(*values: Any) -> Column:
    """The values as Arrow has them: all numbers, or all texts."""
    are_numbers = all(type(value) in (int, float, type(None)) for value in values)
    texts = [None if value is None else str(value) for value in values]
    array = pyarrow.array(values, pyarrow.float64()) if are_numbers else pyarrow.array(texts, pyarrow.string())
    return column_of(array, "a")


def _read(source: InputColumn, *values: Any) -> Any:
    """The values (None where missing), the places of the unreadable ones and of the implausible ones."""
    try:
        numbers, unreadable, implausible = read_input(source, _arrow(*values))
    except BatchRefused as refused:
        return str(refused)
    rounded = [None if np.isnan(number) else round(float(number), 4) for number in numbers]
    return rounded, np.flatnonzero(unreadable).tolist(), np.flatnonzero(implausible).tolist()


def _strange(*values: float) -> Any:
    """Return how many values cannot be; the sentence where the column is refused."""
    read = _read(_column(), *values)
    return read if isinstance(read, str) else len(read[2])


def test_a_column_of_which_a_twentieth_cannot_be_is_in_another_unit_or_in_two() -> None:
    usual, other = [1.0] * 95, [88.0, 90.0, 92.0, 94.0]
    assert _strange(*usual, *other) == 4
    assert _strange(*[1.0] * 96, *other, 96.0) == 5
    assert _strange(*usual, *other, 96.0) == (
        "5 of 100 values of the column creatinine_mg_dl are outside 0.1 to 20 mg/dL, which nobody's creatinine is. A "
        "column is in one unit: say which (--unit creatinine_mg_dl=UNIT), convert the rows that are in another one, "
        "and leave blank what is no value."
    )
    assert "20 of 20 values" in _strange(*[88.0] * 20)
    assert _strange(*[88.0] * 19) == 19


COHORT = "adults of 40 and over, not pregnant, living at home, with at least 8 of the 11 laboratory values"


@pytest.fixture(scope="module")
def panel() -> BatchModel:
    """The committed model with its twin."""
    return load("mortality_5y")


@pytest.fixture(scope="module")
def manifest(panel: BatchModel) -> Manifest:
    """Its manifest."""
    return panel.model.manifest


def columns(manifest: Manifest, *more: str, without: tuple[str, ...] = ()) -> list[str]:
    """The columns of a table that has every input under its own name."""
    return [*(item.name for item in manifest.features if item.name not in without), "pregnancy", *more]


@pytest.mark.parametrize(
    ("declared", "without", "more", "sentence"),
    rows_of(__file__, "a_table_that_leaves_something_open_is_refused_with_what_to_declare"),
)
def test_a_table_that_leaves_something_open_is_refused_with_what_to_declare(
    manifest: Manifest, declared: dict[str, Any], without: tuple[str, ...], more: list[str], sentence: str
) -> None:
    table = [*(name for name in columns(manifest) if name not in without), *more]
    with pytest.raises(BatchRefused) as refused:
        plan_of(manifest, table, TableDeclaration(**declared))
    assert str(refused.value) == sentence


def test_a_unit_that_is_not_known_is_refused_with_those_that_are(manifest: Manifest) -> None:
    with pytest.raises(BatchRefused) as refused:
        plan_of(manifest, columns(manifest), TableDeclaration(units={"bun": "stone"}))
    measured = FEATURES["bun_mg_dl"].measured
    assert measured is not None
    units = ", ".join(sorted(measured.units))
    assert str(refused.value) == f"The unit 'stone' is not known for bun_mg_dl (column bun_mg_dl); known are: {units}."
