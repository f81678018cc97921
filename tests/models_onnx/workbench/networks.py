"""Networks in ONNX as a library of networks exports them: recurrent over [N, T, F] with a mask, and of a table."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

HIDDEN = 8


def gru(
    steps: int, centre: NDArray[Any], spread: NDArray[Any], readout: NDArray[Any] | None = None, seed: int = 0
) -> bytes:
    """A GRU with fixed random weights on standardized values and mask; the risk, or its states where no readout is."""
    count, draw = len(centre), np.random.default_rng(seed)
    tensors = {
        "W": draw.normal(0, 0.5, (1, 3 * HIDDEN, 2 * count)),
        "R": draw.normal(0, 0.3, (1, 3 * HIDDEN, HIDDEN)),
        "centre": centre,
        "spread": spread,
    }
    chain: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
        ("Sub", ["series", "centre"], ["away"], {}),
        ("Div", ["away", "spread"], ["scaled"], {}),
        ("Mul", ["scaled", "mask"], ["seen"], {}),
        ("Concat", ["seen", "mask"], ["both"], {"axis": 2}),
        ("Transpose", ["both"], ["by_step"], {"perm": [1, 0, 2]}),
        ("GRU", ["by_step", "W", "R"], ["", "state"], {"hidden_size": HIDDEN}),
        ("Squeeze", ["state", "first"], ["states"], {}),
    ]
    if readout is not None:
        tensors |= {"readout": readout[:-1, None], "start": readout[-1:]}
        chain += [
            ("MatMul", ["states", "readout"], ["weighed"], {}),
            ("Add", ["weighed", "start"], ["odds"], {}),
            ("Sigmoid", ["odds"], ["risk"], {}),
        ]
    last = chain[-1][2][0]
    constants = [numpy_helper.from_array(np.asarray(value, dtype=np.float32), name) for name, value in tensors.items()]
    constants.append(numpy_helper.from_array(np.array([0], dtype=np.int64), "first"))
    series = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", steps, count]) for name in ("series", "mask")
    ]
    answer = helper.make_tensor_value_info(last, TensorProto.FLOAT, None)
    nodes = [helper.make_node(kind, inputs, outputs, **how) for kind, inputs, outputs, how in chain]
    graph = helper.make_graph(nodes, "gru", series, [answer], constants)
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )


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
