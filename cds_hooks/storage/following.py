"""Follows a table of the record by its numbers: no row is passed over, and it is noticed where rows that were read go.

Feedback, outcomes and events are written one after the other (`entries.newest_entry`), in SQLite decisions, too; in
PostgreSQL several processes write decisions at once, and `settled` says up to which number they can be read.
"""

from time import monotonic, sleep
from typing import Final

from msgspec import Struct
from sqlalchemy import Table, select, text

from cds_hooks.storage.database import parse_url
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import decisions

_WAIT_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.01
_WRITING: Final = text(
    "SELECT virtualtransaction FROM pg_locks WHERE relation = 'decisions'::regclass AND mode = 'RowExclusiveLock' "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class Mark(Struct, frozen=True):
    """The last row that was read; its hash tells it from the row that takes its number where it was lost."""

    sequence: int = 0
    hash: bytes = b""


def is_there(url: str, table: Table, mark: Mark) -> bool:
    """Returns whether the record still has this row, or did until it was taken out, which the newest row never is.

    Raises:
        RecordUnavailable: The record cannot be read.
    """
    if not mark.hash:
        return True
    columns = select(table.c.sequence, table.c.hash).where(table.c.sequence >= mark.sequence)
    rows = read_rows(url, columns.order_by(table.c.sequence).limit(1))
    return bool(rows) and (rows[0].sequence > mark.sequence or bytes(rows[0].hash) == mark.hash)


def settled(url: str, before: Mark) -> Mark:
    """Returns the newest decision after which none with a lower number can come any more.

    PostgreSQL can commit a row after one with a later number. A transaction that took a lower number than the newest
    row is among those that write when that row is read, and these are waited for. Where one of them takes longer,
    `before` is returned, which the caller has read already, and the next reading goes on from there.

    Raises:
        RecordUnavailable: The record cannot be read; or one takes longer, and nothing was read before.
    """
    columns = select(decisions.c.sequence, decisions.c.hash)
    rows = read_rows(url, columns.order_by(decisions.c.sequence.desc()).limit(1))
    newest = Mark(rows[0].sequence, bytes(rows[0].hash)) if rows else Mark()
    if newest == before or parse_url(url).get_backend_name() == "sqlite":
        return newest
    writers, until = _writers(url), monotonic() + _WAIT_SECONDS
    while writers:
        if monotonic() > until:
            if before == Mark():
                raise RecordUnavailable("a decision is being written for longer than usual: try again in some seconds")
            return before
        sleep(_LOOK_SECONDS)
        writers &= _writers(url)
    return newest


def _writers(url: str) -> set[str]:
    return {row.virtualtransaction for row in read_rows(url, _WRITING)}
