"""G7: does the model discriminate? G8: is it calibrated? G18: is it no worse than the model in use?"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from models_onnx.evaluation import metrics
from models_onnx.evaluation.metrics import gain
from models_onnx.gates.gate import Gate, Insufficient, NotRun, Verdict
from models_onnx.gates.subject import Evidence, Paired, Subject

# responsible-ai.md 5.2: fewer events allow no statement on discrimination (100) or on O/E (50).
ENOUGH_EVENTS = 100
ENOUGH_FOR_RATIO = 50
CALIBRATION = (0.9, 1.1)
SLOPE_ACT = (0.8, 1.2)
NON_INFERIOR = 0.01
NET_BENEFIT = 0.002
# Age, the strongest input of our models, reaches 0.80; the limit is ours.
LEAK = 0.95
_REPLICATES = 300
_SEED = 20260101


def check_discrimination(subject: Subject, evidence: Evidence) -> Verdict:
    """The lower end of the AUROC's interval reaches the declared minimum, and the simple model is worse."""
    block, period = _judged(subject, "all")
    floor = subject.product.get("auroc_floor")
    if not isinstance(floor, float | int):
        raise NotRun("No floor is declared (product.auroc_floor of the card), so nothing can be held against it.")
    if block["events"] < ENOUGH_EVENTS:
        raise Insufficient(f"{block['events']} events; {ENOUGH_EVENTS} are needed for a verdict.")
    auroc, faults = block["auroc"], []
    low = _end(auroc, "low")
    if low < floor:
        faults.append(f"AUROC {auroc['value']:.3f}, its interval begins at {low:.3f}, below the floor {floor:g}")
    simple = subject.evaluation.get("simple")
    if simple is not None and not _end(simple["gain"], "low") > 0:
        faults.append(
            f"it is not better than {' and '.join(simple['inputs'])} alone (gain {simple['gain']['value']:.3f})"
        )
    faults += _leaks(evidence.alone or {})
    gained = f"; {simple['gain']['value']:+.3f} over {' and '.join(simple['inputs'])} alone" if simple else ""
    said = f"AUROC {auroc['value']:.3f} ({low:.3f} to {_end(auroc, 'high'):.3f}), floor {floor:g}{gained}."
    return Verdict(said, tuple(faults), {"period": period, "floor": floor, "auroc": auroc, "simple": simple or {}})


def _leaks(alone: Mapping[str, float]) -> list[str]:
    """An input that alone separates people this well was recorded after the outcome: data leakage."""
    return [
        f"{name} alone reaches an AUROC of {auroc:.2f}: it knows the outcome (a leak)"
        for name, auroc in alone.items()
        if auroc >= LEAK
    ]


def check_calibration(subject: Subject, _evidence: Evidence) -> Verdict:
    """The whole interval of observed/expected is within 0.9 to 1.1, and the slope needs no correction."""
    block, period = _judged(subject, "latest")
    if block["events"] < ENOUGH_FOR_RATIO:
        raise Insufficient(f"{block['events']} events; {ENOUGH_FOR_RATIO} are needed for a verdict.")
    ratio, slope, faults = block["observed_expected"], block.get("calibration_slope"), []
    if not (_end(ratio, "low") >= CALIBRATION[0] and _end(ratio, "high") <= CALIBRATION[1]):
        faults.append(
            f"observed/expected {ratio['value']:.3f}, interval {_end(ratio, 'low'):.3f} to {_end(ratio, 'high'):.3f}, "
            "not within 0.9 to 1.1"
        )
    if slope is not None and (_end(slope, "high") < SLOPE_ACT[0] or _end(slope, "low") > SLOPE_ACT[1]):
        faults.append(f"calibration slope {slope['value']:.3f}, its interval lies outside 0.8 to 1.2")
    said = f"Observed/expected {ratio['value']:.3f} ({_end(ratio, 'low'):.3f} to {_end(ratio, 'high'):.3f})"
    said += f", slope {slope['value']:.3f}." if slope is not None else "."
    figures = {"period": period, "observed_expected": ratio, "calibration_slope": slope or {}}
    return Verdict(said, tuple(faults), figures, _bins(subject))


