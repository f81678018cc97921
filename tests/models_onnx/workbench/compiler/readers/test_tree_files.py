"""Files of XGBoost and LightGBM written by hand: whole trees come out, and what is not compiled is refused by name."""

import copy
import json
import warnings
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.explaining_graph import write_file
from models_onnx.workbench.compiler.families.additive_curves import AdditiveCurves, Curve, PairTable
from models_onnx.workbench.compiler.families.trees import Ensemble
from models_onnx.workbench.compiler.link import LOGIT
from models_onnx.workbench.compiler.readers.ebm import read_ebm
from models_onnx.workbench.compiler.readers.trees import parse_lightgbm, parse_xgboost
from tests.each import for_rows
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


def lists(ensemble: Ensemble, tree: int = 0) -> dict[str, list[Any]]:
    """The columns of a tree."""
    names = ("feature", "threshold", "left", "right", "nan_left", "value")
    return {name: getattr(ensemble.trees[tree], name).tolist() for name in names}


def test_a_tree_of_xgboost_goes_left_below_its_threshold() -> None:
    ensemble = xgboost()
    assert (ensemble.features, ensemble.start, ensemble.link) == (("age", "bun"), 0.0, LOGIT)
    assert lists(ensemble) == {
        "feature": [1, -1, 0, -1, -1],
        "threshold": [float(np.nextafter(np.float32(x), np.float32(-np.inf))) for x in (2.0, -0.5, 0.25, 0.125, 0.75)],
        "left": [1, 0, 3, 0, 0],
        "right": [2, 0, 4, 0, 0],
        "nan_left": [True, False, False, False, False],
        "value": [0.0, -0.5, 0.0, 0.125, 0.75],
    }
    assert [str(ensemble.trees[0].threshold.dtype), str(ensemble.trees[0].value.dtype)] == ["float32", "float64"]
    nan = float("nan")
    rows = np.array([[0.0, 1.9], [0.2, 2.0], [0.25, 2.0], [nan, nan], [nan, 3.0]])
    assert ensemble.margin(rows).tolist() == [-0.5, 0.125, 0.75, -0.5, 0.75]


