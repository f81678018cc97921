"""Archives: old decisions of one client, with feedback and outcomes, in a sealed file instead of in the tables.

An archive is an xz file of JSON lines: `{"archive": 1, …}`, then rows as in a backup. What was taken out is said three
times: in `removals` (which rows of which chain, and the hashes at both ends of each span, so that the chain is verified
across the gap), in an event of the record, and in that event by a signature with the key that seals the record. Without
that key nobody can take rows out and call them archived.
"""

import hashlib
import lzma
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import orjson
from msgspec import Struct
from sqlalchemy import Connection, Table, delete, func, insert, select

from cds_hooks.audit.holds import not_held
from cds_hooks.audit.transfer import plain_table, row_as_json, row_from_json
from cds_hooks.storage.chain import row_hash
from cds_hooks.storage.database import DATABASE_ERRORS, database_error_reason, engine_for, parse_url
from cds_hooks.storage.decision import Decision, RecordUnavailable
from cds_hooks.storage.entries import feedback_hash, outcome_hash, write_event
from cds_hooks.storage.opening import upgrade_schema
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import decisions, events, feedback, outcomes, removals
from models_onnx.artifact.keys import Keys, Signer, new_private_file

EVENT: Final = "archive"
_FORMAT: Final = 1
_AT_ONCE: Final = 500
_ENTRIES: Final = {"feedback": feedback, "outcomes": outcomes}
"""The tables whose rows belong to a decision, each with one chain that is named as the table."""
_PLAIN: Final = {"decisions": plain_table(decisions)} | {name: plain_table(entry) for name, entry in _ENTRIES.items()}


class Span(Struct, frozen=True, order=True, array_like=True):
    """Rows of one chain that follow each other, by the table for feedback and outcomes; hashes are hexadecimal."""

    chain: str
    first: int
    last: int
    previous: str
    hash: str


