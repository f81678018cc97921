"""Scalers, powers, quantiles and splines as curves of one input, on steps small enough to work out by hand."""

from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.functions import Function
from models_onnx.workbench.compiler.families.piecewise import Curve
from models_onnx.workbench.compiler.readers import sklearn_scales
from models_onnx.workbench.compiler.readers.column import Column, Inputs

NAN = float("nan")
INPUTS = Inputs(("age", "ward"), frozenset({"ward"}), {})
AGE = Column(0, Curve.identity())
WARD = Column(1, Curve.identity())


def _fitted(step: Any, *values: float) -> Any:
    return step.fit(np.array(values)[:, None])


def _at(columns: list[Column], *x: float) -> list[list[float]]:
    """The curves of all columns at each x."""
    return [[round(value, 9) for value in column.curve.values(np.array(x)).tolist()] for column in columns]


def test_a_scaler_is_a_line_also_for_what_is_imputed() -> None:
    """Of 1 and 5 the mean is 3 and the deviation 2; of 1 to 5 the middle is 3 and half of them lie from 2 to 4."""
    five = (1.0, 2.0, 3.0, 4.0, 5.0)
    imputed = Column(0, Curve.identity().at_missing(7.0))
    for read, step, line, missing in (
        (sklearn_scales.standard, _fitted(StandardScaler(), 1.0, 5.0), (0.5, -1.5), 2.0),
        (sklearn_scales.standard, _fitted(StandardScaler(with_mean=False), 1.0, 5.0), (0.5, 0.0), 3.5),
        (sklearn_scales.standard, _fitted(StandardScaler(with_std=False), 1.0, 5.0), (1.0, -3.0), 4.0),
        (sklearn_scales.robust, _fitted(RobustScaler(), *five), (0.5, -1.5), 2.0),
        (sklearn_scales.robust, _fitted(RobustScaler(with_centering=False), *five), (0.5, 0.0), 3.5),
        (sklearn_scales.robust, _fitted(RobustScaler(with_scaling=False), *five), (1.0, -3.0), 4.0),
        (sklearn_scales.min_max, _fitted(MinMaxScaler(), 1.0, 5.0), (0.25, -0.25), 1.5),
        (sklearn_scales.max_abs, _fitted(MaxAbsScaler(), -8.0, 4.0), (0.125, 0.0), 0.875),
    ):
        (column,) = read(step, [imputed], INPUTS)
        assert (column.input, column.curve.line, column.curve.missing) == (0, line, missing), step
        with pytest.raises(CompileRefused, match=f"^{type(step).__name__} is fed the text of ward; encode it first$"):
            read(step, [WARD], INPUTS)
        coded = Column(1, Curve.identity(), coded=True)
        assert read(step, [coded], INPUTS)[0].curve.line == line


def test_each_column_has_the_line_of_its_own() -> None:
    step = StandardScaler().fit(np.array([[1.0, 10.0], [5.0, 30.0]]))
    first, second = sklearn_scales.standard(step, [AGE, Column(1, Curve.identity(), coded=True)], INPUTS)
    assert (first.curve.line, second.curve.line, second.input) == ((0.5, -1.5), (0.1, -2.0), 1)


@pytest.mark.parametrize(
    ("read", "step", "refusal"),
    [
        (
            sklearn_scales.min_max,
            _fitted(MinMaxScaler(clip=True), 1.0, 5.0),
            "MinMaxScaler with clip=True is not compiled: SplineTransformer(n_knots=2, degree=1, knots='uniform', "
            "extrapolation='constant') is the same line with the same ends, or fit it with clip=False",
        ),
        (
            sklearn_scales.function,
            FunctionTransformer(np.log1p, kw_args={"where": True}),
            "FunctionTransformer with kw_args is not compiled: use a function that needs none, such as np.log1p, or "
            "make the result a feature of its own",
        ),
        (
            sklearn_scales.splines,
            _fitted(SplineTransformer(extrapolation="periodic"), *range(9)),
            "SplineTransformer is compiled from degree 1 on and without periodic extrapolation: fit it with "
            "extrapolation='constant', 'linear' or 'continue'",
        ),
        (
            sklearn_scales.splines,
            _fitted(SplineTransformer(degree=0), *range(9)),
            "SplineTransformer is compiled from degree 1 on and without periodic extrapolation: fit it with "
            "extrapolation='constant', 'linear' or 'continue'",
        ),
    ],
)
def test_what_is_refused(read: Any, step: Any, refusal: str) -> None:
    with pytest.raises(CompileRefused) as refused:
        read(step, [AGE], INPUTS)
    assert str(refused.value) == refusal


