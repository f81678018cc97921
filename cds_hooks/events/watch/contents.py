"""What messages of a feed bring that departs from the baseline: shares, latency, values, units, codes, senders."""

from collections import Counter, deque
from math import log
from typing import Final

import numpy as np

from cds_hooks.events.watch.baseline import AHEAD_STEPS, Baseline, Level
from cds_hooks.events.watch.history import STEPS_A_DAY, Counts, History, Numbers, parts_of
from cds_hooks.events.watch.signals import NEVER, WINDOWS, Signal, Starts
from cds_hooks.events.watch.tails import many
from fhir.terminology.analytes import ANALYTES
from models_onnx.monitoring.sketch import Sketch, bucket_at

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
_NEW_EVIDENCE: Final = 20.0
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
}


class Columns:
    """Running sums of the last two days of what is judged at each step: shares, latency, values and parts."""

    def __init__(self, feed: str, history: History, baseline: Baseline) -> None:
        self._feed, self._baseline = feed, baseline
        self.shares = list(baseline.shares)
        self.values = list(baseline.values)
        self.parts = list(baseline.parts)
        self._levels_of: list[tuple[str, Level]] = list(baseline.values.items())
        if baseline.latency is not None:
            self._levels_of.append(("", baseline.latency))
        self._value = 3 + len(self.shares)
        self._latency = self._value + 2 * len(self.values)
        self._part = self._value + 2 * len(self._levels_of)
        self._width = self._part + len(self.parts)
        self._effects: dict[str, list[tuple[int, float]]] = {}
        self._rare: deque[tuple[int, str, float]] = deque()
        """Unmapped codes and values in new units of the last day, with their step."""
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

    def windows(self) -> Numbers:
        """Return the sums in each window of which all steps came."""
        windows = WINDOWS[: int(np.searchsorted(WINDOWS, self._length, side="right"))]
        return np.asarray(self._sums[self._length] - self._sums[self._length - windows])

    def departures(self, history: History, end: int, starts: Starts) -> list[Signal]:
        """Return what departs in shares, latency, values, parts and codes in windows that end at `end`."""
        sums = self.windows()
        if not len(sums) or not sums[-1, 0]:
            return []
        return [
            *self._raised_shares(sums, end, starts),
            *self._levels(sums, history, end, starts),
            *self._gone_parts(sums, history, end, starts),
            *self._unmapped(sums, history, end, starts),
        ]

    def _raised_shares(self, sums: Numbers, end: int, starts: Starts) -> list[Signal]:
        signals, messages = [], sums[:, 0]
        probabilities = self._probabilities
        counts = sums[:, 3 : 3 + len(self.shares)]
        least = np.maximum(_SHARE_FACTOR * probabilities, probabilities + _SHARE_MORE) * messages[:, None]
        for column in np.flatnonzero(((counts >= 4) & (counts >= least)).any(0)).tolist():
            name = self.shares[column]
            kind = SHARE_KINDS[name]
            for row in range(starts.rows(kind, end, len(sums))):
                if is_raised(counts[row, column], messages[row], probabilities[column]):
                    share = counts[row, column] / messages[row]
                    is_strong = share >= _STRONG_SHARE and kind != "duplicates" and name != "no-offset"
                    signals.append(self._signal(kind, "", share, end, row, sums, kind, is_strong=is_strong))
                    break
        return signals

    def _signal(
        self, kind: str, subject: str, ratio: float, end: int, row: int, sums: Numbers, group: str, *,
        is_strong: bool = False,
    ) -> Signal:  # fmt: skip
        since, weight = end - int(WINDOWS[row]), float(sums[row, 0])
        return Signal(self._feed, kind, subject, float(ratio), since, weight, group, is_strong)

    def _levels(self, sums: Numbers, history: History, end: int, starts: Starts) -> list[Signal]:
        """Return which codes have values that moved, in unit or level, or are stuck, and whether results come late."""
        signals = []
        levels = self._levels_of
        counts, scores = sums[:, self._value : self._part : 2], sums[:, self._value + 1 : self._part : 2]
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

    def _stuck(self, history: History, end: int, starts: Starts) -> list[Signal]:
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
            if is_most and since >= starts.of(group) and many(count, before * total) < NEVER:
                code = subject.partition("|")[0]
                signals.append(Signal(self._feed, "stuck", code, 1.0, since, names["messages"], group))
        return signals

    def _new_units(self, starts: Starts) -> list[Signal]:
        since = max(self._step - STEPS_A_DAY, starts.of("unit-label"))
        subjects = [subject.partition("|") for subject, count in self._rare_of("value", since).items() if count >= 2]
        return [
            Signal(self._feed, "unit-label", f"{code} in {unit}", 1.0, since, 1e9, "unit-label")
            for code, _, unit in subjects
        ]

    def _rare_of(self, kind: str, since: int) -> Counter[str]:
        """Return how often unmapped codes, or values in new units, came since a step of the last day."""
        came = Counter[str]()
        for step, name, count in self._rare:
            rare_kind, subject, _ = parts_of(name)
            if rare_kind == kind and step >= since:
                came[subject] += int(count)
        return came

    def _gone_parts(self, sums: Numbers, history: History, end: int, starts: Starts) -> list[Signal]:
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
            subject = f"ward {subject}" if kind == "ward" else subject
            signals.append(self._signal(name, subject, 0.0, end, row, sums, group))
        return signals

    def _is_renamed(self, history: History, since: int, due: float) -> bool:
        """Whether codes that were not there before came about as often: renamed, or unmapped, which is told apart."""
        names = ((parts_of(name), count) for name, count in history.total(since).items())
        return (
            sum(count for (kind, code, _), count in names if kind == "result" and code not in self._baseline.results)
            >= 0.4 * due
        )

    def _unmapped(self, sums: Numbers, history: History, end: int, starts: Starts) -> list[Signal]:
        """Return that more codes are not mapped: the share of all, or codes of which none is mapped any more."""
        rate = self._baseline.unmapped
        for row in range(starts.rows("unmapped", end, len(sums))):
            if is_raised(sums[row, 2], sums[row, 1], rate):
                since = end - int(WINDOWS[row])
                subject, share = self._replaced(history, since), sums[row, 2] / sums[row, 1]
                return [self._signal("unmapped", subject, share, end, row, sums, "unmapped", is_strong=True)]
        if end % 12:
            return []
        since = max(end - STEPS_A_DAY, starts.of("unmapped"))
        came, names = self._rare_of("unmapped", since), history.total(since)
        codes = [code for code, count in came.items() if count >= 2 and count >= names[f"result:{code}"]]
        evidence = sum(came[code] for code in codes) * log(1 / max(rate, 0.005))
        if evidence < _NEW_EVIDENCE:
            return []
        listed = ", ".join(sorted(codes)[:6])
        return [Signal(self._feed, "unmapped", listed, 1.0, since, names["messages"], "unmapped")]

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
        return f"{code} in place of {old}" if old and code not in self._baseline.results else code


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
