"""The charts of a report and of outcomes in numbers, worked out by hand from counts of a few days."""

from datetime import date, timedelta

import pytest

from cds_hooks.monitor.charts import Chart, Label, Mark, _input, charts_of, label_charts_of
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.judging import Compared
from models_onnx.monitoring.label_judging import LabelWindow
from models_onnx.monitoring.labelled import LabelCounts
from models_onnx.monitoring.sketch import bucket_of, value_of

FIRST = date(2026, 11, 2)
X = [46.0, 103.2, 160.4, 217.6, 274.8, 332.0]
"""Six days, from the left edge to the right one."""


def _day(calls: int, cards: int, milliseconds: float) -> DayCounts:
    return DayCounts(calls=calls, with_cards=cards, milliseconds={bucket_of(milliseconds): calls} if calls else {})


def _compared(before: list[DayCounts], window: list[DayCounts]) -> Compared:
    days = [FIRST + timedelta(days=number) for number in range(len(before) + len(window))]
    return Compared(
        "a hospital",
        "planning",
        dict(zip(days[len(before) :], window, strict=True)),
        dict(zip(days[: len(before)], before, strict=True)),
    )


def _points(*heights: float) -> str:
    return " ".join(f"{x},{y}" for x, y in zip(X, heights, strict=True))


def _scaled(values: list[float], most: float) -> list[float]:
    """Heights from the ground at 146 to 12, where the scale ends a twentieth above the most."""
    return [round(146 - value / (most * 1.05) * 134, 1) for value in values]


def test_calls_cards_and_times_are_drawn_day_by_day_with_what_was_expected_and_the_limits() -> None:
    before, window = [_day(100, 20, 50.0)] * 4, [_day(60, 22, 80.0), _day(120, 12, 50.0)]
    calls, cards, times = charts_of(_compared(before, window))
    dates = [(FIRST + timedelta(days=number)).isoformat() for number in range(6)]
    ends = [Label(46.0, 162.0, "02 Nov", "start"), Label(332.0, 162.0, "07 Nov", "end")]
    kinds = ["reference"] * 4 + ["window"] * 2
    shown = [100.0, 100, 100, 100, 60, 120]
    assert calls == Chart(
        "Calls a day",
        "180 calls in the window, 200 expected by weekday.",
        ("day", "calls"),
        list(zip(dates, ["100", "100", "100", "100", "60", "120"], strict=True)),
        [("expected", _points(*[39.7] * 6)), ("value", _points(39.7, 39.7, 39.7, 39.7, 82.2, 18.4))],
        [Mark(x, y, kind) for x, y, kind in zip(X, _scaled(shown, 120), kinds, strict=True)],
        [Label(42.0, 22.4, "120"), Label(42.0, 150.0, "0"), *ends],
    )
    most = 100 * 22 / 60
    # three times the root of 0.2 · 0.8 / n: 12 of 100 calls, 15.49 of 60, 10.95 of 120
    low, high = [8.0, 8, 8, 8, 4.508, 9.046], [32.0, 32, 32, 32, 35.492, 30.954]
    assert cards == Chart(
        "Calls with a card",
        "20.0 in 100 calls had a card before; the dashed lines are three standard deviations.",
        ("day", "of 100 calls"),
        list(zip(dates, ["20", "20", "20", "20", "36.67 (outside the limits)", "10"], strict=True)),
        [
            ("low", _points(*_scaled(low, most))),
            ("high", _points(*_scaled(high, most))),
            ("value", _points(*_scaled([20, 20, 20, 20, most, 10], most))),
        ],
        [
            Mark(x, y, kind)
            for x, y, kind in zip(
                X, _scaled([20, 20, 20, 20, most, 10], most), [*kinds[:4], "outside", "window"], strict=True
            )
        ],
        [Label(42.0, 22.4, "36.7"), Label(42.0, 150.0, "0"), *ends],
    )
    fast, slow = value_of(bucket_of(50.0)), value_of(bucket_of(80.0))
    assert fast == pytest.approx(50, rel=0.02)
    assert slow == pytest.approx(80, rel=0.02)
    took = [fast, fast, fast, fast, slow, fast]
    assert (times.title, times.sentence, times.head) == (
        "Time of answers",
        "Nine of ten answers took up to so long.",
        ("day", "ms"),
    )
    assert times.rows == [(day, f"{value:.4g}") for day, value in zip(dates, took, strict=True)]
    assert times.lines == [("value", _points(*_scaled(took, slow)))]
    assert [mark.kind for mark in times.marks] == kinds


def test_a_day_without_calls_has_no_share_and_no_limit_but_the_whole() -> None:
    _, cards, times = charts_of(_compared([_day(100, 20, 50.0)] * 5, [_day(0, 0, 1.0)]))
    assert cards.rows[-1] == times.rows[-1] == ("2026-11-07", "nothing counted")
    ground = [round(146 - value / 105 * 134, 1) for value in (8, 8, 8, 8, 8, 0)]
    roof = [round(146 - value / 105 * 134, 1) for value in (32, 32, 32, 32, 32, 100)]
    assert cards.lines[:2] == [("low", _points(*ground)), ("high", _points(*roof))]
    assert len(cards.marks) == len(times.marks) == 5


