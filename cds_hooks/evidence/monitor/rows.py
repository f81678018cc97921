"""The record as rows in DuckDB, for the command `monitor` alone: calls, what is known of each, answers and outcomes.

Rows name no patient and no user: both are numbers by a random key, which stands in the file and is new with each new
one, so that a patient is counted once by every report that reads it. The file stands beside the views. Where the record
is encrypted there is no file, and each report reads the record again into memory.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from secrets import token_bytes
from typing import Any, Final

import duckdb
import msgspec
import pyarrow
from sqlalchemy import func, select

from cds_hooks.evidence.storage.decision import DecisionBasis, RecordUnavailable, each_scores, is_trial, read_basis
from cds_hooks.evidence.storage.queries import has_link, newest_number, read_rows
from cds_hooks.evidence.storage.sent import read_response
from cds_hooks.evidence.storage.tables import chain, decisions, feedback, outcomes, removals

_AT_ONCE: Final = 5_000
_DAY_SECONDS: Final = 86_400.0
TABLES: Final = """
CREATE TABLE calls (sequence BIGINT, id VARCHAR, decided_at TIMESTAMP, client VARCHAR, service VARCHAR, site VARCHAR,
    outcome VARCHAR, cards INTEGER, patient BIGINT, person BIGINT, hook_instance BIGINT, is_counted BOOLEAN);
CREATE TABLE facts (sequence BIGINT, kind VARCHAR, name VARCHAR, text VARCHAR, value DOUBLE);
CREATE TABLE answers (sequence BIGINT, decision VARCHAR, received_at TIMESTAMP, client VARCHAR, service VARCHAR,
    card VARCHAR, outcome VARCHAR, reason VARCHAR, seconds DOUBLE);
CREATE TABLE outcomes (sequence BIGINT, decision VARCHAR, client VARCHAR, kind VARCHAR, subject VARCHAR, value VARCHAR);
CREATE TABLE mark (sequence BIGINT, hash BLOB, removed BIGINT, key BLOB);
"""
"""`facts` has by kind: input (value), age (days), missing (reason), prefetch (state), silence (subject, reason), card
(uuid and a rule on it), score (model@version, probability), group (race and ethnicity). `mark` says up to which link of
the record's chain they were read, the newest removal from it then, and the key of the numbers of patients."""
_OF_DECISION: Final = [
    decisions.c[name]
    for name in ("sequence", "id", "decided_at", "client", "service", "outcome", "patient", "user_id", "hook_instance",
                 "response", "basis")
]  # fmt: skip


Fact = tuple[str, str, str | None, float | None]
"""Kind, name, text and value."""


