"""What departs from the baseline of one feed now: by kind, what it is about, since when, and on how many messages."""

from collections import Counter, deque
from collections.abc import Sequence
from math import log
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from cds_hooks.events.watch.baseline import AHEAD_STEPS, Baseline, Expected, Level
from cds_hooks.events.watch.history import STEPS_A_DAY, Counts, History, Numbers, parts_of
from cds_hooks.events.watch.tails import few, many
from fhir.terminology.analytes import ANALYTES
from models_onnx.monitoring.sketch import Sketch, bucket_at

WINDOWS: Final = np.array([1, 2, 3, 4, 6, 9, 12, 18, 24, 36, 48, 72, 96, 144, 192, 288, 432, 576])
"""Steps of five minutes: windows from 5 minutes to 2 days."""
_FLOOD_WINDOWS: Final = 7
_SHIFT_STEPS: Final = 12
"""A sender may come an hour earlier or later than it did: a change of the clocks, another round."""
RARE: Final = 2e-7
_LOW_SHARE: Final = 0.86
_SILENT_SHARE: Final = 0.12
_FLOOD_SHARE: Final = 2.5
_FLOOD_LEAST: Final = 20
_NEVER: Final = 1e-9
_SHARE_RARE: Final = 1e-8
_SHARE_FACTOR: Final = 2.5
_SHARE_MORE: Final = 0.004
_LEAST_EFFECT: Final = 0.35
"""In deviations: smaller shifts of values and latencies are what analysers and seasons do."""
_CERTAIN: Final = 4.0
"""In standard errors, before the exact bound is computed."""
_SHIFT_RARE: Final = 1e-8
_UNIT_RARE: Final = 1e-6
"""Enough where the ratio is that of two units of the analyte: units are what changes most."""
_UNIT_NEAR: Final = 0.25
_UNIT_RATIO: Final = 1.8
_STUCK_SHARE: Final = 0.4
_STUCK_STEPS: Final = 24
_STUCK_LEAST: Final = 10
_PART_LEAST: Final = 25.0
_PART_GAPS: Final = 2.5
_BATCH_WAIT: Final = 9
_BATCH_STEPS: Final = 60
_GAP_RARE: Final = 1e-3
_GAPS_RARE: Final = 3e-7
_GAPS_SHARE: Final = 0.7
_GAPS_STEPS: Final = 13
_ALIVE_SHARE: Final = 0.6
_GAPS_LEAST: Final = 14.0
_NEW_EVIDENCE: Final = 20.0
_BUSY: Final = 1.8
"""Messages of a step: where fewer are due, a silence is less urgent."""
_LOW_STRONG: Final = 0.7
_STRONG_SHARE: Final = 0.1
_STRONG_EFFECT: Final = 0.8
_ANALYTES: Final = {loinc: analyte for analyte in ANALYTES.values() for loinc in analyte.loinc}
SHARE_KINDS: Final = {
    "duplicate": "duplicates",
    "out-of-order": "order",
    "unknown-patients": "identifiers",
    "state:dead": "errors",
    "no-offset": "clock",
    "ahead": "clock",
    "refused": "refusals",
    "failed": "errors",
}


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


