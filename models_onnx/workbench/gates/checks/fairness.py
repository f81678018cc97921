"""Are the figures fair group by group, with intervals; differences that call for action fail the gate."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import NormalDist
from typing import Any

from models_onnx.artifact.manifest import NORMAL_95
from models_onnx.model_card.schema import NOT_RECORDED
from models_onnx.workbench.gates.gate import Insufficient, NotRun, Verdict, figures_of, is_outside
from models_onnx.workbench.gates.subject import Evidence, Subject

# responsible-ai.md 5.2, family fairness, column "act".
GAP = 0.10
RATIO_ACT = (0.8, 1.25)
# Fewer events allow no statement on error rates and discrimination (100), or on O/E (50).
ENOUGH_FOR_ERRORS = 100
ENOUGH_FOR_RATIO = 50
# As monitoring judges a slope (docs/operations/monitoring.md, calibration, act).
SLOPE_ACT = (0.8, 1.2)
# How often (0 to 1) a model that treats all groups alike may fail by chance, over all comparisons of the gate together.
BY_CHANCE = 0.05
# People whose group is not known do not form a group that can be treated unfairly; their row is shown all the same.
NO_GROUP = frozenset({"not recorded", "unknown"})
# The card cannot ask less of these axes, by their beginning: error rates and O/E, or O/E alone, because risk rises with
# age and one threshold must find more of the old.
LEAST_ASKED = {"sex": "all", "race": "all", "ethnic": "all", "age": "calibration"}
_ORDER = ("none", "calibration", "all")
_ERRORS = {"sensitivity": "sensitivity", "false_positive_rate": "false positive rate"}
_SHOWN = (*_ERRORS, *(f"{name}_standardised" for name in _ERRORS), "calibration_slope")

Group = Mapping[str, Any]


def check_fairness(subject: Subject, evidence: Evidence) -> Verdict:
    """Check gaps of error rates between groups, and observed/expected in each, on every axis the card names.

    A card cannot leave out sex, race or age, nor ask less of them than `LEAST_ASKED`.
    """
    groups = figures_of(evidence).get("subgroups")
    if not groups:
        raise NotRun("There are no figures by group.")
    asked: dict[str, str] = subject.product.get("fairness_axes") or {}
    declared = {axis: rule for axis, rule in asked.items() if rule != NOT_RECORDED}
    if not declared:
        raise NotRun("Not judged: the card names no axes (product.fairness_axes).")
    if absent := sorted(set(declared) - {group["axis"] for group in groups}):
        raise NotRun(f"There are no figures by {', '.join(absent)}, which the card names.")
    faults = _axis_faults(declared, {str(group["axis"]) for group in groups}, evidence)
    rows: list[dict[str, Any]] = []
    rules = {**declared, **_least_asked(declared)}
    widening = simultaneous(comparisons(groups, rules))
    for axis, rule in rules.items():
        members = [group for group in groups if group["axis"] == axis]
        if rule == "none":
            continue
        known_groups = [group for group in members if group["group"] not in NO_GROUP]
        faults += _calibration_faults(axis, known_groups, rule)
        if rule == "all":
            faults += gap_faults(axis, known_groups, widening)
        rows += [_row(axis, group) for group in members]
    judged = {group["axis"] for group in groups if group["events"] >= ENOUGH_FOR_RATIO}.intersection(declared)
    if not judged:
        raise Insufficient(f"No group has {ENOUGH_FOR_RATIO} events; nothing can be said about {', '.join(declared)}.")
    few = [row for row in rows if row["state"] == "insufficient"]
    sentence = f"{len(rows)} groups on {len(judged)} axes; {len(few)} insufficient, which says neither fair nor unfair"
    sentence += f": {'; '.join(map(_few_words, few))}." if few else "."
    if not any(str(group["axis"]).lower().startswith(("race", "ethnic")) for group in groups):
        if "race" not in asked and not faults:
            raise NotRun(
                "Race and ethnicity were not judged: no subgroup is by them. Declare one in subgroups, or, where they "
                f"are not recorded, write on the card: fairness_axes {{'race': '{NOT_RECORDED}'}}."
            )
        sentence += " By race and ethnicity nothing was judged: the card says that they are not recorded."
    return Verdict(sentence, tuple(faults), {"axes": declared, "insufficient": len(few)}, rows)


def _least_asked(axes: Mapping[str, str]) -> dict[str, str]:
    """Return what is asked of the axes for which the card may not ask less."""
    return {
        axis: least
        for axis, rule in axes.items()
        for beginning, least in LEAST_ASKED.items()
        if axis.startswith(beginning) and _ORDER.index(rule) < _ORDER.index(least)
    }


def _axis_faults(declared: Mapping[str, str], there: set[str], evidence: Evidence) -> list[str]:
    """Axes that are missing or asked too little of, columns of race without an axis, and smuggled groups."""
    if strange := sorted({rule for rule in declared.values() if rule not in _ORDER}):
        raise NotRun(f"The card asks {', '.join(strange)} of an axis; known are {', '.join(_ORDER)}.")
    faults = [
        f"{axis}: the card asks too little of it; at least {least!r}" for axis, least in _least_asked(declared).items()
    ]
    faults += [
        f"{axis}: there are figures and the card does not name it (product.fairness_axes)"
        for axis in sorted(there - set(declared))
        if any(axis.startswith(beginning) for beginning in LEAST_ASKED)
    ]
    faults += [
        f"{beginning}: not judged, there are no figures by {beginning}"
        for beginning in ("sex", "age")
        if not any(axis.startswith(beginning) for axis in there)
    ]
    if evidence.inputs is not None:
        faults += [
            f"{sentence}: a group is used as an input under another name" for sentence in evidence.inputs.smuggled
        ]
        faults += [
            f"{column}: the table has this column and there are no figures by it, on an axis that begins with race, "
            "sex or age, whichever it is"
            for column in evidence.inputs.unnamed
        ]
    return faults


def comparisons(groups: Sequence[Group], rules: Mapping[str, str]) -> int:
    """Return how many differences of error rates the gate looks at: what one of them may claim depends on it."""
    axes = [
        [group for group in groups if group["axis"] == axis and group["group"] not in NO_GROUP]
        for axis, rule in rules.items()
        if rule == "all"
    ]
    return sum(len(list(combinations(_measured(of_axis, name), 2))) for of_axis in axes for name in _ERRORS)


def simultaneous(comparisons: int) -> float:
    """Return by how much 95 % intervals are widened so that all of them together are right in 95 of 100 models.

    Bonferroni (Dunn 1961): every comparison gets its part of the errors that are allowed.
    """
    return NormalDist().inv_cdf(1 - BY_CHANCE / (2 * max(1, comparisons))) / NORMAL_95


def _measured(groups: Sequence[Group], name: str) -> list[Group]:
    """Return the groups with enough events to be compared by an error rate."""
    there = [group for group in groups if name in group and group[name]["value"] is not None]
    return [group for group in there if group["events"] >= ENOUGH_FOR_ERRORS]


def _calibration_faults(axis: str, groups: Sequence[Group], rule: str) -> list[str]:
    """Name groups whose interval of O/E lies wholly outside 0.8 to 1.25; by the rule `all`, of the slope 0.8 to 1.2.

    Where O/E of the latest years exists, it is used. O/E alone can be right on average where the low estimates of a
    group are too low and its high ones too high.
    """
    faults = []
    for group in groups:
        latest, slope = _latest(group), group.get("calibration_slope")
        judged = [("observed/expected", latest["observed_expected"], RATIO_ACT, latest["events"] >= ENOUGH_FOR_RATIO)]
        if rule == "all" and slope is not None:
            judged.append(("the calibration slope", slope, SLOPE_ACT, group["events"] >= ENOUGH_FOR_ERRORS))
        faults += [
            f"{axis}: {words} of {group['group']} is {figure['value']:.2f} ({figure['low']:.2f} to "
            f"{figure['high']:.2f}), outside {limits[0]:g} to {limits[1]:g}"
            for words, figure, limits, enough in judged
            if enough and is_outside(figure, limits)
        ]
    return faults


def gap_faults(axis: str, groups: Sequence[Group], widening: float) -> list[str]:
    """Pairs of groups whose error rates differ by 0.10 or more, with a simultaneous interval without 0."""
    faults = []
    for name, words in _ERRORS.items():
        for first, second in combinations(_measured(groups, name), 2):
            gap = round(abs(first[name]["value"] - second[name]["value"]), 9)
            # The groups consist of different people, so the variances of the two intervals add.
            wide = widening * (_half(first[name]) ** 2 + _half(second[name]) ** 2) ** 0.5
            if gap >= GAP and gap - wide > 0:
                faults.append(
                    f"{axis}: {words} of {first['group']} ({first[name]['value']:.2f}) and {second['group']} "
                    f"({second[name]['value']:.2f}) differ by {gap:.2f} ({gap - wide:.2f} to {gap + wide:.2f})"
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
        **{name: group[name] for name in _SHOWN if name in group},
    }


def _few_words(row: Mapping[str, Any]) -> str:
    """Return a group that is too small for a verdict, with what is known of it."""
    ratio = row["observed_expected"]
    with_interval = (
        f", observed/expected {ratio['value']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"
        if None not in (ratio.get("value"), ratio.get("low"), ratio.get("high"))
        else ""
    )
    return f"{row['axis']} {row['group']} {row['people']:,} people, {row['events']:,} events{with_interval}"


def _latest(group: Group) -> Group:
    latest: Group = group.get("latest", group)
    return latest if "observed_expected" in latest else group


def _half(figure: Mapping[str, Any]) -> float:
    return float((figure["high"] - figure["low"]) / 2.0)
