"""Declares a gate and its result.

The state of a gate is passed, failed, not run, insufficient data, or waived; only passed and waived are green. A waiver
says who accepts which fault of a gate, why and until when; it is part of the model card and signed with it. A gate that
raises an unexpected exception has failed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from msgspec import Struct

from models_onnx.workbench.gates.subject import Evidence, Subject

Status = Literal["passed", "failed", "not run", "insufficient", "waived"]
GREEN: frozenset[Status] = frozenset({"passed", "waived"})

Figures = dict[str, Any]
Rows = list[dict[str, Any]]


class NotRun(Exception):
    """Raised by a gate that lacks something it needs; the sentence says what. The gate is red."""


class Insufficient(Exception):
    """Raised by a gate that the data cannot decide: too few, or a question to a person. The gate is not green."""


class UnsafeFile(Exception):
    """Raised where the model file must not be opened: the gate has failed, and no other one runs."""


class Verdict(Struct, frozen=True):
    """The result of a gate's check: `faults` are sentences, none if it passed; `sentence` is for that case."""

    sentence: str
    faults: tuple[str, ...] = ()
    figures: Figures = {}
    rows: Rows = []


class GateResult(Struct, frozen=True, kw_only=True):
    """One gate of a report."""

    gate: str
    title: str
    status: Status
    why: str
    faults: tuple[str, ...] = ()
    figures: Figures = {}
    rows: Rows = []
    waiver: dict[str, Any] | None = None
    clears: str = ""
    """What would clear it; empty where it is green."""

    @property
    def green(self) -> bool:
        return self.status in GREEN


def figures_of(evidence: Evidence) -> Figures:
    """Give the evaluation computed now from rows and file; what a manifest says of itself is never read for a verdict.

    Raises:
        NotRun: nothing was computed.
    """
    if evidence.figures is None:
        raise NotRun(
            evidence.why_absent(
                "figures",
                "There are no rows to compute the figures from: give the training table with --data.",
            )
        )
    return evidence.figures


def is_outside(figure: Figures, limits: tuple[float, float]) -> bool:
    """Return whether a figure's whole interval lies outside the limits; False where it cannot be computed."""
    if None in figure.values():
        return False
    return bool(figure["high"] < limits[0] or figure["low"] > limits[1])


Check = Callable[[Subject, Evidence], Verdict]


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate: its checks, each with what would clear it."""

    id: str
    title: str
    checks: tuple[tuple[Check, str], ...]
