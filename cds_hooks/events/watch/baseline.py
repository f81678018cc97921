"""What is expected of a feed, learned from its past: messages by hour of the week, shares of them, and parts."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, tzinfo
from math import sqrt
from typing import Final

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from cds_hooks.events.watch.history import KEPT_DAYS, STEP_SECONDS, STEPS_A_DAY, History, Numbers, parts_of
from models_onnx.monitoring.sketch import bucket_at

SHARES: Final = {
    "duplicate": ("duplicates", "messages"),
    "out-of-order": ("order", "messages"),
    "unknown-patients": ("identifiers", "messages"),
    "state:dead": ("errors", "messages"),
    "no-offset": ("clock", "messages"),
    "ahead": ("clock", "messages"),
    "refused": ("refusals", "messages"),
    "late": ("late", "latency"),
    "unmapped": ("unmapped", "results"),
}
"""What is counted: the kind of incident when it rises, and of what it is a share."""
VALUES, OUTSIDE = "value:", "outside:"
"""Columns of the values of a code and unit, and of those outside of the range that was learned."""
_LATE_FROM: Final = 0.98
_RANGE: Final = 0.005
PART_PREFIXES: Final = ("sender", "type", "ward")
AHEAD_STEPS: Final = -26
"""Latencies of this step and below are results that were collected over five minutes after they arrived."""
SUNDAY: Final = 6
_BATCH_HOURS: Final = 17
_BATCH_SHARE: Final = 0.9
_STEPS_AN_HOUR: Final = 12
_OWN_MESSAGES: Final = 2000.0
"""With so many messages an hour of one day of the week counts as much as its profile does."""
_OWN_DAYS: Final = 20
_FEWEST: Final = 40
_FEWEST_OF_A_PART: Final = 200
_MOST_PARTS: Final = 60
_ANYTHING: Final = 1e9


class Part(Struct, frozen=True):
    """A part of the messages: its share of all, and the longest it stayed away, in messages of it that were due."""

    share: float
    longest: float


class Baseline(Struct):
    """What is expected of one feed."""

    zone: tzinfo
    hours: Numbers
    """Messages of a step by day of the week and hour."""
    hour_variance: Numbers
    day_variance: Numbers
    """Variance of the relative error of `hours`: of one hour, and of the level of a day."""
    spread: float
    """The variance of counts as a multiple of their mean."""
    is_batch: bool
    ranges: dict[str, tuple[int, int]] = field(default_factory=dict)
    """The usual buckets of values by code and unit, and of latencies by the empty name."""
    rates: dict[str, float] = field(default_factory=dict)
    """Shares by the name of their column."""
    parts: dict[str, Part] = field(default_factory=dict)


class Expected(Struct):
    """Expected messages from a step on, as running sums: at least, at most, and the variances of their errors."""

    start: int
    low: Numbers
    high: Numbers
    quiet: Numbers
    """What comes on a Sunday, or in the hour where that is less: on a holiday that nobody declared."""
    day_error: Numbers
    hour_error: Numbers
    steps: Numbers
    """The messages of each step, on a holiday those of the weekday."""


def local_times(
    zone: tzinfo, start: int, end: int, holidays: frozenset[date]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return day of the week, hour, and whether it is a holiday, of the steps from `start` up to `end`."""
    moments = [datetime.fromtimestamp(step * STEP_SECONDS, zone) for step in range(start, end)]
    weekdays = np.array([moment.weekday() for moment in moments], dtype=np.int64)
    is_holiday = np.array([moment.date() in holidays for moment in moments], dtype=bool)
    return weekdays, np.array([moment.hour for moment in moments], dtype=np.int64), is_holiday


def expect(
    baseline: Baseline, start: int, end: int, holidays: frozenset[date], planned: Sequence[tuple[int, int]]
) -> Expected:
    """Return what is expected from `start` up to `end`; in a planned downtime any flood is.

    On a holiday it is anything between a Sunday and the day of the week.
    """
    weekdays, hours, is_holiday = local_times(baseline.zone, start, end, holidays)
    mean, sunday = baseline.hours[weekdays, hours], baseline.hours[SUNDAY, hours]
    low, high = (
        np.where(is_holiday, np.minimum(mean, sunday), mean),
        np.where(is_holiday, np.maximum(mean, sunday), mean),
    )
    for first, last in planned:
        high[max(first - start, 0) : max(last - start, 0)] = _ANYTHING
    days = np.where(is_holiday, SUNDAY, weekdays)
    day_error = low * np.sqrt(baseline.day_variance[days])
    hour_error = 12 * low * low * baseline.hour_variance[days, hours]
    columns = (low, high, np.minimum(low, sunday), day_error, hour_error)
    sums = [np.concatenate([[0.0], np.cumsum(column)]) for column in columns]
    return Expected(start, sums[0], sums[1], sums[2], sums[3], sums[4], mean)


