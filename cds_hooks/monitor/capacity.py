"""How many cards a day each tested threshold of a model gives, and the widest whose cards a team can work off."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from cds_hooks.storage.decision import Decision
from cds_hooks.storage.queries import DecisionFilter, find_decisions
from models_onnx.artifact.manifest import Manifest
from models_onnx.monitoring.alerting import Alerting, alerting_of

_DAY_MICROSECONDS: Final = 86_400_000_000
LEAST_SCORED: Final = 100
"""Of fewer scored patients the record says nothing about a day; the project's own choice."""


class _Scores(Struct):
    id: str = ""
    percentile: float | None = None


class _Basis(Struct):
    scores: _Scores | None = None


_basis: Final = msgspec.json.Decoder(_Basis)


class TooFewScored(Exception):
    """The record has too few scored patients to tell a day's number; one sentence."""


class TestedShare(Struct, frozen=True):
    """One tested threshold, and how many patients a day would have a card."""

    alerting: Alerting
    cards_a_day: float


class Capacity(Struct, frozen=True, kw_only=True):
    """The tested thresholds from the narrowest on, and the share of the one that was chosen.

    `patients_a_day` are those of `days_of_record`, or given (None): then a share of the patients is that share of the
    cohort. `chosen` is None where no threshold fits.
    """

    model: str
    version: str
    capacity: float
    patients_a_day: float
    days_of_record: int | None
    thresholds: tuple[TestedShare, ...]
    chosen: float | None

    @property
    def document(self) -> dict[str, Any]:
        """The same as JSON, each threshold with its figures and its cards a day."""
        rows = [{**msgspec.to_builtins(row.alerting), "cards_a_day": row.cards_a_day} for row in self.thresholds]
        return {**msgspec.to_builtins(self), "thresholds": rows}

    @property
    def verdict(self) -> str:
        """What follows: the setting of the threshold, or that none fits."""
        if self.chosen is None:
            least = self.thresholds[0]
            return (
                f"No tested threshold fits {self.capacity:g} cards a day: the top {100 * least.alerting.share:g} in "
                f"100 would be {least.cards_a_day:.1f} a day. A budget in the rules file can hold back the rest "
                "(docs/operations/restraint.md)."
            )
        return (
            f"For {self.capacity:g} cards a day: the top {100 * self.chosen:g} in 100. Set "
            f"CDS_ALERT_SHARE={self.model}={self.chosen:g}, or share = {self.chosen:g} in the service's file."
        )


def capacity_of_cohort(manifest: Manifest, capacity: float, scored: float) -> Capacity:
    """Return what fits `capacity` cards a day where so many patients a day are as the reference cohort."""
    cards = {row.share: row.share * scored for row in _tested(manifest)}
    return _capacity(manifest, capacity, scored, None, cards)


def capacity_of_record(url: str, manifest: Manifest, capacity: float, days: int) -> Capacity:
    """Return the same of those whom the model has scored in the last `days`.

    Raises:
        RecordUnavailable: The record cannot be read.
        TooFewScored: Too few were scored.
    """
    since = int((datetime.now(UTC) - timedelta(days=days)).timestamp() * 1e6)
    highest = highest_percentiles(find_decisions(url, DecisionFilter(since=since, has_trials=False)), manifest)
    if len(highest) < LEAST_SCORED:
        raise TooFewScored(
            f"The record has {len(highest)} patients whom {manifest.id} scored in the last {days} days, and a day's "
            f"number is told from {LEAST_SCORED} on: give --per-day, or more --days."
        )
    cards = {
        row.share: sum(percentile >= row.percentile for percentile in highest.values()) / days
        for row in _tested(manifest)
    }
    return _capacity(manifest, capacity, len(highest) / days, days, cards)


def _capacity(
    manifest: Manifest, capacity: float, scored: float, days: int | None, cards: dict[float, float]
) -> Capacity:
    tested = tuple(TestedShare(row, cards[row.share]) for row in _tested(manifest))
    fitting = [row.alerting.share for row in tested if row.cards_a_day <= capacity]
    return Capacity(
        model=manifest.id,
        version=manifest.version,
        capacity=capacity,
        patients_a_day=scored,
        days_of_record=days,
        thresholds=tested,
        chosen=fitting[-1] if fitting else None,
    )


def _tested(manifest: Manifest) -> list[Alerting]:
    rows = (alerting_of(manifest, row) for row in manifest.thresholds.table)
    return sorted(rows, key=lambda alerting: alerting.share)


def highest_percentiles(decisions: Iterable[Decision], manifest: Manifest) -> dict[tuple[str, str, int], float]:
    """Return the highest percentile of each patient and day (UTC) scored by the model or the one that takes over."""
    names = {manifest.id, *([manifest.twin.id] if manifest.twin is not None else [])}
    highest: dict[tuple[str, str, int], float] = {}
    for decision in decisions:
        scores = _basis.decode(decision.basis).scores
        if scores is not None and scores.id in names and scores.percentile is not None:
            key = (decision.client, decision.patient, decision.decided_at // _DAY_MICROSECONDS)
            highest[key] = max(scores.percentile, highest.get(key, 0.0))
    return highest
