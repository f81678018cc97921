"""Additive models of piecewise polynomials: scikit-learn's linear pipelines, logistic and Cox, as one small graph."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.compiler.curve import LARGEST, Curve
from models_onnx.compiler.graph import DOUBLE, INT64, Graph
from models_onnx.compiler.link import LOGIT, Link
from models_onnx.compiler.trees import limits

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PiecewisePolynomial:
    """base + one curve per input, each centred on the reference cohort; a curve's `missing` is never NaN here."""

    features: tuple[str, ...]
    curves: tuple[Curve, ...] = field(repr=False)
    base: float
    low: tuple[float, ...]
    high: tuple[float, ...]
    link: Link = LOGIT

    @classmethod
    def centred(
        cls,
        features: Sequence[str],
        curves: Sequence[Curve],
        start: float,
        cohort: Array,
        link: Link = LOGIT,
        low: Sequence[float] | None = None,
        high: Sequence[float] | None = None,
    ) -> Self:
        """Curves as fitted, centred on the cohort [n, F] as the model sees it: missing values imputed where it does.

        A model that has no answer for a missing input gives it the cohort's mean, so a contribution of 0.
        """
        with np.errstate(over="ignore"):
            seen = np.asarray(cohort, dtype=np.float32).astype(np.float64)
        values = [curve.values(x) for curve, x in zip(curves, seen.T, strict=True)]
        centres = [float(np.nanmean(each)) if not np.isnan(each).all() else 0.0 for each in values]
        moved = []
        for curve, centre in zip(curves, centres, strict=True):
            own = curve.scaled(1.0, -centre)
            moved.append(own.at_missing(0.0) if np.isnan(own.missing) else own)
        lowest, highest = limits(cohort)
        return cls(
            tuple(features), tuple(moved), start + sum(centres), tuple(low or lowest), tuple(high or highest), link
        )

    @property
    def edges(self) -> tuple[tuple[float, ...], ...]:
        """Where a curve has a new piece."""
        return tuple(tuple(curve.breaks.tolist()) for curve in self.curves)

    def contributions(self, X: Array) -> Array:
        """Each curve at its input."""
        return np.column_stack([curve.values(x) for curve, x in zip(self.curves, X.T, strict=True)])

    def margin(self, X: Array) -> Array:
        """base + sum of contributions."""
        return np.asarray(self.base + self.contributions(X).sum(axis=1))

    def recalibrated(self, intercept: float, slope: float) -> Self:
        """margin = intercept + slope * margin, multiplied into the curves."""
        curves = tuple(curve.scaled(slope, 0.0) for curve in self.curves)
        return replace(self, curves=curves, base=intercept + slope * self.base)

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:
        """Which piece each input is in, its coefficients in one look, Horner; without pieces, slopes and intercepts."""
        nothing = graph.constant("nothing", 0.0, np.float32)
        filled = graph.node("Where", [missing, nothing, features], "filled")
        wide = graph.node("Cast", [filled], "wide", to=DOUBLE)
        ends = [graph.constant(f"end_{side}", sign * LARGEST, np.float64) for side, sign in (("low", -1), ("high", 1))]
        inside = graph.node("Clip", [wide, *ends], "inside")
        if any(len(curve.breaks) for curve in self.curves):
            known = self._write_pieces(graph, inside)
        else:
            known = self._horner(graph, inside, [self._column(d) for d in range(self._powers)], self._origins())
        given = graph.constant("of_missing", [curve.missing for curve in self.curves], np.float64)
        return graph.node("Where", [missing, given, known], "of_inputs")

    @property
    def _powers(self) -> int:
        return max(int(curve.coefficients.shape[1]) for curve in self.curves)

    def _column(self, power: int) -> Array:
        """Coefficients of this power, piece after piece, input after input."""
        own = [
            curve.coefficients[:, power] if power < curve.coefficients.shape[1] else np.zeros(len(curve.origins))
            for curve in self.curves
        ]
        return np.concatenate(own)

    def _origins(self) -> Array:
        return np.concatenate([curve.origins for curve in self.curves])

    def _write_pieces(self, graph: Graph, inside: str) -> str:
        owner = np.repeat(np.arange(len(self.curves)), [len(curve.breaks) for curve in self.curves])
        counts = np.zeros((len(owner), len(self.curves)), dtype=np.float32)
        counts[np.arange(len(owner)), owner] = 1.0
        breaks = graph.constant("breaks", np.concatenate([curve.breaks for curve in self.curves]), np.float64)
        spread = graph.node("Gather", [inside, graph.constant("break_owner", owner, np.int64)], "spread", axis=1)
        reached = graph.node("GreaterOrEqual", [spread, breaks], "breaks_reached")
        ones = graph.constant("reached_one", 1.0, np.float32), graph.constant("reached_none", 0.0, np.float32)
        marked = graph.node("Where", [reached, *ones], "breaks_marked")
        counted = graph.node("MatMul", [marked, graph.constant("break_counts", counts, np.float32)], "breaks_counted")
        pieces = np.cumsum([0, *(len(curve.origins) for curve in self.curves[:-1])])
        first = graph.constant("first_piece", pieces, np.int64)
        piece = graph.node("Add", [graph.node("Cast", [counted], "piece_of_own", to=INT64), first], "piece")

        def look(name: str, table: Array) -> str:
            return graph.node("Gather", [graph.constant(f"{name}_table", table, np.float64), piece], name)

        origin = look("origin", self._origins())
        away = graph.node("Sub", [inside, origin], "away")
        total = look(f"coefficient_{self._powers - 1}", self._column(self._powers - 1))
        for power in range(self._powers - 2, -1, -1):
            raised = graph.node("Mul", [total, away], f"raised_{power}")
            total = graph.node(
                "Add", [raised, look(f"coefficient_{power}", self._column(power))], f"polynomial_{power}"
            )
        return total

    def _horner(self, graph: Graph, inside: str, columns: list[Array], origins: Array) -> str:
        away = graph.node("Sub", [inside, graph.constant("origins", origins, np.float64)], "away")
        total = graph.constant(f"coefficient_{len(columns) - 1}", columns[-1], np.float64)
        for power in range(len(columns) - 2, -1, -1):
            raised = graph.node("Mul", [total, away], f"raised_{power}")
            own = graph.constant(f"coefficient_{power}", columns[power], np.float64)
            total = graph.node("Add", [raised, own], f"polynomial_{power}")
        return total
