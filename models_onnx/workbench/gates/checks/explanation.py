"""Does the explanation add up, and does a missing input count as the model declares?

That each share is the right one is proven when the file is compiled (compiler/parity.py), and again by the gate parity.

A missing input is judged by what the model declares (`missing_inputs` of its manifest): as the average it contributes
0; as an imputed value the file must answer as with that value; where its absence was learned, people without it must
have been there to learn from, and its contribution is told.
"""

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import ExplanationMismatch
from models_onnx.serving.runtime import Predictions
from models_onnx.workbench.compiler.link import IDENTITY, LOGIT
from models_onnx.workbench.gates.gate import NotRun, Verdict
from models_onnx.workbench.gates.rows import ordinary, with_missing_values
from models_onnx.workbench.gates.subject import Evidence, Subject

ADDITIVITY = 1e-5
DUMMY = 1e-6
_LINKS = {link.name: link for link in (LOGIT, IDENTITY)}
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
    try:
        answers = subject.answers(rows)
    except ExplanationMismatch as problem:
        return Verdict("", (f"{problem} (limit {ADDITIVITY:g})",))
    residual, link = _residual(subject, answers), subject.manifest.link
    linked = float(np.abs(_LINKS[link].probability(answers.margin) - answers.probability).max())
    faults = []
    if not linked <= ADDITIVITY:
        faults.append(f"the margin is not {link} of the probability: {linked:.1e} apart (limit {ADDITIVITY:g})")
    kind = subject.manifest.missing_kind
    if kind == "learned":
        learned, absent = _learned_faults(subject, evidence, people)
        faults += learned
    else:
        absent = 0.0
        judge = _imputed_faults if kind == "imputed" else _missing_faults
        faults += judge(subject, rows, answers)
    figures: dict[str, float | str] = {"additivity": residual, "link": linked, "rows": len(rows)}
    figures |= {"missing": kind, **({"largest_of_absence": round(absent, 4)} if kind == "learned" else {})}
    sentence = (
        f"Adds up to {residual:.0e} over {len(rows)} rows. "
        f"A missing input {_KINDS[kind]}{f', up to {absent:.2f} in the margin' if kind == 'learned' else ''}."
    )
    return Verdict(sentence, tuple(faults), figures)


def _residual(subject: Subject, answers: Predictions) -> float:
    gap = np.abs(answers.margin - subject.manifest.base - answers.contributions.sum(axis=1))
    return float((gap / np.maximum(1.0, np.abs(answers.margin))).max())


def _shares(subject: Subject, answers: Predictions) -> NDArray[np.float64]:
    """Return the contributions of the inputs, or of the groups in which they are explained together."""
    if not subject.groups:
        return answers.contributions
    return np.column_stack([answers.contributions[:, list(members)].sum(axis=1) for _, members in subject.groups])


def _missing_faults(subject: Subject, rows: NDArray[np.float64], answers: Predictions) -> list[str]:
    """responsible-ai.md and issue 4: a missing input contributes 0, its reference value."""
    contributions = np.abs(answers.contributions[np.isnan(rows)])
    if subject.groups or not contributions.size or contributions.max() <= DUMMY:
        return []
    return [
        f"a missing input contributes up to {contributions.max():.1e}, and the model declares that it counts as the "
        "average: declare missing_inputs='imputed' or 'learned', whichever it is, and train again"
    ]


def _imputed_faults(subject: Subject, rows: NDArray[np.float64], answers: Predictions) -> list[str]:
    """Compare the answers for people without an input with those for the same people with the declared value."""
    declared = getattr(subject.manifest.missing_inputs, "values", {})
    shares, faults = _shares(subject, answers), []
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
        apart = max(apart, np.abs(_shares(subject, substituted) - shares[is_missing]).max())
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
        moved = _moved_by_absence(subject, subject.answers(without_input), people, position)
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
    subject: Subject, answers: Predictions, people: NDArray[np.float64], position: int
) -> NDArray[np.float64]:
    """Return what an input's absence contributes; in a group, what the group's share changes by it."""
    of_group = [column for column, (_, members) in enumerate(subject.groups) if position in members]
    if not of_group:
        return np.asarray(answers.contributions[:, position])
    before = _shares(subject, subject.answers(people))
    return np.asarray(_shares(subject, answers)[:, of_group[0]] - before[:, of_group[0]])
