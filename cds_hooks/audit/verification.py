"""Verifies the record: by its hash chains alone, and against its seals, where there are any.

The chains show what was rewritten or taken out. Rows cut off the end of a chain leave no trace in the record itself:
compare its `ends` with those of an earlier run, or the record with its seals, which also show what was rewritten with
new hashes, or put in afterwards.

It only reads, so a role with nothing but SELECT, or an SQLite file that is write-protected, is enough.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import Table, Text, select, type_coerce

from cds_hooks.audit.retention import Span, digest_of_spans, removed_spans, retention_runs
from cds_hooks.audit.seals import End, Seal
from cds_hooks.storage.chain import NO_ROW_BEFORE, faults_of_charts, stored_rows, wrong_content
from cds_hooks.storage.entries import NO_ENTRY_BEFORE, event_hash, feedback_hash, outcome_hash
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import decisions, events, feedback, outcomes
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
    ends: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Of each chain of decisions the position and the hash (hexadecimal) of its newest row."""
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
        walk = _Walk(seals, lambda seal: seal.decisions, report, gaps, _hashes_that_chains_follow(url) - gaps.hashes())
        report.decisions, report.unsealed = walk.go(_decisions(url), on_progress)
        report.removed, report.ends = walk.removed, walk.ends
        for fault in faults_of_charts(url):
            report.say(fault)
    for table, digest_of, dated in _ENTRIES:
        with _read_to_the_end(table.name, report):
            walk = _Walk(seals, partial(_end_of, table.name), report, gaps, None)
            rows, unsealed = walk.go(_entries(url, table, digest_of, dated))
            setattr(report, table.name, rows + walk.removed)
            setattr(report, f"unsealed_{table.name}", unsealed)
    return report


def _end_of(table: str, seal: Seal) -> dict[str, End]:
    return {table: getattr(seal, table)}


@contextmanager
def _read_to_the_end(table: str, report: Audit) -> Iterator[None]:
    """Whoever owns the database can put in anything, also what no reader expects: that is a finding, and no crash."""
    try:
        yield
    except (TypeError, ValueError, AttributeError, msgspec.MsgspecError):
        report.say(f"a row of {table} holds what no server writes there, and the rows after it were not compared")


class _Gaps:
    """The spans of rows that were taken out; a finding for each run that no signed entry of the record has."""

    def __init__(self, url: str, keys: Keys | None, report: Audit) -> None:
        self._spans: dict[tuple[str, int], tuple[Span, str]] = {}
        # Without a key nobody can say who signed an entry; a removal that no entry names is refused all the same.
        signed = retention_runs(url, keys)
        for name, spans in removed_spans(url).items():
            run = signed.get(name)
            if run is None or run.spans != digest_of_spans(spans):
                report.say(f"rows were taken out as {name}, which no signed entry of the record says")
            self._spans |= {(span.chain, span.first): (span, name) for span in spans}

    def pop(self, chain: str, position: int) -> tuple[Span, str] | None:
        """Return the span that begins there, and the name of its retention run."""
        return self._spans.pop((chain, position), None)

    def hashes(self) -> set[bytes]:
        """Return the hashes of the last rows of the spans."""
        return {bytes.fromhex(span.hash) for span, _ in self._spans.values()}

    def chains(self) -> set[str]:
        """Return the chains of decisions in which there are spans yet."""
        return {chain for chain, _ in self._spans} - {feedback.name, outcomes.name}


@dataclass(frozen=True, slots=True)
class _Row:
    """One row as it is compared."""

    chain: str
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
        words = f"decision {row.id}, row {row.position} of chain {row.chain},"
        fault = wrong_content(row)
        yield _Row(row.chain, row.position, row.previous, row.hash, row.decided_at, words, fault)


def _entries(url: str, table: Table, digest_of: Any, dated: str) -> Iterator[_Row]:
    for row in _stored_entries(url, table):
        previous, digest, position = bytes(row["previous"]), bytes(row["hash"]), row["position"]
        fault = None if digest_of(previous, position, row) == digest else "its content was changed"
        yield _Row(table.name, position, previous, digest, row[dated], f"row {position} of {table.name}", fault)


