"""The nine gates, and how they are run on one candidate with the waivers of its card.

A waiver says who accepts which fault of a gate, why and until when. The release that has the card signs it, and behind
a trust file two people approve it. It is an entry of the card (`product.waivers`):

    gate      fairness, the only gate that can be waived
    covers    the axes of fairness whose gaps are accepted, as the card names them
    at_most   the largest gap that is accepted
    reason    why, with the figures it rests on
    by        who accepts it
    granted, expires   ISO dates, at most a year apart
"""

import hashlib
import re
from collections.abc import Callable
from datetime import date
from typing import Any

import msgspec
from msgspec import Struct

from models_onnx.artifact.release_file import GateSummary
from models_onnx.workbench.gates.checks import card, explanation, fairness, figures, folder, inputs, label, running
from models_onnx.workbench.gates.gate import (
    GREEN,
    Check,
    Gate,
    GateResult,
    Insufficient,
    NotRun,
    Status,
    UnsafeFile,
    Verdict,
)
from models_onnx.workbench.gates.subject import Evidence, Subject

FORMAT = "cds-hooks-onnx/gates/1"
FILE_GATE = "file"


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
    unsafe = False
    for done, gate in enumerate(GATES):
        if progress is not None:
            progress("gates", done, len(GATES))
        if only is not None and gate.id not in only:
            results.append(_result(gate, "not run", Verdict("It was not asked for.")))
        elif unsafe:
            results.append(_result(gate, "not run", Verdict(f"The file is not opened, because {FILE_GATE} failed.")))
        else:
            try:
                results.append(_run(gate, subject, evidence))
            except UnsafeFile as problem:
                unsafe = True
                results.append(_result(gate, "failed", Verdict("", (str(problem),)), gate.checks[0][1]))
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


_WORST_FIRST: tuple[Status, ...] = ("failed", "not run", "insufficient", "passed")


def _run(gate: Gate, subject: Subject, evidence: Evidence) -> GateResult:
    """Return the result of all checks of a gate: the worst one decides, and every fault is named."""
    outcomes = [(*_outcome(check, subject, evidence), clears) for check, clears in gate.checks]
    status = min((status for status, _, _ in outcomes), key=_WORST_FIRST.index)
    verdicts = [verdict for _, verdict, _ in outcomes]
    clears = "; ".join(clears for status_of, _, clears in outcomes if status_of == status)
    together = Verdict(
        " ".join(verdict.sentence for status_of, verdict, _ in outcomes if status_of == status),
        tuple(fault for verdict in verdicts for fault in verdict.faults),
        {name: value for verdict in verdicts for name, value in verdict.figures.items()},
        [row for verdict in verdicts for row in verdict.rows],
    )
    result = _with_waiver(_result(gate, status, together, clears), subject, evidence)
    unjudged = [outcome for outcome in outcomes if outcome[0] not in ("failed", *GREEN)]
    if result.status == "waived" and unjudged:  # a waiver is of faults, not of what was not judged
        return _result(gate, *unjudged[0])
    return result


def _outcome(check: Check, subject: Subject, evidence: Evidence) -> tuple[Status, Verdict]:
    try:
        verdict = check(subject, evidence)
    except UnsafeFile:
        raise
    except NotRun as reason:
        return "not run", Verdict(str(reason))
    except Insufficient as reason:
        return "insufficient", Verdict(str(reason))
    except Exception as error:
        # The report covers every gate: an unexpected exception in one gate is reported as the failure of that gate.
        return "failed", Verdict("", (f"The check broke off: {type(error).__name__}: {str(error)[:300]}",))
    return ("failed" if verdict.faults else "passed"), verdict


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


def _result(gate: Gate, status: Status, verdict: Verdict, clears: str = "") -> GateResult:
    return GateResult(
        gate=gate.id,
        title=gate.title,
        status=status,
        why="; ".join(verdict.faults) or verdict.sentence,
        faults=verdict.faults,
        figures=verdict.figures,
        rows=verdict.rows,
        clears="" if status in GREEN else clears,
    )


