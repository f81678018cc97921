"""Whole figures of monitoring, with the value, that of before and the sentence, in cases worked out by hand."""

from datetime import date, timedelta
from math import exp, inf, sqrt

import numpy as np
import pytest

from models_onnx.monitoring import arrival, rates
from models_onnx.monitoring.alerting import alerting_at, alerting_of
from models_onnx.monitoring.day import DayCounts, _sum_of_buckets, groups_of
from models_onnx.monitoring.figure import Figure
from models_onnx.monitoring.judging import Compared
from models_onnx.monitoring.label_judging import LabelWindow
from models_onnx.monitoring.labelled import LabelCounts, labelled
from models_onnx.monitoring.performance import (
    Deployed,
    area_under_curve,
    calibration_slope,
    net_benefit,
    ratio_at_equal_estimate,
)
from models_onnx.monitoring.rates import Moved, moved
from tests.each import for_rows
from tests.models_onnx.monitoring.figures import sketch_of
from tests.models_onnx.monitoring.test_values_by_hand import _manifest

MONDAY = date(2026, 9, 28)
Z = 1.959963984540054
"""The quantile of a normal distribution for an interval of 95 %."""


def _figures(window: list[DayCounts], before: list[DayCounts]) -> dict[tuple[str, str], Figure]:
    days = {MONDAY + timedelta(days=number): counts for number, counts in enumerate(window)}
    reference = {MONDAY - timedelta(days=28 - number): counts for number, counts in enumerate(before)}
    return {
        (figure.family, figure.subject): figure for figure in Compared("ehr", "follow-up", days, reference).figures()
    }


def _row(figure: Figure) -> tuple[object, ...]:
    return figure.state, figure.n, figure.minimum, figure.value, figure.before, figure.text


def test_the_hours_of_a_day_are_held_against_their_mean_of_before() -> None:
    """A hundred calls come at eight, nine and ten o'clock; the clocks may go an hour, so the hour between is judged."""
    usual = DayCounts(calls=300, hours={8: 100, 9: 100, 10: 100})
    quiet = DayCounts(calls=200, hours={8: 100, 10: 100})
    slow = DayCounts(calls=280, hours={8: 100, 9: 80, 10: 100})
    assert _row(_figures([usual], [usual] * 28)["feed", "hours"]) == (
        "good", 300, 20, 0, 0, "follow-up: calls come at all hours of the day at which they came before.",
    )  # fmt: skip
    assert _figures([slow], [usual] * 28)["feed", "hours"].state == "good"
    assert _row(_figures([quiet], [usual] * 28)["feed", "hours"]) == (
        "act", 200, 20, 0, 100.0,
        "follow-up: in the hours from 09:00 (UTC) 0 calls came where 100 were expected.",
    )  # fmt: skip


def test_a_rule_without_cards_among_many_rules_is_watched_first() -> None:
    """None of 20 expected cards: chance has that twice in a thousand million days, times a thousand rules once."""
    rules = {f"rule {number}": 1 for number in range(998)}
    states = {}
    for others in ({}, rules):
        before = DayCounts(calls=100, rules={"ddi": 20} | others)
        now = DayCounts(calls=100, rules=dict(others))
        states[len(others)] = _figures([now], [before] * 28)["rules", "ddi"].state
    assert states == {0: "act", 998: "watch"}
    few = DayCounts(calls=100, rules={"ddi": 19})
    assert ("rules", "ddi") not in _figures([DayCounts(calls=100)], [few] * 28)


def test_the_names_of_a_family_are_those_with_values_and_of_inputs_those_that_were_missing() -> None:
    day = DayCounts(features={"sbp": {1: 1}}, missing={"hba1c absent": 2, "hba1c unit": 1}, scores={"model": {1: 1}})
    assert (day.names("features"), day.names("scores"), day.names("ages")) == (["hba1c", "sbp"], ["model"], [])
    assert (day.missing_of("hba1c"), day.missing_of("sbp")) == (3, 0)