def check_not_worse(subject: Subject, evidence: Evidence) -> Verdict:
    """AUROC at most 0.01 lower than that of the model in use, and no less net benefit at its threshold."""
    if evidence.active is None:
        return Verdict("No other version of it is in use: there is nothing it could be worse than.")
    if evidence.paired is not None:
        return _paired(evidence.paired, evidence.active)
    mine, _ = _judged(subject, "all")
    theirs = evidence.active.evaluation.get("all")
    if theirs is None:
        raise NotRun(f"Version {evidence.active.about.version} in use has no stored evaluation to compare with.")
    if not _same_people(subject, evidence.active, mine, theirs):
        raise NotRun("The two versions were evaluated on different people; give the data folder to compare them.")
    difference = mine["auroc"]["value"] - theirs["auroc"]["value"]
    fault = f"AUROC is {-difference:.3f} lower than that of {evidence.active.about.version}, which is in use"
    said = f"AUROC {difference:+.4f} against {evidence.active.about.version}, evaluated on the same table."
    return Verdict(said, (fault,) if difference < -NON_INFERIOR else (), {"auroc_difference": difference})


def _paired(paired: Paired, active: Subject) -> Verdict:
    change = gain(metrics.auroc, paired.margin, paired.active_margin, paired.y, _REPLICATES, _SEED)
    benefit = _net_benefit(paired.margin, paired) - _net_benefit(paired.active_margin, paired)
    faults = []
    if change.low < -NON_INFERIOR:
        faults.append(
            f"AUROC {change.value:+.4f} ({change.low:+.4f} to {change.high:+.4f}) against {active.about.version} on "
            "the same people: more than 0.01 worse cannot be ruled out"
        )
    if benefit < -NET_BENEFIT:
        faults.append(f"net benefit at the threshold is {-benefit:.4f} lower than that of {active.about.version}")
    figures = {"auroc_difference": change.value, "low": change.low, "high": change.high, "net_benefit": benefit}
    return Verdict(
        f"AUROC {change.value:+.4f} ({change.low:+.4f} to {change.high:+.4f}), net benefit {benefit:+.4f} against "
        f"{active.about.version}, on the same {len(paired.y):,} people.",
        tuple(faults),
        figures,
    )


def _net_benefit(margin: Any, paired: Paired) -> float:
    """Net benefit: true positives minus false ones weighted by the odds of the threshold (Vickers and Elkin 2006)."""
    alerted = margin >= paired.threshold
    odds = float(np.exp(paired.threshold))
    events = paired.y == 1
    return float(((alerted & events).sum() - odds * (alerted & ~events).sum()) / len(paired.y))


def _same_people(subject: Subject, active: Subject, mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    if subject.manifest is None or active.manifest is None:
        return False
    same_table = subject.manifest.data.sha256 == active.manifest.data.sha256
    return same_table and (mine["n"], mine["events"]) == (theirs["n"], theirs["events"])


def _judged(subject: Subject, wanted: str) -> tuple[dict[str, Any], str]:
    evaluation = subject.evaluation
    for period in (wanted, "all"):
        if period in evaluation:
            return evaluation[period], period
    raise NotRun("There is no evaluation on people it was not trained on, neither stored nor made now.")


def _end(figure: Mapping[str, Any], end: str) -> float:
    value = figure.get(end)
    return float("nan") if value is None else float(value)


def _bins(subject: Subject) -> list[dict[str, Any]]:
    if subject.manifest is None:
        return []
    return [
        {"expected": row.predicted, "observed": row.rate, "low": row.low, "high": row.high, "people": row.count}
        for row in subject.manifest.reference.bins
    ]


GATES = (
    Gate("G7", "Discrimination", "Does it tell people apart, well enough and better than a simple rule?",
         check_discrimination, False),
    Gate("G8", "Calibration", "Do as many have the outcome as it says?", check_calibration, False),
    Gate("G18", "Not worse than the one in use", "Is it no worse than the version in use?", check_not_worse, False),
)  # fmt: skip
