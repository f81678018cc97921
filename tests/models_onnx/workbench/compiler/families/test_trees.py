"""Thresholds in float32 decide as float64 does, for every float32 there is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler import compile_model
from models_onnx.workbench.compiler.families.trees import Cuts, at_most, below

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


@given(FLOAT32.filter(lambda x: x > -np.inf), st.floats(allow_nan=False))
def test_below_leaves_out_the_threshold_itself(x: float, threshold: float) -> None:
    assert (np.float32(x) <= below(threshold)) == (x < threshold)


def test_a_stand_in_for_the_missing_goes_where_its_value_would() -> None:
    cuts = Cuts((1.0, float("nan")))
    assert cuts.nan_left(0, 1.0, learned=False)
    assert not cuts.nan_left(0, 0.5, learned=True)
    assert cuts.nan_left(1, 0.5, learned=True)


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
        compile_model(path, X, features=["a", "b", "c"], name="damaged")
