"""Does the explanation add up, and does a missing input count as the model declares?

That each share is the right one is proven when the file is compiled (compiler/parity.py), and again by the gate parity.

A missing input is judged by what the model declares (`missing_inputs` of its manifest): as the average it contributes
0; as an imputed value the file must answer as with that value; where its absence was learned, people without it must
have been there to learn from, and its contribution is told.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models_onnx.workbench.gates.gate import NotRun, Verdict
from models_onnx.workbench.gates.rows import ordinary, with_missing_values
from models_onnx.workbench.gates.subject import Answers, Evidence, Subject

ADDITIVITY = 1e-5
DUMMY = 1e-6
NOT_EXPLAINED = (
    "it gives no exact explanation (margin, base and contributions in the file), so it is refused for cards; it may "
    "still serve lists and operations"
)
# The functions from margin to probability, by the name of the link in the file.
_INVERSE: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "logit": lambda margin: 1.0 / (1.0 + np.exp(-margin)),
    "identity": lambda margin: np.clip(margin, 0.0, 1.0),
}
LEAST_LACKING = 0.01
"""Share of the people who must lack an input, so that its absence was learned from somebody (docs/models/gates.md)."""
_KINDS = {
    "average": "contributes 0",
    "imputed": "counts as the value that is declared for it",
    "learned": "counts by what was learned from people without it",
}
_PEOPLE = 300


def check_explanation(subject: Subject, evidence: Evidence) -> Verdict:
    """Check additivity to 1e-5, margin = link(probability), and what a missing input counts as."""
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
    kind = subject.manifest.missing_kind
    if kind == "learned":
        learned, absent = _learned_faults(subject, evidence, people)
        faults += learned
    else:
        absent = 0.0
        faults += _imputed_faults(subject, rows, answers) if kind == "imputed" else _missing_faults(answers, rows)
    figures: dict[str, float | str] = {"additivity": residual, "link": linked, "rows": len(rows)}
    figures |= {"missing": kind, **({"largest_of_absence": round(absent, 4)} if kind == "learned" else {})}
    sentence = (
        f"Adds up to {residual:.0e} over {len(rows)} rows. "
        f"A missing input {_KINDS[kind]}{f', up to {absent:.2f} in the margin' if kind == 'learned' else ''}."
    )
    return Verdict(sentence, tuple(faults), figures)


def _residual(answers: Answers) -> float:
    assert answers.margin is not None and answers.contributions is not None  # noqa: S101, PT018 - the caller looked
    gap = np.abs(answers.margin - float(answers.base or 0.0) - answers.contributions.sum(axis=1))
    return float((gap / np.maximum(1.0, np.abs(answers.margin))).max())


def _link_gap(answers: Answers) -> float:
    assert answers.margin is not None  # noqa: S101 - the caller looked
    inverse = _INVERSE.get(answers.link)
    return float("inf") if inverse is None else float(np.abs(inverse(answers.margin) - answers.probability).max())


def _missing_faults(answers: Answers, rows: NDArray[np.float64]) -> list[str]:
    """responsible-ai.md and issue 4: a missing input contributes 0, its reference value."""
    if answers.contributions is None or answers.contributions.shape != rows.shape:
        return []
    contributions = np.abs(answers.contributions[np.isnan(rows)])
    if not contributions.size or contributions.max() <= DUMMY:
        return []
    return [
        f"a missing input contributes up to {contributions.max():.1e}, and the model declares that it counts as the "
        "average: declare missing_inputs='imputed' or 'learned', whichever it is, and train again"
    ]


def _imputed_faults(subject: Subject, rows: NDArray[np.float64], answers: Answers) -> list[str]:
    """Compare the answers for people without an input with those for the same people with the declared value."""
    assert answers.contributions is not None  # noqa: S101 - the caller looked
    declared = getattr(subject.manifest.missing_inputs, "values", {})
    faults = []
    for position, item in enumerate(subject.features):
        is_missing = np.isnan(rows[:, position])
        if not is_missing.any():
            continue
        if item.name not in declared:
            faults.append(f"no value is declared that stands in for a missing {item.name}")
            continue
        put_in = rows[is_missing].copy()
        put_in[:, position] = declared[item.name]
        substituted = subject.answers(put_in)
        apart = np.abs(substituted.probability - answers.probability[is_missing]).max()
        if substituted.contributions is not None:
            apart = max(apart, np.abs(substituted.contributions - answers.contributions[is_missing]).max())
        if not apart <= ADDITIVITY:
            faults.append(f"a missing {item.name} counts otherwise than as {declared[item.name]:g}: {apart:.1e} apart")
    return faults


def _learned_faults(subject: Subject, evidence: Evidence, people: NDArray[np.float64]) -> tuple[list[str], float]:
    """Find inputs whose absence moves estimates while (nearly) nobody lacked them; and the largest such contribution.

    Raises:
        NotRun: there are no rows to see who lacked what.
    """
    if evidence.people is None:
        raise NotRun(
            "It declares that absence was learned; without the rows it cannot be seen from whom: "
            + evidence.why_absent("people", "no rows were given.")
        )
    faults, largest = [], 0.0
    for position, item in enumerate(subject.features):
        if item.name in subject.always:
            continue
        without_input = people.copy()
        without_input[:, position] = np.nan
        answers = subject.answers(without_input)
        moved = _moved_by_absence(subject, answers, people, position)
        if moved is None:
            return ["contributions are of groups, so what an absence contributes is not known"], largest
        largest_here = float(np.abs(moved).max())
        lacking = int(np.isnan(evidence.people[:, position]).sum())
        if largest_here > DUMMY and lacking < LEAST_LACKING * len(evidence.people):
            faults.append(
                f"{lacking} of {len(evidence.people)} people lacked {item.name}, so what its absence contributes (up "
                f"to {largest_here:.2f}) was learned from nobody: declare it always required, or impute it"
            )
        largest = max(largest, largest_here)
    if largest <= DUMMY:
        faults.append("it declares that absence was learned, and no absence contributes: leave the declaration out")
    return faults, largest


def _moved_by_absence(
    subject: Subject, answers: Answers, people: NDArray[np.float64], position: int
) -> NDArray[np.float64] | None:
    """Return what an input's absence contributes; in a group, what the group's share changes by it; None: not known."""
    if answers.contributions is None or (not subject.groups and answers.contributions.shape != people.shape):
        return None
    of_group = [column for column, (_, members) in enumerate(subject.groups) if position in members]
    if not of_group:
        return np.asarray(answers.contributions[:, position])
    before = subject.answers(people).contributions
    return np.asarray(answers.contributions[:, of_group[0]] - (0.0 if before is None else before[:, of_group[0]]))
