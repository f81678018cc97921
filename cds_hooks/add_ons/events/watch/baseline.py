"""What is usual for a feed, learned from its past: messages by hour of the week, and shares of what they bring.

Counts are compared with what is expected by one bound for all of them, `rarity`.
"""

from collections import Counter
from datetime import date, datetime, tzinfo
from math import sqrt
from typing import Any, Final

import numpy as np
from msgspec import Struct, field
from numpy.typing import ArrayLike, NDArray

from cds_hooks.add_ons.events.watch.history import STEP_SECONDS, STEPS_A_DAY, Feed, Numbers, by_subject, parts_of
from models_onnx.monitoring.sketch import Sketch, bucket_at

SHARE_KINDS: Final = {
    "duplicate": "duplicates",
    "out-of-order": "order",
    "unknown-patients": "identifiers",
    "state:dead": "errors",
    "no-offset": "clock",
    "refused": "refusals",
    "ahead": "clock",
    "unmapped": "unmapped",
}
"""What is counted beside messages, with the kind of the incident where its share is raised."""
PART_KINDS: Final = {"sender": "sender", "type": "sender", "ward": "sender", "result": "code-gone"}
"""Parts of a feed, with the kind of the incident where nothing comes of one any more."""
AHEAD_STEPS: Final = -26
"""Latencies of this step and below are results that were collected over five minutes after they arrived."""
TAIL: Final = 0.05
"""Of values and latencies the share of those that lie beyond this quantile is judged, at both ends."""
_SUNDAY: Final = 6
_HOLIDAY_SHARE: Final = 0.8
_BATCH_HOURS: Final = 17
_BATCH_SHARE: Final = 0.9
_FEWEST: Final = 40
_FEWEST_OF_A_PART: Final = 200
_MOST_PARTS: Final = 60


def rarity(counts: ArrayLike, means: ArrayLike, spread: ArrayLike) -> Numbers:
    """Return a bound of the probability that counts lie so far from their means, to either side (Chernoff).

    Counts have a variance of `spread` times the mean: more than one is negative binomial, one is Poisson, and less is
    binomial. Of no messages the bound is exact.

    >>> rarity(0, 9.0, 1.0).round(6).item(), rarity([5, 30], 10.0, 2.0).round(3).tolist()
    (0.000123, [0.428, 0.005])
    """
    came, due, excess = np.asarray(counts, dtype=float), np.maximum(means, 1e-9), np.asarray(spread) - 1
    size = due / np.where(np.abs(excess) < 1e-4, 1e-4, excess)
    rest = (came + size) * np.log(np.maximum((came + size) / (due + size), 1e-300))
    return np.asarray(np.exp(rest - came * np.log(np.maximum(came, 1e-9) / due)))


class Baseline(Struct):
    """What is usual for one feed."""

    zone: tzinfo
    holidays: frozenset[date]
    hours: Numbers
    """Messages of a step by day of the week and hour."""
    spread: float
    """The variance of counts by chance, as a multiple of their mean."""
    variance: float = 0.0
    """The variance by which whole days differ from what is expected, as a share of it."""
    is_batch: bool = False
    rates: dict[str, float] = field(default_factory=dict)
    """Shares of the messages: of what is in `SHARE_KINDS`, and of the parts that can be missed.

    Of the values of `>CODE|UNIT` and `<CODE|UNIT` it is the share of those that lie far up, or down; `>` are latencies.
    """
    values: dict[str, Sketch] = field(default_factory=dict)
    """The values of each code and unit, and, without a name, the steps of latency."""

    def spread_of(self, means: Numbers) -> Numbers:
        """Return the variance of counts as a multiple of what is expected, with that of whole days."""
        return np.asarray(self.spread + self.variance * means)

    def due(self, start: int, end: int) -> tuple[Numbers, Numbers]:
        """Return the least and the most that is due in steps, on a holiday from hardly a Sunday to an ordinary day."""
        weekdays, hours, is_holiday = local_times(self.zone, start, end, self.holidays)
        mean, sunday = self.hours[weekdays, hours], self.hours[_SUNDAY, hours]
        low, high = _HOLIDAY_SHARE * np.minimum(mean, sunday), np.maximum(mean, sunday)
        return np.where(is_holiday, low, mean), np.where(is_holiday, high, mean)


