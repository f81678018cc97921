"""What is learned of a feed and expected of it, worked out by hand from a few counts."""

from collections import Counter
from datetime import UTC, date
from math import exp, log, sqrt

import numpy as np
import pytest

from cds_hooks.events.watch.baseline import Level, _between, _hours, _spread, expect, learn, level_of
from cds_hooks.events.watch.history import History, parts_of
from tests.cds_hooks.events.watch.made import MONDAY, flat, history_of

SUNDAY = MONDAY - 288


def test_on_a_holiday_anything_between_a_sunday_and_the_weekday_is_expected() -> None:
    baseline = flat(4.0, 1.0)
    baseline.hours[6, 0] = 9.0
    baseline.day_variance[:] = [0.25, 0, 0, 0, 0, 0, 0.04]
    baseline.hour_variance[6, 0], baseline.hour_variance[0, 0] = 0.5, 0.125
    start = SUNDAY + 287
    expected = expect(baseline, start, start + 4, frozenset({date(2026, 5, 4)}))
    assert expected.start == start
    assert expected.low.tolist() == [0.0, 1.0, 5.0, 9.0, 13.0]
    assert expected.high.tolist() == [0.0, 1.0, 10.0, 19.0, 28.0]
    assert expected.day_error.tolist() == pytest.approx([0.0, 0.2, 1.0, 1.8, 2.6])
    assert expected.hour_error.tolist() == pytest.approx([0.0, 0.0, 96.0, 192.0, 288.0])
    ordinary = expect(baseline, start, start + 3, frozenset())
    assert ordinary.low.tolist() == ordinary.high.tolist() == [0.0, 1.0, 5.0, 9.0]
    assert ordinary.day_error.tolist() == pytest.approx([0.0, 0.2, 2.2, 4.2])
    assert ordinary.hour_error.tolist() == pytest.approx([0.0, 0.0, 24.0, 48.0])
    quiet = flat(4.0, 1.0)
    holiday = expect(quiet, MONDAY, MONDAY + 1, frozenset({date(2026, 5, 4)}))
    assert (holiday.low.tolist(), holiday.high.tolist()) == ([0.0, 1.0], [0.0, 4.0])


def test_a_saturday_has_the_hours_of_weekends_and_hours_that_were_seen_less_lean_more_on_the_week() -> None:
    totals, steps = np.zeros((7, 24)), np.full((7, 24), 12.0)
    totals[:, 0], totals[:, 1] = [60, 60, 60, 60, 60, 24, 36], [120, 120, 120, 120, 120, 6, 6]
    steps[5:, 1] = 3.0
    means, hour_variance, _ = _hours(totals, steps)
    ratio = 72 / (24 * 5 + 6 * 10)
    profile = (60 + 24 * ratio * 5) / 48, (12 + 24 * ratio * 10) / 30
    level = 30 / (12 * profile[0] + 3 * profile[1])
    weights = 24 / 2024, 6 / 2006
    assert means[5, :2].tolist() == pytest.approx(
        [weight * own + (1 - weight) * hour * level for weight, own, hour in zip(weights, (2, 2), profile, strict=True)]
    )
    assert hour_variance[5, 0] == pytest.approx(1 / (60 + 24 * ratio * 5) + weights[0] ** 2 / 24)


def test_the_spread_is_the_variance_by_the_mean_without_the_few_steps_furthest_out() -> None:
    def spread(*pairs: tuple[float, float, int]) -> float:
        counts = np.concatenate([np.full(times, count) for count, _, times in pairs])
        return _spread(counts, np.concatenate([np.full(times, mean) for _, mean, times in pairs]))

    assert spread((0, 4.0, 10), (8, 4.0, 10)) == 4.0
    assert spread((3, 4.0, 10)) == 1.05
    assert spread((14, 4.0, 10)) == 10.0
    assert spread((0, 4.0, 998), (400, 4.0, 2)) == 4.0
    assert spread((0, 4.0, 997), (8, 2.0, 1), (400, 4.0, 2)) == pytest.approx((997 * 4 + 18) / 998)
    assert spread((9, 0.3, 5), (0, 4.0, 5)) == 4.0
    assert spread((9, 0.3, 5)) == 1.05
    assert spread((2, 0.5, 1)) == 4.5


