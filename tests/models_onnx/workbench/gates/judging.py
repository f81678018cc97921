"""Runs one gate on one subject, and what is changed of a subject to make it fail."""

from typing import Any

from models_onnx.workbench.gates.gate import GateResult
from models_onnx.workbench.gates.run import run_gates
from models_onnx.workbench.gates.subject import Evidence, Subject
from tests.models_onnx.workshop import evidence

Document = dict[str, Any]


def judge(subject: Subject, gate: str, brought: Evidence | None = None) -> GateResult:
    """What this gate says."""
    report = run_gates(subject, brought or evidence(), only=frozenset({gate}))
    return next(result for result in report.results if result.gate == gate)


def groups(document: Document, axis: str) -> list[Document]:
    """The stored figures of one axis."""
    return [group for group in document["evaluation"]["subgroups"] if group["axis"] == axis]


def no_waivers(card: Document) -> None:
    """Takes the waivers away."""
    card["product"]["waivers"] = []