GATES = (
    Gate("file", "File, inputs and card", (
        (folder.check_file, "sign the folder again with your key (cds-hooks model sign), from files nobody changed"),
        (inputs.check_dictionary, "give each input the name, unit and range of its feature, in the order of the file"),
        (card.check_card, "complete NAME.card.json, answer its questions (irm), and train or import again"),
    )),
    Gate("parity", "Parity with the model trained again", (
        (running.check_parity, "train or compile again, so that the file is the one of this table and library"),
        (running.check_reproducible, "train again from the table that the manifest names, and publish what comes out"),
    )),
    Gate("speed", "Latency and determinism", (
        (running.check_determinism, "compile the model here: files of other converters round a row alone differently"),
        (running.check_latency, "fewer or shallower trees, fewer groups of inputs, or a smaller network"),
    )),
    Gate("explanation", "Explanation is exact", (
        (explanation.check_explanation, "declare what a missing input counts as (missing_inputs), and compile it here"),
    )),
    Gate("discrimination", "Discrimination", (
        (figures.check_discrimination, "leave the named input out, or read it as of the prediction"),
    )),
    Gate("calibration", "Calibration", (
        (figures.check_calibration, "recalibrate where it was fitted, or declare a recalibration; or more people"),
    )),
    Gate("fairness", "Fairness by group", (
        (fairness.check_fairness,
         "name the axes in subgroups and fairness_axes; of a gap, other inputs or thresholds, or a waiver"),
        (label.check_label,
         "audit against a column of need on the table (label.audit), or predict another label"),
    )),
    Gate("missing-data", "Missing data", (
        (inputs.check_missing, "put the named input under always_required, so that nobody lacks it, or impute it"),
    )),
    Gate("not-worse", "Not worse than the one in use", (
        (figures.check_not_worse, "compare on the same people (--data), and release what is not worse"),
    )),
)  # fmt: skip


# responsible-ai.md 5.6 lets only the fairness gate be waived ("or a signed waiver with expiry"); a model that is
# unsafe, wrong or a device cannot be excused by a signature.
WAIVABLE = frozenset({"fairness"})
LONGEST_DAYS = 366
# Only a difference between groups is waived; a group for whom the estimates are wrong is not.
_GAP = re.compile(r"differ by (\d\.\d+)")

Waiver = dict[str, Any]


def covering(waivers: list[Waiver], gate: str, faults: tuple[str, ...], as_of: date) -> Waiver | None:
    """Return the first waiver of this gate that is in force and covers every fault; None where there is none."""
    if gate not in WAIVABLE:
        return None
    for waiver in waivers:
        if waiver.get("gate") == gate and _in_force(waiver, as_of) and _covers(waiver, faults):
            return waiver
    return None


def waiver_problem(waiver: Waiver) -> str | None:
    """Return what a waiver lacks, in a sentence; None where it counts. Whether its reason holds, two people judge."""
    absent = [name for name in ("reason", "by") if not str(waiver.get(name, "")).strip()]
    return f"it has no {' and no '.join(absent)}" if absent else None


def _in_force(waiver: Waiver, as_of: date) -> bool:
    try:
        granted, expires = date.fromisoformat(waiver["granted"]), date.fromisoformat(waiver["expires"])
    except (KeyError, TypeError, ValueError):
        return False
    return granted <= as_of < expires and (expires - granted).days <= LONGEST_DAYS


def _covers(waiver: Waiver, faults: tuple[str, ...]) -> bool:
    axes = waiver.get("covers")
    most = waiver.get("at_most")
    if not isinstance(axes, list) or not isinstance(most, float | int):
        return False
    gaps = ((fault.partition(":")[0], _GAP.search(fault)) for fault in faults)
    return all(axis in axes and gap is not None and float(gap[1]) <= most for axis, gap in gaps)
