"""The reference cohort in the file: quantiles of its margins, observed rates by calibration bin, and what is familiar.

A combination of values is familiar where its distance from the cohort is within the cohort's own limit.

Each input is standardised on the cohort: median, and standard deviation of the values within five of them (an input
with two values in steps of one). A missing input is put at the median, and one that is farther than six standard
deviations at six. The distance is Mahalanobis', robust against wild values, in the metric of the cohort's correlations.
These are shrunk by a tenth towards none, so that inputs that nearly repeat each other stay finite, with variances of at
least a quarter, so that a rare yes is not strange by itself. The distance does not say why: the range check names
single inputs, and this looks at how they go together.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.compiler.graph import BOOL, DOUBLE, FLOAT, INT64, SECOND_AXIS, Graph
from models_onnx.compiler.link import FittedModel
from models_onnx.errors import CompileRefused
from models_onnx.evaluation.metrics import jeffreys

FAMILIARITY_LEVEL = 0.999
SHRINK = 0.1
# In standard deviations: beyond it a single value says no more than that it is wild; also keeps infinity out of sums.
FARTHEST = 6.0
_NEAR = 5.0
_LEAST_VARIANCE = 0.25


@dataclass(frozen=True, slots=True)
class Familiarity:
    """Centre and metric [F, F] of the standardised cohort; a squared distance above `limit` is unfamiliar."""

    centre: tuple[float, ...]
    scale: tuple[float, ...]
    metric: tuple[tuple[float, ...], ...]
    limit: float

    @classmethod
    def of(cls, cohort: NDArray[np.float64], level: float = FAMILIARITY_LEVEL) -> Self:
        """From the cohort's inputs [n, F], NaN where missing; `level` of its people are familiar."""
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
        """Distance of each row as a multiple of the limit: above 1 is unfamiliar."""
        z = _standardised(X, np.array(self.centre), np.array(self.scale))
        return np.asarray(np.sqrt(((z @ np.array(self.metric)) ** 2).sum(axis=1) / self.limit))

    def write(self, graph: Graph, features: str, missing: str) -> None:
        """Outputs `distance` [N], a multiple of the limit, and `out_of_distribution` [N]."""
        low = graph.constant("farthest_low", -FARTHEST, np.float64)
        high = graph.constant("farthest_high", FARTHEST, np.float64)
        centre = graph.constant("centre", self.centre, np.float32)
        there = graph.node("Where", [missing, centre, features], "placed")
        away = graph.node("Sub", [graph.node("Cast", [there], "placed_wide", to=DOUBLE), self._centre(graph)], "away")
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

    def _centre(self, graph: Graph) -> str:
        # As float32, like the value it replaces: a missing input is then exactly at the centre.
        return graph.constant("centre_wide", np.array(self.centre, dtype=np.float32), np.float64)


def _spread(x: NDArray[np.float64], middle: float) -> float:
    known = x[np.isfinite(x)]
    if len(known) < 2 or known.std() == 0.0:
        return 1.0
    if len(np.unique(known)) == 2:
        return float(known.max() - known.min())
    near = known[np.abs(known - middle) <= _NEAR * known.std()]
    return float(near.std()) or float(known.std())