class Columns:
    """Running sums of the last two days of what is judged at each step: shares, latency, values and parts."""

    def __init__(self, feed: str, history: History, baseline: Baseline) -> None:
        self._feed, self._baseline = feed, baseline
        self.shares = list(baseline.shares)
        self.values = list(baseline.values)
        self.parts = list(baseline.parts)
        self._latency = 3 + len(self.shares)
        self._value = self._latency + 2
        self._part = self._value + 2 * len(self.values)
        self._width = self._part + len(self.parts)
        self._effects: dict[str, list[tuple[int, float]]] = {}
        self._rare: deque[tuple[int, str, float]] = deque()
        """Unmapped codes and values in new units of the last day, with their step."""
        self._levels_of: list[tuple[str, Level]] = list(baseline.values.items())
        if baseline.latency is not None:
            self._levels_of.append(("", baseline.latency))
        self._moments = np.array([(level.mean, level.deviation, level.count) for _, level in self._levels_of]).T
        self._probabilities = np.array(list(baseline.shares.values()))
        self._step = history.end - len(history.recent)
        self._sums = np.zeros((4 * WINDOWS[-1], self._width))
        self._length = 0
        for counts in history.recent:
            self.append(counts)

    def append(self, counts: Counts) -> None:
        """Add a step."""
        if self._length + 1 == len(self._sums):
            kept = WINDOWS[-1] + 1
            self._sums[:kept] = self._sums[self._length + 1 - kept : self._length + 1]
            self._length = kept - 1
        row = self._sums[self._length + 1]
        row[:] = self._sums[self._length]
        for name, count in counts.items():
            effects = self._effects.get(name)
            if effects is None:
                effects = self._effects_of(name)
            for column, weight in effects:
                if column < 0:
                    self._rare.append((self._step, name, count))
                else:
                    row[column] += weight * count
        self._length += 1
        self._step += 1
        while self._rare and self._rare[0][0] < self._step - STEPS_A_DAY:
            self._rare.popleft()

    def _effects_of(self, name: str) -> list[tuple[int, float]]:
        """Return to which columns a name adds, with which weight: the first three are messages, results, unmapped."""
        effects = []
        if name in self._baseline.shares:
            effects.append((3 + self.shares.index(name), 1.0))
        kind, subject, number = parts_of(name)
        if name in ("messages", "results"):
            effects.append((0 if name == "messages" else 1, 1.0))
        elif kind == "unmapped":
            effects += [(2, 1.0), (-1, 1.0)]
        elif kind == "latency" and self._baseline.latency is not None:
            effects += [(self._latency, 1.0), (self._latency + 1, self._baseline.latency.score(number))]
            if number <= AHEAD_STEPS:
                effects.append((3 + self.shares.index("ahead"), 1.0))
        elif kind == "value" and subject in self._baseline.values:
            column = self._value + 2 * self.values.index(subject)
            effects += [(column, 1.0), (column + 1, self._baseline.values[subject].score(number))]
        elif kind == "value" and self._is_new_unit(subject):
            effects.append((-1, 1.0))
        elif name in self._baseline.parts:
            effects.append((self._part + self.parts.index(name), 1.0))
        if len(self._effects) < 20_000:
            self._effects[name] = effects
        return effects

    def _is_new_unit(self, subject: str) -> bool:
        code, _, unit = subject.partition("|")
        return unit not in self._baseline.units.get(code, {unit})

    def windows(self, most: int) -> Numbers:
        """Return the sums in each window that fits into the last `most` steps."""
        windows = WINDOWS[: int(np.searchsorted(WINDOWS, min(most, self._length), side="right"))]
        return np.asarray(self._sums[self._length] - self._sums[self._length - windows])

    def departures(self, history: History, end: int, starts: "Starts") -> list[Signal]:
        """Return what departs in shares, latency, values, parts and codes in windows that end at `end`."""
        sums = self.windows(int(WINDOWS[-1]))
        if not len(sums) or not sums[-1, 0]:
            return []
        return [
            *self._raised_shares(sums, end, starts),
            *self._levels(sums, history, end, starts),
            *self._gone_parts(sums, history, end, starts),
            *self._unmapped(sums, history, end, starts),
        ]

    def _raised_shares(self, sums: Numbers, end: int, starts: "Starts") -> list[Signal]:
        signals, messages = [], sums[:, 0]
        probabilities = self._probabilities
        counts = sums[:, 3 : 3 + len(self.shares)]
        least = np.maximum(_SHARE_FACTOR * probabilities, probabilities + _SHARE_MORE) * messages[:, None]
        for column in np.flatnonzero(((counts >= 4) & (counts >= least)).any(0)).tolist():
            name = self.shares[column]
            kind, _, subject = name.partition(":") if name.startswith("missing:") else (SHARE_KINDS[name], "", "")
            for row in range(starts.rows(kind, end, len(sums))):
                if is_raised(counts[row, column], messages[row], probabilities[column]):
                    share = counts[row, column] / messages[row]
                    is_strong = share >= _STRONG_SHARE and kind != "duplicates" and name != "no-offset"
                    signals.append(self._signal(kind, subject, share, end, row, sums, kind, is_strong=is_strong))
                    break
        return signals

    def _signal(
        self, kind: str, subject: str, ratio: float, end: int, row: int, sums: Numbers, group: str, *,
        is_strong: bool = False,
    ) -> Signal:  # fmt: skip
        since, weight = end - int(WINDOWS[row]), float(sums[row, 0])
        return Signal(self._feed, kind, subject, float(ratio), since, weight, group, is_strong)

    def _levels(self, sums: Numbers, history: History, end: int, starts: "Starts") -> list[Signal]:
        """Return which codes have values that moved, in unit or level, or are stuck, and whether results come late."""
        signals = []
        levels = self._levels_of
        counts, scores = sums[:, self._value : self._part : 2], sums[:, self._value + 1 : self._part : 2]
        if self._baseline.latency is not None:
            counts = np.column_stack([counts, sums[:, self._latency]])
            scores = np.column_stack([scores, sums[:, self._latency + 1]])
        if not levels:
            return []
        means, deviations, learned = self._moments
        effects = (scores / np.maximum(counts, 1) - means) / deviations
        certain = np.abs(effects) * np.sqrt(counts / (1 + counts / learned))
        is_moved = (np.abs(effects) >= _LEAST_EFFECT) & (certain >= _CERTAIN) & (counts >= 3)
        for column in np.flatnonzero(is_moved.any(0)).tolist():
            name, level = levels[column]
            group = "late" if not name else f"values:{name}"
            for row in np.flatnonzero(is_moved[: starts.rows(group, end, len(sums)), column]).tolist():
                count = float(counts[row, column])
                rarity = level.rarity(float(scores[row, column]) / count, count / (1 + count / level.count))
                if rarity >= _UNIT_RARE:
                    continue
                window = _sketch(history, end - int(WINDOWS[row]), "value" if name else "latency", name)
                kind, ratio = _kind_of_shift(level, window, is_value=bool(name))
                if rarity >= _SHIFT_RARE and not (kind == "unit" and is_conversion(name, ratio)):
                    continue
                if kind:
                    is_strong = kind == "unit" or (abs(effects[row, column]) >= _STRONG_EFFECT if name else ratio >= 4)
                    code = name.partition("|")[0]
                    signals.append(self._signal(kind, code, ratio, end, row, sums, group, is_strong=is_strong))
                break
        if end % 6 == 0:
            signals += [*self._new_units(starts), *self._stuck(history, end, starts)]
        return signals

    def _stuck(self, history: History, end: int, starts: "Starts") -> list[Signal]:
        """Return the codes of which one value comes again and again."""
        names = history.total(end - _STUCK_STEPS)
        counts: Counter[str] = Counter()
        most: dict[str, tuple[float, int]] = {}
        for name, number in names.items():
            kind, subject, bucket = parts_of(name)
            if kind == "value" and subject in self._baseline.values:
                counts[subject] += int(number)
                most[subject] = max(most.get(subject, (0.0, 0)), (number, bucket))
        signals = []
        since = end - _STUCK_STEPS
        for subject, (count, bucket) in most.items():
            level, total, group = self._baseline.values[subject], counts[subject], f"values:{subject}"
            before = level.shares.get(bucket, 0.0) + 3 / level.count
            is_most = count >= max(_STUCK_LEAST, _STUCK_SHARE * total, 3 * before * total)
            if is_most and since >= starts.of(group) and many(count, before * total) < _NEVER:
                code = subject.partition("|")[0]
                signals.append(Signal(self._feed, "stuck", code, 1.0, since, names["messages"], group))
        return signals

    def _new_units(self, starts: "Starts") -> list[Signal]:
        since, came = max(self._step - STEPS_A_DAY, starts.of("unit-label")), Counter[str]()
        for step, name, count in self._rare:
            kind, subject, _ = parts_of(name)
            if kind == "value" and step >= since:
                came[subject] += int(count)
        subjects = [subject.partition("|") for subject, count in came.items() if count >= 2]
        return [
            Signal(self._feed, "unit-label", f"{code} in {unit}", 1.0, since, 1e9, "unit-label")
            for code, _, unit in subjects
        ]

    def _gone_parts(self, sums: Numbers, history: History, end: int, starts: "Starts") -> list[Signal]:
        """Return the senders, types and codes of which nothing comes any more while the rest of the feed does."""
        if not self.parts or end % 3:
            return []
        shares, longest = np.array([(part.share, part.longest) for part in self._baseline.parts.values()]).T
        fresh = sums[:, :1] - sums[:, 3 + self.shares.index("duplicate"), None]
        counts, due = sums[:, self._part :], fresh * shares
        is_gone = (due >= np.maximum(_PART_LEAST, _PART_GAPS * longest)) & (counts <= 0.04 * due)
        signals = []
        for column in np.flatnonzero(is_gone.any(0)).tolist():
            kind, subject, _ = parts_of(self.parts[column])
            rows = np.flatnonzero(is_gone[: starts.rows(self.parts[column], end, len(sums)), column])
            if not len(rows):
                continue
            row = int(rows[0])
            if kind == "result" and self._is_renamed(history, end - int(WINDOWS[row]), due[row, column]):
                continue
            name, group = "code-gone" if kind == "result" else "sender", self.parts[column]
            signals.append(self._signal(name, subject, 0.0, end, row, sums, group))
        return signals

    def _is_renamed(self, history: History, since: int, due: float) -> bool:
        """Whether codes that were not there before came about as often: renamed, or unmapped, which is told apart."""
        names = ((parts_of(name), count) for name, count in history.total(since).items())
        return sum(count for (kind, code, _), count in names if kind == "result" and self._is_new(code)) >= 0.4 * due

    def _is_new(self, code: str) -> bool:
        return code not in self._baseline.results

    def _unmapped(self, sums: Numbers, history: History, end: int, starts: "Starts") -> list[Signal]:
        """Return that more codes are not mapped: the share of all, or codes of which none is mapped any more."""
        rate = self._baseline.unmapped
        for row in range(starts.rows("unmapped", end, len(sums))):
            if is_raised(sums[row, 2], sums[row, 1], rate):
                since = end - int(WINDOWS[row])
                subject, share = self._replaced(history, since), sums[row, 2] / sums[row, 1]
                return [self._signal("unmapped", subject, share, end, row, sums, "unmapped", is_strong=True)]
        if end % 12:
            return []
        since, came = max(end - STEPS_A_DAY, starts.of("unmapped")), Counter[str]()
        for step, name, count in self._rare:
            kind, code, _ = parts_of(name)
            if kind == "unmapped" and step >= since:
                came[code] += int(count)
        codes = [code for code, count in came.items() if count >= 2 and count >= history.count(f"result:{code}", since)]
        evidence = sum(came[code] for code in codes) * log(1 / max(rate, 0.005))
        if evidence < _NEW_EVIDENCE:
            return []
        return [
            Signal(
                self._feed,
                "unmapped",
                ", ".join(sorted(codes)[:6]),
                1.0,
                since,
                history.count("messages", since),
                "unmapped",
            )
        ]

    def _replaced(self, history: History, since: int) -> str:
        """Return the unmapped code, and the code that it seems to replace: the one that most came short."""
        names = history.total(since)
        unmapped = {parts_of(name)[1]: count for name, count in names.items() if name.startswith("unmapped:")}
        code = max(unmapped, key=lambda code: unmapped[code])
        total = sum(self._baseline.results.values()) or 1.0
        short = {
            old: count / total * names["results"] - names[f"result:{old}"]
            for old, count in self._baseline.results.items()
        }
        old = max(short, key=lambda code: short[code], default="")
        return f"{code} in place of {old}" if old and self._is_new(code) else code


