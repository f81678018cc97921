"""Finds decisions in a record of any size: by the database's own indexes, or by the lines of the search index.

What the index names is read from the record and judged again.
"""

from contextlib import suppress
from itertools import islice
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from cds_hooks.evidence.decision_views.file import Views
from cds_hooks.evidence.monitor.book import CountBook
from cds_hooks.evidence.monitor.search_index import candidates
from cds_hooks.evidence.storage.decision import Decision, RecordUnavailable
from cds_hooks.evidence.storage.queries import DecisionFilter, DecisionRow, Place, decisions_at, find_places

_AT_ONCE: Final = 50
_MOST_READ: Final = 2_000
"""So many decisions are read for a page: those of a subject that has no id are told apart by reading alone."""
_BY_LINES: Final = ("held_back", "service", "client", "outcome", "rule", "reason", "severity", "answer", "override")


class FoundPage(Struct, frozen=True):
    """Some decisions, the newest first; `older` is the place from which older ones go on, None where there are none.

    `looked_to`: so far (microseconds since 1970) it was looked, where the page ends before it is full.
    """

    decisions: tuple[Decision, ...]
    older: Place | None = None
    looked_to: int | None = None


def find_page(url: str, views: Views | None, wanted: DecisionFilter, before: Place | None, rows: int) -> FoundPage:
    """Return the newest decisions that the filter describes, so many and older than `before`.

    Without views, or with a patient or hook call, the database finds them.

    Raises:
        RecordUnavailable: there is no record.
    """
    is_indexed = wanted.patient is not None or wanted.hook_instance is not None
    if views is None or is_indexed or not any(getattr(wanted, name) for name in _BY_LINES):
        return _page(list(islice(find_places(url, wanted, before, _AT_ONCE), rows + 1)), rows)
    # the lines say all that the database would be asked for, and its planner is not led away from the numbers
    read = replace(wanted, service=None, client=None, outcome=None, answer=None, override=None, since=None, until=None)
    found, places, count = list[DecisionRow](), candidates(views, wanted, before, _AT_ONCE), 0
    while places:
        decisions = decisions_at(url, read, [sequence for _, sequence in places])
        found += [decisions[sequence] for _, sequence in places if sequence in decisions]
        count += len(places)
        if len(found) > rows:
            break
        if count >= _MOST_READ:
            return FoundPage(tuple(row.decision for row in found), places[-1], places[-1][0])
        places = candidates(views, wanted, places[-1], _AT_ONCE)
    return _page(found, rows)


def _page(found: list[DecisionRow], rows: int) -> FoundPage:
    older = found[rows - 1].position if len(found) > rows else None
    return FoundPage(tuple(row.decision for row in found[:rows]), older)


def note_verification(url: str, views: Views, decisions_read: int, fault: str) -> None:
    """Note in the views, where there are any of this record, that its chain was verified; /ops shows the last time.

    A fault is noted whatever the record holds: one that was cut, or cannot be read, no longer looks like its own.
    """
    with suppress(RecordUnavailable):
        if views.file.exists() and (fault or views.is_of(url)):
            CountBook(views).note_verification(decisions_read, fault)
