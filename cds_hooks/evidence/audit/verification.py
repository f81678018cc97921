"""Verifies the record: by its hash chains alone, one for each table, and against its seals, where there are any.

The chains show what was rewritten or taken out. Rows cut off the end of a chain leave no trace in the record itself:
compare its `newest` with that of an earlier run, or the record with its seals, which also show what was rewritten with
new hashes, or put in afterwards.

It only reads, so a role with nothing but SELECT, or an SQLite file that is write-protected, is enough.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Table, Text, select, type_coerce

from cds_hooks.evidence.audit.retention import RetentionRun, Span, digest_of_spans, removed_spans, retention_runs
from cds_hooks.evidence.audit.seals import End, Seal
from cds_hooks.evidence.storage.chain import faults_of_charts, stored_rows, wrong_content
from cds_hooks.evidence.storage.database import NOT_UTF_8
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.entries import NO_ENTRY_BEFORE, event_hash, feedback_hash, outcome_hash
from cds_hooks.evidence.storage.queries import read_rows
from cds_hooks.evidence.storage.tables import events, feedback, outcomes
from models_onnx.artifact.keys import Keys

_MOST_FINDINGS: Final = 50
_LATE: Final = timedelta(minutes=2)


@dataclass
class Audit:
    """What a comparison found: nothing in `findings` means that the record is as it was sealed."""

    seals: int
    decisions: int = 0
    feedback: int = 0
    events: int = 0
    outcomes: int = 0
    unsealed: int = 0
    """Decisions that came after the newest seal."""
    unsealed_feedback: int = 0
    unsealed_events: int = 0
    unsealed_outcomes: int = 0
    removed: int = 0
    """Decisions that retention runs took out."""
    newest: End = (0, "")
    """Position and hash (hexadecimal) of the newest decision."""
    findings: list[str] = field(default_factory=list)

    def say(self, sentence: str) -> None:
        """Add a finding; of very many only the first are kept."""
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(sentence)


def audit(
    url: str,
    seals: Sequence[Seal] = (),
    on_progress: Callable[[int], None] | None = None,
    keys: Keys | None = None,
) -> Audit:
    """Recomputes all hashes and compares them with the rows before and with every seal.

    What a retention run took out is as it was sealed where an entry signed by one of `keys` says so. With neither
    seals nor keys what `removals` says is believed.

    Raises:
        RecordUnavailable: The record cannot be read.
    """
    report = Audit(len(seals))
    gaps = _Gaps(url, {} if seals and keys is None else keys, report)
    with _read_to_the_end("decisions", report):
        walk = _Walk("decisions", seals, report, gaps)
        report.decisions, report.unsealed = walk.go(_decisions(url), on_progress)
        report.removed, report.newest = walk.removed, walk.end
    with _read_to_the_end("charts", report):
        for fault in faults_of_charts(url):
            report.say(fault)
    for table, digest_of, dated in _ENTRIES:
        with _read_to_the_end(table.name, report):
            walk = _Walk(table.name, seals, report, gaps)
            rows, unsealed = walk.go(_entries(url, table, digest_of, dated))
            setattr(report, table.name, rows + walk.removed)
            setattr(report, f"unsealed_{table.name}", unsealed)
    return report


@contextmanager
def _read_to_the_end(table: str, report: Audit) -> Iterator[None]:
    """Whoever owns the database can put in anything, also what no reader expects: that is a finding, and no crash."""
    try:
        yield
    except (TypeError, ValueError, AttributeError, msgspec.MsgspecError, RecordUnavailable) as error:
        if isinstance(error, RecordUnavailable) and NOT_UTF_8 not in str(error):
            raise
        report.say(f"a row of {table} holds what no server writes there: not all of its rows were compared")


class _Gaps:
    """The spans of rows that were taken out; a finding for each run that no signed entry of the record has."""

    def __init__(self, url: str, keys: Keys | None, report: Audit) -> None:
        self._spans: dict[tuple[str, int], tuple[Span, str]] = {}
        # Without a key nobody can say who signed an entry; a removal that no entry names is refused all the same.
        signed, removed = dict[str, RetentionRun](), dict[str, list[Span]]()
        with _read_to_the_end("events", report):
            signed = retention_runs(url, keys)
        with _read_to_the_end("removals", report):
            removed = removed_spans(url)
        for name, spans in removed.items():
            run = signed.get(name)
            if run is None or run.spans != digest_of_spans(spans):
                report.say(f"rows were taken out as {name}, which no signed entry of the record says")
            self._spans |= {(span.table, span.first): (span, name) for span in spans}

    def pop(self, table: str, position: int) -> tuple[Span, str] | None:
        """Return the span that begins there, and the name of its retention run."""
        return self._spans.pop((table, position), None)


@dataclass(frozen=True, slots=True)
class _Row:
    """One row as it is compared."""

    position: int
    previous: bytes
    hash: bytes
    dated: int
    """Microseconds since 1970."""
    words: str
    """What the row is called in a finding."""
    fault: str | None
    """Why its hash is not that of its content; None where it is."""


def _decisions(url: str) -> Iterator[_Row]:
    for row in stored_rows(url):
        words = f"decision {row.id}, row {row.position} of decisions,"
        fault = wrong_content(row)
        yield _Row(row.position, row.previous, row.hash, row.decided_at, words, fault)


def _entries(url: str, table: Table, digest_of: Any, dated: str) -> Iterator[_Row]:
    for row in _stored_entries(url, table):
        previous, digest, position = bytes(row["previous"]), bytes(row["hash"]), row["position"]
        fault = None if digest_of(previous, position, row) == digest else "its content was changed"
        yield _Row(position, previous, digest, row[dated], f"row {position} of {table.name}", fault)


class _Walk:
    """Goes through the rows of one table: its end so far, and what seals still expect."""

    def __init__(self, table: str, seals: Sequence[Seal], report: Audit, gaps: _Gaps) -> None:
        sealed = [(getattr(seal, table), seal) for seal in seals]
        self._expected = {end[0]: (end[1], seal) for end, seal in reversed(sealed) if end[0]}
        self._sealed_to = max(self._expected, default=0)
        self._newest_seal = max((seal.time for seal in seals), default=None)
        self._table, self._report, self._gaps = table, report, gaps
        self._position, self._hash = 0, NO_ENTRY_BEFORE
        self.removed = 0
        """Rows that retention runs took out."""

    @property
    def end(self) -> End:
        """Position and hash (hexadecimal) of the newest row."""
        return self._position, self._hash.hex() if self._position else ""

    def go(self, rows: Iterable[_Row], on_progress: Callable[[int], None] | None = None) -> tuple[int, int]:
        """Compare every row; how many there are, and how many came after the newest seal."""
        # a row can be dated before a seal and committed after it: by no more than a call takes
        before = int((self._newest_seal - _LATE).timestamp() * 1e6) if self._newest_seal else 0
        count = unsealed = 0
        for row in rows:
            self._look(row)
            count += 1
            if row.position > self._sealed_to:
                unsealed += 1
                if row.dated < before:
                    self._report.say(
                        f"{row.words} is dated before the newest seal and in none: it was put in afterwards"
                    )
            if on_progress is not None and count % 500 == 0:
                on_progress(count)
        self._skip_removed(None)
        for position, (_, seal) in self._expected.items():
            self._report.say(f"row {position} of {self._table}, in {_words(seal)}, is missing")
        return count, unsealed

    def _look(self, row: _Row) -> None:
        self._skip_removed(row.position)
        if row.position != self._position + 1:
            self._report.say(f"row {self._position + 1} of {self._table} is missing before {row.words.strip(',')}")
        elif row.previous != self._hash:
            self._report.say(f"{row.words} does not follow the row before it")
        if row.fault is not None:
            self._report.say(f"{row.words} is not as it was written: {row.fault}")
        self._compare(row.position, row.hash.hex(), row.words)
        self._position, self._hash = row.position, row.hash

    def _compare(self, position: int, digest: str, words: str) -> None:
        expected = self._expected.pop(position, None)
        if expected is not None and expected[0] != digest:
            self._report.say(f"{words} or one before it was rewritten after {_words(expected[1])}")

    def _skip_removed(self, upto: int | None) -> None:
        """Goes past the rows that were taken out and, before `upto`, are not in the table."""
        while self._position + 1 != upto and (gap := self._gaps.pop(self._table, self._position + 1)) is not None:
            span, name = gap
            if span.previous != self._hash.hex():
                self._report.say(f"what {name} took out does not follow row {self._position} of {self._table}")
            self.removed += span.last - span.first + 1
            for position in range(span.first, span.last):
                self._expected.pop(position, None)  # only the last row's hash is known yet
            self._compare(span.last, span.hash, f"row {span.last} of {self._table}, taken out as {name},")
            self._position, self._hash = span.last, bytes.fromhex(span.hash)


def _words(seal: Seal) -> str:
    return f"seal {seal.number} of {seal.at}"


_ENTRIES: Final = (
    (feedback, feedback_hash, "received_at"),
    (outcomes, outcome_hash, "received_at"),
    (events, event_hash, "at"),
)
"""The other tables, how their rows are hashed, and the column with the time of a row."""


def _stored_entries(url: str, table: Table) -> Iterator[Any]:
    # as stored: whoever verifies needs no key
    columns = [
        type_coerce(column, Text).label(column.name) if column.name == "user_comment" else column
        for column in table.columns
    ]
    query = select(*columns).order_by(table.c.sequence).limit(500)
    last = 0
    while rows := read_rows(url, query.where(table.c.sequence > last)):
        for row in rows:
            yield row._mapping
        last = rows[-1].sequence
