"""What stands before a model: scikit-learn's steps as curves of single inputs.

Read: SimpleImputer, MissingIndicator, StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, OneHotEncoder of
numbers, feature selection, Pipeline, ColumnTransformer, FeatureUnion, passthrough. A model behind anything else is
explained by declared groups of its inputs.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.additive_curves import Curve

Names = Sequence[str]
NAN = float("nan")
MOST_CATEGORIES = 2000
"""Of one input: a file with a column for each of 2,000 takes twenty seconds to make, and twice as many four times."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it stands after some steps: which input it comes from, and its curve."""

    input: int
    curve: Curve

    @property
    def as_it_is(self) -> bool:
        """Whether it is the input, unchanged where it is given."""
        return self.curve.straight and self.curve.line == (1.0, 0.0)


def inputs_as_columns(count: int) -> list[Column]:
    """Return each input as it is."""
    return [Column(j, Curve.identity()) for j in range(count)]


def columns_behind(step: Any, columns: list[Column], names: Names) -> list[Column]:
    """Return the columns behind a fitted transformer; CompileRefused where one of them would not be of one input."""
    if step is None or (isinstance(step, str) and step == "passthrough") or getattr(step, "func", step) is None:
        return columns  # a ColumnTransformer keeps the remainder by a FunctionTransformer without a function
    if isinstance(step, str) and step == "drop":
        return []
    for kind in type(step).__mro__:
        if kind.__name__ in _STEPS and kind.__module__.startswith("sklearn."):
            return _STEPS[kind.__name__](step, columns, names)
    if hasattr(step, "get_support") and type(step).__module__.startswith("sklearn.feature_selection"):
        return [column for column, is_selected in zip(columns, step.get_support(), strict=True) if is_selected]
    raise CompileRefused(
        f"{type(step).__name__} is not compiled input by input; read are {', '.join(sorted(_STEPS))}. Declare groups "
        "of the inputs, at most ten, which are then explained"
    )


def _pipeline(step: Any, columns: list[Column], names: Names) -> list[Column]:
    for _, inner in step.steps:
        columns = columns_behind(inner, columns, names)
    return columns


def _union(step: Any, columns: list[Column], names: Names) -> list[Column]:
    if step.transformer_weights:
        raise CompileRefused(_WEIGHTED.format("FeatureUnion"))
    return [column for _, inner in step.transformer_list for column in columns_behind(inner, columns, names)]


def _column_transformer(step: Any, columns: list[Column], names: Names) -> list[Column]:
    if step.transformer_weights:
        raise CompileRefused(_WEIGHTED.format("ColumnTransformer"))
    fitted_names = [str(name) for name in getattr(step, "feature_names_in_", [])]
    transformed = []
    for _, inner, chosen in step.transformers_:
        places = _places(chosen, fitted_names, len(columns))
        if not places:  # scikit-learn does not fit what is given no column
            continue
        transformed += columns_behind(inner, [columns[position] for position in places], names)
    return transformed


def _places(chosen: Any, names: list[str], count: int) -> list[int]:
    if isinstance(chosen, slice):
        return list(range(count))[chosen]
    listed = [chosen] if isinstance(chosen, str | int) else list(chosen)
    if listed and all(isinstance(choice, bool | np.bool_) for choice in listed):
        return [position for position, is_chosen in enumerate(listed) if is_chosen]
    return [names.index(choice) if isinstance(choice, str) else int(choice) % count for choice in listed]


def _imputer(step: Any, columns: list[Column], names: Names) -> list[Column]:
    if not (isinstance(step.missing_values, float) and np.isnan(step.missing_values)):
        marker = step.missing_values
        raise CompileRefused(
            f"SimpleImputer(missing_values={marker!r}) is not compiled, because at the bedside a missing value is NaN: "
            f"write NaN for {marker!r} in the rows and fit it again with missing_values=nan"
        )
    imputed = []
    for column, value in zip(columns, step.statistics_, strict=True):
        if isinstance(value, str):
            raise CompileRefused(f"{names[column.input]} is imputed as a text; {NUMBERS_ONLY}")
        if not np.isnan(value):  # a column without any value leaves
            missing = column.curve.missing
            imputed.append(
                replace(column, curve=column.curve.at_missing(float(value) if np.isnan(missing) else missing))
            )
        elif getattr(step, "keep_empty_features", False):
            imputed.append(replace(column, curve=Curve.steps([], [0.0], 0.0)))
    if step.add_indicator:
        imputed += _indicator(step.indicator_, columns, names)
    return imputed


