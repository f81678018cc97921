"""Waivers: who accepts which fault of a gate, why and until when.

The release that has the card signs it, and behind a trust file two people approve it. A waiver
is an entry of the card (`product.waivers`):

    gate      G9, the only gate that can be waived
    covers    the axes of fairness whose gaps are accepted, as the card names them
    at_most   the largest gap that is accepted
    reason    why, in twenty words or more and with the figures it rests on
    by        who accepts it
    granted, expires   ISO dates, at most a year apart
"""

import re
from datetime import date
from typing import Any

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
