"""What monitoring computes from counts, as literals: at the limits, and in every case in which nothing is computed."""

from datetime import UTC, date, datetime
from math import inf
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from models_onnx.monitoring import arrival, drift, rates
from models_onnx.monitoring.alerting import Alerting, InForce, alerting_at, alerting_of
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.drift import one_value
from models_onnx.monitoring.labelled import LabelCounts, labelled, pack, unpack, unpack_cells, with_labels_assumed
from models_onnx.monitoring.performance import Deployed, net_benefit, observed_to_expected, ratio_at_equal_estimate
from models_onnx.monitoring.rates import Interval
from models_onnx.monitoring.sketch import Sketch, bucket_of
from models_onnx.monitoring.today import Today
from tests.models_onnx.monitoring.figures import sketch_of

DAY = date(2026, 9, 28)


def _rounded(values: Any, digits: int = 6) -> Any:
    return tuple(round(value, digits) for value in values)


# Shares


def test_deviations_of_days() -> None:
    assert round(rates.sigmas(60, 100, 0.5), 6) == 2.0
    assert round(rates.sigmas(60, 100, 0.5, 2.0), 6) == 1.0
    assert round(rates.sigmas(1, 100, 0.0), 2) == 3162.28
    assert rates.day_spread([(60, 100)], 0.5) == 1.0
    assert rates.day_spread([(60, 100), (0, 0)], 0.5) == 1.0
    assert round(rates.day_spread([(60, 100), (30, 100)], 0.5), 6) == 3.162278
    assert rates.day_spread([(51, 100), (50, 100)], 0.5) == 1.0
    assert rates.cusum([]) == 0.0
    assert rates.cusum([1.0, 2.0, 0.25]) == 1.75
    assert rates.cusum([-1.0, -3.0]) == 3.0
    assert rates.cusum([4.0, -1.0, -1.0]) == 1.0


def test_probabilities_of_counts() -> None:
    assert rates.at_least(0, 3.0) == 1.0
    assert round(rates.at_least(1, 3.0), 6) == 0.950213
    assert round(rates.at_least(5, 3.0), 6) == 0.184737
    assert rates.at_most(0, 0.0) == 1.0
    assert rates.at_most(3, -1.0) == 1.0
    assert round(rates.at_most(0, 0.5), 6) == 0.606531
    assert round(rates.at_most(2, 3.0), 6) == 0.42319
    assert round(rates.at_most(300, 250.0), 6) == 0.999048


def _thousands(counts: dict[date, tuple[int, int]]) -> dict[date, DayCounts]:
    return {day: DayCounts(calls=calls, errors=errors) for day, (errors, calls) in counts.items()}


def _rise(now: tuple[int, int], before: tuple[int, int], alike: tuple[int, int] = (0, 0)) -> rates.Rise:
    window, reference = _thousands({DAY: now}), list(_thousands({DAY: before}).values())
    weekdays = list(_thousands({DAY: alike}).values())
    return rates.rise(window, reference, lambda _: weekdays, lambda day: (day.errors, day.calls), 1)


def test_a_share_that_rises_in_all_or_on_one_day() -> None:
    assert _rise((0, 199), (0, 1000)) == ("insufficient", 199, 0.0, 0.0, None)
    assert _rise((0, 1000), (0, 199)) == ("insufficient", 199, 0.0, 0.0, None)
    assert _rise((0, 200), (0, 200)) == ("good", 200, 0.0, 0.0, None)
    assert _rise((300, 10_000), (0, 10_000)) == ("watch", 10000, 0.03, 0.0, None)
    assert _rise((299, 10_000), (0, 10_000)) == ("good", 10000, 0.0299, 0.0, None)
    assert _rise((1000, 10_000), (0, 10_000)) == ("act", 10000, 0.1, 0.0, None)
    assert _rise((20, 200), (10, 200)) == ("good", 200, 0.1, 0.05, None)
    assert _rise((20, 49), (0, 1000), (0, 100)) == ("insufficient", 49, 0.0, 0.0, None)
    assert _rise((25, 50), (0, 1000), (0, 50)) == ("act", 50, 0.5, 0.0, date(2026, 9, 28))
    assert _rise((25, 50), (0, 1000), (0, 49)) == ("insufficient", 50, 0.0, 0.0, None)


# Distributions