def _indicator(step: Any, columns: list[Column], _names: Names) -> list[Column]:
    return [replace(columns[j], curve=Curve.steps([], [0.0], 1.0)) for j in step.features_]


def _scaled(step: Any, columns: list[Column], _names: Names) -> list[Column]:
    if getattr(step, "clip", False):
        raise CompileRefused(f"{type(step).__name__} with clip=True is not compiled: fit it with clip=False")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the columns have no names here
        intercepts, ends = step.transform(np.vstack([np.zeros(len(columns)), np.ones(len(columns))]))
    return [
        replace(column, curve=column.curve.scaled(float(end - intercept), float(intercept)))
        for column, intercept, end in zip(columns, intercepts, ends, strict=True)
    ]


NUMBERS_ONLY = "at the bedside inputs are numbers: code it before training, as 0 and 1, say"


def _one_hot(step: Any, columns: list[Column], names: Names) -> list[Column]:
    """Return one column of 0 and 1 for each category."""
    if any(infrequent is not None for infrequent in getattr(step, "infrequent_categories_", None) or ()):
        raise CompileRefused("OneHotEncoder with infrequent categories is not compiled: join them before training")
    dropped = [None] * len(columns) if step.drop_idx_ is None else list(step.drop_idx_)
    encoded = []
    for column, categories, drop in zip(columns, step.categories_, dropped, strict=True):
        name = names[column.input]
        if len(categories) > MOST_CATEGORIES:
            raise CompileRefused(
                f"{name} has {len(categories):,} categories, and of one input at most {MOST_CATEGORIES:,} are compiled:"
                " join those that few people have into one before training, or leave out what names a person"
            )
        if any(isinstance(category, str) or category is None for category in categories):
            raise CompileRefused(f"OneHotEncoder codes texts of {name}; {NUMBERS_ONLY}")
        if not column.as_it_is:
            raise CompileRefused(f"OneHotEncoder is compiled for inputs as they are; {name} was changed before it")
        kept = [float(category) for position, category in enumerate(categories) if position != drop]
        encoded += [replace(column, curve=_code(column, value, categories, name, step)) for value in kept]
    return encoded


def _code(column: Column, value: float, categories: Any, name: str, step: Any) -> Curve:
    """Return 1 at exactly this value; no answer for a missing one where the encoder refuses what it does not know."""
    if not np.isnan(value) and float(np.float32(value)) != value:
        raise CompileRefused(f"the category {value!r} of {name} is no float32, so no input could be equal to it")
    imputed = column.curve.missing
    if not np.isnan(imputed):
        of_missing = float(value == imputed)
    elif np.isnan(categories.astype(np.float64)).any():
        of_missing = float(np.isnan(value))
    else:
        of_missing = 0.0 if step.handle_unknown in ("ignore", "infrequent_if_exist", "warn") else NAN
    if np.isnan(value):
        return Curve.steps([], [0.0], of_missing)
    after = float(np.nextafter(np.float32(value), np.float32(np.inf)))
    return Curve.steps([value, after], [0.0, 1.0, 0.0], of_missing)


_STEPS: dict[str, Callable[..., list[Column]]] = {
    "Pipeline": _pipeline,
    "FeatureUnion": _union,
    "ColumnTransformer": _column_transformer,
    "SimpleImputer": _imputer,
    "MissingIndicator": _indicator,
    "StandardScaler": _scaled,
    "RobustScaler": _scaled,
    "MinMaxScaler": _scaled,
    "MaxAbsScaler": _scaled,
    "OneHotEncoder": _one_hot,
}

_WEIGHTED = (
    "a {} with transformer_weights is not compiled: leave the weights out and fit it again; a regression with a "
    "penalty sees the same columns after a scaler behind it"
)
