"""Reads an XGBoost model file (JSON, version 1.0 to 3.x) without XGBoost, which ends the process at a torn file."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.trees import LEAF, Ensemble, Tree
from models_onnx.workbench.compiler.link import LOGIT

_OBJECTIVES = ("binary:logistic", "reg:logistic")
_MOST_INPUTS = 100_000


def parse_xgboost(name: str, content: bytes) -> Ensemble:
    """Read the model of those bytes; CompileRefused names what is not compiled: objective, booster, categorical splits.

    XGBoost goes left where x < threshold, both float32: here where x <= the float32 below it.
    """
    try:
        return _ensemble(name, json.loads(content)["learner"])
    except (KeyError, ValueError, IndexError, TypeError, AttributeError, RecursionError) as problem:
        # of bytes that are no text (UBJ) the error would repeat the whole file
        reason = "it is no text" if isinstance(problem, UnicodeDecodeError) else repr(problem)
        raise CompileRefused(
            f"{name} is not an XGBoost model in JSON ({reason}); write it with Booster.save_model('model.json')"
        ) from problem


def _ensemble(name: str, learner: dict[str, Any]) -> Ensemble:
    booster = learner["gradient_booster"]
    _refuse(name, learner, booster)
    inputs = int(learner["learner_model_param"]["num_feature"])
    if inputs > _MOST_INPUTS:
        raise CompileRefused(f"{name} says that it has {inputs:,} inputs; at most {_MOST_INPUTS:,} are read")
    names = learner.get("feature_names") or [f"f{j}" for j in range(inputs)]
    features = tuple(str(name) for name in names)
    trees = booster["model"]["trees"]
    _refuse_rounds_after_the_best(name, learner, booster["model"], len(trees))
    start = _start(learner["learner_model_param"]["base_score"])
    return Ensemble(features, tuple(_tree(name, features, tree) for tree in trees), start, LOGIT)


def _refuse(name: str, learner: dict[str, Any], booster: dict[str, Any]) -> None:
    if booster["name"] != "gbtree":
        linear = booster["name"] == "gblinear"
        advice = "write it as a logistic regression" if linear else "train with booster=gbtree"
        raise CompileRefused(f"{name} was boosted with {booster['name']}, which is not compiled; {advice}")
    objective = learner["objective"]["name"]
    if objective not in _OBJECTIVES:
        raise CompileRefused(f"{name} has the objective {objective!r}; compiled are {', '.join(_OBJECTIVES)}")
    parameters = learner["learner_model_param"]
    if int(parameters.get("num_class", 0)) > 1 or int(parameters.get("num_target", 1)) > 1:
        raise CompileRefused(f"{name} has several outputs; models of two classes are compiled")


def _refuse_rounds_after_the_best(name: str, learner: dict[str, Any], model: dict[str, Any], trees: int) -> None:
    # Booster.predict takes all rounds, XGBClassifier those up to the best: the same file, two models.
    best = learner.get("attributes", {}).get("best_iteration")
    rounds = len(model.get("iteration_indptr") or range(trees + 1)) - 1
    if best is not None and int(best) + 1 < rounds:
        raise CompileRefused(
            f"{name} has {rounds} rounds, and round {int(best) + 1} was its best: say which is meant and write "
            "booster[: booster.best_iteration + 1], or take the attribute best_iteration away"
        )


def _start(base_score: str) -> float:
    """Log odds of the base score, which is a probability; written "5E-1" and, from version 3 on, "[5E-1]"."""
    scores: Any = json.loads(base_score)
    values: Sequence[float] = scores if isinstance(scores, list) else [scores]
    if len(values) != 1 or not 0.0 < values[0] < 1.0:
        raise CompileRefused(f"a base score of {base_score} is not one probability")
    p = float(np.float32(values[0]))
    return math.log(p / (1.0 - p))


def _tree(name: str, features: tuple[str, ...], tree: dict[str, Any]) -> Tree:
    if int(tree["tree_param"].get("size_leaf_vector", 1)) > 1:
        raise CompileRefused(f"{name} has leaves with several values (multi_output_tree), which are not compiled")
    left = np.array(tree["left_children"], dtype=np.int64)
    if (left < LEAF).any():
        raise ValueError(f"a node names the child {left.min()}")
    leaf = left == LEAF
    split = np.array(tree["split_indices"], dtype=np.int64)
    categorical = np.array(tree.get("split_type") or np.zeros(len(left)), dtype=np.int64)
    if (categorical[~leaf] != 0).any():
        names = sorted({features[j] for j in split[~leaf & (categorical != 0)]})
        raise CompileRefused(
            f"{name} has categorical splits on {', '.join(names)}, which are not compiled: use one-hot columns"
        )
    condition = np.array(tree["split_conditions"], dtype=np.float32)
    return Tree(
        feature=np.where(leaf, LEAF, split),
        threshold=np.nextafter(condition, np.float32(-np.inf)),
        left=np.where(leaf, 0, left),
        right=np.where(leaf, 0, np.array(tree["right_children"], dtype=np.int64)),
        nan_left=np.array(tree["default_left"]).astype(bool) & ~leaf,
        value=np.where(leaf, condition.astype(np.float64), 0.0),
    )
