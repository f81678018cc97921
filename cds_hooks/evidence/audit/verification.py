"""Verifies the record: by its hash chain alone, and against its seals, where there are any.

The chain shows what was rewritten or taken out. Rows that were cut off its end with their links leave no trace in the
record itself: compare its `newest` with that of an earlier run, or the record with its seals, which also show what was
rewritten with new hashes, or put in afterwards.

It only reads, so a role with nothing but SELECT, or an SQLite file that is write-protected, is enough.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import select

from cds_hooks.evidence.audit.retention import Removed
from cds_hooks.evidence.audit.seals import Seal
from cds_hooks.evidence.storage.chain import NOTHING_BEFORE, link_hash, row_digest
from cds_hooks.evidence.storage.database import NOT_UTF_8
from cds_hooks.evidence.storage.decision import RecordUnavailable, chart_hash
from cds_hooks.evidence.storage.queries import read_rows
from cds_hooks.evidence.storage.tables import CHAINED, chain, charts, decisions, plain_table
from models_onnx.artifact.keys import Keys

_MOST_FINDINGS: Final = 50
_LATE: Final = timedelta(minutes=2)
# short reads: a long one would keep SQLite's write-ahead log from being reset
_ROWS_AT_ONCE: Final = 500
_PLAIN: Final = {table.name: plain_table(table) for table in CHAINED}
_DATED: Final = {"decisions": "decided_at", "feedback": "received_at", "outcomes": "received_at", "events": "at"}
_FIRST: Final = -(2**63)
"""The lowest number that a row can have: a server begins with 1."""


@dataclass
class Audit:
    """What a comparison found: nothing in `findings` means that the record is as it was sealed."""

    seals: int
    decisions: int = 0
    feedback: int = 0
    events: int = 0
    outcomes: int = 0
    unsealed: int = 0
    """Rows that came after the newest seal."""
    removed: int = 0
    """Decisions that retention runs took out."""
    newest: tuple[int, str] = (0, "")
    """Number and hash (hexadecimal) of the newest link."""
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
    """Recomputes all hashes and compares them with the rows and with every seal.

    What a retention run took out is as it was sealed where an entry signed by one of `keys` says so. With neither
    seals nor keys what `removals` says is believed.

    Raises:
        RecordUnavailable: The record cannot be read.
    """
    report = Audit(len(seals))
    removed = Removed()
    for table, read in (("events", removed.read_runs), ("removals", removed.read_numbers)):
        with _read_to_the_end(table, report):
            read(url, {} if seals and keys is None else keys)
    with _read_to_the_end("chain", report):
        _Walk(url, seals, report, removed).go(on_progress)
    for name in removed.not_signed():
        report.say(f"rows were taken out as {name}, which no signed entry of the record says")
    with _read_to_the_end("charts", report):
        for fault in _faults_of_charts(url):
            report.say(fault)
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


class _Walk:
    """Goes through the chain, and through the rows beside it: its end so far, and what seals still expect."""

    def __init__(self, url: str, seals: Sequence[Seal], report: Audit, removed: Removed) -> None:
        self._url, self._report, self._removed = url, report, removed
        self._expected = {seal.row: seal for seal in reversed(seals)}
        self._sealed_to = max(self._expected, default=0)
        newest = max((seal.time for seal in seals), default=None)
        # a row can be dated before a seal and committed after it: by no more than a call takes
        self._dated_before = int((newest - _LATE).timestamp() * 1e6) if newest else 0
        self._number, self._hash = 0, NOTHING_BEFORE
        self._counts = Counter[str]()

    def go(self, on_progress: Callable[[int], None] | None) -> None:
        """Compare every link and every row."""
        query, after = select(chain).order_by(chain.c.sequence).limit(_ROWS_AT_ONCE), _FIRST
        while links := read_rows(self._url, query.where(chain.c.sequence > after)):
            rows = self._rows(after, links[-1].sequence, len(links))
            for link in links:
                self._follow(link)
                self._compare(link, rows)
            self._say_unlinked(rows)
            after = links[-1].sequence
            if on_progress is not None and len(links) == _ROWS_AT_ONCE:
                on_progress(self._counts["decisions"])
        self._say_unlinked(self._rows(after, None, 0))
        for number, seal in self._expected.items():
            self._report.say(f"row {number}, in {_words(seal)}, is missing")
        for name, count in self._counts.items():
            setattr(self._report, name, count)
        self._report.newest = self._number, self._hash.hex() if self._number else ""

    def _rows(self, after: int, upto: int | None, links: int) -> "dict[str, dict[int, Any] | None]":
        """Return by table the rows after a number, by number; None for a table with a row that cannot be read."""
        rows = dict[str, dict[int, Any] | None]()
        for name, table in _PLAIN.items():
            number, rows[name] = table.c.sequence, None
            # more than links, so that rows without one are seen, and no more than findings, however many there are
            query = select(table).where(number > after).order_by(number).limit(links + _MOST_FINDINGS)
            with _read_to_the_end(name, self._report):
                read = read_rows(self._url, query if upto is None else query.where(number <= upto))
                rows[name] = {row.sequence: row for row in read}
        return rows

    def _follow(self, link: Any) -> None:
        """Compare a link with the one before it and with the seals."""
        number, digest = link.sequence, bytes(link.hash)
        if number != self._number + 1:
            self._report.say(f"row {self._number + 1} of the chain is missing before row {number}")
        elif digest != link_hash(self._hash, link.of_table, bytes(link.digest)):
            self._report.say(f"row {number} of the chain does not follow the row before it")
        seal = self._expected.pop(number, None)
        if seal is not None and seal.hash != digest.hex():
            self._report.say(f"row {number} or one before it was rewritten after {_words(seal)}")
        self._number, self._hash = number, digest

    def _compare(self, link: Any, rows: "dict[str, dict[int, Any] | None]") -> None:
        """Compare a row with its link."""
        table, number = link.of_table, link.sequence
        is_removed = self._removed.has(number, bytes(link.digest))
        self._report.unsealed += number > self._sealed_to
        of_table = rows.get(table, {})
        if of_table is None:
            return
        row = of_table.pop(number, None)
        if row is None:
            if not is_removed:
                self._report.say(f"row {number} of {table} is missing")
            self._report.removed += is_removed and table == decisions.name
            return
        self._counts[table] += 1
        words = (
            f"decision {row.id}, row {number} of decisions," if table == decisions.name else f"row {number} of {table}"
        )
        if row_digest(table, row) != bytes(link.digest):
            self._report.say(f"{words} is not as it was written: its content was changed")
        if number > self._sealed_to and row._mapping[_DATED[table]] < self._dated_before:
            self._report.say(f"{words} is dated before the newest seal and in none: it was put in afterwards")

    def _say_unlinked(self, rows: "dict[str, dict[int, Any] | None]") -> None:
        for table, left in rows.items():
            for number in left or ():
                self._report.say(f"row {number} of {table} is not in the chain: no server wrote it")


def _words(seal: Seal) -> str:
    return f"seal {seal.number} of {seal.at}"


def _faults_of_charts(url: str) -> Iterator[str]:
    """Yield a sentence for each chart that is not as it was written, and for each decision that lacks its own."""
    plain = plain_table(charts)
    is_there = select(charts.c.sequence).where(charts.c.hash == decisions.c.chart).exists()
    for row in read_rows(url, select(decisions.c.id).where(decisions.c.chart.is_not(None), ~is_there)):
        yield f"the chart of decision {row.id} is missing"
    query, last = select(plain).order_by(plain.c.sequence).limit(_ROWS_AT_ONCE), 0
    while rows := read_rows(url, query.where(plain.c.sequence > last)):
        for row in rows:
            if chart_hash(row.content) != bytes(row.hash):
                yield f"chart {bytes(row.hash).hex()} is not as it was written"
        last = rows[-1].sequence