def test_a_file_in_another_form_is_refused_without_its_bytes() -> None:
    with pytest.raises(
        CompileRefused, match=r"^m\.ubj is not an XGBoost model in JSON \(it is no text\); write it with"
    ):
        parse_xgboost("m.ubj", b"{L\0\0\xfe\x07learner{}}")
    with pytest.raises(CompileRefused, match=r"^m\.json is not an XGBoost model in JSON \(Recursion"):
        parse_xgboost("m.json", b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
    with pytest.raises(CompileRefused, match="has 1,000,000,000 inputs; at most 100,000 are read"):
        xgboost(feature_names=None, learner_model_param__num_feature="1000000000")


def test_names_and_the_start_of_an_xgboost_file() -> None:
    assert xgboost(feature_names=None).features == ("f0", "f1")
    assert xgboost(feature_names=[]).features == ("f0", "f1")
    for score in ("2.5E-1", "[2.5E-1]"):
        assert xgboost(learner_model_param__base_score=score).start == np.log(0.25 / 0.75)
    for score in ("0", "1", "-0.1", "[0.5, 0.5]", "[]"):
        with pytest.raises(CompileRefused, match="is not one probability"):
            xgboost(learner_model_param__base_score=score)
    for objective in ("binary:logistic", "reg:logistic"):
        assert xgboost(objective__name=objective).start == 0.0
    assert xgboost(learner_model_param__num_class=None, learner_model_param__num_target=None).start == 0.0
    assert xgboost(gradient_booster__model__trees__0__split_type=None).start == 0.0
    assert xgboost(gradient_booster__model__trees__0__tree_param={}).start == 0.0


@for_rows(
    ("path", "value", "words"),
    [
        ("gradient_booster__name", "dart", "boosted with dart, which is not compiled; train with booster=gbtree$"),
        ("gradient_booster__name", "gblinear", "gblinear, which is not compiled; write it as a logistic regression$"),
        ("objective__name", "count:poisson", "objective 'count:poisson'; compiled are binary:logistic, reg:logistic"),
        ("learner_model_param__num_class", "2", "several outputs"),
        ("learner_model_param__num_target", "2", "several outputs"),
        ("gradient_booster__model__trees__0__tree_param", {"size_leaf_vector": "2"}, "leaves with several values"),
        ("gradient_booster__model__trees__0__split_type", [0, 0, 1, 0, 0], "categorical splits on age, which"),
        ("attributes", {"best_iteration": "0"}, r"m.json has 2 rounds, and round 1 was its best"),
        ("gradient_booster__model__trees__0__left_children", None, "'left_children'.*Booster.save_model"),
        ("gradient_booster__model__trees__0__left_children", [1, -5, 3, -1, -1], "a node names the child -5"),
    ],
)
def test_what_an_xgboost_file_may_not_be_is_refused_by_name(path: str, value: Any, words: str) -> None:
    with pytest.raises(CompileRefused, match=words):
        xgboost(**{path: value})


def test_a_categorical_leaf_and_rounds_without_an_end_are_no_reason_to_refuse() -> None:
    assert xgboost(gradient_booster__model__trees__0__split_type=[0, 1, 0, 1, 1]).depth == 2
    assert xgboost(attributes=None).depth == 2
    assert xgboost(attributes={}).depth == 2
    assert xgboost(gradient_booster__model__iteration_indptr=None, attributes={"best_iteration": "0"}).depth == 2
    with pytest.raises(CompileRefused, match="has 2 rounds"):
        xgboost(
            gradient_booster__model__iteration_indptr=None,
            gradient_booster__model__trees=[STUMP, STUMP],
            attributes={"best_iteration": "0"},
        )


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
    ("threshold", "rounded"),
    [
        ("-1e-35", float(np.nextafter(-np.float32(1e-35), np.float32(-1)))),
        ("-1e-36", float(np.nextafter(-np.float32(1e-35), np.float32(-1)))),
        ("-2e-35", float(np.float32(-2e-35))),
        ("1e-36", float(np.float32(1e-35))),
        ("1.0000000180025095e-35", float(np.float32(1e-35))),
        ("0.1", float(np.nextafter(np.float32(0.1), np.float32(0)))),
        ("0.5", 0.5),
    ],
)
def test_thresholds_around_zero_are_those_of_lightgbm_s_reader(threshold: str, rounded: float) -> None:
    shape = {"num_leaves": "2", "split_feature": "0", "left_child": "-1", "right_child": "-2", "leaf_value": "0 1"}
    tree = lightgbm(HEADER, {**shape, "decision_type": "2", "threshold": threshold}).trees[0]
    assert float(tree.threshold[0]) == rounded


def test_the_scale_of_a_lightgbm_file() -> None:
    leaf = {"num_leaves": "1", "leaf_value": "3"}
    assert lightgbm({**HEADER, "objective": "binary"}, leaf).trees[0].value.tolist() == [3.0]
    for objective in ("cross_entropy", "xentropy"):
        assert lightgbm({**HEADER, "objective": objective}, leaf, leaf).margin(np.zeros((1, 2))).tolist() == [6.0]
    averaged = lightgbm({**HEADER, "average_output": ""}, leaf, leaf, leaf, leaf)
    assert averaged.margin(np.zeros((1, 2))).tolist() == [6.0]  # the mean of 3, times the sigmoid's 2
    assert lists(averaged)["feature"] == [-1]


@for_rows(
    ("header", "tree", "words"),
    [
        ({"objective": "regression"}, {}, "the objective 'regression'; compiled are binary, cross_entropy, xentropy"),
        ({"num_class": "3"}, {}, "has 3 classes"),
        ({"max_feature_idx": "1000000000"}, {}, "it has 2 inputs, and its last is said to be number 1000000000"),
        ({"num_tree_per_iteration": "3"}, {}, "models of two classes are compiled"),
        ({}, {"is_linear": "1"}, "linear trees.*linear_tree=false"),
        ({}, {"num_leaves": "4"}, "a tree says 4 leaves and has 3"),
        ({}, {"decision_type": "2 4"}, "trained with zero_as_missing"),
        ({}, {"decision_type": "2 3"}, "categorical splits on age, which"),
        ({}, {"decision_type": "1 3"}, "categorical splits on age, bun, which"),
        ({}, {"threshold": "1.0 x"}, "not a whole LightGBM model file"),
        ({}, {"threshold": "1.0"}, "not a whole LightGBM model file"),
        ({}, {"decision_type": "2"}, "not a whole LightGBM model file"),
    ],
)
def test_what_a_lightgbm_file_may_not_be_is_refused_by_name(
    header: dict[str, str], tree: dict[str, str], words: str
) -> None:
    with pytest.raises(CompileRefused, match=words):
        lightgbm({**HEADER, **header}, {**TREE, **tree})


