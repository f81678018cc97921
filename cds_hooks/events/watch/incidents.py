"""Incidents from signals: one for a cause, open until it ended, joined where feeds share what they come through."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from cds_hooks.events.watch.baseline import Signal

HOLD_STEPS: Final = 12
"""An incident is open for an hour after it was last seen, at the least."""
_HOLD_WEIGHTS: Final = 4.0
"""It ends when four times the messages came that it took to see it, and it was not seen again."""
_LONGEST_HOLD: Final = 864
_JOIN_STEPS: Final = 144
_SAME_STEPS: Final = 288
"""The same kind at the same feed within a day is the same incident, opened again."""
_KEPT: Final = 500
_APART: Final = "\t"
"""Between the feed and the group of evidence; a group holds a unit, as mg/dL."""
FEWER, MORE = "fewer", "more"
_STOPS: Final = frozenset({"silent", "low", "flapping"})
_RECEIVER: Final = frozenset({"late", "errors"})
_ALSO: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(_STOPS, _STOPS), **dict.fromkeys(_RECEIVER, _RECEIVER), "shift": frozenset({"unit"}),
    "unit": frozenset({"shift"}), "duplicates": frozenset({"resend"}), "flood": frozenset({"resend"}),
}  # fmt: skip
"""Signals by which an incident of another kind is seen to go on; others are its effects."""
_BECOMES: Final = {("low", "silent"), ("low", "flapping"), ("silent", "flapping"), ("shift", "unit")}
"""Kinds of an incident with the worse one that it becomes by a signal."""
_EFFECTS: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(_STOPS, _STOPS | {
        "flood", "more", "resend", "late", "sender", "code-gone", "errors", "stuck", "order", "duplicates", "ahead",
    }),
    **dict.fromkeys(("flood", "resend"), frozenset({
        "flood", "more", "resend", "duplicates", "late", "order", "low", "silent",
    })),
    **dict.fromkeys(_RECEIVER, _RECEIVER | {"flood", "order", "duplicates"}),
    "sender": frozenset({"low"}), "unmapped": frozenset({"unit-label", "code-gone"}), "clock": frozenset({"late"}),
}  # fmt: skip
"""Signals that follow from an incident of the same feed, such as a queue that empties after a stop."""
_INFORMATION: Final = frozenset({"unit-label", "code-gone", FEWER, MORE})
_EXPLAINED_BY: Final[Mapping[str, frozenset[str]]] = {
    "sender": frozenset({"silent", "flapping", "flood"}),
    "code-gone": frozenset({"silent", "flapping", "flood"}),
    "low": frozenset({"sender"}),
    "late": frozenset({"clock"}),
    "unit-label": frozenset({"unit"}),
}
"""Signals that say nothing beside another one of the same feed at the same time."""
_SAME_GROWTH_STEPS: Final = 8 * 288
"""More on one day of the week is the same until that day was learned again."""
_TOGETHER: Final = frozenset({"code-gone", "unmapped", FEWER})
"""Kinds of which one incident holds all subjects of a feed."""


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
        for signal in explained(signals):
            incident = next((old for old in reversed(self.all) if self._belongs(signal, old, end)), None)
            if incident is None:
                number = max((old.number for old in self.all), default=0) + 1
                incident = Incident(
                    signal.kind, [signal.feed], signal.subject, _severity(signal), signal.since, end - 1,
                    signal.ratio, number=number,
                )  # fmt: skip
                self.all.append(incident)
                begun.append(incident)
            elif incident.closed is not None:
                incident.closed = None
                begun.append(incident)
            self._update(incident, signal, end)
        if len(self.all) > 2 * _KEPT:
            self.all = [*self.open, *[incident for incident in self.all if incident.closed is not None][-_KEPT:]]
        return begun

    def close(self, end: int, weight_since: Callable[[str, str, int], float]) -> list[Incident]:
        """Close the incidents that are over, and return them.

        `weight_since` gives for a feed and a group the messages that came, or were due, since a step.
        """
        closed = [incident for incident in self.open if _is_over(incident, end, weight_since)]
        for incident in closed:
            incident.closed = end - 1
        return closed

    def _belongs(self, signal: Signal, incident: Incident, end: int) -> bool:
        if end - incident.seen > (_SAME_GROWTH_STEPS if incident.kind == MORE else _SAME_STEPS):
            return False
        if incident.kind == MORE:  # a flood after days of growth is no growth
            return signal.kind == MORE and signal.feed in incident.feeds
        if signal.feed in incident.feeds or f"{signal.feed}{_APART}{signal.group}" in incident.evidence:
            same = signal.kind == incident.kind and (signal.subject == incident.subject or signal.kind in _TOGETHER)
            groups = {key.rpartition(_APART)[2] for key in incident.evidence} - {"volume"}
            return same or signal.group in groups or signal.kind in _EFFECTS.get(incident.kind, ())
        is_recent = end - incident.opened <= _JOIN_STEPS
        if signal.kind in _STOPS and incident.kind in _STOPS:
            return is_recent and not {*incident.feeds}.isdisjoint(self._topology.siblings(signal.feed))
        if signal.kind in _RECEIVER and incident.kind in _RECEIVER:
            return is_recent and incident.closed is None
        if _is_effect(signal, incident):
            return self._topology.patients_from.get(signal.feed) in incident.feeds
        return incident.kind == signal.kind == FEWER

    def _update(self, incident: Incident, signal: Signal, end: int) -> None:
        if _is_effect(signal, incident):
            effect = f"{signal.feed}: {signal.kind}"
            incident.effects += [effect] if effect not in incident.effects else []
        if signal.kind != incident.kind and incident.kind not in _ALSO.get(signal.kind, ()):
            return
        incident.evidence[f"{signal.feed}{_APART}{signal.group}"] = Evidence(end, signal.weight)
        if signal.feed not in incident.feeds:
            incident.feeds.append(signal.feed)
            if incident.kind in _STOPS:
                incident.through = self._topology.through.get(signal.feed, "")
            elif incident.kind != FEWER:
                incident.through = "this server"
        if (incident.kind, signal.kind) in _BECOMES:
            incident.kind = signal.kind
        incident.since = min(incident.since, signal.since)
        if signal.kind == incident.kind:
            incident.ratio = signal.ratio
            incident.severity = "high" if _severity(signal) == "high" else incident.severity


def _is_effect(signal: Signal, incident: Incident) -> bool:
    """Return whether patients are not known because the feed that brings them stopped."""
    return signal.kind == "identifiers" and incident.kind in _STOPS


def _is_over(incident: Incident, end: int, weight_since: Callable[[str, str, int], float]) -> bool:
    if end - incident.seen < HOLD_STEPS:
        return False
    for key, last in incident.evidence.items():
        feed, _, group = key.rpartition(_APART)
        if end - last.seen < _LONGEST_HOLD and weight_since(feed, group, last.seen) < _HOLD_WEIGHTS * last.weight:
            return False
    return True


def _severity(signal: Signal) -> str:
    if signal.kind in _INFORMATION:
        return "information"
    return "high" if signal.is_strong else "medium"


def explained(signals: Iterable[Signal]) -> list[Signal]:
    """Return the signals without those that another one of the same feed explains."""
    kinds, kept = defaultdict[str, set[str]](set), []
    signals = list(signals)
    for signal in signals:
        kinds[signal.feed].add(signal.kind)
    for signal in signals:
        if signal.kind in ("flood", "duplicates") and {"flood", "duplicates"} <= kinds[signal.feed]:
            kept.append(replace(signal, kind="resend", subject="", is_strong=True))
        elif kinds[signal.feed].isdisjoint(_EXPLAINED_BY.get(signal.kind, ())):
            kept.append(signal)
    return kept
