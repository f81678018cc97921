"""Too few or too many messages of a feed, by what is expected in the windows that end now."""

from itertools import groupby, pairwise
from math import log, sqrt
from typing import Final

import numpy as np

from cds_hooks.events.watch.baseline import NEVER, WINDOWS, Expected, Feed, Signal, Steps, few, many
from cds_hooks.events.watch.history import STEPS_A_DAY, Numbers

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
