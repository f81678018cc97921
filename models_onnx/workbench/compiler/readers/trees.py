"""Reads trees: model files of LightGBM (text, v3 or v4) and XGBoost (JSON, 1.0 to 3.x).

The files are read without their libraries, and a pickle never. XGBoost ends the process at a torn file. In LightGBM's
files the rules of a node are those of its tree.h: bit 0 of `decision_type` says categorical, bit 1 that missing goes
left, bits 2-3 what is missing (0 nothing: NaN counts as 0; 1 zero and NaN, `zero_as_missing`, refused; 2 NaN).
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fhir.terminology.plain_file import unreadable
from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.trees import LEAF, Ensemble, Tree, at_most

_OBJECTIVES = ("binary", "cross_entropy", "xentropy")
_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_NOTHING_MISSING, _ZERO_MISSING = 0, 1
# Its reader of rows takes what is not farther from 0 than this (kZeroThreshold) for 0, before any node sees it.
_ZERO = np.float32(1e-35)

Section = dict[str, str]


def parse_lightgbm(name: str, text: str) -> Ensemble:
    """Read that text's model; CompileRefused names what is not compiled: objective, dart, categorical or linear trees.

    A threshold is rounded down to float32: for every float32 value `x <= threshold` then says what float64 said.
    """
    try:
        return _ensemble(name, text)
    except (KeyError, ValueError, IndexError) as problem:
        raise CompileRefused(f"{name} is not a whole LightGBM model file: {problem!r}") from problem


def _ensemble(name: str, text: str) -> Ensemble:
    body, _, after = text.partition("\nend of trees")
    if not after:
        raise ValueError("it ends before 'end of trees'")
    head, *parts = body.split("\nTree=")
    header = _section(head)
    sigmoid = _log_odds(name, header, after)
    features = tuple(header["feature_names"].split(" "))
    if (last := int(header.get("max_feature_idx", len(features) - 1))) != len(features) - 1:
        raise ValueError(f"it has {len(features)} inputs, and its last is said to be number {last}")
    trees = tuple(_tree(name, features, _section(part)) for part in parts)
    if not trees:
        raise ValueError("it has no tree")
    slope = sigmoid / (len(trees) if "average_output" in header else 1)
    return Ensemble(features, trees, 0.0).scaled(0.0, slope)


def _log_odds(name: str, header: Section, after: str) -> float:
    """Return what the raw score is multiplied with to be log odds; refuses what gives no probability of two classes."""
    objective, *options = header.get("objective", "none").split(" ")
    if objective not in _OBJECTIVES:
        raise CompileRefused(f"{name} has the objective {objective!r}; compiled are {', '.join(_OBJECTIVES)}")
    if header["num_class"] != "1" or header["num_tree_per_iteration"] != "1":
        raise CompileRefused(f"{name} has {header['num_class']} classes; models of two classes are compiled")
    if "[boosting: dart]" in after:
        raise CompileRefused(f"{name} was boosted with dart, which is not compiled; train with boosting=gbdt")
    sigmoid = [option.partition(":")[2] for option in options if option.startswith("sigmoid:")]
    return float(sigmoid[0]) if sigmoid else 1.0


def _section(text: str) -> Section:
    pairs = (line.partition("=") for line in text.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _tree(name: str, features: tuple[str, ...], section: Section) -> Tree:
    if section.get("is_linear", "0") != "0":
        raise CompileRefused(f"{name} has linear trees, whose leaves are not numbers; train with linear_tree=false")
    leaves = [float(value) for value in section["leaf_value"].split()]
    inner = int(section["num_leaves"]) - 1
    if inner + 1 != len(leaves):
        raise ValueError(f"a tree says {inner + 1} leaves and has {len(leaves)}")
    if inner == 0:
        return _tree_of([], [], [], [], [], leaves)
    split = [int(value) for value in section["split_feature"].split()]
    decision = [int(value) for value in section["decision_type"].split()]
    if categorical := sorted({features[j] for j, kind in zip(split, decision, strict=True) if kind & _CATEGORICAL}):
        raise CompileRefused(
            f"{name} has categorical splits on {', '.join(categorical)}, which are not compiled: use one-hot columns"
        )
    threshold = [float(value) for value in section["threshold"].split()]
    left, right = ([int(value) for value in section[f"{side}_child"].split()] for side in ("left", "right"))
    missing = [kind >> 2 & 3 for kind in decision]
    if _ZERO_MISSING in missing:
        raise CompileRefused(
            f"{name} was trained with zero_as_missing, and to the file missing is NaN alone: write NaN for what is "
            "missing and train without it"
        )
    # With nothing missing, LightGBM takes NaN for 0.
    nan_left = [
        limit >= 0.0 if kind_of_missing == _NOTHING_MISSING else bool(kind & _DEFAULT_LEFT)
        for limit, kind_of_missing, kind in zip(threshold, missing, decision, strict=True)
    ]
    return _tree_of(split, threshold, left, right, nan_left, leaves)


def _rounded(threshold: float) -> np.float32:
    if -_ZERO <= threshold < 0.0:
        return np.float32(np.nextafter(-_ZERO, np.float32(-1)))
    return _ZERO if 0.0 <= threshold < _ZERO else at_most(threshold)


def _tree_of(
    split: list[int],
    threshold: list[float],
    left: list[int],
    right: list[int],
    nan_left: list[bool],
    leaves: list[float],
) -> Tree:
    """Inner nodes first, then leaves: LightGBM's child -1 is leaf 0."""
    inner, count = len(split), len(leaves)

    def places(children: list[int]) -> list[int]:
        return [child if child >= 0 else inner + ~child for child in children]

    nothing = [0] * count
    return Tree(
        feature=np.array([*split, *[LEAF] * count], dtype=np.int64),
        threshold=np.array([*(_rounded(limit) for limit in threshold), *nothing], dtype=np.float32),
        left=np.array([*places(left), *nothing], dtype=np.int64),
        right=np.array([*places(right), *nothing], dtype=np.int64),
        nan_left=np.array([*nan_left, *nothing], dtype=bool),
        value=np.array([*[0.0] * inner, *leaves], dtype=np.float64),
    )


