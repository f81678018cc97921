"""Too few or too many messages of a feed, by what is expected in the windows that end now."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from math import log, sqrt
from typing import Final

import numpy as np
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


def volume(
    feed: str, history: History, expected: Expected, baseline: Baseline, end: int, starts: Starts
) -> list[Signal]:
    """Return whether too few or too many messages came in windows that end now."""
    windows = WINDOWS[: starts.rows("volume", end, len(WINDOWS))]
    messages = np.concatenate([[0.0], np.cumsum(history.messages(end - int(WINDOWS[-1]), end))])
    counts = messages[-1] - messages[len(messages) - 1 - WINDOWS]
    signals = _low(feed, history, counts, expected, baseline, end, windows)
    if not signals:
        signals = _flapping(feed, history, expected, baseline, end, starts)
    return signals + _flood(feed, counts, expected, baseline, end, starts)


def _within(sums: Numbers, at: int, windows: NDArray[np.int64], shift: int = 0) -> Numbers:
    return np.asarray(sums[at + shift] - sums[at + shift - windows])


def _low(
    feed: str,
    history: History,
    counts: Numbers,
    expected: Expected,
    baseline: Baseline,
    end: int,
    windows: NDArray[np.int64],
) -> list[Signal]:
    at = end - expected.start
    means = np.minimum.reduce([_within(expected.low, at, windows, shift) for shift in (0, -_SHIFT_STEPS, _SHIFT_STEPS)])
    counts = counts[: len(windows)]
    errors = _within(expected.day_error, at, windows) ** 2 + _within(expected.hour_error, at, windows)
    deviations = (means - counts) / np.sqrt(means * baseline.spread + errors + 1e-9)
    candidates = (counts < _LOW_SHARE * means) & (deviations > 2.0)
    for row in np.flatnonzero(candidates).tolist():
        mean = float(means[row])
        if few(float(counts[row]), mean, baseline.spread + float(errors[row]) / mean) < _RARE:
            ratio = float(counts[row]) / mean
            is_silent = ratio < _SILENT_SHARE or _is_dead(counts, means, row)
            if _is_as_on_a_holiday(history, expected, baseline, end, int(windows[row])):
                return [Signal(feed, "low", "", ratio, end - int(windows[row]), mean, "volume")]
            kind = "silent" if is_silent else "low"
            is_strong = mean >= _BUSY * windows[row] and (is_silent or ratio < _LOW_STRONG)
            return [Signal(feed, kind, "", ratio, end - int(windows[row]), mean, "volume", bool(is_strong))]
    return []


def _is_as_on_a_holiday(history: History, expected: Expected, baseline: Baseline, end: int, window: int) -> bool:
    """Return whether so few messages came as on a Sunday, in a window and since the day began.

    A feed that came as usual this morning and stopped has no holiday, and neither has one of which not even the
    messages of a Sunday come.
    """
    moment = datetime.fromtimestamp(end * STEP_SECONDS, baseline.zone)
    today = max((moment.hour * 3600 + moment.minute * 60) // STEP_SECONDS, 1)
    for steps in (window, min(today, int(WINDOWS[-1]))):
        count = float(history.messages(end - steps, end).sum())
        quiet, usual = (float(sums[end - expected.start] - sums[end - expected.start - steps])
                        for sums in (expected.quiet, expected.low))  # fmt: skip
        if steps == window and quiet >= _HOLIDAY_SHARE * usual:
            return False
        if min(few(count, quiet, baseline.spread), many(count, quiet, baseline.spread)) < _HOLIDAY_CHANCE:
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


def _flapping(
    feed: str, history: History, expected: Expected, baseline: Baseline, end: int, starts: Starts
) -> list[Signal]:
    """Return whether a feed stops again and again, each time for less than can be told from chance."""
    start = max(end - _GAPS_STEPS, starts.of("volume"))
    if expected.low[end - expected.start] - expected.low[start - expected.start] < _GAPS_LEAST:
        return []
    counts = history.messages(start, end)
    if (counts > 0).all():
        return []
    shifts = (start - expected.start + shift for shift in (0, -_SHIFT_STEPS, _SHIFT_STEPS))
    means = np.minimum.reduce([np.diff(expected.low[first : first + end - start + 1]) for first in shifts])
    due, running, length, together = list[float](), 0.0, 0, 1.0
    for count, mean in zip([*counts.tolist(), 1], [*means.tolist(), 0.0], strict=True):
        if count == 0:
            running, length = running + mean, length + 1
            continue
        rare = few(0, running, baseline.spread)
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
    if few(0, ratio * sum(sorted(due)[-2:]), baseline.spread) >= _THIN_RARE:
        return []
    return [Signal(feed, "flapping", "", ratio, start, float(means.sum()), "volume", is_strong=True)]


def _flood(
    feed: str, counts: Numbers, expected: Expected, baseline: Baseline, end: int, starts: Starts
) -> list[Signal]:
    windows = WINDOWS[: starts.rows("flood", end, len(WINDOWS))]
    at = end - expected.start
    means = np.maximum.reduce(
        [_within(expected.high, at, windows, shift) for shift in (0, -_SHIFT_STEPS, _SHIFT_STEPS)]
    )
    variances = means * baseline.spread + _within(expected.day_error, at, windows) ** 2
    variances += _within(expected.hour_error, at, windows)
    for row, mean in enumerate(means.tolist()):
        count = float(counts[row])
        if windows[row] > _FLOOD_STEPS:
            # twice the logarithm of the likelihood ratio, by how much counts vary: a normal deviate, squared
            certain = (
                2 * (count * log(max(count, 1) / max(mean, 1e-9)) - count + mean) * mean / max(variances[row], 1e-9)
            )
            if count >= max(_FLOOD_LEAST, _MORE_SHARE * mean) and certain > _MORE_CERTAIN**2:
                return [Signal(feed, "more", "", count / mean, end - int(windows[row]), mean, "flood")]
        elif count >= max(_FLOOD_LEAST, _FLOOD_SHARE * mean) and many(count, mean, 2 * baseline.spread) < NEVER:
            return [
                Signal(
                    feed, "flood", "", count / max(mean, 1e-9), end - int(windows[row]), count, "flood", is_strong=True
                )
            ]
    return []


def growth(
    feed: str,
    history: History,
    expected: Expected,
    baseline: Baseline,
    end: int,
    first: int,
    left_out: Sequence[tuple[int, int]],
) -> list[Signal]:
    """Return whether the messages of the last seven days rise from day to day, judged once an hour.

    Each day counts by how exactly it is known and how late it is, so a rise is seen before any day is far out. A day in
    which something was wrong with the feed counts for nothing.
    """
    days = min(_GROWTH_DAYS, (end - first) // STEPS_A_DAY)
    if end % 12 or days < _GROWTH_LEAST_DAYS:
        return []
    edges = end - STEPS_A_DAY * np.arange(days, -1, -1)
    came = np.array([history.messages(start, stop).sum() for start, stop in pairwise(edges.tolist())])
    due = np.diff(expected.high[edges - expected.start])
    weekdays = [
        datetime.fromtimestamp((edge + 1) * STEP_SECONDS, baseline.zone).weekday() for edge in edges[:-1].tolist()
    ]
    used = (due > 1) & np.array(
        [not any(start < stop and begin < end for start, end in left_out) for begin, stop in pairwise(edges.tolist())]
    )
    if used.sum() < _GROWTH_LEAST_DAYS:
        return []
    variances = (baseline.day_variance[weekdays] + baseline.spread / np.maximum(due, 1))[used]
    weights = np.arange(1, days + 1)[used] / variances
    rise = float(weights @ (came[used] / due[used] - 1))
    error = (
        float(weights @ (weights * variances)) + float(weights.sum()) ** 2 * float(baseline.day_variance.mean()) / 14
    )
    if rise < _GROWTH_LEAST * weights.sum() or rise < _GROWTH_CERTAIN * sqrt(error):
        return []
    return [
        Signal(feed, "more", "", 1 + rise / float(weights.sum()), end - days * STEPS_A_DAY, float(due[-1]), "growth")
    ]


def batch(
    feed: str, history: History, expected: Expected, baseline: Baseline, end: int, starts: Starts
) -> list[Signal]:
    """Return whether a batch is missing or short, some time after it should have ended, unless it is coming now."""
    start = max(end - _BATCH_STEPS, starts.of("volume"))
    steps = np.diff(expected.low[start - expected.start : end - expected.start + 1])
    counts = history.messages(start, end)
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
        return [Signal(feed, "more", "", ratio, start + first, mean / 3, "flood")]
    if ratio >= 1 - max(0.2, 6 * error):
        return []
    return [
        Signal(feed, "silent" if ratio < _SILENT_SHARE else "low", "batch", ratio, start + first, mean / 3, "volume")
    ]
