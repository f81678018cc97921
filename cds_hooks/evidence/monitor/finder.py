"""Finds decisions in a record of any size: by the database's own indexes, or by the places in the book of counts.

What the book names is read from the record and judged again, and what it has not counted yet is looked through, so that
a book that lags behind never hides a decision.
"""

from collections.abc import Iterator
from contextlib import suppress
from heapq import merge
from itertools import islice
from typing import Final

from msgspec.structs import replace

from cds_hooks.evidence.decision_views.file import Views
from cds_hooks.evidence.monitor.book import CountBook
from cds_hooks.evidence.monitor.postings import Budget, groups_of, places
from cds_hooks.evidence.storage.decision import RecordUnavailable
from cds_hooks.evidence.storage.queries import (
    DecisionFilter,
    FoundDecision,
    Place,
    decisions_at,
    find_places,
    newer_than,
)

SMALL: Final = 5_000
"""A record with fewer decisions is looked through as it is."""
_AT_ONCE: Final = 50
_NOT_COUNTED: Final = 100_000


def needs_book(wanted: DecisionFilter) -> bool:
    """Whether no index of the database leads to these decisions: the filter names neither patient nor hook call."""
    if wanted.patient is not None or wanted.hook_instance is not None:
        return False
    names = ("held_back", "service", "client", "outcome", "rule", "reason", "severity", "answer", "override")
    return any(getattr(wanted, name) for name in names)


def find(
    url: str,
    book: CountBook | None,
    wanted: DecisionFilter,
    before: Place | None = None,
    budget: Budget | None = None,
    most_not_counted: int = _NOT_COUNTED,
) -> Iterator[FoundDecision]:
    """Yield the decisions that the filter describes, the newest first, from the place `before` on.

    Without a book, or where it is not needed, the database finds them. `budget` bounds how many places of the book are
    looked at, and `most_not_counted` how many decisions that the book does not have yet.

    Raises:
        RecordUnavailable: there is no record.
    """
    if book is None or not needs_book(wanted):
        yield from find_places(url, wanted, before, _AT_ONCE)
        return
    newest = newer_than(url, wanted, book.counted_to(), most_not_counted)
    tail = (row for row in newest if before is None or row.position < before)
    counted = _counted(url, book, wanted, before, budget or Budget())
    last: Place | None = None
    for row in merge(tail, counted, key=lambda row: row.position, reverse=True):
        if row.position != last:  # an answer can be counted before its decision
            yield row
        last = row.position


def _counted(
    url: str, book: CountBook, wanted: DecisionFilter, before: Place | None, budget: Budget
) -> Iterator[FoundDecision]:
    if wanted.until is not None:
        before = min(before or (wanted.until, 0), (wanted.until, 0))
    # the places say all that the database would be asked for, and its planner is not led away from their numbers
    read = replace(wanted, service=None, client=None, outcome=None, answer=None, override=None, since=None, until=None)
    with book.open(is_writing=False) as connection:
        leading = places(connection, groups_of(connection, wanted), before, wanted.since, budget)
        while batch := list(islice(leading, _AT_ONCE)):
            decisions = decisions_at(url, read, [sequence for _, sequence in batch])
            yield from (decisions[sequence] for _, sequence in batch if sequence in decisions)


def note_verification(url: str, views: Views, decisions_read: int, fault: str) -> None:
    """Note in the views, where there are any of this record, that its chain was verified; /ops shows the last time.

    A fault is noted whatever the record holds: one that was cut, or cannot be read, no longer looks like its own.
    """
    with suppress(RecordUnavailable):
        if views.file.exists() and (fault or views.is_of(url)):
            CountBook(views).note_verification(decisions_read, fault)
