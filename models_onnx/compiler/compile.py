"""Writes the explaining graph around a fitted model's terms, then proves it against the library that fitted it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import checker

from models_onnx.compiler.fitted import FittedModel
from models_onnx.compiler.graph import BOOL, DOUBLE, FLOAT, SECOND_AXIS, Graph
from models_onnx.compiler.parity import Agreement, Oracle, verify
from models_onnx.compiler.reference import Reference


@dataclass(frozen=True, slots=True)
class Compiled:
    """The bytes of the file and how well it agreed with its oracle."""

    content: bytes
    agreement: Agreement


def compile_model(
    name: str,
    model: FittedModel,
    reference: Reference,
    metadata: dict[str, str],
    oracle: Oracle,
    rows: NDArray[np.float32],
) -> Compiled:
    """One self-explaining ONNX file; ParityRefused or AdditivityRefused where it does not say what `oracle` says.

    `oracle` gives probability and contributions of the fitted model for `rows`, which must hold missing and boundary
    values; `metadata` goes into metadata_props as it is.
    """
    content = write_file(name, model, reference, metadata)
    return Compiled(content, verify(content, model.base, oracle, rows))


def write_file(name: str, model: FittedModel, reference: Reference, metadata: dict[str, str]) -> bytes:
    """The file without the proof; the same arguments give the same bytes."""
    graph = Graph()
    count = len(model.features)
    features = graph.input("features", FLOAT, ["N", count])
    missing = graph.node("IsNaN", [features], "missing")
    _write_range(graph, model, features)
    contributions = model.write_contributions(graph, features, missing)
    margin = _write_margin(graph, model.base, contributions)
    for output, kind in (("contributions", DOUBLE), ("missing", BOOL), ("out_of_range", BOOL)):
        graph.output(output, kind, ["N", count])
    reference.write(graph, margin)
    proto = graph.model(name, {**metadata, "base": repr(model.base)})
    checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))


def _write_range(graph: Graph, model: FittedModel, features: str) -> None:
    # Compared in float32, both sides rounded alike: a value that is exactly the highest one trained on is inside.
    below = graph.node("Less", [features, graph.constant("low", model.low, np.float32)], "below")
    above = graph.node("Greater", [features, graph.constant("high", model.high, np.float32)], "above")
    graph.node("Or", [below, above], "out_of_range")


def _write_margin(graph: Graph, base: float, contributions: str) -> str:
    # The margin stays a column for the comparison with the quantiles: onnxruntime is slow the other way round.
    total = graph.node("ReduceSum", [contributions, SECOND_AXIS], "total", keepdims=1)
    column = graph.node("Add", [total, graph.constant("base", base, np.float64)], "margin_column")
    margin = graph.node("Squeeze", [column, SECOND_AXIS], "margin")
    graph.node("Sigmoid", [margin], "probability")
    graph.output("probability", DOUBLE, ["N"])
    graph.output("margin", DOUBLE, ["N"])
    return column
