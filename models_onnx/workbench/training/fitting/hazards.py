"""Survival models besides Cox's on the same basis: hazards by interval, and Weibull's accelerated failure time.

Both have proportional hazards, so one link gives the risk at each horizon and contributions stay exact.

Hazards by interval: in the interval k a person has the event with 1 - exp(-exp(a_k + x b)) (the
grouped proportional hazards of Prentice and Gloeckler, Biometrics 1978;34:57); who is lost within it was at risk for
that share of it. Weibull: S(t) = exp(-t^r exp(a + x b)), in which times are accelerated by exp(-x b / r).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn, has no types

from models_onnx.errors import TrainingRefused
from models_onnx.spec import IntervalHazards, WeibullTimes
from models_onnx.workbench.compiler.link import Survival
from models_onnx.workbench.training.data.follow_up import FittingRows
from models_onnx.workbench.training.fitting.additive import Array, Linear, basis_of, significant

_STEPS = 100
_SMALL = 1e-9
_FARTHEST = 30.0
_MOST_HAZARD = 500.0  # exp(-500) is nobody, and its reciprocal is still a number
_INTERVALS = 12  # besides the horizons
_SHORTEST = 1e-6  # years: a follow-up of 0 has no logarithm


@dataclass(frozen=True, slots=True)
class _Climb:
    """The penalised log likelihood at a point, with its slope and curvature."""

    value: float
    gradient: Array
    curvature: Array


def fit_hazards(estimator: IntervalHazards | WeibullTimes, people: FittingRows, horizon_years: float) -> Linear:
    """Fits the model over the follow-up to the horizon.

    Raises:
        TrainingRefused: Nobody had the event in an interval, or the fit does not settle.
    """
    hinges, scaler, Z = basis_of(estimator.knots, people)
    horizons = sorted({*(h for h in estimator.horizons_years if h < horizon_years), horizon_years})
    years, event = np.maximum(people.observed.years, _SHORTEST), people.observed.event.astype(np.float64)
    if not event.any():
        raise TrainingRefused("nobody had the event: there is nothing to fit")
    if isinstance(estimator, IntervalHazards):
        ends = _interval_ends(years[event == 1], horizons)
        design, shares, happened = _intervals(Z, years, event, ends)
        start = np.concatenate([np.full(len(ends), np.log(event.mean() / len(ends))), np.zeros(Z.shape[1])])
        penalty = np.concatenate([np.zeros(len(ends)), np.full(Z.shape[1], estimator.penalty)])
        theta = _maximise(lambda point: _grouped(point, design, shares, happened, penalty), start)
        coefficients = theta[len(ends) :]
        cumulative = np.cumsum(np.exp(theta[: len(ends)]))[np.searchsorted(ends, horizons)]
    else:
        design = np.column_stack([np.ones(len(Z)), Z])
        start = np.concatenate([[0.0, np.log(event.sum() / years.sum())], np.zeros(Z.shape[1])])
        penalty = np.concatenate([[0.0, 0.0], np.full(Z.shape[1], estimator.penalty)])
        theta = _maximise(lambda point: _weibull(point, design, np.log(years), event, penalty), start)
        cumulative, coefficients = np.exp(theta[1]) * np.array(horizons) ** np.exp(theta[0]), theta[2:]
    # rounded like everything in the file
    hazards = {h: significant(float(value), 8) for h, value in zip(horizons, cumulative, strict=True)}
    link = Survival.at(hazards, horizon_years)
    return Linear(hinges, scaler, coefficients, link.log_hazard, link)


def _interval_ends(event_years: Array, horizons: list[float]) -> list[float]:
    """Returns the horizons, and between them quantiles of the times at which something happened.

    A hazard is the same throughout its interval, so short intervals follow the baseline more closely.
    """
    levels = np.linspace(0.0, 1.0, _INTERVALS + 1)[1:-1]
    inner = np.unique(np.quantile(event_years, levels, method="lower")).tolist()
    apart = horizons[-1] / (10 * _INTERVALS)
    ends = horizons[-1:]
    for time in sorted({*horizons[:-1], *(time for time in inner if min(abs(time - h) for h in horizons) > apart)})[
        ::-1
    ]:
        # an interval of our own in which nobody had the event would have no hazard
        if time in horizons or ((event_years > time) & (event_years <= ends[0])).any():
            ends.insert(0, time)
    return ends


def _intervals(Z: Array, years: Array, event: Array, ends: list[float]) -> tuple[Array, Array, Array]:
    """Returns one row for each person and interval begun: the interval and inputs, the share of it, the event."""
    starts = [0.0, *ends[:-1]]
    design, shares, happened = [], [], []
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        is_in = years > start
        within = (event == 1) & (years <= end + _SMALL) & is_in
        if not within.any():
            raise TrainingRefused(f"nobody had the event between {start:g} and {end:g} years: leave out this horizon")
        interval = np.zeros((int(is_in.sum()), len(ends)))
        interval[:, number] = 1.0
        design.append(np.column_stack([interval, Z[is_in]]))
        share = np.minimum(1.0, (years - start) / (end - start))
        shares.append(np.where(within, 1.0, share)[is_in])
        happened.append(within[is_in].astype(np.float64))
    return np.vstack(design), np.concatenate(shares), np.concatenate(happened)


def _grouped(theta: Array, design: Array, shares: Array, happened: Array, penalty: Array) -> _Climb:
    hazard = np.exp(np.clip(design @ theta, -_FARTHEST, _FARTHEST))
    rise = np.expm1(np.clip(hazard, 1e-12, _MOST_HAZARD))
    odds = hazard / rise
    value = float(happened @ np.log(-np.expm1(-np.maximum(hazard, 1e-12))) - (1 - happened) @ (hazard * shares))
    slope = happened * odds - (1 - happened) * hazard * shares
    bend = happened * (odds * (hazard * (1 + rise) / rise - 1))
    bend += (1 - happened) * hazard * shares
    return _penalised(theta, value, design.T @ slope, design.T @ (design * bend[:, None]), penalty)


def _weibull(theta: Array, design: Array, log_years: Array, event: Array, penalty: Array) -> _Climb:
    shape = np.exp(theta[0])
    predictor = design @ theta[1:]
    hazard = np.exp(np.clip(shape * log_years + predictor, -_FARTHEST, _FARTHEST))
    value = event @ (theta[0] + (shape - 1) * log_years + predictor) - hazard.sum()
    rest = event - hazard
    by_shape = shape * log_years
    gradient = np.concatenate([[event.sum() + by_shape @ rest], design.T @ rest])
    cross = design.T @ (hazard * by_shape)
    curvature = np.block(
        [
            [np.array([[(hazard * by_shape**2).sum() - by_shape @ rest]]), cross[None, :]],
            [cross[:, None], design.T @ (design * hazard[:, None])],
        ]
    )
    return _penalised(theta, float(value), gradient, curvature, penalty)


def _penalised(theta: Array, value: float, gradient: Array, curvature: Array, penalty: Array) -> _Climb:
    less = 0.5 * float(penalty @ theta**2)
    return _Climb(value - less, gradient - penalty * theta, curvature + np.diag(penalty))


@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]  # sums are split in one way only
def _maximise(likelihood: Callable[[Array], _Climb], start: Array) -> Array:
    """Climbs by Newton's method; a step that makes it worse is halved."""
    theta, here = np.asarray(start, dtype=np.float64), likelihood(start)
    for _ in range(_STEPS):
        ridge = 1e-9 * np.eye(len(theta))
        values, vectors = np.linalg.eigh(here.curvature + ridge)
        step: Array = vectors @ ((vectors.T @ here.gradient) / np.maximum(np.abs(values), 1e-6))
        while np.abs(step).max() > _SMALL and likelihood(theta + step).value < here.value - 1e-9 * abs(here.value):
            step = step / 2.0
        theta = theta + step
        here = likelihood(theta)
        if np.abs(step).max() <= _SMALL * 10:
            return theta
    raise TrainingRefused("the survival model does not settle: raise the penalty or leave out inputs that repeat")
