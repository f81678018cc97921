"""Ensembles of trees wherever they come from: files, boosters, scikit-learn's objects, also behind preparing steps."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.compiler.additive_trees import AdditiveTrees, additive, steps_of
from models_onnx.compiler.fitted import FittedModel
from models_onnx.compiler.lightgbm_file import parse_lightgbm
from models_onnx.compiler.prepared import Prepared, moved_cuts, plain, prepare, unscaled
from models_onnx.compiler.rows import framed, medians
from models_onnx.compiler.shapley_trees import DEEPEST, ShapleyTrees
from models_onnx.compiler.sklearn_columns import Column, Inputs
from models_onnx.compiler.sklearn_trees import (
    from_forest,
    from_gradient_boosting,
    from_hist_gradient_boosting,
    thresholds_of,
)
from models_onnx.compiler.trees import Cuts, Ensemble, limits
from models_onnx.compiler.xgboost_file import parse_xgboost
from models_onnx.errors import CompileRefused

Array = NDArray[np.float64]
TreeReader = Callable[[Sequence[str], Cuts], Ensemble]
FORESTS = ("RandomForestClassifier", "ExtraTreesClassifier", "DecisionTreeClassifier")
_PICKLES = (".pkl", ".pickle", ".joblib", ".sav", ".skops", ".dill")


def read_file(path: Path) -> Ensemble:
    """The ensemble of a LightGBM (text) or XGBoost (JSON, UBJ) file; a pickle is refused, whatever it holds."""
    if not path.is_file():
        raise CompileRefused(f"{path} is not there")
    content = path.read_bytes()
    if path.suffix.lower() in _PICKLES or content[:1] == b"\x80" or content[:2] == b"PK":
        raise CompileRefused(
            f"{path.name} is a pickle or an archive of one: it could run anything when read, so it never is. Write the "
            "model in its library's own format (LightGBM: text, XGBoost: JSON), or call compile_model in Python"
        )
    if content.startswith((b"tree\n", b"tree\r\n")):
        return parse_lightgbm(path.name, content.decode("utf-8", "replace").replace("\r\n", "\n"))
    if content.lstrip().startswith(b"{"):
        return parse_xgboost(path.name, content)
    raise CompileRefused(f"{path.name} is neither a LightGBM text file nor an XGBoost JSON or UBJ file")


def booster_of(model: Any) -> Ensemble | None:
    """The ensemble of a LightGBM or XGBoost object, by what its own library writes; None for any other object."""
    name = type(model).__name__
    booster = getattr(model, "booster_", model)
    if hasattr(booster, "model_to_string"):
        return parse_lightgbm(name, str(booster.model_to_string()))
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    if hasattr(booster, "save_raw"):
        return parse_xgboost(name, bytes(booster.save_raw("json")))
    return None


def from_ensemble(ensemble: Ensemble, cohort: Array, deepest: int = DEEPEST) -> FittedModel:
    """Step functions where every tree asks about one input only, Shapley values otherwise."""
    if not additive(ensemble):
        return ShapleyTrees.of(ensemble, cohort, deepest=deepest)
    terms, start = steps_of(ensemble)
    return AdditiveTrees.centred(ensemble.features, terms, start, cohort, ensemble.link)


def reader_of(last: Any) -> TreeReader | None:
    """How the ensemble of this object is read, given names of its columns and how its questions are asked."""
    name = type(last).__name__
    if name == "HistGradientBoostingClassifier":
        return lambda names, cuts: from_hist_gradient_boosting(last, names, cuts)
    if name == "GradientBoostingClassifier":
        return lambda names, cuts: from_gradient_boosting(last, names, (), cuts)
    if name in FORESTS:
        return lambda names, cuts: from_forest(last, names, (), cuts)
    if (ensemble := booster_of(last)) is not None:
        return lambda names, cuts: replace(ensemble, features=tuple(names)).with_stand_ins(cuts.missing)
    return None


def trees_behind(
    columns: Sequence[Column], preparation: Any, last: Any, X: Array, inputs: Inputs, deepest: int
) -> FittedModel:
    """The trees of `last` as terms of the inputs that its columns come from."""
    reader = reader_of(last)
    if reader is None or not hasattr(last, "classes_"):
        raise CompileRefused(f"{type(last).__name__} is not a fitted classifier")
    cuts, own = _cuts(columns, preparation, last, X, inputs), unscaled(columns)
    seen = prepare(own, X)
    if not _takes_nan(last, len(columns)):
        # Such trees know nothing missing: where nothing was imputed before them, the cohort's middle value is.
        middle = medians(seen)
        cuts = replace(cuts, missing=tuple(m if np.isnan(v) else v for v, m in zip(cuts.missing, middle, strict=True)))
    if plain(columns, len(inputs.names)):
        return from_ensemble(reader(inputs.names, cuts), X, deepest)
    names = [f"{inputs.names[column.input]}#{number}" for number, column in enumerate(columns)]
    inner = from_ensemble(reader(names, cuts), seen, deepest)
    return Prepared(inputs.names, own, inner, *limits(X))


def _cuts(columns: Sequence[Column], preparation: Any, last: Any, X: Array, inputs: Inputs) -> Cuts:
    for column in columns:
        if not column.curve.rising and column.curve.coefficients.shape[1] > 1:
            raise CompileRefused(
                f"{inputs.names[column.input]} reaches the trees as a curve (a spline), which no threshold can follow "
                "to the last bit: give trees the input itself"
            )
    boosted_elsewhere = booster_of(last) is not None
    if boosted_elsewhere and any(column.curve.rising and column.curve.line != (1.0, 0.0) for column in columns):
        raise CompileRefused(f"{type(last).__name__} behind a scaler is not compiled; its trees need no scaler")

    def transform(rows: Array) -> Array:
        return np.asarray(preparation.transform(framed(preparation, rows, inputs)), dtype=np.float64)

    # A row without anything missing; a text is its first category.
    typical = [0.0 if name in inputs.text else m for name, m in zip(inputs.names, medians(X), strict=True)]
    narrow = type(last).__name__ != "HistGradientBoostingClassifier"
    return moved_cuts(columns, [] if boosted_elsewhere else thresholds_of(last), transform, typical, narrow)


def _takes_nan(model: Any, count: int) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.predict_proba(np.full((1, count), np.nan))
    except ValueError:
        return False
    return True
