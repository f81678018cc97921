"""The writer of graphs: names under prefixes, constants once, another graph inside, sums, trees; run as they stand."""

import numpy as np
import pytest

from models_onnx.workbench.compiler.graph import FLOAT, Graph


def _graph() -> tuple[Graph, str]:
    graph = Graph()
    return graph, graph.input("features", FLOAT, ["N", 2])


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
