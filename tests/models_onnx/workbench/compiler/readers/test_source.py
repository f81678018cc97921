"""LightGBM and XGBoost files read without their libraries: on thresholds, at zero, with gaps; what is refused."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.explaining_graph import write_file
from models_onnx.workbench.compiler.families.shapley_trees import ShapleyTrees
from models_onnx.workbench.compiler.readers.trees import read_file
from tests.each import each_row
from tests.libraries import lightgbm, xgboost
from tests.models_onnx.workbench.compiler.people import beside, invented, says
from tests.models_onnx.workbench.compiler.test_compile import REFERENCE

LIGHT = {
    "objective": "binary",
    "max_depth": 4,
    "num_leaves": 12,
    "verbose": -1,
    "num_threads": 1,
    "min_data_in_leaf": 5,
}
EXTREME = {"objective": "binary:logistic", "max_depth": 4, "nthread": 1, "eta": 0.3}


def light(folder: Path, rounds: int = 15, **extra: Any) -> tuple[Any, Path]:
    """A LightGBM model and its file; a tenth of the values is zero."""
    X, y = with_zeros()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        booster = lightgbm.train({**LIGHT, **extra}, lightgbm.Dataset(X, y), rounds)
    booster.save_model(folder / "model.txt")
    return booster, folder / "model.txt"


def extreme(folder: Path, rounds: int = 15, **extra: Any) -> tuple[Any, Path]:
    """An XGBoost model and its file."""
    X, y = with_zeros()
    booster = xgboost.train({**EXTREME, **extra}, xgboost.DMatrix(X, y), rounds)
    booster.save_model(folder / "model.json")
    return booster, folder / "model.json"


def with_zeros() -> tuple[Any, Any]:
    """The invented people, a tenth of whose values is zero."""
    X, y = invented()
    X[np.random.default_rng(9).random(X.shape) < 0.1] = 0.0
    return X, y


@each_row("extra", ids=str)
def test_a_lightgbm_file_says_what_lightgbm_says_on_every_edge(extra: dict[str, Any], tmp_path: Path) -> None:
    booster, path = light(tmp_path, **extra)
    ensemble = read_file(path)
    X, _ = with_zeros()
    model = ShapleyTrees.of(ensemble, X)
    rows = np.vstack([X[:200], beside(X, ensemble.thresholds())])
    told = says(write_file("m", model, REFERENCE, {}), rows)
    assert np.abs(told["probability"] - booster.predict(rows)).max() < 1e-12
    assert np.abs(told["contributions"] - model.contributions(rows)).max() < 1e-12


@pytest.mark.parametrize(
    "extra",
    [{}, {"base_score": 0.2}, {"num_parallel_tree": 3}, {"objective": "reg:logistic"}, {"tree_method": "exact"}],
    ids=str,
)
def test_an_xgboost_file_says_what_xgboost_says_on_every_edge(extra: dict[str, Any], tmp_path: Path) -> None:
    booster, path = extreme(tmp_path, **extra)
    ensemble = read_file(path)
    X, _ = with_zeros()
    rows = np.vstack([X[:200], beside(X, ensemble.thresholds(), infinite=False)])  # XGBoost refuses infinity
    told = says(write_file("m", ShapleyTrees.of(ensemble, X), REFERENCE, {}), rows)
    assert np.abs(told["margin"] - booster.predict(xgboost.DMatrix(rows), output_margin=True)).max() < 1e-5
    assert np.abs(told["probability"] - booster.predict(xgboost.DMatrix(rows))).max() < 1e-6


def test_categorical_splits_of_xgboost_are_refused_by_the_inputs_name(tmp_path: Path) -> None:
    X, y = invented(gaps=0.0)
    data = xgboost.DMatrix(
        X, y, feature_types=["q"] * 4 + ["c"], feature_names=["a", "b", "c", "d", "ward"], enable_categorical=True
    )
    xgboost.train({**EXTREME, "max_cat_to_onehot": 1}, data, 10).save_model(tmp_path / "model.json")
    with pytest.raises(CompileRefused, match="categorical splits on ward"):
        read_file(tmp_path / "model.json")


def test_a_pickle_is_refused_unread_whatever_it_is_called(tmp_path: Path) -> None:
    for name, content in (
        ("model.pkl", b"anything"),
        ("model.joblib", b"anything"),
        ("model.txt", b"\x80\x04\x95harmful"),
        ("model.skops", b"PK\x03\x04"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(CompileRefused, match="pickle"):
            read_file(path)


def test_other_and_broken_files_are_refused_with_a_sentence(tmp_path: Path) -> None:
    _, path = light(tmp_path, rounds=2)
    text = path.read_text()
    for content, word in (
        ("hello", "neither"),
        ("{}", "not an XGBoost model"),
        ('{"learner": {"gradient_booster": {"name": "gbtree"}}}', "not an XGBoost model"),
        (text[: len(text) // 2], "not a whole LightGBM"),
        (re.sub(r"num_leaves=\d+", "num_leaves=99", text), "not a whole LightGBM"),
        (text.replace("threshold=", "threshold=x "), "not a whole LightGBM"),
    ):
        path.write_text(content)
        with pytest.raises(CompileRefused, match=word):
            read_file(path)
    with pytest.raises(CompileRefused, match="not there"):
        read_file(tmp_path / "nothing.txt")
