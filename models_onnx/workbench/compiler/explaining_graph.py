"""Writes the explaining graph around a fitted model's terms, then verifies it.

It is verified against the library that fitted the model.
"""

import json

import numpy as np
from numpy.typing import NDArray
from onnx import checker

from models_onnx.workbench.compiler.families.grouped import GroupedModel
from models_onnx.workbench.compiler.graph import BOOL, DOUBLE, FLOAT, SECOND_AXIS, Graph
from models_onnx.workbench.compiler.link import FittedModel
from models_onnx.workbench.compiler.parity import Agreement, Oracle, verify
from models_onnx.workbench.compiler.reference import Reference


def compile_fitted(
    name: str,
    model: FittedModel,
    reference: Reference,
    metadata: dict[str, str],
    oracle: Oracle,
    rows: NDArray[np.float32],
) -> tuple[bytes, Agreement]:
    """Return one self-explaining ONNX file, and how well it agrees with the oracle.

    `oracle` gives probability and contributions of the fitted model for `rows`, which must include missing and boundary
    values; `metadata` goes into metadata_props unchanged.

    Raises:
        CompileRefused: the file does not agree with `oracle`.
    """
    content = write_file(name, model, reference, metadata)
    return content, verify(content, model, oracle, rows)


def write_file(name: str, model: FittedModel, reference: Reference, metadata: dict[str, str]) -> bytes:
    """Return the file without the verification; the same arguments give the same bytes."""
    graph = Graph()
    count = len(model.features)
    columns = len(model.groups.names) if isinstance(model, GroupedModel) else count
    features = graph.input("features", FLOAT, ["N", count])
    missing = graph.node("IsNaN", [features], "missing")
    _write_range(graph, model, features)
    with graph.under("terms/"):
        written = model.write_contributions(graph, features, missing)
    contributions = graph.node("Identity", [written], "contributions")
    margin = _write_margin(graph, model, contributions, columns)
    graph.output("contributions", DOUBLE, ["N", columns])
    for output in ("missing", "out_of_range"):
        graph.output(output, BOOL, ["N", count])
    reference.write(graph, margin)
    proto = graph.model(name, {**metadata, **own_metadata(model)})
    checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))


def own_metadata(model: FittedModel) -> dict[str, str]:
    """Return the compiler's own metadata: base, link, and groups where inputs are not explained one by one."""
    groups = model.groups.listed(model.features) if isinstance(model, GroupedModel) else {}
    listed = [{"name": name, "members": members} for name, members in groups.items()]
    return {"base": repr(model.base), "link": model.link.name, **({"groups": json.dumps(listed)} if listed else {})}


def _write_range(graph: Graph, model: FittedModel, features: str) -> None:
    # Compared in float32 with both sides rounded: a value that equals the highest training value is in range.
    below = graph.node("Less", [features, graph.constant("low", model.low, np.float32)], "below")
    above = graph.node("Greater", [features, graph.constant("high", model.high, np.float32)], "above")
    graph.node("Or", [below, above], "out_of_range")


def _write_margin(graph: Graph, model: FittedModel, contributions: str, count: int) -> str:
    # The margin stays a column for the comparison with the quantiles: in onnxruntime the transposed form is slow.
    total = graph.row_sums(contributions, count, "total")
    column = graph.node("Add", [total, graph.constant("base", model.base, np.float64)], "margin_column")
    graph.node("Squeeze", [column, SECOND_AXIS], "margin")
    graph.output("margin", DOUBLE, ["N"])
    model.link.write(graph, column)
    return column
