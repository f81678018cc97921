"""Trees of XGBoost, LightGBM and CatBoost files that are short enough to be written by hand, node for node."""

import json
import struct
from typing import Any

import numpy as np
import pytest

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler import compile_fitted
from models_onnx.workbench.compiler.families.averaged import Averaged, Calibration, Member, isotonic
from models_onnx.workbench.compiler.families.path_trees import PathTrees, apart_from_shapley, is_approximate
from models_onnx.workbench.compiler.families.piecewise import BrokenLine, PiecewiseLinear
from models_onnx.workbench.compiler.families.trees import Ensemble, Tree
from models_onnx.workbench.compiler.link import LOGIT
from models_onnx.workbench.compiler.readers.catboost_file import catboost_document, parse_catboost
from models_onnx.workbench.compiler.readers.lightgbm_file import parse_lightgbm
from models_onnx.workbench.compiler.readers.xgboost_file import decode, is_json, parse_xgboost
from tests.models_onnx.workbench.compiler.test_compile import REFERENCE

NAN = float("nan")


def _nodes(tree: Tree) -> list[tuple[Any, ...]]:
    """Each node: its input, threshold, children, where a missing value goes, whether zero is missing, its value."""
    columns = (tree.feature, tree.threshold, tree.left, tree.right, tree.nan_left, tree.zero_missing, tree.value)
    return [
        tuple(round(value, 6) if isinstance(value, float) else value for value in row)
        for row in zip(*(column.tolist() for column in columns), strict=True)
    ]


def _ends(ensemble: Ensemble, *rows: tuple[float, ...]) -> list[float]:
    return [round(float(value), 6) for value in ensemble.margin(np.array(rows))]


# XGBoost


def _xgboost(**changes: Any) -> dict[str, Any]:
    tree = {
        "tree_param": {"size_leaf_vector": "1"}, "left_children": [1, -1, 3, -1, -1],
        "right_children": [2, -1, 4, -1, -1],
        "split_indices": [0, 0, 1, 0, 0], "split_conditions": [65.0, 0.5, 2.0, -0.25, 1.0],
        "default_left": [1, 0, 0, 0, 0], "split_type": [0, 0, 0, 0, 0],
    }  # fmt: skip
    learner = {
        "learner_model_param": {"base_score": "[2.5E-1]", "num_class": "0", "num_feature": "2", "num_target": "1"},
        "feature_names": ["age", "bun"], "objective": {"name": "binary:logistic"}, "attributes": {},
        "gradient_booster": {"name": "gbtree", "model": {"trees": [tree], "iteration_indptr": [0, 1]}},
    }  # fmt: skip
    for path, value in changes.items():
        *way, last = path.split("__")
        holder: Any = {"learner": learner, "tree": tree}
        for step in way:
            holder = holder[step]
        holder[last] = value
    return {"learner": learner}


def _read(document: Any) -> Ensemble:
    return parse_xgboost("m.json", json.dumps(document).encode())


def test_an_xgboost_tree_goes_left_below_its_condition() -> None:
    ensemble = _read(_xgboost())
    assert (ensemble.features, round(ensemble.start, 6), ensemble.link) == (("age", "bun"), -1.098612, LOGIT)
    assert _nodes(ensemble.trees[0]) == [
        (0, 64.999992, 1, 2, True, False, 0.0),
        (-1, 0.5, 0, 0, False, False, 0.5),
        (1, 2.0, 3, 4, False, False, 0.0),
        (-1, -0.25, 0, 0, False, False, -0.25),
        (-1, 1.0, 0, 0, False, False, 1.0),
    ]
    below, at = float(np.nextafter(np.float32(65), np.float32(0))), 65.0
    assert _ends(ensemble, (below, 9), (at, 1.5), (at, 2), (NAN, 9), (70, NAN)) == [
        -0.598612,
        -1.348612,
        -0.098612,
        -0.598612,
        -0.098612,
    ]


