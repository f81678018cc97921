"""Watches feeds step by step: history, baseline, signals, incidents. An open incident is never learned."""

from collections.abc import Mapping, Sequence
from datetime import date, tzinfo
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from cds_hooks.events.watch.baseline import Baseline, Feed, Signal, expect, few, learn
from cds_hooks.events.watch.contents import Columns
from cds_hooks.events.watch.history import STEPS_A_DAY, Counts
from cds_hooks.events.watch.incidents import FEWER, HOLD_STEPS, MORE, Incident, Incidents, Topology
from cds_hooks.events.watch.volumes import batch, growth, volume

LEARN_DAYS: Final = 14
_LEARN_AGAIN_STEPS: Final = 7 * STEPS_A_DAY
_CATCH_UP_STEPS: Final = 18
"""So long after a planned downtime what waited comes in."""
_BEHIND, _AHEAD = 7 * STEPS_A_DAY + 24, STEPS_A_DAY + 24
_SURE: Final = 3.0
_CHANCE: Final = 1e-5
_WAIT_STEPS: Final = 36
_NO_COUNTS: Final[Counts] = {}


class Calendar(Struct, frozen=True):
    """Holidays, and announced downtimes by feed as steps."""

    holidays: frozenset[date] = frozenset()
    planned: Mapping[str, Sequence[tuple[int, int]]] = {}


class WatchedFeed(Feed):
    """A feed that learns from its steps and judges each of them."""

    def __init__(self, name: str, zone: tzinfo, first: int, calendar: Calendar) -> None:
        super().__init__(name, first)
        self.zone, self.calendar = zone, calendar
        self.planned = calendar.planned.get(name, ())
        self._columns: Columns | None = None
        self._learned = first

    def take(self, counts: Counts) -> None:
        """Add a step without judging it."""
        self.history.append(counts)
        if any(start < self.end <= stop + _CATCH_UP_STEPS for start, stop in self.planned):
            self.history.leave_out(self.end - 1, self.end)

    def append(self, counts: Counts) -> None:
        """Add a step, and learn where it is time to."""
        self.take(counts)
        if self._columns is not None:
            self._columns.append(counts)
        wait = _LEARN_AGAIN_STEPS if self.expected is not None else LEARN_DAYS * STEPS_A_DAY
        if self.end - self._learned >= wait and (
            self.expected is None or not self.history.left_out(self.end - 1, self.end).any()
        ):
            self.learn()
        elif self.expected is not None and self.end + 13 >= self.expected.start + _BEHIND + _AHEAD:
            self.expect(self.expected.baseline)

    def learn(self) -> None:
        """Learn what is expected from now on."""
        baseline = learn(self.history, self.zone, self.calendar.holidays)
        if baseline is None:
            return
        if self.expected is None:
            self.start_at(self.end)
        self._learned = self.end
        self.expect(baseline)
        self._columns = Columns(self, baseline)

    def expect(self, baseline: Baseline) -> None:
        """Compute what is expected of the steps around now."""
        span = self.end - _BEHIND, self.end + _AHEAD
        self.expected = expect(baseline, *span, self.calendar.holidays)

    def signals(self) -> Sequence[Signal]:
        """Return what departs in windows that end now."""
        if self.expected is None or self._columns is None:
            return ()
        if any(start < self.end <= stop for start, stop in self.planned):
            self.start_at(self.end)
            return ()
        judge = batch if self.expected.baseline.is_batch else volume
        signals = [*judge(self, self.expected), *growth(self, self.expected), *self._columns.departures()]
        if any(stop <= self.end <= stop + _CATCH_UP_STEPS for _, stop in self.planned):
            for group in {"late", "flood", *(signal.group for signal in signals)} - {"volume"}:
                self.start_at(self.end, group)
            return [signal for signal in signals if signal.group == "volume"]
        return signals