class Starts:
    """From which step on a kind is looked at: what an incident was opened or kept open by is not looked at again."""

    def __init__(self, first: int) -> None:
        self.first = first
        self._by_kind: dict[str, int] = {}

    def of(self, kind: str) -> int:
        """Return the first step."""
        return max(self.first, self._by_kind.get(kind, 0))

    def set(self, kind: str, step: int) -> None:
        """Look at nothing before this step again."""
        self._by_kind[kind] = step

    def rows(self, kind: str, end: int, most: int) -> int:
        """Return how many of the windows lie behind the first step."""
        return min(int(np.searchsorted(WINDOWS, end - self.of(kind), side="right")), most)


def is_raised(count: float, total: float, share: float) -> bool:
    """Return whether a share is raised, beyond chance and by enough to matter."""
    if count < 4 or total <= 0 or count < max(_SHARE_FACTOR * share, share + _SHARE_MORE) * total:
        return False
    return many(count, share * total) < _SHARE_RARE


def is_conversion(subject: str, ratio: float) -> bool:
    """Return whether values that changed by a ratio came in another unit of their analyte, by code and unit.

    >>> is_conversion("2345-7|mg/dL", 0.06), is_conversion("2345-7|mg/dL", 0.3)
    (True, False)
    """
    code, _, unit = subject.partition("|")
    analyte = _ANALYTES.get(code)
    conversion = analyte.conversion(unit) if analyte is not None else None
    if analyte is None or conversion is None:
        return False
    factors = {conversion.factor / other.factor for other in analyte.units.values() if other.factor}
    return any(abs(log(ratio / factor)) < _UNIT_NEAR for factor in factors)


