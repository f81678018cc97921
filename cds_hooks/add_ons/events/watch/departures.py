"""What departs from what is usual for a feed: how many messages come, and what they bring."""

from collections.abc import Iterator
from itertools import groupby
from math import log
from typing import Final

import numpy as np

from cds_hooks.add_ons.events.watch.baseline import AHEAD_STEPS, PART_KINDS, SHARE_KINDS, TAIL, Baseline, rarity
from cds_hooks.add_ons.events.watch.history import (
    STEPS_A_DAY,
    WINDOWS,
    Counts,
    Feed,
    Numbers,
    Signal,
    by_subject,
    parts_of,
)
from models_onnx.monitoring.sketch import bucket_at

_LONGEST: Final = int(WINDOWS[-1])
_SHIFT_STEPS: Final = 14
"""A sender may come an hour earlier or later than it did, and some minutes: a change of the clocks, another round."""
_BATCH_WINDOWS: Final = int(np.searchsorted(WINDOWS, STEPS_A_DAY // 2, side="right"))
"""A whole day holds a batch that is due whenever it comes, so those of half a day are judged."""
_RARE: Final = 1e-7
_LOW_RARE: Final = 1e-5
_LOW_SHARE: Final = 0.86
_LOW_STRONG: Final = 0.7
_SILENT_SHARE: Final = 0.12
_SILENT_LEAST: Final = 5.0
"""Where nothing came since so many messages were due at the share of before, a feed is silent and not low."""
_BUSY: Final = 1.8
"""Messages of a step: where fewer are due, a silence is less urgent."""
_FLOOD_WINDOWS: Final = int(np.searchsorted(WINDOWS, STEPS_A_DAY // 24, side="right"))
_FLOOD_SHARE: Final = 2.5
_FLOOD_LEAST: Final = 20
_GAPS_STEPS: Final = 13
_GAP_RARE: Final = 1e-3
_SHARE_FACTOR: Final = 2.0
_SHARE_MORE: Final = 0.004
_SHARE_LEAST: Final = 4
_SHARE_STRONG: Final = 0.1
_PART_LEAST: Final = 25.0
_PART_SHARE: Final = 0.04
_UNIT_RATIO: Final = 1.8
_LATE_RATIO: Final = 4.0
_STUCK_SHARE: Final = 0.4
_STUCK_STEPS: Final = 24
_NEW_EVIDENCE: Final = 20.0
_MOST_NAMES: Final = 20_000


def volume(feed: Feed, baseline: Baseline) -> Iterator[Signal]:
    """Yield whether too few or too many messages came in windows that end now."""
    low, high = baseline.due(feed.end - _LONGEST - _SHIFT_STEPS, feed.end + _SHIFT_STEPS)
    least, most = (
        extreme([_sums(due[by : by + _LONGEST]) for by in (0, _SHIFT_STEPS, 2 * _SHIFT_STEPS)], axis=0)
        for extreme, due in ((np.min, low), (np.max, high))
    )
    counts = _sums(np.append(np.zeros(_LONGEST), feed.messages(_LONGEST))[-_LONGEST:])
    rows = len(feed.windows("volume")[: _BATCH_WINDOWS if baseline.is_batch else None])
    is_low = (counts < _LOW_SHARE * least) & (rarity(counts, least, baseline.spread_of(least)) < _LOW_RARE)
    for row in np.flatnonzero(is_low[:rows])[:1].tolist():
        ratio = counts[row] / least[row]
        is_silent = ratio < _SILENT_SHARE or ((counts == 0) & (ratio * least >= _SILENT_LEAST)).any()
        is_strong = least[row] >= _BUSY * WINDOWS[row] and (is_silent or ratio < _LOW_STRONG)
        yield feed.signal("silent" if is_silent else "low", "volume", WINDOWS[row], ratio, is_strong=is_strong)
        return
    yield from _flapping(feed, baseline, low[_SHIFT_STEPS:-_SHIFT_STEPS])
    is_flood = counts >= np.maximum(_FLOOD_LEAST, _FLOOD_SHARE * most)
    is_flood &= rarity(counts, most, baseline.spread_of(most)) < _RARE
    for row in np.flatnonzero(is_flood[: len(feed.windows("flood")[:_FLOOD_WINDOWS])])[:1].tolist():
        yield feed.signal("flood", "flood", WINDOWS[row], counts[row] / max(most[row], 1e-9), is_strong=True)


def _sums(steps: Numbers) -> Numbers:
    return np.asarray(np.cumsum(steps[::-1])[WINDOWS - 1])


def _flapping(feed: Feed, baseline: Baseline, due: Numbers) -> Iterator[Signal]:
    """Yield whether a feed stops again and again, each time for less than can be told from chance."""
    length = min(_GAPS_STEPS, feed.judged("volume"))
    counts, means = feed.messages(length), due[len(due) - length :]
    runs = groupby(zip(counts.tolist(), means.tolist(), strict=True), lambda step: step[0] == 0)
    missing = [sum(mean for _, mean in steps) for is_gap, steps in runs if is_gap]
    gaps = [due for due in missing if rarity(0, due, baseline.spread) < _GAP_RARE]
    ratio = counts.sum() / max(means.sum(), 1e-9)
    # gaps that are likely where messages are only fewer all the time are none
    if len(gaps) >= 2 and rarity(0, ratio * sum(gaps), baseline.spread) < _GAP_RARE:
        yield feed.signal("flapping", "volume", length, ratio, is_strong=True)


class Judge:
    """Judges each step of a feed, by running sums of two days of shares of the messages, parts, values and latency."""

    def __init__(self, feed: Feed, baseline: Baseline) -> None:
        self._feed, self.baseline = feed, baseline
        self._names, self._rates = list(baseline.rates), np.array(list(baseline.rates.values()))
        self._tails = {
            name: (bucket_at(sketch, TAIL), bucket_at(sketch, 1 - TAIL)) for name, sketch in baseline.values.items()
        }
        self._spreads = [1 - rate if name[0] in "<>" else 1.0 for name, rate in baseline.rates.items()]
        wholes = [f"={name[1:]}" if name[0] in "<>" else "messages" for name in self._names]
        columns = ["messages", *self._names, *(f"={name}" for name in self._tails)]
        self._at = {name: column for column, name in enumerate(columns)}
        self._whole = [self._at[name] for name in wholes]
        self._is_part = np.array([parts_of(name)[0] in PART_KINDS for name in self._names])
        self._columns: dict[str, list[int]] = {}
        self._sums = np.zeros((_LONGEST + 1, len(columns)))
        for counts in feed.recent:
            self.append(counts)

    def append(self, counts: Counts) -> None:
        """Add a step."""
        sums = self._sums[-1].copy()
        for name, count in counts.items():
            if name not in self._columns and len(self._columns) < _MOST_NAMES:
                self._columns[name] = self._columns_of(name)
            sums[self._columns.get(name, [])] += count
        self._sums = np.vstack([self._sums[1:], sums])

    def _columns_of(self, name: str) -> list[int]:
        """Return the columns to which a name adds."""
        kind, subject, number = parts_of(name)
        keys = {name, kind}
        if kind in ("latency", "value") and subject in self._tails:
            low, high = self._tails[subject]
            keys |= {f"={subject}", f">{subject}" if number > high else "", f"<{subject}" if number < low else ""}
        if kind == "latency" and number <= AHEAD_STEPS:
            keys.add("ahead")
        return [self._at[key] for key in keys if key in self._at]

    def departures(self) -> Iterator[Signal]:
        """Yield what departs in messages, shares, latency, values, parts and codes in windows that end now."""
        yield from volume(self._feed, self.baseline)
        if self._sums[-1, 0] > self._sums[0, 0]:
            yield from self._shares()
        if not self._feed.end % 6:
            yield from self._stuck()
        if not self._feed.end % 12:
            yield from self._new()

    def _shares(self) -> Iterator[Signal]:
        """Yield which shares are raised, and of which parts nothing comes, beyond chance and by enough to matter."""
        sums = self._sums[-1] - self._sums[-1 - WINDOWS]
        counts, wholes = sums[:, 1 : 1 + len(self._names)], sums[:, self._whole]
        due = self._rates * np.where(self._is_part, wholes - sums[:, [self._at["duplicate"]]], wholes)
        is_raised = counts >= np.maximum(_SHARE_LEAST, np.maximum(_SHARE_FACTOR * due, due + _SHARE_MORE * wholes))
        is_gone = (due >= _PART_LEAST) & (counts <= _PART_SHARE * due)
        departs = np.where(self._is_part, is_gone, is_raised)
        departs[:, departs.any(0)] &= rarity(counts, due, self._spreads)[:, departs.any(0)] < _RARE
        for column in np.flatnonzero(departs.any(0)).tolist():
            name = self._names[column]
            group = SHARE_KINDS.get(name, _group_of(name[1:]) if name[0] in "<>" else name)
            rows = np.flatnonzero(departs[: len(self._feed.windows(group)), column])
            if len(rows):
                steps = int(WINDOWS[rows[0]])
                yield self._signal(name, group, steps, counts[rows[0], column] / wholes[rows[0], column])

    def _signal(self, name: str, group: str, steps: int, share: float) -> Signal:
        part, subject, _ = parts_of(name)
        if part in PART_KINDS:
            return self._feed.signal(PART_KINDS[part], group, steps, 0.0, "ward " * (part == "ward") + subject)
        if name == "unmapped":
            codes = by_subject(self._feed.total(steps), "unmapped")
            code = max(codes, key=lambda code: codes[code].total())
            return self._feed.signal(group, group, steps, share, code, is_strong=True)
        if name in SHARE_KINDS:
            is_strong = share >= _SHARE_STRONG and name not in ("duplicate", "no-offset")
            return self._feed.signal(group, group, steps, share, is_strong=is_strong)
        subject = name[1:]
        sketch = by_subject(self._feed.total(steps), "value" if subject else "latency")[subject]
        moved = bucket_at(sketch, 0.5) - bucket_at(self.baseline.values[subject], 0.5)
        ratio = (1.01 / 0.99 if subject else 1.25) ** moved
        if not subject:
            return self._feed.signal("late", group, steps, ratio, is_strong=ratio >= _LATE_RATIO)
        kind = "shift" if 1 / _UNIT_RATIO < ratio < _UNIT_RATIO else "unit"
        return self._feed.signal(kind, group, steps, ratio, subject.partition("|")[0], is_strong=kind == "unit")

    def _stuck(self) -> Iterator[Signal]:
        """Yield the codes of which one value comes again and again."""
        for subject, came in by_subject(self._feed.total(_STUCK_STEPS), "value").items():
            usual, group = self.baseline.values.get(subject), _group_of(subject)
            if usual is None or self._feed.judged(group) < _STUCK_STEPS:
                continue
            bucket, count = max(came.items(), key=lambda pair: pair[::-1])
            due = (usual[bucket] + 3) / usual.total() * came.total()
            if count >= max(_STUCK_SHARE * came.total(), 3 * due) and rarity(count, due, 1) < _RARE:
                yield self._feed.signal("stuck", group, _STUCK_STEPS, count / came.total(), subject.partition("|")[0])

    def _new(self) -> Iterator[Signal]:
        """Yield codes of which values came twice in a day in a new unit, and codes of which none is mapped any more."""
        units = {subject.partition("|")[0] for subject in self.baseline.values}
        steps = min(STEPS_A_DAY, self._feed.judged("unit-label"))
        for subject, sketch in by_subject(self._feed.total(steps), "value").items():
            code, _, unit = subject.partition("|")
            if code in units and subject not in self.baseline.values and sketch.total() >= 2:
                yield self._feed.signal("unit-label", "unit-label", steps, 1.0, f"{code} in {unit}")
        steps = min(STEPS_A_DAY, self._feed.judged("unmapped"))
        names = self._feed.total(steps)
        came = {code: sketch.total() for code, sketch in by_subject(names, "unmapped").items()}
        codes = [code for code, count in came.items() if count >= 2 and count >= names[f"result:{code}"]]
        rate = max(self.baseline.rates["unmapped"], 0.005)
        if sum(came[code] for code in codes) * log(1 / rate) >= _NEW_EVIDENCE:
            yield self._feed.signal("unmapped", "unmapped", steps, 1.0, ", ".join(sorted(codes)[:6]))


def _group_of(subject: str) -> str:
    return f"values:{subject}" if subject else "late"
