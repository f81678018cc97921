"""Thresholds in float32 decide as float64 does, for every float32 there is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.trees import LEAF, Tree, at_most, limits
from tests.libraries import xgboost
from tests.models_onnx.workbench.compiler.people import compiled

FLOAT32 = st.floats(width=32, allow_nan=False)


@given(FLOAT32, st.floats(allow_nan=False))
def test_at_most_decides_as_the_double_threshold_does(x: float, threshold: float) -> None:
    assert (np.float32(x) <= at_most(threshold)) == (x <= threshold)


@given(FLOAT32)
def test_a_threshold_that_is_a_float32_stays_what_it_is(threshold: float) -> None:
    for beside in (-np.inf, np.inf):
        with np.errstate(over="ignore"):
            x = float(np.nextafter(np.float32(threshold), np.float32(beside)))
        assert (np.float32(x) <= at_most(threshold)) == (x <= threshold)


def spoil(name: str, node: int, value: float) -> Callable[[dict[str, Any]], None]:
    """Writes a value into one node of the first tree."""

    def write(tree: dict[str, Any]) -> None:
        tree[name][node] = value

    return write


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (spoil("left_children", 0, 0), "no tree"),
        (spoil("left_children", 0, 2), "no tree"),
        (spoil("split_indices", 0, 99), "asks about an input beyond its 3"),
        (spoil("split_conditions", -1, float("nan")), "no number"),
        (spoil("split_conditions", -1, 1e308), "no number"),
    ],
    ids=["a circle", "two ways to a node", "another input", "NaN", "too large"],
)
def test_a_damaged_file_is_refused_by_a_sentence(
    damage: Callable[[dict[str, Any]], None], sentence: str, tmp_path: Path
) -> None:
    X = np.random.default_rng(0).normal(size=(200, 3))
    model = xgboost.XGBClassifier(n_estimators=2, max_depth=2).fit(X, (X[:, 0] > 0).astype(int))
    path = tmp_path / "model.json"
    model.save_model(path)
    document = json.loads(path.read_text())
    damage(document["learner"]["gradient_booster"]["model"]["trees"][0])
    path.write_text(json.dumps(document))
    with np.errstate(over="ignore"), pytest.raises(CompileRefused, match=sentence):
        compiled(path, X, features=["a", "b", "c"])


def tree(**changes: Any) -> Tree:
    """A tree that asks about input 0 and, to the right, about input 1."""
    columns: dict[str, Any] = {
        "feature": [0, LEAF, 1, LEAF, LEAF],
        "threshold": [0.5, 0.0, 2.0, 0.0, 0.0],
        "left": [1, 0, 3, 0, 0],
        "right": [2, 0, 4, 0, 0],
        "nan_left": [True, False, False, False, False],
        "value": [0.0, 1.0, 0.0, 2.0, 4.0],
    }
    kinds = {"threshold": np.float32, "value": np.float64, "nan_left": bool}
    return Tree(**{k: np.array(v, dtype=kinds.get(k, np.int64)) for k, v in (columns | changes).items()})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"feature": [0, LEAF, 2, LEAF, LEAF]}, "asks about an input beyond its 2"),
        ({"feature": [-2, LEAF, 1, LEAF, LEAF]}, "asks about an input beyond its 2"),
        ({"value": [0, np.inf, 0, 1, 1]}, "a value that is no number"),
        ({"threshold": [np.nan, 0, 2, 0, 0]}, "a value that is no number"),
        ({"left": [1, 0, 0, 0, 0]}, "are no tree"),
        ({"left": [1, 0, 2, 0, 0]}, "are no tree"),
        ({"left": [-1, 0, 3, 0, 0]}, "are no tree"),
        ({"right": [2, 0, 5, 0, 0]}, "are no tree"),
    ],
)
def test_nodes_that_are_no_tree_are_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CompileRefused, match=sentence):
        tree(**changes).refuse_malformed(2)
    tree(threshold=[np.inf, np.nan, 2, 0, 0], value=[np.nan, 1, 0, 2, 4]).refuse_malformed(2)


def test_the_range_of_each_input_is_of_its_finite_values() -> None:
    rows = np.array([[1.0, np.nan, 2.0], [np.inf, np.nan, -3.0]])
    assert limits(rows) == ((1.0, float("inf"), -3.0), (1.0, float("-inf"), 2.0))
