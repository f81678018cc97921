"""The reference cohort in the file: quantiles of its margins, and observed rates by calibration bin."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models_onnx.workbench.compiler.graph import DOUBLE, INT64, SECOND_AXIS, Graph
from models_onnx.workbench.compiler.link import LOGIT, Link
from models_onnx.workbench.metrics import jeffreys


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

    The first bin begins below all quantiles.
    """

    quantiles: tuple[float, ...]
    bins: tuple[CalibrationBin, ...]

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
    percentiles: Sequence[int] = TENTHS,
) -> Reference:
    """Return the quantiles of the margins, and what happened in the bins that begin at these percentiles of them.

    A bin that is empty, or whose observed rate would fall, is joined with the one below. `weight`: how many people each
    stands for; who has none is compared with, and not counted in a bin.
    """
    quantiles = np.quantile(margin, np.arange(1, QUANTILES + 1) / (QUANTILES + 1)).round(6)
    starts = [round(percent * (QUANTILES + 1) / 100) for percent in percentiles]
    counted = weight > 0
    reached = np.searchsorted(quantiles, out_of_fold_margin[counted], side="right")
    predicted = link.probability(out_of_fold_margin[counted])
    while True:
        bins = _bins(starts, reached, predicted, y[counted], weight[counted])
        joined = [k for k in range(1, len(bins)) if bins[k].rate < bins[k - 1].rate or not bins[k].count]
        if not joined and (bins[0].count or len(bins) == 1):
            return Reference(tuple(quantiles.tolist()), tuple(bins))
        del starts[joined[0] if joined else 1]


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
