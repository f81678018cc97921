"""scikit-learn's preprocessing as curves: every column that reaches the model is a function of one input.

Read: SimpleImputer, MissingIndicator, StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, SplineTransformer,
FunctionTransformer (numpy's functions), PowerTransformer, QuantileTransformer, OneHotEncoder, OrdinalEncoder, feature
selection, Pipeline, ColumnTransformer, FeatureUnion, passthrough. Anything else is refused by name: products of inputs,
principal components and the like have no contribution of one input.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.piecewise import Curve
from models_onnx.workbench.compiler.readers import sklearn_codes as codes
from models_onnx.workbench.compiler.readers import sklearn_scales as scales
from models_onnx.workbench.compiler.readers.column import Column, Inputs


def columns_behind(step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
    """Returns the columns behind a fitted transformer; CompileRefused where one of them would not be of one input."""
    if step is None or (isinstance(step, str) and step == "passthrough"):
        return columns
    if isinstance(step, str) and step == "drop":
        return []
    for kind in type(step).__mro__:
        if kind.__name__ in _STEPS and kind.__module__.startswith("sklearn."):
            return _STEPS[kind.__name__](step, columns, inputs)
    if hasattr(step, "get_support") and type(step).__module__.startswith("sklearn.feature_selection"):
        return [column for column, is_selected in zip(columns, step.get_support(), strict=True) if is_selected]
    raise CompileRefused(
        f"{type(step).__name__} is not compiled: a contribution needs columns that each come from one input. "
        f"{_INSTEAD.get(type(step).__name__, 'Leave it out')}; compiled are {', '.join(sorted(_STEPS))}"
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


_STEPS: dict[str, Callable[..., list[Column]]] = {
    "Pipeline": _pipeline,
    "FeatureUnion": _union,
    "ColumnTransformer": _column_transformer,
    "FunctionTransformer": scales.function,
    "PowerTransformer": scales.power,
    "QuantileTransformer": scales.quantiles,
    "OrdinalEncoder": codes.ordinal,
    "SimpleImputer": _imputer,
    "MissingIndicator": _indicator,
    "StandardScaler": scales.standard,
    "RobustScaler": scales.robust,
    "MinMaxScaler": scales.min_max,
    "MaxAbsScaler": scales.max_abs,
    "SplineTransformer": scales.splines,
    "OneHotEncoder": codes.one_hot,
    "KBinsDiscretizer": codes.bins,
}

# what works in the place of a step that does not
_INSTEAD = {
    "PolynomialFeatures": "Products of inputs: give trees of depth 2 the inputs themselves. Powers of one column: "
    "SplineTransformer(n_knots=2, degree=3, extrapolation='continue') gives the regression the same curves",
    "Binarizer": "Use KBinsDiscretizer(n_bins=2, encode='ordinal'), or a tree, which asks the same question",
    "PCA": "Give the regression the inputs themselves with a penalty (LogisticRegression(C=0.1))",
    "TruncatedSVD": "Give the regression the inputs themselves with a penalty (LogisticRegression(C=0.1))",
    "KNNImputer": "Use SimpleImputer(add_indicator=True), which looks at one input",
    "IterativeImputer": "Use SimpleImputer(add_indicator=True), which looks at one input",
    "Normalizer": "Use StandardScaler, which looks at one input",
    "TargetEncoder": "Use OneHotEncoder or OrdinalEncoder",
}

_WEIGHTED = (
    "a {} with transformer_weights is not compiled: leave the weights out and fit it again; a regression with a "
    "penalty sees the same columns after a scaler behind it"
)


def steps_read() -> tuple[str, ...]:
    """Returns the transformers that are read, by name; feature selectors too, by their `get_support`."""
    return tuple(_STEPS)
