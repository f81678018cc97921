"""Retention: takes old decisions of one client, with feedback and outcomes, out of the record after they were exported.

A chart goes with the last decision that was made with it.

The rows are first written into a file of the form of a backup, which an empty record takes in to be read again. What
was taken out is then said three times: in `removals` (which rows of which table, and the hashes at both ends of each
span, so that the chain is verified across the gap), in an event of the record, and in that event by a signature with
the key that seals the record. Without that key nobody can take rows out and call that a retention run.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
from msgspec import Struct
from sqlalchemy import Connection, Table, delete, func, insert, select, text

from cds_hooks.evidence.audit.holds import not_held
from cds_hooks.evidence.audit.seals import RETENTION_EVENT
from cds_hooks.evidence.audit.transfer import plain_table, read_file, write_file
from cds_hooks.evidence.storage.chain import row_hash
from cds_hooks.evidence.storage.database import DATABASE_ERRORS, database_error_reason, engine_for, parse_url
from cds_hooks.evidence.storage.decision import Decision, RecordUnavailable, chart_hash
from cds_hooks.evidence.storage.entries import feedback_hash, outcome_hash, write_event
from cds_hooks.evidence.storage.opening import upgrade_schema
from cds_hooks.evidence.storage.queries import read_rows
from cds_hooks.evidence.storage.tables import charts, decisions, events, feedback, outcomes, removals
from models_onnx.artifact.keys import Keys, Signer

_AT_ONCE: Final = 500
_ENTRIES: Final = {"feedback": feedback, "outcomes": outcomes}
"""The tables whose rows belong to a decision."""
_PLAIN: Final = {"decisions": plain_table(decisions)} | {name: plain_table(entry) for name, entry in _ENTRIES.items()}


class Span(Struct, frozen=True, order=True, array_like=True):
    """Rows of one table that follow each other; hashes are hexadecimal."""

    table: str
    first: int
    last: int
    previous: str
    hash: str


class RetentionRun(Struct, frozen=True, kw_only=True):
    """What is signed of a retention run and stands in its event."""

    name: str
    """The name of the file with the rows."""
    sha256: str
    """Of that file."""
    client: str
    before: int
    """Microseconds since 1970: decisions made before this time."""
    decisions: int
    feedback: int
    outcomes: int
    spans: str
    """SHA-256 of the spans (`digest_of_spans`)."""


class _Entry(Struct, frozen=True):
    run: RetentionRun
    key: str
    signature: str


def remove_old(url: str, client: str, before: int, file: Path, actor: str, signer: Signer) -> RetentionRun | None:
    """Write the client's decisions from before that time into `file`, then take them out; None where there are none.

    What a hold is about stays, and so does the newest row of each table: the next is linked to it.

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
    if not old.sequences["decisions"]:
        return None
    digest = write_file(file, _rows_of(url, old.sequences))
    counts = {name: len(sequences) for name, sequences in old.sequences.items()}
    if Counter(name for name, _ in _checked(file) if name != "charts") != Counter(counts):
        raise RecordUnavailable(f"{file} could not be read again as it was written; nothing was taken out")
    spans = digest_of_spans(old.spans)
    run = RetentionRun(name=file.name, sha256=digest, client=client, before=before, spans=spans, **counts)
    entry = {"run": run, "key": signer.public.id, "signature": signer.sign(_signed(run)).hex()}
    with _database_errors():
        with engine.begin() as connection:
            if _count(connection, client, before) != run.decisions:
                raise RecordUnavailable("a hold was set or released meanwhile, so nothing was taken out; try again")
            write_event(connection, RETENTION_EVENT, actor, msgspec.to_builtins(entry))
            connection.execute(insert(removals), [_removal(span, run.name) for span in old.spans])
        for name in ("outcomes", "feedback", "decisions"):
            for batch in _batches(old.sequences[name]):
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


@dataclass(frozen=True)
class _OldRows:
    """The rows to be taken out: sequence numbers by table, and the spans that they form."""

    sequences: dict[str, list[int]]
    spans: list[Span]


def _count(connection: Connection, client: str, before: int) -> int:
    counted = select(func.count()).select_from(decisions).where(*_is_old(connection, client, before))
    return int(connection.execute(counted).scalar_one())


def _is_old(connection: Connection, client: str, before: int) -> tuple[Any, ...]:
    d = decisions.c
    newest = select(func.max(d.sequence)).scalar_subquery()
    return (d.client == client, d.decided_at < before, d.sequence < newest, not_held(connection))


