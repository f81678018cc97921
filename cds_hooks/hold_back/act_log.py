"""Reads the acts of a record, the events that decide what may show cards: in their order, each verified."""

from collections.abc import Callable, Collection, Mapping, Sequence
from threading import Lock
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct
from sqlalchemy import Select, select

from cds_hooks.access.recorded_acts import EVENT as ACCOUNT_EVENT
from cds_hooks.access.recorded_acts import AccountAct, RecordedAccounts
from cds_hooks.access.roles import COMMITTEE
from cds_hooks.hold_back.acts import COMMAND, LOCAL, ApprovalRefused, Signatory
from cds_hooks.logs import log
from cds_hooks.storage.entries import NO_ENTRY_BEFORE, event_hash
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import events

_ROWS_AT_ONCE: Final = 500
_MOST_TRIES: Final = 3
_Detail = TypeVar("_Detail", bound=Struct)


class Entry(Struct, frozen=True):
    """One event of the record; `at` in epoch seconds, `position` its number among the events."""

    kind: str
    at: float
    position: int
    detail: str
    actor: str
    fault: str | None
    """Why it does not count: its place in the chain or its hash does not hold."""

    def read(self, kind: type[_Detail]) -> _Detail:
        """Return the detail as this type; ApprovalRefused where the entry does not count, or is of another type."""
        if self.fault is not None:
            raise ApprovalRefused(self.fault)
        try:
            return msgspec.json.decode(self.detail, type=kind)
        except msgspec.MsgspecError as error:
            raise ApprovalRefused("it is no act that this version knows") from error


class ActLog:
    """Hands over the events of some kinds once each, from any thread; the others only move the chain on.

    No entry is passed over: one that is being taken when something fails comes again at the next reading. Where the
    record lost entries that were read (a standby took over, a backup was restored), all are handed over anew, because
    new ones now have the numbers of those that are lost.
    """

    def __init__(self, kinds: Collection[str], take: Callable[[Entry], None], forget: Callable[[], None]) -> None:
        """`take` raises ApprovalRefused for an entry that does not count; `forget` undoes all that was taken."""
        self._kinds = frozenset(kinds)
        self._take = take
        self._forget = forget
        self._lock = Lock()
        self._tries = 0
        self.refused: list[str] = []
        """What does not count, a sentence for each."""
        self._begin()

    def _begin(self) -> None:
        self._position = 0
        self._hash = NO_ENTRY_BEFORE
        self.sequence = 0
        """The number of the last event that was read."""

    def read(self, url: str, until: float = float("inf")) -> None:
        """Hands over the entries that are new and were written until that time (epoch seconds).

        Raises:
            RecordUnavailable: The record cannot be read.
        """
        query = select(events).order_by(events.c.sequence).limit(_ROWS_AT_ONCE)
        with self._lock:
            while rows := self._new_rows(url, query):
                for row in rows:
                    if row.at / 1e6 > until:
                        return
                    if row.kind in self._kinds:
                        fault = _fault(row._mapping, self._hash, self._position)
                        self._hand_over(Entry(row.kind, row.at / 1e6, row.position, row.detail, row.actor, fault))
                    self.sequence, self._position, self._hash = row.sequence, row.position, bytes(row.hash)

    def _new_rows(self, url: str, query: Select[Any]) -> Sequence[Any]:
        """Return the next rows; those from the beginning on where the last one that was read is there no more."""
        rows = read_rows(url, query.where(events.c.sequence >= self.sequence))
        if not self.sequence:
            return rows
        if rows and (rows[0].sequence, bytes(rows[0].hash)) == (self.sequence, self._hash):
            return rows[1:]
        log().error("entries of the record are gone that were read: its acts are read again", count=self._position)
        self._begin()
        self.refused.clear()
        self._forget()
        return read_rows(url, query)

    def _hand_over(self, entry: Entry) -> None:
        """Take the entry; an unexpected fault is raised and it comes again; after three of them it does not count."""
        self._tries += 1
        try:
            self._take(entry)
        except ApprovalRefused as fault:
            self._refuse(entry, str(fault))
        except Exception as error:
            if self._tries < _MOST_TRIES:
                raise
            log().error("an entry of the record cannot be read", error_type=type(error).__name__, count=entry.position)
            self._refuse(entry, f"reading it failed with {type(error).__name__}")
        self._tries = 0

    def _refuse(self, entry: Entry, why: str) -> None:
        self.refused.append(f"entry {entry.position} of the record does not count: {why}")


def _fault(row: Mapping[Any, Any], previous: bytes, position: int) -> str | None:
    if row["position"] != position + 1 or bytes(row["previous"]) != previous:
        return "it does not follow the entry before it"
    if event_hash(previous, row["position"], row) != bytes(row["hash"]):
        return "it was changed after it was written"
    return None


# Whose acts count: the local accounts as the recorded acts leave them at each point of the record


__all__ = ["ACCOUNT_EVENT", "Signatories"]

_ACCOUNT: Final = "account "


class Signatories:
    """The people of one record, taken in its order."""

    def __init__(self) -> None:
        self._accounts = RecordedAccounts()

    def take(self, entry: Entry) -> None:
        """Take what was recorded about an account."""
        self._accounts.take(entry.read(AccountAct))

    def refuse(self, entry: Entry, act: Signatory, *, by_command: bool) -> None:
        """Raise ApprovalRefused where the act of this entry does not count.

        `by_command`: whether an act counts that was typed on the machine of the record, by nobody who has logged in.
        """
        if entry.actor != act.person:
            raise ApprovalRefused(f"it is of {act.person[:80]} and was recorded by {entry.actor[:80]}")
        if act.issuer == COMMAND:
            if not by_command:
                raise ApprovalRefused("it was typed as a command; a person who has logged in does it")
            return
        if act.role not in COMMITTEE:
            raise ApprovalRefused(f"the role {act.role[:40]} approves and releases nothing")
        if act.issuer == LOCAL:
            name = act.person.removeprefix(_ACCOUNT)
            account = self._accounts.made.get(name)
            if account is None or account.state != "active" or act.role not in account.roles:
                raise ApprovalRefused(f"no active account {name[:80]} had the role {act.role} when it was recorded")
