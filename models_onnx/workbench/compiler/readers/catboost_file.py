"""Reads a CatBoost model file (JSON, version 1.x) without CatBoost.

A tree asks the same questions of everybody (or, with `grow_policy`, different ones on each side). A value goes right
where it is above the border, both float32; a missing one goes where the feature's `nan_value_treatment` says.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.trees import LEAF, Ensemble, Tree
from models_onnx.workbench.compiler.link import LOGIT

_LOSSES = ("Logloss", "CrossEntropy")
CATBOOST_BINARY = b"CBM1"
_MEMBERS = (b'"features_info"', b'"scale_and_bias"')
_NOWHERE = (-np.inf, np.inf)


def catboost_document(content: bytes) -> dict[str, Any] | None:
    """Returns the JSON of a CatBoost model; None where these bytes are something else."""
    if not all(member in content for member in _MEMBERS):
        return None
    try:
        document: Any = json.loads(content)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def parse_catboost(name: str, document: Mapping[str, Any]) -> Ensemble:
    """Returns the model of this JSON document.

    Raises:
        CompileRefused: Its loss, its outputs or its categorical features are not compiled, or it is not whole.
    """
    try:
        return _ensemble(name, document)
    except (KeyError, ValueError, IndexError, TypeError, AttributeError, RecursionError) as problem:
        raise CompileRefused(
            f"{name} is not a whole CatBoost model in JSON ({problem!r}); write it with "
            "save_model('model.json', format='json')"
        ) from problem


def _ensemble(name: str, document: Mapping[str, Any]) -> Ensemble:
    facts, loss = document["features_info"], document["model_info"]["params"]["loss_function"]["type"]
    if loss not in _LOSSES:
        raise CompileRefused(f"{name} has the loss {loss!r}; compiled are {', '.join(_LOSSES)}")
    if other := sorted(kind for kind in facts if kind != "float_features" and facts[kind]):
        raise CompileRefused(f"{name} has {', '.join(other)}, which are not compiled: use one-hot columns")
    features = sorted(facts["float_features"], key=lambda feature: int(feature["flat_feature_index"]))
    ids = [str(feature.get("feature_id") or "") for feature in features]
    names = ids if all(ids) else [f"f{number}" for number in range(len(ids))]
    nan_left = [feature["nan_value_treatment"] != "AsTrue" for feature in features]
    scale, (start,) = document["scale_and_bias"]
    roots = [_oblivious(tree) for tree in document.get("oblivious_trees", ())] or document["trees"]
    trees = tuple(_tree(_without_settled(root, {}), nan_left, float(scale)) for root in roots)
    return Ensemble(tuple(names), trees, float(start), LOGIT)


def _oblivious(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the tree with its questions below each other; the first split is the lowest bit of a leaf's place."""
    splits, values = tree["splits"], tree["leaf_values"]
    if len(values) != 2 ** len(splits):
        raise CompileRefused("a tree has several values in a leaf: models of two classes are compiled")

    def below(level: int, index: int) -> dict[str, Any]:
        if level < 0:
            return {"value": values[index]}
        sides = {"left": below(level - 1, index), "right": below(level - 1, index | 1 << level)}
        return {"split": splits[level], **sides}

    return below(len(splits) - 1, 0)


def _without_settled(node: Mapping[str, Any], limits: Mapping[int, tuple[float, float]]) -> Mapping[str, Any]:
    """Returns the tree without questions that an earlier one on the same input has settled, missing values or not."""
    if "value" in node:
        return node
    feature, border = int(node["split"]["float_feature_index"]), float(node["split"]["border"])
    above, at_most = limits.get(feature, _NOWHERE)
    if border <= above:
        return _without_settled(node["right"], limits)
    if border >= at_most:
        return _without_settled(node["left"], limits)
    left = _without_settled(node["left"], {**limits, feature: (above, border)})
    right = _without_settled(node["right"], {**limits, feature: (border, at_most)})
    return {"feature": feature, "border": border, "left": left, "right": right}


def _tree(root: Mapping[str, Any], nan_left: list[bool], scale: float) -> Tree:
    nodes: list[Mapping[str, Any]] = [root]
    left, right = [], []
    for node in nodes:  # grows on the way: the nodes level by level
        is_leaf = "value" in node
        left.append(0 if is_leaf else len(nodes))
        right.append(0 if is_leaf else len(nodes) + 1)
        nodes.extend(() if is_leaf else (node["left"], node["right"]))
    features = [node.get("feature", LEAF) for node in nodes]
    return Tree(
        feature=np.array(features, dtype=np.int64),
        threshold=np.array([node.get("border", 0.0) for node in nodes], dtype=np.float32),
        left=np.array(left, dtype=np.int64),
        right=np.array(right, dtype=np.int64),
        nan_left=np.array([feature != LEAF and nan_left[feature] for feature in features]),
        zero_missing=np.zeros(len(nodes), dtype=bool),
        value=np.array([scale * float(node.get("value", 0.0)) for node in nodes]),
    )
