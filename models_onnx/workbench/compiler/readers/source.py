"""Which model is it: tells fitted objects and files apart, and reads those that are trees.

Ensembles of trees come from files, boosters and scikit-learn's objects, also behind preparing steps.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhir.terminology.plain_file import unreadable
from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.shapley_trees import ShapleyTrees
from models_onnx.workbench.compiler.families.trees import Ensemble
from models_onnx.workbench.compiler.link import FittedModel
from models_onnx.workbench.compiler.readers.steps import Steps
from models_onnx.workbench.compiler.readers.trees import (
    from_forest,
    from_gradient_boosting,
    from_hist_gradient_boosting,
    parse_lightgbm,
    parse_xgboost,
)

Array = NDArray[np.float64]
TreeReader = Callable[[Sequence[str]], Ensemble]
FORESTS = ("RandomForestClassifier", "ExtraTreesClassifier", "DecisionTreeClassifier")
PICKLES = (".pkl", ".pickle", ".joblib", ".sav", ".skops", ".dill")


def read_file(path: Path) -> Ensemble:
    """Return the ensemble of a LightGBM (text) or XGBoost (JSON) file; a pickle is refused."""
    if not path.is_file():
        raise CompileRefused(f"{unreadable(path)}; `source` of a declaration is a file beside it")
    content = path.read_bytes()
    if path.suffix.lower() in PICKLES or content[:1] == b"\x80" or content[:2] == b"PK":
        raise CompileRefused(
            f"{path.name} is a pickle or an archive of one, which could run anything when it is read, so it never is. "
            "Where it was fitted, write it in its library's own format (LightGBM: text, XGBoost: JSON) or as an ONNX "
            "file (skl2onnx.to_onnx) and name that file; or have it trained here (cds-hooks model train)"
        )
    if content.startswith((b"tree\n", b"tree\r\n")):
        return parse_lightgbm(path.name, content.decode("utf-8", "replace").replace("\r\n", "\n"))
    if content.lstrip().startswith(b"{"):
        return parse_xgboost(path.name, content)
    raise CompileRefused(f"{path.name} is neither a LightGBM text file nor an XGBoost JSON file")


def booster_of(model: Any) -> Ensemble | None:
    """Return the ensemble of a LightGBM or XGBoost object, by what its library writes; None for another object."""
    name = type(model).__name__
    booster = getattr(model, "booster_", model)
    if hasattr(booster, "model_to_string"):
        return parse_lightgbm(name, str(booster.model_to_string()))
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    if hasattr(booster, "save_raw"):
        return parse_xgboost(name, bytes(booster.save_raw("json")))
    return None


def reader_of(last: Any) -> TreeReader | None:
    """Return how the ensemble of this object is read, given names of its columns."""
    name = type(last).__name__
    if name == "HistGradientBoostingClassifier":
        return lambda names: from_hist_gradient_boosting(last, names)
    if name == "GradientBoostingClassifier":
        return lambda names: from_gradient_boosting(last, names)
    if name in FORESTS:
        return lambda names: from_forest(last, names)
    if (ensemble := booster_of(last)) is not None:
        return lambda names: replace(ensemble, features=tuple(names))
    return None


def read_trees(model: Any, X: Array, names: tuple[str, ...]) -> FittedModel | None:
    """Return trees as exact terms of their inputs against a cohort [n, F]; None for a model of another kind.

    `model`: a path, what was read from it, or a fitted object of scikit-learn, LightGBM or XGBoost, also behind steps
    that keep inputs apart.

    Raises:
        CompileRefused: the trees cannot be explained exactly, or the model has other inputs.
    """
    if isinstance(model, Ensemble):
        return _of_ensemble(model, X, names)
    if isinstance(model, str | Path):
        return _of_ensemble(read_file(Path(model)), X, names)
    if (ensemble := booster_of(model)) is not None:
        return _of_ensemble(ensemble, X, names)
    preparation, last = split(model)
    if (reader := reader_of(last)) is None:
        return None
    if preparation is None:
        steps, count = Steps.of(lambda rows: rows, X), len(names)
    else:
        steps = Steps.of(transform_of(preparation, names), X)
        count = steps.asked(0, steps.typical[:1]).shape[1]
    columns = tuple(f"column {k}" for k in range(count))
    return ShapleyTrees.of(steps.ensemble_of_inputs(reader(columns), names, _takes_nan(last, count)), X)


def transform_of(preparation: Any, names: Sequence[str]) -> Callable[[Array], Array]:
    """Return the columns of fitted steps as a function of rows [n, F] of numbers."""

    def columns(X: Array) -> Array:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # unknown categories: asked on purpose
            transformed = preparation.transform(framed(preparation, X, names))
        return np.asarray(transformed.toarray() if hasattr(transformed, "toarray") else transformed, dtype=np.float64)

    return columns


def _takes_nan(model: Any, count: int) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.predict_proba(np.full((1, count), np.nan))
    except ValueError:
        return False
    return True


def _of_ensemble(ensemble: Ensemble, X: Array, names: tuple[str, ...]) -> FittedModel:
    refuse_other_names(ensemble.features, names)
    return ShapleyTrees.of(replace(ensemble, features=names), X)


def split(model: Any) -> tuple[Any, Any]:
    """Return preparation (None for none) and the model proper of a pipeline."""
    if type(model).__name__ != "Pipeline":
        return None, model
    before, last = model[:-1], model.steps[-1][1]
    return (before if len(before.steps) else None), last


def refuse_other_names(model_names: Sequence[str], names: Sequence[str]) -> None:
    """CompileRefused where the model has another number of inputs, or the same ones in another order."""
    if len(names) != len(model_names):
        raise CompileRefused(f"the model has {len(model_names)} inputs, {len(names)} names were given")
    if set(names) == set(model_names) and tuple(names) != tuple(model_names):
        raise CompileRefused(f"the inputs are named in another order than the model's: {', '.join(model_names)}")


def library(model: Any, names: Sequence[str]) -> Callable[[Array], Array]:
    """Return the model's own probability of rows [n, F] of numbers."""

    def probability(X: Array) -> Array:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # unknown categories, names of columns: asked on purpose
            probabilities = np.asarray(model.predict_proba(framed(model, X, names)), dtype=np.float64)
        return probabilities[:, 1]

    return probability


def framed(model: Any, X: Array, names: Sequence[str]) -> Any:
    """Return the rows as this scikit-learn object was fitted on them: a data frame where it knows names."""
    fitted_names = getattr(model, "feature_names_in_", None)
    if fitted_names is None or not type(model).__module__.startswith("sklearn"):
        return X
    import pandas as pd

    return pd.DataFrame(X, columns=list(fitted_names if len(fitted_names) == X.shape[1] else names))


def refuse_other_missing(model: Any) -> None:
    """CompileRefused where a model of XGBoost takes another value for missing."""
    _, last = split(model)
    missing = getattr(last, "missing", float("nan"))
    if type(last).__name__.startswith("XGB") and isinstance(missing, int | float) and missing == missing:
        raise CompileRefused(
            f"{type(last).__name__} was fitted with missing={missing:g}; to the file missing is NaN alone, and "
            f"{missing:g} is a number. Write NaN for {missing:g} in the rows and fit it again with missing=nan"
        )
