"""What is counted of a decision: every input, score, time and clock, each in the bucket worked out by hand."""

from typing import Any

import orjson
import pytest

from cds_hooks.monitor import counting
from cds_hooks.monitor.counting import CallOrder, _instant, count_decision, seconds_under_way
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.sketch import bucket_of, log_odds_bucket
from tests.cds_hooks.storage.samples import a_decision

SECOND = 1_000_000
BASIS: dict[str, Any] = {
    "as_of": "2026-11-20T09:00:00+00:00",
    "features": {
        "age_years": [71.0, "2026-11-20T09:00:00+00:00", "Patient/1"],
        "sex_male": [0.0, None, "Patient/1"],
        "creatinine_mg_dl": [12.5, "2026-11-18", "Observation/1"],
        "theirs": [3.0, "2027-01-01", None],
    },
    "missing": {"albumin_g_dl": "stale"},
}


def counted(**more: Any) -> DayCounts:
    """The counts of one decision of nine o'clock."""
    day = DayCounts()
    names = count_decision(day, a_decision(decided_at=9 * 3600 * SECOND, basis=orjson.dumps(BASIS | more)))
    assert any("planning" in name for name in names)
    return day


def test_inputs_are_counted_with_their_age_in_days() -> None:
    day = counted()
    assert day.features == {name: {bucket_of(row[0]): 1} for name, row in BASIS["features"].items()}
    assert day.ages == {
        "age_years": {bucket_of(0.0): 1},
        "creatinine_mg_dl": {bucket_of(2.375): 1},
        "theirs": {bucket_of(0.0): 1},  # dated in the future
    }
    assert day.missing == {"albumin_g_dl stale": 1}
    assert day.by_sex == {"creatinine_mg_dl women": {bucket_of(12.5): 1}}
    men = counted(features=BASIS["features"] | {"sex_male": [1.0, None, None]})
    assert men.by_sex == {"creatinine_mg_dl men": {bucket_of(12.5): 1}}
    assert counted(as_of="").ages == {}
    assert (day.scores, day.needs, day.milliseconds, day.stages) == ({}, {}, {}, {})


def test_times_are_counted_whole_by_hour_and_by_stage() -> None:
    day = counted(timings={"decode": 1.5, "decide": 6.5})
    whole = {bucket_of(8.0): 1}
    assert (day.milliseconds, day.hour_milliseconds) == (whole, {9: whole})
    assert day.stages == {"decode": {bucket_of(1.5): 1}, "decide": {bucket_of(6.5): 1}}


def test_scores_are_counted_by_group_and_the_need_of_models_by_stratum() -> None:
    scores = {"id": "m", "version": "2", "probability": 0.3}
    day = counted(scores=scores)
    groups = {name.removeprefix("m@2 ") for name in day.scores}
    assert "all" in groups
    assert len(groups) > 1
    assert day.scores == {f"m@2 {group}": {bucket_of(0.3): 1} for group in groups}
    assert day.needs == {}  # no condition was an input
    from fhir.mapping.features.catalog import FEATURES
    from fhir.mapping.features.conditions import HasCondition

    first, second = [name for name, feature in FEATURES.items() if isinstance(feature, HasCondition)][:2]
    features = BASIS["features"] | {first: [1.0, None, None], second: [1.0, None, None]}
    stratum = log_odds_bucket(0.3) // 25
    need = counted(scores=scores, features=features).needs
    assert need["m@2 all"] == {stratum: [1.0, 2.0, 4.0]}
    value = counted(scores={"value": 3}, features=features)
    assert (value.needs, value.scores["score@ all"]) == ({}, {bucket_of(3.0): 1})
    assert counted(scores={"id": "m", "value": "high"}).scores == {}


def order(*calls: tuple[float, dict[str, Any]]) -> tuple[int, int]:
    """How many of these calls came twice, and how many are dated before an earlier one."""
    day, calls_in_order = DayCounts(), CallOrder()
    for seconds, more in calls:
        given = {"hook_instance": "", "patient": "p"} | more
        calls_in_order.note(day, a_decision(decided_at=int(seconds * SECOND), **given))
    return day.repeated, day.behind


def test_a_call_within_five_seconds_came_twice_and_five_minutes_back_is_behind() -> None:
    assert [order((1000, {}), (1000 + after, {}))[0] for after in (5, 5.1, -5, -5.1)] == [1, 0, 1, 0]
    assert [order((1000, {}), (1000 - before, {}))[1] for before in (300, 300.1)] == [0, 1]
    assert order((1000, {}), (500, {}), (600, {}), (1000, {})) == (0, 2)
    assert order((0, {"client": "a"}), (1, {"client": "b"}), (2, {"service": "c"})) == (0, 0)
    assert order((0, {"hook_instance": "h"}), (99, {"hook_instance": "h"}), (199, {"hook_instance": ""})) == (1, 0)


def test_only_the_newest_calls_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_MOST_CALLS", 4)
    calls = [(float(number * 100), {"hook_instance": f"h{number % 3}", "patient": f"p{number}"}) for number in range(4)]
    assert order(*calls) == (0, 0)
    assert order(calls[0], calls[1], (300.0, calls[0][1])) == (1, 0)


def test_an_instant_is_read_with_its_zone_and_a_day_as_its_beginning() -> None:
    assert seconds_under_way("2026-11-20T09:00:00Z", 1_795_165_230_000_000) == 30.0
    assert seconds_under_way("2026-11-20T10:00:00+01:00", 1_795_165_190_000_000) == -10.0
    assert [seconds_under_way(text, 1) for text in ("2026-11-20", "2026-11-20T09:00:00", "T", "")] == [None] * 4
    assert [str(_instant(text)) for text in ("2026-11-20", "2026-11-20T10:00:00+01:00", "2026", "", None)] == [
        "2026-11-20 00:00:00+00:00", "2026-11-20 10:00:00+01:00", "None", "None", "None",
    ]  # fmt: skip