class Archive(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is signed of an archive and stands in its event."""

    name: str
    path: str
    sha256: str
    client: str
    before: int
    """Microseconds since 1970: decisions made before this time."""
    decisions: int
    feedback: int
    first_at: int
    last_at: int
    spans: str
    """SHA-256 of the spans (`digest_of_spans`)."""
    outcomes: int = 0
    """Left out where it is 0, so that the signatures of archives from before version 0005 of the schema hold."""

    @property
    def words(self) -> str:
        """The archive in a few words."""
        times = f"{_day(self.first_at)} to {_day(self.last_at)}"
        return f"{self.name} ({self.decisions} decisions of {self.client}, {times})"


class _Entry(Struct, frozen=True):
    archive: Archive
    key: str
    signature: str


def archive(url: str, client: str, before: int, file: Path, actor: str, signer: Signer) -> Archive | None:
    """Writes the client's decisions from before that time into `file`, then takes them out; None where there are none.

    What a hold is about stays, and so does the newest row of each table: the next is linked to it.

    Raises:
        RecordUnavailable: The record cannot be read or written; then nothing, or a part, was taken out, and the file
            has everything.
        OSError: The file is there already or cannot be written; nothing was taken out.
    """
    parsed = parse_url(url)
    upgrade_schema(parsed)
    with _database_of_archive():
        engine = engine_for(parsed)
        with engine.connect() as connection:
            wanted = _wanted(connection, client, before)
    if not wanted.decisions:
        return None
    digest = _write(url, wanted, file, client, before)
    archived = wanted.describe(file, digest, client, before)
    rows = list(read_archive(file))
    if len(rows) != archived.decisions + archived.feedback + archived.outcomes:
        raise RecordUnavailable(f"{file} could not be read again as it was written; nothing was taken out")
    entry = {"archive": archived, "key": signer.public.id, "signature": _sign(archived, signer)}
    with _database_of_archive():
        with engine.begin() as connection:
            if _count(connection, client, before) != archived.decisions:
                raise RecordUnavailable("a hold was set or released meanwhile, so nothing was taken out; try again")
            write_event(connection, EVENT, actor, msgspec.to_builtins(entry))
            connection.execute(insert(removals), [_removal(span, archived.name) for span in wanted.spans])
        for name in ("outcomes", "feedback", "decisions"):
            sequences = [row["sequence"] for table, row in rows if table == name]
            for start in range(0, len(sequences), _AT_ONCE):
                with engine.begin() as connection:
                    table = _PLAIN[name]
                    is_in_batch = table.c.sequence.in_(sequences[start : start + _AT_ONCE])
                    connection.execute(delete(table).where(is_in_batch))
    return archived


@contextmanager
def _database_of_archive() -> Iterator[None]:
    try:
        yield
    except DATABASE_ERRORS as error:
        raise RecordUnavailable(f"the record cannot be archived: {database_error_reason(error)}") from error


@dataclass
class _Wanted:
    """The rows to be archived: sequence numbers, and the spans that they form."""

    decisions: list[int]
    entries: dict[str, list[int]]
    """By table: feedback and outcomes."""
    spans: list[Span]
    first_at: int
    last_at: int

    def describe(self, file: Path, digest: str, client: str, before: int) -> Archive:
        return Archive(
            name=file.name,
            path=str(file.absolute()),
            sha256=digest,
            client=client,
            before=before,
            decisions=len(self.decisions),
            feedback=len(self.entries["feedback"]),
            outcomes=len(self.entries["outcomes"]),
            first_at=self.first_at,
            last_at=self.last_at,
            spans=digest_of_spans(self.spans),
        )


def _count(connection: Connection, client: str, before: int) -> int:
    counted = select(func.count()).select_from(decisions).where(*_old(connection, client, before))
    return int(connection.execute(counted).scalar_one())


def _old(connection: Connection, client: str, before: int) -> tuple[Any, ...]:
    d = decisions.c
    newest = select(func.max(d.sequence)).scalar_subquery()
    return (d.client == client, d.decided_at < before, d.sequence < newest, not_held(connection))


def _wanted(connection: Connection, client: str, before: int) -> _Wanted:
    d = decisions.c
    old = _old(connection, client, before)
    links = (d.sequence, d.chain, d.position, d.previous, d.hash)
    rows = connection.execute(select(*links, d.decided_at).where(*old).order_by(d.chain, d.position)).all()
    rows_by_table = {name: _entries_of(connection, table, select(d.id).where(*old)) for name, table in _ENTRIES.items()}
    # where another chain began after a row, its hash must stay known
    begun = {bytes(row.previous) for row in connection.execute(select(d.previous).where(d.position == 1))}
    spans = _spans([(r.chain, r.position, bytes(r.previous), bytes(r.hash)) for r in rows], begun)
    for name, entries in rows_by_table.items():
        spans += _spans([(name, r.position, bytes(r.previous), bytes(r.hash)) for r in entries], set())
    times = [row.decided_at for row in rows] or [0]
    sequences = {name: [r.sequence for r in entries] for name, entries in rows_by_table.items()}
    return _Wanted(sorted(r.sequence for r in rows), sequences, spans, min(times), max(times))


def _entries_of(connection: Connection, table: Table, ids: Any) -> Sequence[Any]:
    """Returns the rows of feedback or outcomes about these decisions, but for the newest row of the table."""
    e = table.c
    query = select(e.sequence, e.position, e.previous, e.hash).where(e.decision.in_(ids)).order_by(e.position)
    return connection.execute(query.where(e.sequence < select(func.max(e.sequence)).scalar_subquery())).all()


def _spans(rows: list[tuple[str, int, bytes, bytes]], begun: set[bytes]) -> list[Span]:
    spans: list[Span] = []
    ends = True
    for chain, position, previous, digest in rows:
        if not ends and (spans[-1].chain, spans[-1].last + 1) == (chain, position):
            spans[-1] = msgspec.structs.replace(spans[-1], last=position, hash=digest.hex())
        else:
            spans.append(Span(chain, position, position, previous.hex(), digest.hex()))
        ends = digest in begun
    return spans


def _removal(span: Span, name: str) -> dict[str, Any]:
    return {
        "chain": span.chain,
        "first_position": span.first,
        "last_position": span.last,
        "previous": bytes.fromhex(span.previous),
        "hash": bytes.fromhex(span.hash),
        "archive": name,
    }


def digest_of_spans(spans: list[Span]) -> str:
    """SHA-256 over the spans as JSON, in their order by chain and position; hexadecimal."""
    return hashlib.sha256(msgspec.json.encode(sorted(spans))).hexdigest()


def removed_spans(url: str) -> dict[str, list[Span]]:
    """Returns what `removals` says, by the name of the archive."""
    spans: dict[str, list[Span]] = {}
    for row in read_rows(url, select(removals).order_by(removals.c.sequence)):
        ends = (bytes(row.previous).hex(), bytes(row.hash).hex())
        spans.setdefault(row.archive, []).append(Span(row.chain, row.first_position, row.last_position, *ends))
    return spans


def _write(url: str, wanted: _Wanted, file: Path, client: str, before: int) -> str:
    with new_private_file(file) as raw:
        with lzma.open(raw, "wb", preset=1) as packed:
            packed.write(orjson.dumps({"archive": _FORMAT, "client": client, "before": before}) + b"\n")
            for name, sequences in (("decisions", wanted.decisions), *wanted.entries.items()):
                for row in _rows(url, _PLAIN[name], sequences):
                    packed.write(orjson.dumps([name, row_as_json(row)]) + b"\n")
        raw.flush()
        os.fsync(raw.fileno())
        raw.seek(0)
        return hashlib.file_digest(raw, "sha256").hexdigest()


def _rows(url: str, table: Table, sequences: list[int]) -> Iterator[dict[str, Any]]:
    for start in range(0, len(sequences), _AT_ONCE):
        is_in_batch = table.c.sequence.in_(sequences[start : start + _AT_ONCE])
        for row in read_rows(url, select(table).where(is_in_batch).order_by(table.c.sequence)):
            yield dict(row._mapping)


def is_archive(file: Path) -> bool:
    """Returns whether the file begins as an archive does; OSError where it cannot be read."""
    try:
        with lzma.open(file) as packed:
            head = orjson.loads(packed.readline())
    except (lzma.LZMAError, EOFError, ValueError):
        return False
    return isinstance(head, dict) and head.get("archive") == _FORMAT


def read_archive(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Table and row of each line, each row's hash recomputed.

    Raises:
        RecordUnavailable: The file is not an archive, was cut off, or a row is not as it was written.
    """
    try:
        with lzma.open(file) as packed:
            if orjson.loads(packed.readline()).get("archive") != _FORMAT:
                raise RecordUnavailable(f"{file} is not an archive that this version can read")
            for line in packed:
                name, row = orjson.loads(line)
                row = row_from_json(row)
                if _hash_of(name, row) != row["hash"]:
                    raise RecordUnavailable(f"a row of {name} in {file} is not as it was written")
                yield name, row
    except (lzma.LZMAError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise RecordUnavailable(f"{file} is not a complete archive") from error
    except OSError as error:
        raise RecordUnavailable(f"{file} cannot be read: {error.strerror}") from error


def _hash_of(name: str, row: dict[str, Any]) -> bytes:
    if name != "decisions":
        digest = feedback_hash if name == "feedback" else outcome_hash
        return digest(row["previous"], row["position"], row)
    row = {"facts": None, **row}  # one of before version 0007 has none
    decision = Decision(**{struct_field: row[struct_field] for struct_field in Decision.__struct_fields__})
    return row_hash(row["previous"], row["chain"], row["position"], decision)


def archives(url: str) -> list[Archive]:
    """Returns the archives that the record's events name, the oldest first; RecordUnavailable without a record."""
    return [entry.archive for entry in _entries(url)]


def verified_archives(url: str, keys: Keys) -> dict[str, Archive]:
    """By name those archives whose entry is signed by one of these keys."""
    archives_by_name = {}
    for entry in _entries(url):
        key = keys.get(entry.key)
        if key is not None and key.verifies(bytes.fromhex(entry.signature), _signed(entry.archive)):
            archives_by_name[entry.archive.name] = entry.archive
    return archives_by_name


def _entries(url: str) -> list[_Entry]:
    rows = read_rows(url, select(events).where(events.c.kind == EVENT).order_by(events.c.sequence))
    return [msgspec.json.decode(row.detail, type=_Entry) for row in rows]


def _sign(archived: Archive, signer: Signer) -> str:
    return signer.sign(_signed(archived)).hex()


def _signed(archived: Archive) -> bytes:
    return orjson.dumps(msgspec.to_builtins(archived), option=orjson.OPT_SORT_KEYS)


def restore_archive(file: Path, url: str, actor: str) -> Archive:
    """Restores the rows of an archive to the record and records an event about it.

    Raises:
        RecordUnavailable: The file is not the one that an event of this record names, is there already in the tables,
            or the record cannot be written.
    """
    with file.open("rb") as raw:
        digest = hashlib.file_digest(raw, "sha256").hexdigest()
    archives_by_digest = {archive.sha256: archive for archive in archives(url)}
    if digest not in archives_by_digest:
        raise RecordUnavailable(f"{file} is none of the archives of this record, or was changed")
    archived = archives_by_digest[digest]
    try:
        with engine_for(parse_url(url)).begin() as connection:
            for name, row in read_archive(file):
                connection.execute(insert(_PLAIN[name]), row)
            write_event(connection, "restore", actor, {"archive": archived.name, "sha256": digest})
    except DATABASE_ERRORS as error:
        reason = database_error_reason(error)
        raise RecordUnavailable(
            f"nothing of {file} was restored; perhaps its rows are in the record already: {reason}"
        ) from error
    return archived


def find_archived(url: str, decision_id: str) -> tuple[list[Archive], bool]:
    """The archives in which this decision is or can be, by its time; the second value says that it was found in one.

    The time stands in the id. Where an archive's file is available it is looked into, and only what has it remains.
    """
    try:
        at = int(decision_id.replace("-", "")[:12], 16) * 1000
    except ValueError:
        return [], False
    margin = 60_000_000  # an id is made when the call begins
    able = [archive for archive in archives(url) if archive.first_at - margin <= at <= archive.last_at + margin]
    possible = []
    for candidate in able:
        inside = _has(Path(candidate.path), decision_id)
        if inside:
            return [candidate], True
        if inside is None:
            possible.append(candidate)
    return possible, False


def _has(file: Path, decision_id: str) -> bool | None:
    """Returns whether the archive has this decision; None where the file is not here."""
    if not file.is_file():
        return None
    return any(name == "decisions" and row["id"] == decision_id for name, row in read_archive(file))


def _day(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).date().isoformat()
