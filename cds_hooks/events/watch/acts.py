"""What persons decided about interfaces, from the record: a change that is the new usual, a feed that is paused.

What a person checks first about an incident of the watch, by its kind.
"""

from math import inf
from typing import Final

from msgspec import Struct

from cds_hooks.hold_back.acts import ActLog, Entry
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


FIRST_CHECKS: Final = {
    "silent": "Is the sender running, and does its interface engine hold messages for this server?",
    "low": "Is today a holiday that is not declared? Does a part of the sender's devices or wards not send?",
    "flapping": "Does the connection break again and again? Look at the sender's log and the network.",
    "more": "Is the sender sending for more wards or patients? From now on that is learned as usual.",
    "fewer": "All feeds of one origin have fewer messages, by the same share: a storm, a strike, a holiday?",
    "flood": "Is the sender sending a time again? Nothing is decided twice.",
    "resend": "Is the sender sending a time again? Duplicates have no effect.",
    "late": "Is a queue of the sender or of this server growing?",
    "clock": "Is the sender's clock right, and does it still send the offset of its times?",
    "unmapped": "Which codes are new? Map them in the file that the feed names as codes.",
    "code-gone": "Does the laboratory still send this code, or was it renamed?",
    "unit": "Ask the laboratory whether the unit of this code was changed. Until then do not trust its values.",
    "unit-label": "The unit of this code is another one, and its values are read by it. Ask whether that is meant.",
    "shift": "Ask the laboratory about a new lot, calibration or analyser for this test.",
    "stuck": "Is a device sending the same value for everybody?",
    "errors": "Why are messages refused? The dead letters are listed below.",
    "refusals": "Are there too many connections, or notifications that nobody asked for? The log has the reasons.",
    "order": "Does the sender use several connections at the same time?",
    "duplicates": "Does the sender get its acknowledgments, and in time?",
    "identifiers": "Do the patient numbers come from another authority?",
    "sender": "Is this group of devices or application running?",
}
PAUSED_FOR: Final = frozenset(
    {"unit", "shift", "stuck", "clock", "identifiers", "order", "flood", "resend", "duplicates", "errors"}
)
"""Kinds for which it is suggested to take nothing of the feed until the cause is clear; the sender keeps its own."""
REPLAYED_FOR: Final = frozenset({"errors", "unmapped"})
"""Kinds after which dead letters of the feed are taken in again."""