def test_an_xgboost_file_without_names_or_kinds_of_splits_has_its_own() -> None:
    document = _xgboost(learner__feature_names=[], learner__learner_model_param__base_score="5E-1")
    del document["learner"]["gradient_booster"]["model"]["trees"][0]["split_type"]
    ensemble = _read(document)
    assert (ensemble.features, ensemble.start) == (("f0", "f1"), 0.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"learner__gradient_booster__name": "gblinear"},
            "boosted with gblinear, which is not compiled; write it as a",
        ),
        (
            {"learner__gradient_booster__name": "dart"},
            "boosted with dart, which is not compiled; train with booster=gbt",
        ),
        ({"learner__objective__name": "reg:squarederror"}, "the objective 'reg:squarederror'; compiled are binary:log"),
        ({"learner__learner_model_param__num_class": "2"}, "several outputs"),
        ({"learner__learner_model_param__num_target": "2"}, "several outputs"),
        ({"learner__learner_model_param__base_score": "[0.5, 0.5]"}, "is not one probability"),
        ({"learner__learner_model_param__base_score": "0"}, "is not one probability"),
        ({"learner__learner_model_param__base_score": "1"}, "is not one probability"),
        ({"tree__tree_param__size_leaf_vector": "2"}, "multi_output_tree"),
        ({"tree__split_type": [0, 0, 1, 0, 0]}, "categorical splits on bun,"),
        ({"tree__split_type": [1, 0, 1, 0, 0]}, "categorical splits on age, bun,"),
        ({"tree__left_children": None}, "is not an XGBoost model in JSON"),
        (
            {
                "learner__attributes__best_iteration": "0",
                "learner__gradient_booster__model__iteration_indptr": [0, 1, 1],
            },
            "has 2 rounds, and round 1 was its best",
        ),
    ],
)
def test_an_xgboost_file_that_is_not_compiled_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(CompileRefused) as refused:
        _read(_xgboost(**changes))
    assert words in str(refused.value)


def test_what_is_no_reason_to_refuse_an_xgboost_file() -> None:
    fine: list[dict[str, Any]] = [
        {"learner__attributes__best_iteration": "0"},
        {"learner__learner_model_param__num_class": "1"},
        {"tree__split_type": [0, 1, 0, 1, 1]},
        {"learner__gradient_booster__model__iteration_indptr": None},
        {"learner__objective__name": "reg:logistic"},
    ]
    for changes in fine:
        assert len(_read(_xgboost(**changes)).trees) == 1, changes


def _ubj(value: Any) -> bytes:
    """The value in Universal Binary JSON, containers without a count."""
    if isinstance(value, bool):
        return b"T" if value else b"F"
    if value is None:
        return b"Z"
    if isinstance(value, int):
        return b"l" + struct.pack(">i", value)
    if isinstance(value, float):
        return b"D" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"S" + _key(value)
    if isinstance(value, list):
        return b"[" + b"".join(map(_ubj, value)) + b"]"
    return b"{" + b"".join(_key(key) + _ubj(member) for key, member in value.items()) + b"}"


def _key(text: str) -> bytes:
    return b"U" + bytes([len(text)]) + text.encode()


def test_binary_json_is_read() -> None:
    value = {"a": [1, -2, 0.5, True, False, None, "text"], "b": {}, "c": []}
    assert decode(_ubj(value)) == value
    assert _nodes(parse_xgboost("m.ubj", _ubj(_xgboost())).trees[0]) == _nodes(_read(_xgboost()).trees[0])
    assert decode(b"[$d#i\x02" + struct.pack(">2f", 0.5, -1.5)) == [0.5, -1.5]
    assert decode(b"[$U#U\x03\x01\xff\x00") == [1, 255, 0]
    assert decode(b"[$I#U\x01\xff\xfe") == [-2]
    assert decode(b"[#i\x02i\xffT") == [-1, True]
    assert decode(b"[$S#i\x01U\x02no") == ["no"]
    assert decode(b"L" + struct.pack(">q", -(1 << 40))) == -(1 << 40)
    assert decode(b"[" * 64 + b"Z" + b"]" * 64) is not None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it ends in the middle of a value"),
        (b"[", "it ends in the middle of a value"),
        (b"l\x00\x00", "it ends in the middle of a value"),
        (b"SU\x05abc", "it ends in the middle of a value"),
        (b"Si\xff", "it ends in the middle of a value"),
        (b"TT", "1 bytes are left over"),
        (b"x", "unknown type 'x' at byte 0"),
        (b"[x", "unknown type 'x' at byte 1"),
        (b"Sd", "a length of type 'd' at byte 1"),
        (b"[$U]", "a typed container without a count"),
        (b"[" * 66, "nested deeper than 64"),
    ],
)
def test_torn_binary_json_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decode(content)