@pytest.mark.parametrize(
    ("read", "step"),
    [
        (sklearn_scales.function, FunctionTransformer(np.log1p)),
        (sklearn_scales.power, _fitted(PowerTransformer(), 1.0, 2.0, 9.0)),
        (sklearn_scales.quantiles, _fitted(QuantileTransformer(n_quantiles=2), 1.0, 2.0)),
        (sklearn_scales.splines, _fitted(SplineTransformer(n_knots=2, degree=1), 1.0, 2.0)),
    ],
)
def test_text_that_nothing_has_coded_is_refused(read: Any, step: Any) -> None:
    with pytest.raises(CompileRefused, match=f"^{type(step).__name__} is fed the text of ward; encode it first$"):
        read(step, [WARD], INPUTS)


def test_a_function_and_none() -> None:
    assert sklearn_scales.function(FunctionTransformer(), [WARD], INPUTS) == [WARD]
    (column,) = sklearn_scales.function(FunctionTransformer(np.log1p), [AGE], INPUTS)
    assert [stage.function for stage in column.through] == [Function("log1p")]
    assert column.curve.line == (1.0, 0.0)
    steps = Column(0, Curve.steps([5.0], [0.0, 2.0], 3.0))
    (column,) = sklearn_scales.function(FunctionTransformer(np.square), [steps], INPUTS)
    assert _at([column], 4.0, 5.0, NAN) == [[0.0, 4.0, 9.0]]


@pytest.mark.parametrize("method", ["yeo-johnson", "box-cox"])
def test_a_power_and_the_scaler_behind_it(method: str) -> None:
    step = _fitted(PowerTransformer(method, standardize=False), 1.0, 2.0, 9.0)
    step.lambdas_ = np.array([0.5])
    (column,) = sklearn_scales.power(step, [AGE], INPUTS)
    assert ([stage.function for stage in column.through], column.curve.line) == ([Function(method, 0.5)], (1.0, 0.0))
    step = _fitted(PowerTransformer(method), 1.0, 2.0, 9.0)
    step._scaler = _fitted(StandardScaler(), 1.0, 5.0)
    (column,) = sklearn_scales.power(step, [AGE], INPUTS)
    assert column.curve.line == (0.5, -1.5)


def _above(value: float) -> float:
    return float(np.nextafter(np.float32(value), np.float32(np.inf)))


def _below(value: float) -> float:
    return float(np.nextafter(np.float32(value), np.float32(-np.inf)))


@pytest.mark.parametrize(
    ("seen", "shares"),
    [
        ((1.0, 2.0, 3.0, 4.0, 5.0), {0.0: 0, 1.0: 0, 1.5: 0.125, 2.0: 0.25, 4.5: 0.875, 5.0: 1, 9.0: 1}),
        # a value that repeats in the middle is the middle of its ranks
        (
            (1.0, 2.0, 2.0, 2.0, 3.0),
            {1.5: 0.125, _below(2.0): 0.25, 2.0: 0.5, _above(2.0): 0.75, 2.5: 0.875, 3.0: 1},
        ),
        ((1.0, 1.0, 2.0, 3.0, 5.0), {0.9: 0, 1.0: 0, _above(1.0): 0.25, 1.5: 0.375, 4.0: 0.875, 5.0: 1}),
        ((1.0, 2.0, 3.0, 3.0, 3.0), {1.0: 0, 1.5: 0.125, _below(3.0): 0.5, 3.0: 1, 4.0: 1}),
        ((2.0, 2.0, 2.0, 2.0, 2.0), {1.0: 0, 2.0: 0, _above(2.0): 1, 3.0: 1}),
        ((-2.0, 0.0, 0.0, 1.0, 2.0), {-1.0: 0.125, 0.0: 0.375, _above(0.0): 0.5, 0.5: 0.625}),
    ],
)
def test_the_share_of_the_training_rows_below(seen: tuple[float, ...], shares: dict[float, float]) -> None:
    step = _fitted(QuantileTransformer(n_quantiles=5), *seen)
    (column,) = sklearn_scales.quantiles(step, [AGE], INPUTS)
    assert column.curve.values(np.array([*shares])).tolist() == pytest.approx([*shares.values()], abs=1e-6)
    assert step.transform(np.array([*shares])[:, None]).ravel() == pytest.approx([*shares.values()], abs=1e-6)
    assert np.isnan(column.curve.missing)