def local_times(
    zone: tzinfo, start: int, end: int, holidays: frozenset[date]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return day of the week, hour, and whether it is a holiday, of the steps from `start` up to `end`."""
    quarters = [datetime.fromtimestamp(step * STEP_SECONDS, zone) for step in range(start - start % 3, end, 3)]
    times = [(moment.weekday(), moment.hour, moment.date() in holidays) for moment in quarters]
    weekdays, hours, is_holiday = np.repeat(times, 3, axis=0)[start % 3 :][: end - start].T
    return weekdays, hours, is_holiday.astype(bool)


def learn(feed: Feed, zone: tzinfo, holidays: frozenset[date]) -> Baseline | None:
    """Return what the last 28 days teach, without holidays and what is left out; None where too little came."""
    counts = feed.messages()
    steps = np.arange(feed.end - len(counts), feed.end)
    weekdays, hours, is_holiday = local_times(zone, int(steps[0]), feed.end, holidays)
    used = ~(is_holiday | np.isin(steps, list(feed.left_out)))
    counts, steps, weekdays, hours = counts[used], steps[used], weekdays[used], hours[used]
    if counts.sum() < _FEWEST:
        return None
    totals, lengths = np.zeros((2, 7, 24))
    np.add.at(totals, (weekdays, hours), counts)
    np.add.at(lengths, (weekdays, hours), 1)
    means = _hours(totals, lengths)
    expected = means[weekdays, hours]
    spread = min(_spread(counts, expected, 0.002), 10.0)
    days, day = np.unique(steps // STEPS_A_DAY, return_inverse=True)
    by_day = np.bincount(day, expected)
    # of two weeks each day of the week is learned of two days that lie around their own mean
    varied = _spread(np.bincount(day, counts), by_day, 1 / 14) * (1 + 14 / max(len(days), 14)) - spread
    # and a variance of so few days may be twice as large as it seems
    variance = max(varied, 0.0) / float(by_day.mean()) * (1 + 2 * sqrt(2 / len(days)))
    ordered = np.sort(means.ravel())[::-1]
    is_batch = bool(ordered[:_BATCH_HOURS].sum() >= _BATCH_SHARE * ordered.sum())
    baseline = Baseline(zone, holidays, means, spread * (1 + 3 / len(days)), variance, is_batch)
    _learn_contents(baseline, feed.learned())
    return baseline


def _hours(totals: Numbers, steps: Numbers) -> Numbers:
    """Return a profile of weekdays and one of weekends, with a level for each day.

    A day of which nothing is learned, as two Thursdays with Christmas and New Year, is taken for an ordinary one.
    """
    week, weekend = (totals[days].sum(0) / np.maximum(steps[days].sum(0), 1) for days in (slice(5), slice(5, 7)))
    profiles = np.repeat([week, weekend], [5, 2], axis=0)
    due = np.maximum((steps * profiles).sum(1), 1e-9)
    levels = np.where(steps.any(1), totals.sum(1) / due, 1.0)[:, None]
    return np.asarray(profiles * levels)


def _spread(counts: NDArray[Any], expected: NDArray[Any], left_out: float) -> float:
    """Return the variance of counts as a multiple of their mean, without the share of them that is furthest out."""
    chosen = expected > 0.3 * expected.mean()
    squares = np.sort((counts[chosen] - expected[chosen]) ** 2 / expected[chosen])
    return max(float(squares[: max(1, int((1 - left_out) * len(squares)))].mean()), 1.05)


def _learn_contents(baseline: Baseline, names: Counter[str]) -> None:
    messages = max(names["messages"], 1.0)
    latencies = by_subject(names, "latency")[""]
    names["ahead"] = sum(count for step, count in latencies.items() if step <= AHEAD_STEPS)
    names["unmapped"] = sum(came.total() for came in by_subject(names, "unmapped").values())
    baseline.rates = {name: (names[name] + 0.5) / (messages + 1) for name in SHARE_KINDS}
    large = [name for name, count in names.most_common() if _FEWEST_OF_A_PART <= count < 0.98 * messages]
    parts = [name for name in large if parts_of(name)[0] in PART_KINDS][:_MOST_PARTS]
    baseline.rates |= {name: names[name] / max(messages - names["duplicate"], 1.0) for name in parts}
    values = {subject: sketch for subject, sketch in by_subject(names, "value").items() if sketch.total() >= 3}
    baseline.values = values | ({"": latencies} if latencies else {})
    for subject, sketch in baseline.values.items():
        if sketch.total() >= _FEWEST:
            low, high = bucket_at(sketch, TAIL), bucket_at(sketch, 1 - TAIL)
            below, above = (
                sum(count for bucket, count in sketch.items() if is_far(bucket)) for is_far in (low.__gt__, high.__lt__)
            )
            baseline.rates[f">{subject}"] = (above + 0.5) / (sketch.total() + 1)
            if subject:  # results that come sooner are no fault
                baseline.rates[f"<{subject}"] = (below + 0.5) / (sketch.total() + 1)