class _Walk:
    """Goes through the rows of one table, of one or more chains: each chain's end so far, and what seals still expect.

    `awaited` are the hashes after which chains began and whose rows have not been met yet; None for a table of one
    chain, which begins after no row.
    """

    def __init__(
        self,
        seals: Sequence[Seal],
        ends_of: Callable[[Seal], Mapping[str, End]],
        report: Audit,
        gaps: _Gaps,
        awaited: set[bytes] | None,
    ) -> None:
        sealed = [(chain, end, seal) for seal in seals for chain, end in ends_of(seal).items() if end[0]]
        self._expected = {(chain, end[0]): (end[1], seal) for chain, end, seal in reversed(sealed)}
        self._sealed_to = {chain: end[0] for chain, end, _ in sealed}
        self._newest_seal = max((seal.time for seal in seals), default=None)
        self._report, self._gaps, self._awaited = report, gaps, awaited
        self._ends: dict[str, tuple[int, bytes]] = {}
        self.removed = 0
        """Rows that retention runs took out."""

    @property
    def ends(self) -> dict[str, tuple[int, str]]:
        """Of each chain the position and the hash (hexadecimal) of its newest row."""
        return {chain: (position, digest.hex()) for chain, (position, digest) in self._ends.items()}

    def go(self, rows: Iterable[_Row], on_progress: Callable[[int], None] | None = None) -> tuple[int, int]:
        """Compare every row; how many there are, and how many came after the newest seal."""
        # a row can be dated before a seal and committed after it: by no more than a call takes
        before = int((self._newest_seal - _LATE).timestamp() * 1e6) if self._newest_seal else 0
        count = unsealed = 0
        for row in rows:
            self._look(row)
            count += 1
            if row.position > self._sealed_to.get(row.chain, 0):
                unsealed += 1
                if row.dated < before:
                    self._report.say(
                        f"{row.words} is dated before the newest seal and in none: it was put in afterwards"
                    )
            if on_progress is not None and count % 500 == 0:
                on_progress(count)
        for chain in self._chains():
            self._skip_removed(chain, None)
        for (chain, position), (_, seal) in self._expected.items():
            self._report.say(f"row {position} of {self._called(chain)}, in {_words(seal)}, is missing")
        return count, unsealed

    def _chains(self) -> set[str]:
        return set(self._ends) | (self._gaps.chains() if self._awaited is not None else set(self._sealed_to))

    def _called(self, chain: str) -> str:
        return f"chain {chain}" if self._awaited is not None else chain

    def _look(self, row: _Row) -> None:
        position, digest = self._skip_removed(row.chain, row.position)
        if row.position != position + 1:
            self._report.say(
                f"row {position + 1} of {self._called(row.chain)} is missing before {row.words.strip(',')}"
            )
        elif position and row.previous != digest:
            self._report.say(f"{row.words} does not follow the row before it")
        elif not position and self._follows_a_missing_row(row):
            self._report.say(f"{row.words} begins its chain after a row that is missing")
        if self._awaited is not None:
            self._awaited.discard(row.hash)
        if row.fault is not None:
            self._report.say(f"{row.words} is not as it was written: {row.fault}")
        self._compare(row.chain, row.position, row.hash.hex(), row.words)
        self._ends[row.chain] = (row.position, row.hash)

    def _follows_a_missing_row(self, row: _Row) -> bool:
        return row.previous != NO_ENTRY_BEFORE if self._awaited is None else row.previous in self._awaited

    def _compare(self, chain: str, position: int, digest: str, words: str) -> None:
        expected = self._expected.pop((chain, position), None)
        if expected is not None and expected[0] != digest:
            self._report.say(f"{words} or one before it was rewritten after {_words(expected[1])}")

    def _skip_removed(self, chain: str, upto: int | None) -> tuple[int, bytes]:
        """Return the chain's end, past the rows that were taken out and, before `upto`, are not in the table."""
        end = self._ends.get(chain, (0, b""))
        while end[0] + 1 != upto and (gap := self._gaps.pop(chain, end[0] + 1)) is not None:
            span, name = gap
            if end[0] and span.previous != end[1].hex():
                self._report.say(f"what {name} took out does not follow row {end[0]} of {self._called(chain)}")
            self.removed += span.last - span.first + 1
            for position in range(span.first, span.last):
                self._expected.pop((chain, position), None)  # only the last row's hash is known yet
            words = f"row {span.last} of {self._called(chain)}, taken out as {name},"
            self._compare(chain, span.last, span.hash, words)
            end = self._ends[chain] = (span.last, bytes.fromhex(span.hash))
        return end


def _words(seal: Seal) -> str:
    return f"seal {seal.number} of {seal.at}"


def _hashes_that_chains_follow(url: str) -> set[bytes]:
    rows = read_rows(url, select(decisions.c.previous).where(decisions.c.position == 1))
    return {bytes(row.previous) for row in rows} - {NO_ROW_BEFORE}


_ENTRIES: Final = (
    (feedback, feedback_hash, "received_at"),
    (outcomes, outcome_hash, "received_at"),
    (events, event_hash, "at"),
)
"""The tables of one chain, how their rows are hashed, and the column with the time of a row."""


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
