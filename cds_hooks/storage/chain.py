"""The hash chain over the decision record: links new rows, and verifies the whole record.

Each row carries the hash of the row that its writer wrote before it. The hash of a row is SHA-256 over, one after the
other: the previous row's hash (32 bytes); a JSON array in UTF-8 without white space, [chain, position, id, decided_at,
hook, service, hook_instance, client, patient, outcome, input_digest, length of models, length of response, length of
basis], with user_id at its end where that is not NULL, and where facts is not NULL with user_id (or null) and the
length of facts; and the bytes of models, response, basis and facts as they are stored (`content.py`). The lengths say
where one of them ends and the next begins.

The first row of a chain has position 1. Its previous hash is that of the newest row of any chain in the record at that
time, or 32 zero bytes where there was none. So removing a whole chain can be detected once another chain has begun
after it.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec import Struct, field
from sqlalchemy import LargeBinary, Select, func, select, type_coerce

from cds_hooks.storage.content import FACTS_DICTIONARY, store_content
from cds_hooks.storage.decision import Decision
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import decisions, feedback, outcomes, removals

NO_ROW_BEFORE = bytes(32)

Row = tuple[Any, ...]
"""One row of `tables.decisions` in the order of its columns, without `sequence`."""

_encode = msgspec.json.Encoder().encode


def row_hash(previous: bytes, chain: str, position: int, decision: Decision) -> bytes:
    """SHA-256 over the previous row's hash and all columns of this row."""
    d = decision
    said = (
        chain,
        position,
        d.id,
        d.decided_at,
        d.hook,
        d.service,
        d.hook_instance,
        d.client,
        d.patient,
        d.outcome,
        d.input_digest,
        len(d.models),
        len(d.response),
        len(d.basis),
    )
    if d.facts is not None:
        head = _encode((*said, d.user_id, len(d.facts)))
        return hashlib.sha256(b"".join((previous, head, d.models, d.response, d.basis, d.facts))).digest()
    head = _encode(said if d.user_id is None else (*said, d.user_id))
    return hashlib.sha256(b"".join((previous, head, d.models, d.response, d.basis))).digest()


def as_stored(decision: Decision) -> Decision:
    """The decision with its large members in their stored form."""
    return Decision(
        decision.id,
        decision.decided_at,
        decision.hook,
        decision.service,
        decision.hook_instance,
        decision.client,
        decision.patient,
        decision.outcome,
        decision.input_digest,
        store_content(decision.models),
        store_content(decision.response),
        store_content(decision.basis),
        decision.user_id,
        store_content(decision.facts, FACTS_DICTIONARY) if decision.facts is not None else None,
    )


class Chain:
    """One writer's chain; it advances only when the rows that it linked are committed."""

    def __init__(self, newest: bytes | None) -> None:
        """`newest` is the hash of the record's newest row, None for an empty record."""
        self.name = secrets.token_hex(8)
        self._hash = newest or NO_ROW_BEFORE
        self._position = 0

    def link(self, decisions: list[Decision]) -> list[Row]:
        """The rows of these decisions, each linked to the one before. The chain advances only with `moved_to`."""
        chain, previous, position = self.name, self._hash, self._position
        rows: list[Row] = []
        for decision in decisions:
            position += 1
            d = as_stored(decision)
            digest = row_hash(previous, chain, position, d)
            rows.append(
                (
                    d.id,
                    chain,
                    position,
                    d.decided_at,
                    d.hook,
                    d.service,
                    d.hook_instance,
                    d.client,
                    d.patient,
                    d.outcome,
                    d.input_digest,
                    previous,
                    digest,
                    d.models,
                    d.response,
                    d.basis,
                    d.user_id,
                    d.facts,
                )
            )
            previous = digest
        return rows

    def moved_to(self, rows: list[Row]) -> None:
        """Advances the chain: these rows, as `link` returned them, are committed."""
        self._position, self._hash = rows[-1][2], rows[-1][12]


_CONTENT = ("models", "response", "basis", "facts")
# the stored bytes, not the decoded value
_DECISION = [
    type_coerce(decisions.c[name], LargeBinary).label(name) if name in _CONTENT else decisions.c[name]
    for name in (each.name for each in msgspec.structs.fields(Decision))
]
_LINKS = [decisions.c[name] for name in ("sequence", "chain", "position", "previous", "hash")]
# short reads: a long one would keep SQLite's write-ahead log from being reset
_ROWS_AT_ONCE = 500


class ChainEnd(Struct):
    """The newest row of one writer's chain; kept elsewhere, it shows later whether rows were removed from the end."""

    chain: str
    decisions: int
    hash: str
    """The hash of its newest row, hexadecimal."""


