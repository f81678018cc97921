"""scikit-learn's preprocessing as curves: every column that reaches the model is a function of one input.

Read: SimpleImputer, MissingIndicator, StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, OneHotEncoder,
OrdinalEncoder, feature selection, Pipeline, ColumnTransformer, FeatureUnion, passthrough. A model behind anything else
is explained by declared groups of its inputs.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.piecewise import Curve
from models_onnx.workbench.compiler.readers import sklearn_codes as codes
from models_onnx.workbench.compiler.readers.column import Column, Inputs, refuse_text

Array = NDArray[np.float64]
Line = Callable[[Any, int], tuple[Array, Array]]  # slope and intercept of each column


def columns_behind(step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
    """Returns the columns behind a fitted transformer; CompileRefused where one of them would not be of one input."""
    if step is None or (isinstance(step, str) and step == "passthrough") or getattr(step, "func", step) is None:
        return columns  # a ColumnTransformer keeps the remainder by a FunctionTransformer without a function
    if isinstance(step, str) and step == "drop":
        return []
    for kind in type(step).__mro__:
        if kind.__name__ in _STEPS and kind.__module__.startswith("sklearn."):
            return _STEPS[kind.__name__](step, columns, inputs)
    if hasattr(step, "get_support") and type(step).__module__.startswith("sklearn.feature_selection"):
        return [column for column, is_selected in zip(columns, step.get_support(), strict=True) if is_selected]
    raise CompileRefused(
        f"{type(step).__name__} is not compiled input by input; read are {', '.join(sorted(_STEPS))}. Declare groups "
        "of the inputs, at most ten, which are then explained"
    )


def _pipeline(step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
    for _, inner in step.steps:
        columns = columns_behind(inner, columns, inputs)
    return columns


def _union(step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
    if step.transformer_weights:
        raise CompileRefused(_WEIGHTED.format("FeatureUnion"))
    return [column for _, inner in step.transformer_list for column in columns_behind(inner, columns, inputs)]


def _column_transformer(step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
    if step.transformer_weights:
        raise CompileRefused(_WEIGHTED.format("ColumnTransformer"))
    names = [str(name) for name in getattr(step, "feature_names_in_", [])]
    transformed = []
    for _, inner, chosen in step.transformers_:
        places = _places(chosen, names, len(columns))
        if not places:  # scikit-learn does not fit what is given no column
            continue
        transformed += columns_behind(inner, [columns[position] for position in places], inputs)
    return transformed


def _places(chosen: Any, names: list[str], count: int) -> list[int]:
    if isinstance(chosen, slice):
        return list(range(count))[chosen]
    listed = [chosen] if isinstance(chosen, str | int) else list(chosen)
    if listed and all(isinstance(choice, bool | np.bool_) for choice in listed):
        return [position for position, is_chosen in enumerate(listed) if is_chosen]
    return [names.index(choice) if isinstance(choice, str) else int(choice) % count for choice in listed]


def _imputer(step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
    if not (isinstance(step.missing_values, float) and np.isnan(step.missing_values)):
        marker = step.missing_values
        raise CompileRefused(
            f"SimpleImputer(missing_values={marker!r}) is not compiled, because at the bedside a missing value is NaN: "
            f"write NaN for {marker!r} in the rows and fit it again with missing_values=nan"
        )
    imputed = []
    for column, value in zip(columns, step.statistics_, strict=True):
        if isinstance(value, str):
            imputed.append(replace(column, fill=value))
        elif not np.isnan(value):  # a column without any value leaves
            missing = column.curve.missing
            imputed.append(
                replace(column, curve=column.curve.at_missing(float(value) if np.isnan(missing) else missing))
            )
        elif getattr(step, "keep_empty_features", False):
            imputed.append(replace(column, curve=Curve.steps([], [0.0], 0.0)))
    if step.add_indicator:
        imputed += _indicator(step.indicator_, columns, inputs)
    return imputed


def _indicator(step: Any, columns: list[Column], _inputs: Inputs) -> list[Column]:
    return [replace(columns[j], curve=Curve.steps([], [0.0], 1.0), fill=None) for j in step.features_]


def _scaled(line: Line, step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
    refuse_text(step, columns, inputs)
    slopes, intercepts = line(step, len(columns))
    return [
        replace(column, curve=column.curve.scaled(float(slope), float(intercept)))
        for column, slope, intercept in zip(columns, slopes, intercepts, strict=True)
    ]


def _standard(step: Any, count: int) -> tuple[Array, Array]:
    scale = np.ones(count) if step.scale_ is None else step.scale_
    mean = np.zeros(count) if not step.with_mean else step.mean_
    return 1.0 / scale, -mean / scale


def _robust(step: Any, count: int) -> tuple[Array, Array]:
    scale = step.scale_ if step.with_scaling else np.ones(count)
    return 1.0 / scale, -(step.center_ if step.with_centering else np.zeros(count)) / scale


def _min_max(step: Any, _count: int) -> tuple[Array, Array]:
    if step.clip:
        raise CompileRefused("MinMaxScaler with clip=True is not compiled: fit it with clip=False")
    return step.scale_, step.min_


def _max_abs(step: Any, count: int) -> tuple[Array, Array]:
    return 1.0 / step.scale_, np.zeros(count)


_STEPS: dict[str, Callable[..., list[Column]]] = {
    "Pipeline": _pipeline,
    "FeatureUnion": _union,
    "ColumnTransformer": _column_transformer,
    "OrdinalEncoder": codes.ordinal,
    "SimpleImputer": _imputer,
    "MissingIndicator": _indicator,
    "StandardScaler": partial(_scaled, _standard),
    "RobustScaler": partial(_scaled, _robust),
    "MinMaxScaler": partial(_scaled, _min_max),
    "MaxAbsScaler": partial(_scaled, _max_abs),
    "OneHotEncoder": codes.one_hot,
}

_WEIGHTED = (
    "a {} with transformer_weights is not compiled: leave the weights out and fit it again; a regression with a "
    "penalty sees the same columns after a scaler behind it"
)


def steps_read() -> tuple[str, ...]:
    """Returns the transformers that are read, by name; feature selectors too, by their `get_support`."""
    return tuple(_STEPS)
