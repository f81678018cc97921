"""Counts of mature predictions by their estimate, their group, whether a card was shown, and what happened.

Estimates are counted in buckets of log-odds that are 0.02 wide, so an estimate is off by at most 1 % of its odds, and
calibration and discrimination can be computed from the counts alone.
"""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models_onnx.monitoring.sketch import WIDTH, log_odds_bucket

Happened = Literal["yes", "no", "unlabelled"]
_PLACE: Final[dict[Happened, int]] = {"yes": 0, "no": 1, "unlabelled": 2}
_SILENT: Final = 3


class LabelCounts(msgspec.Struct, kw_only=True):
    """By "model group" and bucket six counts: yes, no and unlabelled with a card, and the same three without one."""

    cells: dict[str, dict[int, list[int]]] = {}

    def count(self, key: str, estimate: float, happened: Happened, *, with_card: bool, times: int = 1) -> None:
        """Count a prediction; -1 times takes it out again."""
        buckets = self.cells.setdefault(key, {})
        counts = buckets.setdefault(log_odds_bucket(estimate), [0] * 6)
        counts[_PLACE[happened] + (0 if with_card else _SILENT)] += times

    def add(self, other: "LabelCounts") -> None:
        """Add what another counted."""
        for key, buckets in other.cells.items():
            mine = self.cells.setdefault(key, {})
            for bucket, counts in buckets.items():
                kept = mine.get(bucket)
                mine[bucket] = list(counts) if kept is None else [a + b for a, b in zip(kept, counts, strict=True)]


PackedCells = dict[str, NDArray[np.int32]]
"""By "model group" one row for each bucket: the bucket, and the six counts of `LabelCounts`. Shape (buckets, 7)."""
_STORED: Final = np.dtype("<i4")
_packed: Final = msgspec.msgpack.Decoder(dict[str, bytes])


def pack(counts: LabelCounts) -> bytes:
    """Pack the counts as they are kept: a report reads those of hundreds of days; JSON would take a second of it."""
    tables = {key: [[bucket, *row] for bucket, row in buckets.items()] for key, buckets in counts.cells.items()}
    return msgspec.msgpack.encode({key: np.array(rows, dtype=_STORED).tobytes() for key, rows in tables.items()})


def unpack_cells(content: bytes) -> PackedCells:
    """Return what `pack` wrote, as arrays.

    Raises:
        msgspec.DecodeError: It is something else.
    """
    return {key: np.frombuffer(rows, dtype=_STORED).reshape(-1, 7) for key, rows in _packed.decode(content).items()}


def unpack(content: bytes) -> LabelCounts:
    """Return what `pack` wrote, for counting on."""
    return summed([unpack_cells(content)])


def summed(parts: Iterable[PackedCells]) -> LabelCounts:
    """Return the counts of all parts together."""
    by_key: dict[str, list[NDArray[np.int32]]] = {}
    for part in parts:
        for key, rows in part.items():
            by_key.setdefault(key, []).append(rows)
    return LabelCounts(cells={key: _sum_of(tables) for key, tables in by_key.items()})


def _sum_of(tables: list[NDArray[np.int32]]) -> dict[int, list[int]]:
    rows = np.concatenate(tables)
    first = int(rows[:, 0].min(initial=0))
    places = rows[:, 0] - first  # log-odds are between -21 and 21, so these are at most some two thousand
    sums = [np.bincount(places, weights=rows[:, column]) for column in range(1, 7)]
    table = np.rint(np.column_stack(sums)).astype(np.int64)
    there = np.unique(places)
    return dict(zip((there + first).tolist(), table[there].tolist(), strict=True))


def with_labels_assumed(cells: PackedCells) -> PackedCells:
    """`no` for everything unlabelled: the client has sent every event up to the end of the horizon."""
    return {key: rows @ _UNLABELLED_ARE_NO for key, rows in cells.items()}


_UNLABELLED_ARE_NO: Final = np.eye(7, dtype=np.int32)
_UNLABELLED_ARE_NO[3] = [0, 0, 1, 0, 0, 0, 0]
_UNLABELLED_ARE_NO[6] = [0, 0, 0, 0, 0, 1, 0]


Numbers = NDArray[np.float64]


class Labelled(Struct, frozen=True):
    """The counts of one model and group as arrays over its buckets, in the order of their log-odds."""

    log_odds: Numbers
    counts: Numbers
    """Shape (buckets, 6), in the order of `LabelCounts`."""

    @property
    def estimates(self) -> Numbers:
        """The probability of each bucket."""
        numbers: Numbers = 1 / (1 + np.exp(-self.log_odds))
        return numbers

    @property
    def yes(self) -> Numbers:
        """How many of each bucket had the event."""
        counts: Numbers = self.counts[:, 0] + self.counts[:, _SILENT]
        return counts

    @property
    def no(self) -> Numbers:
        """How many of each bucket did not have it."""
        counts: Numbers = self.counts[:, 1] + self.counts[:, _SILENT + 1]
        return counts

    def total(self, happened: Happened, *, with_card: bool | None = None) -> int:
        """Return how many there are in all; with and without a card together where `with_card` is None."""
        places = {True: [0], False: [_SILENT], None: [0, _SILENT]}[with_card]
        return int(sum(self.counts[:, _PLACE[happened] + index].sum() for index in places))


def labelled(counts: LabelCounts, key: str) -> Labelled:
    """Return the arrays of one "model group"; empty where nothing was counted."""
    buckets = sorted(counts.cells.get(key, {}).items())
    odds = np.array([bucket * WIDTH for bucket, _ in buckets], dtype=np.float64)
    table = np.array([row for _, row in buckets], dtype=np.float64).reshape(len(buckets), 6)
    return Labelled(odds, table)
