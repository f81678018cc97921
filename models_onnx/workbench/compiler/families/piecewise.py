"""Functions of one input that are linear or polynomial between their knots.

`Curve` is the combined effect of scalers, splines, one-hot codes and weights on one input, and `write_curves` writes
curves side by side; `PiecewiseLinear` is the model of this project's own training, written as hinges max(x - knot, 0).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from models_onnx.workbench.compiler.graph import DOUBLE, INT64, Graph
from models_onnx.workbench.compiler.link import LOGIT, Link

Array = NDArray[np.float64]
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Piece k holds from breaks[k-1] (with it) to breaks[k] (without): sum of coefficients[k, d] (x - origins[k])^d.

    `missing` is the value where the input is missing, NaN where the model has none.
    """

    breaks: Array
    origins: Array
    coefficients: Array
    missing: float = float("nan")

    @classmethod
    def identity(cls) -> Self:
        """x itself."""
        return cls(np.zeros(0), np.zeros(1), np.array([[0.0, 1.0]]))

    @classmethod
    def steps(cls, breaks: Sequence[float], values: Sequence[float], missing: float = float("nan")) -> Self:
        """Constant pieces."""
        return cls(np.array(breaks, float), np.zeros(len(values)), np.array(values, dtype=float)[:, None], missing)

    @property
    def straight(self) -> bool:
        """Whether it is one straight line."""
        return len(self.breaks) == 0 and self.coefficients.shape[1] <= 2

    @property
    def rising(self) -> bool:
        """Whether it is the input itself, perhaps scaled: one straight line upwards."""
        return self.straight and self.line[0] > 0

    @property
    def line(self) -> tuple[float, float]:
        """Slope and intercept of a straight curve."""
        row = [*self.coefficients[0].tolist(), 0.0]
        return row[1], row[0] - row[1] * float(self.origins[0])

    def values(self, x: Array) -> Array:
        """Returns the curve at each x."""
        inside = np.clip(x, -LARGEST, LARGEST)
        piece = np.searchsorted(self.breaks, inside, side="right")
        away = np.where(np.isnan(x), 0.0, inside - self.origins[piece])
        total = np.zeros(len(x))
        for power in range(self.coefficients.shape[1] - 1, -1, -1):
            total = total * away + self.coefficients[piece, power]
        return np.where(np.isnan(x), self.missing, total)

    def scaled(self, slope: float, intercept: float) -> Self:
        """slope * curve + intercept."""
        coefficients = slope * self.coefficients
        coefficients[:, 0] += intercept
        return replace(self, coefficients=coefficients, missing=slope * self.missing + intercept)

    def at_missing(self, value: float) -> Self:
        """Returns the same curve with this value where the input is missing."""
        return replace(self, missing=value)

    def of_steps(self, steps: "Curve") -> "Curve":
        """This curve applied to the values of a step function, which gives steps again."""
        values = self.values(steps.coefficients[:, 0])[:, None]
        return Curve(steps.breaks, steps.origins, values, float(self.values(np.array([steps.missing]))[0]))

    def __add__(self, other: "Curve") -> "Curve":
        breaks = np.union1d(self.breaks, other.breaks)
        degree = max(self.coefficients.shape[1], other.coefficients.shape[1])
        # The left end of each piece is its origin: near it the powers are small, so that no precision is lost.
        inside = [*(breaks[:1] if len(breaks) else [0.0]), *breaks]
        origins = np.array(inside if len(breaks) else [0.0])
        total = np.zeros((len(origins), degree))
        for curve in (self, other):
            starts = np.concatenate([[-np.inf], breaks])
            piece = np.searchsorted(curve.breaks, starts, side="right")
            for row, k in enumerate(piece):
                # the same polynomial in powers of (x - the new origin)
                moved = Polynomial(curve.coefficients[k])(Polynomial([origins[row] - curve.origins[k], 1.0])).coef
                total[row, : len(moved)] += moved
        return replace(self, breaks=breaks, origins=origins, coefficients=total, missing=self.missing + other.missing)


def write_curves(graph: Graph, columns: str, missing: str, curves: Sequence[Curve]) -> str:
    """Writes the curve of each float64 column [N, K]: the piece, its coefficients, then Horner's rule.

    Where `missing` [N, K] is true the value is the curve's `missing`, NaN where it has none.
    """
    zero = graph.constant("nothing", 0.0, np.float64)
    filled = graph.node("Where", [missing, zero, columns], "filled")
    ends = [graph.constant(f"end_{side}", sign * LARGEST, np.float64) for side, sign in (("low", -1), ("high", 1))]
    inside = graph.node("Clip", [filled, *ends], "inside")
    if any(len(curve.breaks) for curve in curves):
        values = _write_pieces(graph, inside, curves)
    else:
        values = _write_horner(graph, inside, curves, lambda name, table: graph.constant(name, table, np.float64))
    of_missing = graph.constant("of_missing", [curve.missing for curve in curves], np.float64)
    return graph.node("Where", [missing, of_missing, values], "of_columns")


def _write_pieces(graph: Graph, inside: str, curves: Sequence[Curve]) -> str:
    owner = np.repeat(np.arange(len(curves)), [len(curve.breaks) for curve in curves])
    counts = np.zeros((len(owner), len(curves)), dtype=np.float32)
    counts[np.arange(len(owner)), owner] = 1.0
    breaks = graph.constant("breaks", np.concatenate([curve.breaks for curve in curves]), np.float64)
    spread = graph.node("Gather", [inside, graph.constant("break_owner", owner, np.int64)], "spread", axis=1)
    reached = graph.node("GreaterOrEqual", [spread, breaks], "breaks_reached")
    ones = graph.constant("reached_one", 1.0, np.float32), graph.constant("reached_none", 0.0, np.float32)
    marked = graph.node("Where", [reached, *ones], "breaks_marked")
    counted = graph.node("MatMul", [marked, graph.constant("break_counts", counts, np.float32)], "breaks_counted")
    first = graph.constant("first_piece", np.cumsum([0, *(len(curve.origins) for curve in curves[:-1])]), np.int64)
    piece = graph.node("Add", [graph.node("Cast", [counted], "piece_of_curve", to=INT64), first], "piece")

    def look_up(name: str, table: Array) -> str:
        return graph.node("Gather", [graph.constant(f"{name}_table", table, np.float64), piece], name)

    return _write_horner(graph, inside, curves, look_up)


def _write_horner(graph: Graph, inside: str, curves: Sequence[Curve], table_of: Callable[[str, Array], str]) -> str:
    """Writes the polynomials; `table_of` gives one number for each column from a table of all pieces of all curves."""
    powers = max(curve.coefficients.shape[1] for curve in curves)
    padded = [np.pad(curve.coefficients, ((0, 0), (0, powers - curve.coefficients.shape[1]))) for curve in curves]
    coefficients = np.concatenate(padded)
    origin = table_of("origin", np.concatenate([curve.origins for curve in curves]))
    away = graph.node("Sub", [inside, origin], "away")
    total = table_of(f"coefficient_{powers - 1}", coefficients[:, powers - 1])
    for power in range(powers - 2, -1, -1):
        raised = graph.node("Mul", [total, away], f"raised_{power}")
        coefficient = table_of(f"coefficient_{power}", coefficients[:, power])
        total = graph.node("Add", [raised, coefficient], f"polynomial_{power}")
    return total


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
        """Returns the same sums in numpy, for the reference cohort's margins; a missing input contributes 0."""
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