def test_text_is_told_from_binary_json() -> None:
    assert [is_json(content) for content in (b'{"a"', b"{}", b' {\n "a"', b"{U\x01a", b"{L", b"")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


# LightGBM

_TREE = """num_leaves=3
num_cat=0
split_feature=0 1
threshold=65.5 -0.25
decision_type=10 {decision}
left_child=-1 -2
right_child=1 -3
leaf_value=0.5 -0.25 1
is_linear={linear}
"""


def _lightgbm(
    decision: int = 2,
    linear: int = 0,
    objective: str = "binary sigmoid:2",
    head: str = "",
    tree: str = _TREE,
    after: str = "\n",
) -> str:
    header = f"tree\nnum_class=1\nnum_tree_per_iteration=1\n{head}objective={objective}\nfeature_names=age bun\n"
    return f"{header}\nTree=0\n{tree.format(decision=decision, linear=linear)}\nend of trees{after}"


def test_a_lightgbm_tree_goes_left_up_to_its_threshold() -> None:
    ensemble = parse_lightgbm("m.txt", _lightgbm())
    assert (ensemble.features, ensemble.start, ensemble.link) == (("age", "bun"), 0.0, LOGIT)
    assert _nodes(ensemble.trees[0]) == [
        (0, 65.5, 2, 1, True, False, 0.0),
        (1, -0.25, 3, 4, False, False, 0.0),
        (-1, 0.0, 0, 0, False, False, 1.0),
        (-1, 0.0, 0, 0, False, False, -0.5),
        (-1, 0.0, 0, 0, False, False, 2.0),
    ]
    assert _ends(ensemble, (65.5, 0), (66, -0.25), (66, -0.2), (NAN, 0), (66, NAN)) == [1.0, -0.5, 2.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("decision", "nan_left", "zero_missing"),
    [(0, False, False), (2, False, False), (4, False, True), (6, True, True), (8, False, False), (10, True, False)],
)
def test_where_a_missing_value_of_lightgbm_goes(decision: int, nan_left: bool, zero_missing: bool) -> None:
    tree = parse_lightgbm("m.txt", _lightgbm(decision)).trees[0]
    assert (bool(tree.nan_left[1]), bool(tree.zero_missing[1])) == (nan_left, zero_missing)


def test_nothing_missing_is_zero_and_what_is_near_zero_is_zero() -> None:
    def second(threshold: str) -> tuple[float, bool]:
        tree = parse_lightgbm("m.txt", _lightgbm(0, tree=_TREE.replace("-0.25\ndec", f"{threshold}\ndec"))).trees[0]
        return float(tree.threshold[1]), bool(tree.nan_left[1])

    zero = float(np.float32(1e-35))
    assert second("0") == (zero, True)
    assert second("9e-36") == (zero, True)
    assert second("-9e-36") == (float(np.nextafter(np.float32(-1e-35), np.float32(-1))), False)
    assert second("0.1") == (float(np.nextafter(np.float32(0.1), np.float32(0))), True)
    assert second("-2") == (-2.0, False)


def test_an_averaged_forest_of_lightgbm_and_a_tree_that_is_one_leaf() -> None:
    single = "num_leaves=1\nleaf_value=0.75\nsplit_feature=\nis_linear=0\n"
    text = _lightgbm(objective="binary", head="average_output\n", after="\n").replace(
        "\nend of", f"\n\nTree=1\n{single}\nend of"
    )
    ensemble = parse_lightgbm("m.txt", text)
    assert [_nodes(tree) for tree in ensemble.trees][1] == [(-1, 0.0, 0, 0, False, False, 0.375)]
    assert _ends(ensemble, (60, 0), (70, 0)) == [0.625, 0.875]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"objective": "regression"}, "the objective 'regression'; compiled are binary, cross_entropy, xentropy"),
        ({"decision": 3}, "categorical splits on bun,"),
        ({"linear": 1}, "linear trees"),
        ({"after": ""}, "it ends before 'end of trees'"),
        ({"after": "\n[boosting: dart]"}, "boosted with dart"),
        ({"tree": _TREE.replace("leaf_value=0.5 -0.25 1", "leaf_value=0.5 1")}, "a tree says 3 leaves and has 2"),
        ({"tree": _TREE.replace("threshold", "limits")}, "not a whole LightGBM model file"),
    ],
)
def test_a_lightgbm_file_that_is_not_compiled_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(CompileRefused) as refused:
        parse_lightgbm("m.txt", _lightgbm(**changes))
    assert words in str(refused.value)


