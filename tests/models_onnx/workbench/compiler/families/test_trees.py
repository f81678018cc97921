"""Thresholds in float32 decide as float64 does, for every float32 there is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.explaining_graph import write_file
from models_onnx.workbench.compiler.families.shapley_trees import ShapleyTrees
from models_onnx.workbench.compiler.families.trees import LEAF, Ensemble, Tree
from models_onnx.workbench.compiler.readers.trees import parse_lightgbm
from models_onnx.workbench.compiler.reference import Reference
from tests.libraries import lightgbm, xgboost
from tests.models_onnx.workbench.compiler.people import Array, beside, by_coalitions, compiled, invented, says
from tests.models_onnx.workbench.compiler.test_compile import REFERENCE


def spoil(name: str, node: int, value: float) -> Callable[[dict[str, Any]], None]:
    """Writes a value into one node of the first tree."""

    def write(tree: dict[str, Any]) -> None:
        tree[name][node] = value

    return write


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (spoil("left_children", 0, 0), "do not form a tree"),
        (spoil("left_children", 0, 2), "do not form a tree"),
        (spoil("split_indices", 0, 99), "asks about an input beyond its 3"),
        (spoil("split_conditions", -1, float("nan")), "not a number"),
        (spoil("split_conditions", -1, 1e308), "not a number"),
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


def boosted(X: Array, y: object, depth: int = 3) -> Any:
    """Trees that learned where gaps go."""
    return lightgbm.LGBMClassifier(n_estimators=20, max_depth=depth, learning_rate=0.3, verbose=-1).fit(X, y)


def file_of(model: ShapleyTrees, reference: Reference = REFERENCE) -> bytes:
    """The model's file."""
    return write_file("m", model, reference, {})


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_contributions_are_the_shapley_values_of_their_definition(depth: int) -> None:
    X, y = invented()
    fitted = boosted(X, y, depth)
    ensemble = parse_lightgbm("boosted", fitted.booster_.model_to_string())
    model = ShapleyTrees.of(ensemble, X[:60])
    rows = np.vstack([X[:6], beside(X, model.edges)[::60]])
    told = says(file_of(model), rows)["contributions"]
    for row, own in zip(rows, told, strict=True):
        assert np.abs(own - by_coalitions(lambda X: fitted.predict(X, raw_score=True), row, X[:60])).max() < 1e-12


def test_trees_in_another_unit_keep_a_value_at_a_threshold_on_its_side() -> None:
    asked = np.float32(124.9)  # XGBoost asks whether a value is less than this one
    node = np.array([np.nextafter(asked, np.float32(-np.inf)), 0, 0], dtype=np.float32)
    sides = np.array([0.0, 1.0, 2.0])
    tree = Tree(np.array([0, LEAF, LEAF]), node, np.array([1, 0, 0]), np.array([2, 0, 0]), np.ones(3, bool), sides)
    factor = 0.011312217
    values = factor * np.array([[124.8], [124.9], [125.0]])
    assert Ensemble(("creatinine_mg_dl",), (tree,), 0.0).in_units([factor]).margin(values).tolist() == [1, 2, 2]
