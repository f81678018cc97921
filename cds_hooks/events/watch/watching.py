"""Watches feeds step by step: history, baseline, signals, incidents. An open incident is never learned."""

from collections.abc import Mapping, Sequence
from datetime import date, tzinfo
from math import log
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from cds_hooks.events.watch.baseline import Baseline, Expected, expect, learn
from cds_hooks.events.watch.contents import Columns
from cds_hooks.events.watch.history import STEPS_A_DAY, Counts, History
from cds_hooks.events.watch.incidents import FEWER, HOLD_STEPS, MORE, Incident, Incidents, Topology
from cds_hooks.events.watch.signals import Signal, Starts
from cds_hooks.events.watch.tails import few
from cds_hooks.events.watch.volumes import FeedNow, batch, growth, volume

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


class WatchedFeed:
    """One feed under watch."""

    def __init__(self, name: str, zone: tzinfo, first: int, planned: Sequence[tuple[int, int]]) -> None:
        self.name, self.zone, self.planned = name, zone, planned
        self.history = History(first)
        self.baseline: Baseline | None = None
        self.expected: Expected | None = None
        self.starts = Starts(first)
        self._columns: Columns | None = None
        self._learned = 0
        self._left_out: list[tuple[int, int]] = [(start, end + _CATCH_UP_STEPS) for start, end in planned]

    def is_planned(self, step: int) -> bool:
        """Return whether a downtime was announced for a step."""
        return any(start <= step < end for start, end in self.planned)

    def leave_out(self, start: int, end: int) -> None:
        """Do not learn from these steps."""
        if self._left_out and self._left_out[-1][0] <= start <= self._left_out[-1][1]:
            self._left_out[-1] = (self._left_out[-1][0], max(end, self._left_out[-1][1]))
        else:
            self._left_out.append((start, end))

    def is_left_out(self, step: int) -> bool:
        """Return whether nothing is learned from a step."""
        return any(start <= step < end for start, end in self._left_out)

    def append(self, counts: Counts, holidays: frozenset[date]) -> None:
        """Add a step, and learn where it is time to."""
        self.history.append(counts, self.is_left_out)
        if self._columns is not None:
            self._columns.append(counts)
        end = self.history.end
        wait = _LEARN_AGAIN_STEPS if self.baseline is not None else LEARN_DAYS * STEPS_A_DAY
        is_due = end - max(self._learned, self.history.first) >= wait
        if is_due and (self.baseline is None or not self.is_left_out(end - 1)):
            self.learn(holidays)
        if self.baseline is not None and (self.expected is None or end + 13 >= self.expected.start + _BEHIND + _AHEAD):
            start = end - _BEHIND
            self.expected = expect(self.baseline, start, start + _BEHIND + _AHEAD, holidays, self.planned)

    def learn(self, holidays: frozenset[date]) -> None:
        """Learn what is expected from now on."""
        end = self.history.end
        baseline = learn(self.history, self.zone, holidays, self.is_left_out)
        if baseline is None:
            return
        if self.baseline is None:
            self.starts = Starts(end)
        self.baseline, self.expected, self._learned = baseline, None, end
        self._columns = Columns(self.name, self.history, baseline)

    def signals(self) -> Sequence[Signal]:
        """Return what departs in windows that end now."""
        end = self.history.end
        if self.baseline is None or self.expected is None or self._columns is None:
            return ()
        if self.is_planned(end - 1):
            self.starts = Starts(end)
            return ()
        now = FeedNow(self.name, self.history, self.expected, self.baseline, end, self.starts)
        counted = batch(now) if self.baseline.is_batch else volume(now)
        departures = self._columns.departures(self.history, end, self.starts)
        signals = [*counted, *growth(now, self._left_out), *departures]
        if any(stop <= end <= stop + _CATCH_UP_STEPS for _, stop in self.planned):
            for group in {"late", "flood", *(signal.group for signal in signals)} - {"volume"}:
                self.starts.set(group, end)
            return [signal for signal in signals if signal.group == "volume"]
        return signals

    def weight_since(self, group: str, step: int) -> float:
        """Return the messages that came since a step, or that were due where messages themselves are in question."""
        end = self.history.end
        if group == "volume" and self.expected is not None:
            at = max(step - self.expected.start, 0)
            return float(self.expected.low[end - self.expected.start] - self.expected.low[at])
        return float(self.history.messages(step, end).sum())

    def share_since(self, since: int) -> float:
        """Return what came since a step as a share of what was expected."""
        came = float(self.history.messages(since, self.history.end).sum())
        return came / max(self.weight_since("volume", since), 1e-9)

    def fits(self, since: int, ratio: float) -> float | None:
        """Return the evidence that this feed has changed by the same ratio since a step, as a log likelihood ratio."""
        if self.baseline is None or self.expected is None or self.baseline.is_batch or ratio <= 0:
            return None
        mean = self.weight_since("volume", since)
        count = float(self.history.messages(since, self.history.end).sum())
        return (count * log(ratio) - mean * (ratio - 1)) / self.baseline.spread


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
        self._calendar, self._topology = calendar, topology
        anew = {name: incident.since for incident in earlier if incident.is_accepted for name in incident.feeds}
        self.feeds = {
            name: WatchedFeed(name, zone, max(first, anew.get(name, first)), calendar.planned.get(name, ()))
            for name, zone in zones.items()
        }
        self.incidents = Incidents(topology, earlier)
        self._low: dict[str, tuple[int, int]] = {}
        """The first and the newest step in which a feed had fewer messages than expected."""

    def load(self, counts: Mapping[str, Mapping[int, Counts]], end: int) -> None:
        """Take the steps up to `end` without judging them, by feed; they are learned where no incident was."""
        for incident in self.incidents.all:
            for name in () if incident.is_accepted or incident.kind == MORE else incident.feeds:
                if name in self.feeds:
                    self.feeds[name].leave_out(incident.since, (incident.closed or end) + 1)
        for name, feed in self.feeds.items():
            steps = counts.get(name, {})
            for step in range(feed.history.first, end):
                feed.history.append(steps.get(step, _NO_COUNTS), feed.is_left_out)
            if end - feed.history.first >= LEARN_DAYS * STEPS_A_DAY:
                feed.learn(self._calendar.holidays)

    def step(self, counts: Mapping[str, Counts]) -> tuple[list[Incident], list[Incident]]:
        """Take the counts of the next step by feed and name; return the incidents that it opens and those it closes."""
        signals: list[Signal] = []
        for feed in self.feeds.values():
            feed.append(counts.get(feed.name, _NO_COUNTS), self._calendar.holidays)
            signals += feed.signals()
        end = max((feed.history.end for feed in self.feeds.values()), default=0)
        signals = [self._with_siblings(signal, end) for signal in signals] if signals else signals
        judged = [signal for signal in signals if signal.kind]
        begun = self.incidents.take(end, judged)
        for signal in judged:
            feed = self.feeds[signal.feed]
            if signal.kind != MORE:  # what grows is the new usual as it comes
                feed.leave_out(signal.since, end)
            feed.starts.set(signal.group, end)
        for incident in self.incidents.open:
            for name in self.feeds.keys() & set(incident.feeds if incident.kind != MORE else ()):
                self.feeds[name].leave_out(incident.since, end)
        return begun, self.incidents.close(end, self._weight_since)

    def _weight_since(self, name: str, group: str, step: int) -> float:
        return self.feeds[name].weight_since(group, step) if name in self.feeds else float("inf")

    def _with_siblings(self, signal: Signal, end: int) -> Signal:
        """Where all feeds of one origin have fewer messages alike, name that and no fault: weather, a strike.

        Where that cannot be told yet, the signal has no kind: it is held for some hours at most.
        """
        if signal.kind not in ("low", "silent", "flapping") or signal.subject:
            return signal
        feed, source = self.feeds[signal.feed], self._topology.through.get(signal.feed, "")
        fewer = replace(signal, kind=FEWER, subject=source, is_strong=False)
        ratio = feed.share_since(signal.since)
        if any(self._goes_on(incident, signal, ratio) for incident in self.incidents.open if incident.kind == FEWER):
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

    def _goes_on(self, incident: Incident, signal: Signal, ratio: float) -> bool:
        """Return whether no more is missing of a feed than chance leaves where they are as few as in an incident."""
        if signal.kind == "low":  # its windows may begin before the incident, and so does its share
            return signal.feed in incident.feeds or ratio <= (1 + incident.ratio) / 2
        feed = self.feeds[signal.feed]
        evidence, mean = feed.fits(signal.since, incident.ratio), feed.weight_since("volume", signal.since)
        if evidence is None or evidence < _SURE or feed.baseline is None:
            return False
        return few(ratio * mean, incident.ratio * mean, feed.baseline.spread) >= _CHANCE