def test_how_much_whole_days_vary_beyond_chance() -> None:
    def between(counts: list[float], due: list[float], spread: float = 1.0) -> float:
        return _between(np.array(counts), np.array(due), np.arange(len(counts)), spread)

    five = [80.0, 90.0, 100.0, 110.0, 120.0]
    varied = (0 + 0.01 + 0.01 + 0.04) / 4 / 0.7  # without the furthest one
    assert between(five, [100.0] * 5) == pytest.approx(varied - 0.01)
    assert between(five, [100.0] * 5, 2.0) == pytest.approx(varied - 0.02)
    assert between(five, [100.0] * 5, 3.0) == 0.0
    assert between(five[:4], [100.0] * 4) == 0.0
    # A day of which hardly anything was in view, less than three tenths of the mean of 86, is left out.
    assert between([*five, 0.0], [*[100.0] * 5, 20.0]) == pytest.approx(varied - 0.01)
    assert between([*five, 0.0], [*[100.0] * 5, 40.0]) == pytest.approx(0.1125 / 5 / 0.7 - 0.01)
    halves = _between(np.array(five * 2) / 2, np.full(10, 50.0), np.arange(10) % 5, 1.0)
    assert halves == pytest.approx(varied - 0.01)


def test_the_level_of_values_is_their_median_and_quartiles() -> None:
    assert level_of({5: 39}) is None
    level = level_of({12: 10, 10: 10, 11: 20})
    assert level is not None
    assert (level.median, level.scale, level.mean, level.deviation, level.count) == (11.0, 1.0, 0.0, sqrt(0.5), 40)
    assert level.shares == {10: 0.25, 11: 0.5, 12: 0.25}
    assert level.scores.tolist() == [-1.0, 0.0, 1.0, -6.0, 6.0]
    assert level.weights.tolist() == pytest.approx([0.25 * 39 / 41, 0.5 * 39 / 41, 0.25 * 39 / 41, 1 / 41, 1 / 41])
    assert [level.score(bucket) for bucket in (4, 5, 5.5, 11, 16.5, 17, 18)] == [-6, -6, -5.5, 0, 5.5, 6, 6]
    narrow = level_of({7: 100})
    assert narrow is not None
    assert (narrow.median, narrow.scale, narrow.mean, narrow.deviation) == (7.0, 1.0, 0.0, 0.3)


def test_quartiles_are_as_far_apart_as_1_349_deviations_and_far_values_count_six_of_them() -> None:
    level = level_of({0: 11, 10: 18, 20: 10, 600: 1})
    assert level is not None
    scale = 20 / 1.349
    scores = [-10 / scale, 0, 10 / scale, 6]
    mean = (11 * scores[0] + 10 * scores[2] + 6) / 40
    assert (level.median, level.scale, level.count) == (10.0, scale, 40)
    assert level.scores.tolist() == pytest.approx([*scores, -6, 6])
    assert level.mean == pytest.approx(mean)
    squares = [weight * (score - mean) ** 2 for weight, score in zip((11, 18, 10, 1), scores, strict=True)]
    assert level.deviation == pytest.approx(sqrt(sum(squares) / 40))


def test_a_mean_far_out_is_as_rare_as_the_best_tilt_says() -> None:
    level = Level(0, 1, 0.5, 1, 100, {}, np.array([0.0, 1.0]), np.array([0.5, 0.5]))
    tilts = (0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0, 1.25, 1.5, 1.8, 2.2, 2.7, 3.5, 5.0)
    for tilt in tilts:
        # A sum of coins: the tilt at which the bound is sharpest has the mean exp(t) / (1 + exp(t)).
        mean = exp(tilt) / (1 + exp(tilt))
        bound = exp(-20 * (tilt * mean - log((1 + exp(tilt)) / 2)))
        assert level.rarity(mean, 20) == pytest.approx(bound)
        assert level.rarity(1 - mean, 20) == pytest.approx(bound)
    assert level.rarity(0.5, 20) == 1.0


def contents(names: dict[str, float], messages: float = 999.0) -> list[dict[str, float]]:
    return [{"messages": messages} | names, {}]


