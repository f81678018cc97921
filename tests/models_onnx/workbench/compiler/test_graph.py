"""The writer of graphs: names under prefixes, constants once, another graph inside, sums, trees; run as they stand."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from models_onnx.workbench.compiler.graph import FLOAT, Graph, TreeWriter, write_column_sums
from tests.models_onnx.workbench.compiler.people import says


def _graph() -> tuple[Graph, str]:
    graph = Graph()
    return graph, graph.input("features", FLOAT, ["N", 2])


def _told(graph: Graph, *outputs: str, rows: Any) -> list[Any]:
    for name in outputs:
        graph.output(name, FLOAT, ["N", "M"])
    answers = says(graph.model("part", {}).SerializeToString(), np.array(rows))
    return [answers[name].tolist() for name in outputs]


def test_names_stand_under_their_prefixes_and_only_there() -> None:
    graph, features = _graph()
    with graph.under("a/"):
        with graph.under("b/"):
            inner = graph.node("Abs", [features], "size")
        outer = graph.node("Neg", [features], "minus")
        constant = graph.constant("two", 2.0, np.float32)
    after = graph.node("Abs", [features], "size")
    assert (inner, outer, constant, after) == ("a/b/size", "a/minus", "a/two", "size")
    assert [node.name for node in graph.model("m", {}).graph.node] == ["Abs:a/b/size", "Neg:a/minus", "Abs:size"]


def test_a_constant_is_written_once_and_never_with_two_values() -> None:
    graph, _ = _graph()
    assert graph.constant("two", 2.0, np.float32) == graph.constant("two", 2, np.float32) == "two"
    names = [constant.name for constant in graph.model("m", {}).graph.initializer]
    assert names == ["second_axis", "two"]
    for value, kind in ((3.0, np.float32), (2.0, np.float64)):
        with pytest.raises(ValueError, match=r"^two constants of the name 'two'$"):
            graph.constant("two", value, kind)


def test_the_file_is_of_fixed_versions_and_its_metadata_sorted() -> None:
    graph, features = _graph()
    graph.node("Abs", [features], "size")
    model = graph.model("m", {"b": "2", "a": "1"})
    assert [(prop.key, prop.value) for prop in model.metadata_props] == [("a", "1"), ("b", "2")]
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    assert (model.ir_version, model.producer_name, model.graph.name) == (8, "cds-hooks-onnx", "m")
    writer = TreeWriter()
    writer.add_leaf(0, 0, {0: 1.0})
    writer.write(graph, features, 1, "tree")
    assert [(opset.domain, opset.version) for opset in graph.model("m", {}).opset_import] == [
        ("", 18),
        ("ai.onnx.ml", 3),
    ]


def test_another_graph_is_written_under_its_prefix_with_its_inputs_wired() -> None:
    """What is inside: 3 * |x| of x, where the bound of the clip that is left out has no name."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])
    nodes = [
        helper.make_node("Abs", ["x"], ["size"]),
        helper.make_node("Mul", ["size", "three"], ["thrice"]),
        helper.make_node("Clip", ["thrice", "", "most"], ["y"]),
    ]
    constants = [
        numpy_helper.from_array(np.array(value, np.float32), name)
        for name, value in (("three", 3.0), ("most", 10.0), ("x", 99.0))
    ]
    inside = helper.make_model(
        helper.make_graph(nodes, "inside", [x], [helper.make_empty_tensor_value_info("y")], constants),
        opset_imports=[helper.make_opsetid("", 19)],
    )
    graph, features = _graph()
    with graph.under("own/"):
        first = graph.include(inside, {"x": features}, "a/")
    second = graph.include(inside, {"x": graph.node("Neg", [first], "minus")}, "b/")
    assert (first, second) == ("own/a/y", "b/y")
    assert _told(graph, first, second, rows=[[-1.0, 2.0], [5.0, 0.5]]) == [
        [[3.0, 6.0], [10.0, 1.5]],
        [[9.0, 10.0], [10.0, 4.5]],
    ]
    assert [node.name for node in graph.model("m", {}).graph.node][:3] == ["own/a/0", "own/a/1", "own/a/2"]
    assert graph.model("m", {}).opset_import[0].version == 19


def test_sums_of_rows_and_of_the_columns_of_an_input() -> None:
    graph, features = _graph()
    wide = graph.node("Cast", [features], "wide", to=TensorProto.DOUBLE)
    both = graph.node("Concat", [wide, wide], "both", axis=1)
    told = [graph.row_sums(both, 4, "all"), write_column_sums(graph, both, [2, 0, 2, 1], 3)]
    for name in told:
        graph.output(name, TensorProto.DOUBLE, ["N", "M"])
    answers = says(graph.model("m", {}).SerializeToString(), np.array([[1.0, 10.0]]))
    assert [answers[name].tolist() for name in told] == [[[22.0]], [[10.0, 10.0, 2.0]]]


@pytest.mark.parametrize(
    ("missing_left", "of_missing"), [(False, [[5.0, 100.0], [5.0, 100.0]]), (True, [[1.0, 100.0], [5.0, 100.0]])]
)
def test_trees_go_left_up_to_the_threshold_and_where_the_missing_go(
    missing_left: bool, of_missing: list[list[float]]
) -> None:
    """One tree asks about the first input; the other is one leaf, and a leaf without weights adds nothing."""
    graph, features = _graph()
    writer = TreeWriter()
    writer.add_split(0, 0, 0, 0.5, (1, 2), missing_left)
    writer.add_leaf(0, 1, {0: 1.0})
    writer.add_split(0, 2, 1, 7.0, (3, 4))
    writer.add_leaf(0, 3, {})
    writer.add_leaf(0, 4, {0: 5.0})
    writer.add_leaf(1, 0, {1: 100.0})
    name = writer.write(graph, features, 2, "sums")
    rows = [[0.5, 0.0], [0.6, 7.0], [0.6, 7.1], [np.nan, 9.0], [0.6, np.nan]]
    (told,) = _told(graph, name, rows=rows)
    assert told == [[1.0, 100.0], [0.0, 100.0], [5.0, 100.0], *of_missing]
