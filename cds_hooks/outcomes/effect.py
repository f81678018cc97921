"""The effect of showing a card on what happened afterwards, from a canary: the only time at which chance decided.

In a canary the patients who are shown the card are chosen by a keyed hash with a known share, so the share is each
patient's propensity. A patient counts once, by the first decision in which the card was due; later ones depend on what
was shown before. Checks that come after the canary hold cards back in the arm of those who are to be shown it only, so
a patient counts in the arm that was drawn, shown or not (intention to treat): without them the arms would differ. The
estimate is doubly robust (augmented inverse probability weighting, Robins, Rotnitzky and Zhao,
JASA 1994;89:846): the outcome expected at this estimate is fitted in each arm without the patient's fold, and the
difference to what happened is weighted. It is a report, never an input of a card.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final, TypeAlias

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from cds_hooks.outcomes.followed import FOLDS, Followed

Array = NDArray[np.float64]
Shares: TypeAlias = Sequence[tuple[float, float | None]]
"""From when on (epoch seconds) the card is shown to which share (0 to 1); None where chance does not decide."""
CANARY: Final = "canary"
LEAST_PATIENTS: Final = 100
LEAST_EVENTS: Final = 20
"""In each arm; with fewer, the interval would be wider than any effect that a card can have."""
_FARTHEST: Final = 3.29
"""Standard deviations between the share drawn and the share seen: by chance once in 1,000."""
_STEPS: Final = 50


class Effect(Struct, frozen=True):
    """Patients and events of both arms, the difference of the risks (shown minus withheld) with its 95 % interval.

    `shown` are all who were drawn to be shown the card; of `held_back` of them another check held it back. `crude` is
    the difference without any adjustment. `refused` is why nothing can be said; empty where it can.
    """

    shown: int
    withheld: int
    events_shown: int
    events_withheld: int
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    crude: float | None = None
    held_back: int = 0
    refused: str = ""


class _Arms(Struct):
    shown: Array
    held_back: int
    propensity: Array
    event: Array
    odds: Array
    fold: NDArray[np.int64]


def effect_of_showing(rows: Iterable[Followed], shares: Shares, model: str, later: Collection[str]) -> Effect:
    """Returns the effect over the mature decisions of a model; `shares` are in the order of time.

    `later` are the reasons of the checks that come after the canary.
    """
    arms = _arms(rows, shares, {CANARY, *later})
    shown = arms.shown == 1
    events = arms.event[shown], arms.event[~shown]
    counts = len(events[0]), len(events[1]), int(events[0].sum()), int(events[1].sum())
    counted = Effect(*counts, held_back=arms.held_back)
    if (refused := _refused(arms, counted, model)) is not None:
        return structs.replace(counted, refused=refused)
    difference, low, high = doubly_robust(
        arms.shown, arms.propensity, arms.event, *(_expected(arms, arm) for arm in (1, 0))
    )
    crude = float(events[0].mean() - events[1].mean())
    return structs.replace(counted, difference=difference, low=low, high=high, crude=crude)


def doubly_robust(
    shown: Array, propensity: Array, event: Array, expected_shown: Array, expected_withheld: Array
) -> tuple[float, float, float]:
    """Returns the mean difference and its 95 % interval; right where the propensities or the expectations are right."""
    treated = expected_shown + shown * (event - expected_shown) / propensity
    untreated = expected_withheld + (1 - shown) * (event - expected_withheld) / (1 - propensity)
    scores = treated - untreated
    mean, error = float(scores.mean()), float(scores.std(ddof=1) / np.sqrt(len(scores)))
    return mean, mean - 1.96 * error, mean + 1.96 * error


def _arms(rows: Iterable[Followed], shares: Shares, drawn: set[str]) -> _Arms:
    """Returns one row for each patient: the first decision of a canary in which the card was due."""
    first: dict[str, tuple[Followed, float]] = {}
    for row in rows:
        share = _share_at(shares, row.decided_at)
        is_decided_by_chance = share is not None and row.estimates[0].is_due and drawn.issuperset(row.reasons)
        earlier = first.get(row.patient)
        if share is not None and is_decided_by_chance and (earlier is None or row.decided_at < earlier[0].decided_at):
            first[row.patient] = row, share
    probability = np.clip([row.estimates[0].probability for row, _ in first.values()], 1e-9, 1 - 1e-9)
    return _Arms(
        shown=np.array([CANARY not in row.reasons for row, _ in first.values()], dtype=np.float64),
        held_back=sum(bool(row.reasons) and CANARY not in row.reasons for row, _ in first.values()),
        propensity=np.array([share for _, share in first.values()], dtype=np.float64),
        event=np.array([row.event for row, _ in first.values()], dtype=np.float64),
        odds=np.log(probability / (1 - probability)),
        fold=np.array([int(patient[:8], 16) % FOLDS for patient in first], dtype=np.int64),
    )


def _share_at(shares: Shares, at: int) -> float | None:
    """Returns the share of the canary in force at this time (microseconds); None where none was."""
    return next((share for since, share in reversed(shares) if since * 1e6 <= at), None)


def _refused(arms: _Arms, counted: Effect, model: str) -> str | None:
    shown, withheld, events = counted.shown, counted.withheld, (counted.events_shown, counted.events_withheld)
    if not shown + withheld:
        return (
            f"No mature decision was made while {model} was in canary. Only a canary leaves it to chance who is shown "
            "a card: cds-hooks release set canary model NAME --share 50 makes one"
        )
    if min(shown, withheld) < LEAST_PATIENTS or min(events) < LEAST_EVENTS:
        return (
            f"{shown} patients were shown the card and {withheld} were not, with {events[0]} and {events[1]} events; "
            f"{LEAST_PATIENTS} patients and {LEAST_EVENTS} events are needed in each arm"
        )
    expected = float(arms.propensity.sum())
    spread = float(np.sqrt((arms.propensity * (1 - arms.propensity)).sum()))
    if abs(shown - expected) > _FARTHEST * spread:
        return (
            f"{shown} patients were shown the card where {expected:.0f} were drawn: who counts here was not left to "
            "chance (outcomes of one arm are reported more often, or something else held cards back)"
        )
    return None


def _expected(arms: _Arms, arm: int) -> Array:
    """Returns the outcome expected in one arm, by the estimate, from the patients of other folds in that arm."""
    expected = np.empty(len(arms.event))
    for fold in range(FOLDS):
        fitted_on = (arms.shown == arm) & (arms.fold != fold)
        intercept, slope = _line(arms.odds[fitted_on], arms.event[fitted_on])
        apart = arms.fold == fold
        expected[apart] = 1 / (1 + np.exp(-(intercept + slope * arms.odds[apart])))
    return expected


def _line(odds: Array, event: Array) -> tuple[float, float]:
    """Returns intercept and slope of a logistic regression on the log odds, with a ridge so that it always settles."""
    design = np.column_stack([np.ones(len(odds)), odds])
    line, ridge = np.array([0.0, 1.0]), 1e-3 * np.eye(2)
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(design @ line, -30, 30)))
        gradient = design.T @ (event - p) - ridge @ (line - [0.0, 1.0])
        step = np.linalg.solve(design.T @ (design * (p * (1 - p))[:, None]) + ridge, gradient)
        line = line + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-9:
            break
    return float(line[0]), float(line[1])
