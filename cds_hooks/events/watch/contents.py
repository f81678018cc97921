"""What messages of a feed bring that departs from the baseline: shares, latency, values, units, codes, senders."""

from collections.abc import Iterator, Sequence
from math import inf, log
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cds_hooks.events.watch.baseline import AHEAD_STEPS, NEVER, WINDOWS, Baseline, Feed, Level, Signal, many
from cds_hooks.events.watch.history import RECENT_STEPS, STEPS_A_DAY, Counts, Numbers, by_subject, parts_of
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
_MOST_NAMES: Final = 20_000
SHARE_KINDS: Final = {
    "duplicate": ("duplicates", inf),
    "out-of-order": ("order", _STRONG_SHARE),
    "unknown-patients": ("identifiers", _STRONG_SHARE),
    "state:dead": ("errors", _STRONG_SHARE),
    "no-offset": ("clock", inf),
    "refused": ("refusals", _STRONG_SHARE),
    "ahead": ("clock", _STRONG_SHARE),
    "unmapped": ("unmapped", 0.0),
}
"""The kind of a raised share, and from which share on it is of high severity."""


class Columns:
    """Running sums of the last two days of what is judged at each step: shares, parts, values and latency."""

    def __init__(self, feed: Feed, baseline: Baseline) -> None:
        self._feed, self._baseline = feed, baseline
        self._names = ["messages", "results", *baseline.shares, *baseline.parts]
        self._at = {name: column for column, name in enumerate(self._names)}
        self._levels: dict[str, Level] = dict(baseline.values)
        if baseline.latency is not None:
            self._levels[""] = baseline.latency
        self._level_at = {name: len(self._names) + 2 * number for number, name in enumerate(self._levels)}
        self._effects: dict[str, list[tuple[int, float]]] = {}
        self._sums = np.zeros((RECENT_STEPS + 1, len(self._names) + 2 * len(self._levels)))
        self._length = 0
        for counts in feed.history.recent:
            self.append(counts)

    def append(self, counts: Counts) -> None:
        """Add a step."""
        row = self._sums[-1].copy()
        for name, count in counts.items():
            if name not in self._effects and len(self._effects) < _MOST_NAMES:
                self._effects[name] = self._effects_of(name)
            for column, weight in self._effects.get(name, ()):
                row[column] += weight * count
        self._sums = np.concatenate([self._sums[1:], [row]])
        self._length = min(self._length + 1, RECENT_STEPS)

    def _effects_of(self, name: str) -> list[tuple[int, float]]:
        """Return to which columns a name adds, with which weight."""
        kind, subject, number = parts_of(name)
        effects = [(self._at[key], 1.0) for key in {name, kind} if key in self._at]
        if kind in ("latency", "value") and subject in self._levels:
            column = self._level_at[subject]
            effects += [(column, 1.0), (column + 1, self._levels[subject].score(number))]
            if kind == "latency" and number <= AHEAD_STEPS:
                effects.append((self._at["ahead"], 1.0))
        return effects

    def windows(self) -> Numbers:
        """Return the sums in each window of which all steps came."""
        return np.asarray(self._sums[-1] - self._sums[-1 - WINDOWS[self._length >= WINDOWS]])

    def departures(self) -> list[Signal]:
        """Return what departs in shares, latency, values, parts and codes in windows that end now."""
        sums, end = self.windows(), self._feed.end
        if not len(sums) or not sums[-1, 0]:
            return []
        signals = self._raised_shares(sums) + self._moved_levels(sums)
        if not end % 6:
            signals += self.new_units() + self.stuck()
        if not end % 3:
            signals += self._gone_parts(sums)
        if not end % 12 and all(signal.kind != "unmapped" for signal in signals):
            signals += self._new_codes()
        return signals

    def _departing(self, departs: NDArray[np.bool_], groups: Sequence[str]) -> Iterator[tuple[int, list[int]]]:
        """Yield the columns that depart in windows behind the first step of their group, with these windows."""
        for column in np.flatnonzero(departs.any(0)).tolist():
            if rows := np.flatnonzero(departs[: self._feed.rows(groups[column]), column]).tolist():
                yield column, rows

    def _raised_shares(self, sums: Numbers) -> list[Signal]:
        """Return which shares are raised beyond chance and by enough to matter."""
        signals, shares = [], self._baseline.shares
        usual, counts = np.array(list(shares.values())), sums[:, 2 : 2 + len(shares)]
        totals = sums[:, [int(name == "unmapped") for name in shares]]
        kinds = [SHARE_KINDS[name] for name in shares]
        is_raised = (counts >= 4) & (counts >= np.maximum(_SHARE_FACTOR * usual, usual + _SHARE_MORE) * totals)
        for column, rows in self._departing(is_raised & (totals > 0), [kind for kind, _ in kinds]):
            kind, strong = kinds[column]
            for row in rows:
                count, total, steps = float(counts[row, column]), float(totals[row, column]), int(WINDOWS[row])
                if many(count, float(usual[column]) * total) >= _SHARE_RARE:
                    continue
                subject, is_strong = self._replaced(steps) if kind == "unmapped" else "", count / total >= strong
                signals.append(
                    self._feed.signal(kind, kind, steps, count / total, sums[row, 0], subject, is_strong=is_strong)
                )
                break
        return signals

    def _moved_levels(self, sums: Numbers) -> list[Signal]:
        """Return which codes have values that moved, in unit or level, and whether results come late."""
        signals, names, levels = list[Signal](), list(self._levels), list(self._levels.values())
        counts, scores = (sums[:, len(self._names) + at :: 2] for at in (0, 1))
        means, deviations, learned = (
            np.array([getattr(level, name) for level in levels]) for name in ("mean", "deviation", "count")
        )
        effects = (scores / np.maximum(counts, 1) - means) / deviations
        exact = counts / (1 + counts / learned)
        is_moved = (np.abs(effects) >= _LEAST_EFFECT) & (np.abs(effects) * np.sqrt(exact) >= _CERTAIN) & (counts >= 3)
        for column, rows in self._departing(is_moved, [_group_of(name) for name in names]):
            name, level = names[column], levels[column]
            for row in rows:
                rarity = level.rarity(float(scores[row, column] / counts[row, column]), float(exact[row, column]))
                if rarity >= _UNIT_RARE:
                    continue
                came = self._feed.history.total(self._feed.end - int(WINDOWS[row]))
                sketch = by_subject(came, "value" if name else "latency")[name]
                kind, ratio = _kind_of_shift(level, sketch, is_value=bool(name))
                if rarity >= _SHIFT_RARE and not (kind == "unit" and is_conversion(name, ratio)):
                    continue
                effect = abs(float(effects[row, column]))
                is_strong = kind == "unit" or (effect >= _STRONG_EFFECT if name else ratio >= 4)
                signal = self._feed.signal(
                    kind, _group_of(name), int(WINDOWS[row]), ratio, sums[row, 0], _code_of(name), is_strong=is_strong
                )
                signals += [signal] if kind else []
                break
        return signals

    def stuck(self) -> list[Signal]:
        """Return the codes of which one value comes again and again."""
        signals, names = [], self._feed.history.total(self._feed.end - _STUCK_STEPS)
        for subject, sketch in by_subject(names, "value").items():
            level = self._baseline.values.get(subject)
            if level is None or self._feed.end - _STUCK_STEPS < self._feed.start_of(_group_of(subject)):
                continue
            bucket, count = max(sketch.items(), key=lambda pair: pair[::-1])
            due = (level.shares.get(bucket, 0.0) + 3 / level.count) * sketch.total()
            if count >= max(_STUCK_LEAST, _STUCK_SHARE * sketch.total(), 3 * due) and many(count, due) < NEVER:
                weight, code = names["messages"], _code_of(subject)
                signals.append(self._feed.signal("stuck", _group_of(subject), _STUCK_STEPS, 1.0, weight, code))
        return signals

    def new_units(self) -> list[Signal]:
        """Return the codes of which values came twice in a day in a unit that was not learned."""
        since = max(self._feed.end - STEPS_A_DAY, self._feed.start_of("unit-label"))
        signals = []
        for subject, sketch in by_subject(self._feed.history.total(since), "value").items():
            code, _, unit = subject.partition("|")
            if unit not in self._baseline.units.get(code, {unit}) and sketch.total() >= 2:
                about, steps = f"{code} in {unit}", self._feed.end - since
                signals.append(self._feed.signal("unit-label", "unit-label", steps, 1.0, 1e9, about))
        return signals

    def _gone_parts(self, sums: Numbers) -> list[Signal]:
        """Return the senders, types and codes of which nothing comes any more while the rest of the feed does."""
        signals, names, parts = [], list(self._baseline.parts), self._baseline.parts.values()
        shares, longest = (np.array([getattr(part, name) for part in parts]) for name in ("share", "longest"))
        due = (sums[:, [0]] - sums[:, [self._at["duplicate"]]]) * shares
        counts = sums[:, len(self._names) - len(names) : len(self._names)]
        is_gone = (due >= np.maximum(_PART_LEAST, _PART_GAPS * longest)) & (counts <= 0.04 * due)
        for column, (row, *_) in self._departing(is_gone, names):
            prefix, subject, _ = parts_of(names[column])
            steps = int(WINDOWS[row])
            kind, about = "code-gone" if prefix == "result" else "sender", "ward " * (prefix == "ward") + subject
            signals.append(self._feed.signal(kind, names[column], steps, 0.0, sums[row, 0], about))
        return signals

    def _new_codes(self) -> list[Signal]:
        """Return the codes of which none is mapped any more."""
        since = max(self._feed.end - STEPS_A_DAY, self._feed.start_of("unmapped"))
        names = self._feed.history.total(since)
        came = {code: sketch.total() for code, sketch in by_subject(names, "unmapped").items()}
        codes = [code for code, count in came.items() if count >= 2 and count >= names[f"result:{code}"]]
        rate = max(self._baseline.shares.get("unmapped", 0.0), 0.005)
        if sum(came[code] for code in codes) * log(1 / rate) < _NEW_EVIDENCE:
            return []
        listed, steps = ", ".join(sorted(codes)[:6]), self._feed.end - since
        return [self._feed.signal("unmapped", "unmapped", steps, 1.0, names["messages"], listed)]

    def _replaced(self, steps: int) -> str:
        """Return the unmapped code, and the code that it seems to replace: the one that most came short."""
        names, learned = self._feed.history.total(self._feed.end - steps), self._baseline.results
        unmapped, total = by_subject(names, "unmapped"), sum(learned.values()) or 1.0
        code = max(unmapped, key=lambda code: unmapped[code].total())
        short = {old: count / total * names["results"] - names[f"result:{old}"] for old, count in learned.items()}
        old = max(short, key=lambda code: short[code], default="")
        return f"{code} in place of {old}" if old and code not in learned else code


def _group_of(name: str) -> str:
    return f"values:{name}" if name else "late"


def _code_of(name: str) -> str:
    return name.partition("|")[0]


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


def _kind_of_shift(level: Level, window: Sketch, *, is_value: bool) -> tuple[str, float]:
    """Return what a shift is called, with the ratio of the medians."""
    moved = bucket_at(window, 0.5) - level.median
    if not is_value:
        return "late" if moved > 0 else "", float(1.25**moved)
    ratio = float((1.01 / 0.99) ** moved)
    return "unit" if not 1 / _UNIT_RATIO < ratio < _UNIT_RATIO else "shift", ratio
