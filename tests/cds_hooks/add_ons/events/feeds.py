"""Generated months of twelve feeds, with a holiday or a planted incident, as counts of five minutes by name.

The parameters are those of the shared data (events/feeds/generator.json). Counts are drawn for whole months at once:
messages from negative binomials, properties from binomials, latencies for all messages together.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from math import log
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from cds_hooks.add_ons.events.watch.history import STEPS_A_DAY

ZONE = ZoneInfo("America/New_York")
MONTH_DAYS = 28
LEARN_DAYS = 14
_GROUPS = 6
_STOPS = frozenset(
    {
        "dead feed", "dead feed at night", "dead feed by weekend", "batch missing", "queue then burst", "engine down",
        "network down", "incident during planned downtime", "incident during a holiday",
    }
)  # fmt: skip
_LOG_STEP = log(1.25)
Numbers = NDArray[np.float64]
Counts = dict[str, float]


@dataclass
class Event:
    """What happens in a month: an incident of some feeds, a holiday or an announced downtime."""

    kind: str = ""
    feeds: frozenset[str] = frozenset()
    start: int = 0
    """The first step, counted from the first day of the month."""
    end: int = 0
    holiday: int = -1
    """The day of the month that is a holiday."""
    downtime: int = -1
    """The step at which an announced downtime of two hours begins."""
    fields: dict[str, str] = field(default_factory=dict)


class Month:
    """28 days of the twelve feeds after some days before; `feed(name)` gives the counts of each step."""

    def __init__(self, folder: Path, seed: int, first_day: date, days_before: int, event: Event) -> None:
        self.spec = json.loads((folder / "generator.json").read_text(encoding="utf-8"))
        self.feeds = {feed["id"]: feed for feed in self.spec["feeds"]}
        self.event, self.first_day, self.seed = event, first_day, seed
        self.before = days_before * STEPS_A_DAY
        self.steps = self.before + MONTH_DAYS * STEPS_A_DAY
        start = datetime(first_day.year, first_day.month, first_day.day, tzinfo=ZONE)
        self.first = int(start.timestamp()) // 300 - self.before
        moments = [datetime.fromtimestamp((self.first + step) * 300, ZONE) for step in range(self.steps)]
        self._hours = np.array([moment.hour for moment in moments])
        self.weekdays = np.array([moment.weekday() for moment in moments])
        self.days = np.array([(moment.date() - first_day).days for moment in moments])

    def holidays(self) -> frozenset[date]:
        """Return the holidays that the site declares."""
        day = self.event.holiday
        return frozenset({self.first_day + timedelta(days=day)}) if day >= 0 else frozenset()

    def planned(self) -> list[tuple[int, int]]:
        """Return the announced downtimes as steps."""
        start = self.first + self.before + self.event.downtime
        return [(start, start + 24)] if self.event.downtime >= 0 else []

    def feed(self, name: str) -> list[Counts]:
        """Return what is counted of a feed in each step."""
        return _FeedMonth(self, name).counts()

    def during(self, name: str, *kinds: str) -> NDArray[np.bool_]:
        steps = np.arange(self.steps) - self.before
        happens = self.event.kind in kinds and name in self.event.feeds
        return (steps >= self.event.start) & (steps < self.event.end) & happens

    def means(self, name: str) -> Numbers:
        feed = self.feeds[name]
        hours = np.array(self.spec["hour_shapes"][feed["shape"]], dtype=float)
        days = np.array(self.spec["day_shapes"][feed["shape"]], dtype=float)
        scale = feed["rate_per_hour"] / 12 / np.outer(days, hours).mean()
        means = scale * days[self.weekdays] * hours[self._hours]
        if self.event.holiday >= 0:
            factor = days[6] / days[self.weekdays] if feed["shape"] == "clinic" else 0.85
            means = np.where(self.days == self.event.holiday, means * factor, means)
        return np.asarray(means)


class _FeedMonth:
    """The draws of one feed."""

    def __init__(self, month: Month, name: str) -> None:
        self.month, self.name, self.feed, self.event = month, name, month.feeds[name], month.event
        self.random = np.random.default_rng([month.seed, list(month.feeds).index(name)])
        self.means = month.means(name)

    def during(self, *kinds: str) -> NDArray[np.bool_]:
        return self.month.during(self.name, *kinds)

    def counts(self) -> list[Counts]:
        fresh, extra_minutes = self._volumes()
        table: list[Counts] = [{} for _ in range(self.month.steps)]
        _add(table, "messages", fresh)
        self._properties(table, fresh)
        self._latencies(table, fresh, extra_minutes)
        return table

    def _draw(self, means: Numbers) -> NDArray[np.int64]:
        size = np.maximum(means, 1e-9) / (self.feed["dispersion"] - 1)
        drawn = self.random.negative_binomial(size, 1 / self.feed["dispersion"])
        return np.where(means > 0, drawn, 0)

    def _volumes(self) -> tuple[NDArray[np.int64], Numbers]:
        """Messages, and the minutes by which they come later."""
        month, event, during = self.month, self.event, self.during
        factor = np.ones(month.steps)
        factor[during(*_STOPS)] = 0.0
        factor[during("one sender of a feed lost")] = 1 - 1 / _GROUPS
        if self.name == "adt":
            factor[during("cascade")] = 0.0
        fresh = self._draw(self.means * factor)
        minutes = np.zeros(month.steps)
        if event.kind == "queue then burst" and self.name in event.feeds:
            self._release(fresh, minutes, event.start, event.end, event.end + 1)
        if event.downtime >= 0 and not (event.kind and self.name in event.feeds):
            self._release(fresh, minutes, event.downtime, event.downtime + 24, event.downtime + 32)
        elif event.downtime >= 0:
            fresh[during("incident during planned downtime")] = 0
        return fresh, minutes

    def _release(self, fresh: NDArray[np.int64], minutes: Numbers, start: int, end: int, caught_up: int) -> None:
        """Hold messages back and let them come after the end."""
        before = self.month.before
        held = int(self._draw(self.means[before + start : before + end]).sum())
        fresh[before + start : before + end] = 0
        shares = np.full(caught_up - end, 1 / (caught_up - end))
        fresh[before + end : before + caught_up] += self.random.multinomial(held, shares)
        minutes[before + end : before + caught_up] = 60.0

    def _properties(self, table: list[Counts], fresh: NDArray[np.int64]) -> None:
        feed, during, steps = self.feed, self.during, self.month.steps
        since = np.arange(steps) - self.month.before - self.event.start
        unknown = np.full(steps, 0.002)
        unknown[during("wrong patient identifiers")] = 0.25
        if self.name != "adt":
            unknown[during("cascade") & (since >= 6)] = 0.4
        for name, share in (
            ("state:dead", feed["ack_error_rate"]), ("unknown-patients", unknown),
            ("duplicate", feed["duplicate_rate"]), ("out-of-order", feed["out_of_order_rate"]),
        ):  # fmt: skip
            _add(table, name, self.random.binomial(fresh, share))
        if self.name == "lab-poc":
            lost = during("one sender of a feed lost")
            groups = np.zeros((steps, _GROUPS), dtype=np.int64)
            groups[~lost] = self.random.multinomial(fresh[~lost], np.full(_GROUPS, 1 / _GROUPS))
            groups[lost, 1:] = self.random.multinomial(fresh[lost], np.full(_GROUPS - 1, 1 / (_GROUPS - 1)))
            for group in range(_GROUPS):
                _add(table, f"sender:G{group}", groups[:, group])

    def _latencies(self, table: list[Counts], fresh: NDArray[np.int64], extra_minutes: Numbers) -> None:
        steps = np.repeat(np.arange(self.month.steps), fresh)
        spread = np.exp(self.feed["latency_sigma"] * self.random.standard_normal(len(steps)))
        minutes = self.feed["latency_median_min"] * spread
        late = self.random.random(len(steps)) < 1 / 400
        minutes[late] *= self.random.uniform(5, 40, int(late.sum()))
        seconds = 60 * (minutes + extra_minutes[steps])
        _tally(table, "latency:", steps, (np.log(np.maximum(seconds, 1.0)) / _LOG_STEP).astype(int))


def _add(table: list[Counts], name: str, counts: NDArray[np.int64]) -> None:
    for step in np.flatnonzero(counts).tolist():
        table[step][name] = float(counts[step])


def _tally(table: list[Counts], prefix: str, steps: NDArray[np.int64], keys: NDArray[np.int64]) -> None:
    if not len(steps):
        return
    width = int(keys.max()) + 1
    pairs, counts = np.unique(steps * width + keys, return_counts=True)
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        table[pair // width][f"{prefix}{pair % width}"] = float(count)


def incident_months(folder: Path, shift: int) -> Iterator[Month]:
    """Yield a month for each planted incident; `shift` is added to the seeds that are given."""
    with (folder / "incidents.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            start = round(float(row["start_hour"]) * 12)
            end = start + round(float(row["duration_h"]) * 12)
            event = Event(row["kind"], frozenset(row["feeds"].split("|")), start, end, fields=row)
            if row["kind"] == "incident during a holiday":
                event.holiday = event.start // STEPS_A_DAY
            if row["kind"] == "incident during planned downtime":
                event.downtime = event.start
            yield Month(folder, int(row["seed"]) + shift, date(2026, 5, 4), 0, event)


def clean_months(folder: Path, shift: int) -> Iterator[Month]:
    """Yield the months in which nothing happens that a person must act on, each after two weeks before it."""
    with (folder / "clean_months.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            event = Event(holiday=21 if "public holiday" in row["benign_events"] else -1, fields=row)
            yield Month(folder, int(row["seed"]) + shift, date.fromisoformat(row["first_day"]), LEARN_DAYS, event)
