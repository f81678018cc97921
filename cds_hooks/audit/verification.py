"""Verifies the record: by its hash chains alone, and against its seals, where there are any.

The chains show what was rewritten or taken out. Rows cut off the end of a chain leave no trace in the record itself:
compare its `ends` with those of an earlier run, or the record with its seals, which also show what was rewritten with
new hashes, or put in afterwards.

It only reads, so a role with nothing but SELECT, or an SQLite file that is write-protected, is enough.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Table, Text, select, type_coerce

from cds_hooks.audit.retention import Span, digest_of_spans, removed_spans, retention_runs
from cds_hooks.audit.seals import End, Seal
from cds_hooks.storage.chain import NO_ROW_BEFORE, stored_rows, wrong_content
from cds_hooks.storage.entries import NO_ENTRY_BEFORE, event_hash, feedback_hash, outcome_hash
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import decisions, events, feedback, outcomes
from models_onnx.artifact.keys import Keys

_MOST_FINDINGS: Final = 50
_LATE: Final = timedelta(minutes=2)
"""A row can be dated before a seal and committed after it: by no more than a call takes."""


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
        """Adds a finding; of very many only the first are kept."""
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
        _Decisions(url, seals, report, gaps).walk(on_progress)
    with _read_to_the_end(feedback.name, report):
        _Entries(url, feedback, feedback_hash, "received_at", seals, report, gaps).walk()
    with _read_to_the_end(outcomes.name, report):
        _Entries(url, outcomes, outcome_hash, "received_at", seals, report, gaps).walk()
    with _read_to_the_end(events.name, report):
        _Entries(url, events, event_hash, "at", seals, report, gaps).walk()
    return report


@contextmanager
def _read_to_the_end(table: str, report: Audit) -> Iterator[None]:
    """Whoever owns the database can put in anything, also what no reader expects: that is a finding, and no crash."""
    try:
        yield
    except (TypeError, ValueError, AttributeError, msgspec.MsgspecError):
        report.say(f"a row of {table} holds what no server writes there, and the rows after it were not compared")


def _dated_back_before(seals: Sequence[Seal]) -> int:
    """Epoch microseconds before which no row can be dated that is in no seal."""
    latest = max((seal.time for seal in seals), default=None)
    return int((latest - _LATE).timestamp() * 1e6) if latest else 0


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
        """Returns the span that begins there, and the name of its retention run."""
        return self._spans.pop((chain, position), None)

    def hashes(self) -> set[bytes]:
        """Returns the hashes of the last rows of the spans."""
        return {bytes.fromhex(span.hash) for span, _ in self._spans.values()}

    def chains(self) -> set[str]:
        """Returns the chains of decisions in which there are spans yet."""
        return {chain for chain, _ in self._spans} - {feedback.name, outcomes.name}


class _Decisions:
    """The walk over decisions: each chain's end so far, and what the seals still expect."""

    def __init__(self, url: str, seals: Sequence[Seal], report: Audit, gaps: _Gaps) -> None:
        self._url = url
        self._found = report
        self._gaps = gaps
        self._ends: dict[str, tuple[int, bytes]] = {}
        self._sealed_to = {chain: end[0] for seal in seals for chain, end in seal.decisions.items()}
        self._expected = {
            (chain, end[0]): (end[1], seal) for seal in reversed(seals) for chain, end in seal.decisions.items()
        }
        self._unsealed_before = _dated_back_before(seals)
        self._awaited = _hashes_that_chains_follow(url) - gaps.hashes()
        """The hashes after which chains began, and whose rows have not been met yet."""

    def walk(self, on_progress: Callable[[int], None] | None) -> None:
        for row in stored_rows(self._url):
            self._look(row)
            self._found.decisions += 1
            if on_progress is not None and self._found.decisions % 500 == 0:
                on_progress(self._found.decisions)
        for chain in self._gaps.chains() | set(self._ends):
            self._skip_removed(chain, None)
        self._found.ends = {chain: (position, digest.hex()) for chain, (position, digest) in self._ends.items()}
        for (chain, position), (_, seal) in self._expected.items():
            self._found.say(f"row {position} of chain {chain}, in seal {seal.number} of {seal.at}, is missing")

    def _look(self, row: Any) -> None:
        row_name = f"decision {row.id}, row {row.position} of chain {row.chain},"
        end = self._skip_removed(row.chain, row.position)
        if row.position != end[0] + 1:
            self._found.say(f"row {end[0] + 1} of chain {row.chain} is missing before {row_name[:-1]}")
        elif end[0] and row.previous != end[1]:
            self._found.say(f"{row_name} does not follow the row before it")
        elif not end[0] and row.previous in self._awaited:
            self._found.say(f"{row_name} begins its chain after a row that is missing")
        self._awaited.discard(row.hash)
        if (wrong := wrong_content(row)) is not None:
            self._found.say(f"{row_name} is not as it was written: {wrong}")
        self._compare(row.chain, row.position, row.hash.hex(), row_name)
        if row.position > self._sealed_to.get(row.chain, 0):
            self._found.unsealed += 1
            if row.decided_at < self._unsealed_before:
                self._found.say(f"{row_name} is dated before the newest seal and in none: it was put in afterwards")
        self._ends[row.chain] = (row.position, row.hash)

    def _compare(self, chain: str, position: int, digest: str, row_name: str) -> None:
        expected = self._expected.pop((chain, position), None)
        if expected is not None and expected[0] != digest:
            seal = expected[1]
            self._found.say(f"{row_name} or one before it was rewritten after seal {seal.number} of {seal.at}")

    def _skip_removed(self, chain: str, upto: int | None) -> tuple[int, bytes]:
        """Returns the chain's end, past the rows that were taken out and, before `upto`, are not in the table."""
        end = self._ends.get(chain, (0, b""))
        while end[0] + 1 != upto and (gap := self._gaps.pop(chain, end[0] + 1)) is not None:
            span, name = gap
            if end[0] and span.previous != end[1].hex():
                self._found.say(f"what {name} took out does not follow row {end[0]} of chain {chain}")
            self._found.removed += span.last - span.first + 1
            for position in range(span.first, span.last):
                self._expected.pop((chain, position), None)  # only the last row's hash is known yet
            self._compare(chain, span.last, span.hash, f"row {span.last} of chain {chain}, taken out as {name},")
            end = self._ends[chain] = (span.last, bytes.fromhex(span.hash))
        return end


