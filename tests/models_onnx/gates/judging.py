"""Runs one gate on one subject."""

from models_onnx.gates.gate import GateResult, run_gates
from models_onnx.gates.subject import Evidence, Subject
from tests.models_onnx.workshop import evidence


def judge(subject: Subject, gate: str, brought: Evidence | None = None) -> GateResult:
    """What this gate says."""
    report = run_gates(subject, brought or evidence(), only=frozenset({gate}))
    return next(result for result in report.results if result.gate == gate)
