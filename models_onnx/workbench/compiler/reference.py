"""The reference cohort in the file: quantiles of its margins, observed rates by calibration bin, and its spread.

A combination of values is familiar where its distance from the cohort is within a limit taken from the cohort itself.

Each input is standardised on the cohort by the median and the standard deviation of the values within five standard
deviations (for an input with two values: 1). A missing input is set to the median; values more than six
standard deviations away are set to six. The distance is the Mahalanobis distance with the cohort's correlations, robust
against extreme values. The correlations are shrunk by a tenth towards zero, so that inputs that nearly repeat each
other stay finite, and variances are at least a quarter, so that a rare yes alone is not unfamiliar. The distance does
not say why: the range check names single inputs, and the distance looks at their combination.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.workbench.compiler.graph import BOOL, DOUBLE, FLOAT, INT64, SECOND_AXIS, Graph
from models_onnx.workbench.compiler.link import LOGIT, Link
from models_onnx.workbench.metrics import jeffreys

FAMILIARITY_LEVEL = 0.999
SHRINK = 0.1
# In standard deviations: a more extreme value adds no information; the limit also keeps infinity out of sums.
FARTHEST = 6.0
_NEAR = 5.0
_LEAST_VARIANCE = 0.25


@dataclass(frozen=True, slots=True)
class Familiarity:
    """Centre and metric [F, F] of the standardised cohort.

    A row is unfamiliar if its squared distance is above `limit`.
    """

    centre: tuple[float, ...]
    scale: tuple[float, ...]
    metric: tuple[tuple[float, ...], ...]
    limit: float

    @classmethod
    def of(cls, cohort: NDArray[np.float64], level: float = FAMILIARITY_LEVEL) -> Self:
        """Return the familiarity of the cohort's inputs [n, F], NaN where missing.

        The share `level` of the cohort's people is familiar.
        """
        centre = np.array([np.nanmedian(x) if not np.isnan(x).all() else 0.0 for x in cohort.T])
        scale = np.array([_spread(x, middle) for x, middle in zip(cohort.T, centre, strict=True)])
        z = _standardised(cohort, centre, scale)
        covariance = np.cov(np.clip(z, -_NEAR, _NEAR), rowvar=False).reshape(len(scale), len(scale))
        variance = np.diag(covariance)
        lifted = covariance + np.diag(np.maximum(0.0, _LEAST_VARIANCE - variance))
        shrunk = (1.0 - SHRINK) * lifted + SHRINK * np.diag(np.diag(lifted))
        metric = np.linalg.cholesky(np.linalg.inv(shrunk))
        limit = float(np.quantile(((z @ metric) ** 2).sum(axis=1), level))
        rows = tuple(tuple(float(f"{x:.6e}") for x in row) for row in metric.tolist())
        return cls(tuple(centre.tolist()), tuple(scale.tolist()), rows, float(f"{limit:.6e}"))

    def distance(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the distance of each row as a multiple of the limit; above 1 it is unfamiliar."""
        z = _standardised(X, np.array(self.centre), np.array(self.scale))
        return np.asarray(np.sqrt(((z @ np.array(self.metric)) ** 2).sum(axis=1) / self.limit))

    def write(self, graph: Graph, features: str, missing: str) -> None:
        """Write the outputs `distance` [N], a multiple of the limit, and `out_of_distribution` [N]."""
        low = graph.constant("farthest_low", -FARTHEST, np.float64)
        high = graph.constant("farthest_high", FARTHEST, np.float64)
        centre = graph.constant("centre", self.centre, np.float32)
        there = graph.node("Where", [missing, centre, features], "placed")
        # The centre as float32, like the value it replaces: a missing input is then exactly at the centre.
        middle = graph.constant("centre_wide", np.array(self.centre, dtype=np.float32), np.float64)
        away = graph.node("Sub", [graph.node("Cast", [there], "placed_wide", to=DOUBLE), middle], "away")
        scaled = graph.node("Div", [away, graph.constant("spread_scale", self.scale, np.float64)], "scaled")
        z = graph.node("Clip", [scaled, low, high], "standardised")
        metric = graph.constant("metric", np.array(self.metric) / np.sqrt(self.limit), np.float64)
        turned = graph.node("MatMul", [z, metric], "turned")
        squares = graph.row_sums(graph.node("Mul", [turned, turned], "squares"), len(self.centre), "sum_of_squares")
        length = graph.node("Sqrt", [graph.node("Squeeze", [squares, SECOND_AXIS], "squared")], "length")
        graph.node("Cast", [length], "distance", to=FLOAT)
        graph.node("Greater", [length, graph.constant("one", 1.0, np.float64)], "out_of_distribution")
        graph.output("distance", FLOAT, ["N"])
        graph.output("out_of_distribution", BOOL, ["N"])


def _spread(x: NDArray[np.float64], middle: float) -> float:
    finite = x[np.isfinite(x)]
    if len(finite) < 2 or finite.std() == 0.0:
        return 1.0
    if len(np.unique(finite)) == 2:
        return float(finite.max() - finite.min())
    near = finite[np.abs(finite - middle) <= _NEAR * finite.std()]
    return float(near.std()) or float(finite.std())


