"""Faults in a feed are found within a week, from decisions as they are recorded, and clean weeks raise no alarm."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from random import Random

import numpy as np
import pytest

from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.figure import Family, incidents
from models_onnx.monitoring.label_judging import LabelWindow
from models_onnx.monitoring.labelled import LabelCounts
from tests.cds_hooks.monitor import feeds

WINDOW = feeds.FIRST + timedelta(days=feeds.DAYS)

pytestmark = pytest.mark.slow  # some ten thousand decisions are encoded and counted


@pytest.fixture(scope="module")
def reference() -> dict[date, DayCounts]:
    return feeds.days_of_calls(feeds.FIRST, feeds.DAYS, 1)


def week(fault: feeds.Fault, seed: int = 2) -> dict[date, DayCounts]:
    return feeds.days_of_calls(WINDOW, 7, seed, fault=fault)


def micromoles(call: feeds.Call, _random: Random) -> Sequence[feeds.Call]:
    """Creatinine in umol/L under the unit of mg/dL."""
    return [feeds.changed(call, creatinine_mg_dl=call.inputs.get("creatinine_mg_dl", 0) * 88.42)]


def micromoles_in_part(call: feeds.Call, random: Random) -> Sequence[feeds.Call]:
    """One of seven laboratories sends creatinine in umol/L."""
    return micromoles(call, random) if random.random() < 0.15 else [call]


def many_cards_on_two_days(call: feeds.Call, random: Random) -> Sequence[feeds.Call]:
    """On Tuesday and Wednesday a fifth of the estimates were high."""
    return [replace(call, score=0.9) if call.at.weekday() in (1, 2) and random.random() < 0.2 else call]


def no_evenings(call: feeds.Call, _random: Random) -> Sequence[feeds.Call]:
    """From three in the afternoon nothing comes, a fifth of the calls of the day."""
    return [] if call.at.hour >= 15 else [call]


def half_unknown(call: feeds.Call, random: Random) -> Sequence[feeds.Call]:
    """A code map was lost on one of two machines of the client."""
    if random.random() < 0.5:
        return [call]
    kept = {name: value for name, value in call.inputs.items() if name != "albumin_g_dl"}
    return [replace(call, inputs=kept, missing={**call.missing, "albumin_g_dl": "absent"})]


def older(call: feeds.Call, _random: Random) -> Sequence[feeds.Call]:
    """A clinic for the old joined."""
    return [feeds.changed(call, age_years=min(100.0, call.inputs["age_years"] + 12))]


def no_conditions_on_weekends(call: feeds.Call, _random: Random) -> Sequence[feeds.Call]:
    """The interface of the problem list does not run on Saturdays and Sundays."""
    return [replace(call, keys={**call.keys, "conditions": "null"})] if call.at.weekday() > 4 else [call]


def three_days_late(call: feeds.Call, _random: Random) -> Sequence[feeds.Call]:
    """The laboratory's results arrive three days late."""
    return [replace(call, ages={name: age + 3 for name, age in call.ages.items()})]


def constant_scores(call: feeds.Call, _random: Random) -> Sequence[feeds.Call]:
    """Everybody gets one estimate."""
    return [replace(call, score=0.21)]


def twice(call: feeds.Call, _random: Random) -> Sequence[feeds.Call]:
    """Every call is sent again with another id, a second later."""
    again = replace(call, number=call.number + 997_000, at=call.at + timedelta(seconds=1))
    return [call, again]


def client_ahead(call: feeds.Call, _random: Random) -> Sequence[feeds.Call]:
    """The client's clock is an hour ahead: so are the times of its answers."""
    return [replace(call, given=call.given - 3600)]


def machine_ahead(call: feeds.Call, _random: Random) -> Sequence[feeds.Call]:
    """The clock of one of two servers is an hour ahead."""
    return [replace(call, at=call.at + timedelta(hours=1)) if call.number % 2 else call]


