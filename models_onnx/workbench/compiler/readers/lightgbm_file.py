"""Reads a LightGBM model file (text, version v3 or v4) without LightGBM.

The rules of a node are those of LightGBM's tree.h: bit 0 of `decision_type` says categorical, bit 1 that missing goes
left, bits 2-3 what is missing (0 nothing: NaN counts as 0; 1 zero and NaN, `zero_as_missing`, refused; 2 NaN).
"""

import numpy as np

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.trees import LEAF, Ensemble, Tree, at_most
from models_onnx.workbench.compiler.link import LOGIT

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
    return Ensemble(features, trees, 0.0, LOGIT).scaled(0.0, slope)


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
