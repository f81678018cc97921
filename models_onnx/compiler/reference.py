"""The reference cohort in the file: quantiles of its margins and what was observed in each calibration bin."""

from dataclasses import dataclass

import numpy as np

from models_onnx.compiler.graph import Graph

BINS = ("observed_rate", "observed_low", "observed_high", "observed_count")


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """People not trained on whose margin is at least `margin_low` (and below the next bin's): what happened to them."""

    margin_low: float
    count: int
    events: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Reference:
    """`quantiles` of the cohort's margins, evenly spaced and rising; `bins` rising, the first from -infinity."""

    quantiles: tuple[float, ...]
    bins: tuple[CalibrationBin, ...]

    @property
    def step(self) -> float:
        """Percent between two quantiles."""
        return 100.0 / (len(self.quantiles) + 1)

    def write(self, graph: Graph, margin: str) -> None:
        """Percentile and observed rates of a margin [N, 1]: one comparison with all limits, then one sum of steps."""
        table = np.array([(b.rate, b.low, b.high, b.count) for b in self.bins])
        steps = np.zeros((len(self.quantiles) + len(self.bins) - 1, 1 + len(BINS)))
        steps[: len(self.quantiles), 0] = self.step
        steps[len(self.quantiles) :, 1:] = np.diff(table, axis=0)

        limits = [*self.quantiles, *(b.margin_low for b in self.bins[1:])]
        reached = graph.node("GreaterOrEqual", [margin, graph.constant("limits", limits, np.float64)], "reached")
        counted = graph.node("Cast", [reached], "counted", to=11)
        climbed = graph.node("MatMul", [counted, graph.constant("steps", steps, np.float64)], "climbed")
        start = graph.constant("start", [0.0, *table[0]], np.float64)
        compared = graph.node("Add", [climbed, start], "compared")
        for column, name in enumerate(("percentile", *BINS)):
            index = graph.constant(f"column_{name}", column, np.int64)
            graph.node("Gather", [compared, index], name, axis=1)
            graph.output(name, 11, ["N"])