def test_a_lightgbm_file_without_an_objective_a_tree_or_an_end_is_refused() -> None:
    without = {key: value for key, value in HEADER.items() if key != "objective"}
    with pytest.raises(CompileRefused, match="the objective 'none'"):
        lightgbm(without, TREE)
    with pytest.raises(CompileRefused, match="it has no tree"):
        lightgbm(HEADER)
    with pytest.raises(CompileRefused, match="it ends before 'end of trees'"):
        lightgbm(HEADER, TREE, after="")
    with pytest.raises(CompileRefused, match="boosted with dart"):
        lightgbm(HEADER, TREE, after="\n[boosting: dart]")
    assert lightgbm(HEADER, {key: value for key, value in TREE.items() if key != "is_linear"}).depth == 2


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


def test_terms_are_those_of_interprets_local_explanation() -> None:
    X, _ = invented()
    fitted = machine()
    _, content = compiled(fitted, X)
    told = says(content, X[:40])
    explained = fitted.explain_local(X[:40])
    assert any(len(inputs) == 2 for inputs in fitted.term_features_)
    for number in range(40):
        margin = float(np.sum(explained.data(number)["scores"])) + float(np.ravel(fitted.intercept_)[0])
        assert abs(told["margin"][number] - margin) < 1e-6


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


def test_a_missing_input_contributes_what_was_learned() -> None:
    X, _ = invented()
    gone = X[:20].copy()
    gone[:, 0] = np.nan
    _, learned = compiled(machine(), X)
    assert (says(learned, gone)["contributions"][:, 0] != 0).all()


def test_contributions_are_nothing_on_average_over_the_cohort() -> None:
    X, _ = invented()
    _, content = compiled(machine(), X)
    assert np.abs(says(content, X)["contributions"].mean(axis=0)).max() < 1e-6


def test_recalibration_multiplies_the_steps() -> None:
    X, _ = invented()
    model, content = compiled(machine(), X)
    moved = says(write_file("m", model.recalibrated(0.2, 1.3), REFERENCE, {}), X)
    before = says(content, X)
    assert np.abs(moved["margin"] - (0.2 + 1.3 * before["margin"])).max() < 1e-6
    assert np.abs(moved["contributions"] - 1.3 * before["contributions"]).max() < 1e-6


def test_a_pair_is_parted_into_means_over_the_cohort_and_a_rest() -> None:
    cohort = np.array([[0.0, 0.0], [0.0, 2.0], [2.0, 2.0], [2.0, np.nan]])
    pair = PairTable((0, 1), ([1.0], [1.0]), np.arange(9.0).reshape(3, 3) ** 2)
    rest, (first, second) = pair.parted(cohort)
    whole = rest.values_of(cohort) + first.values(cohort[:, 0]) + second.values(cohort[:, 1])
    assert whole.tolist() == pair.values_of(cohort).tolist()
    # the second input is low in 1 of 4, high in 2, missing in 1; the first is low in half of them
    means = [(0 + 2 * 1 + 4) / 4, (9 + 2 * 16 + 25) / 4, (36 + 2 * 49 + 64) / 4]
    assert [*first.intercepts, first.missing] == pytest.approx(means)
    assert [*second.intercepts, second.missing] == pytest.approx([(0 + 9) / 2, (1 + 16) / 2, (4 + 25) / 2])


