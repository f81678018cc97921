"""Does the model discriminate, is it calibrated, and is it no worse than the version in use?"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from models_onnx.workbench import metrics
from models_onnx.workbench.gates.checks.fairness import ENOUGH_FOR_ERRORS, ENOUGH_FOR_RATIO, SLOPE_ACT
from models_onnx.workbench.gates.gate import Insufficient, NotRun, Verdict, figures_of, is_outside
from models_onnx.workbench.gates.subject import Evidence, InputEvidence, Paired, Subject
from models_onnx.workbench.metrics import gain
from models_onnx.workbench.training.data.leaks import CLEARED, Suspicion

CALIBRATION = (0.9, 1.1)
NON_INFERIOR = 0.01
NET_BENEFIT = 0.002
# A card cannot declare a lower floor; a coin reaches 0.5. This limit is ours.
LEAST_FLOOR = 0.6
LEAST_PPV = 0.2
# Nearer to a limit than this (as a log ratio) the number of people that would decide is no use to anybody.
LEAST_ROOM = 0.005
_REPLICATES = 300
_SEED = 20260101


def check_discrimination(subject: Subject, evidence: Evidence) -> Verdict:
    """Check that the AUROC's interval begins at the declared minimum or above, and that the simple model is worse."""
    evaluation = figures_of(evidence)
    block, period = _judged(evaluation, "all")
    floor = subject.product.get("auroc_floor")
    if not isinstance(floor, float | int):
        raise NotRun("No floor is declared (product.auroc_floor of the card), so nothing can be held against it.")
    if block["events"] < ENOUGH_FOR_ERRORS:
        raise Insufficient(f"{block['events']} events; {ENOUGH_FOR_ERRORS} are needed for a verdict.")
    auroc, faults = block["auroc"], []
    floor, low = max(float(floor), LEAST_FLOOR), _end(auroc, "low")
    if not low >= floor:
        faults.append(f"AUROC {auroc['value']:.3f}, its interval begins at {low:.3f}, below the floor {floor:g}")
    simple = evaluation.get("simple")
    if simple is not None and not _end(simple["gain"], "low") > 0:
        faults.append(
            f"it is not better than {' and '.join(simple['inputs'])} alone (gain {simple['gain']['value']:.3f})"
        )
    faults += _alert_faults(block)
    answered: list[str] = []
    if evidence.inputs is not None:
        leaks, questions, answered = _leaks(evidence.inputs, subject.product.get("answers") or {})
        faults += leaks
        if questions and not faults:
            raise Insufficient("; ".join(questions))
        faults += questions
    gained = f"; {simple['gain']['value']:+.3f} over {' and '.join(simple['inputs'])} alone" if simple else ""
    sentence = f"AUROC {auroc['value']:.3f} ({low:.3f} to {_end(auroc, 'high'):.3f}), floor {floor:g}{gained}."
    sentence += "".join(f" {text[:1].upper()}{text[1:]}." for text in answered)
    return Verdict(sentence, tuple(faults), {"period": period, "floor": floor, "auroc": auroc, "simple": simple or {}})


def _leaks(inputs: InputEvidence, answers: Mapping[str, Any]) -> tuple[list[str], list[str], list[str]]:
    """Return which inputs are shown to know the outcome, which may know it, and of which a person has said why not.

    What is shown has no answer. What may be is a question to a person, who answers it on the card. There is none of
    inputs that were written down at a call, before anybody knew the outcome.
    """
    faults, questions, answered = [], [], []
    for sentence in inputs.leaks:
        if not isinstance(sentence, Suspicion):
            faults.append(f"{sentence} (a leak: {CLEARED})")
        elif inputs.is_of_record:
            continue
        elif all(name in answers for name in sentence.inputs):
            by = ", ".join(sorted({str(answers[name]["by"]) for name in sentence.inputs}))
            answered.append(f"{sentence}; answered by {by}")
        else:
            name = next(name for name in sentence.inputs if name not in answers)
            questions.append(
                f"{sentence} (a question: who knows that it is known before the outcome says why on the card, "
                f'product.answers {{"{name}": {{"why": …, "by": …}}}}; else {CLEARED})'
            )
    return faults, questions, answered


def _alert_faults(block: Mapping[str, Any]) -> list[str]:
    """responsible-ai.md 4.2: of a new clinical card's alerts at least 1 in 5 has the outcome."""
    ppv = block.get("ppv")
    if ppv is None or not _end(ppv, "high") < LEAST_PPV:
        return []
    return [f"of its alerts {100 * ppv['value']:.0f} in 100 have the outcome, fewer than {100 * LEAST_PPV:.0f}"]


