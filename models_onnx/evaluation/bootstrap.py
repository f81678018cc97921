"""Figures with 95 % intervals, by resampling people with a fixed seed."""

from collections.abc import Callable, Iterator, Mapping
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


@dataclass(frozen=True, slots=True)
class PatientRows:
    """Whose rows they are and how many people each speaks for; without it every row is a patient of its own."""

    patient: NDArray[np.int64]
    weight: Array

    @classmethod
    def alone(cls, count: int) -> "PatientRows":
        """Every row a patient of its own, speaking for itself."""
        return cls(np.arange(count), np.ones(count))

    def of(self, rows: NDArray[np.bool_]) -> "PatientRows":
        """Some of the rows."""
        return PatientRows(self.patient[rows], self.weight[rows])

    def samples(self, replicates: int, seed: int) -> Iterator[Array]:
        """Weights [up to 40, n] of bootstrap samples of patients, all rows of one together, until there are enough."""
        place = np.unique(self.patient, return_inverse=True)[1]
        count = int(place.max()) + 1 if len(place) else 0
        generator = np.random.default_rng(seed)
        for start in range(0, replicates, _AT_ONCE):
            drawn = [
                np.bincount(generator.integers(0, count, count), minlength=count)[place] * self.weight
                for _ in range(min(_AT_ONCE, replicates - start))
            ]
            yield np.array(drawn, dtype=np.float64)


def estimate(
    metrics: Mapping[str, Metric],
    margin: Array,
    y: NDArray[np.int64],
    replicates: int,
    seed: int,
    rows: PatientRows | None = None,
) -> dict[str, Estimate]:
    """Each metric on the people themselves, with its interval over `replicates` samples of patients."""
    rows = rows or PatientRows.alone(len(y))
    ranked = Ranked.of(margin, y)
    whole = rows.weight[None, ranked.order]
    points = {name: float(metric(ranked, whole)[0]) for name, metric in metrics.items()}
    figures: dict[str, list[Array]] = {name: [] for name in metrics}
    for drawn in rows.samples(replicates, seed):
        weights = drawn[:, ranked.order]
        for name, metric in metrics.items():
            figures[name].append(metric(ranked, weights))
    return {name: _interval(points[name], figures[name]) for name in metrics}


def gain(
    metric: Metric,
    margin: Array,
    other: Array,
    y: NDArray[np.int64],
    replicates: int,
    seed: int,
    rows: PatientRows | None = None,
) -> Estimate:
    """metric(margin) - metric(other), both on the same samples of patients."""
    rows = rows or PatientRows.alone(len(y))
    mine, theirs = Ranked.of(margin, y), Ranked.of(other, y)
    figures = [
        metric(mine, drawn[:, mine.order]) - metric(theirs, drawn[:, theirs.order])
        for drawn in rows.samples(replicates, seed)
    ]
    whole = rows.weight[None, :]
    point = metric(mine, whole[:, mine.order])[0] - metric(theirs, whole[:, theirs.order])[0]
    return _interval(float(point), figures)


def _interval(point: float, figures: list[Array]) -> Estimate:
    if not figures:
        return Estimate(point, point, point)
    known = np.concatenate(figures)
    known = known[~np.isnan(known)]
    if not len(known):
        return Estimate(point, float("nan"), float("nan"))
    low, high = np.percentile(known, [2.5, 97.5])
    return Estimate(point, float(low), float(high))
