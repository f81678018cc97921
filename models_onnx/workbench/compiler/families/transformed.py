"""Additive models of inputs that pass through functions first: a logarithm, a power transform, a quantile transform.

Each distinct way from an input to the model is a column; the model's curve of a column is a polynomial of what the
functions give. A contribution is the sum of the input's columns, less its mean over the reference cohort.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.functions import SAME, Function, write_functions
from models_onnx.workbench.compiler.families.piecewise import Curve, PiecewisePolynomial
from models_onnx.workbench.compiler.families.trees import limits
from models_onnx.workbench.compiler.graph import DOUBLE, Graph
from models_onnx.workbench.compiler.link import LOGIT, Link

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A curve, then a function of its value."""

    curve: Curve
    function: Function

    def values(self, x: Array) -> Array:
        """The function of the curve at each x; NaN where there is none."""
        return self.function.values(self.curve.values(x))


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """One column: the input it comes from, the stages it passes, and the model's curve of what they give."""

    input: int
    through: tuple[Stage, ...]
    curve: Curve

    def values(self, x: Array) -> Array:
        """The column of each x."""
        for stage in self.through:
            x = stage.values(x)
        return self.curve.values(x)


_NOTHING = Stage(Curve.identity(), SAME)


@dataclass(frozen=True, slots=True)
class Transformed:
    """base + the sum of the columns, each centred on the reference cohort; no curve's `missing` is NaN here."""

    features: tuple[str, ...]
    ways: tuple[Way, ...]
    base: float
    low: tuple[float, ...]
    high: tuple[float, ...]
    link: Link = LOGIT

    @classmethod
    def centred(
        cls, features: Sequence[str], ways: Sequence[Way], start: float, cohort: Array, link: Link = LOGIT
    ) -> Self:
        """The columns as fitted, centred on the cohort [n, F].

        Raises:
            CompileRefused: a function gives no number for a value of the cohort that the model does not impute.
        """
        with np.errstate(over="ignore"):
            seen = np.asarray(cohort, dtype=np.float32).astype(np.float64)
        moved, base = [], start
        for way in ways:
            x = seen[:, way.input]
            values = way.values(x)
            if lost := int((np.isnan(values) & ~np.isnan(x)).sum()):
                kinds = ", ".join(stage.function.kind for stage in way.through if stage.function is not SAME)
                raise CompileRefused(
                    f"{features[way.input]}: {kinds} gives no number for {lost} values of the reference rows; leave "
                    "them out, or use log1p or PowerTransformer (Yeo-Johnson), which take 0 and negative values"
                )
            centre = float(np.nanmean(values)) if not np.isnan(values).all() else 0.0
            own = way.curve.scaled(1.0, -centre)
            moved.append(replace(way, curve=own.at_missing(0.0) if np.isnan(own.missing) else own))
            base += centre
        return cls(tuple(features), tuple(moved), base, *limits(cohort), link)

    @property
    def edges(self) -> tuple[tuple[float, ...], ...]:
        """Where the first curve of a column begins a new piece: further on the knots are not on the input's scale."""
        found: list[set[float]] = [set() for _ in self.features]
        for way in self.ways:
            first = way.through[0].curve if way.through else way.curve
            found[way.input] |= set(first.breaks.tolist())
        return tuple(tuple(sorted(edges)) for edges in found)

    def contributions(self, X: Array) -> Array:
        """The columns of each input, summed."""
        columns = np.column_stack([way.values(X[:, way.input]) for way in self.ways])
        return np.asarray(columns @ self._owners())

    def margin(self, X: Array) -> Array:
        """base + sum of contributions."""
        return np.asarray(self.base + self.contributions(X).sum(axis=1))

    def recalibrated(self, intercept: float, slope: float) -> Self:
        """margin = intercept + slope * margin, multiplied into the curves."""
        ways = tuple(replace(way, curve=way.curve.scaled(slope, 0.0)) for way in self.ways)
        return replace(self, ways=ways, base=intercept + slope * self.base)

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:
        """Stage after stage for all columns together, in float64; then the model's curves and sums by input."""
        owner = graph.constant("column_owner", [way.input for way in self.ways], np.int64)
        current = graph.node("Cast", [graph.node("Gather", [features, owner], "gathered", axis=1)], "wide", to=DOUBLE)
        gone = graph.node("Gather", [missing, owner], "gathered_missing", axis=1)
        for level in range(max(len(way.through) for way in self.ways)):
            stages = [way.through[level] if level < len(way.through) else _NOTHING for way in self.ways]
            with graph.under(f"stage{level}/"):
                current = _write_curves(graph, current, gone, [stage.curve for stage in stages])
                current = write_functions(graph, current, [stage.function for stage in stages])
                gone = graph.node("IsNaN", [current], "unknown_now")
        with graph.under("columns/"):
            columns = _write_curves(graph, current, gone, [way.curve for way in self.ways])
        return graph.node("MatMul", [columns, graph.constant("owners", self._owners(), np.float64)], "of_inputs")

    def _owners(self) -> Array:
        owners = np.zeros((len(self.ways), len(self.features)))
        owners[np.arange(len(self.ways)), [way.input for way in self.ways]] = 1.0
        return owners


def _write_curves(graph: Graph, columns: str, missing: str, curves: Sequence[Curve]) -> str:
    nothing = (0.0,) * len(curves)
    written = PiecewisePolynomial(("",) * len(curves), tuple(curves), 0.0, nothing, nothing)
    return written.write_wide(graph, columns, missing)