class Watch:
    """All feeds, with their incidents. Steps are five minutes, numbered from 1970, as the counts of the inbox are."""

    def __init__(
        self,
        zones: Mapping[str, tzinfo],
        first: int,
        calendar: Calendar = Calendar(),  # noqa: B008 - frozen
        topology: Topology = Topology(),  # noqa: B008 - frozen
        earlier: Sequence[Incident] = (),
    ) -> None:
        """`first` is the first step of which counts come; `earlier` are incidents of before."""
        self._topology = topology
        anew = {name: incident.since for incident in earlier if incident.is_accepted for name in incident.feeds}
        self.feeds = {
            name: WatchedFeed(name, zone, max(first, anew.get(name, first)), calendar) for name, zone in zones.items()
        }
        self.incidents = Incidents(topology, earlier)
        self._low: dict[str, tuple[int, int]] = {}
        """The first and the newest step in which a feed had fewer messages than expected."""

    def load(self, counts: Mapping[str, Mapping[int, Counts]], end: int) -> None:
        """Take the steps up to `end` without judging them, by feed; they are learned where no incident was."""
        for incident in self.incidents.all:
            if not incident.is_accepted:
                self._leave_out(incident, (incident.closed or end) + 1)
        for name, feed in self.feeds.items():
            steps = counts.get(name, {})
            for step in range(feed.end, end):
                feed.take(steps.get(step, _NO_COUNTS))
            if feed.history.length >= LEARN_DAYS * STEPS_A_DAY:
                feed.learn()

    def _leave_out(self, incident: Incident, end: int) -> None:
        for name in self.feeds.keys() & set(incident.feeds if incident.kind != MORE else ()):
            self.feeds[name].history.leave_out(incident.since, end)  # what grows is the new usual as it comes

    def step(self, counts: Mapping[str, Counts]) -> tuple[list[Incident], list[Incident]]:
        """Take the counts of the next step by feed and name; return the incidents that it opens and those it closes."""
        signals: list[Signal] = []
        for feed in self.feeds.values():
            feed.append(counts.get(feed.name, _NO_COUNTS))
            signals += feed.signals()
        end = max((feed.end for feed in self.feeds.values()), default=0)
        judged = [signal for signal in (self._with_siblings(signal, end) for signal in signals) if signal.kind]
        begun = self.incidents.take(end, judged)
        for signal in judged:
            feed = self.feeds[signal.feed]
            if signal.kind != MORE:
                feed.history.leave_out(signal.since, end)
            feed.start_at(end, signal.group)
        for incident in self.incidents.open:
            self._leave_out(incident, end)
        return begun, self.incidents.close(end, self._weight_since)

    def _weight_since(self, name: str, group: str, step: int) -> float:
        """Return the messages that came since a step, or that were due where messages themselves are in question."""
        return self.feeds[name].came_and_due(step)[group == "volume"] if name in self.feeds else float("inf")

    def _with_siblings(self, signal: Signal, end: int) -> Signal:
        """Where all feeds of one origin have fewer messages alike, name that and no fault: weather, a strike.

        Where that cannot be told yet, the signal has no kind: it is held for some hours at most.
        """
        if signal.kind not in ("low", "silent", "flapping") or signal.subject:
            return signal
        feed = self.feeds[signal.feed]
        came, due = feed.came_and_due(signal.since)
        ratio = came / max(due, 1e-9)
        fewer = replace(signal, kind=FEWER, subject=self._topology.through.get(signal.feed, ""), is_strong=False)
        alike = [incident for incident in self.incidents.open if incident.kind == FEWER]
        if any(self._goes_on(incident, signal, ratio, due) for incident in alike):
            return fewer
        if signal.kind != "low":
            return signal
        since, seen = self._low.get(signal.feed, (end, end))
        since = end if end - seen > HOLD_STEPS else since
        self._low[signal.feed] = since, end
        siblings = self._topology.siblings(signal.feed)
        evidence = [self.feeds[name].fits(signal.since, ratio) for name in siblings if name in self.feeds]
        judged = [number for number in evidence if number is not None]
        if judged and min(judged) > 0 and sum(judged) > _SURE:
            return fewer
        if not judged or sum(judged) < -2 * _SURE or end - since > _WAIT_STEPS:
            return signal
        return replace(signal, kind="")

    def _goes_on(self, incident: Incident, signal: Signal, ratio: float, due: float) -> bool:
        """Return whether no more is missing of a feed than chance leaves where they are as few as in an incident."""
        if signal.kind == "low":  # its windows may begin before the incident, and so does its share
            return signal.feed in incident.feeds or ratio <= (1 + incident.ratio) / 2
        feed = self.feeds[signal.feed]
        evidence = feed.fits(signal.since, incident.ratio)
        if evidence is None or evidence < _SURE or feed.expected is None:
            return False
        return few(ratio * due, incident.ratio * due, feed.expected.baseline.spread) >= _CHANCE