@pytest.mark.parametrize("member", ["num_class", "num_tree_per_iteration"])
def test_a_lightgbm_file_of_several_classes_or_without_trees_is_refused(member: str) -> None:
    with pytest.raises(CompileRefused, match="models of two classes are compiled"):
        parse_lightgbm("m.txt", _lightgbm().replace(f"{member}=1", f"{member}=3"))
    with pytest.raises(CompileRefused, match="it has no tree"):
        parse_lightgbm("m.txt", _lightgbm().replace("\nTree=0", "\nStump=0"))


# CatBoost


def _catboost(**changes: Any) -> dict[str, Any]:
    split = [{"float_feature_index": 0, "border": 65.0}, {"float_feature_index": 1, "border": 2.0}]
    facts = [
        {"flat_feature_index": 1, "feature_id": "bun", "nan_value_treatment": "AsTrue"},
        {"flat_feature_index": 0, "feature_id": "age", "nan_value_treatment": "AsFalse"},
    ]
    return {
        "features_info": {"float_features": facts},
        "model_info": {"params": {"loss_function": {"type": "Logloss"}}},
        "scale_and_bias": [2.0, [0.25]],
        "oblivious_trees": [{"splits": split, "leaf_values": [1.0, 2.0, 3.0, 4.0]}],
        **changes,
    }


def test_a_catboost_tree_goes_right_above_its_border() -> None:
    ensemble = parse_catboost("m.json", _catboost())
    assert (ensemble.features, ensemble.start, ensemble.link) == (("age", "bun"), 0.25, LOGIT)
    assert _nodes(ensemble.trees[0]) == [
        (1, 2.0, 1, 2, False, False, 0.0),
        (0, 65.0, 3, 4, True, False, 0.0),
        (0, 65.0, 5, 6, True, False, 0.0),
        (-1, 0.0, 0, 0, False, False, 2.0),
        (-1, 0.0, 0, 0, False, False, 4.0),
        (-1, 0.0, 0, 0, False, False, 6.0),
        (-1, 0.0, 0, 0, False, False, 8.0),
    ]
    assert _ends(ensemble, (65, 2), (66, 2), (65, 3), (66, 3), (NAN, 2), (66, NAN)) == [
        2.25,
        4.25,
        6.25,
        8.25,
        2.25,
        8.25,
    ]


def test_a_question_of_catboost_that_is_settled_is_left_out() -> None:
    def split(border: float, left: Any, right: Any) -> dict[str, Any]:
        return {"split": {"float_feature_index": 0, "border": border}, "left": left, "right": right}

    leaf = [{"value": float(number)} for number in range(6)]
    root = split(5, split(5, leaf[0], leaf[1]), split(3, leaf[2], split(5, leaf[3], split(7, leaf[4], leaf[5]))))
    document = _catboost(trees=[root], oblivious_trees=[])
    assert _nodes(parse_catboost("m.json", document).trees[0]) == [
        (0, 5.0, 1, 2, True, False, 0.0),
        (-1, 0.0, 0, 0, False, False, 0.0),
        (0, 7.0, 3, 4, True, False, 0.0),
        (-1, 0.0, 0, 0, False, False, 8.0),
        (-1, 0.0, 0, 0, False, False, 10.0),
    ]


