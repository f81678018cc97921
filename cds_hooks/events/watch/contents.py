"""What messages of a feed bring beyond what is usual: each is a share of something, and a share that rose is told.

A result that comes late or a value outside the learned range is counted as one that is; parts of the feed, such as a
sender or a ward, are told when nothing of them comes any more.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np

from cds_hooks.events.watch.baseline import OUTSIDE, SHARES, VALUES, Baseline, columns_of
from cds_hooks.events.watch.history import Counts, History, Numbers, parts_of
from cds_hooks.events.watch.signals import WINDOWS, Signal, Starts, many

_SHARE_RARE: Final = 1e-8
_SHARE_FACTOR: Final = 2.5
_SHARE_MORE: Final = 0.004
_OUTSIDE_MORE: Final = 0.04
"""Of late results and of values outside their range: fewer is what analysers, queues and seasons do."""
_PART_LEAST: Final = 25.0
_PART_GAPS: Final = 2.5
_STRONG: Final = {"late": 0.5, "values": 0.5, "unmapped": 0.05, "duplicates": 2.0, "no-offset": 2.0}
_STRONG_SHARE: Final = 0.1
"""From which share on an incident is of high severity; duplicates and times without an offset never are."""


class Contents:
    """Running sums of the last two days of what is counted, by the columns of the baseline."""

    def __init__(self, feed: str, history: History, baseline: Baseline) -> None:
        self._feed, self._baseline = feed, baseline
        self._parts = list(baseline.parts)
        values = [column for column in baseline.rates if column.startswith(OUTSIDE)]
        self._shares = [(column, *SHARES[column]) for column in SHARES if column in baseline.rates]
        self._shares += [(column, "values", column.replace(OUTSIDE, VALUES, 1)) for column in values]
        wholes = {whole for _, _, whole in self._shares}
        names = dict.fromkeys(["messages", "duplicate", *wholes, *baseline.rates, *self._parts])
        self._columns = {name: column for column, name in enumerate(names)}
        self._rates = np.array([baseline.rates[column] for column, _, _ in self._shares])
        self._more = np.array(
            [_OUTSIDE_MORE if kind in ("late", "values") else _SHARE_MORE for _, kind, _ in self._shares]
        )
        self._columns_by_name: dict[str, Sequence[int]] = {}
        self._sums = np.zeros((4 * WINDOWS[-1], len(names)))
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
            for column in self._columns_of(name):
                row[column] += count
        self._length += 1

    def _columns_of(self, name: str) -> Sequence[int]:
        columns = self._columns_by_name.get(name)
        if columns is None:
            names = columns_of(name, self._baseline.ranges)
            columns = [self._columns[column] for column in names if column in self._columns]
            if len(self._columns_by_name) < 20_000:
                self._columns_by_name[name] = columns
        return columns

    def windows(self) -> Numbers:
        """Return the sums in each window of which all steps came."""
        windows = WINDOWS[: int(np.searchsorted(WINDOWS, self._length, side="right"))]
        return np.asarray(self._sums[self._length] - self._sums[self._length - windows])

    def departures(self, history: History, end: int, starts: Starts) -> list[Signal]:
        """Return which shares rose, and which parts are gone, in windows that end at `end`."""
        sums = self.windows()
        if not len(sums) or not sums[-1, self._columns["messages"]]:
            return []
        return [*self._raised(sums, history, end, starts), *self._gone(sums, end, starts)]

    def _raised(self, sums: Numbers, history: History, end: int, starts: Starts) -> list[Signal]:
        counts = sums[:, [self._columns[column] for column, _, _ in self._shares]]
        totals = sums[:, [self._columns[whole] for _, _, whole in self._shares]]
        least = np.maximum(_SHARE_FACTOR * self._rates, self._rates + self._more) * totals
        signals = []
        for place in np.flatnonzero(((counts >= 4) & (counts >= least)).any(0)).tolist():
            column, kind, whole = self._shares[place]
            subject = whole.removeprefix(VALUES).partition("|")[0] if kind == "values" else ""
            group = f"{kind}:{whole}" if subject else kind
            for row in range(starts.rows(group, end, len(sums))):
                count, total = float(counts[row, place]), float(totals[row, place])
                if is_raised(count, total, float(self._rates[place]), float(self._more[place])):
                    since, share = end - int(WINDOWS[row]), count / total
                    subject = _commonest_unmapped(history, since) if kind == "unmapped" else subject
                    is_strong = share >= _STRONG.get(column, _STRONG.get(kind, _STRONG_SHARE))
                    weight = float(sums[row, self._columns["messages"]])
                    signals.append(Signal(self._feed, kind, subject, share, since, weight, group, is_strong))
                    break
        return signals

    def _gone(self, sums: Numbers, end: int, starts: Starts) -> list[Signal]:
        """Return the senders, types and wards of which nothing comes any more while the rest of the feed does."""
        if not self._parts or end % 3:
            return []
        shares, longest = np.array([(part.share, part.longest) for part in self._baseline.parts.values()]).T
        messages = sums[:, self._columns["messages"], None]
        due = (messages - sums[:, self._columns["duplicate"], None]) * shares
        counts = sums[:, [self._columns[name] for name in self._parts]]
        is_gone = (due >= np.maximum(_PART_LEAST, _PART_GAPS * longest)) & (counts <= 0.04 * due)
        signals = []
        for place, name in enumerate(self._parts):
            rows = np.flatnonzero(is_gone[: starts.rows(name, end, len(sums)), place])
            if len(rows):
                kind, subject, _ = parts_of(name)
                since, weight = end - int(WINDOWS[rows[0]]), float(messages[rows[0], 0])
                subject = f"ward {subject}" if kind == "ward" else subject
                signals.append(Signal(self._feed, "sender", subject, 0.0, since, weight, name))
        return signals


def is_raised(count: float, total: float, share: float, more: float = _SHARE_MORE) -> bool:
    """Return whether a share is raised, beyond chance and by enough to matter."""
    if count < 4 or total <= 0 or count < max(_SHARE_FACTOR * share, share + more) * total:
        return False
    return many(count, share * total) < _SHARE_RARE


def _commonest_unmapped(history: History, since: int) -> str:
    counts: Counter[str] = Counter()
    for name, count in history.total(since).items():
        kind, code, _ = parts_of(name)
        if kind == "unmapped":
            counts[code] += count
    return min(counts, key=lambda code: (-counts[code], code), default="")
