"""What is expected of a feed, learned from its past: messages by hour of the week, shares, latency, values, parts.

Tails of counts: how unlikely so few or so many are, where counts vary more than by chance alone.

One feed under watch: what came, what is expected, and from which step on each kind of departure is looked at.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, tzinfo
from math import erfc, exp, lgamma, log, sqrt
from typing import Final

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from cds_hooks.events.watch.history import KEPT_DAYS, STEP_SECONDS, STEPS_A_DAY, History, Numbers, by_subject, parts_of

SHARES: Final = ("duplicate", "out-of-order", "unknown-patients", "state:dead", "no-offset", "refused", "ahead")
"""What is counted of a message beside the message."""
PART_PREFIXES: Final = ("sender", "type", "ward", "result")
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
_CLIP: Final = 6.0
"""Robust deviations beyond which a value counts no more than this (Huber's psi)."""


_TILTS: Final = np.array([0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0, 1.25, 1.5, 1.8, 2.2, 2.7, 3.5, 5.0])


Steps = NDArray[np.int64]


class Level(Struct, frozen=True):
    """Where values lie: median and robust deviation in buckets, and the mean and deviation of their scores."""

    median: float
    scale: float
    mean: float
    deviation: float
    count: float
    shares: dict[int, float]
    """The share of the values in each bucket."""
    scores: Numbers
    weights: Numbers
    """The scores of the learned values with their shares, and a little weight at both ends."""

    def score(self, bucket: float) -> float:
        """Return how many robust deviations a bucket lies from the median, at most six."""
        return min(max((bucket - self.median) / self.scale, -_CLIP), _CLIP)

    def rarity(self, mean: float, count: float) -> float:
        """Return a bound of the probability that so many learned values have a mean score so far out (Chernoff)."""
        side = 1.0 if mean > self.mean else -1.0
        moments = np.log(np.exp(np.outer(_TILTS, side * self.scores)) @ self.weights)
        return float(np.exp(-count * max(float((_TILTS * side * mean - moments).max()), 0.0)))


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
    shares: dict[str, float] = field(default_factory=dict)
    latency: Level | None = None
    values: dict[str, Level] = field(default_factory=dict)
    units: dict[str, set[str]] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    results: dict[str, int] = field(default_factory=dict)
    """How many results of each code were learned, by the name that codes have in counts."""


class Expected(Struct):
    """Expected messages from a step on, as running sums: at least, at most, and the variances of their errors."""

    baseline: Baseline
    start: int
    low: Numbers
    high: Numbers
    quiet: Numbers
    """What comes on a Sunday, or in the hour where that is less: on a holiday that nobody declared."""
    day_error: Numbers
    hour_error: Numbers

    def within(self, sums: Numbers, end: Steps | int, windows: Steps | int) -> Numbers:
        """Return by how much running sums rise in windows that end at a step."""
        return np.asarray(sums[end - self.start] - sums[end - self.start - windows])

    def error(self, end: int, windows: Steps | int) -> Numbers:
        """Return the variance of what is expected in windows that end at a step."""
        return self.within(self.day_error, end, windows) ** 2 + self.within(self.hour_error, end, windows)

    def local_time(self, step: int) -> datetime:
        """Return when a step begins at the place of the feed."""
        return datetime.fromtimestamp(step * STEP_SECONDS, self.baseline.zone)


def local_times(
    zone: tzinfo, start: int, end: int, holidays: frozenset[date]
) -> tuple[Steps, Steps, NDArray[np.bool_]]:
    """Return day of the week, hour, and whether it is a holiday, of the steps from `start` up to `end`."""
    moments = [datetime.fromtimestamp(step * STEP_SECONDS, zone) for step in range(start, end)]
    weekdays = np.array([moment.weekday() for moment in moments], dtype=np.int64)
    is_holiday = np.array([moment.date() in holidays for moment in moments], dtype=bool)
    return weekdays, np.array([moment.hour for moment in moments], dtype=np.int64), is_holiday


def expect(baseline: Baseline, start: int, end: int, holidays: frozenset[date]) -> Expected:
    """Return what is expected from `start` up to `end`: on a holiday anything between a Sunday and the weekday."""
    weekdays, hours, is_holiday = local_times(baseline.zone, start, end, holidays)
    mean, sunday = baseline.hours[weekdays, hours], baseline.hours[SUNDAY, hours]
    low = np.where(is_holiday, np.minimum(mean, sunday), mean)
    high = np.where(is_holiday, np.maximum(mean, sunday), mean)
    days = np.where(is_holiday, SUNDAY, weekdays)
    day_error = low * np.sqrt(baseline.day_variance[days])
    hour_error = 12 * low * low * baseline.hour_variance[days, hours]
    columns = (low, high, np.minimum(low, sunday), day_error, hour_error)
    return Expected(baseline, start, *(np.concatenate([[0.0], np.cumsum(column)]) for column in columns))


def learn(history: History, zone: tzinfo, holidays: frozenset[date]) -> Baseline | None:
    """Return what the last 28 days teach, without holidays and what is left out; None where too little came."""
    start = max(history.first, history.end - KEPT_DAYS * STEPS_A_DAY)
    counts = history.messages(start, history.end)
    weekdays, hours, is_holiday = local_times(zone, start, history.end, holidays)
    used = ~(is_holiday | history.left_out(start, history.end))
    totals, steps = np.zeros((2, 7, 24))
    np.add.at(totals, (weekdays[used], hours[used]), counts[used])
    np.add.at(steps, (weekdays[used], hours[used]), 1)
    if totals.sum() < _FEWEST:
        return None
    means, hour_variance, day_variance = _hours(totals, steps)
    counts, weekdays, hours = counts[used], weekdays[used], hours[used]
    at, expected = np.arange(start, history.end)[used], means[weekdays, hours]
    spread = _spread(counts, expected)
    days = len(np.unique(at // STEPS_A_DAY))
    if days < _OWN_DAYS:  # two Mondays say too little of how Mondays vary: all weekdays together do
        pooled = np.repeat([means[:5].mean(0), means[5:].mean(0)], [5, 2], axis=0)
        varied = _between(counts, pooled[weekdays, hours], at // STEPS_A_DAY, spread)
    else:
        varied = _between(counts, expected, at // STEPS_A_DAY, spread) * days / (days - 7)
    # the level of each day of the week is not exact, and a variance of so few days may be twice as large as it seems
    day_variance += varied * (1 + 7 / max(days, 7)) * (1 + 2 * sqrt(2 / max(days, 7)))
    hour_variance = hour_variance * spread + _between(counts, expected, at // _STEPS_AN_HOUR, spread)
    ordered = np.sort(means.ravel())[::-1]
    is_batch = bool(ordered[:_BATCH_HOURS].sum() >= _BATCH_SHARE * ordered.sum())
    baseline = Baseline(zone, means, hour_variance, day_variance, spread, is_batch)
    _learn_contents(baseline, history)
    return baseline


def _hours(totals: Numbers, steps: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Return a profile of weekdays, one of weekends that leans on it where little came, with a level for each day.

    An hour of one day of the week in which much came counts by itself; a day of which nothing is learned, as two
    Thursdays with Christmas and New Year, is taken for an ordinary one.
    """
    week = totals[:5].sum(0) / np.maximum(steps[:5].sum(0), 1)
    weekend_totals, weekend_steps = totals[5:].sum(0), steps[5:].sum(0)
    ratio = weekend_totals.sum() / max(float((weekend_steps * week).sum()), 1e-9)
    weekend_totals += 24 * ratio * week
    profiles = np.repeat([week, weekend_totals / np.maximum(weekend_steps + 24, 1)], [5, 2], axis=0)
    pooled = np.repeat([totals[:5].sum(0), weekend_totals], [5, 2], axis=0)
    of_day, due = totals.sum(1), (steps * profiles).sum(1)
    levels = np.where(steps.any(1), of_day / np.maximum(due, 1e-9), 1.0)[:, None]
    weights = totals / (totals + _OWN_MESSAGES)
    means = weights * totals / np.maximum(steps, 1) + (1 - weights) * profiles * levels
    return means, 1 / np.maximum(pooled, 3) + weights**2 / np.maximum(totals, 3), 1 / np.maximum(of_day, 3)


def _spread(counts: Numbers, expected: Numbers) -> float:
    """Return the variance of counts as a multiple of their mean, without the few steps that are furthest out."""
    chosen = expected > 0.3
    squares = np.sort((counts[chosen] - expected[chosen]) ** 2 / expected[chosen])
    kept = squares[: max(1, int(0.998 * len(squares)))]
    return float(np.clip(kept.mean() if len(kept) else 1.0, 1.05, 10.0))


def _between(counts: Numbers, expected: Numbers, spans: Steps, spread: float) -> float:
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


def _learn_contents(baseline: Baseline, history: History) -> None:
    names = history.learned()
    messages = max(names["messages"], 1.0)
    latencies = by_subject(names, "latency")[""]
    names["ahead"] = sum(count for step, count in latencies.items() if step <= AHEAD_STEPS)
    names["unmapped"] = sum(came.total() for came in by_subject(names, "unmapped").values())
    totals = dict.fromkeys(SHARES, messages) | {"unmapped": max(names["results"], messages)}
    baseline.shares = {name: (names[name] + 0.5) / (total + 1) for name, total in totals.items()}
    baseline.results = {code: came.total() for code, came in by_subject(names, "result").items()}
    baseline.latency = level_of(latencies)
    for subject, sketch in by_subject(names, "value").items():
        code, _, unit = subject.partition("|")
        if sketch.total() >= 3:
            baseline.units.setdefault(code, set()).add(unit)
        if (level := level_of(sketch)) is not None:
            baseline.values[subject] = level
    baseline.parts = _parts(names, history, messages)


def level_of(sketch: Mapping[int, float]) -> Level | None:
    """Return the level of values that are counted by bucket; None where they are too few."""
    total = sum(sketch.values())
    if total < _FEWEST:
        return None
    buckets = np.array(sorted(sketch))
    weights = np.array([sketch[bucket] for bucket in buckets.tolist()]) / total
    quarters = np.searchsorted(np.cumsum(weights), (0.25, 0.5, 0.75)).clip(max=len(buckets) - 1)
    low, median, high = map(float, buckets[quarters])
    scale = max((high - low) / 1.349, 1.0)
    scores = np.clip((buckets - median) / scale, -_CLIP, _CLIP)
    mean = float(scores @ weights)
    deviation = float(np.sqrt((scores - mean) ** 2 @ weights))
    rest = 1 / (total + 1)
    ends = np.append(scores, [-_CLIP, _CLIP]), np.append(weights * (1 - 2 * rest), [rest, rest])
    shares = dict(zip(buckets.tolist(), weights.tolist(), strict=True))
    return Level(median, scale, mean, max(deviation, 0.3), total, shares, *ends)


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


def few(count: float, mean: float, spread: float) -> float:
    """Return the probability of at most `count` where `mean` is expected, with a variance of `spread` times the mean.

    >>> round(few(0, 9.0, 1.0), 6), few(40, 60.0, 1.5) > few(40, 60.0, 1.2)
    (0.000123, True)
    """
    if mean > 400:
        return 0.5 * erfc((mean - count) / sqrt(2 * mean * spread))
    if mean <= 0:
        return 1.0
    if spread <= 1.0001:
        return min(1.0, sum(exp(number * log(mean) - mean - lgamma(number + 1)) for number in range(int(count) + 1)))
    size = mean / (spread - 1)
    term = -size * log(spread)
    total, ratio = exp(term), log(1 - 1 / spread)
    for number in range(1, int(count) + 1):
        term += ratio + log((size + number - 1) / number)
        total += exp(term)
    return min(total, 1.0)


def many(count: float, mean: float, spread: float = 1.0) -> float:
    """Return the probability of at least `count` where `mean` is expected; of large counts a bound (Chernoff).

    >>> round(many(2, 1.0), 4), many(1, 2.0)
    (0.2642, 1.0)
    """
    if count <= mean:
        return 1.0
    if mean <= 0:
        return 0.0
    if count <= 100 and spread == 1.0:
        term = exp(count * log(mean) - mean - lgamma(count + 1))
        total = term
        for number in range(int(count) + 1, int(count) + 60):
            term *= mean / number
            total += term
        return total
    return exp(-(mean - count + count * log(count / mean)) / spread)


WINDOWS: Final = np.array([1, 2, 3, 4, 6, 9, 12, 18, 24, 36, 48, 72, 96, 144, 192, 288, 432, 576])
"""Steps of five minutes: windows from 5 minutes to 2 days."""
NEVER: Final = 1e-9
"""A probability below which something is no chance."""


class Signal(Struct, frozen=True):
    """Something that departs from the baseline.

    `ratio` is what came to what was expected (of a share, the share), `since` the first step of the window, `weight`
    the messages that it took to tell, and `group` what is looked at together.
    """

    feed: str
    kind: str
    subject: str
    ratio: float
    since: int
    weight: float
    group: str
    is_strong: bool = False


class Feed:
    """A feed at the end of its newest step."""

    def __init__(self, name: str, first: int) -> None:
        self.name, self.history = name, History(first)
        self.expected: Expected | None = None
        self.judged_from = first
        self._starts: dict[str, int] = {}

    @property
    def end(self) -> int:
        """The step after the newest one."""
        return self.history.end

    def start_at(self, step: int, group: str = "") -> None:
        """Look at nothing of a group, or of any, before this step again: an incident was opened or kept open by it."""
        if group:
            self._starts[group] = step
        else:
            self.judged_from, self._starts = step, {}

    def start_of(self, group: str) -> int:
        """Return the first step that is looked at."""
        return max(self.judged_from, self._starts.get(group, 0))

    def rows(self, group: str, most: int = len(WINDOWS)) -> int:
        """Return how many of the windows lie behind the first step."""
        return min(int(np.searchsorted(WINDOWS, self.end - self.start_of(group), side="right")), most)

    def signal(
        self, kind: str, group: str, steps: int, ratio: float, weight: float, subject: str = "", *,
        is_strong: bool = False,
    ) -> Signal:  # fmt: skip
        """Return a signal about the last steps."""
        return Signal(self.name, kind, subject, float(ratio), self.end - steps, float(weight), group, is_strong)

    def messages(self, steps: int) -> float:
        """Return the messages of the last steps."""
        return float(self.history.messages(self.end - steps, self.end).sum())

    def came_and_due(self, since: int) -> tuple[float, float]:
        """Return the messages that came and that were due since a step; what came where nothing was learned."""
        came = self.messages(self.end - since)
        if self.expected is None:
            return came, came
        steps = self.end - max(since, self.expected.start)
        return came, float(self.expected.within(self.expected.low, self.end, steps))

    def fits(self, since: int, ratio: float) -> float | None:
        """Return the evidence that this feed has changed by the same ratio since a step, as a log likelihood ratio."""
        if self.expected is None or self.expected.baseline.is_batch or ratio <= 0:
            return None
        came, due = self.came_and_due(since)
        return (came * log(ratio) - due * (ratio - 1)) / self.expected.baseline.spread
