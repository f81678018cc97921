"""Additive models with one curve for each input: regressions that other libraries fitted.

A curve is all that a pipeline does to its input, times the coefficients, less its mean over the reference cohort.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.workbench.compiler.families.piecewise import Curve, write_curves
from models_onnx.workbench.compiler.families.trees import as_received, limits
from models_onnx.workbench.compiler.graph import DOUBLE, Graph
from models_onnx.workbench.compiler.link import LOGIT, Link

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AdditiveCurves:
    """base + the sum of the curves, each centred on the reference cohort; no curve's `missing` is NaN here."""

    features: tuple[str, ...]
    curves: tuple[Curve, ...]
    base: float
    low: tuple[float, ...]
    high: tuple[float, ...]
    link: Link = LOGIT

    @classmethod
    def centred(
        cls, features: Sequence[str], curves: Sequence[Curve], start: float, cohort: Array, link: Link = LOGIT
    ) -> Self:
        """Return the curves as fitted, centred on the cohort [n, F].

        The cohort is used as the model sees it, with missing values imputed where it does so. If the model gives no
        value for a missing input, that input gets the cohort's mean, so a contribution of 0.
        """
        rows = as_received(cohort)
        centred, base = [], start
        for x, curve in zip(rows.T, curves, strict=True):
            values = curve.values(x)
            mean = float(np.nanmean(values)) if not np.isnan(values).all() else 0.0
            moved = curve.scaled(1.0, -mean)
            centred.append(moved.at_missing(0.0) if np.isnan(moved.missing) else moved)
            base += mean
        return cls(tuple(features), tuple(centred), base, *limits(cohort), link)

    @property
    def edges(self) -> tuple[tuple[float, ...], ...]:
        """Where each curve begins a new piece."""
        return tuple(tuple(curve.breaks.tolist()) for curve in self.curves)

    def contributions(self, X: Array) -> Array:
        """Return the curve of each input."""
        return np.column_stack([curve.values(x) for x, curve in zip(X.T, self.curves, strict=True)])

    def margin(self, X: Array) -> Array:
        """Return base + sum of contributions."""
        return np.asarray(self.base + self.contributions(X).sum(axis=1))

    def recalibrated(self, intercept: float, slope: float) -> Self:
        """Return the model of intercept + slope * margin, multiplied into the curves."""
        curves = tuple(curve.scaled(slope, 0.0) for curve in self.curves)
        return replace(self, curves=curves, base=intercept + slope * self.base)

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:
        """Write the curves side by side, in float64."""
        return write_curves(graph, graph.node("Cast", [features], "wide", to=DOUBLE), missing, self.curves)
