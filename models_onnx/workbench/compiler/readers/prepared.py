"""Trees behind preparing steps: imputed and one-hot columns are computed in the file, then the model's own terms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.workbench.compiler.families.piecewise import LARGEST, Curve, write_curves
from models_onnx.workbench.compiler.families.trees import Cuts
from models_onnx.workbench.compiler.graph import DOUBLE, FLOAT, Graph, write_column_sums
from models_onnx.workbench.compiler.link import FittedModel, Link
from models_onnx.workbench.compiler.readers.column import Column

Array = NDArray[np.float64]
FORESTS = ("RandomForestClassifier", "ExtraTreesClassifier", "DecisionTreeClassifier")


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
        edge_sets: list[set[float]] = [set() for _ in self.features]
        for column, edges in zip(self.columns, self.inner.edges, strict=True):
            edge_sets[column.input] |= set(column.curve.breaks.tolist() or edges)
        return tuple(tuple(sorted(edges)) for edges in edge_sets)

    @property
    def owners(self) -> list[int]:
        """The input of each column."""
        return [column.input for column in self.columns]

    def contributions(self, X: Array) -> Array:
        """Returns those of the columns, summed by input."""
        contributions = np.zeros((len(X), len(self.features)))
        for j, values in zip(self.owners, self.inner.contributions(prepare(self.columns, X)).T, strict=True):
            contributions[:, j] += values
        return contributions

    def margin(self, X: Array) -> Array:
        """Returns the inner model's on the prepared columns."""
        return self.inner.margin(prepare(self.columns, X))

    def recalibrated(self, intercept: float, slope: float) -> Self:
        """Returns the inner model recalibrated."""
        return replace(self, inner=self.inner.recalibrated(intercept, slope))

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:
        """Writes the columns, float32 as the trees see them, then the inner model, then sums by input."""
        owner = graph.constant("column_owner", self.owners, np.int64)
        gathered = graph.node("Gather", [features, owner], "gathered", axis=1)
        absent = graph.node("Gather", [missing, owner], "gathered_missing", axis=1)
        with graph.under("prepared/"):
            wide = graph.node("Cast", [gathered], "wide", to=DOUBLE)
            values = write_curves(graph, wide, absent, [column.curve for column in self.columns])
            prepared = graph.node("Cast", [values], "columns", to=FLOAT)
            absent = graph.node("IsNaN", [prepared], "still_missing")
        with graph.under("columns/"):
            contributions = self.inner.write_contributions(graph, prepared, absent)
        return write_column_sums(graph, contributions, self.owners, len(self.features))


def prepare(columns: Sequence[Column], X: Array) -> Array:
    """Returns the columns [n, C] of inputs [n, F], float32 like the file's."""
    with np.errstate(over="ignore"):
        seen = np.asarray(X, dtype=np.float32).astype(np.float64)
        values = [column.curve.values(seen[:, column.input]) for column in columns]
        return np.column_stack(values).astype(np.float32).astype(np.float64)


def plain(columns: Sequence[Column], count: int) -> bool:
    """Returns whether the columns are the inputs, in order, as they are or scaled."""
    return len(columns) == count and all(column.input == j and column.curve.rising for j, column in enumerate(columns))


def unscaled(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Returns the columns with the input itself wherever one is the input scaled: its thresholds are moved instead."""
    return tuple(replace(column, curve=Curve.identity()) if column.curve.rising else column for column in columns)


def moved_cuts(
    columns: Sequence[Column],
    questions: Sequence[tuple[int, float]],
    transform: Callable[[Array], Array],
    typical: Sequence[float],
    narrow: bool,
) -> Cuts:
    """Thresholds of scaled columns on the inputs themselves: the largest float32 that the library still sends left.

    Found by bisection through the library's own `transform`, so that its roundings decide. `narrow`: its trees see
    float32.
    """
    missing = [column.curve.missing if column.curve.rising else float("nan") for column in columns]
    moved: dict[tuple[int, float], np.float32] = {}
    for c, column in enumerate(columns):
        thresholds = [threshold for number, threshold in questions if number == c]
        if not thresholds or not column.curve.rising or column.curve.line == (1.0, 0.0):
            continue

        def goes_left(
            x: NDArray[np.float32], j: int = column.input, c: int = c, thresholds: list[float] = thresholds
        ) -> Any:
            rows = np.tile(np.array(typical, dtype=np.float64), (len(x), 1))
            rows[:, j] = x
            z = transform(rows)[:, c]
            with np.errstate(over="ignore"):
                return (z.astype(np.float32).astype(np.float64) if narrow else z) <= np.array(thresholds)

        moved |= {
            (c, threshold): x for threshold, x in zip(thresholds, _largest(goes_left, len(thresholds)), strict=True)
        }
    seen = [float(np.float32(value)) for value in missing] if narrow else missing
    return Cuts(tuple(seen), moved)


def _largest(goes_left: Callable[[NDArray[np.float32]], Any], count: int) -> NDArray[np.float32]:
    """For each of `count` questions the largest finite float32 that goes left, the float below all where none does."""
    low, high = np.full(count, -_ORDER - 1), np.full(count, _ORDER)
    while (low < high).any():
        middle = (low + high + 1) // 2
        left = goes_left(_float(middle))
        low, high = np.where(left, middle, low), np.where(left, high, middle - 1)
    return _float(low)


# Floats in order as integers: the largest finite one, and minus infinity below the smallest.
_ORDER = int(np.float32(LARGEST).view(np.int32))


def _float(order: NDArray[np.int64]) -> NDArray[np.float32]:
    size = np.abs(order).astype(np.int32).view(np.float32)
    return np.where(order < 0, -size, size).astype(np.float32)