def test_catboost_inputs_without_names_and_documents_that_are_something_else() -> None:
    facts = [
        {"flat_feature_index": 0, "feature_id": "", "nan_value_treatment": "AsIs"},
        {"flat_feature_index": 1, "feature_id": "b", "nan_value_treatment": "AsIs"},
    ]
    assert parse_catboost("m", _catboost(features_info={"float_features": facts})).features == ("f0", "f1")
    whole = json.dumps(_catboost()).encode()
    assert catboost_document(whole) == _catboost()
    assert catboost_document(whole[:-1]) is None
    assert catboost_document(b"{}") is None
    assert catboost_document(b'["features_info", "scale_and_bias"]') is None
    assert catboost_document(b'{"features_info": 1}') is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"model_info": {"params": {"loss_function": {"type": "RMSE"}}}},
            "has the loss 'RMSE'; compiled are Logloss, Cross",
        ),
        (
            {"features_info": {"float_features": [], "ctrs": [1], "categorical_features": [1]}},
            "has categorical_features, ctrs,",
        ),
        ({"oblivious_trees": [{"splits": [], "leaf_values": [1.0, 2.0]}]}, "a tree has several values in a leaf"),
        ({"scale_and_bias": [1.0, [0.0, 1.0]]}, "not a whole CatBoost model"),
    ],
)
def test_a_catboost_file_that_is_not_compiled_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(CompileRefused) as refused:
        parse_catboost("m.json", _catboost(**changes))
    assert words in str(refused.value)


# Paths through trees

COHORT = np.array([[60.0, 1.0], [70.0, 1.0], [70.0, 3.0], [80.0, 5.0]])


def _trees() -> Ensemble:
    return parse_lightgbm("m.txt", _lightgbm(10, tree=_TREE.replace("-0.25\ndec", "2\ndec")))


def test_the_shares_along_a_path_are_the_changes_of_the_mean_below() -> None:
    model = PathTrees.of(_trees(), COHORT)
    rows = np.array([[60.0, 1.0], [70.0, 1.0], [70.0, 3.0], [NAN, NAN], [70.0, NAN]])
    assert [means.tolist() for means in model.means] == [[1.125, 1.1666666666666667, 1.0, -0.5, 2.0]]
    assert (model.base, model.low, model.high, model.features) == (1.125, (60.0, 1.0), (80.0, 5.0), ("age", "bun"))
    assert model.contributions(rows).round(6).tolist() == [
        [-0.125, 0.0],
        [0.041667, -1.666667],
        [0.041667, 0.833333],
        [-0.125, 0.0],
        [0.041667, -1.666667],
    ]
    assert (model.base + model.contributions(rows).sum(axis=1)).round(6).tolist() == model.margin(rows).round(
        6
    ).tolist()
    twice = model.recalibrated(0.5, 2.0)
    assert (twice.base, twice.contributions(rows)[0].tolist()) == (2.75, [-0.25, 0.0])
    far = PathTrees.of(_trees(), np.array([[60.0, 1.0]]))
    assert [means.tolist() for means in far.means] == [[1.0, 0.75, 1.0, -0.5, 2.0]]


def test_a_file_of_paths_says_the_same() -> None:
    model = PathTrees.of(_trees(), COHORT)
    draw = np.random.default_rng(5)
    rows = np.column_stack([draw.uniform(50, 90, 1000), draw.uniform(0, 6, 1000)]).astype(np.float32)
    rows[::7, 0], rows[::5, 1] = np.nan, np.nan

    def oracle(X: Any) -> tuple[Any, Any]:
        contributions = model.contributions(np.asarray(X, dtype=np.float64))
        return LOGIT.probability(model.base + contributions.sum(axis=1)), contributions

    compiled = compile_fitted("paths", model, REFERENCE, {}, oracle, rows)
    assert compiled.agreement.probability < 1e-6
    zero = PathTrees.of(parse_lightgbm("m.txt", _lightgbm(4)), COHORT)
    with pytest.raises(CompileRefused, match="zero_as_missing"):
        compile_fitted("zero", zero, REFERENCE, {}, oracle, rows)