def test_the_people_above_a_threshold_are_those_of_the_bins_that_begin_there() -> None:
    """The report says a fifth, the bins of the cohort 230 people of whom the outcome is known."""
    manifest = _manifest([(0.2, 80.0, 0.25), (0.1, 90.0, 0.5)], [(0, 700), (80.0, 140), (90.0, 90)])
    assert [alerting_of(manifest, row).people for row in manifest.thresholds.table] == [230, 90]
    without = _manifest([(0.2, 80.0, 0.25)], [(0, 700), (79.0, 140)])
    assert alerting_of(without, without.thresholds.table[0]).people == 200
    assert [row.share for row in alerting_at(manifest, 0.2).tested] == [0.2]


def test_a_share_of_nothing_and_of_everything_stays_within_zero_and_one() -> None:
    assert rates.wilson(0, 4)[0] == 0.0
    assert rates.wilson(4, 4)[1] == 1.0
    assert rates.wilson(1, 1)[0] == pytest.approx(1 / (1 + Z * Z))


# Performance from few predictions


def _counts(*rows: tuple[float, int, int]) -> LabelCounts:
    """Estimates with how many had the event and how many did not."""
    counts = LabelCounts()
    for estimate, yes, no in rows:
        counts.count("m all", estimate, "yes", with_card=False, times=yes)
        counts.count("m all", estimate, "no", with_card=False, times=no)
    return counts


def test_the_area_and_its_interval_are_delongs_of_four_people() -> None:
    """Of the pairs 0.8-0.4, 0.8-0.2, 0.3-0.4 and 0.3-0.2 three are in order."""
    area = area_under_curve(labelled(_counts((0.8, 1, 0), (0.3, 1, 0), (0.4, 0, 1), (0.2, 0, 1)), "m all"))
    assert area is not None
    half = Z * sqrt(0.125 / 2 + 0.125 / 2)
    assert (area.value, area.low, area.high) == pytest.approx((0.75, 0.75 - half, 1.0))
    poor = area_under_curve(labelled(_counts((0.2, 1, 0), (0.4, 1, 0), (0.3, 0, 1), (0.8, 0, 1)), "m all"))
    assert poor is not None
    assert (poor.value, poor.low, poor.high) == pytest.approx((0.25, 0.0, 0.25 + half))
    assert area_under_curve(labelled(_counts((0.8, 1, 0), (0.3, 0, 5)), "m all")) is None
    right = area_under_curve(labelled(_counts((0.8, 2, 0), (0.3, 0, 2)), "m all"))
    assert right is not None
    assert (right.value, right.low, right.high) == (1.0, 1.0, 1.0)


def test_the_area_counts_ties_half_and_people_with_the_same_estimate_as_often_as_they_are() -> None:
    area = area_under_curve(labelled(_counts((0.3, 1, 3), (0.6, 3, 1)), "m all"))
    assert area is not None
    # 0.3 against 0.3 and 0.6 against 0.6 are ties: (1 * (3/2) + 3 * (3 + 1/2)) / 16
    assert area.value == pytest.approx(0.75)
    above, below = [1.5 / 4] + [3.5 / 4] * 3, [3.5 / 4] * 3 + [1.5 / 4]
    half = Z * sqrt(np.var(above, ddof=1) / 4 + np.var(below, ddof=1) / 4)
    assert (area.low, area.high) == pytest.approx((0.75 - half, min(1.0, 0.75 + half)))


def test_the_slope_of_two_estimates_is_that_of_their_log_odds() -> None:
    """At 0.5 half have the event; at 0.731 (log-odds 1) 88.1 % (log-odds 2): the slope is 2."""
    slope = calibration_slope(labelled(_counts((0.5, 500, 500), (0.7310586, 881, 119)), "m all"))
    assert slope is not None
    assert slope.value == pytest.approx(2.0, abs=0.02)
    # the variance of a difference of two log-odds is the sum of one over each count, and the distance is one
    half = Z * sqrt(1 / 500 + 1 / 500 + 1 / 881 + 1 / 119)
    assert (slope.low, slope.high) == pytest.approx((slope.value - half, slope.value + half), abs=0.01)
    assert calibration_slope(labelled(_counts((0.5, 5, 5)), "m all")) is None
    assert calibration_slope(labelled(_counts((0.5, 5, 0), (0.6, 5, 0)), "m all")) is None
    assert calibration_slope(labelled(_counts((0.5, 0, 5), (0.6, 5, 0)), "m all")) is None


