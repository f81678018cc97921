"""The hash chain over the record: one for all its tables and for all processes that write.

The rows of decisions, feedback, outcomes and events are numbered together, from 1, in the order in which they are
committed. Each has a link in the table `chain` with its number: the name of its table, its digest, and a hash.

The digest is SHA-256 over a JSON array in UTF-8 without white space, and the bytes of the row's binary columns after
it. The array has the name of the table, and the columns in the order of the table as they are stored; a binary column
stands in it as an array with its length alone. The hash is SHA-256 over the hash of the link before (32 bytes, zero
before the first), the digest, and the name of the table. A chart is named by the hash of its stored bytes, so that the
digest of a decision covers it.

A link is never deleted: what a retention run takes out leaves its digest, and the chain is verified without the row.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec import structs
from sqlalchemy import Connection, Table, insert, text

from cds_hooks.evidence.storage.content import store_content
from cds_hooks.evidence.storage.decision import Decision
from cds_hooks.evidence.storage.tables import COLUMNS, chain, decisions

NOTHING_BEFORE: Final = bytes(32)

Row = tuple[Any, ...]
"""The values of a row, or of a link, in the order of its table; the number is the first."""

NEWEST_LINK: Final = "SELECT sequence, hash FROM chain ORDER BY sequence DESC LIMIT 1"
ONE_WRITER: Final = f"SELECT pg_advisory_xact_lock({0x6364_735F_6465_6369})"  # "cds_deci"
"""Waits in PostgreSQL until no other process adds rows, which SQLite does by itself. The newest link is read after it:
in a database whose default is stricter than READ COMMITTED it would be the newest from before the wait."""

_encode: Final = msgspec.json.Encoder().encode


def row_digest(table: str, row: Iterable[Any]) -> bytes:
    """Return the digest of a row, whose values are as they are stored and in the order of the table."""
    texts, contents = list[Any](), list[bytes]()
    for value in row:
        if isinstance(value, bytes):
            texts.append((len(value),))
            contents.append(value)
        else:
            texts.append(value)
    return hashlib.sha256(b"".join((_encode((table, *texts)), *contents))).digest()


def link_hash(previous: bytes, table: str, digest: bytes) -> bytes:
    """Return the hash of a link: of the one before, the table, and the digest of the row."""
    return hashlib.sha256(b"".join((previous, digest, table.encode()))).digest()


def linked(newest: tuple[int, bytes] | None, table: str, values: Iterable[Row]) -> tuple[list[Row], list[Row]]:
    """Return new rows of a table with their numbers, and the link of each.

    `newest` has number and hash of the record's newest link, None for an empty record; nobody else adds rows until
    these are committed. `values` are as they are stored, in the order of `COLUMNS`.
    """
    table = f"{table}"  # SQLAlchemy's names are no plain strings
    last, previous = newest or (0, NOTHING_BEFORE)
    rows, links = list[Row](), list[Row]()
    for number, value in enumerate(values, last + 1):
        row = (number, *value)
        digest = row_digest(table, row)
        previous = link_hash(previous, table, digest)
        rows.append(row)
        links.append((number, table, digest, previous))
    return rows, links


def wait_for_turn(connection: Connection) -> None:
    """Return when nobody else adds rows until this transaction ends; SQLite has only one writer at a time."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(ONE_WRITER))


def add_rows(connection: Connection, table: Table, new_rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows with their links to the transaction of this connection, in one statement each.

    With one each a bulk approval of 2,000 rules held the write lock for seconds.
    """
    if not new_rows:
        return
    wait_for_turn(connection)
    newest = connection.execute(text(NEWEST_LINK)).first()
    before = (newest.sequence, bytes(newest.hash)) if newest is not None else None
    values = [tuple(row[name] for name in COLUMNS[table.name]) for row in new_rows]
    for table_of_rows, rows in zip((table, chain), linked(before, table.name, values), strict=True):
        names = [column.name for column in table_of_rows.columns]
        connection.execute(insert(table_of_rows), [dict(zip(names, row, strict=True)) for row in rows])


def as_stored(decision: Decision) -> Decision:
    """Return the decision with its large members in their stored form."""
    return structs.replace(
        decision,
        models=store_content(decision.models),
        response=store_content(decision.response),
        basis=store_content(decision.basis),
        facts=store_content(decision.facts) if decision.facts is not None else None,
    )


values_of_decision: Final = attrgetter(*COLUMNS[decisions.name])
"""Return what a decision puts into its row."""
