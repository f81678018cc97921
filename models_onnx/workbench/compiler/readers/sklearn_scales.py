"""scikit-learn's scalers, splines and functions as curves of one input, with what each stands for outside training."""

from collections.abc import Callable
from dataclasses import replace
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.functions import Function, numpy_function
from models_onnx.workbench.compiler.families.piecewise import Curve
from models_onnx.workbench.compiler.readers.column import NAN, Column, Inputs, refuse_text

Array = NDArray[np.float64]


def function(step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
    """Returns a function of numpy, or none (passthrough)."""
    if step.func is None:
        return columns
    if step.kw_args:
        raise CompileRefused(
            "FunctionTransformer with kw_args is not compiled: use a function that needs none, such as np.log1p, or "
            "make the result a feature of its own"
        )
    refuse_text(step, columns, inputs)
    compiled = numpy_function(step.func)
    return [column.of_function(compiled) for column in columns]


def power(step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
    """Returns a PowerTransformer, with the scaler that may follow."""
    refuse_text(step, columns, inputs)
    powers = [Function(step.method, float(power)) for power in step.lambdas_]
    transformed = [column.of_function(power) for column, power in zip(columns, powers, strict=True)]
    return standard(step._scaler, transformed, inputs) if step.standardize else transformed


def quantiles(step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
    """Returns a QuantileTransformer: the share of the training rows below, or the normal quantile of that share."""
    refuse_text(step, columns, inputs)
    normal = step.output_distribution == "normal"
    curves = [_ranks(of_column, step.references_, normal) for of_column in np.asarray(step.quantiles_).T]
    ranked = [column.of_curve(curve) for column, curve in zip(columns, curves, strict=True)]
    return [column.of_function(Function("normal quantile")) for column in ranked] if normal else ranked


# scikit-learn's BOUNDS_THRESHOLD: how near to an end a value counts as the end, for normal quantiles
_AT_END = 1e-7


def _ranks(quantiles: Array, references: Array, normal: bool) -> Curve:
    """The share of the training rows below: linear between quantiles, a jump where one repeats, its middle on it."""
    values, first, count = np.unique(quantiles, return_index=True, return_counts=True)
    last = first + count - 1
    if len(values) == 1:
        return Curve.steps([values[0] + _AT_END if normal else _behind(values[0])], [0.0, 1.0])
    pieces: list[tuple[float, float, float, float]] = []  # where it begins, value there, slope, origin
    for k, value in enumerate(values[:-1]):
        if count[k] > 1:
            pieces.append((value, 0.5 * (references[first[k]] + references[last[k]]), 0.0, value))
        begins = _behind(value) if count[k] > 1 else value
        slope = (references[first[k + 1]] - references[last[k]]) / (values[k + 1] - value)
        pieces.append((begins, references[last[k]], slope, value))
    lowest, highest = values[0], values[-1]
    if normal:
        lowest, highest = lowest + _AT_END, float(np.nextafter(highest - _AT_END, np.inf))
    elif count[0] > 1:
        lowest = pieces[1][0]
    inner = [piece for position, piece in enumerate(pieces) if piece[0] < highest and _ends(pieces, position) > lowest]
    inner[0] = (lowest, *inner[0][1:])
    table = [[0.0, 0.0], *([start, slope] for _, start, slope, _ in inner), [1.0, 0.0]]
    origins = [0.0, *(origin for *_, origin in inner), 0.0]
    breaks = [*(begins for begins, *_ in inner), highest]
    return Curve(np.array(breaks, float), np.array(origins, float), np.array(table, float))


def _behind(value: float) -> float:
    """The next value that an input can have; inputs are float32, and only what is imputed can be another float64."""
    nearest = np.float32(value)
    return float(np.nextafter(nearest, np.float32(np.inf)) if nearest == value else np.nextafter(value, np.inf))


def _ends(pieces: list[tuple[float, float, float, float]], position: int) -> float:
    return pieces[position + 1][0] if position + 1 < len(pieces) else float("inf")


def _affine(slope_and_intercept: Callable[[Any, int], tuple[Array, Array]]) -> Callable[..., list[Column]]:
    def scaled(step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
        refuse_text(step, columns, inputs)
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
        raise CompileRefused(
            "MinMaxScaler with clip=True is not compiled: SplineTransformer(n_knots=2, degree=1, knots='uniform', "
            "extrapolation='constant') is the same line with the same ends, or fit it with clip=False"
        )
    return step.scale_, step.min_


def _max_abs(step: Any, count: int) -> tuple[Array, Array]:
    return 1.0 / step.scale_, np.zeros(count)


def splines(step: Any, columns: list[Column], inputs: Inputs) -> list[Column]:
    """Returns the columns of a SplineTransformer."""
    refuse_text(step, columns, inputs)
    if step.extrapolation == "periodic" or step.degree < 1:
        raise CompileRefused(
            "SplineTransformer is compiled from degree 1 on and without periodic extrapolation: fit it with "
            "extrapolation='constant', 'linear' or 'continue'"
        )
    splined = []
    for column, spline in zip(columns, step.bsplines_, strict=True):
        if column.curve.coefficients.shape[1] == 1:
            plain = _spline(step, spline, replace(column, curve=Curve.identity()))
            of_column = [replace(column, curve=basis.curve.of_steps(column.curve)) for basis in plain]
        elif column.curve.rising:
            of_column = _spline(step, spline, column)
        else:
            plain = _spline(step, spline, replace(column, curve=Curve.identity(), through=()))
            of_column = [column.of_curve(basis.curve) for basis in plain]
        splined += of_column if step.include_bias else of_column[:-1]
    return splined


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


standard = _affine(_standard)
robust = _affine(_robust)
min_max = _affine(_min_max)
max_abs = _affine(_max_abs)
