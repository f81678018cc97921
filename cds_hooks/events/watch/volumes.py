"""Too few or too many messages of a feed, by what is expected in the windows that end now."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from math import log, sqrt
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from cds_hooks.events.watch.baseline import Baseline, Expected
from cds_hooks.events.watch.history import STEP_SECONDS, STEPS_A_DAY, History, Numbers
from cds_hooks.events.watch.signals import NEVER, WINDOWS, Signal, Starts
from cds_hooks.events.watch.tails import few, many

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


class FeedNow(Struct, frozen=True):
    """A feed at the end of a step: what came, what was due, and from which step on it is looked at."""

    feed: str
    history: History
    expected: Expected
    baseline: Baseline
    end: int
    starts: Starts

    def within(self, sums: Numbers, windows: NDArray[np.int64] | int, shift: int = 0) -> Numbers:
        """Return what running sums rise by in the windows that end now, or `shift` steps later."""
        at = self.end - self.expected.start + shift
        return np.asarray(sums[at] - sums[at - windows])

    def shifted(self, sums: Numbers, windows: NDArray[np.int64]) -> list[Numbers]:
        """Return the same for a sender that comes as it did, an hour later and an hour earlier."""
        return [self.within(sums, windows, shift) for shift in (0, -_SHIFT_STEPS, _SHIFT_STEPS)]

    def signal(self, kind: str, ratio: float, steps: int, weight: float, *, is_strong: bool = False) -> Signal:
        """Return a signal about the messages of the last steps."""
        group = "flood" if kind in ("flood", "more") else "volume"
        return Signal(self.feed, kind, "", ratio, self.end - steps, weight, group, is_strong)


def volume(now: FeedNow) -> list[Signal]:
    """Return whether too few or too many messages came in windows that end now."""
    messages = np.concatenate([[0.0], np.cumsum(now.history.messages(now.end - int(WINDOWS[-1]), now.end))])
    counts = messages[-1] - messages[len(messages) - 1 - WINDOWS]
    return (_low(now, counts) or _flapping(now)) + _flood(now, counts)


def _low(now: FeedNow, counts: Numbers) -> list[Signal]:
    windows = WINDOWS[: now.starts.rows("volume", now.end, len(WINDOWS))]
    expected, spread, counts = now.expected, now.baseline.spread, counts[: len(windows)]
    means = np.minimum.reduce(now.shifted(expected.low, windows))
    errors = now.within(expected.day_error, windows) ** 2 + now.within(expected.hour_error, windows)
    deviations = (means - counts) / np.sqrt(means * spread + errors + 1e-9)
    for row in np.flatnonzero((counts < _LOW_SHARE * means) & (deviations > 2.0)).tolist():
        mean, count, window = float(means[row]), float(counts[row]), int(windows[row])
        if few(count, mean, spread + float(errors[row]) / mean) < _RARE:
            ratio = count / mean
            if _is_as_on_a_holiday(now, window):
                return [now.signal("low", ratio, window, mean)]
            is_silent = ratio < _SILENT_SHARE or _is_dead(counts, means, row)
            is_strong = mean >= _BUSY * window and (is_silent or ratio < _LOW_STRONG)
            return [now.signal("silent" if is_silent else "low", ratio, window, mean, is_strong=is_strong)]
    return []


def _is_as_on_a_holiday(now: FeedNow, window: int) -> bool:
    """Return whether so few messages came as on a Sunday, in a window and since the day began.

    A feed that came as usual this morning and stopped has no holiday, and neither has one of which not even the
    messages of a Sunday come.
    """
    moment = datetime.fromtimestamp(now.end * STEP_SECONDS, now.baseline.zone)
    today = max((moment.hour * 3600 + moment.minute * 60) // STEP_SECONDS, 1)
    for steps in (window, min(today, int(WINDOWS[-1]))):
        count = float(now.history.messages(now.end - steps, now.end).sum())
        quiet, usual = (float(now.within(sums, steps)) for sums in (now.expected.quiet, now.expected.low))
        if steps == window and quiet >= _HOLIDAY_SHARE * usual:
            return False
        if min(few(count, quiet, now.baseline.spread), many(count, quiet, now.baseline.spread)) < _HOLIDAY_CHANCE:
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


def _flapping(now: FeedNow) -> list[Signal]:
    """Return whether a feed stops again and again, each time for less than can be told from chance."""
    expected, spread, end = now.expected, now.baseline.spread, now.end
    start = max(end - _GAPS_STEPS, now.starts.of("volume"))
    if expected.low[end - expected.start] - expected.low[start - expected.start] < _GAPS_LEAST:
        return []
    counts = now.history.messages(start, end)
    if (counts > 0).all():
        return []
    shifts = (start - expected.start + shift for shift in (0, -_SHIFT_STEPS, _SHIFT_STEPS))
    means = np.minimum.reduce([np.diff(expected.low[first : first + end - start + 1]) for first in shifts])
    due, running, length, together = list[float](), 0.0, 0, 1.0
    for count, mean in zip([*counts.tolist(), 1], [*means.tolist(), 0.0], strict=True):
        if count == 0:
            running, length = running + mean, length + 1
            continue
        rare = few(0, running, spread)
        if rare < (_GAP_RARE if length > 1 else _SHORT_RARE):
            due.append(running)
            together *= rare
        running, length = 0.0, 0
    is_alive = counts > 0
    if counts[is_alive].sum() < _ALIVE_SHARE * means[is_alive].sum():  # fewer all the time is no flapping
        return []
    ratio = float(counts.sum() / means.sum())
    if len(due) < 2 or together >= _GAPS_RARE or not 0.2 < ratio < _GAPS_SHARE:
        return []
    if few(0, ratio * sum(sorted(due)[-2:]), spread) >= _THIN_RARE:
        return []
    return [now.signal("flapping", ratio, end - start, float(means.sum()), is_strong=True)]


def _flood(now: FeedNow, counts: Numbers) -> list[Signal]:
    windows = WINDOWS[: now.starts.rows("flood", now.end, len(WINDOWS))]
    expected, spread = now.expected, now.baseline.spread
    means = np.maximum.reduce(now.shifted(expected.high, windows))
    variances = means * spread + now.within(expected.day_error, windows) ** 2
    variances += now.within(expected.hour_error, windows)
    for row, mean in enumerate(means.tolist()):
        count, window, ratio = float(counts[row]), int(windows[row]), float(counts[row]) / max(mean, 1e-9)
        if window > _FLOOD_STEPS:
            # twice the logarithm of the likelihood ratio, by how much counts vary: a normal deviate, squared
            likelier = 2 * (count * log(max(count, 1) / max(mean, 1e-9)) - count + mean)
            certain = likelier * mean / max(variances[row], 1e-9)
            if count >= max(_FLOOD_LEAST, _MORE_SHARE * mean) and certain > _MORE_CERTAIN**2:
                return [now.signal("more", ratio, window, mean)]
        elif count >= max(_FLOOD_LEAST, _FLOOD_SHARE * mean) and many(count, mean, 2 * spread) < NEVER:
            return [now.signal("flood", ratio, window, count, is_strong=True)]
    return []


def growth(now: FeedNow, left_out: Sequence[tuple[int, int]]) -> list[Signal]:
    """Return whether the messages of the last seven days rise from day to day, judged once an hour.

    Each day counts by how exactly it is known and how late it is, so a rise is seen before any day is far out. A day in
    which something was wrong with the feed counts for nothing.
    """
    baseline, end = now.baseline, now.end
    days = min(_GROWTH_DAYS, (end - now.starts.first) // STEPS_A_DAY)
    if end % 12 or days < _GROWTH_LEAST_DAYS:
        return []
    edges = end - STEPS_A_DAY * np.arange(days, -1, -1)
    spans = list(pairwise(edges.tolist()))
    came = np.array([now.history.messages(*span).sum() for span in spans])
    due = np.diff(now.expected.high[edges - now.expected.start])
    weekdays = [datetime.fromtimestamp((start + 1) * STEP_SECONDS, baseline.zone).weekday() for start, _ in spans]
    is_whole = [not any(start < stop and begin < end for start, end in left_out) for begin, stop in spans]
    used = (due > 1) & np.array(is_whole)
    if used.sum() < _GROWTH_LEAST_DAYS:
        return []
    variances = (baseline.day_variance[weekdays] + baseline.spread / np.maximum(due, 1))[used]
    weights = np.arange(1, days + 1)[used] / variances
    total, rise = float(weights.sum()), float(weights @ (came[used] / due[used] - 1))
    error = float(weights @ (weights * variances)) + total**2 * float(baseline.day_variance.mean()) / 14
    if rise < _GROWTH_LEAST * total or rise < _GROWTH_CERTAIN * sqrt(error):
        return []
    return [Signal(now.feed, "more", "", 1 + rise / total, end - days * STEPS_A_DAY, float(due[-1]), "growth")]


def batch(now: FeedNow) -> list[Signal]:
    """Return whether a batch is missing or short, some time after it should have ended, unless it is coming now."""
    expected, baseline, end = now.expected, now.baseline, now.end
    start = max(end - _BATCH_STEPS, now.starts.of("volume"))
    steps = np.diff(expected.low[start - expected.start : end - expected.start + 1])
    counts = now.history.messages(start, end)
    due = np.flatnonzero(steps > 0.25 * baseline.hours.max())
    if not len(due) or len(steps) - 1 - int(due[-1]) < _BATCH_WAIT:
        return []
    first = int(due[0])
    if not first:  # its beginning is no longer in view
        return []
    if (counts[-3:] > 0.1 * steps[due].mean()).any():
        return []
    mean = float(steps[first:].sum())
    ratio = float(counts[first:].sum()) / mean
    day = datetime.fromtimestamp((start + first) * STEP_SECONDS, baseline.zone).weekday()
    # of the day on which it is due: a batch that rests on one day of the week teaches nothing about that day
    error = float(np.sqrt(baseline.day_variance[day] + baseline.spread / mean))
    if ratio >= 1 + max(_MORE_SHARE - 1, 6 * error):
        return [Signal(now.feed, "more", "", ratio, start + first, mean / 3, "flood")]
    if ratio >= 1 - max(0.2, 6 * error):
        return []
    return [
        Signal(
            now.feed, "silent" if ratio < _SILENT_SHARE else "low", "batch", ratio, start + first, mean / 3, "volume"
        )
    ]
