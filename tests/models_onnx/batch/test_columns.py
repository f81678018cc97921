"""Columns of a table as numbers: every form of a value, every unit, and what is refused at its limits."""

from typing import Any

import pytest

from fhir.mapping.features.catalog import FEATURES
from models_onnx.artifact.manifest import Manifest
from models_onnx.batch import BatchModel, TableDeclaration, load
from models_onnx.batch.declaration import plan_of
from models_onnx.errors import BatchRefused
from tests.each import rows_of


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
