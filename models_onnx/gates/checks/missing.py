"""G11: what happens when inputs are not there: the score moves within bounds, and it is said which are missing."""

from typing import Any

import numpy as np

from models_onnx.gates.gate import Gate
from models_onnx.gates.result import NotRun, Verdict
from models_onnx.gates.rows import ordinary
from models_onnx.gates.subject import Evidence, Subject

_PEOPLE = 400
# With an input gone, what is left may be off by as much as a group may (responsible-ai.md 5.2, O/E, act).
RATIO_ACT = (0.8, 1.25)


def check_missing(subject: Subject, evidence: Evidence) -> Verdict:
    """Each input taken away in turn: finite answers, a bounded move, the mask set; panels hold their calibration."""
    bound = subject.product.get("stress_move_at_most")
    if not isinstance(bound, float | int):
        raise NotRun("No bound is declared (product.stress_move_at_most of the card).")
    people = evidence.people if evidence.people is not None else ordinary(subject.features, _PEOPLE)
    people = people[:_PEOPLE]
    before = subject.answers(people).probability
    faults: list[str] = []
    rows: list[dict[str, Any]] = []
    for place, item in enumerate(subject.features):
        if item.name in subject.always:
            continue
        gone = people.copy()
        gone[:, place] = np.nan
        answers = subject.answers(gone)
        move = float(np.quantile(np.abs(answers.probability - before), 0.95)) if len(people) else 0.0
        rows.append({"input": item.name, "moves_95_in_100_by_at_most": round(move, 4)})
        if not np.isfinite(answers.probability).all():
            faults.append(f"without {item.name} there is no number any more")
        elif move > bound:
            faults.append(
                f"without {item.name} the estimate moves by {move:.2f} (95 in 100 people), declared {bound:g}"
            )
        if answers.missing is not None and not answers.missing[:, place].all():
            faults.append(f"{item.name} is taken away and not marked as missing, so no card can name it")
    faults += _panel_faults(subject)
    if evidence.cards is not None:
        faults += _unnamed(subject, evidence, people)
    largest = max((row["moves_95_in_100_by_at_most"] for row in rows), default=0.0)
    said = f"Taking away one input moves the estimate by at most {largest:.2f} (95 in 100 people; declared {bound:g})."
    return Verdict(said, tuple(faults), {"bound": bound, "people": len(people)}, rows)


def _panel_faults(subject: Subject) -> list[str]:
    """Panels that are still scored although they are incomplete: they must come true within the act limits."""
    faults = []
    for panel in subject.evaluation.get("panels", []):
        ratio = panel["observed_expected"]
        if not panel.get("scored", True) or ratio["low"] is None:
            continue
        if ratio["high"] < RATIO_ACT[0] or ratio["low"] > RATIO_ACT[1]:
            faults.append(
                f"{panel['words']} it is still scored, and observed/expected is {ratio['value']:.2f} "
                f"({ratio['low']:.2f} to {ratio['high']:.2f})"
            )
    return faults


def _unnamed(subject: Subject, evidence: Evidence, people: Any) -> list[str]:
    """Every missing input of a composed card stands in its text."""
    assert evidence.cards is not None  # noqa: S101 - told to mypy; the caller looked
    gone = people[: len(subject.features)].copy()
    for place, item in enumerate(subject.features[: len(gone)]):
        if item.name not in subject.always:
            gone[place, place] = np.nan
    unnamed = {name for card in evidence.cards(gone) for name in card.missing if name not in card.detail}
    return [f"the card does not name what is missing: {', '.join(sorted(unnamed))}"] if unnamed else []


GATES = (Gate("G11", "Missing data", "Does it stay honest when inputs are missing?", check_missing),)