def _standardised(
    X: NDArray[np.float64], centre: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    # float32 first, as the file is given it
    values = np.asarray(X, dtype=np.float32).astype(np.float64)
    middle = centre.astype(np.float32).astype(np.float64)
    placed = np.where(np.isnan(values), middle, values)
    return np.clip((placed - middle) / scale, -FARTHEST, FARTHEST)


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """People of the cohort, not trained on, from this quantile up to the next bin's: what happened to them.

    `quantile` is the number of quantiles that have been reached where the bin begins; the first bin has 0.
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
    """`quantiles` of the cohort's margins, evenly spaced and rising; `bins` rising, the first from below them all.

    `familiarity`: the cohort's own distances, for the out-of-distribution flag; without it the file has none.
    """

    quantiles: tuple[float, ...]
    bins: tuple[CalibrationBin, ...]
    familiarity: Familiarity | None = None

    @property
    def step(self) -> float:
        """Percent of the cohort between two quantiles."""
        return 100.0 / (len(self.quantiles) + 1)

    def margin_low(self, bin: CalibrationBin) -> float:
        """The margin where the bin begins; minus infinity for the first."""
        return self.quantiles[bin.quantile - 1] if bin.quantile else float("-inf")

    def write(self, graph: Graph, margin: str) -> None:
        """Percentile and observed rates of margins [N, 1]: how many quantiles are reached, then one look per table."""
        limits = graph.constant("quantiles", self.quantiles, np.float64)
        reached = graph.node("GreaterOrEqual", [margin, limits], "reached")
        counted = graph.node("Cast", [reached], "counted", to=INT64)
        place = graph.node("ReduceSum", [counted, SECOND_AXIS], "place", keepdims=0)
        for name, table in self._tables().items():
            graph.node("Gather", [graph.constant(f"{name}_table", table, np.float64), place], name)
            graph.output(name, DOUBLE, ["N"])

    def _tables(self) -> dict[str, list[float]]:
        """One entry per number of quantiles reached, from none to all."""
        places = range(len(self.quantiles) + 1)
        own = [max(b for b in range(len(self.bins)) if self.bins[b].quantile <= place) for place in places]
        return {
            "percentile": [place * self.step for place in places],
            "observed_rate": [self.bins[b].rate for b in own],
            "observed_low": [self.bins[b].low for b in own],
            "observed_high": [self.bins[b].high for b in own],
            "observed_count": [float(self.bins[b].count) for b in own],
        }


Array = NDArray[np.float64]
# Steps of half a percent, as in the models of this project.
QUANTILES = 199
BINS = 10


def observed(model: FittedModel, X: Array, outcomes: NDArray[np.int64] | None) -> Reference:
    """From the rows [n, F] and, where there are any, their outcomes (0 or 1): nobody of them may have been trained on.

    Without outcomes the observed rates are NaN, of 0 people. A bin where the rate would fall joins the one below.
    """
    margin = model.margin(X)
    levels = np.arange(1, QUANTILES + 1) / (QUANTILES + 1)
    quantiles = np.quantile(margin, levels)
    nan = float("nan")
    bins: tuple[CalibrationBin, ...] = (CalibrationBin(0, 0, 0, nan, nan, nan, nan),)
    if outcomes is not None:
        bins = _bins(quantiles, margin, model.link.probability(margin), _checked(outcomes, len(margin)))
    return Reference(tuple(quantiles.tolist()), bins, Familiarity.of(X))


def _checked(outcomes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    if outcomes.shape != (count,) or not np.isin(outcomes, (0, 1)).all():
        raise CompileRefused(f"outcomes are one 0 or 1 for each of the {count} reference rows")
    return outcomes.astype(np.int64)


def _bins(quantiles: Array, margin: Array, p: Array, y: NDArray[np.int64]) -> tuple[CalibrationBin, ...]:
    place = np.searchsorted(quantiles, margin, side="right")
    starts = [round(number * (QUANTILES + 1) / BINS) for number in range(BINS)]
    while True:
        ends = [*starts[1:], QUANTILES + 1]
        inside = [(place >= start) & (place < end) for start, end in zip(starts, ends, strict=True)]
        empty = [number for number, rows in enumerate(inside) if not rows.any()]
        rates = [float(y[rows].mean()) if rows.any() else 0.0 for rows in inside]
        falls = [number for number in range(1, len(rates)) if rates[number] < rates[number - 1]]
        joined = sorted({*empty, *falls} - {0}) or ([1] if 0 in empty and len(starts) > 1 else [])
        if not joined:
            return tuple(_bin(start, y[rows], p[rows]) for start, rows in zip(starts, inside, strict=True))
        del starts[joined[0]]


def _bin(start: int, y: NDArray[np.int64], p: Array) -> CalibrationBin:
    low, high = jeffreys(int(y.sum()), len(y))
    return CalibrationBin(start, len(y), int(y.sum()), float(p.mean()), float(y.mean()), low, high)
