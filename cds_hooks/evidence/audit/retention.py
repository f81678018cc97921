"""Retention: takes old decisions of one client, with feedback and outcomes, out of the record after they were exported.

A chart goes with the last decision that was made with it. The links of the rows stay in the chain, with their digests.

The rows are first written into a file of the form of a backup, which an empty record takes in to be read again. The
file begins with what is signed of the run, by the key that seals the record: with the public key it can be verified by
itself (`verify_file`). The same signed words are an event of the record, and `removals` has the numbers of the rows.
Without that key nobody can take rows out and call that a retention run.
"""

import hashlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
from msgspec import Struct
from sqlalchemy import Connection, Table, delete, func, insert, select, text

from cds_hooks.evidence.audit.holds import not_held
from cds_hooks.evidence.audit.transfer import read_file, write_file
from cds_hooks.evidence.storage.chain import row_digest
from cds_hooks.evidence.storage.database import DATABASE_ERRORS, database_error_reason, engine_for, parse_url
from cds_hooks.evidence.storage.decision import RecordUnavailable, chart_hash
from cds_hooks.evidence.storage.entries import write_event
from cds_hooks.evidence.storage.opening import upgrade_schema
from cds_hooks.evidence.storage.queries import read_rows
from cds_hooks.evidence.storage.tables import (
    chain,
    charts,
    decisions,
    events,
    feedback,
    outcomes,
    plain_table,
    removals,
)
from models_onnx.artifact.keys import Keys, Signer

RETENTION_EVENT: Final = "retention"
"""The kind of the entries that say what was taken out of the record."""
_AT_ONCE: Final = 500
_PLAIN: Final = {table.name: plain_table(table) for table in (decisions, feedback, outcomes)}
"""The tables of which rows are taken out, and how their rows are stored."""


class RetentionRun(Struct, frozen=True, kw_only=True):
    """What is signed of a retention run and stands in its event."""

    name: str
    """The name of the file with the rows; no two runs have the same."""
    client: str
    before: int
    """Microseconds since 1970: decisions made before this time."""
    decisions: int
    feedback: int
    outcomes: int
    rows: str
    """SHA-256 over the digests of the rows (`storage/chain.py`) in the order of their numbers, hexadecimal."""


class _Entry(Struct, frozen=True):
    run: RetentionRun
    key: str
    signature: str


def remove_old(url: str, client: str, before: int, file: Path, actor: str, signer: Signer) -> RetentionRun | None:
    """Write the client's decisions from before that time into `file`, then take them out; None where there are none.

    What a hold is about stays.

    Raises:
        RecordUnavailable: The record cannot be read or written; then nothing, or a part, was taken out, and the file
            has everything.
        OSError: The file is there already or cannot be written; nothing was taken out.
    """
    parsed = parse_url(url)
    upgrade_schema(parsed)
    with _database_errors():
        engine = engine_for(parsed)
        with engine.connect() as connection:
            old = _old_rows(connection, client, before)
    if not old["decisions"]:
        return None
    if read_rows(url, select(removals.c.run).where(removals.c.run == file.name).limit(1)):
        raise RecordUnavailable(f"a retention run before wrote a file {file.name}; give the new one another name")
    numbers = sorted(number for of_table in old.values() for number in of_table)
    digest = hashlib.sha256(b"".join(_digests(url, numbers))).hexdigest()
    counts = {name: len(of_table) for name, of_table in old.items()}
    run = RetentionRun(name=file.name, client=client, before=before, rows=digest, **counts)
    entry = {"run": msgspec.structs.asdict(run), "key": signer.public.id, "signature": signer.sign(_signed(run)).hex()}
    write_file(file, _rows_of(url, old, numbers), run=entry)
    verify_file(file, {signer.public.id: signer.public})
    with _database_errors():
        with engine.begin() as connection:
            if _count(connection, client, before) != run.decisions:
                raise RecordUnavailable("a hold was set or released meanwhile, so nothing was taken out; try again")
            write_event(connection, RETENTION_EVENT, actor, entry)
            connection.execute(
                insert(removals),
                [{"first_number": first, "last_number": last, "run": run.name} for first, last in _spans(numbers)],
            )
        for name in reversed(_PLAIN):
            for batch in _batches(old[name]):
                with engine.begin() as connection:
                    _take_out(connection, name, batch)
    return run