def server_ahead(call: feeds.Call, _random: Random) -> Sequence[feeds.Call]:
    """The clock of the only server is an hour ahead: answers seem to arrive an hour after they were given."""
    return [replace(call, given=call.given + 3600)]


def values_ahead(call: feeds.Call, random: Random) -> Sequence[feeds.Call]:
    """Results are dated an hour ahead, so those of the last hour are refused."""
    if random.random() > 0.04:
        return [call]
    kept = {name: value for name, value in call.inputs.items() if name != "creatinine_mg_dl"}
    return [replace(call, inputs=kept, missing={**call.missing, "creatinine_mg_dl": "future"})]


def sex_unknown(call: feeds.Call, _random: Random) -> Sequence[feeds.Call]:
    """The administrative sex is "unknown" of everybody."""
    kept = {name: value for name, value in call.inputs.items() if name != "sex_male"}
    return [replace(call, inputs=kept, missing={**call.missing, "sex_male": "absent"})]


def sex_reversed(call: feeds.Call, _random: Random) -> Sequence[feeds.Call]:
    """Women are sent as men and men as women: 48 in 100 are men before, 52 now."""
    return [feeds.changed(call, sex_male=1 - call.inputs["sex_male"])]


def men_by_default(call: feeds.Call, random: Random) -> Sequence[feeds.Call]:
    """A quarter of the patients come from a system that sends everybody as male."""
    return [feeds.changed(call, sex_male=1.0)] if random.random() < 0.25 else [call]


def four_years_younger(call: feeds.Call, _random: Random) -> Sequence[feeds.Call]:
    """Birth dates are shifted: everybody is four years younger, a third of a standard deviation."""
    return [feeds.changed(call, age_years=call.inputs["age_years"] - 4)]


def rounded(call: feeds.Call, _random: Random) -> Sequence[feeds.Call]:
    """Creatinine comes with one decimal place instead of two."""
    return [feeds.changed(call, creatinine_mg_dl=round(call.inputs.get("creatinine_mg_dl", 0), 1))]


def stuck_on_weekends(call: feeds.Call, _random: Random) -> Sequence[feeds.Call]:
    """On Saturday and Sunday the analyser gives one value."""
    return [feeds.changed(call, creatinine_mg_dl=1.1)] if call.at.weekday() > 4 else [call]


@pytest.mark.parametrize(
    ("fault", "family", "subject"),
    [
        (sex_reversed, "input drift", "sex_male by creatinine_mg_dl"),
        (men_by_default, "input drift", "sex_male"),
        (four_years_younger, "input drift", "age_years"),
        (rounded, "input drift", "creatinine_mg_dl"),
        (stuck_on_weekends, "input drift", "creatinine_mg_dl"),
        (micromoles, "units", "creatinine_mg_dl"),
        (micromoles_in_part, "units", "creatinine_mg_dl"),
        (no_evenings, "feed", "hours"),
        (many_cards_on_two_days, "alert rate", "cards"),
        (half_unknown, "missing", "albumin_g_dl"),
        (older, "input drift", "age_years"),
        (no_conditions_on_weekends, "prefetch", "conditions"),
        (three_days_late, "age of values", "newest creatinine_mg_dl"),
        (constant_scores, "score drift", "model@1 all"),
        (twice, "feed", "repeated calls"),
        (client_ahead, "clock", "answers"),
        (machine_ahead, "clock", "machines"),
        (server_ahead, "clock", "answers"),
        (values_ahead, "clock", "values"),
        (sex_unknown, "missing", "sex_male"),
    ],
)
def test_a_fault_is_found_in_its_week_and_is_one_incident(
    reference: dict[date, DayCounts], fault: feeds.Fault, family: Family, subject: str
) -> None:
    found = incidents(feeds.compared(week(fault), reference).figures())
    assert (family, subject) in {(each.family, cause.subject) for each in found for cause in each.causes}
    others = {each.family for each in found} - {family}
    # a value that is refused because of its date is missing as well
    assert others <= ({"missing"} if fault is values_ahead else set()), [each.text for each in found]


