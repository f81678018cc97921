"""The hash chain over the decision record: links new rows, and reads them to be verified.

It is one chain for all processes that write: each links its rows to the newest one, in the transaction that adds them.
The hash of a row is SHA-256 over, one after the other: the previous row's hash (32 bytes, zero before the first); a
JSON array in UTF-8 without white space, ["decisions", position, id, decided_at, hook, service, hook_instance, client,
patient, user_id, outcome, input_digest, length of models, length of response, length of basis, length of facts or
null], followed in the array by the hash of the chart (hexadecimal) where one was recorded; and the bytes of models,
response, basis and facts as they are stored (`content.py`). The lengths say where one of them ends and the next begins.
A chart is named by the hash of its bytes as they are stored, so that the chain covers it.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import structs
from sqlalchemy import LargeBinary, select, type_coerce

from cds_hooks.evidence.storage.content import store_content
from cds_hooks.evidence.storage.decision import Decision, chart_hash
from cds_hooks.evidence.storage.queries import read_rows
from cds_hooks.evidence.storage.tables import charts, decisions

NO_ROW_BEFORE = bytes(32)

_encode = msgspec.json.Encoder().encode


def _of_call(d: Decision) -> tuple[Any, ...]:
    """Return the columns that say which call was decided, when and with which outcome, in the order of the table."""
    return (d.decided_at, d.hook, d.service, d.hook_instance, d.client, d.patient, d.user_id, d.outcome, d.input_digest)


def row_hash(previous: bytes, position: int, decision: Decision) -> bytes:
    """SHA-256 over the previous row's hash and all columns of this row."""
    d = decision
    facts = d.facts or b""
    lengths = (len(d.models), len(d.response), len(d.basis), None if d.facts is None else len(facts))
    chart = (d.chart.hex(),) if d.chart is not None else ()
    head = _encode(("decisions", position, d.id, *_of_call(d), *lengths, *chart))
    return hashlib.sha256(b"".join((previous, head, d.models, d.response, d.basis, facts))).digest()


def as_stored(decision: Decision) -> Decision:
    """Return the decision with its large members in their stored form."""
    return structs.replace(
        decision,
        models=store_content(decision.models),
        response=store_content(decision.response),
        basis=store_content(decision.basis),
        facts=store_content(decision.facts) if decision.facts is not None else None,
    )


def linked(newest: tuple[int, bytes] | None, stored: Iterable[Decision]) -> list[tuple[Any, ...]]:
    """Return the rows of these decisions in the order of `tables.COLUMNS`, each linked to the one before.

    `newest` has position and hash of the record's newest row, None for an empty record; nobody else adds rows until
    these are committed. The large members of the decisions are `as_stored`.
    """
    last, previous = newest or (0, NO_ROW_BEFORE)
    rows = list[tuple[Any, ...]]()
    for position, d in enumerate(stored, last + 1):
        digest = row_hash(previous, position, d)
        rows.append((d.id, position, *_of_call(d), previous, digest, d.chart, d.models, d.response, d.basis, d.facts))
        previous = digest
    return rows


_CONTENT = ("models", "response", "basis", "facts")
# the stored bytes, not the decoded value
_DECISION = [
    type_coerce(decisions.c[name], LargeBinary).label(name) if name in _CONTENT else decisions.c[name]
    for name in (field.name for field in msgspec.structs.fields(Decision))
]
_LINKS = [decisions.c[name] for name in ("sequence", "position", "previous", "hash")]
# short reads: a long one would keep SQLite's write-ahead log from being reset
_ROWS_AT_ONCE = 500


def stored_rows(url: str) -> Iterator[Any]:
    """Yield all decisions in the order of writing, with their links and their content in stored form."""
    last = 0
    query = select(*_LINKS, *_DECISION).order_by(decisions.c.sequence).limit(_ROWS_AT_ONCE)
    while rows := read_rows(url, query.where(decisions.c.sequence > last)):
        yield from rows
        last = rows[-1].sequence


def faults_of_charts(url: str) -> Iterator[str]:
    """Yield a sentence for each chart that is not as it was written, and for each decision that lacks its own."""
    is_there = select(charts.c.sequence).where(charts.c.hash == decisions.c.chart).exists()
    for row in read_rows(url, select(decisions.c.id).where(decisions.c.chart.is_not(None), ~is_there)):
        yield f"the chart of decision {row.id} is missing"
    content, last = type_coerce(charts.c.content, LargeBinary).label("content"), 0
    query = select(charts.c.sequence, charts.c.hash, content).order_by(charts.c.sequence).limit(_ROWS_AT_ONCE)
    while rows := read_rows(url, query.where(charts.c.sequence > last)):
        for row in rows:
            if chart_hash(row.content) != bytes(row.hash):
                yield f"chart {bytes(row.hash).hex()} is not as it was written"
        last = rows[-1].sequence


def wrong_content(row: Any) -> str | None:
    """Return the reason where the row's hash differs from the hash of its content, else None."""
    decision = Decision(*row[len(_LINKS) :])
    expected = row_hash(row.previous, row.position, decision)
    return None if row.hash == expected else "its content was changed"
