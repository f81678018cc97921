"""Additive models: one curve for each input, and tables of two inputs. Regressions, broken lines, Cox models and EBM.

A curve is all that a model does to its input, less its mean over the reference cohort. A table of two inputs is parted
into what either input does on the average of the reference cohort, which is added to its curve, and the rest, which is
divided equally between them. These are the interventional Shapley values of a two-way term against that cohort,
whatever its inputs have to do with each other (responsible-ai 7.3 b1), and they add up to its value.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.workbench.compiler.families.piecewise import Curve, write_curves
from models_onnx.workbench.compiler.families.trees import as_received, limits
from models_onnx.workbench.compiler.graph import DOUBLE, INT64, Graph
from models_onnx.workbench.compiler.link import LOGIT, Link

Array = NDArray[np.float64]


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
        link: Link = LOGIT,
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
        return cls(tuple(features), tuple(centred), base, *limits(cohort), link, tuple(rests))

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