def test_limits_end_at_nothing_and_at_every_call() -> None:
    _, few, _ = charts_of(_compared([_day(10, 1, 50.0)] * 5, [_day(10, 1, 50.0)]))
    assert few.lines[0] == ("low", _points(*[146.0] * 6))
    _, most, _ = charts_of(_compared([_day(10, 9, 50.0)] * 5, [_day(10, 9, 50.0)]))
    assert most.lines[1] == ("high", _points(*_scaled([100.0] * 6, 100.0)))


def test_without_days_before_no_limits_are_drawn_and_without_days_nothing() -> None:
    _, cards, _ = charts_of(_compared([_day(0, 0, 1.0)], [_day(10, 5, 50.0)]))
    assert (cards.sentence, [name for name, _ in cards.lines]) == (
        "There are no days before to compare with.",
        ["value"],
    )
    assert [(mark.x, mark.kind) for mark in cards.marks] == [(332.0, "window")]
    assert charts_of(_compared([], [])) == []


def test_an_input_is_drawn_by_the_median_of_each_day() -> None:
    days = [FIRST + timedelta(days=number) for number in range(2)]
    values = {bucket_of(10.0): 1, bucket_of(20.0): 2, bucket_of(40.0): 1}
    chart = _input("bun", days, [DayCounts(features={"bun": values}), DayCounts()], days[1])
    assert (chart.title, chart.sentence, chart.head) == (
        "Median of bun",
        "An input whose values are not what they were.",
        ("day", "bun"),
    )
    assert chart.rows == [
        ("2026-11-02", f"{value_of(bucket_of(20.0)):.4g}"),
        ("2026-11-03", "nothing counted"),
    ]
    assert chart.marks == [Mark(46.0, 18.4, "reference")]


def _window(*counted: tuple[str, int, int]) -> LabelWindow:
    """A group, how many of its estimates of one half had the event, and how many had not."""
    counts = LabelCounts()
    for key, yes, no in counted:
        counts.count(key, 0.5, "yes", with_card=True, times=yes)
        counts.count(key, 0.5, "no", with_card=False, times=no)
    return LabelWindow("a hospital", "planning", "of 90 days", counts, LabelCounts())


def test_estimates_are_held_against_what_happened_and_each_group_against_one() -> None:
    window = _window(("m@1 all", 60, 40), ("m@1 men", 40, 0), ("m@1 women", 0, 20), ("n@1 all", 0, 5))
    of_estimates, of_groups = label_charts_of(window)
    assert (of_estimates.title, of_estimates.sentence, of_estimates.head) == (
        "Estimated and observed, m@1",
        "On the line as many had the event as were estimated; the bars are 95 % intervals.",
        ("estimated", "observed", "interval", "predictions"),
    )
    # Wilson's interval of 60 of 100: 0.5020 to 0.6906, which is the top of the scale
    assert of_estimates.rows == [("50.0 in 100", "60.0 in 100", "50.2 to 69.1", "100")]
    assert of_estimates.marks == [Mark(253.1, 29.6, "outside", 48.6, 12.0)]
    assert of_estimates.lines == [("expected", "46.0,146.0 332.0,12.0")]
    assert of_estimates.labels == [
        Label(42.0, 16.0, "69 %"),
        Label(42.0, 150.0, "0"),
        Label(332.0, 162.0, "estimated 69 %"),
    ]
    # 60 for 50 expected: 1.2, times and over e to the power of 1.96 · √(0.4 / 60) = 0.16
    assert of_groups == Chart(
        "Observed to expected by group, m@1",
        "1 is right: as many events as were expected. The bars are 95 % intervals.",
        ("group", "observed to expected", "interval"),
        [("all", "1.20", "1.02 to 1.41"), ("men", "2.00", "2.00 to 2.00"), ("women", "no event", "")],
        [("expected", "46.0,79.0 332.0,79.0")],
        [Mark(93.7, 65.6, "window", 77.5, 51.6), Mark(189.0, 12.0, "outside", 12.0, 12.0)],
        [
            Label(93.7, 162.0, "all", "middle"),
            Label(189.0, 162.0, "men", "middle"),
            Label(42.0, 16.0, "2"),
            Label(42.0, 83.0, "1"),
        ],
    )


def test_an_estimate_within_the_interval_stands_in_the_window() -> None:
    (mark,) = label_charts_of(_window(("m@1 all", 59, 41)))[0].marks
    assert mark.kind == "window", "59 of 100: from 0.492"
    (mark,) = label_charts_of(_window(("m@1 all", 40, 60)))[0].marks
    assert mark.kind == "outside", "40 of 100: up to 0.498"
    (mark,) = label_charts_of(_window(("m@1 all", 41, 59)))[0].marks
    assert mark.kind == "window", "41 of 100: up to 0.508"
