"""The first load of an unknown file happens in a process of its own, within limits."""

from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from models_onnx.errors import UnsafeModel
from models_onnx.workbench.release.probing import probe
from tests.models_onnx.workshop import core


def model_of(*nodes: NodeProto, kind: int = TensorProto.FLOAT) -> bytes:
    """A model with input x and output y around these nodes."""
    x = helper.make_tensor_value_info("x", kind, ["N", 2])
    y = helper.make_tensor_value_info("y", kind, None)
    graph = helper.make_graph(list(nodes), "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def test_a_good_file_tells_its_signature() -> None:
    signature = probe(core())
    assert signature.inputs[0][:2] == ("features", "tensor(float)")
    assert {"probability", "contributions"} <= {name for name, _, _ in signature.outputs}


def test_a_file_the_runtime_refuses_is_refused_with_its_reason() -> None:
    with pytest.raises(UnsafeModel, match="process of its own"):
        probe(model_of(helper.make_node("NoSuchOperator", ["x"], ["y"])))


def test_a_file_that_eats_memory_is_stopped() -> None:
    size = numpy_helper.from_array(np.array([60_000, 60_000]), "size")
    nodes = [
        helper.make_node("Constant", [], ["size"], value=size),
        helper.make_node("ReduceMax", ["x"], ["peak"], keepdims=0),
        helper.make_node("Expand", ["peak", "size"], ["y"]),
    ]
    with pytest.raises(UnsafeModel, match="process of its own"):
        probe(model_of(*nodes), memory=1024**3)


def test_a_file_that_never_ends_is_stopped() -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go_on"], ["still"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("still", TensorProto.BOOL, [])],
    )
    yes = numpy_helper.from_array(np.array(True), "yes")
    nodes = [
        helper.make_node("Constant", [], ["yes"], value=yes),
        helper.make_node("Loop", ["", "yes"], [], body=body),
        helper.make_node("Identity", ["x"], ["y"]),
    ]
    with pytest.raises(UnsafeModel, match=r"within 2 s|process of its own"):
        probe(model_of(*nodes), seconds=2)


def test_an_input_that_is_no_table_of_numbers_is_refused() -> None:
    with pytest.raises(UnsafeModel, match="not taken in"):
        probe(model_of(helper.make_node("Identity", ["x"], ["y"]), kind=TensorProto.STRING))


def test_a_file_in_the_folder_of_the_caller_is_not_found_by_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights.bin").write_bytes(b"\0" * 4)
    monkeypatch.chdir(tmp_path)
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="weights.bin")
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [value], [made], [weight])
    with pytest.raises(UnsafeModel, match="could not be loaded"):
        probe(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString())
