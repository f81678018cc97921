"""Additive piecewise-linear models: every input has a broken line, written as hinges max(x - knot, 0)."""

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.compiler.graph import DOUBLE, Graph
from models_onnx.compiler.link import LOGIT, Link


@dataclass(frozen=True, slots=True)
class Line:
    """One input's broken line: sum of weight * max(min(x, top) - knot, 0) - centre; the first knot is the lowest value.

    Below the first knot and above `top` the line is flat. `high` is where the trained range ends.
    """

    feature: str
    knots: tuple[float, ...]
    weights: tuple[float, ...]
    centre: float
    top: float
    high: float


@dataclass(frozen=True, slots=True)
class PiecewiseLinear:
    """base + one broken line per input, centred so that the mean of the reference cohort contributes 0.

    For a Cox model: `link=Survival.at({1.0: H1, 5.0: H5}, main=5.0)` and a base of `link.log_hazard` + the mean linear
    predictor of the reference cohort.
    """

    lines: tuple[Line, ...]
    base: float
    link: Link = field(default=LOGIT)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs, in the order of the vector."""
        return tuple(line.feature for line in self.lines)

    @property
    def low(self) -> tuple[float, ...]:
        """Lowest value of each input in training."""
        return tuple(line.knots[0] for line in self.lines)

    @property
    def high(self) -> tuple[float, ...]:
        """Highest value of each input in training; infinite where higher values are scored as the highest."""
        return tuple(line.high for line in self.lines)

    @property
    def edges(self) -> tuple[tuple[float, ...], ...]:
        """Knots and top of each line."""
        return tuple((*line.knots, line.top) for line in self.lines)

    def recalibrated(self, intercept: float, slope: float) -> Self:
        """margin = intercept + slope * margin, multiplied into the weights."""
        lines = tuple(
            replace(line, weights=tuple(slope * w for w in line.weights), centre=slope * line.centre)
            for line in self.lines
        )
        return replace(self, lines=lines, base=intercept + slope * self.base)

    def contributions(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same sums in numpy, for the reference cohort's margins; a missing input contributes 0."""
        columns = []
        for x, line in zip(X.T, self.lines, strict=True):
            hinges = np.maximum(np.minimum(x, line.top)[:, None] - np.array(line.knots), 0.0)
            columns.append(np.where(np.isnan(x), 0.0, hinges @ np.array(line.weights) - line.centre))
        return np.column_stack(columns)

    def margin(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """base + sum of contributions."""
        return np.asarray(self.base + self.contributions(X).sum(axis=1))

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:
        """Hinges of all inputs side by side in float64: float32 sums of hinges that cancel lose the fifth decimal."""
        owner = [j for j, line in enumerate(self.lines) for _ in line.knots]
        weights = np.zeros((len(owner), len(self.lines)))
        weights[np.arange(len(owner)), owner] = [w for line in self.lines for w in line.weights]

        lowest = graph.constant("lowest", self.low, np.float32)
        filled = graph.node("Where", [missing, lowest, features], "filled")
        wide = graph.node("Cast", [filled], "wide", to=DOUBLE)
        topped = graph.node(
            "Min", [wide, graph.constant("tops", [line.top for line in self.lines], np.float64)], "topped"
        )
        spread = graph.node("Gather", [topped, graph.constant("owner", owner, np.int64)], "spread", axis=1)
        knots = graph.constant("knots", [knot for line in self.lines for knot in line.knots], np.float64)
        hinges = graph.node("Relu", [graph.node("Sub", [spread, knots], "above_knot")], "hinges")
        sums = graph.node("MatMul", [hinges, graph.constant("weights", weights, np.float64)], "sums")
        centres = graph.constant("centres", [line.centre for line in self.lines], np.float64)
        centred = graph.node("Sub", [sums, centres], "centred")
        return graph.node("Where", [missing, graph.constant("nothing", 0.0, np.float64), centred], "of_inputs")
