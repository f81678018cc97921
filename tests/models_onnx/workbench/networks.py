"""A network in ONNX as a library of networks exports it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


def mlp(weights: Sequence[NDArray[Any]], biases: Sequence[NDArray[Any]], sigmoid: bool = True) -> bytes:
    """A multilayer perceptron [N, F] as PyTorch exports it: Gemm and Relu by turns; the risk, or its log odds."""
    nodes, tensors, last = [], [], "x"
    for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        for name, value in (("weight", weight.T), ("bias", bias)):
            tensors.append(numpy_helper.from_array(np.asarray(value, dtype=np.float32), f"{number}.{name}"))
        nodes.append(helper.make_node("Gemm", [last, f"{number}.weight", f"{number}.bias"], [f"h{number}"], transB=1))
        last = f"h{number}"
        if number < len(weights) - 1:
            nodes.append(helper.make_node("Relu", [last], [f"r{number}"]))
            last = f"r{number}"
    if sigmoid:
        nodes += [helper.make_node("Sigmoid", [last], ["p"]), helper.make_node("Squeeze", ["p", "axis"], ["risk"])]
        tensors.append(numpy_helper.from_array(np.array([1], dtype=np.int64), "axis"))
        last = "risk"
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", weights[0].shape[0]])]
    graph = helper.make_graph(
        nodes, "main_graph", inputs, [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)], tensors
    )
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )
