"""Writes the explaining graph around a fitted model's terms, then proves it against the library that fitted it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import checker

from models_onnx.compiler.fitted import FittedModel
from models_onnx.compiler.graph import BOOL, DOUBLE, FLOAT, SECOND_AXIS, Graph
from models_onnx.compiler.groups import Groups
from models_onnx.compiler.parity import Agreement, Oracle, verify
from models_onnx.compiler.reference import Reference


@dataclass(frozen=True, slots=True)
class Compiled:
    """The bytes of the file and how well it agreed with its oracle."""

    content: bytes
    agreement: Agreement


def compile_fitted(
    name: str,
    model: FittedModel,
    reference: Reference,
    metadata: dict[str, str],
    oracle: Oracle,
    rows: NDArray[np.float32],
    groups: Groups | None = None,
) -> Compiled:
    """One self-explaining ONNX file; ParityRefused or AdditivityRefused where it does not say what `oracle` says.

    `oracle` gives probability and contributions of the fitted model for `rows`, which must hold missing and boundary
    values; `metadata` goes into metadata_props as it is. With `groups` the file's contributions are theirs, one column
    each; the oracle's stay those of the inputs.
    """
    groups = groups or Groups.alone(model.features)
    content = write_file(name, model, reference, metadata, groups)

    def grouped(X: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        probability, contributions = oracle(X)
        return probability, groups.summed(contributions)

    return Compiled(content, verify(content, model.base, grouped, rows, model.link))


def write_file(
    name: str, model: FittedModel, reference: Reference, metadata: dict[str, str], groups: Groups | None = None
) -> bytes:
    """The file without the proof; the same arguments give the same bytes."""
    graph = Graph()
    count = len(model.features)
    groups = groups or Groups.alone(model.features)
    features = graph.input("features", FLOAT, ["N", count])
    missing = graph.node("IsNaN", [features], "missing")
    _write_range(graph, model, features)
    with graph.under("terms/"):
        written = groups.write(graph, model.write_contributions(graph, features, missing))
    contributions = graph.node("Identity", [written], "contributions")
    margin = _write_margin(graph, model, contributions, len(groups.names))
    graph.output("contributions", DOUBLE, ["N", len(groups.names)])
    for output in ("missing", "out_of_range"):
        graph.output(output, BOOL, ["N", count])
    reference.write(graph, margin)
    if reference.familiarity is not None:
        reference.familiarity.write(graph, features, missing)
    proto = graph.model(name, {**metadata, **own_metadata(model, groups)})
    checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))


def own_metadata(model: FittedModel, groups: Groups) -> dict[str, str]:
    """What the compiler itself knows: base, link, horizons, and groups where inputs are not explained one by one."""
    grouped = {} if groups.trivial else {"groups": groups.metadata(model.features)}
    return {"base": repr(model.base), "link": model.link.name, **model.link.metadata(), **grouped}


def _write_range(graph: Graph, model: FittedModel, features: str) -> None:
    # Compared in float32, both sides rounded alike: a value that is exactly the highest one trained on is inside.
    below = graph.node("Less", [features, graph.constant("low", model.low, np.float32)], "below")
    above = graph.node("Greater", [features, graph.constant("high", model.high, np.float32)], "above")
    graph.node("Or", [below, above], "out_of_range")


def _write_margin(graph: Graph, model: FittedModel, contributions: str, count: int) -> str:
    # The margin stays a column for the comparison with the quantiles: onnxruntime is slow the other way round.
    total = graph.row_sums(contributions, count, "total")
    column = graph.node("Add", [total, graph.constant("base", model.base, np.float64)], "margin_column")
    graph.node("Squeeze", [column, SECOND_AXIS], "margin")
    graph.output("margin", DOUBLE, ["N"])
    model.link.write(graph, column)
    return column