def learn(
    history: History, zone: tzinfo, holidays: frozenset[date], is_left_out: Callable[[int], bool]
) -> Baseline | None:
    """Return what the last 28 days teach, without holidays and what is left out; None where too little came."""
    start = max(history.first, history.end - KEPT_DAYS * STEPS_A_DAY)
    counts = history.messages(start, history.end)
    weekdays, hours, is_holiday = local_times(zone, start, history.end, holidays)
    left_out = np.fromiter((is_left_out(start + index) for index in range(len(counts))), bool, len(counts))
    used = ~(is_holiday | left_out)
    totals, steps = np.zeros((7, 24)), np.zeros((7, 24))
    np.add.at(totals, (weekdays[used], hours[used]), counts[used])
    np.add.at(steps, (weekdays[used], hours[used]), 1)
    if totals.sum() < _FEWEST:
        return None
    means, hour_variance, day_variance = _hours(totals, steps)
    expected = means[weekdays, hours]
    spread = _spread(counts[used], expected[used])
    at = np.arange(start, history.end)[used]
    days = len(np.unique(at // STEPS_A_DAY))
    if days < _OWN_DAYS:  # two Mondays say too little of how Mondays vary: all weekdays together do
        pooled = np.repeat([means[:5].mean(0), means[5:].mean(0)], [5, 2], axis=0)
        varied = _between(counts[used], pooled[weekdays, hours][used], at // STEPS_A_DAY, spread)
    else:
        varied = _between(counts[used], expected[used], at // STEPS_A_DAY, spread) * days / (days - 7)
    # the level of each day of the week is not exact, and a variance of so few days may be twice as large as it seems
    day_variance += varied * (1 + 7 / max(days, 7)) * (1 + 2 * sqrt(2 / max(days, 7)))
    hour_variance = hour_variance * spread + _between(counts[used], expected[used], at // _STEPS_AN_HOUR, spread)
    ordered = np.sort(means.ravel())[::-1]
    is_batch = bool(ordered[:_BATCH_HOURS].sum() >= _BATCH_SHARE * ordered.sum())
    baseline = Baseline(zone, means, hour_variance, day_variance, spread, is_batch)
    _learn_contents(baseline, history, is_left_out)
    return baseline


def _hours(totals: Numbers, steps: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Return a profile of weekdays, one of weekends that leans on it where little came, with a level for each day.

    An hour of one day of the week in which much came counts by itself; a day of which nothing is learned, as two
    Thursdays with Christmas and New Year, is taken for an ordinary one.
    """
    means, hour_variance, day_variance = np.zeros((7, 24)), np.zeros((7, 24)), np.zeros(7)
    week = totals[:5].sum(0) / np.maximum(steps[:5].sum(0), 1)
    weekend_totals, weekend_steps = totals[5:].sum(0), steps[5:].sum(0)
    ratio = weekend_totals.sum() / max(float((weekend_steps * week).sum()), 1e-9)
    weekend = (weekend_totals + 24 * ratio * week) / np.maximum(weekend_steps + 24, 1)
    for day in range(7):
        is_weekday = day < 5
        profile = week if is_weekday else weekend
        pooled = totals[:5].sum(0) if is_weekday else weekend_totals + 24 * ratio * week
        level = totals[day].sum() / max(float((steps[day] * profile).sum()), 1e-9) if steps[day].any() else 1.0
        weight = totals[day] / (totals[day] + _OWN_MESSAGES)
        means[day] = weight * totals[day] / np.maximum(steps[day], 1) + (1 - weight) * profile * level
        hour_variance[day] = 1 / np.maximum(pooled, 3) + weight**2 / np.maximum(totals[day], 3)
        day_variance[day] = 1 / max(float(totals[day].sum()), 3)
    return means, hour_variance, day_variance


def _spread(counts: Numbers, expected: Numbers) -> float:
    """Return the variance of counts as a multiple of their mean, without the few steps that are furthest out."""
    chosen = expected > 0.3
    squares = np.sort((counts[chosen] - expected[chosen]) ** 2 / expected[chosen])
    kept = squares[: max(1, int(0.998 * len(squares)))]
    return float(np.clip(kept.mean() if len(kept) else 1.0, 1.05, 10.0))


def _between(counts: Numbers, expected: Numbers, spans: NDArray[np.int64], spread: float) -> float:
    """Return by how much whole days, or hours, vary beyond chance, as a relative variance.

    The furthest fourteenth is left out, as an undeclared holiday, and the rest corrected for that: of a normal
    distribution the variance of what remains is 0.7 of the whole.
    """
    _, places = np.unique(spans, return_inverse=True)
    came, due = np.bincount(places, counts), np.bincount(places, expected)
    whole = due > 0.3 * due.mean()
    ratios = came[whole] / due[whole]
    if len(ratios) < 5:
        return 0.0
    squares = np.sort((ratios - np.median(ratios)) ** 2)[: len(ratios) - max(len(ratios) // 14, 1)]
    return max(float(squares.mean()) / 0.7 - spread / float(np.median(due[whole])), 0.0)


def columns_of(name: str, ranges: Mapping[str, tuple[int, int]]) -> list[str]:
    """Return to which columns a counted name adds, by the ranges of values and latencies.

    >>> columns_of("latency:9", {"": (-26, 8)}), columns_of("value:2823-3|mmol/L:7", {"2823-3|mmol/L": (6, 9)})
    (['latency', 'late'], ['value:2823-3|mmol/L'])
    """
    kind, subject, number = parts_of(name)
    if kind == "unmapped":
        return [kind]
    if kind not in ("latency", "value"):
        return [name]
    is_ahead = kind == "latency" and number <= AHEAD_STEPS
    if subject not in ranges:
        return ["ahead"] if is_ahead else []
    low, high = ranges[subject]
    if kind == "value":
        return [VALUES + subject, *([] if low <= number <= high else [OUTSIDE + subject])]
    return [kind, *(["late"] if number > high else []), *(["ahead"] if is_ahead else [])]


def _learn_contents(baseline: Baseline, history: History, is_left_out: Callable[[int], bool]) -> None:
    names = history.learned(is_left_out)
    sketches: dict[str, Counter[int]] = {}
    for name, count in names.items():
        kind, subject, number = parts_of(name)
        if kind in ("latency", "value"):
            sketches.setdefault(subject, Counter())[number] = count
    for subject, sketch in sketches.items():
        if sum(sketch.values()) >= _FEWEST:
            low, high = (_RANGE, 1 - _RANGE) if subject else (0.0, _LATE_FROM)
            baseline.ranges[subject] = bucket_at(sketch, low), bucket_at(sketch, high)
    counts: Counter[str] = Counter()
    for name, count in names.items():
        for column in columns_of(name, baseline.ranges):
            counts[column] += count
    wholes = {column: whole for column, (_, whole) in SHARES.items()}
    wholes |= {OUTSIDE + subject: VALUES + subject for subject in baseline.ranges if subject}
    baseline.rates = {column: (counts[column] + 0.5) / (counts[whole] + 1) for column, whole in wholes.items()}
    baseline.parts = _parts(names, history, max(names["messages"], 1.0))


def _parts(names: Counter[str], history: History, messages: float) -> dict[str, Part]:
    """Return the parts of the messages that can be missed, the largest ones: senders, types, codes."""
    counts = [
        (count, name)
        for name, count in names.items()
        if count >= _FEWEST_OF_A_PART and count < 0.98 * messages and parts_of(name)[0] in PART_PREFIXES
    ]
    gaps = {name: 0.0 for _, name in sorted(counts, reverse=True)[:_MOST_PARTS]}
    running = dict(gaps)
    for step in history.recent:
        came = step.get("messages", 0.0)
        for name in gaps:
            running[name] = 0.0 if name in step else running[name] + came
            gaps[name] = max(gaps[name], running[name])
    fresh = max(messages - names["duplicate"], 1.0)
    shares = {name: names[name] / fresh for name in gaps}
    return {name: Part(shares[name], gaps[name] * shares[name]) for name in gaps}