def _take_out(connection: Connection, name: str, sequences: list[int]) -> None:
    """Delete these rows, and the charts that no other decision names."""
    d = decisions.c
    is_chosen = _PLAIN[name].c.sequence.in_(sequences)
    if name != "decisions":
        connection.execute(delete(_PLAIN[name]).where(is_chosen))
        return
    if connection.dialect.name == "postgresql":  # a writer may have found a chart there that is deleted now
        connection.execute(text("LOCK TABLE charts IN SHARE ROW EXCLUSIVE MODE"))
    names = select(d.chart).where(d.sequence.in_(sequences), d.chart.is_not(None)).distinct()
    hashes = list(connection.execute(names).scalars())
    connection.execute(delete(_PLAIN[name]).where(is_chosen))
    is_named = select(d.sequence).where(d.chart == charts.c.hash).exists()
    connection.execute(delete(charts).where(charts.c.hash.in_(hashes), ~is_named))


@contextmanager
def _database_errors() -> Iterator[None]:
    try:
        yield
    except DATABASE_ERRORS as error:
        raise RecordUnavailable(f"nothing can be taken out of the record: {database_error_reason(error)}") from error


def _count(connection: Connection, client: str, before: int) -> int:
    counted = select(func.count()).select_from(decisions).where(*_is_old(connection, client, before))
    return int(connection.execute(counted).scalar_one())


def _is_old(connection: Connection, client: str, before: int) -> tuple[Any, ...]:
    return (decisions.c.client == client, decisions.c.decided_at < before, not_held(connection))


def _old_rows(connection: Connection, client: str, before: int) -> dict[str, list[int]]:
    """Return by table the numbers of the rows to be taken out."""
    is_old = _is_old(connection, client, before)
    queries = {"decisions": select(decisions.c.sequence).where(*is_old)}
    ids = select(decisions.c.id).where(*is_old)
    queries |= {table.name: select(table.c.sequence).where(table.c.decision.in_(ids)) for table in (feedback, outcomes)}
    return {name: list(connection.execute(query).scalars()) for name, query in queries.items()}


def _digests(url: str, numbers: list[int]) -> Iterator[bytes]:
    for batch in _batches(numbers):
        query = select(chain.c.digest).where(chain.c.sequence.in_(batch)).order_by(chain.c.sequence)
        yield from (bytes(row.digest) for row in read_rows(url, query))


def _spans(numbers: list[int]) -> list[tuple[int, int]]:
    """Return first and last number of each row of numbers that follow each other."""
    spans: list[tuple[int, int]] = []
    for number in numbers:
        follows = spans and spans[-1][1] + 1 == number
        spans[len(spans) - bool(follows) :] = [(spans[-1][0] if follows else number, number)]
    return spans


def _batches(sequences: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(sequences), _AT_ONCE):
        yield sequences[start : start + _AT_ONCE]


def _stored(url: str, table: Table, numbers: list[int]) -> Iterator[tuple[str, dict[str, Any]]]:
    for batch in _batches(numbers):
        for row in read_rows(url, select(table).where(table.c.sequence.in_(batch)).order_by(table.c.sequence)):
            yield table.name, dict(row._mapping)


