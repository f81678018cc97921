"""Compares the record with its seals: what was rewritten, deleted, cut off or put in afterwards.

It only reads, so a role with nothing but SELECT, or an SQLite file that is write-protected, is enough.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Table, Text, select, type_coerce

from cds_hooks.audit.seals import End, Seal
from cds_hooks.storage.chain import stored_rows, wrong_content
from cds_hooks.storage.entries import NO_ENTRY_BEFORE, event_hash, feedback_hash
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import events, feedback, removals

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
    unsealed: int = 0
    """Decisions that came after the newest seal."""
    archived: int = 0
    findings: list[str] = field(default_factory=list)

    def say(self, sentence: str) -> None:
        """Adds a finding; of very many only the first are kept."""
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(sentence)


def audit(url: str, seals: Sequence[Seal], on_progress: Callable[[int], None] | None = None) -> Audit:
    """Recomputes all hashes and compares them with every seal; RecordUnavailable where the record cannot be read."""
    found = Audit(len(seals))
    _Decisions(url, seals, found).walk(on_progress)
    _entries(url, feedback, feedback_hash, [seal.feedback for seal in seals], found)
    _entries(url, events, event_hash, [seal.events for seal in seals], found)
    return found


class _Decisions:
    """The walk over decisions: each chain's end so far, and what the seals still expect."""

    def __init__(self, url: str, seals: Sequence[Seal], found: Audit) -> None:
        self._url = url
        self._found = found
        self._ends: dict[str, tuple[int, bytes]] = {}
        self._sealed_to = {chain: end[0] for seal in seals for chain, end in seal.decisions.items()}
        self._expected = {
            (chain, end[0]): (end[1], seal) for seal in reversed(seals) for chain, end in seal.decisions.items()
        }
        latest = max((seal.time for seal in seals), default=None)
        self._unsealed_before = int((latest - _LATE).timestamp() * 1e6) if latest else 0
        self._removed = {
            (row.chain, row.first_position): row for row in read_rows(url, select(removals)) if row.chain != "feedback"
        }

    def walk(self, on_progress: Callable[[int], None] | None) -> None:
        for row in stored_rows(self._url):
            self._look(row)
            self._found.decisions += 1
            if on_progress is not None and self._found.decisions % 500 == 0:
                on_progress(self._found.decisions)
        for chain in {chain for chain, _ in self._removed} | set(self._ends):
            self._skip_archived(chain)
        for (chain, position), (_, seal) in self._expected.items():
            self._found.say(f"row {position} of chain {chain}, in seal {seal.number} of {seal.at}, is missing")

    def _look(self, row: Any) -> None:
        place = f"decision {row.id}, row {row.position} of chain {row.chain},"
        end = self._skip_archived(row.chain)
        if row.position != end[0] + 1:
            self._found.say(f"row {end[0] + 1} of chain {row.chain} is missing before {place[:-1]}")
        elif end[0] and row.previous != end[1]:
            self._found.say(f"{place} does not follow the row before it")
        if (wrong := wrong_content(row)) is not None:
            self._found.say(f"{place} is not as it was written: {wrong}")
        self._compare(row.chain, row.position, row.hash, place)
        if row.position > self._sealed_to.get(row.chain, 0):
            self._found.unsealed += 1
            if row.decided_at < self._unsealed_before:
                self._found.say(f"{place} is dated before the newest seal and in none: it was put in afterwards")
        self._ends[row.chain] = (row.position, row.hash)

    def _compare(self, chain: str, position: int, digest: bytes, place: str) -> None:
        expected = self._expected.pop((chain, position), None)
        if expected is not None and expected[0] != digest.hex():
            seal = expected[1]
            self._found.say(f"{place} or one before it was rewritten after seal {seal.number} of {seal.at}")

    def _skip_archived(self, chain: str) -> tuple[int, bytes]:
        """The chain's end, past the rows that are in an archive."""
        end = self._ends.get(chain, (0, b""))
        while (span := self._removed.pop((chain, end[0] + 1), None)) is not None:
            if end[0] and bytes(span.previous) != end[1]:
                self._found.say(f"the archive {span.archive} does not follow row {end[0]} of chain {chain}")
            self._found.archived += span.last_position - span.first_position + 1
            # no command archives yet, so rows that are said to be archived were taken out by somebody
            rows = f"rows {span.first_position} to {span.last_position} of chain {chain}"
            self._found.say(f"{rows} were taken out as archived in {span.archive}")
            for position in range(span.first_position, span.last_position):
                self._expected.pop((chain, position), None)  # the archive itself is compared by its own digest
            place = f"row {span.last_position} of chain {chain}, in the archive {span.archive},"
            end = self._ends[chain] = (span.last_position, bytes(span.hash))
            self._compare(chain, span.last_position, end[1], place)
        return end


def _entries(url: str, table: Table, digest_of: Any, sealed: Sequence[End], found: Audit) -> None:
    expected = {end[0]: end[1] for end in sealed if end[0]}
    position, previous = 0, NO_ENTRY_BEFORE
    for row in _all(url, table):
        position += 1
        place = f"row {row['position']} of {table.name}"
        if row["position"] != position:
            found.say(f"row {position} of {table.name} is missing")
            position = row["position"]
        elif bytes(row["previous"]) != previous:
            found.say(f"{place} does not follow the row before it")
        if digest_of(bytes(row["previous"]), row["position"], row) != bytes(row["hash"]):
            found.say(f"{place} was changed")
        sealed_hash = expected.pop(row["position"], None)
        if sealed_hash is not None and sealed_hash != bytes(row["hash"]).hex():
            found.say(f"{place} or one before it was rewritten after it was sealed")
        previous = bytes(row["hash"])
    for missing in sorted(expected):
        found.say(f"row {missing} of {table.name}, which was sealed, is missing")
    setattr(found, table.name, position)


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
