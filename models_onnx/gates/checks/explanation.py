"""G6: is the explanation exact, do inputs without effect contribute nothing, and is it stable under noise?"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models_onnx.gates.gate import Gate, Verdict
from models_onnx.gates.rows import SEED, is_binary, ordinary, with_missing_values
from models_onnx.gates.subject import Answers, Evidence, Subject

ADDITIVITY = 1e-5
DUMMY = 1e-6
NOISE = 0.01
TOP = 3
OVERLAP = 0.8
NOT_EXPLAINED = (
    "it gives no exact explanation (margin, base and contributions in the file), so it is refused for cards; it may "
    "still serve lists and operations"
)
# The functions from margin to probability, by the name of the link in the file.
_INVERSE: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "logit": lambda margin: 1.0 / (1.0 + np.exp(-margin)),
    "cloglog": lambda margin: -np.expm1(-np.exp(np.minimum(margin, 700.0))),
    "identity": lambda margin: np.clip(margin, 0.0, 1.0),
}
_PEOPLE = 300
_OTHERS = 25


def check_explanation(subject: Subject, _evidence: Evidence) -> Verdict:
    """Additivity to 1e-5, margin = link(probability), inputs without effect contribute 0, and stability.

    The three strongest inputs stay the same when measured values change by 1 %.
    """
    people = ordinary(subject.features, _PEOPLE)
    rows = with_missing_values(people, subject.features, subject.always)
    answers = subject.answers(rows)
    if not answers.explains:
        return Verdict("", (NOT_EXPLAINED,))
    residual = _residual(answers)
    linked = _link_gap(answers)
    faults = []
    if not residual <= ADDITIVITY:
        faults.append(f"base and contributions miss the margin by {residual:.1e} (limit {ADDITIVITY:g})")
    if not linked <= ADDITIVITY:
        faults.append(f"the margin is not {answers.link} of the probability: {linked:.1e} apart (limit {ADDITIVITY:g})")
    faults += _dummy_faults(subject, people)
    faults += _missing_faults(answers, rows)
    overlap = _overlap(subject, people)
    if not overlap >= OVERLAP:
        faults.append(f"under ±1 % noise only {overlap:.2f} of the strongest three stay (limit {OVERLAP})")
    figures = {"additivity": residual, "link": linked, "overlap": round(overlap, 3), "rows": len(rows)}
    said = (
        f"Adds up to {residual:.0e} over {len(rows)} rows; of the strongest three {overlap:.2f} stay under ±1 % noise."
    )
    return Verdict(said, tuple(faults), figures)


def _residual(answers: Answers) -> float:
    assert answers.margin is not None and answers.contributions is not None  # noqa: S101, PT018 - the caller looked
    gap = np.abs(answers.margin - float(answers.base or 0.0) - answers.contributions.sum(axis=1))
    return float((gap / np.maximum(1.0, np.abs(answers.margin))).max())


def _link_gap(answers: Answers) -> float:
    assert answers.margin is not None  # noqa: S101 - the caller looked
    told = _INVERSE.get(answers.link)
    return float("inf") if told is None else float(np.abs(told(answers.margin) - answers.probability).max())


def _dummy_faults(subject: Subject, people: NDArray[np.float64]) -> list[str]:
    """An input that changes nobody's estimate, whatever its value, must have the same contribution for everybody."""
    faults = []
    draw = np.random.default_rng(SEED)
    before = subject.answers(people[:_OTHERS])
    if before.contributions is None or before.contributions.shape[1] != len(subject.features):
        return []  # a group has one contribution: the share of a single input is not known
    for place, item in enumerate(subject.features):
        moved = np.repeat(people[:_OTHERS], 4, axis=0)
        moved[:, place] = draw.uniform(item.trained_low, item.trained_high, len(moved))
        answers = subject.answers(moved)
        still = np.abs(answers.probability - np.repeat(before.probability, 4)).max() <= DUMMY / 10
        spread = np.ptp(answers.contributions[:, place]) if answers.contributions is not None else 0.0
        if still and spread > DUMMY:
            faults.append(f"{item.name} changes no estimate and yet contributes")
    return faults


def _missing_faults(answers: Answers, rows: NDArray[np.float64]) -> list[str]:
    """responsible-ai.md and issue 4: a missing input contributes 0, its reference value."""
    if answers.contributions is None or answers.contributions.shape != rows.shape:
        return []
    given = np.abs(answers.contributions[np.isnan(rows)])
    return [f"a missing input contributes up to {given.max():.1e}"] if given.size and given.max() > DUMMY else []


def _overlap(subject: Subject, people: NDArray[np.float64]) -> float:
    """Mean share of the three strongest inputs that remain when every measured value changes by up to 1 %."""
    draw = np.random.default_rng(SEED)
    factor = 1.0 + draw.uniform(-NOISE, NOISE, people.shape)
    factor[:, [is_binary(item) for item in subject.features]] = 1.0
    low = np.array([item.trained_low for item in subject.features])
    high = np.array([item.trained_high for item in subject.features])
    before, after = subject.answers(people), subject.answers(np.clip(people * factor, low, high))
    if before.contributions is None or after.contributions is None:
        return 0.0
    count = min(TOP, before.contributions.shape[1])
    pairs = zip(_strongest(before.contributions, count), _strongest(after.contributions, count), strict=True)
    return float(np.mean([len(set(one) & set(other)) / count for one, other in pairs]))


def _strongest(contributions: NDArray[np.float64], count: int) -> list[list[int]]:
    found: list[list[int]] = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :count].tolist()
    return found


GATES = (Gate("G6", "Explanation is exact", "Do the reasons add up to the estimate?", check_explanation),)
