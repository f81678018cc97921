"""scikit-learn's preprocessing as curves: every column that reaches the model is a function of one input.

Read: SimpleImputer, MissingIndicator, StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, SplineTransformer,
OneHotEncoder, feature selection, Pipeline, ColumnTransformer, FeatureUnion, passthrough. Anything else is refused by
name: products of inputs, principal components and the like have no contribution of one input.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.compiler.families.piecewise import Curve
from models_onnx.errors import CompileRefused

Array = NDArray[np.float64]
NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it stands after some steps: which input it comes from, and its curve.

    `fill`: a text that an imputer put where the input is missing. A column of text has the identity curve of its codes.
    """

    input: int
    curve: Curve
    fill: str | None = None


@dataclass(slots=True)
class Inputs:
    """The inputs by name; `categories` gives the texts of a text input, whose position in it is the input's value.

    `gone` is what stands for a missing text in the caller's rows.
    """

    names: tuple[str, ...]
    text: frozenset[str]
    categories: dict[str, tuple[str, ...]]
    gone: Any = NAN

    def start(self) -> list[Column]:
        """Each input as it is."""
        return [Column(j, Curve.identity()) for j in range(len(self.names))]


def columns_behind(step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
    """The columns behind a fitted transformer; CompileRefused where one of them would not be of one input."""
    if step is None or (isinstance(step, str) and step == "passthrough"):
        return columns
    if isinstance(step, str) and step == "drop":
        return []
    for kind in type(step).__mro__:
        if kind.__name__ in _STEPS and kind.__module__.startswith("sklearn."):
            return _STEPS[kind.__name__](step, columns, inputs)
    if hasattr(step, "get_support") and type(step).__module__.startswith("sklearn.feature_selection"):
        return [column for column, kept in zip(columns, step.get_support(), strict=True) if kept]
    raise CompileRefused(
        f"{type(step).__name__} is not compiled: a contribution needs columns that each come from one input "
        f"({', '.join(sorted(_STEPS))})"
    )


def _pipeline(step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
    for _, own in step.steps:
        columns = columns_behind(own, columns, inputs)
    return columns


def _union(step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
    if step.transformer_weights:
        raise CompileRefused("a FeatureUnion with transformer_weights is not compiled")
    return [column for _, own in step.transformer_list for column in columns_behind(own, columns, inputs)]


def _column_transformer(step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
    if step.transformer_weights:
        raise CompileRefused("a ColumnTransformer with transformer_weights is not compiled")
    names = [str(name) for name in getattr(step, "feature_names_in_", [])]
    found = []
    for _, own, chosen in step.transformers_:
        places = _places(chosen, names, len(columns))
        found += columns_behind(own, [columns[place] for place in places], inputs)
    return found


def _places(chosen: Any, names: list[str], count: int) -> list[int]:
    if isinstance(chosen, slice):
        return list(range(count))[chosen]
    listed = [chosen] if isinstance(chosen, str | int) else list(chosen)
    if listed and all(isinstance(each, bool | np.bool_) for each in listed):
        return [place for place, taken in enumerate(listed) if taken]
    return [names.index(each) if isinstance(each, str) else int(each) % count for each in listed]


def _function(step: Any, columns: list[Column], _inputs: Inputs) -> list[Column]:
    if step.func is not None:
        raise CompileRefused("FunctionTransformer is compiled without a function only (passthrough)")
    return columns


def _imputer(step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
    if not (isinstance(step.missing_values, float) and np.isnan(step.missing_values)):
        raise CompileRefused("SimpleImputer is compiled for missing_values=nan")
    found = []
    for column, value in zip(columns, step.statistics_, strict=True):
        if isinstance(value, str):
            found.append(replace(column, fill=value))
        elif not np.isnan(value):  # a column without any value leaves
            missing = column.curve.missing
            found.append(replace(column, curve=column.curve.at_missing(float(value) if np.isnan(missing) else missing)))
        elif getattr(step, "keep_empty_features", False):
            found.append(replace(column, curve=Curve.steps([], [0.0], 0.0)))
    if step.add_indicator:
        found += _indicator(step.indicator_, columns, inputs)
    return found


def _indicator(step: Any, columns: list[Column], _inputs: Inputs) -> list[Column]:
    return [replace(columns[j], curve=Curve.steps([], [0.0], 1.0), fill=None) for j in step.features_]


def _affine(slope_and_intercept: Callable[[Any, int], tuple[Array, Array]]) -> Callable[..., list[Column]]:
    def scaled(step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
        _refuse_text(step, columns, inputs)
        slopes, intercepts = slope_and_intercept(step, len(columns))
        return [
            replace(column, curve=column.curve.scaled(float(a), float(b)))
            for column, a, b in zip(columns, slopes, intercepts, strict=True)
        ]

    return scaled


def _standard(step: Any, count: int) -> tuple[Array, Array]:
    scale = np.ones(count) if step.scale_ is None else step.scale_
    mean = np.zeros(count) if not step.with_mean else step.mean_
    return 1.0 / scale, -mean / scale


def _robust(step: Any, count: int) -> tuple[Array, Array]:
    scale = step.scale_ if step.with_scaling else np.ones(count)
    return 1.0 / scale, -(step.center_ if step.with_centering else np.zeros(count)) / scale


def _min_max(step: Any, _count: int) -> tuple[Array, Array]:
    if step.clip:
        raise CompileRefused("MinMaxScaler with clip=True is not compiled")
    return step.scale_, step.min_


def _max_abs(step: Any, count: int) -> tuple[Array, Array]:
    return 1.0 / step.scale_, np.zeros(count)


def _splines(step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
    _refuse_text(step, columns, inputs)
    if step.extrapolation == "periodic" or step.degree < 1:
        raise CompileRefused("SplineTransformer is compiled from degree 1 on and without periodic extrapolation")
    found = []
    for column, spline in zip(columns, step.bsplines_, strict=True):
        if column.curve.coefficients.shape[1] == 1:
            plain = _spline(step, spline, replace(column, curve=Curve.identity()))
            own = [replace(column, curve=each.curve.of_steps(column.curve)) for each in plain]
        elif column.curve.rising:
            own = _spline(step, spline, column)
        else:
            raise CompileRefused("SplineTransformer is compiled behind imputers and scalers only")
        found += own if step.include_bias else own[:-1]
    return found


def _spline(step: Any, spline: Any, column: Column) -> list[Column]:
    """Taylor coefficients at every knot, in units of the input; outside as `extrapolation` says."""
    slope, intercept = column.curve.line
    degree = step.degree
    knots = spline.t[degree : len(spline.t) - degree]
    taylor = np.array([spline(knots[:-1], nu=d) / factorial(d) for d in range(degree + 1)])  # [power, knot, column]
    rows, origins, breaks = list(np.moveaxis(taylor, 1, 0)), list(knots[:-1]), list(knots[1:-1])
    if step.extrapolation in ("constant", "linear"):
        first, last = (np.array([spline(x, nu=d) for d in range(degree + 1)]) for x in (knots[0], knots[-1]))
        straight = 2 if step.extrapolation == "linear" else 1
        first[straight:], last[straight:] = 0.0, 0.0
        rows, origins, breaks = [first, *rows, last], [knots[0], *origins, knots[-1]], list(knots)
    powers = slope ** np.arange(degree + 1)
    table = np.array(rows) * powers[None, :, None]
    starts, first_values = (np.array(breaks) - intercept) / slope, (np.array(origins) - intercept) / slope
    curves = [Curve(starts, first_values, table[:, :, j]) for j in range(table.shape[2])]
    return [replace(column, curve=curve.at_missing(_spline_at_missing(step, column, curve))) for curve in curves]


def _spline_at_missing(step: Any, column: Column, curve: Curve) -> float:
    """What this spline says for a missing input: its value at the imputed one, 0 if so declared, else no answer."""
    if np.isnan(column.curve.missing):
        return 0.0 if getattr(step, "handle_missing", "error") == "zeros" else NAN
    slope, intercept = column.curve.line
    return float(curve.values(np.array([(column.curve.missing - intercept) / slope]))[0])


def _one_hot(step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
    if getattr(step, "infrequent_categories_", None) and any(each is not None for each in step.infrequent_categories_):
        raise CompileRefused("OneHotEncoder with infrequent categories is not compiled: join them before training")
    dropped = [None] * len(columns) if step.drop_idx_ is None else list(step.drop_idx_)
    found = []
    for column, categories, drop in zip(columns, step.categories_, dropped, strict=True):
        name = inputs.names[column.input]
        if name in inputs.text:
            found += _text_codes(column, list(categories), drop, step, inputs)
            continue
        if not column.curve.straight or column.curve.line != (1.0, 0.0):
            raise CompileRefused(f"OneHotEncoder is compiled for inputs as they are; {name} was changed before it")
        found += _number_codes(column, list(categories), drop, name, step)
    return found


def _bins(step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
    """Bins as they are coded: one column of 0 and 1 for each, or their number."""
    _refuse_text(step, columns, inputs)
    found = []
    for column, edges in zip(columns, step.bin_edges_, strict=True):
        if not column.curve.straight or column.curve.line != (1.0, 0.0):
            raise CompileRefused(
                f"KBinsDiscretizer is compiled for inputs as they are; {inputs.names[column.input]} is not"
            )
        inner = list(edges[1:-1])
        count = len(inner) + 1
        coded = [np.arange(count)] if step.encode == "ordinal" else list(np.eye(count))
        place = int(np.searchsorted(inner, column.curve.missing, side="right"))
        gone = [NAN if np.isnan(column.curve.missing) else float(values[place]) for values in coded]
        found += [
            replace(column, curve=Curve.steps(inner, values.tolist(), missing))
            for values, missing in zip(coded, gone, strict=True)
        ]
    return found


def _text_codes(column: Column, categories: list[Any], drop: int | None, step: Any, inputs: Inputs) -> list[Column]:
    name = inputs.names[column.input]
    texts = tuple(str(each) for each in categories if isinstance(each, str))
    if inputs.categories.setdefault(name, texts) != texts:
        raise CompileRefused(f"{name} is encoded twice, with other categories")
    found = []
    for place, category in enumerate(categories):
        if place == drop:
            continue
        gone = _when_missing(category, column.fill, categories, step)
        found.append(replace(column, curve=_only_at(texts.index(category) if category in texts else None, gone)))
    return found


def _number_codes(column: Column, categories: list[Any], drop: int | None, name: str, step: Any) -> list[Column]:
    found = []
    for place, category in enumerate(categories):
        if place == drop:
            continue
        value = float(category)
        if not np.isnan(value) and float(np.float32(value)) != value:
            raise CompileRefused(f"the category {value!r} of {name} is no float32, so no input could be equal to it")
        imputed = column.curve.missing
        gone = _when_missing(value, None, categories, step) if np.isnan(imputed) else float(value == imputed)
        found.append(replace(column, curve=_only_at(None if np.isnan(value) else value, gone)))
    return found


def _when_missing(category: Any, fill: str | None, categories: list[Any], step: Any) -> float:
    """1 where this column stands for the missing; no answer where the encoder refuses what it does not know."""
    if fill is not None:
        return float(category == fill)
    if any(_gone(each) for each in categories):
        return float(_gone(category))
    return 0.0 if step.handle_unknown in ("ignore", "infrequent_if_exist", "warn") else NAN


def _gone(category: Any) -> bool:
    return category is None or (isinstance(category, float) and bool(np.isnan(category)))


def _only_at(value: float | None, missing: float) -> Curve:
    """1 at exactly this value."""
    if value is None:
        return Curve.steps([], [0.0], missing)
    after = float(np.nextafter(np.float32(value), np.float32(np.inf)))
    return Curve.steps([float(value), after], [0.0, 1.0, 0.0], missing)


def _refuse_text(step: Any, columns: Sequence[Column], inputs: Inputs) -> None:
    if texts := sorted({inputs.names[column.input] for column in columns} & inputs.text):
        raise CompileRefused(f"{type(step).__name__} is fed the text of {', '.join(texts)}; encode it first")


_STEPS: dict[str, Callable[..., list[Column]]] = {
    "Pipeline": _pipeline,
    "FeatureUnion": _union,
    "ColumnTransformer": _column_transformer,
    "FunctionTransformer": _function,
    "SimpleImputer": _imputer,
    "MissingIndicator": _indicator,
    "StandardScaler": _affine(_standard),
    "RobustScaler": _affine(_robust),
    "MinMaxScaler": _affine(_min_max),
    "MaxAbsScaler": _affine(_max_abs),
    "SplineTransformer": _splines,
    "OneHotEncoder": _one_hot,
    "KBinsDiscretizer": _bins,
}


def steps_read() -> tuple[str, ...]:
    """The transformers that are read, by name; feature selectors too, by their `get_support`."""
    return tuple(_STEPS)
