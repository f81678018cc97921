"""What persons decided about interfaces, from the record: a change that is the new usual, a feed that is paused."""

from math import inf
from threading import Lock
from typing import Final

import orjson
from sqlalchemy import select

from cds_hooks.storage.entries import add_event
from cds_hooks.storage.queries import read_rows
from cds_hooks.storage.tables import events

EVENT: Final = "interface-act"
ACCEPT: Final = "accept"
PAUSE: Final = "pause"
RESUME: Final = "resume"
_MICROSECONDS: Final = 1_000_000


def record_act(url: str, actor: str, act: str, feed: str, incident: tuple[int, int] = (0, 0)) -> None:
    """Record what a person decided about a feed; an incident is named by its number and the step it was opened in.

    Raises:
        RecordUnavailable: It cannot be recorded.
    """
    add_event(url, EVENT, actor, {"act": act, "feed": feed, "incident": list(incident)})


class Acts:
    """The acts of the record, read once and then only the new ones."""

    def __init__(self, record_url: str) -> None:
        self._url, self._lock = record_url, Lock()
        self.newest = 0
        """A number that rises with each act."""
        self.accepted: set[tuple[int, int]] = set()
        """Incidents that are the new usual, by number and the step they were opened in."""
        self.pauses: dict[str, list[tuple[float, float]]] = {}
        """When feeds were paused, from and until; the end of one that goes on is infinite."""

    def refresh(self) -> None:
        """Read the acts that came since the last time.

        Raises:
            RecordUnavailable: The record cannot be read.
        """
        query = select(events.c.sequence, events.c.at, events.c.detail).where(events.c.kind == EVENT)
        with self._lock:
            for row in read_rows(self._url, query.where(events.c.sequence > self.newest).order_by(events.c.sequence)):
                detail = orjson.loads(row.detail)
                self._apply(detail["act"], detail["feed"], detail["incident"], row.at / _MICROSECONDS)
                self.newest = row.sequence

    def _apply(self, act: str, feed: str, incident: list[int], at: float) -> None:
        spans = self.pauses.setdefault(feed, [])
        if act == ACCEPT:
            self.accepted.add((incident[0], incident[1]))
        elif act == PAUSE and not self.is_paused(feed):
            spans.append((at, inf))
        elif act == RESUME and self.is_paused(feed):
            spans[-1] = (spans[-1][0], at)

    def is_paused(self, feed: str) -> bool:
        """Return whether nothing is taken of a feed now."""
        spans = self.pauses.get(feed, [])
        return bool(spans) and spans[-1][1] == inf
