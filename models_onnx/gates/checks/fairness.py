"""G9: are the figures fair group by group, with intervals; differences that call for action fail the gate."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from models_onnx.gates.gate import Gate, Insufficient, NotRun, Verdict
from models_onnx.gates.subject import Evidence, Subject

# responsible-ai.md 5.2, family fairness, column "act".
GAP = 0.10
RATIO_ACT = (0.8, 1.25)
ENOUGH_FOR_ERRORS = 100
ENOUGH_FOR_RATIO = 50
# People whose group is not known do not form a group that can be treated unfairly; their row is shown all the same.
NO_GROUP = frozenset({"not recorded", "unknown"})
_ERRORS = {"sensitivity": "sensitivity", "false_positive_rate": "false positive rate"}

Group = Mapping[str, Any]


def check_fairness(subject: Subject, _evidence: Evidence) -> Verdict:
    """Gaps of error rates between groups and observed/expected in each, on every axis the card names."""
    groups = subject.evaluation.get("subgroups")
    if not groups:
        raise NotRun("There are no figures by group, neither stored nor made now.")
    declared: dict[str, str] = subject.product.get("fairness_axes") or {}
    if not declared:
        raise NotRun("The card names no axes to judge (product.fairness_axes).")
    if absent := sorted(set(declared) - {group["axis"] for group in groups}):
        raise NotRun(f"There are no figures by {', '.join(absent)}, which the card names.")
    faults: list[str] = []
    rows: list[dict[str, Any]] = []
    for axis, what in declared.items():
        members = [group for group in groups if group["axis"] == axis]
        if what == "none":
            continue
        known = [group for group in members if group["group"] not in NO_GROUP]
        faults += _ratio_faults(axis, known)
        if what == "all":
            faults += _gap_faults(axis, known)
        rows += [_row(axis, group) for group in members]
    judged = {axis for axis in declared for group in groups if group["axis"] == axis and _enough(group)}
    if not judged:
        raise Insufficient(f"No group has {ENOUGH_FOR_RATIO} events; nothing can be said about {', '.join(declared)}.")
    few = [row for row in rows if row["state"] == "insufficient"]
    said = f"{len(rows)} groups on {len(judged)} axes; {len(few)} insufficient, which says neither fair nor unfair."
    return Verdict(said, tuple(faults), {"axes": declared, "insufficient": len(few)}, rows)


def _ratio_faults(axis: str, groups: list[Group]) -> list[str]:
    """Groups whose interval of O/E lies wholly outside 0.8 to 1.25.

    Where figures of the latest years exist, these are used.
    """
    faults = []
    for group in groups:
        block = _latest(group)
        if block["events"] < ENOUGH_FOR_RATIO:
            continue
        ratio = block["observed_expected"]
        if ratio["high"] < RATIO_ACT[0] or ratio["low"] > RATIO_ACT[1]:
            faults.append(
                f"{axis}: observed/expected of {group['group']} is {ratio['value']:.2f} ({ratio['low']:.2f} to "
                f"{ratio['high']:.2f}), outside 0.8 to 1.25"
            )
    return faults


def _gap_faults(axis: str, groups: list[Group]) -> list[str]:
    """Pairs of groups whose error rates differ by 0.10 or more, with an interval of the difference without 0."""
    faults = []
    enough = [group for group in groups if group["events"] >= ENOUGH_FOR_ERRORS]
    for name, words in _ERRORS.items():
        for one, other in combinations((group for group in enough if name in group), 2):
            gap = abs(one[name]["value"] - other[name]["value"])
            # The groups consist of different people, so the variances of the two intervals add.
            wide = (_half(one[name]) ** 2 + _half(other[name]) ** 2) ** 0.5
            if gap >= GAP and gap - wide > 0:
                faults.append(
                    f"{axis}: {words} of {one['group']} ({one[name]['value']:.2f}) and {other['group']} "
                    f"({other[name]['value']:.2f}) differ by {gap:.2f} ({gap - wide:.2f} to {gap + wide:.2f})"
                )
    return faults


def _row(axis: str, group: Group) -> dict[str, Any]:
    latest = _latest(group)
    return {
        "axis": axis,
        "group": group["group"],
        "people": group["n"],
        "events": group["events"],
        "state": "sufficient" if group["events"] >= ENOUGH_FOR_ERRORS else "insufficient",
        "observed_expected": latest["observed_expected"],
        **{name: group[name] for name in _ERRORS if name in group},
    }


def _latest(group: Group) -> Group:
    found: Group = group.get("latest", group)
    return found if "observed_expected" in found else group


def _enough(group: Group) -> bool:
    return bool(group["events"] >= ENOUGH_FOR_RATIO)


def _half(figure: Mapping[str, Any]) -> float:
    return float((figure["high"] - figure["low"]) / 2.0)


GATES = (Gate("G9", "Fairness by group", "Does it hold for each group it is used on?", check_fairness, False),)