def _sketch(history: History, since: int, kind: str, subject: str) -> Sketch:
    sketch: Sketch = Counter()
    for name, count in history.total(since).items():
        parts = parts_of(name)
        if parts[0] == kind and parts[1] == subject:
            sketch[parts[2]] += int(count)
    return sketch


def _kind_of_shift(level: Level, window: Sketch, *, is_value: bool) -> tuple[str, float]:
    """Return what a shift is called, with the ratio of the medians."""
    moved = bucket_at(window, 0.5) - level.median
    if not is_value:
        return "late" if moved > 0 else "", float(1.25**moved)
    ratio = float((1.01 / 0.99) ** moved)
    return "unit" if not 1 / _UNIT_RATIO < ratio < _UNIT_RATIO else "shift", ratio


def volume(
    feed: str, history: History, expected: Expected, baseline: Baseline, end: int, starts: Starts
) -> list[Signal]:
    """Return whether too few or too many messages came in windows that end now."""
    windows = WINDOWS[: starts.rows("volume", end, len(WINDOWS))]
    messages = np.concatenate([[0.0], np.cumsum(history.messages(end - int(WINDOWS[-1]), end))])
    if len(messages) <= WINDOWS[-1]:
        return []
    counts = messages[-1] - messages[len(messages) - 1 - WINDOWS]
    signals = _low(feed, counts, expected, baseline, end, windows)
    if not signals:
        signals = _flapping(feed, history, expected, baseline, end, starts)
    return signals + _flood(feed, counts, expected, baseline, end, starts)


