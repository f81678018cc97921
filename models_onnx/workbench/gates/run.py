"""The eighteen gates, and how they are run on one candidate with the waivers of its card.

A waiver says who accepts which fault of a gate, why and until when. The release that has the card signs it, and behind
a trust file two people approve it. It is an entry of the card (`product.waivers`):

    gate      G9, the only gate that can be waived
    covers    the axes of fairness whose gaps are accepted, as the card names them
    at_most   the largest gap that is accepted
    reason    why, in twenty words or more and with the figures it rests on
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
from models_onnx.workbench.gates.checks import (
    device,
    explanation,
    fairness,
    figures,
    folder,
    inputs,
    label,
    running,
    wording,
)
from models_onnx.workbench.gates.gate import GREEN, Gate, GateResult, Insufficient, NotRun, Status, Verdict
from models_onnx.workbench.gates.subject import Evidence, Subject

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


GATES = (
    Gate("G1", "File is safe", folder.check_file, opens=False,
         clears="sign the folder again with your key (cds-hooks model sign), from files that nobody changed"),
    Gate("G2", "Inputs and dictionary agree", inputs.check_dictionary,
         clears="give each input the name, unit and range of its feature, in the order of the file"),
    Gate("G3", "Parity with the library", running.check_parity,
         clears="train or compile again, so that the file is the one of this table and library"),
    Gate("G4", "Determinism", running.check_determinism,
         clears="compile the model here: files of other converters round a row alone in another way"),
    Gate("G5", "Latency", running.check_latency,
         clears="fewer or shallower trees, fewer groups of inputs, or a smaller network"),
    Gate("G6", "Explanation is exact", explanation.check_explanation,
         clears="declare what a missing input counts as (missing_inputs), and compile the model here"),
    Gate("G7", "Discrimination", figures.check_discrimination, opens=False,
         clears="leave the named input out, or read it as of the prediction; else a better model"),
    Gate("G8", "Calibration", figures.check_calibration, opens=False,
         clears="recalibrate where it was fitted, or declare a recalibration; or more people"),
    Gate("G9", "Fairness by group", fairness.check_fairness, opens=False,
         clears="name the axes in subgroups and fairness_axes; of a gap, other inputs or thresholds, or a waiver"),
    Gate("G10", "Label-choice audit", label.check_label, opens=False,
         clears="audit against a column of need on the table (label.audit), or predict another label"),
    Gate("G11", "Missing data", inputs.check_missing,
         clears="put the named input under always_required, so that nobody is scored without it, or impute it"),
    Gate("G12", "Population guard", inputs.check_population,
         clears="declare the setting of the service (product.setting of the card), and train on newer data"),
    Gate("G13", "Wording of the card", wording.check_wording,
         clears="change the named text of NAME.service.toml, or add the file beside the model"),
    Gate("G14", "Model card", folder.check_card, opens=False,
         clears="fill the named attributes of NAME.card.json, review the risks (irm), and train or import again"),
    Gate("G15", "FDA guard", device.check_device, opens=False,
         clears="a longer horizon, no signals, professionals as users, reasons for inputs; or a clearance"),
    Gate("G16", "Reproducible", running.check_reproducible,
         clears="train again from the table that the manifest names, and publish what comes out"),
    Gate("G17", "Contents and components", folder.check_contents, opens=False,
         clears="take the named file or content out of the folder, or train without the named library"),
    Gate("G18", "Not worse than the one in use", figures.check_not_worse, opens=False,
         clears="compare on the same people (--data), and release only what is not worse than the version in use"),
)  # fmt: skip


# responsible-ai.md 5.6 lets only the fairness gate be waived ("or a signed waiver with expiry"); a model that is
# unsafe, wrong or a device cannot be excused by a signature.
WAIVABLE = frozenset({"G9"})
LONGEST_DAYS = 366
LEAST_WORDS = 20
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
    """Why a waiver does not count, in a sentence: its reason, or that nobody is named; None where it does."""
    words = re.findall(r"[A-Za-z]{2,}", str(waiver.get("reason", "")))
    if len(set(words)) < LEAST_WORDS or not re.search(r"\d", str(waiver.get("reason", ""))):
        return f"its reason has to say why in {LEAST_WORDS} different words or more, with the figures it rests on"
    return None if str(waiver.get("by", "")).strip() else "nobody is named who accepts it (by)"


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
