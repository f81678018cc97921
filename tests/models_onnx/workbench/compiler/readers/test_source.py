"""LightGBM and XGBoost files read without their libraries: on thresholds, at zero, with gaps; what is refused."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.explaining_graph import write_file
from models_onnx.workbench.compiler.families.additive_curves import AdditiveCurves
from models_onnx.workbench.compiler.families.shapley_trees import ShapleyTrees
from models_onnx.workbench.compiler.readers.source import read_file
from tests.each import for_rows
from tests.libraries import lightgbm, xgboost
from tests.models_onnx.workbench.compiler.oracles import BACKGROUND, tree_shap
from tests.models_onnx.workbench.compiler.people import beside, by_coalitions, compiled, invented, says
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


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"use_missing": False},
        {"boosting": "rf", "bagging_fraction": 0.6, "bagging_freq": 1},
        {"sigmoid": 2.0},
        {"objective": "cross_entropy"},
        {"max_depth": 1},
    ],
    ids=str,
)
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


def test_contributions_of_both_agree_with_shap(tmp_path: Path) -> None:
    X, _ = with_zeros()
    for booster, path in (light(tmp_path), extreme(tmp_path)):
        model = ShapleyTrees.of(read_file(path), X[:BACKGROUND])
        expected, base = tree_shap(booster, X[:BACKGROUND], X[100:300])
        told = says(write_file("m", model, REFERENCE, {}), X[100:300])["contributions"]
        assert np.abs(told - expected).max() < 1e-5
        assert model.base == pytest.approx(base, abs=1e-5)


def test_where_shap_does_not_know_lightgbms_rules_the_definition_decides(tmp_path: Path) -> None:
    X, _ = with_zeros()
    booster, path = light(tmp_path, use_missing=False)
    told = says(write_file("m", ShapleyTrees.of(read_file(path), X[:50]), REFERENCE, {}), X[50:60])["contributions"]
    for row, own in zip(X[50:60], told, strict=True):
        expected = by_coalitions(lambda mixed: booster.predict(mixed, raw_score=True), row, X[:50])
        assert np.abs(own - expected).max() < 1e-12


def test_stumps_contribute_what_the_libraries_own_contributions_say(tmp_path: Path) -> None:
    # With one input per tree, path-dependent values of the training data are interventional ones up to a constant.
    X, _ = with_zeros()
    booster, path = light(tmp_path, max_depth=1)
    own = np.asarray(booster.predict(X, pred_contrib=True))[:, :-1]
    told = says(write_file("m", ShapleyTrees.of(read_file(path), X), REFERENCE, {}), X)["contributions"]
    assert np.abs((told - own) - (told - own)[0]).max() < 1e-12
    machine, path = extreme(tmp_path, max_depth=1)
    own = machine.predict(xgboost.DMatrix(X), pred_contribs=True)[:, :-1]
    told = says(write_file("m", ShapleyTrees.of(read_file(path), X), REFERENCE, {}), X)["contributions"]
    assert np.abs((told - own) - (told - own)[0]).max() < 1e-5


def test_categorical_splits_of_xgboost_are_refused_by_the_inputs_name(tmp_path: Path) -> None:
    X, y = invented(gaps=0.0)
    data = xgboost.DMatrix(
        X, y, feature_types=["q"] * 4 + ["c"], feature_names=["a", "b", "c", "d", "ward"], enable_categorical=True
    )
    xgboost.train({**EXTREME, "max_cat_to_onehot": 1}, data, 10).save_model(tmp_path / "model.json")
    with pytest.raises(CompileRefused, match="categorical splits on ward"):
        read_file(tmp_path / "model.json")


BOOSTERS = [(lightgbm, "LGBMClassifier"), (xgboost, "XGBClassifier")]


@pytest.mark.parametrize(("library", "name"), BOOSTERS, ids=["lightgbm", "xgboost"])
def test_a_booster_in_a_pipeline_or_a_search_is_read_like_its_file(library: Any, name: str) -> None:
    kind = getattr(library, name)
    X, y = with_zeros()
    settings = {"n_estimators": 8, "max_depth": 3, "n_jobs": 1} | ({"verbose": -1} if "LGBM" in kind.__name__ else {})
    imputed = make_pipeline(SimpleImputer(), kind(**settings))
    search = GridSearchCV(kind(**settings), {"max_depth": [3]}, cv=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for model in (imputed.fit(X, y), search.fit(X, y)):
            file = compiled(model, X)
            told = says(file.content, X)["probability"]
            assert np.abs(told - model.predict_proba(X)[:, 1]).max() < 1e-6
        with pytest.raises(CompileRefused, match="behind a step that changes values"):
            compiled(make_pipeline(StandardScaler(), kind(**settings)).fit(X, y), X)


def test_rounds_after_the_best_leave_open_which_model_is_meant(tmp_path: Path) -> None:
    booster, path = extreme(tmp_path)
    booster.set_attr(best_iteration="4")
    booster.save_model(path)
    with pytest.raises(CompileRefused, match="15 rounds, and round 5 was its best"):
        read_file(path)


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


# What is around a model is taken off: searches, a calibration at the end of a pipeline.
@for_rows(
    "unfitted",
    [
        make_pipeline(StandardScaler(), CalibratedClassifierCV(LogisticRegression(), ensemble=False)),
        make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), LogisticRegression())),
        make_pipeline(StandardScaler(), GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2)),
        make_pipeline(StandardScaler(), LinearDiscriminantAnalysis()),
    ],
    ids=["sigmoid", "pipeline", "search", "discriminant"],
)
def test_what_changes_no_probability_is_taken_off(unfitted: Any) -> None:
    X, y = invented(gaps=0.0)
    fitted = unfitted.fit(X, y)
    file = compiled(fitted, X)
    assert np.abs(says(file.content, X)["probability"] - fitted.predict_proba(X)[:, 1]).max() < 1e-6
    assert isinstance(file.fitted, AdditiveCurves)
