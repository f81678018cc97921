"""Additive models: one curve for each input, linear between its knots.

`Curve` is all that a model does to its input, less its mean over the reference cohort. `write_curves` writes curves
side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    def broken_line(cls, knots: Sequence[float], weights: Sequence[float], top: float, centre: float) -> Self:
        """Sum of weight * max(min(x, top) - knot, 0), less `centre`: flat below the first knot and above `top`.

        A missing input counts as the center, 0.
        """
        slopes = np.concatenate([[0.0], np.cumsum(weights), [0.0]])
        intercepts = np.concatenate([[0.0], -np.cumsum(np.array(weights) * knots), [0.0]])
        intercepts[-1] = slopes[-2] * top + intercepts[-2]
        return cls(np.array([*knots, top]), intercepts - centre, slopes, 0.0)

    def values(self, x: Array) -> Array:
        """Return the curve at each x."""
        inside = np.where(np.isnan(x), 0.0, np.clip(x, -LARGEST, LARGEST))
        piece = np.searchsorted(self.breaks, inside, side="right")
        return np.where(np.isnan(x), self.missing, self.slopes[piece] * inside + self.intercepts[piece])

    def scaled(self, slope: float, intercept: float) -> Self:
        """slope * curve + intercept."""
        intercepts, missing = slope * self.intercepts + intercept, slope * self.missing + intercept
        return replace(self, intercepts=intercepts, slopes=slope * self.slopes, missing=missing)


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
class AdditiveCurves:
    """base + the sum of the curves."""

    features: tuple[str, ...]
    curves: tuple[Curve, ...]
    base: float
    low: tuple[float, ...]
    high: tuple[float, ...]
    link: Link = LOGIT

    @property
    def edges(self) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(sorted(set(curve.breaks.tolist()))) for curve in self.curves)

    def contributions(self, X: Array) -> Array:
        return np.column_stack([curve.values(x) for x, curve in zip(X.T, self.curves, strict=True)])

    def margin(self, X: Array) -> Array:
        return np.asarray(self.base + self.contributions(X).sum(axis=1))

    def recalibrated(self, intercept: float, slope: float) -> Self:
        curves = tuple(curve.scaled(slope, 0.0) for curve in self.curves)
        return replace(self, curves=curves, base=intercept + slope * self.base)

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:
        """Write the curves side by side, in float64."""
        return write_curves(graph, graph.node("Cast", [features], "wide", to=DOUBLE), missing, self.curves)