def _within(sums: Numbers, at: int, windows: NDArray[np.int64], shift: int = 0) -> Numbers:
    return np.asarray(sums[at + shift] - sums[at + shift - windows])


def _low(
    feed: str, counts: Numbers, expected: Expected, baseline: Baseline, end: int, windows: NDArray[np.int64]
) -> list[Signal]:
    if not len(windows):
        return []
    at = end - expected.start
    means = np.minimum.reduce([_within(expected.low, at, windows, shift) for shift in (0, -_SHIFT_STEPS, _SHIFT_STEPS)])
    counts = counts[: len(windows)]
    errors = _within(expected.day_error, at, windows) ** 2 + _within(expected.hour_error, at, windows)
    deviations = (means - counts) / np.sqrt(means * baseline.spread + errors + 1e-9)
    candidates = (counts < _LOW_SHARE * means) & (means >= 6) & (deviations > 2.0)
    for row in np.flatnonzero(candidates).tolist():
        mean = float(means[row])
        if few(float(counts[row]), mean, baseline.spread + float(errors[row]) / mean) < RARE:
            ratio = float(counts[row]) / mean
            is_silent = ratio < _SILENT_SHARE or _is_dead(counts, means)
            kind = "silent" if is_silent else "low"
            is_strong = mean >= _BUSY * windows[row] and (is_silent or ratio < _LOW_STRONG)
            return [Signal(feed, kind, "", ratio, end - int(windows[row]), mean, "volume", bool(is_strong))]
    return []


