"""Decision trees as all readers give them: a value goes left if it is at most a float32 threshold."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused

Array = NDArray[np.float64]
TreePath = tuple[tuple[int, bool], ...]
"""Questions of a tree, each with whether its answer is "left"."""
LEAF = -1


def at_most(threshold: float) -> np.float32:
    """Return the largest float32 that is <= threshold: `x <= it` decides for every float32 x as float64 does.

    >>> float(at_most(0.1)) <= 0.1 < float(np.nextafter(at_most(0.1), np.float32(1)))
    True
    """
    with np.errstate(over="ignore"):
        rounded = np.float32(threshold)
    return np.nextafter(rounded, np.float32(-np.inf)) if float(rounded) > threshold else rounded


@dataclass(frozen=True, slots=True)
class Tree:
    """The nodes in one list, the root first; a node whose `feature` is LEAF has a `value`.

    A missing value goes left where `nan_left` says so. `left` and `right` are positions of nodes.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float32]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    nan_left: NDArray[np.bool_]
    value: Array

    @property
    def inner(self) -> NDArray[np.int64]:
        return np.flatnonzero(self.feature != LEAF)

    def refuse_malformed(self, features: int) -> None:
        """Refuse nodes that ask about an input that is not there, or that are no tree: reached twice, or never ending.

        Raises:
            CompileRefused: The file was cut, edited or made by something else.
        """
        inner = self.inner
        if len(inner) and not (self.feature[inner].min() >= 0 and self.feature[inner].max() < features):
            raise CompileRefused(f"a tree of the file asks about an input beyond its {features}: the file is damaged")
        if not np.isfinite(self.value[self.feature == LEAF]).all() or np.isnan(self.threshold[inner]).any():
            raise CompileRefused("a tree of the file has a value that is not a number: the file is damaged")
        children = np.concatenate([self.left[inner], self.right[inner]])
        is_tree = len(children) == len(set(children.tolist())) and 0 not in children
        if not is_tree or (len(children) and not 0 < children.min() <= children.max() < len(self.feature)):
            raise CompileRefused("the nodes of a tree of the file do not form a tree: the file is damaged")

    def height(self, node: int = 0) -> int:
        """Return the number of questions on the longest path below this node."""
        if self.feature[node] == LEAF:
            return 0
        return 1 + max(self.height(int(self.left[node])), self.height(int(self.right[node])))

    def answers(self, X: NDArray[np.float32], node: int) -> NDArray[np.bool_]:
        """Return which rows go left at this node."""
        x = X[:, self.feature[node]]
        return np.asarray(np.where(np.isnan(x), self.nan_left[node], x <= self.threshold[node]))

    def values(self, X: NDArray[np.float32]) -> Array:
        """Return the value of the leaf that each row ends in."""
        leaf_values = np.empty(len(X))
        waiting = [(0, np.arange(len(X)))]
        while waiting:
            node, rows = waiting.pop()
            if self.feature[node] == LEAF:
                leaf_values[rows] = self.value[node]
                continue
            left = self.answers(X[rows], node)
            waiting += [(int(self.left[node]), rows[left]), (int(self.right[node]), rows[~left])]
        return leaf_values

    def leaves(self, node: int = 0, path: TreePath = ()) -> Iterator[tuple[int, TreePath]]:
        """Yield each leaf below a node with the questions on its way and whether it lies to the left of them."""
        if self.feature[node] == LEAF:
            yield node, path
            return
        yield from self.leaves(int(self.left[node]), (*path, (node, True)))
        yield from self.leaves(int(self.right[node]), (*path, (node, False)))


@dataclass(frozen=True, slots=True)
class Ensemble:
    """margin = start + sum of the trees, in log odds."""

    features: tuple[str, ...]
    trees: tuple[Tree, ...]
    start: float

    def __post_init__(self) -> None:
        for tree in self.trees:
            tree.refuse_malformed(len(self.features))

    @property
    def depth(self) -> int:
        return max((tree.height() for tree in self.trees), default=0)

    def margin(self, X: Array) -> Array:
        values = as_float32(X)
        return np.asarray(self.start + sum((tree.values(values) for tree in self.trees), np.zeros(len(X))))

    def scaled(self, intercept: float, slope: float) -> Self:
        trees = tuple(replace(tree, value=slope * tree.value) for tree in self.trees)
        return replace(self, trees=trees, start=intercept + slope * self.start)

    def in_units(self, factors: Sequence[float]) -> Self:
        """Ask values multiplied by these factors; a value of the file that a tree asks about falls on its side still.

        A threshold lies just below the number it asks about. That number is multiplied as a value is, by its decimals:
        124.9 and not the 124.90000153 of float32.
        """

        def asked(tree: Tree) -> NDArray[np.float32]:
            number = np.array([float(str(x)) for x in np.nextafter(tree.threshold, np.float32(np.inf))])
            by_node = np.array([1.0 if feature == LEAF else factors[feature] for feature in tree.feature])
            below = np.nextafter((number * by_node).astype(np.float32), np.float32(-np.inf))
            return np.where(by_node == 1.0, tree.threshold, below)

        return replace(self, trees=tuple(replace(tree, threshold=asked(tree)) for tree in self.trees))

    def thresholds(self) -> tuple[tuple[float, ...], ...]:
        """Return the thresholds of each input, increasing."""
        threshold_sets: list[set[float]] = [set() for _ in self.features]
        for tree in self.trees:
            for node in tree.inner:
                threshold_sets[tree.feature[node]].add(float(tree.threshold[node]))
        return tuple(tuple(sorted(values)) for values in threshold_sets)


def as_float32(X: Array) -> NDArray[np.float32]:
    """Return the rows as the file receives them; values beyond float32 are infinity."""
    with np.errstate(over="ignore"):
        return np.asarray(X, dtype=np.float32)


def as_received(X: Array) -> Array:
    """Return the same as float64."""
    return as_float32(X).astype(np.float64)


def limits(X: Array) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Lowest and highest value of each input; an input without values has no value in range."""
    finite = [x[np.isfinite(x)] for x in np.asarray(X, dtype=np.float64).T]
    low = tuple(float(x.min()) if len(x) else float("inf") for x in finite)
    return low, tuple(float(x.max()) if len(x) else float("-inf") for x in finite)


def medians(X: Array) -> tuple[float, ...]:
    """Return the middle value of each input, as float32; 0 where there is none."""
    return tuple(float(np.float32(np.nanmedian(x))) if not np.isnan(x).all() else 0.0 for x in X.T)
