"""What one gate declares, what it answers, and the waiver that may excuse a fault.

A gate passed, failed, was not run, had too few data, or was waived; only passed and waived are green. A waiver says who
accepts which fault of a gate, why and until when; it is part of the model card and signed with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from msgspec import Struct

from models_onnx.discovery import discover
from models_onnx.errors import DeclarationError
from models_onnx.gates.subject import Evidence, Subject

Status = Literal["passed", "failed", "not run", "insufficient", "waived"]
GREEN: frozenset[Status] = frozenset({"passed", "waived"})

Figures = dict[str, Any]
Rows = list[dict[str, Any]]


class NotRun(Exception):
    """Raised by a gate that lacks what it needs; the sentence says what. It is red."""


class Insufficient(Exception):
    """Raised by a gate whose data are too few to say either way; the sentence says which. It is red."""


class Verdict(Struct, frozen=True):
    """What a gate found: `faults` are sentences, and none means passed; `said` is the sentence for that case."""

    said: str
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

    @property
    def green(self) -> bool:
        """Whether it lets the model through."""
        return self.status in GREEN


# responsible-ai.md 5.6 lets only the fairness gate be waived ("or a signed waiver with expiry"); a model that is
# unsafe, wrong or a device is not made better by a signature.
WAIVABLE = frozenset({"G9"})
LONGEST_DAYS = 366


def waived(result: GateResult, waivers: list[dict[str, Any]], as_of: date) -> dict[str, Any] | None:
    """The waiver that covers every fault of this result and is in force; None where there is none."""
    if result.gate not in WAIVABLE:
        return None
    for waiver in waivers:
        if waiver.get("gate") == result.gate and _in_force(waiver, as_of) and _covers(waiver, result.faults):
            return waiver
    return None


def _in_force(waiver: dict[str, Any], as_of: date) -> bool:
    try:
        granted, expires = date.fromisoformat(waiver["granted"]), date.fromisoformat(waiver["expires"])
    except (KeyError, TypeError, ValueError):
        return False
    return granted <= as_of < expires and (expires - granted).days <= LONGEST_DAYS


def _covers(waiver: dict[str, Any], faults: tuple[str, ...]) -> bool:
    beginnings = tuple(waiver.get("covers", ()))
    return bool(beginnings) and all(fault.startswith(beginnings) for fault in faults)


ALL = tuple(f"G{number}" for number in range(1, 19))


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate: what it asks in a sentence, and the check. `opens` if it runs the model file itself."""

    id: str
    title: str
    asks: str
    check: Callable[[Subject, Evidence], Verdict]
    opens: bool = True


def find_gates() -> tuple[Gate, ...]:
    """The eighteen gates in order.

    Raises:
        DeclarationError: a gate is missing, unknown or declared twice.
    """
    found = discover("models_onnx.gates.checks", "GATES", Gate)
    if set(found) != set(ALL):
        raise DeclarationError(f"gates missing or unknown: {', '.join(sorted(set(ALL) ^ set(found)))}")
    return tuple(found[name] for name in ALL)
