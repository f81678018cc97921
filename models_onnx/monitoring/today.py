"""The feed of one client within the day: calls, failures and time of answers, against the same hours of days before.

The baseline is seasonal: the same hours of the same weekday. Hours are UTC, and only full ones are looked at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from statistics import median
from typing import Final, Literal

from models_onnx.monitoring import rates
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.figure import Family, Figure, State
from models_onnx.monitoring.sketch import Sketch, quantile

LATEST: Final = 3
"""So many full hours are held against the baseline."""
_TREND: Final = 6
_RISING: Final = 13
"""Of the 15 pairs of six hours so many more rise than fall, by chance in 1 of 120 days (Mann-Kendall)."""
_AHEAD_HOURS: Final = 12
_CALLS: Final = 20
_ANSWERS: Final = 100
_IN_AN_HOUR: Final = 20
_SLOW: Final = 5.0
_FAILED: Final = 0.10


@dataclass(frozen=True, slots=True)
class Today:
    """The day so far of one client and service, and the days that it is held against; `at` is in UTC."""

    client: str
    service: str
    at: datetime
    day: DayCounts
    alike: Sequence[DayCounts]

    def figures(self) -> Iterator[Figure]:
        """Yield the figures of the day; none before its first hour is over."""
        if self.at.hour and self.alike:
            yield self._calls()
            yield self._errors()
            yield self._latency()

    def _figure(
        self, family: Family, n: int, minimum: int, value: float | None, before: float | None, state: State, text: str
    ) -> Figure:
        words = f"{self.service}, today up to {self.at.hour:02}:00 UTC: {text}."
        return Figure(self.client, self.service, family, "today", state, n, minimum, value, before, words)

    def _too_few(self, family: Family, n: int, minimum: int) -> Figure:
        text = f"{n:,} counted, {minimum:,} are needed"
        return self._figure(family, n, minimum, None, None, "insufficient", text)

    @property
    def _latest(self) -> range:
        return range(max(0, self.at.hour - LATEST), self.at.hour)

    def _expected(self, hours: range) -> float:
        return sum(day.hours.get(hour, 0) for day in self.alike for hour in hours) / len(self.alike)

    def _calls(self) -> Figure:
        """Return a gap at the end of the day so far, or fewer calls than in the same hours before."""
        quiet = self.at.hour
        while quiet and not self.day.hours.get(quiet - 1, 0):
            quiet -= 1
        silent = range(quiet, self.at.hour)
        hours = silent if len(silent) > LATEST else self._latest
        calls, expected = sum(self.day.hours.get(hour, 0) for hour in hours), self._expected(hours)
        if expected < _CALLS:
            return self._too_few("feed", round(expected), _CALLS)
        chance, share = rates.at_most(calls, expected), calls / expected
        state: State = "act" if chance < 1e-6 and share < 0.5 else "watch" if chance < 1e-3 and share < 0.8 else "good"
        text = f"{calls:,} calls came since {hours.start:02}:00 where {expected:,.0f} were expected"
        return self._figure("feed", calls, _CALLS, calls, expected, state, text)

    def _errors(self) -> Figure:
        calls, failed = self._failures([self.day], self._latest)
        calls_then, failed_then = self._failures(self.alike, self._latest)
        if min(calls, calls_then) < _ANSWERS:
            return self._too_few("errors", min(calls, calls_then), _ANSWERS)
        share, then = failed / calls, failed_then / calls_then
        low, _ = rates.difference(failed, calls, failed_then, calls_then, 0.999)
        state: State = "good"
        if low > 0 and (gap := round(share - then, 9)) >= 0.03:
            state = "act" if gap >= _FAILED else "watch"
        text = f"{100 * share:.1f} in 100 calls failed since {self._latest.start:02}:00, {100 * then:.1f} before"
        hourly = [self._share_in(hour) for hour in self._hours_of_trend()]
        return self._with_breach("errors", calls, share, then, state, text, hourly, then + _FAILED)

    def _failures(self, days: Sequence[DayCounts], hours: range) -> tuple[int, int]:
        calls = sum(day.hours.get(hour, 0) for day in days for hour in hours)
        return calls, sum(day.hour_errors.get(hour, 0) for day in days for hour in hours)

    def _share_in(self, hour: int) -> float | None:
        calls = self.day.hours.get(hour, 0)
        return self.day.hour_errors.get(hour, 0) / calls if calls >= _IN_AN_HOUR else None

    def _latency(self) -> Figure:
        now, then = self._answers([self.day], self._latest), self._answers(self.alike, self._latest)
        n = min(now.total(), then.total())
        value, before = quantile(now, 0.9), quantile(then, 0.9)
        if n < _ANSWERS or value is None or not before:
            return self._too_few("latency", n, _ANSWERS)
        ratio = value / before
        state: State = "act" if ratio >= _SLOW else "watch" if ratio >= 2 else "good"
        text = f"nine of ten answers took up to {value:.1f} ms since {self._latest.start:02}:00, {before:.1f} ms before"
        hourly = [self._slow_in(hour) for hour in self._hours_of_trend()]
        return self._with_breach("latency", n, value, before, state, text, hourly, _SLOW * before)

    @staticmethod
    def _answers(days: Sequence[DayCounts], hours: range) -> Sketch:
        total = Sketch()
        for day in days:
            for hour in hours:
                total.update(day.hour_milliseconds.get(hour, {}))
        return total

    def _slow_in(self, hour: int) -> float | None:
        answers = self._answers([self.day], range(hour, hour + 1))
        return quantile(answers, 0.9) if answers.total() >= _IN_AN_HOUR else None

    # When the limit will be reached

    def _hours_of_trend(self) -> range:
        return range(max(0, self.at.hour - _TREND), self.at.hour)

    def _with_breach(
        self, family: Literal["errors", "latency"], n: int, value: float, before: float, state: State, text: str,
        hourly: list[float | None], limit: float,
    ) -> Figure:  # fmt: skip
        """Return the figure, with how long it will take to the limit where the last hours rise steadily."""
        hours = None if state == "act" else hours_to(limit, hourly)
        if hours is not None and hours <= _AHEAD_HOURS:
            state, text = "watch", f"{text}; at this pace the limit is reached in {hours:.1f} hours"
        return self._figure(family, n, _ANSWERS, value, before, state, text)


def hours_to(limit: float, hourly: Sequence[float | None]) -> float | None:
    """In how many hours a series that rises steadily reaches the limit; None where it does not rise so.

    The pace is the median of the slopes between all pairs of hours (Theil and Sen); a rise is steady where by
    Mann-Kendall's count of rising and falling pairs chance makes one like it on 1 of 120 days.
    """
    points = [(hour, value) for hour, value in enumerate(hourly) if value is not None]
    if len(points) < _TREND:
        return None
    pairs = [(late - early, after - first) for (early, first), (late, after) in combinations(points, 2)]
    if sum((rise > 0) - (rise < 0) for _, rise in pairs) < _RISING:
        return None
    pace = median(rise / apart for apart, rise in pairs)
    return max(0.0, (limit - points[-1][1]) / pace)
