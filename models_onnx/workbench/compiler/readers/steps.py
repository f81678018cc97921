"""What stands before a model, found by asking it: which input each column is, and what counts for a missing input.

The steps are a function from rows of inputs [n, F] to the columns that the model sees [n, K]: the part of an ONNX file
before its trees. They are asked with one input changed at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.serving.runtime import RUN_ERRORS
from models_onnx.workbench.compiler.families.trees import Ensemble

Array = NDArray[np.float64]
_POINTS = 64
_REFUSALS: tuple[type[Exception], ...] = (ValueError, TypeError, *RUN_ERRORS)
_SAME = 1e-4
# Beyond every clinical value, and within float32 after a scaler.
_FAR = np.float32(1e30)


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps with a typical row [F] and some values of each input, increasing."""

    columns: Callable[[Array], Array]
    typical: Array
    grids: tuple[Array, ...]

    @classmethod
    def of(cls, columns: Callable[[Array], Array], X: Array) -> "Steps":
        """Return the steps with values of a cohort [n, F]."""
        levels = np.linspace(0.0, 1.0, _POINTS)
        grids = []
        for x in X.T:
            recorded = x[~np.isnan(x)]
            values = np.quantile(recorded, levels, method="nearest") if len(recorded) else np.zeros(1)
            grids.append(np.unique(values.astype(np.float32)).astype(np.float64))
        return cls(columns, np.array([grid[len(grid) // 2] for grid in grids]), tuple(grids))

    def asked(self, j: int, values: Array) -> Array:
        """Return the columns [n, K] of the typical row with these values of input j; NaN where they are not taken."""
        rows = np.tile(self.typical, (len(values), 1))
        rows[:, j] = values
        try:
            columns = np.asarray(self.columns(rows), dtype=np.float64)
        except _REFUSALS:
            return np.full((len(values), 1), np.nan)
        return columns.reshape(len(values), -1)

    def counted_as(self, j: int) -> float:
        """Return the value of input j that has the same columns as none; NaN where none has, as behind an indicator."""
        grid, absent = self.grids[j], self.asked(j, np.array([np.nan]))[0]
        columns = self.asked(j, grid)
        if np.isnan(absent).any() or columns.shape[1] != len(absent):
            return float("nan")
        if len(equal := grid[(columns == absent).all(axis=1)]):
            return float(equal[len(equal) // 2])
        for column, value in zip(columns.T, absent, strict=True):
            sign = np.sign(column[-1] - column[0])
            if len(grid) > 1 and (np.diff(sign * column) > 0).all() and column.min() <= value <= column.max():
                candidate = float(f"{np.interp(sign * value, sign * column, grid):.6g}")
                spread = np.ptp(columns, axis=0) + np.finfo(np.float32).tiny
                near = np.abs(self.asked(j, np.array([candidate]))[0] - absent) <= _SAME * spread
                return candidate if near.all() else float("nan")
        return float("nan")

    def ensemble_of_inputs(self, ensemble: Ensemble, names: tuple[str, ...]) -> Ensemble:
        """Return trees that ask about columns as trees that ask the same about the inputs.

        Raises:
            CompileRefused: a column that the trees ask about is made of several inputs, or falls where its input rises.
        """
        asked = sorted({int(tree.feature[node]) for tree in ensemble.trees for node in tree.inner})
        owners = self._owners(asked)
        absent = np.full(len(ensemble.features), np.nan)
        for k in asked:
            value = self.asked(owners[k], np.array([np.nan]))[0]
            absent[k] = value[k] if len(value) > k else np.nan
        filled = ensemble.with_missing_replaced(absent.tolist())
        limits = {k: np.array(filled.thresholds()[k], dtype=np.float32) for k in asked}
        of_inputs = {k: self._thresholds(k, owners[k], limits[k]) for k in asked}
        trees = []
        for tree in filled.trees:
            feature, threshold = tree.feature.copy(), tree.threshold.copy()
            for node in tree.inner:
                k = int(tree.feature[node])
                feature[node] = owners[k]
                threshold[node] = of_inputs[k][np.searchsorted(limits[k], tree.threshold[node])]
            trees.append(replace(tree, feature=feature, threshold=threshold))
        return replace(filled, features=names, trees=tuple(trees))

    def _owners(self, asked: list[int]) -> dict[int, int]:
        """Return the input of each column that trees ask about."""
        owners: dict[int, int] = {}
        for j, grid in enumerate(self.grids):
            columns = self.asked(j, grid)
            if np.isnan(columns).all():
                continue
            for k in asked:
                if len(np.unique(columns[:, k])) < 2:
                    continue
                if k in owners or not (np.diff(columns[:, k]) >= 0).all():
                    raise CompileRefused(_MIXED)
                owners[k] = j
        if set(asked) - owners.keys():
            raise CompileRefused(_MIXED)
        return owners

    def _thresholds(self, k: int, j: int, limits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the largest float32 of input j at which column k is at most each limit, by bisection."""
        grid = self.grids[j]
        if (self.asked(j, grid)[:, k] == grid).all():
            return limits
        low, high = np.full(len(limits), _ordinal(-_FAR)), np.full(len(limits), _ordinal(_FAR))
        while (high - low > 1).any():
            middle = (low + high) // 2
            reached = self.asked(j, _value(middle))[:, k].astype(np.float32) <= limits
            low, high = np.where(reached, middle, low), np.where(reached, high, middle)
        return _value(low).astype(np.float32)


_MIXED = (
    "a column before the trees is made of several inputs, or does not rise with its input (codes, indicators): declare "
    "groups of inputs, at most ten, which are then explained"
)


def _ordinal(value: np.float32) -> np.int64:
    """Return the place of a float32 among all, so that the next float32 is the next number."""
    bits = np.int64(np.abs(value).view(np.int32))
    return np.int64(-bits if value < 0 else bits)


def _value(ordinals: NDArray[np.int64]) -> Array:
    sizes = np.abs(ordinals).astype(np.int32).view(np.float32).astype(np.float64)
    return np.where(ordinals < 0, -sizes, sizes)
