"""Percentile and observed rates of the file, at, below and above each limit."""

import numpy as np
import pytest

from models_onnx.workbench.compiler.graph import DOUBLE, Graph
from models_onnx.workbench.compiler.reference import Reference
from tests.models_onnx.workbench.compiler.test_compile import REFERENCE

onnxruntime = pytest.importorskip("onnxruntime")


def compared(reference: Reference, margins: list[float]) -> dict[str, list[float]]:
    """What the reference's part of a graph says about these margins."""
    graph = Graph()
    reference.write(graph, graph.input("margin", DOUBLE, ["N", 1]))
    content = graph.model("part", {}).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    told = session.run(names, {"margin": np.array(margins)[:, None]})
    return {name: values.tolist() for name, values in zip(names, told, strict=True)}


def test_a_margin_counts_the_quantiles_it_reaches() -> None:
    below = float(np.nextafter(-1.0, -2.0))
    told = compared(REFERENCE, [-99.0, -3.0, below, -1.0, 0.0, 1.0, 99.0])
    assert told["percentile"] == [0.0, 25.0, 25.0, 50.0, 50.0, 75.0, 75.0]
    assert told["observed_rate"] == [0.04, 0.04, 0.04, 0.6, 0.6, 0.6, 0.6]
    assert told["observed_count"] == [50.0] * 7


def test_the_first_bin_begins_below_everything() -> None:
    assert REFERENCE.margin_low(REFERENCE.bins[0]) == -np.inf
    assert REFERENCE.margin_low(REFERENCE.bins[1]) == -1.0
