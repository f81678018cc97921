"""Reads the acts of a record, the events that decide what may show cards: in their order, each verified."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import select

from cds_hooks.hold_back.acts import ApprovalRefused
from cds_hooks.storage.entries import NO_ENTRY_BEFORE, event_hash
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import events

_ROWS_AT_ONCE: Final = 500
_Detail = TypeVar("_Detail", bound=Struct)


class Entry(Struct, frozen=True):
    """One event of the record; `at` in epoch seconds, `position` its number among the events."""

    kind: str
    at: float
    position: int
    detail: str
    fault: str | None
    """Why it does not count: its place in the chain or its hash does not hold."""

    def read(self, kind: type[_Detail]) -> _Detail:
        """Returns the detail as this type; ApprovalRefused where the entry does not count, or is of another type."""
        if self.fault is not None:
            raise ApprovalRefused(self.fault)
        try:
            return msgspec.json.decode(self.detail, type=kind)
        except msgspec.MsgspecError as error:
            raise ApprovalRefused("it is no act that this version knows") from error

    def refusal(self, fault: ApprovalRefused) -> str:
        """Returns the sentence that says that it does not count."""
        return f"entry {self.position} of the record does not count: {fault}"


class ActLog:
    """Reads the events of some kinds once each; the others only move the chain on."""

    def __init__(self, kinds: Collection[str]) -> None:
        self._kinds = frozenset(kinds)
        self._position = 0
        self._hash = NO_ENTRY_BEFORE
        self.sequence = 0
        """The number of the last event that was read."""

    def read(self, url: str, until: float = float("inf")) -> Iterator[Entry]:
        """Yields the entries that are new and were written until that time (epoch seconds).

        Raises:
            RecordUnavailable: The record cannot be read.
        """
        query = select(events).order_by(events.c.sequence).limit(_ROWS_AT_ONCE)
        while rows := read_rows(url, query.where(events.c.sequence > self.sequence)):
            for row in rows:
                if row.at / 1e6 > until:
                    return
                previous, position = self._hash, self._position
                self.sequence, self._position, self._hash = row.sequence, row.position, bytes(row.hash)
                if row.kind in self._kinds:
                    fault = _fault(row._mapping, previous, position)
                    yield Entry(row.kind, row.at / 1e6, row.position, row.detail, fault)


def _fault(row: Mapping[Any, Any], previous: bytes, position: int) -> str | None:
    if row["position"] != position + 1 or bytes(row["previous"]) != previous:
        return "it does not follow the entry before it"
    if event_hash(previous, row["position"], row) != bytes(row["hash"]):
        return "it was changed after it was written"
    return None
