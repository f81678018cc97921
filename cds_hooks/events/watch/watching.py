"""Watches feeds step by step: history, baseline, signals, incidents. An open incident is never learned.

Too few or too many messages of a feed, by what is expected in the windows that end now.
"""

from collections.abc import Mapping, Sequence
from datetime import date, tzinfo
from itertools import groupby, pairwise
from math import log, sqrt
from typing import Final

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from cds_hooks.events.watch.baseline import (
    NEVER,
    WINDOWS,
    Baseline,
    Expected,
    Feed,
    Signal,
    Steps,
    expect,
    few,
    learn,
    many,
)
from cds_hooks.events.watch.contents import Columns
from cds_hooks.events.watch.history import STEPS_A_DAY, Counts, Numbers
from cds_hooks.events.watch.incidents import FEWER, HOLD_STEPS, MORE, Incident, Incidents, Topology

_MORE_SHARE: Final = 1.35
_MORE_CERTAIN: Final = 5.0
"""In standard errors: more messages harm nobody, and are information."""
_GROWTH_DAYS, _GROWTH_LEAST_DAYS = 7, 3
_GROWTH_CERTAIN: Final = 3.4
_GROWTH_LEAST: Final = 0.08
_FLOOD_STEPS: Final = 12
_HOLIDAY_SHARE: Final = 0.8
_HOLIDAY_CHANCE: Final = 1e-3
_SHIFT_STEPS: Final = 12
"""A sender may come an hour earlier or later than it did: a change of the clocks, another round."""
_RARE: Final = 2e-7
_LOW_SHARE: Final = 0.86
_SILENT_SHARE: Final = 0.12
_FLOOD_SHARE: Final = 2.5
_FLOOD_LEAST: Final = 20
_BATCH_WAIT: Final = 9
_BATCH_STEPS: Final = 60
_DEAD_LEAST: Final = 5.0
_GAP_RARE: Final = 2e-3
_SHORT_RARE: Final = 1e-6
"""For a gap of one step: there are so many steps that some are empty by chance."""
_GAPS_RARE: Final = 1e-6
"""For all gaps of the last hour together: there are so many hours that two of them are near by chance."""
_THIN_RARE: Final = 2e-3
"""Gaps that are likelier than this where messages are only fewer all the time are none."""
_GAPS_SHARE: Final = 0.85
_GAPS_STEPS: Final = 13
_ALIVE_SHARE: Final = 0.45
_GAPS_LEAST: Final = 14.0
_BUSY: Final = 1.8
"""Messages of a step: where fewer are due, a silence is less urgent."""
_LOW_STRONG: Final = 0.7


def volume(feed: Feed, expected: Expected) -> list[Signal]:
    """Return whether too few or too many messages came in windows that end now."""
    messages = np.append(0.0, np.cumsum(feed.history.messages(feed.end - int(WINDOWS[-1]), feed.end)))
    counts = messages[-1] - messages[len(messages) - 1 - WINDOWS]
    low = _low(feed, expected, counts[: feed.rows("volume")])
    return (low or _flapping(feed, expected)) + _flood(feed, expected, counts[: feed.rows("flood")])


def _due(expected: Expected, sums: Numbers, end: Steps | int, windows: Steps | int, extreme: np.ufunc) -> Numbers:
    """Return the least, or most, of what was due from a sender that comes as it did, an hour later or earlier."""
    shifts = [expected.within(sums, end + shift, windows) for shift in (0, -_SHIFT_STEPS, _SHIFT_STEPS)]
    return np.asarray(extreme.reduce(shifts))


