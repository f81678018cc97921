"""Files of XGBoost and LightGBM written by hand: whole trees come out, and what is not compiled is refused by name."""

import copy
import json
import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.explaining_graph import write_file
from models_onnx.workbench.compiler.families.additive_curves import AdditiveCurves
from models_onnx.workbench.compiler.families.trees import Ensemble
from models_onnx.workbench.compiler.readers.ebm import read_ebm
from models_onnx.workbench.compiler.readers.trees import parse_lightgbm, parse_xgboost
from tests.each import for_rows, rows_of
from tests.libraries import glassbox
from tests.models_onnx.workbench.compiler.people import NAMES, Array, beside, by_coalitions, invented, says
from tests.models_onnx.workbench.compiler.test_compile import REFERENCE

STUMP: dict[str, Any] = {
    "tree_param": {"size_leaf_vector": "1"},
    "left_children": [1, -1, 3, -1, -1],
    "right_children": [2, -1, 4, -1, -1],
    "split_indices": [1, 0, 0, 0, 0],
    "split_type": [0, 0, 0, 0, 0],
    "split_conditions": [2.0, -0.5, 0.25, 0.125, 0.75],
    "default_left": [1, 1, 0, 0, 0],
}
LEARNER: dict[str, Any] = {
    "attributes": {"best_iteration": "1"},
    "feature_names": ["age", "bun"],
    "gradient_booster": {"name": "gbtree", "model": {"trees": [STUMP], "iteration_indptr": [0, 1, 1]}},
    "learner_model_param": {"base_score": "5E-1", "num_class": "1", "num_feature": "2", "num_target": "1"},
    "objective": {"name": "binary:logistic"},
}


def xgboost(**changes: Any) -> Ensemble:
    """What is read of the file above with members of its tree, booster or learner changed."""
    learner = copy.deepcopy(LEARNER)
    for path, value in changes.items():
        *way, last = path.split("__")
        owner: Any = learner
        for step in way:
            owner = owner[int(step) if isinstance(owner, list) else step]
        if value is None:
            del owner[last]
        else:
            owner[last] = value
    return parse_xgboost("m.json", json.dumps({"learner": learner}).encode())


def test_a_file_in_another_form_is_refused_without_its_bytes() -> None:
    with pytest.raises(
        CompileRefused, match=r"^m\.ubj is not an XGBoost model in JSON \(it is no text\); write it with"
    ):
        parse_xgboost("m.ubj", b"{L\0\0\xfe\x07learner{}}")
    with pytest.raises(CompileRefused, match=r"^m\.json is not an XGBoost model in JSON \(Recursion"):
        parse_xgboost("m.json", b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
    with pytest.raises(CompileRefused, match="has 1,000,000,000 inputs; at most 100,000 are read"):
        xgboost(feature_names=None, learner_model_param__num_feature="1000000000")


@for_rows(
    ("path", "value", "words"),
    rows_of(__file__, "what_an_xgboost_file_may_not_be_is_refused_by_name"),
)
def test_what_an_xgboost_file_may_not_be_is_refused_by_name(path: str, value: Any, words: str) -> None:
    with pytest.raises(CompileRefused, match=words):
        xgboost(**{path: value})


AFTER = "\n\nparameters:\n[boosting: gbdt]"
HEADER = {
    "version": "v4",
    "num_class": "1",
    "num_tree_per_iteration": "1",
    "objective": "binary sigmoid:2",
    "feature_names": "age bun",
}
TREE = {
    "num_leaves": "3",
    "split_feature": "1 0",
    "threshold": "2.5 0",
    "decision_type": "2 8",
    "left_child": "-1 -2",
    "right_child": "1 -3",
    "leaf_value": "-0.5 0.25 1.5",
    "is_linear": "0",
}


def lightgbm(header: dict[str, str], *trees: dict[str, str], after: str = AFTER) -> Any:
    """What is read of a file with this header and these trees."""
    return parse_lightgbm("m.txt", text_of_lightgbm(header, *trees, after=after))


def text_of_lightgbm(header: dict[str, str], *trees: dict[str, str], after: str = AFTER) -> str:
    """A file with this header and these trees."""
    parts = [
        "\n".join(f"{key}={value}" for key, value in part.items())
        for part in ({"tree": "", **header}, *({"Tree": str(number), **tree} for number, tree in enumerate(trees)))
    ]
    return "\n".join(parts) + "\nend of trees" + after


@for_rows(
    ("header", "tree", "words"),
    rows_of(__file__, "what_a_lightgbm_file_may_not_be_is_refused_by_name"),
)
def test_what_a_lightgbm_file_may_not_be_is_refused_by_name(
    header: dict[str, str], tree: dict[str, str], words: str
) -> None:
    with pytest.raises(CompileRefused, match=words):
        lightgbm({**HEADER, **header}, {**TREE, **tree})


@cache
def machine() -> Any:
    """An EBM with two pairs."""
    X, y = invented()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return glassbox.ExplainableBoostingClassifier(interactions=2, max_rounds=60, outer_bags=2, n_jobs=1).fit(X, y)


def compiled(fitted: Any, X: Array) -> tuple[AdditiveCurves, bytes]:
    """The model of an EBM and its file."""
    model = read_ebm(fitted, X, NAMES)
    return model, write_file("m", model, REFERENCE, {})


def test_an_ebm_says_what_interpret_says_also_on_every_cut() -> None:
    X, _ = invented()
    fitted = machine()
    model, content = compiled(fitted, X)
    rows = np.vstack([X, beside(X, tuple(edges[::7] for edges in model.edges))])
    told = says(content, rows)
    assert np.abs(told["probability"] - fitted.predict_proba(rows)[:, 1]).max() < 1e-6
    assert np.abs(told["contributions"] - model.contributions(rows)).max() < 1e-6


def test_contributions_of_pairs_are_shapley_values_over_all_coalitions_of_inputs_that_go_together() -> None:
    X, _ = invented()
    X = X[:120].copy()
    X[:, 1] = 0.7 * X[:, 0] + 0.3 * X[:, 1]  # halves of a pair are exact for independent inputs only
    X = X.astype(np.float32).astype(np.float64)
    fitted = machine()
    _, content = compiled(fitted, X)
    told = says(content, X[:6])["contributions"]

    def margin(rows: Array) -> Array:
        p = fitted.predict_proba(rows)[:, 1]
        return np.asarray(np.log(p / (1 - p)), dtype=np.float64)

    for number in range(6):
        assert np.abs(told[number] - by_coalitions(margin, X[number], X)).max() < 1e-5


def test_recalibration_multiplies_the_steps() -> None:
    X, _ = invented()
    model, content = compiled(machine(), X)
    moved = says(write_file("m", model.recalibrated(0.2, 1.3), REFERENCE, {}), X)
    before = says(content, X)
    assert np.abs(moved["margin"] - (0.2 + 1.3 * before["margin"])).max() < 1e-6
    assert np.abs(moved["contributions"] - 1.3 * before["contributions"]).max() < 1e-6