def test_a_day_is_named_where_only_some_days_have_the_fault(reference: dict[date, DayCounts]) -> None:
    (incident,) = incidents(feeds.compared(week(no_conditions_on_weekends), reference).figures())
    assert "100.0 in 100 calls on Saturday, 2026-09-05, came without the prefetch key conditions, 0.0 before" in (
        incident.text
    )


def test_the_fault_of_one_client_is_named_with_that_client_only(reference: dict[date, DayCounts]) -> None:
    figures = [
        *feeds.compared(week(micromoles), reference).figures(),
        *feeds.compared(week(feeds.healthy, 3), reference, "south").figures(),
    ]
    assert {each.client for each in incidents(figures)} == {"north"}


def test_an_hour_earlier_when_the_clocks_change_is_no_gap(reference: dict[date, DayCounts]) -> None:
    def earlier(call: feeds.Call, _random: Random) -> Sequence[feeds.Call]:
        return [replace(call, at=call.at - timedelta(hours=1))]

    assert incidents(feeds.compared(week(earlier), reference).figures()) == []


def test_a_subgroup_with_twice_the_prevalence_is_named() -> None:
    (incident,) = incidents(list(_labels(2.0).figures()))
    assert incident.family == "fairness"
    assert {each.subject for each in incident.causes} == {"model@1, 65 and over"}


def _labels(times: float, seed: int = 5) -> LabelWindow:
    """Mature predictions that are right, but for the old, a fifth of all, who have the event `times` as often."""
    found = [LabelCounts(), LabelCounts()]
    for place, counts in enumerate(found):
        random = np.random.default_rng(seed + place)
        for _ in range(6000):
            odds, is_old = random.normal(-2.2, 0.9), random.random() < 0.2
            estimate = float(1 / (1 + np.exp(-odds)))
            chance = min(1.0, estimate * (times if is_old and not place else 1.0))
            for group in ("all", "65 and over" if is_old else "under 65"):
                counts.count(
                    f"model@1 {group}", estimate, "yes" if random.random() < chance else "no", with_card=odds > -1
                )
    return LabelWindow("north", "follow-up", "predictions of May", found[0], found[1])


def test_thirty_clean_weeks_raise_no_alarm() -> None:
    days = feeds.days_of_calls(feeds.FIRST, feeds.DAYS + 36, 11)
    dates = sorted(days)
    for place in range(feeds.DAYS, feeds.DAYS + 30):
        window = {day: days[day] for day in dates[place : place + 7]}
        before = {day: days[day] for day in dates[place - feeds.DAYS : place]}
        assert incidents(feeds.compared(window, before).figures()) == [], dates[place]


def test_weeks_with_a_holiday_raise_no_alarm() -> None:
    """On one day, now and sometimes before, nobody or hardly anybody calls."""
    for seed in range(200, 215):
        random = Random(seed)
        before, days = feeds.days_of_calls(feeds.FIRST, feeds.DAYS, seed), feeds.days_of_calls(WINDOW, 7, seed + 1000)
        holiday, share = WINDOW + timedelta(days=random.randrange(5)), random.choice([0.0, 0.04, 0.1, 0.2])
        days[holiday] = feeds.day_of_calls(holiday, random, "north", share=share)
        if seed % 3 == 0:
            before[feeds.FIRST + timedelta(days=9)] = feeds.day_of_calls(
                feeds.FIRST + timedelta(days=9), random, "north", share=0.1
            )
        assert incidents(feeds.compared(days, before).figures()) == [], holiday


def test_clean_labels_raise_no_alarm() -> None:
    for seed in range(30, 40):
        assert incidents(list(_labels(1.0, seed * 7).figures())) == []