class RecordRows:
    """The rows of one record; `connection` answers SQL about them."""

    def __init__(self, url: str, file: Path | None) -> None:
        """Open the file, which is made where it is not there; None: in memory.

        Raises:
            RecordUnavailable: The file cannot be used.
        """
        self._url = url
        try:
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
            self.connection = duckdb.connect(str(file) if file is not None else ":memory:")
            if file is not None:
                file.chmod(0o600)
        except (duckdb.Error, OSError) as error:
            raise RecordUnavailable(f"the rows for monitoring in {file} cannot be used: {error}") from error

    def read(self, progress: Callable[[int], None] = lambda _: None) -> None:
        """Read what came to the record since the last time; all of it where it lost rows that were read.

        Raises:
            RecordUnavailable: The record cannot be read.
        """
        if not self._is_as_read():
            for (table,) in self.connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
                self.connection.execute(f'DROP TABLE "{table}"')
            self.connection.execute(TABLES)
            mark = (0, b"", self._newest_removal(), token_bytes(32))
            self.connection.execute("INSERT INTO mark VALUES (?, ?, ?, ?)", mark)
        ((after, key),) = self.connection.execute("SELECT sequence, key FROM mark").fetchall()
        newest = newest_number(self._url)
        while after < newest:
            upto = min(after + _AT_ONCE, newest)
            rows = self._rows(after, upto, key)
            ((link,),) = read_rows(self._url, select(chain.c.hash).where(chain.c.sequence == upto))
            # together, so that a run which is ended between them leaves nothing that the next one adds again
            self.connection.begin()
            for table, of_table in rows.items():
                self._insert(table, of_table)
            self.connection.execute("UPDATE mark SET sequence = ?, hash = ?", (upto, link))
            self.connection.commit()
            after = upto
            progress(after)

    def _is_as_read(self) -> bool:
        """Whether the record is the one that was read, and nothing was taken out of it since."""
        if not self.connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'mark'").fetchone():
            return False
        ((sequence, link, removed),) = self.connection.execute("SELECT sequence, hash, removed FROM mark").fetchall()
        return bool(removed == self._newest_removal() and has_link(self._url, sequence, link))

    def _newest_removal(self) -> int:
        return int(read_rows(self._url, select(func.max(removals.c.sequence)))[0][0] or 0)

    def _rows(self, after: int, upto: int, key: bytes) -> dict[str, list[tuple[Any, ...]]]:
        """Return by table what is known of the record's rows between two numbers."""
        decided, answered, came = (
            read_rows(self._url, query.where(number > after, number <= upto).order_by(number))
            for number, query in (
                (decisions.c.sequence, select(*_OF_DECISION)),
                (feedback.c.sequence, select(feedback)),
                (outcomes.c.sequence, select(outcomes)),
            )
        )
        of_decisions = [_rows_of(row, key) for row in decided if not is_trial(row.client)]
        return {
            "calls": [call for call, _ in of_decisions],
            "facts": [(call[0], *fact) for call, facts in of_decisions for fact in facts],
            "answers": [
                (row.sequence, row.decision, _time(row.received_at), row.client, row.service, row.card, row.outcome,
                 row.override_reason_code, seconds_under_way(row.outcome_timestamp, row.received_at))
                for row in answered if not is_trial(row.client)
            ],
            "outcomes": [(row.sequence, row.decision, row.client, row.kind, row.subject, row.value) for row in came],
        }  # fmt: skip

    def _insert(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if not rows:
            return
        columns = [column for (column, *_) in self.connection.execute(f"DESCRIBE {table}").fetchall()]
        arrays = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
        self.connection.register("new_rows", pyarrow.table(arrays))
        self.connection.execute(f"INSERT INTO {table} SELECT * FROM new_rows")  # noqa: S608 - one of our tables
        self.connection.unregister("new_rows")


def _number_of(name: str | None, key: bytes) -> int | None:
    """Return a whole number of 64 bits for a name; None for none."""
    return int.from_bytes(blake2b(name.encode(), key=key, digest_size=8).digest(), signed=True) if name else None


def _rows_of(row: Any, key: bytes) -> tuple[tuple[Any, ...], list[Fact]]:
    """Return the row of a call, and what is known of it; a basis that cannot be read leaves the call alone."""
    try:
        basis = read_basis(row.basis)
        cards = {card.uuid: card.rules for card in read_response(row.response).cards}
        facts, is_counted = list(_facts(basis, cards)), True
    except (msgspec.DecodeError, msgspec.ValidationError):
        basis, cards, facts, is_counted = DecisionBasis(), {}, [], False
    patient, person, hook = (_number_of(name, key) for name in (row.patient, row.user_id, row.hook_instance))
    site = basis.units[0] if basis.units else ""
    call = (row.sequence, row.id, _time(row.decided_at), row.client, row.service, site, row.outcome, len(cards),
            patient, person, hook, is_counted)  # fmt: skip
    return call, facts


def _facts(basis: DecisionBasis, cards: dict[str, set[str]]) -> Iterable[Fact]:
    as_of = basis.as_of
    for name, (value, effective, _) in basis.features.items():
        yield "input", name, None, value
        at = _instant(effective)
        if as_of is not None and at is not None:
            yield "age", name, None, max(0.0, (as_of - at).total_seconds() / _DAY_SECONDS)
    yield from (("missing", name, reason, None) for name, reason in basis.missing.items())
    for key, state in basis.prefetch.items():
        yield "prefetch", key, state["state"] if isinstance(state, dict) else state, None
    yield from (("group", group, None, None) for group in basis.groups)
    yield from (("silence", subject, reason, None) for subject, reason in {(s, r) for s, r, _ in basis.silence})
    yield from (("card", uuid, rule, None) for uuid, rules in cards.items() for rule in rules or ("",))
    for scores in each_scores(basis.scores):
        score = scores.get("probability", scores.get("value"))
        if isinstance(score, int | float):
            kind = "score" if "probability" in scores else "equation"
            yield kind, f"{scores.get('id', 'score')}@{scores.get('version', '')}", None, float(score)


def seconds_under_way(given: str, received: int) -> float | None:
    """Seconds from the instant that a client names to `received` (microseconds since 1970); None where it names none.

    A text without a time and its zone names no instant.
    """
    if "T" not in given:
        return None
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        return None
    return received / 1e6 - at.timestamp() if at.tzinfo is not None else None


def _time(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).replace(tzinfo=None)


def _instant(text: str | None) -> datetime | None:
    """Return the instant of an ISO 8601 text; of a day its beginning in UTC, None for a part of a date or no date."""
    try:
        instant = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return instant.replace(tzinfo=UTC) if instant is not None and instant.tzinfo is None else instant