def _low(feed: Feed, expected: Expected, counts: Numbers) -> list[Signal]:
    windows, spread = WINDOWS[: len(counts)], expected.baseline.spread
    means, errors = _due(expected, expected.low, feed.end, windows, np.minimum), expected.error(feed.end, windows)
    deviations = (means - counts) / np.sqrt(means * spread + errors + 1e-9)
    for row in np.flatnonzero((counts < _LOW_SHARE * means) & (deviations > 2.0)).tolist():
        mean, count, window = float(means[row]), float(counts[row]), int(windows[row])
        if few(count, mean, spread + float(errors[row]) / mean) < _RARE:
            ratio = count / mean
            if _is_as_on_a_holiday(feed, expected, window):
                return [feed.signal("low", "volume", window, ratio, mean)]
            is_silent = ratio < _SILENT_SHARE or _is_dead(counts, means, row)
            is_strong = mean >= _BUSY * window and (is_silent or ratio < _LOW_STRONG)
            return [feed.signal("silent" if is_silent else "low", "volume", window, ratio, mean, is_strong=is_strong)]
    return []


def _is_as_on_a_holiday(feed: Feed, expected: Expected, window: int) -> bool:
    """Return whether so few messages came as on a Sunday, in a window and since the day began.

    A feed that came as usual this morning and stopped has no holiday, and neither has one of which not even the
    messages of a Sunday come.
    """
    quiet, usual = (expected.within(sums, feed.end, window) for sums in (expected.quiet, expected.low))
    if quiet >= _HOLIDAY_SHARE * usual:
        return False
    moment, spread = expected.local_time(feed.end), expected.baseline.spread
    today = min(max(12 * moment.hour + moment.minute // 5, 1), int(WINDOWS[-1]))
    for steps in (window, today):
        count, mean = feed.messages(steps), float(expected.within(expected.quiet, feed.end, steps))
        if min(few(count, mean, spread), many(count, mean, spread)) < _HOLIDAY_CHANCE:
            return False
    return True


def _is_dead(counts: Numbers, means: Numbers, row: int) -> bool:
    """Return whether nothing has come since several messages were due, by what came before in the same window."""
    without = np.flatnonzero(counts[:row] == 0)
    if not len(without):
        return False
    due = float(means[without[-1]])
    before = float(counts[row]) / max(float(means[row]) - due, 1e-9)
    return due * min(before, 1.0) >= _DEAD_LEAST


def _flapping(feed: Feed, expected: Expected) -> list[Signal]:
    """Return whether a feed stops again and again, each time for less than can be told from chance."""
    spread, end, length = expected.baseline.spread, feed.end, min(_GAPS_STEPS, feed.end - feed.start_of("volume"))
    if expected.within(expected.low, end, length) < _GAPS_LEAST:
        return []
    counts = feed.history.messages(end - length, end)
    means = _due(expected, expected.low, np.arange(end - length, end) + 1, 1, np.minimum)
    due, together = list[float](), 1.0
    for is_gap, steps in groupby(zip(counts.tolist(), means.tolist(), strict=True), lambda step: step[0] == 0):
        missing = [mean for _, mean in steps]
        rare = few(0, sum(missing), spread)
        if is_gap and rare < (_GAP_RARE if len(missing) > 1 else _SHORT_RARE):
            due.append(sum(missing))
            together *= rare
    is_alive = counts > 0
    if counts[is_alive].sum() < _ALIVE_SHARE * means[is_alive].sum():  # fewer all the time is no flapping
        return []
    ratio = float(counts.sum() / means.sum())
    if len(due) < 2 or together >= _GAPS_RARE or not 0.2 < ratio < _GAPS_SHARE:
        return []
    if few(0, ratio * sum(sorted(due)[-2:]), spread) >= _THIN_RARE:
        return []
    return [feed.signal("flapping", "volume", length, ratio, means.sum(), is_strong=True)]


def _flood(feed: Feed, expected: Expected, counts: Numbers) -> list[Signal]:
    windows, spread = WINDOWS[: len(counts)], expected.baseline.spread
    means = _due(expected, expected.high, feed.end, windows, np.maximum)
    variances = means * spread + expected.error(feed.end, windows)
    for row, mean in enumerate(means.tolist()):
        count, window, ratio = float(counts[row]), int(windows[row]), float(counts[row]) / max(mean, 1e-9)
        if window > _FLOOD_STEPS:
            # twice the logarithm of the likelihood ratio, by how much counts vary: a normal deviate, squared
            likelier = 2 * (count * log(max(count, 1) / max(mean, 1e-9)) - count + mean)
            certain = likelier * mean / max(variances[row], 1e-9)
            if count >= max(_FLOOD_LEAST, _MORE_SHARE * mean) and certain > _MORE_CERTAIN**2:
                return [feed.signal("more", "flood", window, ratio, mean)]
        elif count >= max(_FLOOD_LEAST, _FLOOD_SHARE * mean) and many(count, mean, 2 * spread) < NEVER:
            return [feed.signal("flood", "flood", window, ratio, count, is_strong=True)]
    return []


def growth(feed: Feed, expected: Expected) -> list[Signal]:
    """Return whether the messages of the last seven days rise from day to day, judged once an hour.

    Each day counts by how exactly it is known and how late it is, so a rise is seen before any day is far out. A day in
    which something was wrong with the feed counts for nothing.
    """
    baseline, end = expected.baseline, feed.end
    days = min(_GROWTH_DAYS, (end - feed.judged_from) // STEPS_A_DAY)
    if end % 12 or days < _GROWTH_LEAST_DAYS:
        return []
    edges = end - STEPS_A_DAY * np.arange(days, -1, -1)
    spans = list(pairwise(edges.tolist()))
    came = np.array([feed.history.messages(*span).sum() for span in spans])
    due = expected.within(expected.high, edges[1:], STEPS_A_DAY)
    weekdays = [expected.local_time(start + 1).weekday() for start, _ in spans]
    used = (due > 1) & ~np.array([feed.history.left_out(*span).any() for span in spans])
    if used.sum() < _GROWTH_LEAST_DAYS:
        return []
    variances = (baseline.day_variance[weekdays] + baseline.spread / np.maximum(due, 1))[used]
    weights = np.arange(1, days + 1)[used] / variances
    total, rise = float(weights.sum()), float(weights @ (came[used] / due[used] - 1))
    error = float(weights @ (weights * variances)) + total**2 * float(baseline.day_variance.mean()) / 14
    if rise < _GROWTH_LEAST * total or rise < _GROWTH_CERTAIN * sqrt(error):
        return []
    return [feed.signal("more", "growth", days * STEPS_A_DAY, 1 + rise / total, due[-1])]


def batch(feed: Feed, expected: Expected) -> list[Signal]:
    """Return whether a batch is missing or short, some time after it should have ended, unless it is coming now."""
    baseline, end = expected.baseline, feed.end
    length = min(_BATCH_STEPS, end - feed.start_of("volume"))
    steps = expected.within(expected.low, np.arange(end - length, end) + 1, 1)
    counts = feed.history.messages(end - length, end)
    due = np.flatnonzero(steps > 0.25 * baseline.hours.max())
    if not len(due) or length - 1 - int(due[-1]) < _BATCH_WAIT:
        return []
    first = int(due[0])
    if not first or (counts[-3:] > 0.1 * steps[due].mean()).any():  # its beginning is out of view, or it is coming
        return []
    mean = float(steps[first:].sum())
    ratio = float(counts[first:].sum()) / mean
    day = expected.local_time(end - length + first).weekday()
    # of the day on which it is due: a batch that rests on one day of the week teaches nothing about that day
    error = sqrt(baseline.day_variance[day] + baseline.spread / mean)
    if ratio >= 1 + max(_MORE_SHARE - 1, 6 * error):
        return [feed.signal("more", "flood", length - first, ratio, mean / 3)]
    if ratio >= 1 - max(0.2, 6 * error):
        return []
    kind = "silent" if ratio < _SILENT_SHARE else "low"
    return [feed.signal(kind, "volume", length - first, ratio, mean / 3, "batch")]


LEARN_DAYS: Final = 14
_LEARN_AGAIN_STEPS: Final = 7 * STEPS_A_DAY
_CATCH_UP_STEPS: Final = 18
"""So long after a planned downtime what waited comes in."""
_BEHIND, _AHEAD = 7 * STEPS_A_DAY + 24, STEPS_A_DAY + 24
_SURE: Final = 3.0
_CHANCE: Final = 1e-5
_WAIT_STEPS: Final = 36
_NO_COUNTS: Final[Counts] = {}


class Calendar(Struct, frozen=True):
    """Holidays, and announced downtimes by feed as steps."""

    holidays: frozenset[date] = frozenset()
    planned: Mapping[str, Sequence[tuple[int, int]]] = {}


class WatchedFeed(Feed):
    """A feed that learns from its steps and judges each of them."""

    def __init__(self, name: str, zone: tzinfo, first: int, calendar: Calendar) -> None:
        super().__init__(name, first)
        self.zone, self.calendar = zone, calendar
        self.planned = calendar.planned.get(name, ())
        self._columns: Columns | None = None
        self._learned = first

    def take(self, counts: Counts) -> None:
        """Add a step without judging it."""
        self.history.append(counts)
        if any(start < self.end <= stop + _CATCH_UP_STEPS for start, stop in self.planned):
            self.history.leave_out(self.end - 1, self.end)

    def append(self, counts: Counts) -> None:
        """Add a step, and learn where it is time to."""
        self.take(counts)
        if self._columns is not None:
            self._columns.append(counts)
        wait = _LEARN_AGAIN_STEPS if self.expected is not None else LEARN_DAYS * STEPS_A_DAY
        if self.end - self._learned >= wait and (
            self.expected is None or not self.history.left_out(self.end - 1, self.end).any()
        ):
            self.learn()
        elif self.expected is not None and self.end + 13 >= self.expected.start + _BEHIND + _AHEAD:
            self.expect(self.expected.baseline)

    def learn(self) -> None:
        """Learn what is expected from now on."""
        baseline = learn(self.history, self.zone, self.calendar.holidays)
        if baseline is None:
            return
        if self.expected is None:
            self.start_at(self.end)
        self._learned = self.end
        self.expect(baseline)
        self._columns = Columns(self, baseline)

    def expect(self, baseline: Baseline) -> None:
        """Compute what is expected of the steps around now."""
        span = self.end - _BEHIND, self.end + _AHEAD
        self.expected = expect(baseline, *span, self.calendar.holidays)

    def signals(self) -> Sequence[Signal]:
        """Return what departs in windows that end now."""
        if self.expected is None or self._columns is None:
            return ()
        if any(start < self.end <= stop for start, stop in self.planned):
            self.start_at(self.end)
            return ()
        judge = batch if self.expected.baseline.is_batch else volume
        signals = [*judge(self, self.expected), *growth(self, self.expected), *self._columns.departures()]
        if any(stop <= self.end <= stop + _CATCH_UP_STEPS for _, stop in self.planned):
            for group in {"late", "flood", *(signal.group for signal in signals)} - {"volume"}:
                self.start_at(self.end, group)
            return [signal for signal in signals if signal.group == "volume"]
        return signals


class Watch:
    """All feeds, with their incidents. Steps are five minutes, numbered from 1970, as the counts of the inbox are."""

    def __init__(
        self,
        zones: Mapping[str, tzinfo],
        first: int,
        calendar: Calendar = Calendar(),  # noqa: B008 - frozen
        topology: Topology = Topology(),  # noqa: B008 - frozen
        earlier: Sequence[Incident] = (),
    ) -> None:
        """`first` is the first step of which counts come; `earlier` are incidents of before."""
        self._topology = topology
        anew = {name: incident.since for incident in earlier if incident.is_accepted for name in incident.feeds}
        self.feeds = {
            name: WatchedFeed(name, zone, max(first, anew.get(name, first)), calendar) for name, zone in zones.items()
        }
        self.incidents = Incidents(topology, earlier)
        self._low: dict[str, tuple[int, int]] = {}
        """The first and the newest step in which a feed had fewer messages than expected."""

    def load(self, counts: Mapping[str, Mapping[int, Counts]], end: int) -> None:
        """Take the steps up to `end` without judging them, by feed; they are learned where no incident was."""
        for incident in self.incidents.all:
            if not incident.is_accepted:
                self._leave_out(incident, (incident.closed or end) + 1)
        for name, feed in self.feeds.items():
            steps = counts.get(name, {})
            for step in range(feed.end, end):
                feed.take(steps.get(step, _NO_COUNTS))
            if feed.history.length >= LEARN_DAYS * STEPS_A_DAY:
                feed.learn()

    def _leave_out(self, incident: Incident, end: int) -> None:
        for name in self.feeds.keys() & set(incident.feeds if incident.kind != MORE else ()):
            self.feeds[name].history.leave_out(incident.since, end)  # what grows is the new usual as it comes

    def step(self, counts: Mapping[str, Counts]) -> tuple[list[Incident], list[Incident]]:
        """Take the counts of the next step by feed and name; return the incidents that it opens and those it closes."""
        signals: list[Signal] = []
        for feed in self.feeds.values():
            feed.append(counts.get(feed.name, _NO_COUNTS))
            signals += feed.signals()
        end = max((feed.end for feed in self.feeds.values()), default=0)
        judged = [signal for signal in (self._with_siblings(signal, end) for signal in signals) if signal.kind]
        begun = self.incidents.take(end, judged)
        for signal in judged:
            feed = self.feeds[signal.feed]
            if signal.kind != MORE:
                feed.history.leave_out(signal.since, end)
            feed.start_at(end, signal.group)
        for incident in self.incidents.open:
            self._leave_out(incident, end)
        return begun, self.incidents.close(end, self._weight_since)

    def _weight_since(self, name: str, group: str, step: int) -> float:
        """Return the messages that came since a step, or that were due where messages themselves are in question."""
        return self.feeds[name].came_and_due(step)[group == "volume"] if name in self.feeds else float("inf")

    def _with_siblings(self, signal: Signal, end: int) -> Signal:
        """Where all feeds of one origin have fewer messages alike, name that and no fault: weather, a strike.

        Where that cannot be told yet, the signal has no kind: it is held for some hours at most.
        """
        if signal.kind not in ("low", "silent", "flapping") or signal.subject:
            return signal
        feed = self.feeds[signal.feed]
        came, due = feed.came_and_due(signal.since)
        ratio = came / max(due, 1e-9)
        fewer = replace(signal, kind=FEWER, subject=self._topology.through.get(signal.feed, ""), is_strong=False)
        alike = [incident for incident in self.incidents.open if incident.kind == FEWER]
        if any(self._goes_on(incident, signal, ratio, due) for incident in alike):
            return fewer
        if signal.kind != "low":
            return signal
        since, seen = self._low.get(signal.feed, (end, end))
        since = end if end - seen > HOLD_STEPS else since
        self._low[signal.feed] = since, end
        siblings = self._topology.siblings(signal.feed)
        evidence = [self.feeds[name].fits(signal.since, ratio) for name in siblings if name in self.feeds]
        judged = [number for number in evidence if number is not None]
        if judged and min(judged) > 0 and sum(judged) > _SURE:
            return fewer
        if not judged or sum(judged) < -2 * _SURE or end - since > _WAIT_STEPS:
            return signal
        return replace(signal, kind="")

    def _goes_on(self, incident: Incident, signal: Signal, ratio: float, due: float) -> bool:
        """Return whether no more is missing of a feed than chance leaves where they are as few as in an incident."""
        if signal.kind == "low":  # its windows may begin before the incident, and so does its share
            return signal.feed in incident.feeds or ratio <= (1 + incident.ratio) / 2
        feed = self.feeds[signal.feed]
        evidence = feed.fits(signal.since, incident.ratio)
        if evidence is None or evidence < _SURE or feed.expected is None:
            return False
        return few(ratio * due, incident.ratio * due, feed.expected.baseline.spread) >= _CHANCE
