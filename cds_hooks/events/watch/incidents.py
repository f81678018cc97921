"""Incidents from signals: one for a cause, open until it ended, joined where feeds share what they come through."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import Struct, field

from cds_hooks.events.watch.signals import Signal

HOLD_STEPS: Final = 12
"""An incident is open for an hour after it was last seen, at the least."""
_HOLD_WEIGHTS: Final = 4.0
"""It ends when four times the messages came that it took to see it, and it was not seen again."""
_LONGEST_HOLD: Final = 864
_JOIN_STEPS: Final = 144
_SAME_STEPS: Final = 288
"""The same kind at the same feed within a day is the same incident, opened again."""
_SAME_GROWTH_STEPS: Final = 8 * 288
"""More on one day of the week is the same until that day was learned again."""
_KEPT: Final = 500
_APART: Final = "\t"
"""Between the feed and the group of evidence; a group holds a unit, as mg/dL."""
MORE: Final = "more"
_STOPS: Final = frozenset({"silent", "low"})
_RECEIVER: Final = frozenset({"late", "errors"})
_AFTER_A_STOP: Final = frozenset({"flood", "more", "late", "sender", "errors", "order", "duplicates", "clock"})
_FOLLOWS: Final[Mapping[str, frozenset[str]]] = {
    "silent": _AFTER_A_STOP | _STOPS,
    "low": _AFTER_A_STOP | _STOPS,
    "flood": frozenset({"more", "duplicates", "late", "order", "silent", "low"}),
    "late": frozenset({"errors", "flood", "order", "duplicates", "clock"}),
    "errors": frozenset({"late", "flood", "order", "duplicates"}),
    "sender": frozenset({"low"}),
    "clock": frozenset({"late"}),
    "duplicates": frozenset({"flood"}),
}
"""What is a part of an incident of the same feed, such as the late messages of a queue that empties after a stop."""
_NAMED_BY: Final = frozenset({("low", "silent"), ("low", "sender"), ("late", "clock"), ("duplicates", "flood")})
"""Where what is seen later says better what an incident is."""
FIRST_CHECKS: Final = {
    "silent": "Is the sender running, and does its interface engine hold messages for this server?",
    "low": "Is today a holiday that is not declared? Does a part of the sender's devices or wards not send?",
    MORE: "Is the sender sending for more wards or patients? From now on that is learned as usual.",
    "flood": "Is the sender sending a time again? Nothing is decided twice.",
    "late": "Is a queue of the sender or of this server growing?",
    "clock": "Is the sender's clock right, and does it still send the offset of its times?",
    "unmapped": "Which codes are new? Map them in the file that the feed names as codes.",
    "values": "Ask the laboratory about another unit, lot, calibration or device. Until then do not trust its values.",
    "errors": "Why are messages refused? The dead letters are listed below.",
    "refusals": "Are there too many connections, or notifications that nobody asked for? The log has the reasons.",
    "order": "Does the sender use several connections at the same time?",
    "duplicates": "Does the sender get its acknowledgments, and in time?",
    "identifiers": "Do the patient numbers come from another authority?",
    "sender": "Is this group of devices or application running?",
}
"""What a person checks first, by kind."""
PAUSED_FOR: Final = frozenset({"values", "clock", "identifiers", "order", "flood", "duplicates", "errors"})
"""Kinds for which it is suggested to take nothing of the feed until the cause is clear; the sender keeps its own."""
REPLAYED_FOR: Final = frozenset({"errors", "unmapped"})
"""Kinds after which dead letters of the feed are taken in again."""


class Evidence(Struct):
    """Where an incident was seen last: the step after, and the messages that it took to see it."""

    seen: int
    weight: float


class Incident(Struct):
    """One incident: what it is, the feeds with the cause first, and since when."""

    kind: str
    feeds: list[str]
    subject: str
    severity: str
    since: int
    """The first step of the window in which it was seen."""
    opened: int
    """The step at whose end it was seen first."""
    ratio: float = 1.0
    through: str = ""
    """What the feeds share, where that is the cause."""
    closed: int | None = None
    effects: list[str] = field(default_factory=list)
    """What followed from it, as feed and kind."""
    evidence: dict[str, Evidence] = field(default_factory=dict)
    number: int = 0
    is_accepted: bool = False
    """A person said that this is the new usual: its feeds are learned anew from its beginning on."""

    @property
    def seen(self) -> int:
        """The step after the newest one in which it was seen."""
        return max((last.seen for last in self.evidence.values()), default=self.opened)

    @property
    def cause(self) -> str:
        """The cause: where, what, and what it is about."""
        where = self.through or ", ".join(self.feeds)
        return f"{where}: {self.kind}" + (f" ({self.subject})" if self.subject else "")

    def add(self, signal: Signal, topology: "Topology", end: int) -> None:
        """Take a signal as a part: it says that the incident goes on, or it is an effect."""
        if (self.kind, signal.kind) in _NAMED_BY:
            self.kind, self.subject = signal.kind, signal.subject
        if signal.kind != self.kind and not any({self.kind, signal.kind} <= alike for alike in (_STOPS, _RECEIVER)):
            effect = f"{signal.feed}: {signal.kind}"
            self.effects += [effect] if effect not in self.effects else []
            return
        self.evidence[f"{signal.feed}{_APART}{signal.group}"] = Evidence(end, signal.weight)
        if signal.feed not in self.feeds:
            self.feeds.append(signal.feed)
            self.through = topology.through.get(signal.feed, "") if self.kind in _STOPS else "this server"
        self.since = min(self.since, signal.since)
        if signal.kind == self.kind:
            self.ratio = signal.ratio
            self.severity = "high" if _severity(signal) == "high" else self.severity

    def is_over(self, end: int, weight_since: Callable[[str, str, int], float]) -> bool:
        """Return whether it was not seen again in so many messages that it would have been."""
        if end - self.seen < HOLD_STEPS:
            return False
        for key, last in self.evidence.items():
            feed, _, group = key.rpartition(_APART)
            if end - last.seen < _LONGEST_HOLD and weight_since(feed, group, last.seen) < _HOLD_WEIGHTS * last.weight:
                return False
        return True


class Topology(Struct, frozen=True):
    """What feeds come through, and which feed brings the patients of another one, by name of the feed."""

    through: Mapping[str, str] = {}
    patients_from: Mapping[str, str] = {}

    def siblings(self, feed: str) -> list[str]:
        """Return the other feeds that come through the same."""
        source = self.through.get(feed)
        return [other for other, through in self.through.items() if source and through == source and other != feed]


class Incidents:
    """The open incidents and the closed ones of some time."""

    def __init__(self, topology: Topology, earlier: Iterable[Incident] = ()) -> None:
        self._topology = topology
        self.all: list[Incident] = list(earlier)

    @property
    def open(self) -> list[Incident]:
        """The incidents that have not ended."""
        return [incident for incident in self.all if incident.closed is None]

    def take(self, end: int, signals: Iterable[Signal]) -> list[Incident]:
        """Open and continue incidents by the signals of a step, and return the incidents that are new or open again."""
        begun = []
        for signal in signals:
            incident = self._incident_of(signal, end)
            if incident is None:
                number = max((old.number for old in self.all), default=0) + 1
                severity, opened = _severity(signal), end - 1
                incident = Incident(
                    signal.kind, [signal.feed], signal.subject, severity, signal.since, opened, number=number
                )
                self.all.append(incident)
                begun.append(incident)
            elif incident.closed is not None:
                incident.closed = None
                begun.append(incident)
            incident.add(signal, self._topology, end)
        if len(self.all) > 2 * _KEPT:
            self.all = [*self.open, *[incident for incident in self.all if incident.closed is not None][-_KEPT:]]
        return begun

    def close(self, end: int, weight_since: Callable[[str, str, int], float]) -> list[Incident]:
        """Close the incidents that are over, and return them.

        `weight_since` gives for a feed and a group the messages that came, or were due, since a step.
        """
        closed = [incident for incident in self.open if incident.is_over(end, weight_since)]
        for incident in closed:
            incident.closed = end - 1
        return closed

    def _incident_of(self, signal: Signal, end: int) -> Incident | None:
        for incident in reversed(self.all):
            same = _SAME_GROWTH_STEPS if incident.kind == MORE else _SAME_STEPS
            if end - incident.seen <= same and self._belongs(signal, incident, end):
                return incident
        return None

    def _belongs(self, signal: Signal, incident: Incident, end: int) -> bool:
        if signal.feed in incident.feeds:
            if signal.kind == incident.kind:
                return signal.subject == incident.subject or signal.kind == "unmapped"
            return signal.kind in _FOLLOWS.get(incident.kind, ())
        is_recent = end - incident.opened <= _JOIN_STEPS
        if incident.kind in _STOPS and signal.kind == "identifiers":
            return self._topology.patients_from.get(signal.feed) in incident.feeds
        if incident.kind in _STOPS and signal.kind in _STOPS and is_recent:
            return not set(self._topology.siblings(signal.feed)).isdisjoint(incident.feeds)
        return {signal.kind, incident.kind} <= _RECEIVER and is_recent and incident.closed is None


def _severity(signal: Signal) -> str:
    if signal.kind == MORE:
        return "information"
    return "high" if signal.is_strong else "medium"