def test_values_outside_all_before() -> None:
    before = sketch_of([10.0] * 50 + [20.0] * 50)
    rounded = [
        (beyond.number, round(beyond.low, 2), round(beyond.high, 2), float(f"{beyond.chance:.4g}"))
        for beyond in (
            drift.beyond(before, sketch_of(values))
            for values in ([10.0, 20.0], [24.0] * 5 + [8.5] * 5, [26.0] * 5, [7.0] * 5, [7.0, 26.0, 15.0], [])
        )
    ]
    assert rounded == [
        (0, 10.07, 19.89, 1.0),
        (0, 10.07, 19.89, 1.0),
        (5, 10.07, 19.89, 2.071e-08),
        (5, 10.07, 19.89, 2.071e-08),
        (2, 10.07, 19.89, 0.05825),
        (0, 10.07, 19.89, 1.0),
    ]
    below_zero = drift.beyond(sketch_of([-10.0, -4.0]), sketch_of([-13.0, -11.0, -3.5, -3.0]))
    assert (below_zero.number, round(below_zero.low, 2), round(below_zero.high, 2), below_zero.chance) == (
        2, -10.07, -4.01, 1.0,
    )  # fmt: skip


# Values that are repeated or rounded


def _one_value(now: int, before: int, total: int = 1000) -> Any:
    buckets = {bucket_of(70.0 + step): 10 for step in range(30)}
    usual = bucket_of(100.0)
    days = [
        DayCounts(features={"pulse": {**buckets, usual: count, bucket_of(120.0): total - count}})
        for count in (now, before)
    ]
    sums = tuple(day.sketch("features", "pulse") for day in days)
    return one_value("pulse", {DAY: days[0]}, [days[1]], lambda _: [days[1]], cast("tuple[Sketch, Sketch]", sums), 1)


def test_one_value_is_repeated() -> None:
    assert _one_value(100, 100) is None
    assert _one_value(120, 100) is None
    assert _one_value(150, 100) is None
    assert _one_value(220, 100) == (
        "act", 0.1864406779661017, 0.0847457627118644, "19 in 100 values of pulse are about 100, 8 before.",
    )  # fmt: skip
    assert _one_value(400, 100) == (
        "act", 0.3389830508474576, 0.0847457627118644, "34 in 100 values of pulse are about 100, 8 before.",
    )  # fmt: skip


# How calls arrive


def test_the_clock_of_answers() -> None:
    def answers(now: list[float], before: list[float]) -> Any:
        day, then = (DayCounts(answer_seconds=dict(sketch_of(values))) for values in (now, before))
        return list(arrival.clocks(day, then))[2]

    assert answers([30.0] * 49, []) == (
        "answers", "insufficient", 49, 50, None, None, "answers: 49 counted, 50 are needed",
    )  # fmt: skip
    assert answers([30.0] * 50, [20.0] * 49) == (
        "answers", "good", 50, 50, 30.26717133872189, None,
        "the quickest answers arrive 30 seconds after they were given",
    )  # fmt: skip
    assert answers([30.0] * 50, [20.0] * 50) == (
        "answers", "good", 50, 50, 30.26717133872189, 19.886670240866188,
        "the quickest answers arrive 30 seconds after they were given, 20 before",
    )  # fmt: skip
    assert answers([-301.0] * 2 + [30.0] * 98, []) == (
        "answers", "watch", 100, 50, 0.02, 0.0,
        "2 in 100 answers are dated over 5 minutes after they arrived: its clock is ahead",
    )  # fmt: skip
    assert answers([400.0] * 50, [20.0] * 50) == (
        "answers",
        "act",
        50,
        50,
        399.47439724136643,
        19.886670240866188,
        "the quickest answers arrive 399 seconds after they were given, 20 before; "
        "a clock is wrong, or they are sent late",
    )


def test_values_dated_in_the_future_of_too_few_calls() -> None:
    few = list(arrival.clocks(DayCounts(calls=199), DayCounts()))
    assert few == [
        ("machines", "insufficient", 199, 200, None, None, "machines: 199 counted, 200 are needed"),
        ("values", "insufficient", 199, 200, None, None, "values: 199 counted, 200 are needed"),
        ("answers", "insufficient", 0, 50, None, None, "answers: 0 counted, 50 are needed"),
    ]
    none = list(arrival.clocks(DayCounts(calls=200), DayCounts()))
    assert none[1] == (
        "values", "good", 200, 200, 0.0, 0.0,
        "in 0.0 of 100 calls an input was refused because it is dated in the future",
    )  # fmt: skip


