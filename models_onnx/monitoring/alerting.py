"""What a threshold of a model costs and finds, from its held-out report: PPV, number needed to alert, intervals.

Only thresholds that the report has were tested. Of a share between two of them both neighbors are told, and nothing is
interpolated. Intervals are Wilson's, of the people of the reference cohort above the threshold.
"""

from msgspec import Struct

from models_onnx.artifact.manifest import Manifest, Threshold
from models_onnx.monitoring.intervals import Interval, wilson

_CLOSE = 1e-6


class Deployed(Struct, frozen=True):
    """The threshold in force: from which estimate (0 to 1) on there is a card, and what a false card weighs.

    `odds` is the weight of a false card against a true one; `released` the net benefit of this threshold in the report
    of the release, `sensitivity` the share of those with the event that it finds there; None where it has none.
    """

    estimate: float
    odds: float
    released: float | None = None
    sensitivity: float | None = None


class Alerting(Struct, frozen=True):
    """One tested threshold: the share (0 to 1) of the reference cohort with a card, from which estimate on, and more.

    `people` of the cohort are above it. `ppv` is the share of them with the outcome, `needed` the number needed to
    alert (1/PPV), and `sensitivity` the share of all outcomes that is among them.
    """

    share: float
    percentile: float
    probability: float
    people: int
    ppv: Interval
    needed: Interval
    sensitivity: float


class InForce(Struct, frozen=True):
    """A share that is in force: the tested threshold of this share, or those of the next smaller and larger one."""

    share: float
    tested: tuple[Alerting, ...]

    @property
    def is_tested(self) -> bool:
        """Whether the report has this very share."""
        return len(self.tested) == 1 and abs(self.tested[0].share - self.share) < _CLOSE


def alerting_of(manifest: Manifest, row: Threshold) -> Alerting:
    """Return what one row of the report costs and finds."""
    people = _people_above(manifest, row)
    low, high = wilson(row.ppv * people, people) if people else (0.0, 1.0)
    ppv = Interval(row.ppv, low, high)
    needed = Interval(*(1 / proportion if proportion > 0 else float("inf") for proportion in (row.ppv, high, low)))
    return Alerting(row.capacity, row.percentile, row.probability, people, ppv, needed, row.sensitivity)


def alerting_at(manifest: Manifest, share: float) -> InForce:
    """Return what is known of a threshold at this share (0 to 1) of the reference cohort."""
    rows = sorted(manifest.thresholds.table, key=lambda row: row.capacity)
    same = [row for row in rows if abs(row.capacity - share) < _CLOSE]
    smaller = [row for row in rows if row.capacity < share][-1:]
    larger = [row for row in rows if row.capacity > share][:1]
    return InForce(share, tuple(alerting_of(manifest, row) for row in same or [*smaller, *larger]))


def _people_above(manifest: Manifest, row: Threshold) -> int:
    """Count the people whose outcome is known: by the cohort's bins where one begins here, else by the alert rate."""
    bins = manifest.reference.bins
    if any(abs(percentile_bin.percentile_low - row.percentile) < _CLOSE for percentile_bin in bins):
        return sum(
            percentile_bin.count for percentile_bin in bins if percentile_bin.percentile_low >= row.percentile - _CLOSE
        )
    return round(row.alert_rate * manifest.reference.n)
