"""Mature estimates of a model with what happened after them: the way back from monitoring to a table for training.

A row is one decision in which the model, or a version of it, estimated a risk, whose horizon and label lag have passed,
and of which it is known whether the event came: by a report, or because the client has sent every event of that time.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from math import ceil
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from cds_hooks.evidence.outcomes.labels import DAY, Label
from cds_hooks.evidence.storage.decision import Decision, DecisionBasis, each_scores, read_basis
from cds_hooks.evidence.storage.outcomes import completed, newest_outcomes
from cds_hooks.evidence.storage.queries import DecisionFilter, find_decisions

FOLDS: Final = 5
_AT_ONCE: Final = 500
_BELOW: Final = "below-threshold"
_NO_CARD: Final = "no-card"
_REPLICATES: Final = 500
_SEED: Final = 20260101
ENOUGH_EVENTS: Final = 100
"""With fewer events nothing is said of which version is better (responsible-ai.md 5.2)."""


class Estimated(Struct, frozen=True, kw_only=True):
    """What one version came to: its file, its estimate, and whether its card was due."""

    version: str = ""
    sha256: str = ""
    probability: float
    is_due: bool


class Followed(Struct, frozen=True):
    """One decision, mature and with its outcome; `estimates` has the version that answered first."""

    decision: str
    patient: str
    decided_at: int
    features: dict[str, float]
    groups: tuple[str, ...]
    estimates: tuple[Estimated, ...]
    event: bool
    reasons: tuple[str, ...] = ()
    """Why the model's card was not shown; empty where it was."""

    def of_file(self, sha256: str) -> Estimated | None:
        """Return the estimate of the version with this file; None where it did not compute."""
        return next((estimate for estimate in self.estimates if estimate.sha256 == sha256), None)


def followed(url: str, label: Label, now: int) -> Iterator[Followed]:
    """Yield the mature decisions of this model whose outcome is known, the newest first; `now` in microseconds.

    Raises:
        RecordUnavailable: The record cannot be read.
    """
    complete = completed(url)
    decisions = find_decisions(url, DecisionFilter(until=now - label.wait + 1, has_trials=False, model=label.model))
    while batch := list(islice(decisions, _AT_ONCE)):
        outcomes = newest_outcomes(url, {decision.id for decision in batch})
        for decision in batch:
            basis = read_basis(decision.basis)
            reported = outcomes.get((decision.id, "event", label.model))
            event = reported.value if reported is not None else _assumed(decision, complete, label)
            if event in ("yes", "no") and (estimates := tuple(_estimates(basis, label.model))):
                values = {name: evidence[0] for name, evidence in basis.features.items()}
                person = hashlib.sha256(f"{decision.client} {decision.patient}".encode()).hexdigest()[:16]
                subjects = (label.model, decision.service)
                reasons = tuple(reason for subject, reason, _ in basis.silence if subject in subjects)
                if not reasons and decision.outcome != "cards":
                    reasons = (_NO_CARD,)
                yield Followed(
                    decision.id, person, decision.decided_at, values, basis.groups, estimates, event == "yes", reasons
                )


def _assumed(decision: Decision, complete: dict[tuple[str, str], str], label: Label) -> str | None:
    """Return "no" where the client has sent every event up to the end of the horizon; None where that is not known."""
    through = complete.get((decision.client, label.event or ""))
    if through is None:
        return None
    day = datetime.fromtimestamp(decision.decided_at / 1e6, UTC).date()
    return "no" if date.fromisoformat(through) >= day + timedelta(days=ceil(label.horizon / DAY) + 1) else None


def _estimates(basis: DecisionBasis, model: str) -> Iterator[Estimated]:
    of_model = next(scores for scores in each_scores(basis.scores) if scores.get("id") == model)
    is_due = not any(subject == model and reason == _BELOW for subject, reason, _ in basis.silence)
    for computed in (of_model | {"is_due": is_due}, *of_model.get("beside", ())):
        if computed.get("probability") is not None:
            yield msgspec.convert(computed | {"is_due": bool(computed.get("is_due"))}, Estimated)


