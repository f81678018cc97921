"""Faults in a feed are found within a week, from decisions as they are recorded, and clean weeks raise no alarm."""

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from random import Random

import pytest

from cds_hooks.evidence.monitor.report import report_of
from cds_hooks.evidence.monitor.window import Window
from models_onnx.monitoring.figure import Family, Incident
from tests.cds_hooks.evidence.monitor import feeds

WINDOW = feeds.FIRST + timedelta(days=feeds.DAYS)
pytestmark = pytest.mark.slow  # some ten thousand decisions are recorded, read and judged


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record of four weeks without a fault."""
    file = tmp_path_factory.mktemp("reference") / "decisions.sqlite3"
    asyncio.run(feeds.write(f"sqlite:///{file}", feeds.days_of_calls(feeds.FIRST, feeds.DAYS, 1)))
    return file


def judged(url: str, last: date, days: int = 7) -> list[Incident]:
    return report_of(url, None, {}, Window(last, days, 28, 90)).incidents


def with_week(reference: Path, folder: Path, calls: Sequence[feeds.Call], client: str = "north") -> str:
    """The record of the reference and of these calls."""
    file = folder / "decisions.sqlite3"
    if not file.exists():
        shutil.copy(reference, file)
    asyncio.run(feeds.write(f"sqlite:///{file}", calls, client))
    return f"sqlite:///{file}"


def week(fault: feeds.Fault = feeds.healthy, seed: int = 2) -> list[feeds.Call]:
    return feeds.days_of_calls(WINDOW, 7, seed, fault)


SUNDAY = WINDOW + timedelta(days=6)


def micromoles(call: feeds.Call, _random: Random) -> Sequence[feeds.Call]:
    """Creatinine in umol/L under the unit of mg/dL."""
    return [feeds.changed(call, creatinine_mg_dl=call.inputs.get("creatinine_mg_dl", 0) * 88.42)]


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


def sex_reversed(call: feeds.Call, _random: Random) -> Sequence[feeds.Call]:
    """Women are sent as men and men as women: 48 in 100 are men before, 52 now."""
    return [feeds.changed(call, sex_male=1 - call.inputs["sex_male"])]


def four_years_younger(call: feeds.Call, _random: Random) -> Sequence[feeds.Call]:
    """Birth dates are shifted: everybody is four years younger, a third of a standard deviation."""
    return [feeds.changed(call, age_years=call.inputs["age_years"] - 4)]


def rounded(call: feeds.Call, _random: Random) -> Sequence[feeds.Call]:
    """Creatinine comes with one decimal place instead of two."""
    return [feeds.changed(call, creatinine_mg_dl=round(call.inputs.get("creatinine_mg_dl", 0), 1))]


@pytest.mark.parametrize(
    ("fault", "family", "subject"),
    [
        (sex_reversed, "drift", "creatinine_mg_dl, men"),
        (four_years_younger, "drift", "age_years"),
        (rounded, "drift", "decimals of creatinine_mg_dl"),
        (micromoles, "drift", "unit of creatinine_mg_dl"),
        (no_evenings, "calls", "hours"),
        (many_cards_on_two_days, "alerts", "rate of cards"),
        (half_unknown, "missing", "albumin_g_dl"),
        (no_conditions_on_weekends, "prefetch", "conditions"),
        (three_days_late, "drift", "age of creatinine_mg_dl"),
        (constant_scores, "drift", "model@1"),
        (twice, "calls", "repeated calls"),
        (machine_ahead, "calls", "clocks of the machines"),
        (server_ahead, "calls", "clock of the client"),
        (values_ahead, "calls", "clocks of the values"),
    ],
)
def test_a_fault_is_found_in_its_week_and_is_one_incident(
    reference: Path, tmp_path: Path, fault: feeds.Fault, family: Family, subject: str
) -> None:
    found = judged(with_week(reference, tmp_path, week(fault)), SUNDAY)
    assert (family, subject) in {(each.family, cause.subject) for each in found for cause in each.causes}
    assert len(found) == 1, [each.text for each in found]


def test_two_independent_faults_are_two_incidents_and_a_day_is_named(reference: Path, tmp_path: Path) -> None:
    def both(call: feeds.Call, random: Random) -> Sequence[feeds.Call]:
        return [after for first in micromoles(call, random) for after in no_conditions_on_weekends(first, random)]

    found = judged(with_week(reference, tmp_path, week(both)), SUNDAY)
    assert sorted((each.family, each.about) for each in found) == [
        ("drift", "creatinine_mg_dl"),
        ("prefetch", "conditions"),
    ]
    (prefetch,) = (each for each in found if each.family == "prefetch")
    assert "100.0 in 100 calls on Saturday, 2026-09-05, came without the prefetch key conditions, 0.0 before" in (
        prefetch.text
    )


def test_an_hour_earlier_when_the_clocks_change_is_no_gap(reference: Path, tmp_path: Path) -> None:
    def earlier(call: feeds.Call, _random: Random) -> Sequence[feeds.Call]:
        return [replace(call, at=call.at - timedelta(hours=1))]

    assert judged(with_week(reference, tmp_path, week(earlier)), SUNDAY) == []


def test_the_care_unit_with_the_fault_is_named_where_the_other_one_has_none(tmp_path: Path) -> None:
    def at_two(east: feeds.Fault = feeds.healthy, west: feeds.Fault = feeds.healthy) -> feeds.Fault:
        def of_units(call: feeds.Call, random: Random) -> Sequence[feeds.Call]:
            unit, fault = ("East", east) if call.number % 2 else ("West", west)
            return [replace(after, unit=unit) for after in fault(call, random)]

        return of_units

    def half_lost(call: feeds.Call, random: Random) -> Sequence[feeds.Call]:
        kept = {name: value for name, value in call.inputs.items() if name != "creatinine_mg_dl"}
        lost = replace(call, inputs=kept, missing={**call.missing, "creatinine_mg_dl": "absent"})
        return [lost if random.random() < 0.5 else call]

    clean = feeds.days_of_calls(feeds.FIRST, feeds.DAYS, 1, at_two(), weekday=55)
    cases: list[tuple[feeds.Fault, dict[Family, set[str]]]] = [
        (feeds.healthy, {"drift": {"", "East"}}),
        (half_lost, {"drift": {"East"}, "missing": {"West"}}),
    ]
    for number, (west, expected) in enumerate(cases):
        url = f"sqlite:///{tmp_path}/{number}.sqlite3"
        asyncio.run(
            feeds.write(url, [*clean, *feeds.days_of_calls(WINDOW, 7, 2, at_two(micromoles, west), weekday=55)])
        )
        found = {i.family: {f.site for f in (*i.causes, *i.follows)} for i in judged(url, SUNDAY)}
        assert found.keys() == expected.keys()
        assert all(found[family] >= sites for family, sites in expected.items()), found


def test_an_alarm_does_not_end_because_its_fault_became_the_reference(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/long.sqlite3"
    asyncio.run(feeds.write(url, feeds.days_of_calls(feeds.FIRST, feeds.DAYS, 1, weekday=60)))
    asyncio.run(feeds.write(url, feeds.days_of_calls(WINDOW, 42, 2, micromoles, weekday=60)))
    (begun,) = judged(url, SUNDAY)
    last = WINDOW + timedelta(days=41)
    assert judged(url, last) == []
    frozen = {figure.key: WINDOW for figure in (*begun.causes, *begun.follows)}
    (still,) = report_of(url, None, {}, Window(last, 7, 28, 90, frozen=frozen)).incidents
    assert still.key == begun.key
    usual = {"north": last - timedelta(days=40)}
    assert report_of(url, None, {}, Window(last, 7, 28, 90, frozen=frozen, usual=usual)).incidents == []


def test_reports_on_sixty_clean_days_judge_every_day_and_raise_no_alarm(tmp_path: Path) -> None:
    """A report on every third day: each day is in the windows of two reports or three."""
    url = f"sqlite:///{tmp_path}/clean.sqlite3"
    asyncio.run(feeds.write(url, feeds.days_of_calls(feeds.FIRST, feeds.DAYS + 60, 11)))
    for place in range(6, 60, 3):
        day = WINDOW + timedelta(days=place)
        report = report_of(url, None, {}, Window(day, 7, 28, 90))
        assert report.incidents == [], day
        judged_families = {figure.family for figure in report.figures if figure.state == "good"}
        assert judged_families >= {"calls", "errors", "prefetch", "missing", "drift", "alerts"}, day


def test_weeks_with_a_holiday_raise_no_alarm(tmp_path: Path) -> None:
    """On one day, now and sometimes before, nobody or hardly anybody calls."""
    for seed in range(200, 206):
        random = Random(seed)
        url = f"sqlite:///{tmp_path}/{seed}.sqlite3"
        holidays = {WINDOW + timedelta(days=random.randrange(5)): random.choice([0.0, 0.04, 0.1, 0.2])}
        if seed % 3 == 0:
            holidays[feeds.FIRST + timedelta(days=9)] = 0.1
        days = [feeds.FIRST + timedelta(days=place) for place in range(feeds.DAYS + 7)]
        asyncio.run(
            feeds.write(url, [c for day in days for c in feeds.calls_of(day, random, share=holidays.get(day, 1.0))])
        )
        assert judged(url, SUNDAY) == [], holidays