def test_whoever_is_at_the_threshold_has_a_card() -> None:
    arrays = labelled(_counts((0.3, 1, 3), (0.6, 2, 4)), "m all")
    at = float(arrays.estimates[1])
    benefit = net_benefit(arrays, Deployed(at, 0.25))
    assert benefit is not None
    half = Z * sqrt((0.2 + 0.0625 * 0.4 - 0.01) / 10)
    assert (benefit.value, benefit.low, benefit.high) == pytest.approx((0.1, 0.1 - half, 0.1 + half))
    assert net_benefit(labelled(LabelCounts(), "m all"), Deployed(at, 0.25)) is None
    nobody = net_benefit(arrays, Deployed(0.99, 0.25))
    assert nobody is not None
    assert (nobody.value, nobody.low, nobody.high) == (0.0, 0.0, 0.0)


def test_need_at_equal_estimate_weighs_strata_as_mantel_and_haenszel_do() -> None:
    """Two strata of weights 4 * 4 / 8 and 2 * 2 / 4; their variances are 4/3 and 0 of the group, 0 of the others."""
    group = {1: [4.0, 8.0, 20.0], 2: [2.0, 6.0, 18.0]}
    others = {1: [4.0, 4.0, 4.0], 2: [2.0, 4.0, 8.0], 3: [9.0, 9.0, 9.0]}
    ratio = ratio_at_equal_estimate(group, others)
    assert ratio is not None
    mine, theirs = 2 * 2 + 1 * 3, 2 * 1 + 1 * 2
    half = Z * sqrt((2**2 * (4 / 3) / 4) / mine**2)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx(
        (mine / theirs, mine / theirs * exp(-half), mine / theirs * exp(half))
    )
    wild = ratio_at_equal_estimate({1: [2.0, 1e-6, 1e9]}, {1: [2.0, 2.0, 2.0]})
    assert wild is not None
    assert wild.high == inf


# Predictions whose outcome is certain


def _label_figures(now: LabelCounts, **more: object) -> dict[str, Figure]:
    window = LabelWindow("ehr", "follow-up", "predictions of May", now, now, {"m": 0.7}, **more)  # type: ignore[arg-type]
    return {figure.subject: figure for figure in window.figures()}


def test_figures_of_labels_have_one_as_what_is_right_and_the_benefit_of_the_release() -> None:
    counts = LabelCounts()
    for estimate, yes, no in ((0.2, 40, 160), (0.5, 150, 150)):
        for times, label in ((yes, "yes"), (no, "no")):
            counts.count("m@1 all", estimate, label, with_card=estimate > 0.3, times=times)  # type: ignore[arg-type]
    figures = _label_figures(counts, deployed={"m": Deployed(0.4, 0.25, 0.2)})
    observed = figures["m@1, observed to expected"]
    assert (observed.state, observed.n, observed.before) == ("good", 190, 1.0)
    benefit = figures["m@1, net benefit"]
    assert (benefit.state, benefit.n, benefit.before) == ("good", 300, 0.2)
    assert benefit.value == pytest.approx(0.3 - 0.25 * 0.3)
    assert benefit.text.startswith(
        "follow-up: m@1, net benefit: 225.0 true cards in 1,000 predictions after false ones are taken off at their "
        "weight of 0.25 ("
    )
    assert benefit.text.endswith("), 200.0 at its release; no card at all is worth 0 (predictions of May).")


FIRST = date(2026, 9, 1)