def _old_rows(connection: Connection, client: str, before: int) -> _OldRows:
    d = decisions.c
    is_old = _is_old(connection, client, before)
    links = (d.sequence, d.position, d.previous, d.hash)
    rows = connection.execute(select(*links).where(*is_old).order_by(d.position)).all()
    spans = _spans("decisions", rows)
    sequences = {"decisions": [row.sequence for row in rows]}
    for name, table in _ENTRIES.items():
        entries = _entries_of(connection, table, select(d.id).where(*is_old))
        spans += _spans(name, entries)
        sequences[name] = [row.sequence for row in entries]
    return _OldRows(sequences, spans)


def _entries_of(connection: Connection, table: Table, ids: Any) -> Sequence[Any]:
    """Return the rows of feedback or outcomes about these decisions, but for the newest row of the table."""
    e = table.c
    query = select(e.sequence, e.position, e.previous, e.hash).where(e.decision.in_(ids)).order_by(e.position)
    return connection.execute(query.where(e.sequence < select(func.max(e.sequence)).scalar_subquery())).all()


def _spans(table: str, rows: Sequence[Any]) -> list[Span]:
    spans: list[Span] = []
    for row in rows:
        digest = bytes(row.hash).hex()
        if spans and spans[-1].last + 1 == row.position:
            spans[-1] = msgspec.structs.replace(spans[-1], last=row.position, hash=digest)
        else:
            spans.append(Span(table, row.position, row.position, bytes(row.previous).hex(), digest))
    return spans


def _removal(span: Span, name: str) -> dict[str, Any]:
    return {
        "of_table": span.table,
        "first_position": span.first,
        "last_position": span.last,
        "previous": bytes.fromhex(span.previous),
        "hash": bytes.fromhex(span.hash),
        "run": name,
    }


def digest_of_spans(spans: list[Span]) -> str:
    """SHA-256 over the spans as JSON, in their order by table and position; hexadecimal."""
    return hashlib.sha256(msgspec.json.encode(sorted(spans))).hexdigest()


def removed_spans(url: str) -> dict[str, list[Span]]:
    """Return what `removals` says, by the name of the retention run."""
    spans: dict[str, list[Span]] = {}
    for row in read_rows(url, select(removals).order_by(removals.c.sequence)):
        ends = (bytes(row.previous).hex(), bytes(row.hash).hex())
        spans.setdefault(row.run, []).append(Span(row.of_table, row.first_position, row.last_position, *ends))
    return spans


def _batches(sequences: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(sequences), _AT_ONCE):
        yield sequences[start : start + _AT_ONCE]


def _stored(url: str, name: str, sequences: list[int]) -> Iterator[dict[str, Any]]:
    table = _PLAIN[name]
    for batch in _batches(sequences):
        for row in read_rows(url, select(table).where(table.c.sequence.in_(batch)).order_by(table.c.sequence)):
            yield dict(row._mapping)


def _rows_of(url: str, sequences: dict[str, list[int]]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from _charts_of(url, sequences["decisions"])
    for name in _PLAIN:
        for row in _stored(url, name, sequences[name]):
            yield name, row


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


def _checked(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Table and row of each line of the file, each row's hash recomputed."""
    for name, row in read_file(file):
        if _hash_of(name, row) != row["hash"]:
            raise RecordUnavailable(f"a row of {name} in {file} is not as it was written; nothing was taken out")
        yield name, row


def _hash_of(name: str, row: dict[str, Any]) -> bytes:
    if name == "charts":
        return chart_hash(row["content"])
    if name != "decisions":
        digest = feedback_hash if name == "feedback" else outcome_hash
        return digest(row["previous"], row["position"], row)
    decision = Decision(**{member: row[member] for member in Decision.__struct_fields__})
    return row_hash(row["previous"], row["position"], decision)


def retention_runs(url: str, keys: Keys | None = None) -> dict[str, RetentionRun]:
    """Return the retention runs that the record's events name, by name; with keys those that one of them signed.

    Raises:
        RecordUnavailable: The record cannot be read.
    """
    runs = {}
    for row in read_rows(url, select(events).where(events.c.kind == RETENTION_EVENT).order_by(events.c.sequence)):
        entry = msgspec.json.decode(row.detail, type=_Entry)
        if keys is not None:
            key = keys.get(entry.key)
            if key is None or not key.verifies(bytes.fromhex(entry.signature), _signed(entry.run)):
                continue
        runs[entry.run.name] = entry.run
    return runs


def _signed(run: RetentionRun) -> bytes:
    return orjson.dumps(msgspec.to_builtins(run), option=orjson.OPT_SORT_KEYS)
