"""Generated months of twelve feeds, with benign events and planted incidents, as counts of five minutes by name.

The parameters are those of the shared data (events/feeds/generator.json). Counts are drawn for whole months at once:
messages from negative binomials, properties from binomials, codes, latencies and values for all messages together.
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

from cds_hooks.events.watch.history import STEPS_A_DAY

ZONE = ZoneInfo("America/New_York")
MONTH_DAYS = 28
LEARN_DAYS = 14
_GROUPS = 6
_FACTORS = {
    "inc-09": 0.62, "inc-10": 0.55, "inc-11": 0.8, "inc-15": 6.0, "inc-16": 2.5, "inc-23": 88.4, "inc-24": 0.0555,
}  # fmt: skip
_CODES = {"inc-23": "2160-0", "inc-24": "2345-7"}
_STOPS = frozenset(
    {
        "dead feed", "dead feed at night", "dead feed by weekend", "batch missing", "queue then burst", "engine down",
        "network down", "incident during planned downtime", "incident during a holiday",
    }
)  # fmt: skip
_LOG_STEP, _LOG_GAMMA, _SPAN = log(1.25), log(1.01 / 0.99), 1 << 20
Numbers = NDArray[np.float64]
Counts = dict[str, float]


@dataclass
class Event:
    """What happens in a month: an incident of some feeds, or something benign."""

    kind: str = ""
    benign: str = ""
    feeds: frozenset[str] = frozenset()
    start: int = 0
    """The first step, counted from the first day of the month."""
    end: int = 0
    factor: float = 1.0
    code: str = ""
    holiday: int = -1
    """The day of the month that is a holiday."""
    downtime: int = -1
    """The step at which an announced downtime of two hours begins."""
    day_variation: float = 0.0
    """The standard deviation of the logarithm of each day's level, by feed."""
    is_about_levels: bool = False
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
        shares = np.arange(1, 301) ** -1.1
        self.code_shares = shares / shares.sum()
        self.codes = [*(code["loinc"] for code in self.spec["codes"]), *(f"C{rank}" for rank in range(11, 301))]
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
        benign, is_clinic = self.event.benign, feed["shape"] == "clinic"
        if self.event.holiday >= 0:
            factor = days[6] / days[self.weekdays] if is_clinic else 0.85
            means = np.where(self.days == self.event.holiday, means * factor, means)
        if "growth" in benign and name == "clinic-a":
            means = means * 1.006 ** np.maximum(self.days, 0)
        if "respiratory" in benign and name == "lab-core":
            means = means * (1 + 0.35 * np.clip((self.days - 10) / 14, 0, 1))
        if "storm" in benign:
            means = np.where(self.days == 16, means * (0.35 if is_clinic else 1.05), means)
        if "weekend clinic" in benign and name == "clinic-b":
            means = np.where((self.weekdays == 5) & (self.days >= 7), means * 4, means)
        if "silence" in benign and name == "pathology":
            silent = (self.weekdays == 5) & (self._hours >= 8) | (self.weekdays == 6) & (self._hours < 10)
            means = np.where(silent & (self.days >= 14), 0.0, means)
        return np.asarray(means) * self._levels(name)

    def _levels(self, name: str) -> Numbers:
        """Return by what each day changes the messages of a feed."""
        event, levels = self.event, np.ones(self.steps)
        if event.day_variation:
            random = np.random.default_rng([self.seed, 1000 + list(self.feeds).index(name)])
            by_day = np.exp(random.normal(0.0, event.day_variation, self.steps // STEPS_A_DAY + 2))
            levels = by_day[self.days - self.days[0]]
        return np.asarray(levels)


class _FeedMonth:
    """The draws of one feed."""

    def __init__(self, month: Month, name: str) -> None:
        self.month, self.name, self.feed, self.event = month, name, month.feeds[name], month.event
        self.random = np.random.default_rng([month.seed, list(month.feeds).index(name)])
        self.means = month.means(name)

    def during(self, *kinds: str) -> NDArray[np.bool_]:
        return self.month.during(self.name, *kinds)

    def counts(self) -> list[Counts]:
        messages, fresh, duplicates, extra_minutes = self._volumes()
        table: list[Counts] = [{} for _ in range(self.month.steps)]
        _add(table, "messages", messages)
        if self.event.is_about_levels:  # how many come depends on nothing else, and the rest takes ten times as long
            return table
        self._properties(table, fresh, duplicates)
        self._latencies(table, fresh, extra_minutes)
        self._contents(table, fresh)
        return table

    def _draw(self, means: Numbers) -> NDArray[np.int64]:
        size = np.maximum(means, 1e-9) / (self.feed["dispersion"] - 1)
        drawn = self.random.negative_binomial(size, 1 / self.feed["dispersion"])
        return np.where(means > 0, drawn, 0)

    def _volumes(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Numbers]:
        """Messages, those that are no resends, resends, and the minutes by which messages come later."""
        month, event, during = self.month, self.event, self.during
        factor = np.ones(month.steps)
        factor[during(*_STOPS)] = 0.0
        factor[during("flood")] = 8.0
        factor[during("batch partial", "partial loss")] = event.factor
        factor[during("one sender of a feed lost")] = 1 - 1 / _GROUPS
        steps = np.arange(month.steps) - month.before - event.start
        factor[during("flapping") & (steps % 7 < 3)] = 0.0
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
        if "70 minutes late" in event.benign and self.name == "claims-nightly":
            start = month.before + 18 * STEPS_A_DAY + 24
            batch = fresh[start : start + 12].copy()
            fresh[start : start + 12] = 0
            fresh[start + 14 : start + 26] = batch
        duplicates = np.zeros(month.steps, dtype=np.int64)
        flood = during("flood")
        duplicates[flood] = (0.7 * fresh[flood]).astype(int)
        fresh = fresh - duplicates
        replay = np.flatnonzero(during("replay of a day"))
        for step in replay:
            day = fresh[replay[0] - STEPS_A_DAY : replay[0]].sum()
            duplicates[step] = round(day / len(replay))
        return fresh + duplicates, fresh, duplicates, minutes

    def _release(self, fresh: NDArray[np.int64], minutes: Numbers, start: int, end: int, caught_up: int) -> None:
        """Hold messages back and let them come after the end."""
        before = self.month.before
        held = int(self._draw(self.means[before + start : before + end]).sum())
        fresh[before + start : before + end] = 0
        shares = np.full(caught_up - end, 1 / (caught_up - end))
        fresh[before + end : before + caught_up] += self.random.multinomial(held, shares)
        minutes[before + end : before + caught_up] = 60.0

    def _properties(self, table: list[Counts], fresh: NDArray[np.int64], duplicates: NDArray[np.int64]) -> None:
        feed, event, during, steps = self.feed, self.event, self.during, self.month.steps
        since = np.arange(steps) - self.month.before - event.start
        errors = np.full(steps, feed["ack_error_rate"])
        errors[during("ack errors")] = 0.3
        errors[during("database slow")] = 0.05
        creeping = during("ack errors creeping")
        errors[creeping] += 0.029 * np.clip(since[creeping] / 288, 0, 1)
        unknown = np.full(steps, 0.002)
        unknown[during("wrong patient identifiers")] = 0.25
        if self.name != "adt":
            unknown[during("cascade") & (since >= 6)] = 0.4
        twice = np.where(during("duplicates"), 0.2, feed["duplicate_rate"])
        order = np.where(during("out of order"), 0.12, feed["out_of_order_rate"])
        _add(table, "state:dead", self.random.binomial(fresh, errors))
        _add(table, "unknown-patients", self.random.binomial(fresh, unknown))
        _add(table, "duplicate", duplicates + self.random.binomial(fresh, twice))
        _add(table, "out-of-order", self.random.binomial(fresh, order))
        _add(table, "no-offset", np.where(during("clock wrong after change"), fresh, 0))
        if self.name == "lab-poc":
            lost = during("one sender of a feed lost")
            groups = np.zeros((steps, _GROUPS), dtype=np.int64)
            groups[~lost] = self.random.multinomial(fresh[~lost], np.full(_GROUPS, 1 / _GROUPS))
            groups[lost, 1:] = self.random.multinomial(fresh[lost], np.full(_GROUPS - 1, 1 / (_GROUPS - 1)))
            for group in range(_GROUPS):
                _add(table, f"sender:G{group}", groups[:, group])

    def _latencies(self, table: list[Counts], fresh: NDArray[np.int64], extra_minutes: Numbers) -> None:
        feed, during = self.feed, self.during
        steps = np.repeat(np.arange(self.month.steps), fresh)
        minutes = feed["latency_median_min"] * np.exp(feed["latency_sigma"] * self.random.standard_normal(len(steps)))
        late = self.random.random(len(steps)) < 1 / 400
        minutes[late] *= self.random.uniform(5, 40, int(late.sum()))
        factor, shift = np.ones(self.month.steps), extra_minutes.copy()
        factor[during("latency step")] = self.event.factor
        factor[during("database slow")] = 4.0
        creeping = during("latency creep")
        factor[creeping] = np.linspace(1, 2, int(creeping.sum()))
        shift[during("clock wrong at sender")] -= 60
        shift[during("clock wrong after change")] += 240
        seconds = 60 * (minutes * factor[steps] + shift[steps])
        sizes = (np.log(np.maximum(np.abs(seconds), 1.0)) / _LOG_STEP).astype(int)
        _tally(table, "latency:", steps, np.where(seconds < 0, -sizes, sizes))

    def _contents(self, table: list[Counts], fresh: NDArray[np.int64]) -> None:
        steps = np.repeat(np.arange(self.month.steps), fresh)
        codes = self.random.choice(300, len(steps), p=self.month.code_shares)
        unmapped = self.random.random(len(steps)) < self.feed["unmapped_rate"]
        replaced = (codes == 0) & self.during("unmapped codes")[steps]
        replaced &= self.random.random(len(steps)) < 0.08 / self.month.code_shares[0]
        codes[replaced] = 300
        rare = self.during("unmapped codes rare")[steps] & (self.random.random(len(steps)) < 0.02)
        codes[rare] = 150 + self.random.integers(6, size=int(rare.sum()))
        unmapped |= replaced | self.during("unmapped codes rare")[steps] & (codes >= 150) & (codes < 156)
        stuck = self.during("value stuck")[steps] & (self.random.random(len(steps)) < 1 / _GROUPS)
        codes[stuck] = 3
        names = [*self.month.codes, "KAL2"]
        _add(table, "results", fresh)
        _tally(table, "result:", steps, codes, names)
        _tally(table, "unmapped:", steps[unmapped], codes[unmapped], names)
        for index in range(10):
            chosen = (codes == index) & ~unmapped
            self._values(table, index, steps[chosen], stuck[chosen])

    def _values(self, table: list[Counts], index: int, steps: NDArray[np.int64], stuck: NDArray[np.bool_]) -> None:
        spec, event, during = self.month.spec["codes"][index], self.event, self.during
        mean, code = np.full(self.month.steps, float(spec["mean"])), spec["loinc"]
        days = self.month.days
        if "respiratory" in event.benign and self.name == "lab-core" and code == "6690-2":
            mean += 0.8 * np.clip((days - 10) / 14, 0, 1)
        if "analyser" in event.benign and code == "2823-3":
            mean += np.where(days >= 15, 0.05, 0)
        if code == "2951-2":
            mean += np.where(during("calibration shift"), 4.0, 0)
        if code == "2823-3":
            mean += np.where(during("calibration shift small"), 0.25, 0)
        values = np.maximum(0.05, self.random.normal(mean[steps], spec["sd"]))
        if code == event.code:
            values = np.where(during("unit drift")[steps], values * event.factor, values)
        renamed = during("unit label changed")[steps] & (code == "17861-6")
        values = np.where(renamed, values * 0.2495, values)
        values = np.where(stuck, 100.0, values)
        values = np.maximum(np.round(values, 2 if spec["mean"] < 20 else 0), 0.01)
        buckets = np.ceil(np.log(values) / _LOG_GAMMA).astype(int) + _SPAN
        _tally(table, f"value:{code}|{spec['unit']}:", steps[~renamed], buckets[~renamed])
        _tally(table, f"value:{code}|mmol/L:", steps[renamed], buckets[renamed])


def _add(table: list[Counts], name: str, counts: NDArray[np.int64]) -> None:
    for step in np.flatnonzero(counts).tolist():
        table[step][name] = float(counts[step])


def _tally(
    table: list[Counts], prefix: str, steps: NDArray[np.int64], keys: NDArray[np.int64], names: list[str] | None = None
) -> None:
    if not len(steps):
        return
    low, width = int(keys.min()), int(keys.max()) - int(keys.min()) + 1
    pairs, counts = np.unique(steps * width + (keys - low), return_counts=True)
    labels = [f"{prefix}{names[low + key] if names else low + key}" for key in range(width)]
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        table[pair // width][labels[pair % width]] = float(count)


def incident_months(folder: Path, shift: int) -> Iterator[Month]:
    """Yield a month for each planted incident; `shift` is added to the seeds that are given."""
    with (folder / "incidents.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            start = round(float(row["start_hour"]) * 12)
            event = Event(
                row["kind"], "", frozenset(row["feeds"].split("|")), start,
                start + round(float(row["duration_h"]) * 12), _FACTORS.get(row["id"], 1.0), _CODES.get(row["id"], ""),
                fields=row,
            )  # fmt: skip
            if row["kind"] == "incident during a holiday":
                event.holiday = event.start // STEPS_A_DAY
            if row["kind"] == "incident during planned downtime":
                event.downtime = event.start
            yield Month(folder, int(row["seed"]) + shift, date(2026, 5, 4), 0, event)


def clean_months(folder: Path, shift: int) -> Iterator[Month]:
    """Yield the months in which nothing happens that a person must act on, each after two weeks before it."""
    with (folder / "clean_months.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            benign = row["benign_events"]
            event = Event(benign=benign, fields=row)
            event.holiday = 21 if "public holiday" in benign else -1
            event.downtime = 9 * STEPS_A_DAY + 12 if "downtime" in benign else -1
            first_day = date(2026, 10, 5) if "change back" in benign else date.fromisoformat(row["first_day"])
            yield Month(folder, int(row["seed"]) + shift, first_day, LEARN_DAYS, event)


DAY_VARIATION = 0.08


def level_months(folder: Path, shift: int) -> Iterator[Month]:
    """Yield ten months whose days vary by eight in a hundred."""
    for number in range(10):
        event = Event(day_variation=DAY_VARIATION, fields={"month": f"varied-{number}"}, is_about_levels=True)
        yield Month(folder, 4000 + number + shift, date(2026, 5, 4), LEARN_DAYS, event)