class ChainBreak(Struct, frozen=True):
    """The first row that does not fit its chain."""

    decision: str
    chain: str
    position: int
    reason: str


class Verification(Struct):
    """The result of verifying the whole record; `broken` is None where every row is as it was written."""

    decisions: int = 0
    archived: int = 0
    """Number of rows that `removals` lists as archived.

    `record verify --archives` verifies the archives themselves.
    """
    chains: dict[str, ChainEnd] = field(default_factory=dict)
    broken: ChainBreak | None = None


def verify_chain(url: str, on_progress: Callable[[int, int], None] | None = None) -> Verification:
    """Recomputes every hash in the order of writing and stops at the first fault.

    `on_progress` is called with the number of rows done and the number in all. Rows removed from the end of a chain
    leave no trace in the record itself: compare `chains` with the output of an earlier verification.

    Raises:
        RecordUnavailable: there is no record.
    """
    gaps = {(row.chain, row.first_position): row for row in read_rows(url, select(removals))}
    walk = _Walk(_starting_points(url) - {bytes(row.hash) for row in gaps.values()}, gaps)
    total = read_rows(url, select(func.count()).select_from(decisions))[0][0]
    for row in stored_rows(url):
        walk.found.broken = walk.fault(row)
        if walk.found.broken is not None:
            break
        walk.found.decisions += 1
        if on_progress is not None and walk.found.decisions % _ROWS_AT_ONCE == 0:
            on_progress(walk.found.decisions, total)
    if on_progress is not None:
        on_progress(walk.found.decisions, total)
    walk.count_archived_ends()
    return walk.found


def _starting_points(url: str) -> set[bytes]:
    """The hashes after which chains began; each must be the hash of a row that was written before."""
    query: Select[Any] = select(decisions.c.previous).where(decisions.c.position == 1)
    return {row.previous for row in read_rows(url, query)} - {NO_ROW_BEFORE}


def stored_rows(url: str) -> Iterator[Any]:
    """All decisions in the order of writing, with their links and their content in stored form."""
    last = 0
    query = select(*_LINKS, *_DECISION).order_by(decisions.c.sequence).limit(_ROWS_AT_ONCE)
    while rows := read_rows(url, query.where(decisions.c.sequence > last)):
        yield from rows
        last = rows[-1].sequence


class _Walk:
    """The ends of the chains at the current point of the verification."""

    def __init__(self, starting_points: set[bytes], gaps: dict[tuple[str, int], Any]) -> None:
        self.found = Verification()
        self._not_met = starting_points
        self._gaps = gaps

    def fault(self, row: Any) -> ChainBreak | None:
        """The fault of the next row; None where it has none, and the chain is then one row longer."""
        reason = self._wrong_place(row) or wrong_content(row)
        if reason is not None:
            return ChainBreak(row.id, row.chain, row.position, reason)
        self._not_met.discard(row.hash)
        self.found.chains[row.chain] = ChainEnd(row.chain, row.position, row.hash.hex())
        return None

    def _over_gaps(self, row: Any) -> ChainEnd | None:
        """The end of the row's chain, advanced over rows that were archived and are no longer in the table."""
        end = self.found.chains.get(row.chain)
        while row.position != (after := end.decisions if end else 0) + 1:
            gap = self._gaps.pop((row.chain, after + 1), None)
            if gap is None or (end is not None and bytes(gap.previous).hex() != end.hash):
                break
            self.found.archived += gap.last_position - after
            end = self.found.chains[row.chain] = ChainEnd(row.chain, gap.last_position, bytes(gap.hash).hex())
        return end

    def count_archived_ends(self) -> None:
        """Counts the archived rows at the ends of chains, where no later row follows."""
        for (chain, first), gap in self._gaps.items():
            end = self.found.chains.get(chain)
            if chain not in (feedback.name, outcomes.name) and (end is None or end.decisions < first):
                self.found.archived += gap.last_position - first + 1

    def _wrong_place(self, row: Any) -> str | None:
        end = self._over_gaps(row)
        if end is None:
            if row.position != 1:
                return "the beginning of its chain is missing"
            return "its chain began after a row that is missing" if row.previous in self._not_met else None
        if row.position != end.decisions + 1:
            return f"row {end.decisions + 1} of its chain is missing"
        return None if row.previous.hex() == end.hash else "it does not follow the row before it"


def wrong_content(row: Any) -> str | None:
    """The reason where the row's hash differs from the hash of its content, else None."""
    decision = Decision(*row[len(_LINKS) :])
    expected = row_hash(row.previous, row.chain, row.position, decision)
    return None if row.hash == expected else "its content was changed"