def written_down(**changes: Any) -> Any:
    """What interpret keeps of a machine: two cuts of the first input (one in pairs), one of the second."""
    machine_of = {
        "classes_": np.array([0, 1]),
        "link_": "logit",
        "bins_": [[np.array([1.0, 2.0]), np.array([1.5])], [np.array([2.0])]],
        "term_features_": [(0,), (1,), (0, 1)],
        # missing first, then the bins, then values that interpret does not know
        "term_scores_": [
            np.array([9.0, 10.0, 20.0, 30.0, 99.0]),
            np.array([7.0, 11.0, 13.0, 55.0]),
            np.array([[0.0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23], [90, 91, 92, 93]]),
        ],
        "intercept_": np.array([-0.5]),
    }
    return SimpleNamespace(**(machine_of | changes))


def test_cells_of_an_ebm_are_interprets_bins_in_our_order_with_the_missing_last() -> None:
    below = float(np.nextafter(np.float32(1), np.float32(0)))
    X = np.array([[below, 1], [1, 3], [2, 2], [np.nan, np.nan], [np.inf, -np.inf]])
    cohort = np.tile(X[:4], (5, 1))
    model = read_ebm(written_down(), cohort, ("a", "b"))
    # of each row: the bin of the first input, that of the second, that of the pair; and the start
    expected = [10 + 11 + 11 - 0.5, 20 + 13 + 12 - 0.5, 30 + 13 + 22 - 0.5, 9 + 7 + 0 - 0.5, 30 + 11 + 21 - 0.5]
    assert model.margin(X) == pytest.approx(expected)
    assert model.contributions(cohort).mean(axis=0) == pytest.approx([0.0, 0.0])
    told = says(write_file("m", model, REFERENCE, {}), X)
    assert told["margin"] == pytest.approx(expected)
    assert told["contributions"] == pytest.approx(model.contributions(X))


@for_rows(
    ("changes", "sentence"),
    [
        (
            {"classes_": np.arange(3)},
            "only an ExplainableBoostingClassifier of two classes with the logit link is compiled",
        ),
        ({"link_": "log"}, "only an ExplainableBoostingClassifier of two classes with the logit link is compiled"),
        (
            {"term_features_": [(0, 1, 0)], "term_scores_": [np.zeros((2, 2, 2))]},
            "the term a & b & a has more than two inputs, which is not explained exactly: train with interactions=5, "
            "say, which makes pairs only",
        ),
        (
            {"bins_": [[np.array([1.0])], [{"ward": 1}]]},
            "b was fitted as categories: fit it as a number, feature_types='continuous'",
        ),
    ],
)
def test_a_machine_that_is_not_explained_exactly_is_refused_with_a_sentence(
    changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(CompileRefused) as refused:
        read_ebm(written_down(**changes), np.zeros((20, 2)), ("a", "b"))
    assert str(refused.value) == sentence


def test_the_file_answers_on_every_cell_of_a_pair_and_halves_it() -> None:
    pair = PairTable((0, 2), ([1.0, 2.0, 3.0], [10.0, 20.0]), np.arange(20.0).reshape(5, 4) ** 2)
    nothing = Curve.steps([], [0.0], 0.0)
    curves = (nothing, nothing, Curve.steps([15.0], [100.0, 200.0], 300.0))
    model = AdditiveCurves(("a", "b", "c"), curves, -7.0, (0.0,) * 3, (1.0,) * 3, pairs=(pair,))
    first, second = [0.5, 1.0, 2.0, 3.0, np.nan], [5.0, 10.0, 20.0, np.nan]
    X = np.array([[low, 5.0, high] for low in first for high in second])
    halves = [(4 * i + j) ** 2 / 2 for i in range(5) for j in range(4)]
    lone = [100.0, 100.0, 200.0, 300.0] * 5
    expected = [[half, 0.0, half + more] for half, more in zip(halves, lone, strict=True)]
    margins = [2 * half + more - 7 for half, more in zip(halves, lone, strict=True)]
    moved = model.recalibrated(0.5, 2.0)
    assert (model.contributions(X).tolist(), model.margin(X).tolist()) == (expected, margins)
    assert moved.margin(X).tolist() == [0.5 + 2 * margin for margin in margins]
    for written, slope in ((model, 1), (moved, 2)):
        answer = says(write_file("m", written, REFERENCE, {}), X)
        assert answer["contributions"].tolist() == (slope * np.array(expected)).tolist()
    assert model.edges == ((1.0, 2.0, 3.0), (), (10.0, 15.0, 20.0))
