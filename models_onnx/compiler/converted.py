"""What has no exact explanation: skl2onnx's conversion, marked as unexplained, so that no card shows it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import checker, helper, numpy_helper

from models_onnx.compiler.families.trees import limits
from models_onnx.compiler.graph import BOOL, FLOAT, IR_VERSION, ML_OPSET, OPSET, PRODUCER
from models_onnx.compiler.parity import TOLERANCE
from models_onnx.errors import CompileRefused, ParityRefused

Array = NDArray[np.float64]


def convert(model: Any, count: int, X: Array, probability: Callable[[Array], Array], metadata: dict[str, str]) -> bytes:
    """`probability`, `missing` and `out_of_range` of float32 `features`; metadata says `explained`: false.

    CompileRefused where skl2onnx cannot convert it, ParityRefused where its file differs by more than 1e-5 on the rows.
    """
    proto = _probability_only(_converted(model, count))
    _add_masks(proto.graph, X)
    proto.ir_version = IR_VERSION
    proto.producer_name, proto.producer_version, proto.domain, proto.doc_string = PRODUCER, "", "", ""
    helper.set_model_props(proto, dict(sorted({**metadata, "explained": "false"}.items())))
    checker.check_model(proto, full_check=True)
    content = bytes(proto.SerializeToString(deterministic=True))
    _prove(content, X, probability)
    return content


def _converted(model: Any, count: int) -> Any:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    try:
        return convert_sklearn(
            model,
            initial_types=[("features", FloatTensorType([None, count]))],
            options={id(model): {"zipmap": False}},
            target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
        )
    except Exception as problem:  # skl2onnx raises what its converters raise
        raise CompileRefused(f"skl2onnx cannot convert {type(model).__name__}: {problem}") from problem


def _probability_only(proto: Any) -> Any:
    """The second class's column as `probability` [N], nothing else."""
    graph = proto.graph
    told = [output.name for output in graph.output if "prob" in output.name]
    if len(told) != 1:
        raise CompileRefused("the converted model gives no probability")
    graph.initializer.append(numpy_helper.from_array(np.array(1, dtype=np.int64), "second_class"))
    graph.node.append(helper.make_node("Gather", [told[0], "second_class"], ["probability"], "probability", axis=1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("probability", FLOAT, ["N"]))
    return proto


def _add_masks(graph: Any, X: Array) -> None:
    low, high = (np.array(ends, dtype=np.float32) for ends in limits(X))
    graph.initializer.extend([numpy_helper.from_array(low, "low"), numpy_helper.from_array(high, "high")])
    for operator, inputs, output in (
        ("IsNaN", ["features"], "missing"),
        ("Less", ["features", "low"], "below"),
        ("Greater", ["features", "high"], "above"),
        ("Or", ["below", "above"], "out_of_range"),
    ):
        graph.node.append(helper.make_node(operator, inputs, [output], f"mask_{output}"))
    for output in ("missing", "out_of_range"):
        graph.output.append(helper.make_tensor_value_info(output, BOOL, ["N", X.shape[1]]))


def _prove(content: bytes, X: Array, probability: Callable[[Array], Array]) -> None:
    rows = X.astype(np.float32)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    told = np.asarray(session.run(["probability"], {"features": rows})[0], dtype=np.float64)
    difference = float(np.abs(told - probability(rows.astype(np.float64))).max())
    if not difference <= TOLERANCE:
        raise ParityRefused(f"skl2onnx's file differs from the library by up to {difference:.2e} (limit {TOLERANCE:g})")
