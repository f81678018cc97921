"""The reader of ONNX bytes refuses what we do not run, and survives anything."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, NodeProto, TensorProto, helper

from models_onnx.artifact.folder import Artifact
from models_onnx.artifact.onnx_file import inspect_onnx, refuse_unsafe
from models_onnx.errors import UnsafeModel


def model_of(*nodes: NodeProto, initializers: list[TensorProto] | None = None, **extra: object) -> ModelProto:
    """A small model around these nodes."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph(list(nodes), "g", [value], [value], initializers or [])
    return helper.make_model(graph, **extra)


@pytest.mark.parametrize("domain", ["com.microsoft", "org.evil", "ai.onnx.training"])
def test_operators_of_another_domain_are_refused_and_named(domain: str) -> None:
    content = model_of(helper.make_node("Gelu", ["x"], ["y"], domain=domain)).SerializeToString()
    with pytest.raises(UnsafeModel, match=domain):
        refuse_unsafe(content)


def test_an_operator_hidden_in_a_subgraph_is_refused() -> None:
    hidden = helper.make_graph([helper.make_node("Sneak", [], ["y"], domain="org.evil")], "then", [], [])
    node = helper.make_node("If", ["x"], ["y"], then_branch=hidden, else_branch=hidden)
    with pytest.raises(UnsafeModel, match=r"org\.evil"):
        refuse_unsafe(model_of(node).SerializeToString())


def test_an_operator_hidden_in_a_local_function_is_refused() -> None:
    node = helper.make_node("Sneak", ["x"], ["y"], domain="org.evil")
    function = helper.make_function("ai.onnx", "F", ["x"], ["y"], [node], [helper.make_opsetid("", 18)])
    content = model_of(helper.make_node("F", ["x"], ["y"]), functions=[function]).SerializeToString()
    with pytest.raises(UnsafeModel, match=r"org\.evil"):
        refuse_unsafe(content)


def test_external_data_of_a_constant_node_is_refused() -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    content = model_of(helper.make_node("Constant", [], ["y"], value=tensor)).SerializeToString()
    with pytest.raises(UnsafeModel, match="external data"):
        refuse_unsafe(content)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_but_never_crash(content: bytes) -> None:
    with contextlib.suppress(UnsafeModel):
        inspect_onnx(content)


@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_but_never_crashes(trained: Artifact, data: st.DataObject) -> None:
    content = bytearray(trained.content)
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UnsafeModel):
        inspect_onnx(bytes(content[: data.draw(st.integers(0, len(content)))]))
