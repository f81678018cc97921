"""Additive models whose inputs pass through curves and functions: regressions that other libraries fitted.

Each distinct path from an input to the model is a column: the stages that it passes, such as a logarithm, a power or a
quantile transform, then the model's curve of what they give. A contribution is the sum of the input's columns, less its
mean over the reference cohort.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.functions import SAME, Function, write_functions
from models_onnx.workbench.compiler.families.piecewise import Curve, write_curves
from models_onnx.workbench.compiler.families.trees import as_float32, limits
from models_onnx.workbench.compiler.graph import DOUBLE, Graph, write_column_sums
from models_onnx.workbench.compiler.link import LOGIT, Link

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A curve, then a function of its value."""

    curve: Curve
    function: Function

    def values(self, x: Array) -> Array:
        """Returns the function of the curve at each x; NaN where there is none."""
        return self.function.values(self.curve.values(x))


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """One column: the input it comes from, the stages it passes, and the model's curve of what they give."""

    input: int
    stages: tuple[Stage, ...]
    curve: Curve

    def values(self, x: Array) -> Array:
        """Returns the column for each x."""
        for stage in self.stages:
            x = stage.values(x)
        return self.curve.values(x)


_NO_STAGE = Stage(Curve.identity(), SAME)


@dataclass(frozen=True, slots=True)
class AdditiveCurves:
    """base + the sum of the columns, each centred on the reference cohort; no curve's `missing` is NaN here."""

    features: tuple[str, ...]
    paths: tuple[Path, ...]
    base: float
    low: tuple[float, ...]
    high: tuple[float, ...]
    link: Link = LOGIT

    @classmethod
    def centred(
        cls, features: Sequence[str], paths: Sequence[Path], start: float, cohort: Array, link: Link = LOGIT
    ) -> Self:
        """Returns the columns as fitted, centred on the cohort [n, F].

        The cohort is used as the model sees it, with missing values imputed where it does so. If the model gives no
        value for a missing input, that input gets the cohort's mean, so a contribution of 0.

        Raises:
            CompileRefused: a function gives no number for a value of the cohort that the model does not impute.
        """
        rows = as_float32(cohort).astype(np.float64)
        centred, base = [], start
        for path in paths:
            x = rows[:, path.input]
            values = path.values(x)
            if undefined := int((np.isnan(values) & ~np.isnan(x)).sum()):
                kinds = ", ".join(stage.function.kind for stage in path.stages if stage.function is not SAME)
                raise CompileRefused(
                    f"{features[path.input]}: {kinds} gives no number for {undefined} values of the reference rows; "
                    "leave them out, or use log1p or PowerTransformer (Yeo-Johnson), which take 0 and negative values"
                )
            mean = float(np.nanmean(values)) if not np.isnan(values).all() else 0.0
            curve = path.curve.scaled(1.0, -mean)
            centred.append(replace(path, curve=curve.at_missing(0.0) if np.isnan(curve.missing) else curve))
            base += mean
        return cls(tuple(features), tuple(centred), base, *limits(cohort), link)

    @property
    def edges(self) -> tuple[tuple[float, ...], ...]:
        """Where the first curve of a column begins a new piece: further on the knots are not on the input's scale."""
        edges: list[set[float]] = [set() for _ in self.features]
        for path in self.paths:
            first = path.stages[0].curve if path.stages else path.curve
            edges[path.input] |= set(first.breaks.tolist())
        return tuple(tuple(sorted(values)) for values in edges)

    @property
    def owners(self) -> list[int]:
        """The input of each column."""
        return [path.input for path in self.paths]

    def contributions(self, X: Array) -> Array:
        """Returns the columns of each input, summed."""
        contributions = np.zeros((len(X), len(self.features)))
        for path in self.paths:
            contributions[:, path.input] += path.values(X[:, path.input])
        return contributions

    def margin(self, X: Array) -> Array:
        """Returns base + sum of contributions."""
        return np.asarray(self.base + self.contributions(X).sum(axis=1))

    def recalibrated(self, intercept: float, slope: float) -> Self:
        """Returns the model of intercept + slope * margin, multiplied into the curves."""
        paths = tuple(replace(path, curve=path.curve.scaled(slope, 0.0)) for path in self.paths)
        return replace(self, paths=paths, base=intercept + slope * self.base)

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:
        """Writes stage after stage for all columns together, in float64; then the model's curves and sums by input."""
        owner = graph.constant("column_owner", self.owners, np.int64)
        columns = graph.node("Cast", [graph.node("Gather", [features, owner], "gathered", axis=1)], "wide", to=DOUBLE)
        missing = graph.node("Gather", [missing, owner], "gathered_missing", axis=1)
        for level in range(max(len(path.stages) for path in self.paths)):
            stages = [path.stages[level] if level < len(path.stages) else _NO_STAGE for path in self.paths]
            with graph.under(f"stage{level}/"):
                curves = write_curves(graph, columns, missing, [stage.curve for stage in stages])
                columns = write_functions(graph, curves, [stage.function for stage in stages])
                missing = graph.node("IsNaN", [columns], "unknown_now")
        with graph.under("columns/"):
            columns = write_curves(graph, columns, missing, [path.curve for path in self.paths])
        return write_column_sums(graph, columns, self.owners, len(self.features))