def _standardised(
    X: NDArray[np.float64], centre: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    # float32 first, as the file receives it
    values = np.asarray(X, dtype=np.float32).astype(np.float64)
    middle = centre.astype(np.float32).astype(np.float64)
    placed = np.where(np.isnan(values), middle, values)
    return np.clip((placed - middle) / scale, -FARTHEST, FARTHEST)


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """The outcomes of people of the cohort, not used for training, from this quantile up to the next bin's.

    `quantile` is the number of quantiles that are reached where the bin begins; the first bin has 0.
    """

    quantile: int
    count: int
    events: int
    predicted: float
    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference cohort: evenly spaced, increasing `quantiles` of its margins, and increasing calibration `bins`.

    `familiarity` describes the cohort's own distances, for the out-of-distribution flag; without it the file has none.
    The first bin begins below all quantiles.
    """

    quantiles: tuple[float, ...]
    bins: tuple[CalibrationBin, ...]
    familiarity: Familiarity | None = None

    @property
    def step(self) -> float:
        """Percent of the cohort between two quantiles."""
        return 100.0 / (len(self.quantiles) + 1)

    def margin_low(self, bin: CalibrationBin) -> float:
        """Return the margin where the bin begins; minus infinity for the first."""
        return self.quantiles[bin.quantile - 1] if bin.quantile else float("-inf")

    def write(self, graph: Graph, margin: str) -> None:
        """Write percentile and observed rates of margins [N, 1].

        It counts the quantiles that a margin reaches, then looks up each table.
        """
        limits = graph.constant("quantiles", self.quantiles, np.float64)
        reached = graph.node("GreaterOrEqual", [margin, limits], "reached")
        counted = graph.node("Cast", [reached], "counted", to=INT64)
        position = graph.node("ReduceSum", [counted, SECOND_AXIS], "place", keepdims=0)
        for name, table in self._tables().items():
            graph.node("Gather", [graph.constant(f"{name}_table", table, np.float64), position], name)
            graph.output(name, DOUBLE, ["N"])

    def _tables(self) -> dict[str, list[float]]:
        """Return one entry per number of quantiles reached, from none to all."""
        places = range(len(self.quantiles) + 1)
        bin_of = [max(b for b in range(len(self.bins)) if self.bins[b].quantile <= position) for position in places]
        return {
            "percentile": [position * self.step for position in places],
            "observed_rate": [self.bins[b].rate for b in bin_of],
            "observed_low": [self.bins[b].low for b in bin_of],
            "observed_high": [self.bins[b].high for b in bin_of],
            "observed_count": [float(self.bins[b].count) for b in bin_of],
        }


Array = NDArray[np.float64]
# Steps of half a percent: with 13,391 people 66 of them lie between two limits, so no limit is one person's value.
QUANTILES = 199
TENTHS = tuple(range(0, 100, 10))


def build_reference(
    margin: Array,
    out_of_fold_margin: Array,
    y: NDArray[np.int64],
    weight: Array,
    link: Link = LOGIT,
    familiarity: Familiarity | None = None,
    percentiles: Sequence[int] = TENTHS,
) -> Reference:
    """Return the quantiles of the margins, and what happened in the bins that begin at these percentiles of them.

    A bin that is empty, or whose observed rate would fall, is joined with the one below. `weight`: how many people each
    stands for; who has none is compared with, and not counted in a bin.
    """
    quantiles = _quantiles(margin)
    starts = [round(percent * (QUANTILES + 1) / 100) for percent in percentiles]
    counted = weight > 0
    reached = np.searchsorted(quantiles, out_of_fold_margin[counted], side="right")
    predicted = link.probability(out_of_fold_margin[counted])
    while True:
        bins = _bins(starts, reached, predicted, y[counted], weight[counted])
        joined = [k for k in range(1, len(bins)) if bins[k].rate < bins[k - 1].rate or not bins[k].count]
        if not joined and (bins[0].count or len(bins) == 1):
            return Reference(tuple(quantiles.tolist()), tuple(bins), familiarity)
        del starts[joined[0] if joined else 1]


def _quantiles(margin: Array) -> Array:
    return np.quantile(margin, np.arange(1, QUANTILES + 1) / (QUANTILES + 1)).round(6)


def _bins(
    starts: list[int], reached: NDArray[np.int64], predicted: Array, y: NDArray[np.int64], weight: Array
) -> list[CalibrationBin]:
    bins = []
    for start, end in zip(starts, [*starts[1:], QUANTILES + 1], strict=True):
        inside = (reached >= start) & (reached < end)
        count, events = int(inside.sum()), int(y[inside].sum())
        people = float(weight[inside].sum())
        mean = float(np.average(predicted[inside], weights=weight[inside])) if count else 0.0
        rate = float((weight[inside] * y[inside]).sum()) / people if count else 0.0
        # The interval is that of as many people as were seen, not of those they stand for.
        low, high = jeffreys(rate * count, count) if count else (0.0, 1.0)
        bins.append(CalibrationBin(start, count, events, round(mean, 4), round(rate, 6), round(low, 6), round(high, 6)))
    return bins
