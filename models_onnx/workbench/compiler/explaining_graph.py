"""Writes the explaining graph around a fitted model's terms, then verifies it.

It is verified against the library that fitted the model. Inputs may be explained in groups: the columns of a one-hot
code, a value and its square, a panel.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray
from onnx import checker

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.graph import BOOL, DOUBLE, FLOAT, SECOND_AXIS, Graph
from models_onnx.workbench.compiler.link import FittedModel
from models_onnx.workbench.compiler.parity import Agreement, Oracle, verify
from models_onnx.workbench.compiler.reference import Reference


@dataclass(frozen=True, slots=True)
class Groups:
    """Each input belongs to one group; a group's contribution is the sum of its inputs' (responsible-ai 7.3 a)."""

    names: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, features: Sequence[str], declared: Mapping[str, Sequence[str]]) -> Self:
        """Put declared groups where their first input stands, the others alone; refuse an unknown or twice used input.

        >>> Groups.of(["age", "unit_a", "unit_b"], {"unit": ["unit_a", "unit_b"]}).members
        ((0,), (1, 2))
        """
        used = [member for members in declared.values() for member in members]
        if unknown := sorted(set(used) - set(features)):
            raise CompileRefused(f"a group names {', '.join(unknown)}, which is not an input")
        if twice := sorted({member for member in used if used.count(member) > 1}):
            raise CompileRefused(f"{', '.join(twice)} is in two groups; its contribution can be shown once only")
        if clash := sorted((set(declared) & set(features)) - set(used)):
            raise CompileRefused(f"a group is called like the input {', '.join(clash)}, which is not in it")
        owner = {member: name for name, members in declared.items() for member in members}
        members_of: dict[str, list[int]] = {}
        for j, feature in enumerate(features):
            members_of.setdefault(owner.get(feature, feature), []).append(j)
        return cls(tuple(members_of), tuple(tuple(members) for members in members_of.values()))

    @property
    def trivial(self) -> bool:
        """Whether every input is a group of its own, in order."""
        return self.members == tuple((j,) for j in range(len(self.members)))

    def matrix(self) -> NDArray[np.float64]:
        """1 where an input [row] belongs to a group [column]."""
        matrix = np.zeros((sum(map(len, self.members)), len(self.members)))
        for column, members in enumerate(self.members):
            matrix[list(members), column] = 1.0
        return matrix

    def summed(self, contributions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Contributions of inputs [N, F] as those of groups [N, G]."""
        return contributions if self.trivial else contributions @ self.matrix()

    def write(self, graph: Graph, contributions: str) -> str:
        if self.trivial:
            return contributions
        return graph.node("MatMul", [contributions, graph.constant("groups", self.matrix(), np.float64)], "grouped")

    def metadata(self, features: Sequence[str]) -> str:
        """Names and members in the order of the columns of `contributions`, as JSON."""
        listed = [
            {"name": name, "members": [features[j] for j in members]}
            for name, members in zip(self.names, self.members, strict=True)
        ]
        return msgspec.json.encode(listed).decode()


def compile_fitted(
    name: str,
    model: FittedModel,
    reference: Reference,
    metadata: dict[str, str],
    oracle: Oracle,
    rows: NDArray[np.float32],
    groups: Groups | None = None,
) -> tuple[bytes, Agreement]:
    """Return one self-explaining ONNX file, and how well it agrees with the oracle.

    `oracle` gives probability and contributions of the fitted model for `rows`, which must include missing and boundary
    values; `metadata` goes into metadata_props unchanged. With `groups` the file's contributions are those of the
    groups, one column each; the oracle's are always those of the inputs.

    Raises:
        ParityRefused, AdditivityRefused: the file does not agree with `oracle`.
    """
    groups = groups or Groups.of(model.features, {})
    content = write_file(name, model, reference, metadata, groups)

    def grouped(X: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        probability, contributions = oracle(X)
        return probability, groups.summed(contributions)

    return content, verify(content, model.base, grouped, rows, model.link)


def write_file(
    name: str, model: FittedModel, reference: Reference, metadata: dict[str, str], groups: Groups | None = None
) -> bytes:
    """Return the file without the verification; the same arguments give the same bytes."""
    graph = Graph()
    count = len(model.features)
    groups = groups or Groups.of(model.features, {})
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
    proto = graph.model(name, {**metadata, **own_metadata(model, groups)})
    checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))


def own_metadata(model: FittedModel, groups: Groups) -> dict[str, str]:
    """Return the compiler's own metadata: base, link, and groups where inputs are not explained one by one."""
    grouped = {} if groups.trivial else {"groups": groups.metadata(model.features)}
    return {"base": repr(model.base), "link": model.link.name, **grouped}


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