_XGBOOST_OBJECTIVES = ("binary:logistic", "reg:logistic")
_MOST_INPUTS = 100_000


def parse_xgboost(name: str, content: bytes) -> Ensemble:
    """Read the model of those bytes; CompileRefused names what is not compiled: objective, booster, categorical splits.

    XGBoost goes left where x < threshold, both float32: here where x <= the float32 below it.
    """
    try:
        return _xgboost_ensemble(name, json.loads(content)["learner"])
    except (KeyError, ValueError, IndexError, TypeError, AttributeError, RecursionError) as problem:
        # of bytes that are no text (UBJ) the error would repeat the whole file
        reason = "it is no text" if isinstance(problem, UnicodeDecodeError) else repr(problem)
        raise CompileRefused(
            f"{name} is not an XGBoost model in JSON ({reason}); write it with Booster.save_model('model.json')"
        ) from problem


def _xgboost_ensemble(name: str, learner: dict[str, Any]) -> Ensemble:
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
    return Ensemble(features, tuple(_xgboost_tree(name, features, tree) for tree in trees), start)


def _refuse(name: str, learner: dict[str, Any], booster: dict[str, Any]) -> None:
    if booster["name"] != "gbtree":
        linear = booster["name"] == "gblinear"
        advice = "write it as a logistic regression" if linear else "train with booster=gbtree"
        raise CompileRefused(f"{name} was boosted with {booster['name']}, which is not compiled; {advice}")
    objective = learner["objective"]["name"]
    if objective not in _XGBOOST_OBJECTIVES:
        raise CompileRefused(f"{name} has the objective {objective!r}; compiled are {', '.join(_XGBOOST_OBJECTIVES)}")
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


def _xgboost_tree(name: str, features: tuple[str, ...], tree: dict[str, Any]) -> Tree:
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


PICKLES = (".pkl", ".pickle", ".joblib", ".sav", ".skops", ".dill")


def read_file(path: Path) -> Ensemble:
    """Return the ensemble of a LightGBM (text) or XGBoost (JSON) file; a pickle is refused."""
    if not path.is_file():
        raise CompileRefused(f"{unreadable(path)}; `source` of a declaration is a file beside it")
    content = path.read_bytes()
    if path.suffix.lower() in PICKLES or content[:1] == b"\x80" or content[:2] == b"PK":
        raise CompileRefused(
            f"{path.name} is a pickle or an archive of one, which could run anything when it is read, so it never is. "
            "Where it was fitted, write it in its library's own format (LightGBM: text, XGBoost: JSON) or as an ONNX "
            "file (skl2onnx.to_onnx) and name that file"
        )
    if content.startswith((b"tree\n", b"tree\r\n")):
        return parse_lightgbm(path.name, content.decode("utf-8", "replace").replace("\r\n", "\n"))
    if content.lstrip().startswith(b"{"):
        return parse_xgboost(path.name, content)
    raise CompileRefused(f"{path.name} is neither a LightGBM text file nor an XGBoost JSON file")


def refuse_other_names(model_names: Sequence[str], names: Sequence[str]) -> None:
    """CompileRefused where the model has another number of inputs, or the same ones in another order."""
    if len(names) != len(model_names):
        raise CompileRefused(f"the model has {len(model_names)} inputs, {len(names)} names were given")
    if set(names) == set(model_names) and tuple(names) != tuple(model_names):
        raise CompileRefused(f"the inputs are named in another order than the model's: {', '.join(model_names)}")
