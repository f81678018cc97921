"""A waiver: who accepts which fault of a gate, why and until when. It is part of the card and signed with it."""

from datetime import date
from typing import Any

from models_onnx.gates.result import Result

# responsible-ai.md 5.6 lets only the fairness gate be waived ("or a signed waiver with expiry"); a model that is
# unsafe, wrong or a device is not made better by a signature.
WAIVABLE = frozenset({"G9"})
LONGEST_DAYS = 366


def waived(result: Result, waivers: list[dict[str, Any]], as_of: date) -> dict[str, Any] | None:
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
