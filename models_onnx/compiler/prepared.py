"""A model behind preparing steps: imputed and one-hot columns are computed in the file, then the model's own terms."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.compiler.curve import Curve
from models_onnx.compiler.fitted import FittedModel
from models_onnx.compiler.graph import FLOAT, Graph
from models_onnx.compiler.link import Link
from models_onnx.compiler.polynomial import PiecewisePolynomial
from models_onnx.compiler.sklearn_columns import Column
from models_onnx.errors import CompileRefused

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Prepared:
    """`inner` explains its columns; an input's contribution is the sum of its columns'."""

    features: tuple[str, ...]
    columns: tuple[Column, ...]
    inner: FittedModel
    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def base(self) -> float:
        """The inner model's."""
        return self.inner.base

    @property
    def link(self) -> Link:
        """The inner model's."""
        return self.inner.link

    @property
    def edges(self) -> tuple[tuple[float, ...], ...]:
        """Steps of the preparation, and of the model where a column is the input itself."""
        found: list[set[float]] = [set() for _ in self.features]
        for column, edges in zip(self.columns, self.inner.edges, strict=True):
            own = column.curve.breaks.tolist()
            found[column.input] |= set(own if own or not column.curve.straight else edges)
        return tuple(tuple(sorted(edges)) for edges in found)

    def contributions(self, X: Array) -> Array:
        """Those of the columns, summed by input."""
        return self.inner.contributions(prepare(self.columns, X)) @ self._owners()

    def margin(self, X: Array) -> Array:
        """The inner model's on the prepared columns."""
        return self.inner.margin(prepare(self.columns, X))

    def recalibrated(self, intercept: float, slope: float) -> Self:
        """The inner model recalibrated."""
        return replace(self, inner=self.inner.recalibrated(intercept, slope))

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:
        """Columns, float32 as the trees see them, then the inner model, then sums by input."""
        owner = graph.constant("column_owner", [column.input for column in self.columns], np.int64)
        gathered = graph.node("Gather", [features, owner], "gathered", axis=1)
        gone = graph.node("Gather", [missing, owner], "gathered_missing", axis=1)
        curves = tuple(column.curve for column in self.columns)
        count = len(curves)
        steps = PiecewisePolynomial(("",) * count, curves, 0.0, (0.0,) * count, (0.0,) * count)
        with graph.under("prepared/"):
            prepared = graph.node("Cast", [steps.write_contributions(graph, gathered, gone)], "columns", to=FLOAT)
            still = graph.node("IsNaN", [prepared], "still_missing")
        with graph.under("columns/"):
            own = self.inner.write_contributions(graph, prepared, still)
        return graph.node("MatMul", [own, graph.constant("owners", self._owners(), np.float64)], "of_inputs")

    def _owners(self) -> Array:
        owners = np.zeros((len(self.columns), len(self.features)))
        owners[np.arange(len(self.columns)), [column.input for column in self.columns]] = 1.0
        return owners


def prepare(columns: Sequence[Column], X: Array) -> Array:
    """The columns [n, C] of inputs [n, F], float32 like the file's."""
    with np.errstate(over="ignore"):
        seen = np.asarray(X, dtype=np.float32).astype(np.float64)
        found = [column.curve.values(seen[:, column.input]) for column in columns]
        return np.column_stack(found).astype(np.float32).astype(np.float64)


def refuse_scaled(columns: Sequence[Column], names: Sequence[str]) -> None:
    """A scaler before trees changes nothing but roundings, which could flip a threshold: refused by name."""
    for column in columns:
        if column.curve.coefficients.shape[1] > 1 and not _as_it_is(column.curve):
            raise CompileRefused(
                f"{names[column.input]} is scaled before trees, which need no scaling: train without the scaler"
            )


def plain(columns: Sequence[Column], count: int) -> bool:
    """Whether the columns are the inputs, in order, unchanged."""
    return len(columns) == count and all(
        column.input == j and _as_it_is(column.curve) and bool(np.isnan(column.curve.missing))
        for j, column in enumerate(columns)
    )


def _as_it_is(curve: Curve) -> bool:
    return curve.straight and curve.line == (1.0, 0.0)
