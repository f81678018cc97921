"""Functions of one input that are linear between their knots.

`Curve` is the combined effect of scalers, imputing, one-hot codes and weights on one input, and `write_curves` writes
curves side by side; `PiecewiseLinear` is the model of this project's own training, written as hinges max(x - knot, 0).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.workbench.compiler.graph import DOUBLE, INT64, Graph
from models_onnx.workbench.compiler.link import LOGIT, Link

Array = NDArray[np.float64]
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Piece k holds from breaks[k-1] (with it) to breaks[k] (without): intercepts[k] + slopes[k] * x.

    `missing` is the value where the input is missing, NaN where the model has none.
    """

    breaks: Array
    intercepts: Array
    slopes: Array
    missing: float = float("nan")

    @classmethod
    def identity(cls) -> Self:
        """x itself."""
        return cls(np.zeros(0), np.zeros(1), np.ones(1))

    @classmethod
    def steps(cls, breaks: Sequence[float], values: Sequence[float], missing: float = float("nan")) -> Self:
        """Constant pieces."""
        return cls(np.array(breaks, float), np.array(values, float), np.zeros(len(values)), missing)

    @property
    def straight(self) -> bool:
        """Whether it is one straight line."""
        return len(self.breaks) == 0

    @property
    def rising(self) -> bool:
        """Whether it is the input itself, perhaps scaled: one straight line upwards."""
        return self.straight and self.line[0] > 0

    @property
    def line(self) -> tuple[float, float]:
        """Slope and intercept of a straight curve."""
        return float(self.slopes[0]), float(self.intercepts[0])

    def values(self, x: Array) -> Array:
        """Return the curve at each x."""
        inside = np.where(np.isnan(x), 0.0, np.clip(x, -LARGEST, LARGEST))
        piece = np.searchsorted(self.breaks, inside, side="right")
        return np.where(np.isnan(x), self.missing, self.slopes[piece] * inside + self.intercepts[piece])

    def scaled(self, slope: float, intercept: float) -> Self:
        """slope * curve + intercept."""
        intercepts, missing = slope * self.intercepts + intercept, slope * self.missing + intercept
        return replace(self, intercepts=intercepts, slopes=slope * self.slopes, missing=missing)

    def at_missing(self, value: float) -> Self:
        """Return the same curve with this value where the input is missing."""
        return replace(self, missing=value)

    def __add__(self, other: "Curve") -> "Curve":
        breaks = np.union1d(self.breaks, other.breaks)
        starts = np.concatenate([[-np.inf], breaks])
        of_self, of_other = (np.searchsorted(curve.breaks, starts, side="right") for curve in (self, other))
        intercepts = self.intercepts[of_self] + other.intercepts[of_other]
        slopes = self.slopes[of_self] + other.slopes[of_other]
        return Curve(breaks, intercepts, slopes, self.missing + other.missing)


def write_curves(graph: Graph, columns: str, missing: str, curves: Sequence[Curve]) -> str:
    """Write the curve of each float64 column [N, K]: the piece, then its line.

    Where `missing` [N, K] is true the value is the curve's `missing`, NaN where it has none.
    """
    zero = graph.constant("nothing", 0.0, np.float64)
    filled = graph.node("Where", [missing, zero, columns], "filled")
    ends = [graph.constant(f"end_{side}", sign * LARGEST, np.float64) for side, sign in (("low", -1), ("high", 1))]
    inside = graph.node("Clip", [filled, *ends], "inside")
    slopes = graph.constant("slopes", np.concatenate([curve.slopes for curve in curves]), np.float64)
    intercepts = graph.constant("intercepts", np.concatenate([curve.intercepts for curve in curves]), np.float64)
    if any(len(curve.breaks) for curve in curves):
        piece = _write_piece(graph, inside, curves)
        slopes = graph.node("Gather", [slopes, piece], "slope")
        intercepts = graph.node("Gather", [intercepts, piece], "intercept")
    values = graph.node("Add", [graph.node("Mul", [inside, slopes], "raised"), intercepts], "lines")
    of_missing = graph.constant("of_missing", [curve.missing for curve in curves], np.float64)
    return graph.node("Where", [missing, of_missing, values], "of_columns")


def _write_piece(graph: Graph, inside: str, curves: Sequence[Curve]) -> str:
    """Write the place of each column's piece among the pieces of all curves."""
    owner = np.repeat(np.arange(len(curves)), [len(curve.breaks) for curve in curves])
    counts = np.zeros((len(owner), len(curves)), dtype=np.float32)
    counts[np.arange(len(owner)), owner] = 1.0
    breaks = graph.constant("breaks", np.concatenate([curve.breaks for curve in curves]), np.float64)
    spread = graph.node("Gather", [inside, graph.constant("break_owner", owner, np.int64)], "spread", axis=1)
    reached = graph.node("GreaterOrEqual", [spread, breaks], "breaks_reached")
    ones = graph.constant("reached_one", 1.0, np.float32), graph.constant("reached_none", 0.0, np.float32)
    marked = graph.node("Where", [reached, *ones], "breaks_marked")
    counted = graph.node("MatMul", [marked, graph.constant("break_counts", counts, np.float32)], "breaks_counted")
    first = graph.constant("first_piece", np.cumsum([0, *(len(curve.slopes) for curve in curves[:-1])]), np.int64)
    return graph.node("Add", [graph.node("Cast", [counted], "piece_of_curve", to=INT64), first], "piece")


@dataclass(frozen=True, slots=True)
class BrokenLine:
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

    lines: tuple[BrokenLine, ...]
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
        """Return the same sums in numpy, for the reference cohort's margins; a missing input contributes 0."""
        columns = []
        for x, line in zip(X.T, self.lines, strict=True):
            hinges = np.maximum(np.minimum(x, line.top)[:, None] - np.array(line.knots), 0.0)
            columns.append(np.where(np.isnan(x), 0.0, hinges @ np.array(line.weights) - line.centre))
        return np.column_stack(columns)

    def margin(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return base + sum of contributions."""
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
