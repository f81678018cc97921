"""Backup, restore and export of the record.

A backup is an xz file of JSON lines, one for each row as it is stored, the tables in the order of `_TABLES`; bytes are
`{"base64": …}`. It is the same for SQLite and PostgreSQL, so a record moves from one to the other. What is encrypted
stays so. Its hash chain and seals hold after it was restored.
"""

import base64
import lzma
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import orjson
from sqlalchemy import Connection, Table, func, insert, literal_column, select, text

from cds_hooks.evidence.storage.database import (
    DATABASE_ERRORS,
    database_error_reason,
    engine_for,
    parse_url,
    refuse_other,
)
from cds_hooks.evidence.storage.decision import Decision, RecordUnavailable
from cds_hooks.evidence.storage.opening import upgrade_schema
from cds_hooks.evidence.storage.queries import DecisionFilter, find_decisions, newest_number, read_rows
from cds_hooks.evidence.storage.tables import CHAINED, SCHEMA_VERSION, chain, charts, plain_table, removals
from cds_hooks.people.web.files import csv_of
from fhir.terminology.plain_file import LongLine, bounded_lines
from models_onnx.artifact.keys import new_private_file

ExportForm = Literal["ndjson", "csv", "fhir"]
_LONGEST_ROW: Final = 256 * 1024 * 1024
"""The longest row of a backup, in bytes: a chart of the longest body that a site can allow."""

_TABLES: Final = (chain, removals, charts, *CHAINED)
_AT_ONCE: Final = 500
_CSV: Final = (
    "id", "decided_at", "hook", "service", "hook_instance", "client", "patient", "user_id", "outcome", "input_digest",
)  # fmt: skip


def back_up(url: str, file: Path) -> int:
    """Write every row into the file, which must not be there; how many. RecordUnavailable where it cannot be read.

    Where it cannot be finished there is no file.
    """
    for (version,) in read_rows(url, select(literal_column("version")).select_from(text("record_schema"))):
        refuse_other(version)
    rows, newest = 0, newest_number(url)  # what is recorded meanwhile is in no table of the backup

    def stored() -> Iterator[tuple[str, dict[str, Any]]]:
        nonlocal rows
        for table in _TABLES:
            for row in _stored(url, plain_table(table), newest if table in (chain, *CHAINED) else None):
                yield table.name, row
                rows += 1

    write_file(file, stored())
    return rows


def write_file(file: Path, rows: Iterable[tuple[str, dict[str, Any]]], **head: Any) -> None:
    """Write `head`, and table and row of each into a new file, which is removed again where that fails.

    Raises:
        OSError: The file is there already, or cannot be written.
    """
    with new_private_file(file) as raw:
        with lzma.open(raw, "wb", preset=1) as packed:
            packed.write(orjson.dumps({"record": SCHEMA_VERSION, **head}) + b"\n")
            for name, row in rows:
                packed.write(orjson.dumps([name, row_as_json(row)]) + b"\n")
        raw.flush()
        os.fsync(raw.fileno())


