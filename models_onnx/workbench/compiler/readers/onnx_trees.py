"""Trees in an ONNX file, behind steps that keep inputs apart, as an ensemble of questions about the inputs."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper

from models_onnx.serving.runtime import RUN_ERRORS
from models_onnx.workbench.compiler.families.trees import LEAF, Ensemble, Tree, at_most, medians
from models_onnx.workbench.compiler.link import IDENTITY, LOGIT, FittedModel
from models_onnx.workbench.compiler.readers.network import ONLY_SHAPE

Array = NDArray[np.float64]
# What single precision may change of a probability.
_AGREES = 1e-5
_PEOPLE = 2000
_PASSED = (*ONLY_SHAPE, "Cast", "ArrayFeatureExtractor", "Gather")


def _less_than(threshold: float) -> np.float32:
    """Return the float32 below the threshold: `x <= it` decides for every float32 x as `x < threshold` does."""
    below: np.float32 = np.nextafter(np.float32(threshold), np.float32(-np.inf))
    return below


_BRANCHES: dict[bytes, Callable[[float], np.float32]] = {b"BRANCH_LEQ": at_most, b"BRANCH_LT": _less_than}


def trees_of_file(proto: ModelProto, answer: str) -> tuple[Ensemble, str] | None:
    """Return the trees whose answer this tensor is, and the tensor that they take; None where it is of no trees."""
    producers = {output: node for node in proto.graph.node for output in node.output}
    node = producers.get(answer)
    while node is not None and node.op_type in _PASSED:
        node = producers.get(node.input[0])
    if node is None or not node.op_type.startswith("TreeEnsemble"):
        return None
    ensemble = _ensemble(node)
    return None if ensemble is None else (ensemble, str(node.input[0]))


def _ensemble(node: NodeProto) -> Ensemble | None:
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    post = attributes.get("post_transform", b"NONE")
    kind = "class" if "class_ids" in attributes else "target"
    event = max(attributes.get(f"{kind}_ids", (2,)))
    is_sum = attributes.get("aggregate_function", b"SUM") == b"SUM"
    if post not in (b"NONE", b"LOGISTIC") or not is_sum or event > 1:
        return None
    if set(attributes["nodes_modes"]) - {b"LEAF", *_BRANCHES}:
        return None
    values: dict[tuple[int, int], float] = defaultdict(float)
    targets = (attributes[f"{kind}_{name}"] for name in ("treeids", "nodeids", "ids", "weights"))
    for tree, leaf, target, weight in zip(*targets, strict=True):
        if target == event:
            values[tree, leaf] += weight
    start = float(sum(attributes.get("base_values", ())[-1:]))
    names = tuple(f"column {k}" for k in range(1 + max(attributes["nodes_featureids"])))
    return Ensemble(names, tuple(_trees(attributes, values)), start, LOGIT if post == b"LOGISTIC" else IDENTITY)


def _trees(attributes: Mapping[str, Any], values: Mapping[tuple[int, int], float]) -> list[Tree]:
    names = ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")
    rows = list(zip(*(attributes[f"nodes_{name}"] for name in names), strict=True))
    tracks = attributes.get("nodes_missing_value_tracks_true") or [0] * len(rows)
    by_tree: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for row, left in zip(rows, tracks, strict=True):
        by_tree[row[0]].append((*row, left))
    return [_tree(number, nodes, values) for number, nodes in by_tree.items()]


def _tree(number: int, nodes: list[tuple[Any, ...]], values: Mapping[tuple[int, int], float]) -> Tree:
    position = {node[1]: place for place, node in enumerate(nodes)}
    is_leaf = np.array([node[3] == b"LEAF" for node in nodes])

    def children(side: int) -> NDArray[np.int64]:
        return np.array([0 if node[3] == b"LEAF" else position[node[side]] for node in nodes], dtype=np.int64)

    return Tree(
        feature=np.where(is_leaf, LEAF, [node[2] for node in nodes]).astype(np.int64),
        threshold=np.array([_BRANCHES.get(node[3], at_most)(node[4]) for node in nodes], dtype=np.float32),
        left=children(5),
        right=children(6),
        nan_left=np.array([bool(node[7]) for node in nodes]),
        value=np.array([values.get((number, node[1]), 0.0) for node in nodes], dtype=np.float64),
    )


def agrees(model: FittedModel, answers: Callable[[Array], Array], X: Array) -> bool:
    """Return whether the terms give the probability of the file, for people and with each input missing in turn.

    Where the file itself refuses a row with something missing, the terms are not compared.
    """
    whole = np.where(np.isnan(X[:_PEOPLE]), medians(X), X[:_PEOPLE])
    holes = np.tile(whole[0], (X.shape[1], 1))
    holes[np.diag_indices(X.shape[1])] = np.nan
    return _same(model, answers, whole, False) and all(_same(model, answers, hole[None], True) for hole in holes)


def _same(model: FittedModel, answers: Callable[[Array], Array], rows: Array, may_refuse: bool) -> bool:
    own = model.link.probability(model.margin(rows))
    try:
        answered = answers(rows)
    except RUN_ERRORS:
        return may_refuse
    is_answered = np.isfinite(answered)
    return bool(is_answered.all() or may_refuse) and bool((np.abs(own - answered)[is_answered] <= _AGREES).all())
