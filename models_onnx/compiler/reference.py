"""The reference cohort in the file: quantiles of its margins and what was observed in each calibration bin."""

from dataclasses import dataclass

import numpy as np

from models_onnx.compiler.familiarity import Familiarity
from models_onnx.compiler.graph import DOUBLE, INT64, SECOND_AXIS, Graph


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