@for_rows(
    ("values", "recorded", "groups"),
    [
        ({"age_years": 64.99}, (), ("all", "under 65")),
        ({"age_years": 65.0}, (), ("all", "65 and over")),
        ({"age_years": 80.0, "sex_male": 1.0}, (), ("all", "men", "65 and over")),
        ({"age_years": 0.0, "sex_male": 0.0}, (), ("all", "women", "under 65")),
        ({"race_asian": 1.0, "race_white": 0.0}, (), ("all", "race asian")),
        ({"race_asian": 1.0}, ("race asian", "ethnicity latino"), ("all", "race asian", "ethnicity latino")),
        ({}, (), ("all",)),
    ],
)
def test_whoever_is_65_is_of_the_older_group(
    values: dict[str, float], recorded: tuple[str, ...], groups: tuple[str, ...]
) -> None:
    assert groups_of(values, recorded) == groups


@for_rows("apart", [1, 65_535, 65_536, 65_537, 2_000_000])
def test_the_buckets_of_days_are_added_up_however_far_apart_they_are(apart: int) -> None:
    assert _sum_of_buckets([{-5: 1, -5 + apart: 2}, {-5: 10, 0: 4}, {}]) == {-5: 11, -5 + apart: 2, 0: 4}
    assert _sum_of_buckets([{}, {}]) == {}


def _days(*shares: float, calls: int = 1000) -> dict[date, DayCounts]:
    days = {}
    for number, share in enumerate(shares):
        day = days[FIRST + timedelta(days=number)] = DayCounts()
        day.calls, day.errors = calls, round(share * calls)
    return days


def _moved(share: float, comparisons: int, calls: int = 1000, before: tuple[float, ...] = (0.5,)) -> str:
    window, reference = _days(share, calls=calls), list(_days(*before, calls=calls).values())
    sums = Moved("good", calls, share, sum(before) / len(before))
    return moved(window, reference, lambda day: (day.errors, day.calls), comparisons, sums).state


@for_rows(
    ("share", "comparisons", "calls", "state"),
    [
        (0.549, 1, 100_000, "good"),  # certain, and under 5 points
        (0.55, 1, 100_000, "watch"),
        (0.599, 1, 100_000, "watch"),
        (0.601, 1, 100_000, "act"),
        (0.449, 1, 100_000, "watch"),
        (0.557, 1, 1000, "good"),  # 1 in 100 by chance: 2.576 standard errors of 0.02236 are 0.0576
        (0.558, 1, 1000, "watch"),
        (0.586, 100, 1000, "good"),  # of 100 comparisons 1 in 10,000: 3.891 of them are 0.0870
        (0.588, 100, 1000, "watch"),
        (0.601, 100, 1000, "act"),
    ],
)
def test_a_share_moved_where_it_is_five_points_away_and_that_is_certain(
    share: float, comparisons: int, calls: int, state: str
) -> None:
    assert _moved(share, comparisons, calls) == state


def test_days_that_differ_more_than_by_chance_make_a_change_less_certain() -> None:
    """Twenty points up and down before: a day with eight points more is one like them."""
    assert _moved(0.58, 1, before=(0.5, 0.5)) == "watch"
    assert _moved(0.58, 1, before=(0.3, 0.7)) == "good"


def test_results_are_late_where_the_newest_are_a_day_older_and_fewer_than_half() -> None:
    """A tenth of the values of before is up to one day old."""
    then = sketch_of([1.0] * 100 + [9.0] * 900)
    late = arrival.delay("hba1c", sketch_of([3.0] * 500 + [9.0] * 500), then, 1)
    assert late is not None
    assert (late.state, round(late.value or 0), round(late.before or 0)) == ("act", 3, 1)
    assert late.text == ("the newest tenth of hba1c is up to 3.0 days old, 1.0 before; results may come late")
    soon = arrival.delay("hba1c", sketch_of([1.9] * 500 + [9.0] * 500), then, 1)
    assert soon is not None
    assert soon.state == "good", "not yet a day older"
    half = arrival.delay("hba1c", sketch_of([1.0] * 60 + [9.0] * 940), then, 1)
    assert half is not None
    assert half.state == "good", "more than half as many are new"
