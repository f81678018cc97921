"""Is the explanation exact, do inputs without effect contribute nothing, and is it stable under noise?

Where the file explains groups of inputs by asking a network for every coalition, a few people are explained again by
the definition, from the file's own estimates.

A missing input is judged by what the model declares (`missing_inputs` of its manifest): as the average it contributes
0; as an imputed value the file must answer as with that value; where its absence was learned, people without it must
have been there to learn from, and its contribution is told.
"""

from collections.abc import Callable
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from models_onnx.workbench.gates.gate import NotRun, Verdict
from models_onnx.workbench.gates.rows import SEED, is_binary, ordinary, with_missing_values
from models_onnx.workbench.gates.subject import Answers, Evidence, Subject

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
    "identity": lambda margin: np.clip(margin, 0.0, 1.0),
}
LEAST_LACKING = 0.01
"""Share of the people who must lack an input, so that its absence was learned from somebody (docs/models/gates.md)."""
_KINDS = {
    "average": "contributes 0",
    "imputed": "counts as the value that is declared for it",
    "learned": "counts by what was learned from people without it",
}
_EXPLAINED_AGAIN = 8
_PEOPLE = 300
_OTHERS = 25
_MANY = 2000


def check_explanation(subject: Subject, evidence: Evidence) -> Verdict:
    """Check additivity to 1e-5, margin = link(probability), that inputs without effect contribute 0, and stability.

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
    if "explanation" in subject.metadata:
        faults += _group_faults(subject, people[:_EXPLAINED_AGAIN])
    kind = subject.manifest.missing_kind
    if kind == "learned":
        learned, absent = _learned_faults(subject, evidence, people)
        faults += learned
    else:
        absent = 0.0
        faults += _imputed_faults(subject, rows, answers) if kind == "imputed" else _missing_faults(answers, rows)
    overlap = _overlap(subject, people)
    if not overlap >= OVERLAP:
        faults.append(f"under ±1 % noise only {overlap:.2f} of the strongest three stay (limit {OVERLAP})")
    figures: dict[str, float | str] = {
        "additivity": residual,
        "link": linked,
        "overlap": round(overlap, 3),
        "rows": len(rows),
    }
    figures |= {"missing": kind, **({"largest_of_absence": round(absent, 4)} if kind == "learned" else {})}
    sentence = (
        f"Adds up to {residual:.0e} over {len(rows)} rows; of the strongest three {overlap:.2f} stay under ±1 % noise. "
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


def _dummy_faults(subject: Subject, people: NDArray[np.float64]) -> list[str]:
    """Check that an input which changes nobody's estimate has the same contribution for everybody."""
    faults = []
    draw = np.random.default_rng(SEED)
    before = subject.answers(people[:_OTHERS])
    if before.contributions is None or before.contributions.shape[1] != len(subject.features):
        return []  # a group has one contribution: the share of a single input is not known
    for position, item in enumerate(subject.features):
        moved = np.repeat(people[:_OTHERS], 4, axis=0)
        moved[:, position] = draw.uniform(item.trained_low, item.trained_high, len(moved))
        answers = subject.answers(moved)
        still = np.abs(answers.probability - np.repeat(before.probability, 4)).max() <= DUMMY / 10
        spread = np.ptp(answers.contributions[:, position]) if answers.contributions is not None else 0.0
        if still and spread > DUMMY and not _changes_somebody(subject, position):
            faults.append(f"{item.name} changes no estimate and yet contributes")
    return faults


def _group_faults(subject: Subject, people: NDArray[np.float64]) -> list[str]:
    """Compare the shares of groups with their Shapley values by definition: the mean gain over orders of joining."""
    groups = [members for _, members in subject.groups] or [(column,) for column in range(len(subject.features))]
    answers = subject.answers(people)
    background = np.array([item.reference_value for item in subject.features])
    if answers.contributions is None or answers.contributions.shape[1] != len(groups):
        return ["its contributions are not those of the groups that the manifest names"]
    gains: list[NDArray[np.float64]] = []
    subsets = [
        frozenset(chosen) for size in range(len(groups) + 1) for chosen in combinations(range(len(groups)), size)
    ]
    for chosen in subsets:
        mixed = np.tile(background, (len(people), 1))
        columns = [column for group in chosen for column in groups[group]]
        mixed[:, columns] = people[:, columns]
        margin = subject.answers(mixed).margin
        gains.append(np.zeros(len(people)) if margin is None else margin)
    worth, count = dict(zip(subsets, gains, strict=True)), len(groups)
    shares = np.zeros((len(people), count))
    for chosen in subsets:
        for group in set(range(count)) - chosen:
            share = (worth[chosen | {group}] - worth[chosen]) / (count * comb(count - 1, len(chosen)))
            shares[:, group] += share
    apart = float((np.abs(shares - answers.contributions) / np.maximum(1.0, np.abs(shares))).max())
    fault = f"the shares of groups are {apart:.1e} apart from their Shapley values (limit {ADDITIVITY:g})"
    return [] if apart <= ADDITIVITY else [fault]


def _changes_somebody(subject: Subject, position: int) -> bool:
    """Whether an input that changed none of a few estimates changes one of many, with values missing among the others.

    Trees often ask about an input of few people only: a sex that counts for one in twenty contributes rightly.
    """
    item, draw = subject.features[position], np.random.default_rng(SEED)
    anywhere = [draw.uniform(feature.trained_low, feature.trained_high, _MANY) for feature in subject.features]
    people = np.vstack([ordinary(subject.features, _MANY, SEED + 1), np.column_stack(anywhere)])
    rows = np.vstack([people, with_missing_values(people, subject.features, subject.always)])
    moved = rows.copy()
    moved[:, position] = draw.uniform(item.trained_low, item.trained_high, len(rows))
    before, after = subject.answers(rows).probability, subject.answers(moved).probability
    return bool(np.abs(after - before).max() > DUMMY / 10)


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
    return float(np.mean([len(set(before) & set(after)) / count for before, after in pairs]))


def _strongest(contributions: NDArray[np.float64], count: int) -> list[list[int]]:
    ranking: list[list[int]] = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :count].tolist()
    return ranking
