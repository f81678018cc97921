"""Train, evaluate, compare: what is written, and what is only said."""

from pathlib import Path

import pandas as pd
import pytest

from models_onnx.errors import TrainingRefused
from models_onnx.models.mortality_5y import SPEC
from models_onnx.serving.registry import ARTIFACTS, load_model
from models_onnx.workbench.training.commands import check_model, evaluate_rows, train_model
from models_onnx.workbench.training.pipeline import Trained


@pytest.fixture
def invented_folder(rows: pd.DataFrame, tmp_path: Path) -> Path:
    """A data folder whose training table is the invented one."""
    (tmp_path / "tabular").mkdir()
    rows.to_csv(tmp_path / "tabular" / SPEC.table, index=False)
    return tmp_path


def test_a_model_whose_floors_do_not_hold_is_not_written(invented_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    trained = train_model("mortality_5y", invented_folder, out, replicates=0)
    assert isinstance(trained, Trained)
    assert out.exists() == trained.passed


def test_a_model_trained_from_another_table_does_not_agree_with_the_committed_one(invented_folder: Path) -> None:
    comparison = check_model("mortality_5y", invented_folder)
    assert not comparison.passed
    assert not comparison.same_hash
    assert not comparison.same_data


def test_other_rows_are_scored_by_the_committed_file_and_need_no_folds(rows: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "others.csv.gz"
    rows.drop(columns="fold").to_csv(path, index=False)
    other = evaluate_rows("mortality_5y", path, replicates=5)
    assert other.whole["n"] == int((~other.cohort.unfollowed).sum())
    assert other.manifest == load_model("mortality_5y", ARTIFACTS).manifest
    assert {group["axis"] for group in other.subgroups} == set(SPEC.subgroups)


def test_rows_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingRefused, match="not there"):
        evaluate_rows("mortality_5y", tmp_path / "absent.csv")
