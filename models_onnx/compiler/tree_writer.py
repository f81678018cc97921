"""Step functions of one or two inputs as trees of one TreeEnsembleRegressor, one target per term."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.compiler.graph import ML_DOMAIN, Graph

Array = NDArray[np.float64]
_INFINITY = float("inf")
_NODE = ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")
_TARGET = ("treeids", "nodeids", "ids", "weights")


class TreeWriter:
    """Collects the nodes of the regressor's trees; a tree's leaves write to one target."""

    def __init__(self) -> None:
        self._nodes: dict[str, list[Any]] = {name: [] for name in _NODE}
        self._targets: dict[str, list[Any]] = {name: [] for name in _TARGET}
        self._trees = 0
        self._next = 0

    def steps(self, target: int, features: Sequence[int], edges: Sequence[Sequence[float]], values: Array) -> None:
        """A tree for `values`, one axis per feature: cell k is up to edge k (x <= edge), then above all, then missing.

        An axis has two more cells than edges.
        """
        self._next = 0
        self._grow(target, list(features), list(edges), values)
        self._trees += 1

    def write(self, graph: Graph, features: str, targets: int, name: str) -> str:
        """The operator: float32 [N, targets]."""
        attributes = {f"nodes_{key}": values for key, values in self._nodes.items()}
        attributes |= {f"target_{key}": values for key, values in self._targets.items()}
        return graph.node(
            "TreeEnsembleRegressor",
            [features],
            name,
            domain=ML_DOMAIN,
            n_targets=targets,
            aggregate_function="SUM",
            post_transform="NONE",
            **attributes,
        )

    def _grow(self, target: int, features: list[int], edges: list[Sequence[float]], values: Array) -> int:
        """The root of a tree over the first feature, whose leaves are trees over the others."""
        if not features:
            return self._leaf(target, float(values))
        # NaN fails x <= +infinity, which every number passes: with BRANCH_LT, +infinity would land with the missing.
        node = self._node(features[0], _INFINITY)
        there = self._cells(target, features, edges, values, 0, len(edges[0]))
        self._children(node, there, self._grow(target, features[1:], edges[1:], values[-1]))
        return node

    def _cells(
        self, target: int, features: list[int], edges: list[Sequence[float]], values: Array, first: int, last: int
    ) -> int:
        """A balanced tree over the cells first..last of the first feature."""
        if first == last:
            return self._grow(target, features[1:], edges[1:], values[first])
        middle = (first + last) // 2
        node = self._node(features[0], float(edges[0][middle]))
        below = self._cells(target, features, edges, values, first, middle)
        self._children(node, below, self._cells(target, features, edges, values, middle + 1, last))
        return node

    def _node(self, feature: int, value: float, mode: str = "BRANCH_LEQ") -> int:
        number = self._next
        self._next += 1
        row = (self._trees, number, feature, mode, value, 0, 0)
        for column, cell in zip(self._nodes.values(), row, strict=True):
            column.append(cell)
        return number

    def _children(self, node: int, when_true: int, when_false: int) -> None:
        at = len(self._nodes["nodeids"]) - self._next + node
        self._nodes["truenodeids"][at] = when_true
        self._nodes["falsenodeids"][at] = when_false

    def _leaf(self, target: int, weight: float) -> int:
        number = self._node(0, 0.0, "LEAF")
        for column, cell in zip(self._targets.values(), (self._trees, number, target, weight), strict=True):
            column.append(cell)
        return number