def test_models_with_shares_of_paths_are_approximate_wherever_these_stand() -> None:
    paths = PathTrees.of(_trees(), COHORT)
    line = PiecewiseLinear((BrokenLine("age", (40.0,), (0.05,), 1.0, 80.0, float("inf")),), -1.0)
    steps = Calibration(((0.0, 1.0),))
    assert is_approximate(paths)
    assert not is_approximate(line)
    assert is_approximate(Averaged((Member(line, steps), Member(paths, steps))))
    assert not is_approximate(Averaged((Member(line, steps),)))
    apart = apart_from_shapley(paths, COHORT)
    assert (apart.people, apart.strongest, round(apart.difference, 6)) == (4, 0.75, 0.290104)


# Means of calibrated members


def _member(weight: float, base: float, *steps: Any) -> Member:
    lines = (
        BrokenLine("a", (0.0,), (weight,), 0.4, 10.0, float("inf")),
        BrokenLine("b", (40.0,), (0.05,), 1.0, 80.0, float("inf")),
    )
    return Member(PiecewiseLinear(lines, base), Calibration(steps))


def test_the_mean_of_calibrated_members_and_their_shares() -> None:
    curve = isotonic([-2.0, 0.0, 1.0], [0.1, 0.4, 0.9])
    assert curve.values(np.array([-3.0, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0])).round(6).tolist() == [
        0.1,
        0.1,
        0.25,
        0.4,
        0.65,
        0.9,
        0.9,
    ]
    assert isotonic([3.0], [0.25]).values(np.array([0.0, 5.0])).tolist() == [0.25, 0.25]
    members = (_member(0.7, -2.0, curve), _member(0.2, -1.0, (0.5, 1.5)))
    model = Averaged(members, weights=(1.0, 3.0))
    rows = np.array([[2.0, 60.0], [0.0, 40.0], [4 / 7, 60.0], [9.0, 80.0]])
    assert (round(model.base, 6), model.features, model.low, model.high, model.edges) == (
        0.226706,
        ("a", "b"),
        (0.0, 40.0),
        (float("inf"), float("inf")),
        ((0.0, 10.0), (40.0, 80.0)),
    )
    assert model.contributions(rows).round(6).tolist() == [
        [0.0375, 0.0],
        [-0.048393, -0.120983],
        [-0.056715, 0.0],
        [0.460605, 0.235836],
    ]
    assert model.margin(rows).round(6).tolist() == [0.264206, 0.05733, 0.169991, 0.923146]
    again = model.recalibrated(0.1, 0.5)
    assert (again.margin(rows) - (0.1 + 0.5 * model.margin(rows))).round(9).tolist() == [0.0] * 4
    assert (again.base + again.contributions(rows).sum(axis=1)).round(9).tolist() == again.margin(rows).round(
        9
    ).tolist()
    at_reference = _member(0.7, -1.0, (0.5, 1.5)).share(np.array([[4 / 7, 60.0], [4 / 7, 60.5]]))
    assert at_reference.round(5).tolist() == [[-0.0, 0.0], [-0.0, 0.00744]]


@pytest.mark.parametrize("weights", [(), (1.0, 3.0)])
def test_a_file_of_averaged_members_says_the_same(weights: tuple[float, ...]) -> None:
    curve = isotonic([-2.0, 0.0, 1.0], [0.1, 0.4, 0.9])
    model = Averaged((_member(0.7, -2.0, curve), _member(0.2, -1.0, (0.5, 1.5))), 0.9, 0.05, weights)
    draw = np.random.default_rng(5)
    some = draw.random((1000, 2)) < 0.1
    rows = np.column_stack([draw.uniform(-2, 12, 1000), draw.uniform(30, 95, 1000)]).astype(np.float32)

    def oracle(X: Any) -> tuple[Any, Any]:
        X = np.asarray(X, dtype=np.float64)
        return model.margin(X), model.contributions(X)

    rows[some] = np.nan
    compiled = compile_fitted("mean", model, REFERENCE, {}, oracle, rows)
    assert compiled.agreement.probability < 1e-9