# The day so far


def test_a_steady_rise_of_failures_is_watched_before_it_reaches_the_limit() -> None:
    calls = dict.fromkeys(range(24), 100)
    alike = [DayCounts(hours=calls)]

    def figure(*failed: int, at: int = 12) -> tuple[Any, ...]:
        errors = dict(enumerate(failed, at - len(failed)))
        today = Today(
            "ehr", "s", datetime(2026, 9, 28, at, 5, tzinfo=UTC), DayCounts(hours=calls, hour_errors=errors), alike
        )
        errors_of_today = list(today.figures())[1]
        return errors_of_today.state, errors_of_today.n, errors_of_today.value, errors_of_today.text

    assert figure(0, 0, 0, 0, 0, 0) == (
        "good", 300, 0.0, "s, today up to 12:00 UTC: 0.0 in 100 calls failed since 09:00, 0.0 before.",
    )  # fmt: skip
    assert figure(1, 2, 3, 4, 5, 6) == (
        "watch",
        300,
        0.05,
        "s, today up to 12:00 UTC: 5.0 in 100 calls failed since 09:00, 0.0 before; "
        "at this pace the limit is reached in 4.0 hours.",
    )
    assert figure(0, 1, 1, 2, 2, 2) == (
        "good", 300, 0.02, "s, today up to 12:00 UTC: 2.0 in 100 calls failed since 09:00, 0.0 before.",
    )  # fmt: skip
    assert figure(9, 10, 11, 12, 13, 14) == (
        "act", 300, 0.13, "s, today up to 12:00 UTC: 13.0 in 100 calls failed since 09:00, 0.0 before.",
    )  # fmt: skip
    assert figure(5, 7, at=2) == (
        "good", 200, 0.06, "s, today up to 02:00 UTC: 6.0 in 100 calls failed since 00:00, 0.0 before.",
    )  # fmt: skip


# Thresholds


def _manifest(rows: list[tuple[float, float, float]], bins: list[tuple[float, int]]) -> Any:
    table = [
        SimpleNamespace(
            capacity=capacity, percentile=percentile, probability=0.3, ppv=ppv, alert_rate=capacity, sensitivity=0.6
        )
        for capacity, percentile, ppv in rows
    ]
    cohort = [SimpleNamespace(percentile_low=low, count=count) for low, count in bins]
    return SimpleNamespace(thresholds=SimpleNamespace(table=table), reference=SimpleNamespace(bins=cohort, n=1000))


def test_the_people_above_a_threshold_and_the_number_to_alert() -> None:
    manifest = _manifest(
        [(0.2, 80.0, 0.25), (0.05, 95.0, 0.5), (0.1, 90.0, 0.0), (0.01, 99.0, 0.5)], [(0, 790), (80.0, 110), (90.0, 90)]
    )
    assert alerting_of(manifest, manifest.thresholds.table[0]) == Alerting(
        share=0.2,
        percentile=80.0,
        probability=0.3,
        people=200,
        ppv=Interval(value=0.25, low=0.195081680068175, high=0.31434098312045833),
        needed=Interval(value=4.0, low=3.181258740343097, high=5.126057965312432),
        sensitivity=0.6,
    )
    assert alerting_of(manifest, manifest.thresholds.table[2]).needed.high == inf
    empty = _manifest([(0.0001, 99.99, 0.5)], [])
    nobody = alerting_of(empty, empty.thresholds.table[0])
    assert (nobody.people, nobody.ppv, nobody.needed) == (0, Interval(0.5, 0.0, 1.0), Interval(2.0, 1.0, inf))

    def shares_at(share: float) -> tuple[list[float], bool]:
        in_force = alerting_at(manifest, share)
        assert in_force.share == share
        return [tested.share for tested in in_force.tested], in_force.is_tested

    assert shares_at(0.05) == ([0.05], True)
    assert shares_at(0.0500005) == ([0.05], True)
    assert shares_at(0.07) == ([0.05, 0.1], False)
    assert shares_at(0.005) == ([0.01], False)
    assert shares_at(0.9) == ([0.2], False)
    one_neighbour = InForce(0.005, alerting_at(manifest, 0.01).tested)
    assert not one_neighbour.is_tested


# Labels


