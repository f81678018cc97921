"""Walks the record's hash chains and says where the first one breaks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Select, func, select

from cds_hooks.storage.chain import NO_ROW_BEFORE, row_hash
from cds_hooks.storage.decision import Decision
from cds_hooks.storage.reading import read_rows
from cds_hooks.storage.tables import decisions

_DECISION = [decisions.c[name.name] for name in msgspec.structs.fields(Decision)]
_LINKS = [decisions.c[name] for name in ("sequence", "chain", "position", "previous", "hash")]
# short reads, so that a long walk never keeps the write-ahead log from starting over
_ROWS_AT_ONCE = 500


@dataclass
class ChainEnd:
    """How far one writer's chain goes: kept elsewhere, this shows later that nothing was cut off its end."""

    chain: str
    decisions: int
    hash: str
    """Of its newest row, hexadecimal."""


@dataclass(frozen=True)
class Break:
    """The first row that is not what its chain says."""

    decision: str
    chain: str
    position: int
    reason: str


@dataclass
class Verification:
    """What a walk over the whole record found; `broken` is None where every row is as it was written."""

    decisions: int = 0
    chains: dict[str, ChainEnd] = field(default_factory=dict)
    broken: Break | None = None


def verify_chain(url: str, on_progress: Callable[[int, int], None] | None = None) -> Verification:
    """Recomputes every hash in the order of writing and stops at the first break; RecordUnavailable without a record.

    `on_progress` is told rows done and rows in all. Rows cut off the end of a chain leave no trace in the record
    itself: compare `chains` with what an earlier run printed.
    """
    walk = _Walk(_starting_points(url))
    total = read_rows(url, select(func.count()).select_from(decisions))[0][0]
    for row in _rows(url):
        walk.found.broken = walk.fault(row)
        if walk.found.broken is not None:
            break
        walk.found.decisions += 1
        if on_progress is not None and walk.found.decisions % _ROWS_AT_ONCE == 0:
            on_progress(walk.found.decisions, total)
    if on_progress is not None:
        on_progress(walk.found.decisions, total)
    return walk.found


def _starting_points(url: str) -> set[bytes]:
    """The hashes that chains began after: each must be that of a row written before."""
    query: Select[Any] = select(decisions.c.previous).where(decisions.c.position == 1)
    return {row.previous for row in read_rows(url, query)} - {NO_ROW_BEFORE}


def _rows(url: str) -> Iterator[Any]:
    last = 0
    query = select(*_LINKS, *_DECISION).order_by(decisions.c.sequence).limit(_ROWS_AT_ONCE)
    while rows := read_rows(url, query.where(decisions.c.sequence > last)):
        yield from rows
        last = rows[-1].sequence


class _Walk:
    """The chains' ends as far as the walk has come."""

    def __init__(self, starting_points: set[bytes]) -> None:
        self.found = Verification()
        self._not_met = starting_points

    def fault(self, row: Any) -> Break | None:
        """What is wrong with the next row; None, and the chain is one longer, where nothing is."""
        reason = self._wrong_place(row) or _wrong_content(row)
        if reason is not None:
            return Break(row.id, row.chain, row.position, reason)
        self._not_met.discard(row.hash)
        self.found.chains[row.chain] = ChainEnd(row.chain, row.position, row.hash.hex())
        return None

    def _wrong_place(self, row: Any) -> str | None:
        end = self.found.chains.get(row.chain)
        if end is None:
            if row.position != 1:
                return "the beginning of its chain is missing"
            return "its chain began after a row that is missing" if row.previous in self._not_met else None
        if row.position != end.decisions + 1:
            return f"row {end.decisions + 1} of its chain is missing"
        return None if row.previous.hex() == end.hash else "it does not follow the row before it"


def _wrong_content(row: Any) -> str | None:
    decision = Decision(*row[len(_LINKS) :])
    expected = row_hash(row.previous, row.chain, row.position, decision)
    return None if row.hash == expected else "its content was changed"
