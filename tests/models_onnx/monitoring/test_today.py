"""The feed within the day: gaps, fewer calls, failures and slowness are found within hours; clean days are quiet."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.figure import Family, Figure, State, incidents
from models_onnx.monitoring.judging import Compared
from models_onnx.monitoring.sketch import bucket_of
from tests.each import for_rows
from tests.models_onnx.monitoring.traffic import FIRST, Fault, Patient, compared, days_of, one_day

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


@for_rows("hour", [1, 8, 10, 13, 18, 23])
def test_on_thirty_days_without_a_fault_nothing_is_to_act_on_at_any_hour(hour: int) -> None:
    for seed in range(30):
        assert [each.text for each in judged(hour, seed) if each.state == "act"] == []


@for_rows(
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


def test_what_gets_worse_steadily_is_said_before_it_reaches_the_limit() -> None:
    figure = today(judged(14, 5, since=8, slower=lambda hours: 1.0 + 0.5 * hours), "latency")
    assert figure.state == "watch"
    assert "at this pace the limit is reached in" in figure.text
    assert "at this pace" not in today(judged(14, 5), "latency").text


REFERENCE_DAYS = 28
WINDOW = FIRST + timedelta(days=REFERENCE_DAYS)
"""A Tuesday; the window of most tests is this day and the next."""


@pytest.fixture(scope="module")
def reference() -> dict[date, DayCounts]:
    return days_of(np.random.default_rng(1), REFERENCE_DAYS)


def two_days(fault: Fault, seed: int = 2, **more: object) -> dict[date, DayCounts]:
    random = np.random.default_rng(seed)
    return {WINDOW + timedelta(days=place): one_day(random, 700, fault, **more) for place in (0, 1)}  # type: ignore[arg-type]


def acting(one: Compared) -> Iterator[Figure]:
    return (each for each in one.figures() if each.state == "act")


def kidneys_of_women(patient: Patient, random: np.random.Generator) -> Patient:
    """Another population of women only."""
    return patient if patient["sex_male"] else {**patient, "creatinine_mg_dl": float(np.exp(random.normal(0.6, 0.4)))}


def test_a_shift_in_one_group_is_named_by_the_group(reference: dict[date, DayCounts]) -> None:
    found = {each.subject for each in acting(compared(two_days(kidneys_of_women), reference))}
    assert "model@1 women" in found
    assert "model@1 men" not in found


def test_a_slow_feed_is_named(reference: dict[date, DayCounts]) -> None:
    (incident,) = incidents(list(acting(compared(two_days(lambda patient, _: patient, slower=8.0), reference))))
    assert incident.family == "latency"


@pytest.mark.slow
def test_thirty_days_without_a_fault_raise_no_alarm() -> None:
    random = np.random.default_rng(7)
    days = days_of(random, REFERENCE_DAYS + 30)
    alarms = []
    for place in range(REFERENCE_DAYS, len(days)):
        dates = sorted(days)
        one = compared(
            {day: days[day] for day in dates[place : place + 1]},
            {day: days[day] for day in dates[place - REFERENCE_DAYS : place]},
        )
        alarms += list(acting(one))
    assert alarms == []


def test_a_service_whose_cards_nobody_accepts_is_named(reference: dict[date, DayCounts]) -> None:
    window = two_days(lambda patient, _: patient)
    window[WINDOW].accepted, window[WINDOW].overridden = 3, 297
    (incident,) = incidents(list(acting(compared(window, reference))))
    assert incident.family == "acceptance"
    window[WINDOW].accepted, window[WINDOW].overridden = 1, 120
    assert not list(acting(compared(window, reference))), "121 answers are too few to pause a service"


# An incident about one group of patients is headed by that group; race and ethnicity need not be inputs.


def figure(family: Family, subject: str, state: State) -> Figure:
    return Figure("north", "planning", family, subject, state, 100, 50, 1.0, 1.0, f"{subject}: told.")
