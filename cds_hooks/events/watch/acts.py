"""What persons decided about interfaces, from the record: a change that is the new usual, a feed that is paused."""

from math import inf
from typing import Final

from msgspec import Struct

from cds_hooks.hold_back.act_log import ActLog, Entry
from cds_hooks.storage.entries import add_event

EVENT: Final = "interface-act"
ACCEPT: Final = "accept"
PAUSE: Final = "pause"
RESUME: Final = "resume"


class _Detail(Struct):
    act: str
    feed: str
    incident: tuple[int, int]


def record_act(url: str, actor: str, act: str, feed: str, incident: tuple[int, int] = (0, 0)) -> None:
    """Record what a person decided about a feed; an incident is named by its number and the step it was opened in.

    Raises:
        RecordUnavailable: It cannot be recorded.
    """
    add_event(url, EVENT, actor, {"act": act, "feed": feed, "incident": list(incident)})


class Acts:
    """The acts of the record, read once and then only the new ones."""

    def __init__(self, record_url: str) -> None:
        self._url, self._log = record_url, ActLog((EVENT,), self._take, self._forget)
        self.version = 0
        """A number that rises with each act, and when the acts are read anew."""
        self._forget()

    def _forget(self) -> None:
        self.version += 1
        self.accepted: set[tuple[int, int]] = set()
        """Incidents that are the new usual, by number and the step they were opened in."""
        self.pauses: dict[str, list[tuple[float, float]]] = {}
        """When feeds were paused, from and until; the end of one that goes on is infinite."""

    def refresh(self) -> None:
        """Read the acts that came since the last time.

        Raises:
            RecordUnavailable: The record cannot be read.
        """
        self._log.read(self._url)

    def _take(self, entry: Entry) -> None:
        detail = entry.read(_Detail)
        spans = self.pauses.setdefault(detail.feed, [])
        if detail.act == ACCEPT:
            self.accepted.add(detail.incident)
        elif detail.act == PAUSE and not self.is_paused(detail.feed):
            spans.append((entry.at, inf))
        elif detail.act == RESUME and self.is_paused(detail.feed):
            spans[-1] = (spans[-1][0], entry.at)
        self.version += 1

    def is_paused(self, feed: str) -> bool:
        """Return whether nothing is taken of a feed now."""
        spans = self.pauses.get(feed, [])
        return bool(spans) and spans[-1][1] == inf
