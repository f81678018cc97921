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

from msgspec import Struct

from cds_hooks.evidence.outcomes.labels import DAY, Label
from cds_hooks.evidence.storage.decision import Decision, each_scores, read_basis
from cds_hooks.evidence.storage.outcomes import completed, newest_outcomes
from cds_hooks.evidence.storage.queries import DecisionFilter, find_decisions

FOLDS: Final = 5
_AT_ONCE: Final = 500


class Followed(Struct, frozen=True):
    """One decision, mature and with its outcome: the estimate, and the version that answered."""

    decision: str
    patient: str
    decided_at: int
    features: dict[str, float]
    groups: tuple[str, ...]
    version: str
    estimate: float
    event: bool


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
            scores = next(scores for scores in each_scores(basis.scores) if scores.get("id") == label.model)
            if event in ("yes", "no") and (estimate := scores.get("probability")) is not None:
                values = {name: evidence[0] for name, evidence in basis.features.items()}
                person = hashlib.sha256(f"{decision.client} {decision.patient}".encode()).hexdigest()[:16]
                version = str(scores.get("version", ""))
                yield Followed(
                    decision.id, person, decision.decided_at, values, basis.groups, version, estimate, event == "yes"
                )


def _assumed(decision: Decision, complete: dict[tuple[str, str], str], label: Label) -> str | None:
    """Return "no" where the client has sent every event up to the end of the horizon; None where that is not known."""
    through = complete.get((decision.client, label.event or ""))
    if through is None:
        return None
    day = datetime.fromtimestamp(decision.decided_at / 1e6, UTC).date()
    return "no" if date.fromisoformat(through) >= day + timedelta(days=ceil(label.horizon / DAY) + 1) else None


def table_rows(rows: Iterable[Followed], features: Sequence[str], outcome: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a training table: hashed patient, fold by patient, year, inputs, groups, outcome, estimate.

    The columns of the inputs have the names of the features, in their units; one that was missing is empty.
    """
    for row in rows:
        groups = dict(group.split(" ", 1) for group in row.groups)
        yield {
            "row": row.decision,
            "patient": row.patient,
            "fold": int(row.patient[:8], 16) % FOLDS,
            "year": datetime.fromtimestamp(row.decided_at / 1e6, UTC).year,
            **{name: row.features.get(name, "") for name in features},
            "race": groups.get("race", ""),
            "ethnicity": groups.get("ethnicity", ""),
            outcome: int(row.event),
            "estimate": row.estimate,
            "estimated_by": row.version,
        }
