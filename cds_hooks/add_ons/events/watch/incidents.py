"""Incidents from signals: one for a cause, open until it ended, joined where feeds share what they come through."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import Struct

from cds_hooks.add_ons.events.watch.history import Signal

_HOLD_STEPS: Final = 12
"""An incident is open for an hour after it was last seen, at the least."""
_HOLD_WINDOWS: Final = 4
"""It ends when four times the messages were due that it took to see it, and it was not seen again."""
_LONGEST_HOLD: Final = 864
_JOIN_STEPS: Final = 144
_SAME_STEPS: Final = 288
"""What belongs to an incident within a day opens it again."""
_STOPS: Final = frozenset({"silent", "low", "flapping"})
_RECEIVER: Final = frozenset({"late", "errors"})
_FOLLOWS: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(_STOPS, _STOPS | {
        "flood", "late", "sender", "code-gone", "errors", "stuck", "order", "duplicates",
    }),
    **dict.fromkeys(("flood", "resend"), frozenset({
        "flood", "duplicates", "late", "order", "low", "silent", "sender", "code-gone",
    })),
    **dict.fromkeys(_RECEIVER, _RECEIVER | {"flood", "order", "duplicates"}),
    "sender": frozenset({"low", "sender"}), "unmapped": frozenset({"unit-label", "code-gone"}),
    "code-gone": frozenset({"code-gone"}), "clock": frozenset({"late"}), "unit": frozenset({"unit-label"}),
    "duplicates": frozenset({"flood"}),
}  # fmt: skip
"""Signals that follow from an incident of the same feed, such as a queue that empties after a stop."""
_BECOMES: Final = {
    ("low", "silent"): "silent", ("low", "flapping"): "flapping", ("silent", "flapping"): "flapping",
    ("shift", "unit"): "unit", ("flood", "duplicates"): "resend", ("duplicates", "flood"): "resend",
}  # fmt: skip
"""What an incident becomes by a signal."""
_FIRST: Final = ("silent", "flapping", "flood", "sender", "clock", "unit", "unmapped")
"""Of signals of one step these come before what follows from them."""


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
    group: str = ""
    ratio: float = 1.0
    through: str = ""
    """What the feeds share, where that is the cause."""
    closed: int | None = None
    seen: int = 0
    """The step after the newest one in which it was seen."""
    seen_since: int = 0
    """The first step of the newest window in which it was seen."""
    number: int = 0
    is_accepted: bool = False
    """A person said that this is the new usual: its feeds are learned anew from its beginning on."""

    @property
    def cause(self) -> str:
        """The cause: where, what, and what it is about."""
        where = self.through or ", ".join(self.feeds)
        return f"{where}: {self.kind}" + (f" ({self.subject})" if self.subject else "")


class Topology(Struct, frozen=True):
    """What feeds come through, and which feed brings the patients of another one, by name of the feed."""

    through: Mapping[str, str] = {}
    patients_from: Mapping[str, str] = {}


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
        for signal in sorted(signals, key=lambda signal: (*_FIRST, signal.kind).index(signal.kind)):
            incident = next((old for old in reversed(self.all) if self._belongs(signal, old, end)), None)
            if incident is None:
                number = max((old.number for old in self.all), default=0) + 1
                incident = Incident(
                    signal.kind, [signal.feed], signal.subject, signal.severity, signal.since, end - 1,
                    signal.group, signal.ratio, number=number,
                )  # fmt: skip
                self.all.append(incident)
                begun.append(incident)
            elif incident.closed is not None:
                incident.closed = None
                begun.append(incident)
            self._update(incident, signal, end)
        return begun

    def close(self, end: int, due: Callable[[str, int, int], float]) -> list[Incident]:
        """Close the incidents that are over, and return them; `due` gives the messages of a feed in steps."""
        closed = [incident for incident in self.open if _is_over(incident, end, due)]
        for incident in closed:
            incident.closed = end - 1
        return closed

    def _belongs(self, signal: Signal, incident: Incident, end: int) -> bool:
        if end - incident.seen > _SAME_STEPS and incident.closed is not None:
            return False
        if signal.feed in incident.feeds:
            return signal.group == incident.group or signal.kind in _FOLLOWS.get(incident.kind, ())
        is_recent = end - incident.opened <= _JOIN_STEPS
        if signal.kind in _STOPS and incident.kind in _STOPS:
            shared = {self._topology.through.get(feed, "") for feed in incident.feeds} - {""}
            return is_recent and self._topology.through.get(signal.feed) in shared
        if signal.kind in _RECEIVER and incident.kind in _RECEIVER:
            return is_recent and incident.closed is None
        is_source = self._topology.patients_from.get(signal.feed) in incident.feeds
        return is_source and incident.kind in _STOPS and signal.kind == "identifiers"

    def _update(self, incident: Incident, signal: Signal, end: int) -> None:
        if incident.kind in _STOPS and signal.kind == "identifiers":  # patients are not known because of the stop
            return
        incident.seen, incident.seen_since = end, signal.since
        incident.since = min(incident.since, signal.since)
        if signal.feed not in incident.feeds:
            incident.feeds.append(signal.feed)
            is_stop = incident.kind in _STOPS
            incident.through = self._topology.through.get(signal.feed, "") if is_stop else "this server"
        became = _BECOMES.get((incident.kind, signal.kind))
        incident.kind = became or incident.kind
        if became or signal.kind == incident.kind:
            incident.ratio = signal.ratio
            incident.severity = "high" if signal.severity == "high" else incident.severity


def _is_over(incident: Incident, end: int, due: Callable[[str, int, int], float]) -> bool:
    steps, feed = end - incident.seen, incident.feeds[0]
    if not _HOLD_STEPS <= steps < _LONGEST_HOLD:
        return steps >= _LONGEST_HOLD
    return due(feed, incident.seen, end) >= _HOLD_WINDOWS * due(feed, incident.seen_since, incident.seen)
