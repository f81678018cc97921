"""Figures with 95 % intervals, by resampling people with a fixed seed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models_onnx.evaluation.metrics import Array, Ranked

Metric = Callable[[Ranked, Array], Array]
_AT_ONCE = 40


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % percentile interval; equal ends when nothing was resampled, NaN where undefined."""

    value: float
    low: float
    high: float


def samples_of(count: int, replicates: int, seed: int) -> NDArray[np.uint16]:
    """How often each of `count` people is in each bootstrap sample [replicates, count]."""
    generator = np.random.default_rng(seed)
    drawn = np.empty((replicates, count), dtype=np.uint16)
    for number in range(replicates):
        drawn[number] = np.bincount(generator.integers(0, count, count), minlength=count)
    return drawn


def estimate(
    metrics: Mapping[str, Metric], margin: Array, y: NDArray[np.int64], replicates: int, seed: int
) -> dict[str, Estimate]:
    """Each metric on the people themselves, with its interval over `replicates` samples of them."""
    ranked = Ranked.of(margin, y)
    whole = np.ones((1, len(y)))
    points = {name: float(metric(ranked, whole)[0]) for name, metric in metrics.items()}
    drawn = samples_of(len(y), replicates, seed)[:, ranked.order]
    figures: dict[str, list[Array]] = {name: [] for name in metrics}
    for start in range(0, replicates, _AT_ONCE):
        weights = drawn[start : start + _AT_ONCE].astype(np.float64)
        for name, metric in metrics.items():
            figures[name].append(metric(ranked, weights))
    return {name: _interval(points[name], figures[name]) for name in metrics}


def _interval(point: float, figures: list[Array]) -> Estimate:
    if not figures:
        return Estimate(point, point, point)
    known = np.concatenate(figures)
    known = known[~np.isnan(known)]
    if not len(known):
        return Estimate(point, float("nan"), float("nan"))
    low, high = np.percentile(known, [2.5, 97.5])
    return Estimate(point, float(low), float(high))


def gain(metric: Metric, margin: Array, other: Array, y: NDArray[np.int64], replicates: int, seed: int) -> Estimate:
    """metric(margin) - metric(other), both on the same samples of people."""
    drawn = samples_of(len(y), replicates, seed)
    mine, theirs = Ranked.of(margin, y), Ranked.of(other, y)
    whole = np.ones((1, len(y)))
    figures = []
    for start in range(0, replicates, _AT_ONCE):
        weights = drawn[start : start + _AT_ONCE].astype(np.float64)
        figures.append(metric(mine, weights[:, mine.order]) - metric(theirs, weights[:, theirs.order]))
    return _interval(float(metric(mine, whole)[0] - metric(theirs, whole)[0]), figures)