def read_file(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the head of such a file under an empty name, then table and row of each line.

    Raises:
        RecordUnavailable: It is none, was cut off, or is of another version of this program.
        OSError: It cannot be read.
    """
    try:
        with lzma.open(file) as packed:
            lines = bounded_lines(packed.readline, file.name, _LONGEST_ROW)
            head = orjson.loads(next(lines, b""))
            refuse_other(str(head["record"]))
            yield "", head
            for line in lines:
                name, row = orjson.loads(line)
                yield name, row_from_json(row)
    except LongLine as error:
        raise RecordUnavailable(f"{error}; nothing was restored") from error
    except (lzma.LZMAError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordUnavailable(f"{file} is not a complete backup of a record; nothing was restored") from error


def restore(file: Path, url: str) -> int:
    """Put the rows of a backup into an empty record, which is made if need be; how many.

    Raises:
        RecordUnavailable: The record is not empty, or the file is no complete backup that this version reads.
    """
    next(read_file(file), None)  # a file that is no backup makes no record
    parsed = parse_url(url)
    upgrade_schema(parsed)
    if any(read_rows(url, select(func.count()).select_from(table))[0][0] for table in _TABLES):
        raise RecordUnavailable("the record is not empty; a backup is restored into an empty one")
    tables = {table.name: plain_table(table) for table in _TABLES}
    rows = 0
    try:
        with engine_for(parsed).begin() as connection:
            for name, row in islice(read_file(file), 1, None):
                if name not in tables:
                    raise RecordUnavailable(f"{file} has rows of {name[:32]!r}, which is not a table of the record")
                connection.execute(insert(tables[name]), row)
                rows += 1
            if parsed.get_backend_name() == "postgresql":
                _continue_numbers(connection)
    except DATABASE_ERRORS as error:
        raise RecordUnavailable(f"the record cannot be restored: {database_error_reason(error)}") from error
    return rows


def _continue_numbers(connection: Connection) -> None:
    """Make PostgreSQL number the next row of these tables after those that were put in with their numbers."""
    for table in (charts, removals):
        newest = f"(SELECT coalesce(max(sequence), 0) + 1 FROM {table.name})"  # noqa: S608
        connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table.name}', 'sequence'), {newest}, false)"))


def _stored(url: str, table: Table, newest: int | None) -> Iterator[dict[str, Any]]:
    query, last = select(table).order_by(table.c.sequence).limit(_AT_ONCE), 0
    if newest is not None:
        query = query.where(table.c.sequence <= newest)
    while rows := read_rows(url, query.where(table.c.sequence > last)):
        for row in rows:
            yield dict(row._mapping)
        last = rows[-1].sequence


def row_as_json(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with its bytes as base64."""
    return {
        # the driver's names are no plain strings
        f"{name}": {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes | memoryview) else value
        for name, value in row.items()
    }


def row_from_json(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row that `row_as_json` made JSON of."""
    return {
        name: base64.b64decode(value["base64"]) if isinstance(value, dict) else value for name, value in row.items()
    }


def export(url: str, wanted: DecisionFilter, form: ExportForm, out: BinaryIO, limit: int | None = None) -> int:
    """Write the decisions that fit, the newest first, at most `limit`; how many.

    RecordUnavailable where they cannot be read.
    """
    count = 0
    if form == "csv":
        out.write(csv_of([_CSV]))
    for decision in islice(find_decisions(url, wanted), limit):
        out.write(_exported(decision, form))
        count += 1
    return count


def _exported(decision: Decision, form: ExportForm) -> bytes:
    if form == "csv":
        return csv_of([[getattr(decision, name) for name in _CSV]])
    row = audit_event(decision) if form == "fhir" else _everything(decision)
    return orjson.dumps(row) + b"\n"


def _everything(decision: Decision) -> dict[str, Any]:
    read = {name: getattr(decision, name) for name in decision.__struct_fields__ if name not in ("facts", "chart")}
    return read | {name: orjson.loads(read[name]) for name in ("models", "response", "basis")}


def audit_event(decision: Decision) -> dict[str, Any]:
    """Return the decision as a FHIR R4 AuditEvent: who was told something about which patient and when, not what."""
    when = datetime.fromtimestamp(decision.decided_at / 1e6, UTC).isoformat(timespec="milliseconds")
    agents: list[dict[str, Any]] = [
        {"who": {"display": decision.client or "unknown"}, "requestor": not decision.user_id}
    ]
    if decision.user_id:
        agents.append({"who": {"identifier": {"value": decision.user_id}}, "requestor": True})
    patient = decision.patient.removeprefix("Patient/")
    return {
        "resourceType": "AuditEvent",
        "id": decision.id,
        "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
        "subtype": [{"system": "http://hl7.org/fhir/restful-interaction", "code": "operation"}],
        "action": "E",
        "recorded": when,
        "outcome": "4" if decision.outcome == "error" else "0",
        "agent": agents,
        "source": {"observer": {"display": f"cds-hooks service {decision.service or 'unknown'}"}},
        "entity": [
            {"what": {"identifier": {"value": patient or "unknown"}}, "type": {"code": "1"}},
            {"what": {"identifier": {"value": decision.hook_instance or "unknown"}}, "name": f"hook {decision.hook}"},
        ],
    }