def check_calibration(subject: Subject, evidence: Evidence) -> Verdict:
    """Check that the whole interval of observed/expected is within 0.9 to 1.1, and that the slope needs no correction.

    An interval that lies neither within nor wholly outside decides nothing: that is insufficient, not failed.
    """
    block, period = _judged(figures_of(evidence), "latest")
    if block["events"] < ENOUGH_FOR_RATIO:
        raise Insufficient(f"{block['events']} events; {ENOUGH_FOR_RATIO} are needed for a verdict.")
    ratio, slope, faults = block["observed_expected"], block.get("calibration_slope"), []
    low, high = _end(ratio, "low"), _end(ratio, "high")
    text = f"observed/expected {ratio['value']:.3f}, interval {low:.3f} to {high:.3f}"
    if high < CALIBRATION[0] or low > CALIBRATION[1] or not low <= high:
        faults.append(f"{text}, not within 0.9 to 1.1")
    if slope is not None and slope["value"] is None:
        faults.append("no calibration slope can be computed: the estimates do not follow the outcome")
        slope = None
    if slope is not None and is_outside(slope, SLOPE_ACT):
        faults.append(f"calibration slope {slope['value']:.3f}, its interval lies outside 0.8 to 1.2")
    if not faults and not (low >= CALIBRATION[0] and high <= CALIBRATION[1]):
        raise Insufficient(
            f"{text}: neither within 0.9 to 1.1 nor wholly outside. {_needed(block, ratio['value'], low, high)}"
        )
    sentence = f"Observed/expected {ratio['value']:.3f} ({_end(ratio, 'low'):.3f} to {_end(ratio, 'high'):.3f})"
    sentence += f", slope {slope['value']:.3f}." if slope is not None else "."
    newest = figures_of(evidence).get("newest")
    if newest is not None:
        beside = newest["observed_expected"]
        sentence += f" Beside it {newest['words']}, the latest followed to the horizon: {beside['value']:.3f}"
        sentence += f" ({_end(beside, 'low'):.3f} to {_end(beside, 'high'):.3f})."
    figures = {"period": period, "observed_expected": ratio, "calibration_slope": slope or {}, "newest": newest or {}}
    return Verdict(sentence, tuple(faults), figures, _bins(subject))


def _needed(block: Mapping[str, Any], value: float, low: float, high: float) -> str:
    """Return how many people would decide it: the interval narrows with the square root of their number."""
    limit = min(CALIBRATION, key=lambda end: abs(np.log(end / value)))
    room = abs(float(np.log(limit / value)))
    wide = float(np.log(high / low)) / 2.0
    if room < LEAST_ROOM:
        return f"It is so close to {limit:g} that no number of people near {block['n']:,} would decide it."
    needed = int(np.ceil(block["n"] * (wide / room) ** 2))
    there = f"there are {block['n']:,} with {block['events']:,} events"
    return f"About {needed:,} people would be needed for a verdict; {there}."


def check_not_worse(_subject: Subject, evidence: Evidence) -> Verdict:
    """Check for an AUROC at most 0.01 lower than that of the model in use, and no less net benefit."""
    if evidence.active is None:
        return Verdict("No other version of it is in use: there is nothing it could be worse than.")
    if evidence.paired is None:
        raise NotRun(
            f"It was not compared with {evidence.active.manifest.version}, which is in use: that takes the training "
            "table, and the same inputs in both."
        )
    return _compared(evidence.paired, evidence.active)


def _compared(paired: Paired, active: Subject) -> Verdict:
    change = gain(metrics.auroc, paired.margin, paired.active_margin, paired.y, _REPLICATES, _SEED)
    everybody, odds = np.ones(len(paired.y)), float(np.exp(paired.threshold))
    mine, theirs = (
        metrics.net_benefit(margin, paired.y, everybody, paired.threshold, odds)
        for margin in (paired.margin, paired.active_margin)
    )
    benefit = mine - theirs
    faults = []
    if change.low < -NON_INFERIOR:
        faults.append(
            f"AUROC {change.value:+.4f} ({change.low:+.4f} to {change.high:+.4f}) against {active.manifest.version} on "
            "the same people: more than 0.01 worse cannot be ruled out"
        )
    if benefit < -NET_BENEFIT:
        faults.append(f"net benefit at the threshold is {-benefit:.4f} lower than that of {active.manifest.version}")
    figures = {"auroc_difference": change.value, "low": change.low, "high": change.high, "net_benefit": benefit}
    return Verdict(
        f"AUROC {change.value:+.4f} ({change.low:+.4f} to {change.high:+.4f}), net benefit {benefit:+.4f} against "
        f"{active.manifest.version}, on the same {len(paired.y):,} people.",
        tuple(faults),
        figures,
    )


def _judged(evaluation: Mapping[str, Any], wanted: str) -> tuple[dict[str, Any], str]:
    for period in (wanted, "all"):
        if period in evaluation:
            return evaluation[period], period
    raise NotRun("There is no evaluation on people it was not trained on.")


def _end(figure: Mapping[str, Any], end: str) -> float:
    value = figure.get(end)
    return float("nan") if value is None else float(value)


def _bins(subject: Subject) -> list[dict[str, Any]]:
    return [
        {"expected": row.predicted, "observed": row.rate, "low": row.low, "high": row.high, "people": row.count}
        for row in subject.manifest.reference.bins
    ]
