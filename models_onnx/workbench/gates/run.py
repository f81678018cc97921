"""Runs all gates on one candidate, with the waivers of its card, and reports."""

import hashlib
from collections.abc import Callable

import msgspec
from msgspec import Struct

from models_onnx.artifact.release_file import GateSummary
from models_onnx.workbench.gates.gate import GREEN, Gate, GateResult, Insufficient, NotRun, Status, Verdict
from models_onnx.workbench.gates.subject import Evidence, Subject
from models_onnx.workbench.gates.table import GATES
from models_onnx.workbench.gates.waivers import covering, waiver_problem

FORMAT = "cds-hooks-onnx/gates/1"
FILE_GATE = "G1"


class GateReport(Struct, frozen=True, kw_only=True):
    """The results of all gates for one file."""

    format: str
    id: str
    version: str
    title: str
    sha256: str
    as_of: str
    results: tuple[GateResult, ...]

    @property
    def green(self) -> bool:
        return all(result.green for result in self.results)

    @property
    def headline(self) -> str:
        """The verdict in a sentence: how many gates are red, or green with how many waivers."""
        red = sum(not result.green for result in self.results)
        waived = sum(result.status == "waived" for result in self.results)
        if red:
            return f"{red} of {len(self.results)} gates are not green."
        return f"Green with {waived} waiver{'s' if waived > 1 else ''}." if waived else "Every gate is green."

    @property
    def summary(self) -> GateSummary:
        """The green, red and waived gates, in the form of the signed release."""
        return GateSummary(
            green=tuple(result.gate for result in self.results if result.status == "passed"),
            red=tuple(result.gate for result in self.results if not result.green),
            waived=tuple(result.gate for result in self.results if result.status == "waived"),
        )


def run_gates(
    subject: Subject,
    evidence: Evidence,
    progress: Callable[[str, int, int], None] | None = None,
    only: frozenset[str] | None = None,
) -> GateReport:
    """Return the report; with `only`, the others are "not run", which is red."""
    results: list[GateResult] = []
    opened = True
    for done, gate in enumerate(GATES):
        if progress is not None:
            progress("gates", done, len(GATES))
        if only is not None and gate.id not in only:
            results.append(_result(gate, "not run", "It was not asked for."))
        elif gate.opens and not opened:
            results.append(_result(gate, "not run", f"The file is not opened, because {FILE_GATE} failed."))
        else:
            results.append(_run(gate, subject, evidence))
        if gate.id == FILE_GATE and (only is None or FILE_GATE in only):
            opened = results[-1].green
    if progress is not None:
        progress("gates", len(GATES), len(GATES))
    return GateReport(
        format=FORMAT,
        id=subject.id,
        version=subject.manifest.version,
        title=subject.manifest.title,
        sha256=hashlib.sha256(subject.content).hexdigest(),
        as_of=evidence.as_of.isoformat(),
        results=tuple(results),
    )


def encode(report: GateReport) -> bytes:
    """Return the report as the bytes of its file: indented JSON with a final newline."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"


def _run(gate: Gate, subject: Subject, evidence: Evidence) -> GateResult:
    try:
        verdict = gate.check(subject, evidence)
    except NotRun as reason:
        return _result(gate, "not run", str(reason))
    except Insufficient as reason:
        return _result(gate, "insufficient", str(reason))
    except Exception as error:
        # The report covers every gate: an unexpected exception in one gate is reported as the failure of that gate.
        return _result(gate, "failed", f"The check broke off: {type(error).__name__}: {str(error)[:300]}")
    status: Status = "failed" if verdict.faults else "passed"
    why = "; ".join(verdict.faults) if verdict.faults else verdict.sentence
    return _with_waiver(_result(gate, status, why, verdict), subject, evidence)


def _with_waiver(result: GateResult, subject: Subject, evidence: Evidence) -> GateResult:
    if result.status != "failed":
        return result
    waiver = covering(subject.product.get("waivers", []), result.gate, result.faults, evidence.as_of)
    if waiver is None:
        return result
    if (fault := waiver_problem(waiver) or evidence.waiver_fault(waiver)) is not None:
        return msgspec.structs.replace(result, why=f"{result.why}; its waiver does not count: {fault}")
    why = f"Waived until {waiver['expires']} by {waiver['by']}: {waiver['reason']} What it covers: {result.why}"
    return msgspec.structs.replace(result, status="waived", why=why, waiver=waiver, clears="")


def _result(gate: Gate, status: Status, why: str, verdict: Verdict | None = None) -> GateResult:
    figures = {} if verdict is None else {name: getattr(verdict, name) for name in ("faults", "figures", "rows")}
    clears = "" if status in GREEN else gate.clears
    return GateResult(gate=gate.id, title=gate.title, status=status, why=why, clears=clears, **figures)