def _is_dead(counts: Numbers, means: Numbers) -> bool:
    """Return whether nothing has come since several messages were due."""
    rows = np.flatnonzero(means >= 5)
    return bool(len(rows) and counts[rows[0]] == 0)


def _flapping(
    feed: str, history: History, expected: Expected, baseline: Baseline, end: int, starts: Starts
) -> list[Signal]:
    """Return whether a feed stops again and again, each time for less than can be told from chance."""
    start = max(end - _GAPS_STEPS, starts.of("volume"))
    if expected.low[end - expected.start] - expected.low[start - expected.start] < _GAPS_LEAST:
        return []
    counts = history.messages(start, end)
    if not len(counts) or (counts > 0).all():
        return []
    means = np.diff(expected.low[start - expected.start : end - expected.start + 1])
    rarities, running = [], 0.0
    for count, mean in zip([*counts.tolist(), 1], [*means.tolist(), 0.0], strict=True):
        if count == 0:
            running += mean
            continue
        if running:
            rarities.append(few(0, running, baseline.spread))
        running = 0.0
    gaps = sorted(rarity for rarity in rarities if rarity < _GAP_RARE)
    is_alive = counts > 0
    if counts[is_alive].sum() < _ALIVE_SHARE * means[is_alive].sum():  # fewer all the time is no flapping
        return []
    if len(gaps) < 2 or gaps[0] * gaps[1] >= _GAPS_RARE or not 0.2 < counts.sum() / means.sum() < _GAPS_SHARE:
        return []
    return [
        Signal(
            feed, "flapping", "", float(counts.sum() / means.sum()), start, float(means.sum()), "volume", is_strong=True
        )
    ]


def _flood(
    feed: str, counts: Numbers, expected: Expected, baseline: Baseline, end: int, starts: Starts
) -> list[Signal]:
    windows = WINDOWS[: starts.rows("flood", end, _FLOOD_WINDOWS)]
    if not len(windows) or counts[len(windows) - 1] < _FLOOD_LEAST:
        return []
    at = end - expected.start
    means = np.maximum.reduce(
        [_within(expected.high, at, windows, shift) for shift in (0, -_SHIFT_STEPS, _SHIFT_STEPS)]
    )
    for row, mean in enumerate(means.tolist()):
        count = float(counts[row])
        if count >= max(_FLOOD_LEAST, _FLOOD_SHARE * mean) and many(count, mean, 2 * baseline.spread) < _NEVER:
            return [
                Signal(
                    feed, "flood", "", count / max(mean, 1e-9), end - int(windows[row]), count, "flood", is_strong=True
                )
            ]
    return []


def batch(
    feed: str, history: History, expected: Expected, baseline: Baseline, end: int, starts: Starts
) -> list[Signal]:
    """Return whether a batch is missing or short, some time after it should have ended, unless it is coming now."""
    start = max(end - _BATCH_STEPS, starts.of("volume"), expected.start)
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
    error = float(np.sqrt(baseline.day_variance.max() + baseline.spread / mean))
    if ratio >= 1 - max(0.2, 6 * error):
        return []
    return [
        Signal(feed, "silent" if ratio < _SILENT_SHARE else "low", "batch", ratio, start + first, mean / 3, "volume")
    ]


def signals_of(
    feed: str, history: History, expected: Expected, baseline: Baseline, columns: Columns, end: int, starts: Starts
) -> Sequence[Signal]:
    """Return everything that departs in windows that end at `end`."""
    counted = (batch if baseline.is_batch else volume)(feed, history, expected, baseline, end, starts)
    return [*counted, *columns.departures(history, end, starts)]
