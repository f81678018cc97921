"""A version of a model against the one in use, over the decisions in which both computed from the same inputs.

Least time and number of predictions in shadow before a canary: responsible-ai.md section 5.5 (7 days, 500 predictions).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from cds_hooks.storage.decision import Decision
from cds_hooks.storage.queries import DecisionFilter, find_decisions
from models_onnx.monitoring.day import groups_of

LEAST_PREDICTIONS: Final = 500
LEAST_DAYS: Final = 7
_BELOW: Final = "below-threshold"
_EXAMPLES: Final = 5


class _Beside(Struct):
    id: str
    version: str
    sha256: str
    probability: float | None = None
    is_due: bool = False
    error: str = ""


class _Scores(Struct):
    id: str = ""
    version: str = ""
    sha256: str = ""
    probability: float | None = None
    beside: list[_Beside] = []


class _Basis(Struct):
    features: dict[str, tuple[float, str | None, str | None]] = {}
    scores: _Scores | None = None
    groups: tuple[str, ...] = ()
    silence: list[tuple[str, str, str]] = []


_basis: Final = msgspec.json.Decoder(_Basis)


class Group(Struct):
    """What was counted of one group of patients: `all`, a sex, or an age band."""

    predictions: int = 0
    due_version: int = 0
    """How often the card of the version was due by its threshold."""
    due_other: int = 0
    """The same of the one that it is compared with."""
    only_version: int = 0
    only_other: int = 0
    difference: float = 0.0
    """Sum of the differences of both probabilities (version minus the other)."""

    @property
    def mean_difference(self) -> float:
        """The mean of the differences, from -1 to 1; 0 where nothing was counted."""
        return self.difference / self.predictions if self.predictions else 0.0


class Comparison(Struct):
    """What both came to; `errors` counts by kind of error what the version could not compute."""

    groups: dict[str, Group] = {}
    errors: dict[str, int] = {}
    examples: list[str] = []
    """Decisions in which only one of both had a card due, the newest first."""


def compare(decisions: Iterable[Decision], sha256: str) -> Comparison:
    """Return each decision in which the version with this file and another one computed, whoever of both answered."""
    comparison = Comparison()
    errors: Counter[str] = Counter()
    for decision in decisions:
        basis = _basis.decode(decision.basis)
        if basis.scores is None or not basis.scores.beside:
            continue
        answered = _Beside(basis.scores.id, basis.scores.version, basis.scores.sha256, basis.scores.probability)
        answered.is_due = not any(subject == answered.id and reason == _BELOW for subject, reason, _ in basis.silence)
        both = [answered, *basis.scores.beside]
        version = next((model_version for model_version in both if model_version.sha256 == sha256), None)
        other = answered if version is not answered else both[1]
        if version is None:
            continue
        if version.probability is None or other.probability is None:
            errors[version.error or other.error] += 1
            continue
        _count(
            comparison,
            decision.id,
            groups_of({name: feature[0] for name, feature in basis.features.items()}, basis.groups),
            version,
            other,
        )
    comparison.errors = dict(errors)
    return comparison


def _count(comparison: Comparison, decision: str, groups: Iterable[str], version: _Beside, other: _Beside) -> None:
    assert version.probability is not None  # noqa: S101 - looked at before
    assert other.probability is not None  # noqa: S101
    for name in groups:
        group = comparison.groups.setdefault(name, Group())
        group.predictions += 1
        group.due_version += version.is_due
        group.due_other += other.is_due
        group.only_version += version.is_due and not other.is_due
        group.only_other += other.is_due and not version.is_due
        group.difference += version.probability - other.probability
    if version.is_due != other.is_due and len(comparison.examples) < _EXAMPLES:
        comparison.examples.append(decision)


def why_too_early(url: str, sha256: str, since: str, now: datetime) -> str | None:
    """Why a model that is in shadow since this ISO time should not show cards yet, in a sentence; None where it may.

    Raises:
        RecordUnavailable: The record cannot be read.
    """
    start = datetime.fromisoformat(since)
    days = (now - start.astimezone(UTC)).total_seconds() / 86_400
    if days < LEAST_DAYS:
        return f"it is in shadow for {days:.1f} of at least {LEAST_DAYS} days"
    wanted = DecisionFilter(since=int(start.timestamp() * 1e6), has_trials=False)
    counted = 0
    for _ in _computed(find_decisions(url, wanted), sha256):
        counted += 1
        if counted >= LEAST_PREDICTIONS:
            return None
    return f"it computed {counted} of at least {LEAST_PREDICTIONS} estimates in shadow"


def _computed(decisions: Iterable[Decision], sha256: str) -> Iterator[Any]:
    wanted = sha256.encode()
    return (decision for decision in decisions if wanted in decision.models)