def test_shares_levels_units_and_codes_are_learned_of_the_contents() -> None:
    names: dict[str, float] = {
        "duplicate": 9, "unmapped:A": 3, "unmapped:B": 4, "result:X": 250, "results": 1499,
        "latency:3": 30, "latency:-26": 6, "latency:-25": 4, "latency:-30": 2,
        "value:X|mg/dL:7": 40, "value:X|g/L:7": 2, "value:Y|mg/dL:7": 3, "state:dead": 1,
    }  # fmt: skip
    baseline = learn(history_of(contents(names)), UTC, frozenset())
    assert baseline is not None
    rare = 0.5 / 1000
    assert baseline.shares == {
        "duplicate": 0.0095, "out-of-order": rare, "unknown-patients": rare,
        "state:dead": 0.0015, "no-offset": rare, "refused": rare, "ahead": 0.0085, "unmapped": 0.005,
    }  # fmt: skip
    assert baseline.results == {"X": 250}
    assert baseline.units == {"X": {"mg/dL"}, "Y": {"mg/dL"}}
    assert {code: (level.median, level.count) for code, level in baseline.values.items()} == {"X|mg/dL": (7.0, 40)}
    assert baseline.latency is not None
    assert (baseline.latency.median, baseline.latency.count) == (3.0, 42)
    few = learn(history_of(contents({"results": 5, "unmapped:A": 1})), UTC, frozenset())
    assert few is not None
    assert (few.shares["unmapped"], few.latency) == (1.5 / 1000, None)


def test_the_parts_that_can_be_missed_are_large_and_not_the_whole_feed() -> None:
    names: dict[str, float] = {
        "sender:A": 200, "sender:B": 199, "type:ORU": 979, "type:ALL": 980, "ward:W": 300, "result:X": 250,
        "other:O": 500, "duplicate": 200,
    }  # fmt: skip
    steps = [
        {"messages": 1000.0} | names,
        {"messages": 40.0},
        {"messages": 50.0},
        {},
        {"ward:W": 0.0},
        {"messages": 60.0},
    ]
    baseline = learn(history_of(steps), UTC, frozenset())
    assert baseline is not None
    fresh = 1150 - 200
    longest = dict.fromkeys(("sender:A", "type:ORU", "type:ALL", "result:X"), 150.0) | {"ward:W": 90.0}
    assert {name: part.share for name, part in baseline.parts.items()} == {
        name: names[name] / fresh for name in longest
    }
    due = {name: messages * names[name] / fresh for name, messages in longest.items()}
    assert {name: part.longest for name, part in baseline.parts.items()} == pytest.approx(due)
    whole = learn(history_of([{"messages": 1000.0} | names]), UTC, frozenset())
    assert whole is not None
    assert list(whole.parts) == ["type:ORU", "ward:W", "result:X", "sender:A"]


DAY = MONDAY // 288


def test_messages_are_kept_for_longer_than_a_month() -> None:
    history = history_of([{"messages": float(step)} for step in range(8066)])
    assert history.messages(MONDAY + 8062, MONDAY + 8066).tolist() == [8062.0, 8063.0, 8064.0, 8065.0]
    assert history.messages(MONDAY, MONDAY + 2).tolist() == [0.0, 1.0]
    assert len(history.recent) == 576


def test_what_is_learned_is_all_days_and_the_newest_two_without_what_is_left_out() -> None:
    history = history_of([{"a": 1.0}, {"a": 10.0}, {"b": 5.0}])
    history.add_to_day(DAY - 9, {"a": 100.0})
    history.add_to_day(DAY - 8, {"a": 200.0})
    assert history.learned() == Counter({"a": 311, "b": 5})
    history.leave_out(MONDAY + 1, MONDAY + 2)
    assert history.learned() == Counter({"a": 301, "b": 5})


def test_a_day_is_learned_from_for_four_weeks() -> None:
    history = History(MONDAY)
    for day in (DAY, DAY + 1, DAY + 28):
        history.add_to_day(day, {"a": 1.9})
    history.add_to_day(DAY + 28, {"a": 1.0, "b": 2.0})
    assert history.days == {DAY + 1: Counter({"a": 1}), DAY + 28: Counter({"a": 2, "b": 2})}


@pytest.mark.parametrize(("names", "new"), [(5000, 3), (5001, 0)])
def test_a_sender_that_invents_a_name_for_each_message_does_not_fill_the_memory(names: int, new: int) -> None:
    history = History(MONDAY)
    history.add_to_day(DAY, {f"n{number}": 1.0 for number in range(names)})
    history.add_to_day(DAY, {"n7": 2.0, "new": 3.0})
    assert history.days[DAY]["n7"] == 3
    assert history.days[DAY]["new"] == new


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("messages", ("messages", "", 0)),
        ("sender:G1:x", ("sender", "G1:x", 0)),
        ("latency:-36", ("latency", "", -36)),
        ("value:2823-3|mmol/L:1048648", ("value", "2823-3|mmol/L", 1048648)),
        ("value:a:b:-5", ("value", "a:b", -5)),
    ],
)
def test_the_parts_of_a_name(name: str, parts: tuple[str, str, int]) -> None:
    assert parts_of(name) == parts
