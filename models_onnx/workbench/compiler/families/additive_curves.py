"""Additive models: one curve for each input, and tables of two inputs. Broken lines and EBM.

A curve is all that a model does to its input, less its mean over the reference cohort. A table of two inputs is parted
into what either input does on the average of the reference cohort, which is added to its curve, and the rest, which is
divided equally between them. These are the interventional Shapley values of a two-way term against that cohort,
whatever its inputs have to do with each other (responsible-ai 7.3 b1), and they add up to its value.

Functions of one input that are linear between their knots.

`Curve` is all that a model does to one input: scalers, imputing, one-hot codes and weights, broken lines, steps.
`write_curves` writes curves side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.workbench.compiler.families.trees import as_received, limits
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
    def steps(cls, breaks: Sequence[float], values: Sequence[float], missing: float = float("nan")) -> Self:
        """Constant pieces."""
        return cls(np.array(breaks, float), np.array(values, float), np.zeros(len(values)), missing)

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
class PairTable:
    """A step function of two inputs: `values` has one axis for each, its cells from break to break, then missing."""

    inputs: tuple[int, int]
    breaks: tuple[Sequence[float], Sequence[float]]
    values: Array = field(repr=False)

    @property
    def cells(self) -> list[Curve]:
        """The number of the cell along each axis, as a curve of its input."""
        return [Curve.steps(breaks, range(len(breaks) + 1), len(breaks) + 1) for breaks in self.breaks]

    def places(self, X: Array) -> list[NDArray[np.int64]]:
        """Return the cell of each row along each axis."""
        return [cells.values(X[:, j]).astype(np.int64) for j, cells in zip(self.inputs, self.cells, strict=True)]

    def values_of(self, X: Array) -> Array:
        """Return the value of each row."""
        return np.asarray(self.values[tuple(self.places(X))])

    def parted(self, cohort: Array) -> tuple[Self, list[Curve]]:
        """Return the rest, and the mean effect of each input over the other one's values in the cohort."""
        sizes = zip(self.places(cohort), self.values.shape, strict=True)
        shares = [np.bincount(places, minlength=size) / len(cohort) for places, size in sizes]
        first, second = self.values @ shares[1], shares[0] @ self.values
        rest = replace(self, values=self.values - first[:, None] - second[None, :])
        effects = zip(self.breaks, (first.tolist(), second.tolist()), strict=True)
        return rest, [Curve.steps(breaks, effect[:-1], effect[-1]) for breaks, effect in effects]


@dataclass(frozen=True, slots=True)
class AdditiveCurves:
    """base + the sum of the curves and tables; no curve's `missing` is NaN here."""

    features: tuple[str, ...]
    curves: tuple[Curve, ...]
    base: float
    low: tuple[float, ...]
    high: tuple[float, ...]
    link: Link = LOGIT
    pairs: tuple[PairTable, ...] = ()

    @classmethod
    def centred(
        cls,
        features: Sequence[str],
        curves: Sequence[Curve],
        start: float,
        cohort: Array,
        pairs: Sequence[PairTable] = (),
    ) -> Self:
        """Return curves and tables as fitted, centred on the cohort [n, F].

        The cohort is used as the model sees it, with missing values imputed where it does so. If the model gives no
        value for a missing input, that input gets the cohort's mean, so a contribution of 0.
        """
        rows, whole, rests, base = as_received(cohort), list(curves), [], start
        for pair in pairs:
            rest, effects = pair.parted(rows)
            for j, effect in zip(pair.inputs, effects, strict=True):
                whole[j] = whole[j] + effect
            mean = float(rest.values_of(rows).mean())
            rests.append(replace(rest, values=rest.values - mean))
            base += mean
        centred = []
        for x, curve in zip(rows.T, whole, strict=True):
            values = curve.values(x)
            mean = float(np.nanmean(values)) if not np.isnan(values).all() else 0.0
            moved = curve.scaled(1.0, -mean)
            centred.append(moved.at_missing(0.0) if np.isnan(moved.missing) else moved)
            base += mean
        return cls(tuple(features), tuple(centred), base, *limits(cohort), pairs=tuple(rests))

    @property
    def edges(self) -> tuple[tuple[float, ...], ...]:
        edge_sets = [set(curve.breaks.tolist()) for curve in self.curves]
        for pair in self.pairs:
            for j, breaks in zip(pair.inputs, pair.breaks, strict=True):
                edge_sets[j] |= set(breaks)
        return tuple(tuple(sorted(edges)) for edges in edge_sets)

    def contributions(self, X: Array) -> Array:
        contributions = np.column_stack([curve.values(x) for x, curve in zip(X.T, self.curves, strict=True)])
        for pair in self.pairs:
            contributions[:, list(pair.inputs)] += pair.values_of(X)[:, None] / 2.0
        return contributions

    def margin(self, X: Array) -> Array:
        return np.asarray(self.base + self.contributions(X).sum(axis=1))

    def recalibrated(self, intercept: float, slope: float) -> Self:
        curves = tuple(curve.scaled(slope, 0.0) for curve in self.curves)
        pairs = tuple(replace(pair, values=slope * pair.values) for pair in self.pairs)
        return replace(self, curves=curves, pairs=pairs, base=intercept + slope * self.base)

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:
        """Write the curves side by side, in float64, and add half of each table to both of its inputs."""
        wide = graph.node("Cast", [features], "wide", to=DOUBLE)
        curves = write_curves(graph, wide, missing, self.curves)
        if not self.pairs:
            return curves
        with graph.under("pairs/"):
            return graph.node("Add", [curves, self._write_pairs(graph, wide, missing)], "with_curves")

    def _write_pairs(self, graph: Graph, wide: str, missing: str) -> str:
        """Find the cell along both axes, and look up the value in the tables of all pairs, one after the other."""
        owners = graph.constant("owners", [j for pair in self.pairs for j in pair.inputs], np.int64)
        both, absent = (graph.node("Gather", [x, owners], f"{x}_of_pairs", axis=1) for x in (wide, missing))
        cells = write_curves(graph, both, absent, [cells for pair in self.pairs for cells in pair.cells])
        count = len(self.pairs)
        strides, shares = np.zeros((2 * count, count)), np.zeros((count, len(self.features)))
        for number, pair in enumerate(self.pairs):
            strides[2 * number : 2 * number + 2, number] = pair.values.shape[1], 1
            shares[number, list(pair.inputs)] = 0.5
        starts = np.cumsum([0, *(pair.values.size for pair in self.pairs[:-1])])
        inside = graph.node("MatMul", [cells, graph.constant("strides", strides, np.float64)], "inside_table")
        position = graph.node("Add", [inside, graph.constant("starts", starts, np.float64)], "place")
        table = graph.constant("tables", np.concatenate([pair.values.ravel() for pair in self.pairs]), np.float64)
        values = graph.node("Gather", [table, graph.node("Cast", [position], "place_number", to=INT64)], "values")
        return graph.node("MatMul", [values, graph.constant("halves", shares, np.float64)], "of_inputs")