def test_a_normal_quantile_has_its_ends_a_ten_millionth_inside() -> None:
    step = _fitted(QuantileTransformer(n_quantiles=3, output_distribution="normal"), 1.0, 2.0, 3.0)
    (column,) = sklearn_scales.quantiles(step, [AGE], INPUTS)
    *_, stage = column.through
    assert (stage.function, column.curve.line) == (Function("normal quantile"), (1.0, 0.0))
    near = np.array([1 + 0.5e-7, 1 + 2e-7, 2.0, 3 - 2e-7, 3 - 0.5e-7])
    assert stage.curve.values(near).tolist() == pytest.approx([0.0, 1e-7, 0.5, 1 - 1e-7, 1.0], abs=1e-12)
    alike = _fitted(QuantileTransformer(n_quantiles=3, output_distribution="normal"), 2.0, 2.0, 2.0)
    (column,) = sklearn_scales.quantiles(alike, [AGE], INPUTS)
    values = column.curve.values(np.array([2.0, 2 + 0.9e-7, 2 + 1.1e-7])).tolist()
    assert values == pytest.approx([-5.199338, -5.199338, 5.199338], abs=1e-6)  # those of 0 and 1, cut at 1e-7


@pytest.mark.parametrize(
    ("outside", "below", "above"),
    [
        ("constant", [0.5, 0.5, 0.0], [0.0, 0.5, 0.5]),
        ("linear", [1.5, -0.5, 0.0], [0.0, -0.5, 1.5]),
        ("continue", [2.0, -1.5, 0.5], [0.5, -1.5, 2.0]),
    ],
)
def test_a_spline_and_what_it_is_outside_of_its_knots(outside: str, below: list[float], above: list[float]) -> None:
    """Of degree 2 between knots 0 and 1: (1-z)²/2, (1+2z-2z²)/2 and z²/2, of z = 2x - 1."""
    step = _fitted(SplineTransformer(n_knots=2, degree=2, extrapolation=outside), 0.0, 1.0)
    scaled = Column(0, Curve.identity().scaled(2.0, -1.0))
    columns = sklearn_scales.splines(step, [scaled], INPUTS)
    assert [column.curve.coefficients.shape[1] for column in columns] == [3, 3, 3]
    values = _at(columns, 0.0, 0.5, 0.75, 1.0, 1.5, NAN)
    assert [list(at) for at in zip(*values, strict=True)][:-1] == [
        below,
        [0.5, 0.5, 0.0],
        [0.125, 0.75, 0.125],
        [0.0, 0.5, 0.5],
        above,
    ]
    assert [np.isnan(of_column[-1]) for of_column in values] == [True, True, True]
    step.include_bias = False
    assert _at(sklearn_scales.splines(step, [scaled], INPUTS), 0.75) == [[0.125], [0.75]]


def test_a_spline_of_steps_and_of_a_line_that_falls() -> None:
    step = _fitted(SplineTransformer(n_knots=2, degree=1), 0.0, 1.0)
    stepped = Column(0, Curve.steps([5.0], [0.0, 0.25], 1.0))
    assert _at(sklearn_scales.splines(step, [stepped], INPUTS), 4.0, 5.0, NAN) == [[1.0, 0.75, 0.0], [0.0, 0.25, 1.0]]
    falling = Column(0, Curve.identity().scaled(-1.0, 1.0))
    columns = sklearn_scales.splines(step, [falling], INPUTS)
    assert _at(columns, 0.25) == [[0.75], [0.25]]
    assert [column.through[0].curve.line for column in columns] == [(-1.0, 1.0)] * 2


def test_what_a_spline_is_for_a_missing_input() -> None:
    step = _fitted(SplineTransformer(n_knots=2, degree=1), 0.0, 1.0)
    imputed = Column(0, Curve.identity().scaled(2.0, -1.0).at_missing(0.25))
    assert _at(sklearn_scales.splines(step, [imputed], INPUTS), NAN) == [[0.75], [0.25]]
    step.handle_missing = "zeros"
    assert _at(sklearn_scales.splines(step, [AGE], INPUTS), NAN) == [[0.0], [0.0]]
    step.handle_missing = "error"
    assert np.isnan(_at(sklearn_scales.splines(step, [AGE], INPUTS), NAN)).all()
