"""The feed within the day: gaps, fewer calls, failures and slowness are found within hours; clean days are quiet."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_onnx.monitoring.day import DayCounts, groups_of
from models_onnx.monitoring.drift import _finely, coarser
from models_onnx.monitoring.figure import Family, Figure, State, incidents
from models_onnx.monitoring.judging import Compared
from models_onnx.monitoring.sketch import Sketch, bucket_of
from models_onnx.monitoring.today import hours_to
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


def other_unit(patient: Patient, _random: np.random.Generator) -> Patient:
    """Creatinine in umol/L under the unit of mg/dL."""
    return {**patient, "creatinine_mg_dl": patient["creatinine_mg_dl"] * 88.42}


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


OVERALL = figure("calibration", "m@1, observed to expected", "act")
WOMEN = figure("fairness", "m@1, women", "act")


def test_a_group_for_whom_it_is_wrong_heads_the_incident_where_it_is_right_for_another() -> None:
    (incident,) = incidents([OVERALL, WOMEN, figure("fairness", "m@1, men", "good")])
    assert incident.family == "fairness"
    assert incident.text.startswith("north: m@1, women: told.")
    assert incident.follows == (OVERALL,)


def test_a_share_of_it_that_the_young_have_does_not_make_them_the_group() -> None:
    of_ages = (figure("fairness", "m@1, under 65", "act"), figure("fairness", "m@1, 65 and over", "watch"))
    (incident,) = incidents([OVERALL, WOMEN, *of_ages, figure("fairness", "m@1, men", "good")])
    assert incident.causes == (WOMEN,)


def test_race_and_ethnicity_are_groups_where_the_record_has_them_and_are_counted_once() -> None:
    recorded = ("race Asian", "ethnicity Hispanic or Latino")
    assert groups_of({"sex_male": 1}, recorded)[2:] == recorded
    assert groups_of({"race_Asian": 1}, ("race Asian",)).count("race Asian") == 1


# Sketches and verdicts of monitoring on counts that are worked out by hand.


def test_values_that_are_rounded_are_found_and_each_is_in_one_bin() -> None:
    then = Sketch({bucket_of(value / 100): 10 for value in range(100, 500)})
    now = Sketch({bucket_of(value): 1000 for value in range(1, 5)})
    reference, window = _finely(then, now)
    assert (sum(reference), sum(window)) == (then.total(), now.total())
    verdict = coarser("creatinine", now, then, 1)
    assert verdict is not None
    assert (verdict.state, verdict.before) == ("act", 0.0)
    assert coarser("creatinine", then, then, 1) is None


Values = dict[float, int]


def day_of(name: str, values: Values) -> DayCounts:
    """A day with so many of each value of an input."""
    return DayCounts(
        calls=sum(values.values()), features={name: {bucket_of(value): times for value, times in values.items()}}
    )


def figures_of(window: DayCounts, before: DayCounts) -> dict[tuple[str, str], Figure]:
    """The figures of a Monday after four weeks of days that were all alike."""
    reference = {MONDAY - timedelta(days=back): before for back in range(1, 29)}
    figures = Compared("ehr", "follow-up", {MONDAY: window}, reference).figures()
    return {(figure.family, figure.subject): figure for figure in figures}


def test_the_level_of_a_flag_is_watched_from_five_points_on_and_acted_on_from_ten() -> None:
    def flag(yes: int) -> Figure:
        window, before = day_of("flag", {0.0: 1000 - yes, 1.0: yes}), day_of("flag", {0.0: 70, 1.0: 30})
        return figures_of(window, before)[("input drift", "flag")]

    states = {200: "act", 201: "watch", 250: "watch", 251: "good", 349: "good", 350: "watch", 399: "watch", 400: "act"}
    assert {yes: flag(yes).state for yes in states} == states
    text = "follow-up: 40.0 in 100 values of flag are above 0, 30.0 before."
    assert flag(400) == Figure("ehr", "follow-up", "input drift", "flag", "act", 1000, 500, 0.4, 0.3, text)
    good = flag(300)
    assert good == Figure(
        "ehr", "follow-up", "input drift", "flag", "good", 1000, 500, good.value, 0.0,
        "follow-up: flag is distributed as before (stability index 0.00).",
    )  # fmt: skip


def by_sex(times: int, exchanged: int) -> DayCounts:
    """So many men with 2.0 and women with 1.0 mg/dL creatinine, of whom some of each are exchanged."""
    name, low, high = "creatinine_mg_dl", bucket_of(1.0), bucket_of(2.0)
    day = day_of("sex_male", {0.0: times, 1.0: times})
    day.by_sex = {
        f"{name} men": {high: times - exchanged, low: exchanged},
        f"{name} women": {low: times - exchanged, high: exchanged},
    }
    return day


def test_sexes_that_are_exchanged_in_a_part_of_the_calls() -> None:
    def exchanged(share: int, times: int = 100) -> Figure:
        found = figures_of(by_sex(times, share), by_sex(10, 0))
        return found[("input drift", "sex_male by creatinine_mg_dl")]

    states = {0: "good", 9: "good", 11: "watch", 24: "watch", 25: "act", 100: "act"}
    assert {share: exchanged(share).state for share in states} == states
    subject = "sex_male by creatinine_mg_dl"
    assert exchanged(25) == Figure(
        "ehr", "follow-up", "input drift", subject, "act", 100, 100, 0.25, 0.0,
        "follow-up: women and men do not differ in creatinine_mg_dl as before, as if they were exchanged in 25 of 100 "
        "calls.",
    )  # fmt: skip
    assert exchanged(0) == Figure(
        "ehr", "follow-up", "input drift", subject, "good", 100, 100, 0.0, 0.0,
        "follow-up: women and men differ in creatinine_mg_dl as before.",
    )  # fmt: skip
    assert exchanged(0, 99) == Figure(
        "ehr", "follow-up", "input drift", subject, "insufficient", 99, 100, None, None,
        f"follow-up, {subject}: 99 counted, 100 are needed.",
    )  # fmt: skip


def test_needs_of_days_add_up_and_the_days_keep_their_own() -> None:
    one = DayCounts(needs={"all": {3: [1.0, 2.0, 4.0]}})
    other = DayCounts(needs={"all": {3: [2.0, 5.0, 13.0], 4: [1.0, 1.0, 1.0]}, "men": {3: [1.0, 9.0, 81.0]}})
    one.add(other)
    assert one.needs == {
        "all": {3: [3.0, 7.0, 17.0], 4: [1.0, 1.0, 1.0]}, "men": {3: [1.0, 9.0, 81.0]},
    }  # fmt: skip
    one.needs["men"][3][0] = 7.0
    assert other.needs["men"] == {3: [1.0, 9.0, 81.0]}
