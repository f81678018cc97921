"""A table that leaves a column's meaning open is refused with what to say."""

import pytest

from models_onnx.artifact.manifest import Manifest
from models_onnx.batch import BatchModel, load
from models_onnx.batch.plan import plan_of
from models_onnx.errors import BatchRefused
from tests.each import each_row


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


@each_row(("without", "more", "exclude", "sentence"))
def test_a_table_that_leaves_something_open_is_refused_with_what_to_say(
    manifest: Manifest, without: list[str], more: list[str], exclude: list[str], sentence: str
) -> None:
    table = [*(name for name in columns(manifest) if name not in without), *more]
    with pytest.raises(BatchRefused, match=sentence):
        plan_of(manifest, table, exclude)