def _hashes_that_chains_follow(url: str) -> set[bytes]:
    rows = read_rows(url, select(decisions.c.previous).where(decisions.c.position == 1))
    return {bytes(row.previous) for row in rows} - {NO_ROW_BEFORE}


class _Entries:
    """The walk over the one chain of feedback, of outcomes or of events."""

    def __init__(
        self, url: str, table: Table, digest_of: Any, dated: str, seals: Sequence[Seal], report: Audit, gaps: _Gaps
    ) -> None:
        """`dated`: the column with the time of a row, in epoch microseconds."""
        self._url = url
        self._table = table
        self._digest_of = digest_of
        self._dated = dated
        self._found = report
        self._gaps = gaps
        ends: list[End] = [getattr(seal, table.name) for seal in seals]
        self._expected = {end[0]: end[1] for end in ends if end[0]}
        self._sealed_to = max(self._expected, default=0)
        self._unsealed_before = _dated_back_before(seals)
        self._position, self._previous, self._unsealed = 0, NO_ENTRY_BEFORE, 0

    def walk(self) -> None:
        name = self._table.name
        for row in _all(self._url, self._table):
            self._look(row)
        for missing in sorted(self._expected):
            self._found.say(f"row {missing} of {name}, which was sealed, is missing")
        setattr(self._found, name, self._position)
        setattr(self._found, f"unsealed_{name}", self._unsealed)

    def _look(self, row: Any) -> None:
        self._skip_removed(row["position"])
        self._position += 1
        name, digest = self._table.name, bytes(row["hash"])
        row_name = f"row {row['position']} of {name}"
        if row["position"] != self._position:
            self._found.say(f"row {self._position} of {name} is missing")
            self._position = row["position"]
        elif bytes(row["previous"]) != self._previous:
            self._found.say(f"{row_name} does not follow the row before it")
        if self._digest_of(bytes(row["previous"]), row["position"], row) != digest:
            self._found.say(f"{row_name} was changed")
        sealed_hash = self._expected.pop(row["position"], None)
        if sealed_hash is not None and sealed_hash != digest.hex():
            self._found.say(f"{row_name} or one before it was rewritten after it was sealed")
        if row["position"] > self._sealed_to:
            self._unsealed += 1
            if row[self._dated] < self._unsealed_before:
                self._found.say(f"{row_name} is dated before the newest seal and in none: it was put in afterwards")
        self._previous = digest

    def _skip_removed(self, upto: int) -> None:
        name = self._table.name
        while upto != self._position + 1 and (gap := self._gaps.pop(name, self._position + 1)) is not None:
            for removed in range(gap[0].first, gap[0].last + 1):
                self._expected.pop(removed, None)
            self._position, self._previous = gap[0].last, bytes.fromhex(gap[0].hash)


def _all(url: str, table: Table) -> Iterator[Any]:
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