def table_rows(rows: Iterable[Followed], features: Sequence[str], outcome: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a training table: hashed patient, fold by patient, year, inputs, groups, outcome, estimate.

    The columns of the inputs have the names of the features, in their units; one that was missing is empty.
    """
    for row in rows:
        groups = dict(group.split(" ", 1) for group in row.groups)
        estimate = row.estimates[0]
        yield {
            "row": row.decision,
            "patient": row.patient,
            "fold": int(row.patient[:8], 16) % FOLDS,
            "year": datetime.fromtimestamp(row.decided_at / 1e6, UTC).year,
            **{name: row.features.get(name, "") for name in features},
            "race": groups.get("race", ""),
            "ethnicity": groups.get("ethnicity", ""),
            outcome: int(row.event),
            "estimate": estimate.probability,
            "estimated_by": estimate.version,
        }


# Two versions on the same people


class Performance(Struct, frozen=True):
    """What one version came to on these people; the net benefit is per 1,000 of them."""

    auroc: float
    observed_expected: float
    cards: int
    net_benefit: float


class WithOutcomes(Struct, frozen=True):
    """Both versions on the same people, the differences (version minus other) with 95 % intervals, and the verdict."""

    people: int
    events: int
    version: Performance | None = None
    other: Performance | None = None
    auroc: tuple[float, float, float] | None = None
    net_benefit: tuple[float, float, float] | None = None
    verdict: str = ""


def compare_with_outcomes(rows: Iterable[Followed], sha256: str, odds: float) -> WithOutcomes:
    """Compare the version with this file with the other one where both computed; `odds` weigh a false card.

    Intervals: bootstrap samples of patients. Nothing is said with fewer than 100 events.
    """
    patients, happened, versions, others = list[str](), list[bool](), list[Estimated](), list[Estimated]()
    for row in rows:
        version = row.of_file(sha256)
        other = next((estimate for estimate in row.estimates if estimate.sha256 != sha256), None)
        if version is not None and other is not None:
            patients.append(row.patient)
            happened.append(row.event)
            versions.append(version)
            others.append(other)
    y = np.array(happened, dtype=np.int64)
    events = int(y.sum())
    if events < ENOUGH_EVENTS or events == len(y):
        text = f"Nothing can be said of which is better: {events} events among {len(y)} people, {ENOUGH_EVENTS} needed."
        return WithOutcomes(len(y), events, verdict=text)
    weights = _samples(patients)
    ours, theirs = _figures(versions, y, weights, odds), _figures(others, y, weights, odds)
    auroc, benefit = (_difference(ours[name], theirs[name]) for name in ("auroc", "net_benefit"))
    both = (_performance(versions, ours), _performance(others, theirs))
    return WithOutcomes(len(y), events, *both, auroc, benefit, _verdict(auroc, benefit, both))


def _performance(estimates: Sequence[Estimated], figures: dict[str, NDArray[np.float64]]) -> Performance:
    """Return the figures of the people themselves, which are the first sample."""
    first = {name: float(values[0]) for name, values in figures.items()}
    return Performance(first["auroc"], first["oe"], sum(e.is_due for e in estimates), first["net_benefit"])


def _samples(patients: Sequence[str]) -> NDArray[np.float64]:
    """How often each row counts in each sample [1 + replicates, rows]; the first sample is the rows themselves."""
    _, number = np.unique(patients, return_inverse=True)
    draw, count = np.random.default_rng(_SEED), int(number.max()) + 1
    drawn = draw.multinomial(count, np.full(count, 1 / count), size=_REPLICATES)
    return np.vstack([np.ones(len(number)), drawn[:, number]])


def _figures(
    side: Sequence[Estimated], y: NDArray[np.int64], weights: NDArray[np.float64], odds: float
) -> dict[str, NDArray[np.float64]]:
    probability = np.array([estimate.probability for estimate in side])
    due = np.array([estimate.is_due for estimate in side], dtype=np.float64)
    total = weights.sum(axis=1)
    return {
        "auroc": _auroc(probability, y, weights),
        "oe": (weights @ y) / (weights @ probability),
        "net_benefit": 1000 * (weights @ (due * y) - odds * (weights @ (due * (1 - y)))) / total,
    }


def _auroc(probability: NDArray[np.float64], y: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """How often, in each sample, one with the event has the higher estimate than one without; ties count half."""
    order = np.argsort(probability, kind="stable")
    ranked, weighted = probability[order], weights[:, order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    events, others = (np.add.reduceat(weighted * kind[order], starts, axis=1) for kind in (y, 1 - y))
    below = np.cumsum(others, axis=1) - others
    total = events.sum(axis=1) * others.sum(axis=1)
    return np.asarray((events * (below + others / 2)).sum(axis=1) / np.where(total > 0, total, np.nan))


def _difference(version: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float, float]:
    gaps = version - other
    low, high = np.nanpercentile(gaps[1:], [2.5, 97.5])
    return float(gaps[0]), float(low), float(high)


def _verdict(
    auroc: tuple[float, float, float], benefit: tuple[float, float, float], both: Sequence[Performance]
) -> str:
    """Return the verdict in words; worse in one thing that is certain is worse, whatever the other says."""
    worse = [name for name, gap in (("AUROC", auroc), ("net benefit", benefit)) if gap[2] < 0]
    better = [name for name, gap in (("AUROC", auroc), ("net benefit", benefit)) if gap[1] > 0]
    off = [abs(np.log(performance.observed_expected)) for performance in both]
    closer = "nearer to" if off[0] < off[1] else "further from"
    ratios = " and ".join(f"{performance.observed_expected:.2f}" for performance in both)
    calibrated = f"Its estimates are {closer} what happened (O/E {ratios})."
    if worse:
        return f"Worse: its {' and '.join(worse)} {'is' if len(worse) == 1 else 'are'} lower for certain. {calibrated}"
    if better:
        return (
            f"Better: its {' and '.join(better)} {'is' if len(better) == 1 else 'are'} higher for certain. {calibrated}"
        )
    return f"No certain difference in AUROC or net benefit. {calibrated}"