def _labels() -> LabelCounts:
    counts = LabelCounts()
    counts.count("m all", 0.2, "yes", with_card=True)
    counts.count("m all", 0.2, "no", with_card=False, times=3)
    counts.count("m all", 0.6, "unlabelled", with_card=True, times=4)
    counts.count("m all", 0.6, "unlabelled", with_card=False, times=5)
    counts.count("m all", 0.6, "yes", with_card=False, times=2)
    return counts


def test_counts_of_labels_are_kept_and_added() -> None:
    counts = _labels()
    assert counts.cells == {"m all": {-69: [1, 0, 0, 0, 3, 0], 20: [0, 0, 4, 2, 0, 5]}}
    counts.add(_labels())
    counts.add(LabelCounts(cells={"n": {1: [1, 0, 0, 0, 0, 0]}}))
    assert counts.cells == {"m all": {-69: [2, 0, 0, 0, 6, 0], 20: [0, 0, 8, 4, 0, 10]}, "n": {1: [1, 0, 0, 0, 0, 0]}}
    assert unpack(pack(counts)) == counts
    assert {key: rows.tolist() for key, rows in with_labels_assumed(unpack_cells(pack(_labels()))).items()} == {
        "m all": [[-69, 1, 0, 0, 0, 3, 0], [20, 0, 4, 0, 2, 5, 0]]
    }
    arrays = labelled(_labels(), "m all")
    assert (arrays.yes.tolist(), arrays.no.tolist(), np.round(arrays.estimates, 4).tolist()) == (
        [1.0, 2.0],
        [3.0, 0.0],
        [0.201, 0.5987],
    )
    assert [arrays.total("yes"), arrays.total("yes", with_card=True), arrays.total("yes", with_card=False)] == [3, 1, 2]
    assert [arrays.total("unlabelled"), arrays.total("no", with_card=True), arrays.total("no")] == [9, 0, 3]
    nobody = labelled(_labels(), "m men")
    assert (nobody.log_odds.shape, nobody.counts.shape) == ((0,), (0, 6))
    assert observed_to_expected(nobody) is None
    assert net_benefit(nobody, Deployed(0.5, 0.25)) is None


def test_need_of_too_few_or_of_none_at_equal_estimate() -> None:
    assert ratio_at_equal_estimate({1: [1, 4.0, 16.0]}, {1: [3, 3.0, 5.0]}) is None
    assert ratio_at_equal_estimate({1: [2, 0.0, 0.0]}, {1: [3, 3.0, 5.0]}) is None
    assert ratio_at_equal_estimate({1: [2, 4.0, 10.0]}, {1: [3, 0.0, 0.0]}) is None
    assert ratio_at_equal_estimate({1: [2, 4.0, 10.0]}, {2: [3, 3.0, 5.0]}) is None


# Sexes


def _sexes(men: list[float], women: list[float]) -> DayCounts:
    name = "creatinine_mg_dl"
    return DayCounts(by_sex={f"{name} men": dict(sketch_of(men)), f"{name} women": dict(sketch_of(women))})


def test_sexes_that_are_exchanged() -> None:
    assert _rounded(drift.higher(sketch_of([1.0, 2.0, 3.0]), sketch_of([0.5, 2.0, 2.5, 0.7]))) == (0.708333, 0.215423)
    high, low = [1.2, 1.1, 1.0, 0.9] * 100, [1.0, 0.9, 0.8, 0.7] * 100
    before = _sexes(high, low)
    assert list(drift.exchanged(before, _sexes(high[:99], low))) == []
    assert list(drift.exchanged(before, _sexes(high, high))) == []
    assert list(drift.exchanged(_sexes(high, low[:99]), before)) == [("insufficient", "creatinine_mg_dl", 99, 0.0)]
    assert list(drift.exchanged(before, before)) == [("good", "creatinine_mg_dl", 400, 0.0)]
    assert [
        (verdict.state, verdict.n, round(verdict.share, 4))
        for share in (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
        for verdict in drift.exchanged(
            _sexes(
                high[int(400 * share) :] + low[: int(400 * share)], low[int(400 * share) :] + high[: int(400 * share)]
            ),
            before,
        )
    ] == [
        ("good", 400, 0.0),
        ("good", 400, 0.05),
        ("good", 400, 0.1),
        ("watch", 400, 0.2),
        ("act", 400, 0.3),
        ("act", 400, 0.5),
        ("act", 400, 1.0),
    ]
