"""Watches feeds step by step: what came, what is usual, signals, incidents. An open incident is never learned."""

from collections.abc import Mapping, Sequence
from datetime import date, tzinfo
from typing import Final

from cds_hooks.add_ons.events.watch.baseline import learn
from cds_hooks.add_ons.events.watch.departures import Judge
from cds_hooks.add_ons.events.watch.history import CATCH_UP_STEPS, STEPS_A_DAY, Counts, Feed, Signal
from cds_hooks.add_ons.events.watch.incidents import Incident, Incidents, Topology

LEARN_DAYS: Final = 14
_LEARN_AGAIN_STEPS: Final = 7 * STEPS_A_DAY


class WatchedFeed(Feed):
    """A feed that learns from its steps and judges each of them."""

    def __init__(
        self, name: str, zone: tzinfo, first: int, holidays: frozenset[date], planned: Sequence[tuple[int, int]] = ()
    ) -> None:
        super().__init__(name, first, planned)
        self._zone, self._holidays, self._learned = zone, holidays, first
        self.judge: Judge | None = None

    def append(self, counts: Counts) -> None:
        """Add a step, and learn where it is time to."""
        self.take(counts)
        if self.judge is not None:
            self.judge.append(counts)
        wait = _LEARN_AGAIN_STEPS if self.judge is not None else LEARN_DAYS * STEPS_A_DAY
        if self.end - self._learned >= wait and (self.judge is None or self.end - 1 not in self.left_out):
            self.learn()

    def learn(self) -> None:
        """Learn what is usual from now on, where enough came."""
        baseline = learn(self, self._zone, self._holidays)
        if baseline is None:
            return
        if self.judge is None:
            self.judge_from(self.end)
        self._learned, self.judge = self.end, Judge(self, baseline)

    def signals(self) -> list[Signal]:
        """Return what departs in windows that end now."""
        if self.judge is None:
            return []
        if any(start < self.end <= stop for start, stop in self.planned):
            self.judge_from(self.end)
            return []
        signals = [*self.judge.departures()]
        if any(stop <= self.end <= stop + CATCH_UP_STEPS for _, stop in self.planned):  # what waited comes in
            for group in {"late", "flood", *(signal.group for signal in signals)} - {"volume"}:
                self.judge_from(self.end, group)
            return [signal for signal in signals if signal.group == "volume"]
        return signals


class Watch:
    """All feeds, with their incidents. Steps are five minutes, numbered from 1970, as the counts of the inbox are."""

    def __init__(
        self,
        zones: Mapping[str, tzinfo],
        first: int,
        topology: Topology = Topology(),  # noqa: B008 - frozen
        earlier: Sequence[Incident] = (),
        holidays: frozenset[date] = frozenset(),
        planned: Mapping[str, Sequence[tuple[int, int]]] = {},
    ) -> None:
        """`first` is the first step of which counts come, `planned` are announced downtimes by feed, as steps."""
        anew = {name: incident.since for incident in earlier if incident.is_accepted for name in incident.feeds}
        self.feeds = {
            name: WatchedFeed(name, zone, max(first, anew.get(name, first)), holidays, planned.get(name, ()))
            for name, zone in zones.items()
        }
        self.incidents = Incidents(topology, earlier)

    def load(self, counts: Mapping[str, Mapping[int, Counts]], end: int) -> None:
        """Take the steps up to `end` without judging them, by feed; they are learned where no incident was."""
        for incident in self.incidents.all:
            if not incident.is_accepted:
                self._leave_out(incident, (incident.closed or end) + 1)
        for name, feed in self.feeds.items():
            steps = counts.get(name, {})
            for step in range(feed.end, end):
                feed.take(steps.get(step, {}))
            if feed.end - feed.first >= LEARN_DAYS * STEPS_A_DAY:
                feed.learn()

    def _leave_out(self, incident: Incident, end: int) -> None:
        for name in self.feeds.keys() & set(incident.feeds):
            self.feeds[name].left_out.update(range(max(incident.since, self.feeds[name].first), end))

    def step(self, counts: Mapping[str, Counts]) -> tuple[list[Incident], list[Incident]]:
        """Take the counts of the next step by feed and name; return the incidents that it opens and those it closes."""
        signals: list[Signal] = []
        for feed in self.feeds.values():
            feed.append(counts.get(feed.name, {}))
            signals += feed.signals()
        end = max((feed.end for feed in self.feeds.values()), default=0)
        begun = self.incidents.take(end, signals)
        for signal in signals:
            self.feeds[signal.feed].judge_from(end, signal.group)
        for incident in self.incidents.open:
            self._leave_out(incident, end)
        return begun, self.incidents.close(end, self._due)

    def _due(self, name: str, start: int, end: int) -> float:
        judge = self.feeds[name].judge if name in self.feeds else None
        return float(judge.baseline.due(start, end)[0].sum()) if judge is not None else 0.0
