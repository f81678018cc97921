"""Rows of inputs: arrays or data frames, as callers have them."""

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused

Array = NDArray[np.float64]


# What LightGBM and XGBoost call columns that have no names.
_PLACE = re.compile(r"Column_\d+|f\d+")


def is_frame(rows: Any) -> bool:
    """Return whether these rows have named columns (pandas), without importing pandas."""
    return hasattr(rows, "columns") and hasattr(rows, "iloc")


def inputs_of(rows: Any, model_names: Sequence[str] | None, chosen_names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the inputs in the model's order: its own names, those given, or the frame's; refuses what does not fit."""
    columns = [str(name) for name in rows.columns] if is_frame(rows) else None
    if columns is None and np.ndim(rows) != 2:
        raise CompileRefused("the reference cohort is rows of inputs: a data frame, or an array [n, F]")
    width = len(columns) if columns is not None else np.asarray(rows).shape[1]
    if (
        model_names is not None
        and columns is not None
        and len(columns) == len(model_names)
        and all(map(_PLACE.fullmatch, model_names))
    ):
        model_names = (
            None if set(model_names) - set(columns) else model_names
        )  # numbered by a library that was given no names
    names = tuple(chosen_names or model_names or columns or [f"x{j}" for j in range(width)])
    if model_names is not None and len(names) != len(model_names):
        raise CompileRefused(f"the model has {len(model_names)} inputs, {len(names)} names were given")
    if model_names is not None and set(names) == set(model_names) and names != tuple(model_names):
        raise CompileRefused(f"the inputs are named in another order than the model's: {', '.join(model_names)}")
    if len(set(names)) != len(names):
        raise CompileRefused("two inputs have the same name")
    if columns is not None and (absent := [name for name in names if name not in columns]):
        raise CompileRefused(f"the reference rows have no column {', '.join(absent)}")
    if columns is None and width != len(names):
        raise CompileRefused(f"the reference rows have {width} columns, the model {len(names)} inputs")
    if columns is not None:
        strange = [name for name in names if any(isinstance(value, str) for value in rows.iloc[:, columns.index(name)])]
        if strange:
            raise CompileRefused(f"{', '.join(sorted(strange))} is text; at the bedside inputs are numbers, so code it")
    return names


def as_numbers(rows: Any, names: Sequence[str]) -> Array:
    """Return the rows [n, F] as the file takes them, NaN where missing."""
    if not is_frame(rows):
        return np.array(rows, dtype=np.float64)
    columns, places = [], [str(name) for name in rows.columns]
    for name in names:
        column = rows.iloc[:, places.index(name)]
        if column.dtype.kind in "mM":
            raise CompileRefused(f"{name} holds dates or times: give numbers, as the model was trained on")
        columns.append(np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan)))
    return np.column_stack(columns)


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
