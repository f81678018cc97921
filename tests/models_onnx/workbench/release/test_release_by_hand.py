"""Where a new version is written, whose words a card has, and what is joined: on folders of a few files."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from models_onnx.artifact.manifest import Manifest
from models_onnx.artifact.release_file import RELEASE_FORMAT, Release
from models_onnx.errors import TrainingRefused
from models_onnx.workbench.release import card, publishing
from tests.models_onnx.workshop import SIGNER


def _release(folder: Path, version: str, state: str) -> None:
    folder.mkdir()
    release = Release(format=RELEASE_FORMAT, id="m", version=version, state=state, digest="", files={}, gates=None,
                      history=(), key="")  # fmt: skip
    publishing.write_release(folder, release, SIGNER)


def _folder_of(shelf: Path, version: str) -> str:
    return publishing._folder_of_new(shelf / "m", cast(Manifest, SimpleNamespace(id="m", version=version))).name


def test_a_version_lies_beside_one_that_was_gated_and_over_a_draft(tmp_path: Path) -> None:
    assert _folder_of(tmp_path, "1.0.0") == "m"
    _release(tmp_path / "m", "1.0.0", "draft")
    assert _folder_of(tmp_path, "1.0.0") == "m"
    _release(tmp_path / "m@1.1.0", "1.1.0", "draft")
    assert _folder_of(tmp_path, "1.1.0") == "m"


def test_a_released_version_never_changes(tmp_path: Path) -> None:
    _release(tmp_path / "m", "1.0.0", "validated")
    assert _folder_of(tmp_path, "1.1.0") == "m@1.1.0"
    refusal = "m {} is validated already, and a released version never changes: give the declaration another version"
    with pytest.raises(TrainingRefused) as problem:
        _folder_of(tmp_path, "1.0.0")
    assert str(problem.value) == refusal.format("1.0.0")
    _release(tmp_path / "m@1.1.0", "1.1.0", "validated")
    with pytest.raises(TrainingRefused) as problem:
        _folder_of(tmp_path, "1.1.0")
    assert str(problem.value) == refusal.format("1.1.0")
    assert _folder_of(tmp_path, "1.2.0") == "m@1.2.0"


COMPUTED = {"words": "Computed.", "from": "computed", "figures": 1}


@pytest.mark.parametrize(
    ("computed", "declared", "joined"),
    [
        (None, None, {"words": "", "from": "declared"}),
        (None, "Own words.", {"words": "Own words.", "from": "declared"}),
        (COMPUTED, None, COMPUTED),
        (COMPUTED, "", COMPUTED),
        (COMPUTED, "Own words.", {"words": "Computed. Own words.", "from": "computed and declared", "figures": 1}),
        (COMPUTED, {"words": "x"}, {"words": "x"}),
    ],
)
def test_declared_words_come_after_computed_ones(computed: Any, declared: Any, joined: Any) -> None:
    assert card._joined(computed, declared) == joined


def test_what_a_card_says_beyond_its_attributes() -> None:
    row = SimpleNamespace(capacity=0.1, probability=0.25, ppv=0.3, sensitivity=0.4, alerts=9)
    facts = {
        "outcome": SimpleNamespace(horizon_years=30 / 365.25),
        "reference": SimpleNamespace(words="stays of 2024", n=12_345),
        "data": SimpleNamespace(name="t.csv", sha256="ab"),
        "table_period": "2019 to 2024",
        "thresholds": SimpleNamespace(table=(row,), default=row),
        "population": SimpleNamespace(exclude_conditions=()),
    }
    manifest = cast(Manifest, SimpleNamespace(**facts))
    assert card._product(manifest) == {
        "horizon_hours": 720.0,
        "reference_cohort": "stays of 2024 (12,345 people)",
        "training_data": {"name": "t.csv", "sha256": "ab", "period": "2019 to 2024"},
        "thresholds": [{"capacity": 0.1, "probability": 0.25, "ppv": 0.3, "sensitivity": 0.4}],
    }
    hour = SimpleNamespace(**{**facts, "outcome": SimpleNamespace(horizon_years=0.00015)})
    assert card._product(cast(Manifest, hour))["horizon_hours"] == 1.3
    assert card._threshold(manifest) == (
        "A card by default for the top 10 in 100 of the reference cohort (from 25 in 100); of those, 30 in 100 had the "
        "outcome."
    )
    assert card._conditions(manifest) == ""
    ill = SimpleNamespace(population=SimpleNamespace(exclude_conditions=("pregnancy", "dialysis")))
    assert card._conditions(cast(Manifest, ill)) == ", with pregnancy or dialysis on record"
