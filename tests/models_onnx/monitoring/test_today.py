"""The feed within the day: gaps, fewer calls, failures and slowness are found within hours; clean days are quiet."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.figure import Figure, incidents
from models_onnx.monitoring.judging import Compared
from models_onnx.monitoring.sketch import bucket_of
from models_onnx.monitoring.today import hours_to

MONDAY = date(2026, 9, 28)
_BY_HOUR = [5] * 7 + [40, 90, 120, 130, 110, 80, 110, 120, 100, 70, 40, 20, 10, 5, 5, 5, 5]


def a_day(random: np.random.Generator, until: int = 24, **fault: Any) -> DayCounts:
    """A day of calls by the hour; from the hour `since` on with a share of the calls, of failures, or slower."""
    day, since = DayCounts(), fault.get("since", 24)
    for hour in range(until):
        faulty = hour >= since
        calls = int(random.poisson(_BY_HOUR[hour] * (fault.get("calls", 1.0) if faulty else 1.0)))
        slower = fault.get("slower", lambda _: 1.0)(hour - since) if faulty else 1.0
        failed = int(random.binomial(calls, fault.get("failing", 0.005) if faulty else 0.005))
        day.calls, day.errors = day.calls + calls, day.errors + failed
        if calls:
            day.hours[hour], day.hour_errors[hour] = calls, failed
        for milliseconds in random.gamma(4, 0.4, calls):
            bucket = bucket_of(float(milliseconds) * slower)
            for of in (day.milliseconds, day.hour_milliseconds.setdefault(hour, {})):
                of[bucket] = of.get(bucket, 0) + 1
    return day


BEFORE = {MONDAY - timedelta(days=each): a_day(np.random.default_rng(900 + each)) for each in range(1, 29)}


def judged(hour: int, seed: int = 1, **fault: Any) -> list[Figure]:
    """The figures of a Monday at twenty past this hour, after four weeks without a fault."""
    at = datetime(2026, 9, 28, hour, 20, tzinfo=UTC)
    today = a_day(np.random.default_rng(seed), hour, **fault)
    return Compared("ehr", "follow-up", {MONDAY: today}, BEFORE, at).figures()


def today(found: list[Figure], family: str) -> Figure:
    (figure,) = (each for each in found if each.family == family and each.subject == "today")
    return figure


def test_an_hour_of_fewer_than_twenty_calls_is_no_point_of_a_trend() -> None:
    """Latency that rises each hour is told of where each of six hours has twenty answers, and not with one less."""
    at = datetime(2026, 9, 28, 14, 20, tzinfo=UTC)

    def day(fewest: int) -> DayCounts:
        counts = a_day(np.random.default_rng(1), 8)
        counts.hour_milliseconds = {
            hour: {bucket_of(hour - 7.0): fewest if hour == 10 else 200} for hour in range(8, 14)
        }
        return counts

    figures = (Compared("ehr", "s", {MONDAY: day(fewest)}, BEFORE, at).figures() for fewest in (20, 19))
    texts = [today(of, "latency").text for of in figures]
    assert ["at this pace the limit is reached" in text for text in texts] == [True, False]


@pytest.mark.parametrize("hour", [1, 8, 10, 13, 18, 23])
def test_on_thirty_days_without_a_fault_nothing_is_to_act_on_at_any_hour(hour: int) -> None:
    for seed in range(30):
        assert [each.text for each in judged(hour, seed) if each.state == "act"] == []


@pytest.mark.parametrize(
    ("fault", "family", "words"),
    [
        ({"since": 11, "calls": 0.0}, "feed", "0 calls came since"),
        ({"since": 11, "calls": 0.2}, "feed", "were expected"),
        ({"since": 11, "failing": 0.3}, "errors", "in 100 calls failed since 11:00"),
        ({"since": 11, "slower": lambda _: 8.0}, "latency", "ms since 11:00"),
    ],
)
def test_a_fault_that_began_three_hours_ago_is_one_incident(fault: dict[str, Any], family: str, words: str) -> None:
    found = judged(14, 3, **fault)
    assert words in today(found, family).text
    assert [each.family for each in incidents(found)] == [family]


def test_a_gap_is_said_from_its_beginning() -> None:
    assert "since 09:00" in today(judged(15, 4, since=9, calls=0.0), "feed").text


def test_what_gets_worse_steadily_is_said_before_it_reaches_the_limit() -> None:
    figure = today(judged(14, 5, since=8, slower=lambda hours: 1.0 + 0.5 * hours), "latency")
    assert figure.state == "watch"
    assert "at this pace the limit is reached in" in figure.text
    assert "at this pace" not in today(judged(14, 5), "latency").text


def test_early_in_the_day_too_few_calls_are_insufficient() -> None:
    assert {each.state for each in judged(3) if each.subject == "today"} == {"insufficient"}
    assert [each for each in judged(0) if each.subject == "today"] == []


@given(st.floats(0.1, 10), st.floats(1, 100), st.floats(1, 100))
def test_the_time_to_the_limit_of_a_straight_line_is_exact(pace: float, begin: float, more: float) -> None:
    hourly = [begin + pace * hour for hour in range(6)]
    assert hours_to(hourly[-1] + more, hourly) == pytest.approx(more / pace, rel=1e-6)
    assert hours_to(begin - 1, hourly) == 0
    assert hours_to(1000, list(reversed(hourly))) is None
    assert hours_to(1000, [*hourly[:5], None]) is None
