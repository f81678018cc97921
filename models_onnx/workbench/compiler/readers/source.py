"""Which model is it: tells fitted objects and files apart and reads each into its family.

Ensembles of trees come from files, boosters and scikit-learn's objects, also behind preparing steps; linear models are
scikit-learn's logistic regressions and Cox models, behind any preprocessing that keeps inputs apart.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.additive_curves import AdditiveCurves, Curve
from models_onnx.workbench.compiler.families.shapley_trees import ShapleyTrees
from models_onnx.workbench.compiler.families.trees import Ensemble
from models_onnx.workbench.compiler.link import LOGIT, FittedModel, Link
from models_onnx.workbench.compiler.readers.cox import CoxModel
from models_onnx.workbench.compiler.readers.ebm import read_ebm
from models_onnx.workbench.compiler.readers.preparation import Column, columns_behind, inputs_as_columns
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
        raise CompileRefused(f"{path} is not there; `source` of a declaration is a file beside it")
    content = path.read_bytes()
    if path.suffix.lower() in PICKLES or content[:1] == b"\x80" or content[:2] == b"PK":
        raise CompileRefused(
            f"{path.name} is a pickle or an archive of one, which could run anything when it is read, so it never is. "
            "Where it was fitted, write it in its library's own format (LightGBM: text, XGBoost: JSON) or as an ONNX "
            "file (skl2onnx.to_onnx) and name that file; or declare source='_fit:model', a function model in your file "
            "_fit.py beside the declaration, which returns the fitted model"
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


def trees_behind(
    columns: Sequence[Column], last: Any, reader: TreeReader, X: Array, names: tuple[str, ...]
) -> FittedModel:
    """Return the trees of `last` as terms of the inputs that its columns come from, each perhaps imputed."""
    if not all(column.as_it_is for column in columns):
        raise CompileRefused(
            f"{type(last).__name__} behind a step that changes values (a scaler, codes, indicators) is not compiled "
            "input by input: leave a scaler out and fit it again, its trees ask the same questions without; or declare "
            "groups of inputs, at most ten, which are then explained"
        )
    # the missing value of an imputed column goes where the value of the imputer would go
    missing, owners = [column.curve.missing for column in columns], [column.input for column in columns]
    if type(last).__name__ != "HistGradientBoostingClassifier":  # the others see float32
        missing = [float(np.float32(value)) for value in missing]
    if not _takes_nan(last, len(columns)):
        # Such trees know nothing missing: where nothing was imputed before them, the cohort's middle value is.
        middles = medians(X[:, owners])
        missing = [middle if np.isnan(value) else value for value, middle in zip(missing, middles, strict=True)]
    ensemble = reader([names[j] for j in owners]).with_missing_replaced(missing)
    return ShapleyTrees.of(ensemble.of_inputs(names, owners), X)


def _takes_nan(model: Any, count: int) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.predict_proba(np.full((1, count), np.nan))
    except ValueError:
        return False
    return True


LOGISTIC = ("LogisticRegression", "LogisticRegressionCV", "SGDClassifier", "LinearDiscriminantAnalysis")


def linear_model(
    columns: list[Column], coefficients: Array, start: float, X: Array, names: tuple[str, ...], link: Link = LOGIT
) -> FittedModel:
    """Return start + the columns times their coefficients, as terms of the inputs."""
    if len(columns) != len(coefficients):
        raise CompileRefused(f"{len(coefficients)} coefficients do not fit the {len(columns)} columns before them")
    curves: dict[int, Curve] = {}
    for column, coefficient in zip(columns, coefficients.tolist(), strict=True):
        curve = column.curve.scaled(coefficient, 0.0)
        curves[column.input] = curves[column.input] + curve if column.input in curves else curve
    unused = Curve.steps([], [0.0], 0.0)
    of_inputs = [curves.get(j, unused) for j in range(len(names))]
    return AdditiveCurves.centred(names, of_inputs, start, X, link)


def logistic(model: Any) -> tuple[Array, float]:
    """Coefficients and intercept of a fitted logistic regression of two classes; refuses other losses."""
    if type(model).__name__ == "SGDClassifier" and model.loss != "log_loss":
        raise CompileRefused(f"SGDClassifier with the loss {model.loss!r} gives no probability; use loss='log_loss'")
    if len(model.classes_) != 2:
        raise CompileRefused(
            f"{type(model).__name__} has {len(model.classes_)} classes, and models of two are compiled: say which "
            "classes are the event, or fit one model for each"
        )
    return np.asarray(model.coef_, dtype=np.float64)[0], float(np.asarray(model.intercept_).ravel()[0])


def read_by_input(model: Any, X: Array, names: tuple[str, ...]) -> FittedModel:
    """Return a model as exact terms of its inputs against a cohort [n, F].

    `model`: a path, a fitted object of scikit-learn, interpret, LightGBM or XGBoost, or a CoxModel.

    Raises:
        CompileRefused: there is no exact explanation for this kind of model, or it has other inputs.
    """
    if isinstance(model, str | Path):
        return _of_ensemble(read_file(Path(model)), X, names)
    if isinstance(model, CoxModel):
        refuse_other_names(model.names, names)
        columns = inputs_as_columns(len(names))
        return linear_model(columns, np.array(model.coefficients), model.link.log_hazard, X, names, model.link)
    if (ensemble := booster_of(model)) is not None:
        return _of_ensemble(ensemble, X, names)
    refuse_other_names(_names(model), names)
    if type(model).__name__ == "ExplainableBoostingClassifier":
        return read_ebm(model, X, names)
    preparation, last = split(model)
    if type(last).__name__ in LOGISTIC:
        return linear_model(columns_of(preparation, names), *logistic(last), X, names)
    if (reader := reader_of(last)) is not None:
        return trees_behind(columns_of(preparation, names), last, reader, X, names)
    if isinstance(last, type) or not hasattr(last, "predict"):
        raise CompileRefused(f"an object of the type {type(last).__name__} is no fitted model: give the fitted object")
    raise CompileRefused(
        f"{type(last).__name__} is of no form that is explained input by input (docs/models/compiler.md); declare "
        "groups of its inputs, at most ten, which are then explained"
    )


def _of_ensemble(ensemble: Ensemble, X: Array, names: tuple[str, ...]) -> FittedModel:
    refuse_other_names(ensemble.features, names)
    return ShapleyTrees.of(replace(ensemble, features=names), X)


def _names(model: Any) -> tuple[str, ...] | None:
    names = getattr(model, "feature_names_in_", None)
    return None if names is None else tuple(str(name) for name in names)


def split(model: Any) -> tuple[Any, Any]:
    """Return preparation (None for none) and the model proper of a pipeline."""
    if type(model).__name__ != "Pipeline":
        return None, model
    before, last = model[:-1], model.steps[-1][1]
    return (before if len(before.steps) else None), last


def columns_of(preparation: Any, names: tuple[str, ...]) -> list[Column]:
    """Return what reaches the model behind its preparation."""
    columns = inputs_as_columns(len(names))
    return columns if preparation is None else columns_behind(preparation, columns, names)


def refuse_other_names(model_names: Sequence[str] | None, names: Sequence[str]) -> None:
    """CompileRefused where the model has another number of inputs, or the same ones in another order."""
    if model_names is None:
        return
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


def medians(X: Array) -> tuple[float, ...]:
    """Return the middle value of each input, as float32; 0 where there is none."""
    return tuple(float(np.float32(np.nanmedian(x))) if not np.isnan(x).all() else 0.0 for x in X.T)


def refuse_unfitted(model: Any) -> None:
    """CompileRefused where this estimator, or a step of it, was never fitted, or takes another value for missing."""
    if isinstance(model, type) or not hasattr(model, "get_params") or not hasattr(model, "fit"):
        return
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    steps = [step for _, step in getattr(model, "steps", ())] or [model]
    for step in steps:
        try:
            check_is_fitted(step)
        except NotFittedError:
            raise CompileRefused(
                f"{type(step).__name__} is not fitted: call fit(X, y) first, and give the object that was fitted"
            ) from None
        except (TypeError, AttributeError):  # none that scikit-learn knows: whoever reads it says what is wrong
            continue
    missing = getattr(steps[-1], "missing", float("nan"))
    if type(steps[-1]).__name__.startswith("XGB") and isinstance(missing, int | float) and missing == missing:
        raise CompileRefused(
            f"{type(steps[-1]).__name__} was fitted with missing={missing:g}; to the file missing is NaN alone, and "
            f"{missing:g} is a number. Write NaN for {missing:g} in the rows and fit it again with missing=nan"
        )