def _rows_of(url: str, old: dict[str, list[int]], numbers: list[int]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from _stored(url, chain, numbers)
    yield from _charts_of(url, old["decisions"])
    for name, table in _PLAIN.items():
        yield from _stored(url, table, old[name])


def _charts_of(url: str, sequences: list[int]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Table and row of each chart with which these decisions were made, each once."""
    table, written = plain_table(charts), set[bytes]()
    for batch in _batches(sequences):
        names = select(decisions.c.chart).where(decisions.c.sequence.in_(batch))
        rows = read_rows(url, select(table).where(table.c.hash.in_(names)))
        new = [row for row in rows if bytes(row.hash) not in written]
        written.update(bytes(row.hash) for row in new)
        for row in new:
            yield "charts", dict(row._mapping)


def verify_file(file: Path, keys: Keys) -> RetentionRun:
    """Return the run that wrote this file, if the file has all its rows and charts as they were recorded.

    Raises:
        RecordUnavailable: It is no file of a run, none of `keys` signed the run, or a row was changed, left out or
            put in.
        OSError: It cannot be read.
    """
    lines = read_file(file)
    try:
        entry = msgspec.convert(next(lines)[1]["run"], _Entry)
    except (KeyError, msgspec.ValidationError) as error:
        raise RecordUnavailable(f"{file} was not written by a retention run") from error
    if not _is_signed(entry, keys):
        raise RecordUnavailable(f"what {file} says of its run is not signed by any of the given keys")
    digest_by_number, named, kept = dict[int, bytes](), set[bytes | None](), set[bytes | None]({None})
    for name, row in lines:
        if name == charts.name:
            kept.add(chart_hash(row["content"]))
        elif name in _PLAIN:
            values = [row.get(column.name) for column in _PLAIN[name].columns]
            digest_by_number[row["sequence"]] = row_digest(name, values)
            named.add(row.get("chart"))
    digests = b"".join(digest_by_number[number] for number in sorted(digest_by_number))
    if hashlib.sha256(digests).hexdigest() != entry.run.rows or kept != named | {None}:
        raise RecordUnavailable(f"{file} does not have the rows of its run as they were recorded")
    return entry.run


def retention_runs(url: str, keys: Keys | None = None) -> dict[str, RetentionRun]:
    """Return the retention runs that the record's events name, by name; with keys those that one of them signed.

    Raises:
        RecordUnavailable: The record cannot be read.
    """
    runs = {}
    for row in read_rows(url, select(events).where(events.c.kind == RETENTION_EVENT).order_by(events.c.sequence)):
        entry = msgspec.json.decode(row.detail, type=_Entry)
        if keys is None or _is_signed(entry, keys):
            runs[entry.run.name] = entry.run
    return runs


def _is_signed(entry: _Entry, keys: Keys) -> bool:
    key = keys.get(entry.key)
    return key is not None and key.verifies(bytes.fromhex(entry.signature), _signed(entry.run))


class Removed:
    """What retention runs took out of a record, as its chain is walked."""

    def __init__(self) -> None:
        self._signed = dict[str, RetentionRun]()
        self._spans = deque[tuple[int, int, str]]()
        self._rows = dict[str, Any]()

    def read_runs(self, url: str, keys: Keys | None) -> None:
        """Read the runs that one of the keys signed; without keys, all that are named."""
        self._signed = retention_runs(url, keys)

    def read_numbers(self, url: str, _: Keys | None = None) -> None:
        """Read which rows were taken out."""
        for row in read_rows(url, select(removals).order_by(removals.c.first_number)):
            self._spans.append((int(row.first_number), int(row.last_number), row.run))
            self._rows[row.run] = hashlib.sha256()

    def has(self, number: int, digest: bytes) -> bool:
        """Return whether the row with this number was taken out; the numbers are asked in their order, each once."""
        while self._spans and self._spans[0][1] < number:
            self._spans.popleft()
        is_removed = bool(self._spans) and self._spans[0][0] <= number
        if is_removed:
            self._rows[self._spans[0][2]].update(digest)
        return is_removed

    def not_signed(self) -> list[str]:
        """Return the names under which rows were taken out that no signed entry says, or others than it says."""
        runs = {name: self._signed.get(name) for name in self._rows}
        return [name for name, run in runs.items() if run is None or run.rows != self._rows[name].hexdigest()]


def _signed(run: RetentionRun) -> bytes:
    return orjson.dumps(msgspec.to_builtins(run), option=orjson.OPT_SORT_KEYS)
