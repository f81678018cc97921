"""The plots of a report: each day in its place, what lies outside its limits, and the same numbers in the table."""

from datetime import date, timedelta

from cds_hooks.monitor.page import _by_day, _Series, charts_of, label_charts_of
from models_onnx.model_card.plots import BOTTOM, LEFT, RIGHT, TOP
from models_onnx.monitoring.day import DayCounts
from models_onnx.monitoring.judging import Compared
from models_onnx.monitoring.label_judging import LabelWindow
from models_onnx.monitoring.labelled import LabelCounts
from models_onnx.monitoring.sketch import bucket_of

FIRST = date(2026, 11, 2)
DAYS = [FIRST + timedelta(days=number) for number in range(4)]


def _day(calls: int, cards: int, milliseconds: float = 50.0) -> DayCounts:
    return DayCounts(calls=calls, with_cards=cards, milliseconds={bucket_of(milliseconds): calls} if calls else {})


def _compared(before: list[DayCounts], window: list[DayCounts]) -> Compared:
    days = [FIRST + timedelta(days=number) for number in range(len(before) + len(window))]
    return Compared(
        "a hospital",
        "planning",
        dict(zip(days[len(before) :], window, strict=True)),
        dict(zip(days[: len(before)], before, strict=True)),
    )


def test_the_days_of_the_window_stand_apart_and_a_day_without_calls_has_no_mark() -> None:
    plot = _by_day("Calls a day", "A sentence.", "calls", DAYS, DAYS[2], _Series([100.0, None, 50.0, 200.0]))
    assert [dot.x for dot in plot.dots] == [LEFT, 248, RIGHT]
    assert [dot.kind for dot in plot.dots] == ["before", "", ""]
    assert TOP < plot.dots[2].y < plot.dots[0].y < plot.dots[1].y < BOTTOM
    assert plot.rows == (
        ("2026-11-02", "100"),
        ("2026-11-03", "nothing counted"),
        ("2026-11-04", "50"),
        ("2026-11-05", "200"),
    )
    assert [(tick.at, tick.label) for tick in plot.x_ticks] == [(LEFT, "02 Nov"), (RIGHT, "05 Nov")]


def test_a_value_on_its_limit_is_within_and_one_beyond_is_marked() -> None:
    series = _Series([10.0, 20.0, 9.9, 20.1], low=[10.0] * 4, high=[20.0] * 4)
    plot = _by_day("Rate", "A sentence.", "%", DAYS, DAYS[0], series)
    assert [dot.kind for dot in plot.dots] == ["", "", "outside", "outside"]
    assert [text for _, text in plot.rows] == ["10", "20", "9.9 (outside the limits)", "20.1 (outside the limits)"]
    assert [(line.kind, line.name) for line in plot.lines] == [("other", "low"), ("other", "high"), ("curve", "%")]


def test_where_nothing_was_counted_the_frame_stands() -> None:
    plot = _by_day("Calls a day", "A sentence.", "calls", DAYS, DAYS[2], _Series([None] * 4))
    assert (plot.dots, len(plot.y_ticks)) == ((), 5)
    assert charts_of(_compared([], [])) == []


def test_calls_cards_and_times_are_drawn_day_by_day_with_what_was_expected_and_the_limits() -> None:
    calls, cards, times = charts_of(_compared([_day(100, 20)] * 4, [_day(60, 22), _day(120, 12)]))
    assert calls.text == "180 calls in the window, 200 expected by weekday."
    assert [line.name for line in calls.lines] == ["expected", "calls"]
    assert cards.text == "20.0 in 100 calls had a card before; the dashed lines are three standard deviations."
    # three times the root of 0.2 · 0.8 / n: 15.49 of 60 calls, 10.95 of 120
    assert [text for _, text in cards.rows[-2:]] == ["36.67 (outside the limits)", "10"]
    assert times.title == "Time of answers"
    assert len({plot.id for plot in (calls, cards, times)}) == 3


def test_what_was_estimated_is_drawn_against_what_happened_and_each_group_against_one() -> None:
    counts = LabelCounts()
    for key, yes, no in (("m@1 all", 60, 40), ("m@1 men", 40, 0), ("m@1 women", 0, 20), ("n@1 all", 0, 5)):
        counts.count(key, 0.5, "yes", with_card=True, times=yes)
        counts.count(key, 0.5, "no", with_card=False, times=no)
    estimates, groups = label_charts_of(LabelWindow("a hospital", "planning", "of 90 days", counts, LabelCounts()))
    # Wilson's interval of 60 of 100: 0.5020 to 0.6906, which is the top of the scale
    assert estimates.rows == (("50.0 in 100", "60.0 in 100", "50.2 to 69.1", "100"),)
    assert [(dot.kind, dot.top) for dot in estimates.dots] == [("outside", TOP)]
    # 60 for 50 expected: 1.2, times and over e to the power of 1.96 · √(0.4 / 60) = 0.16
    assert groups.rows == (("all", "1.20", "1.02 to 1.41"), ("men", "2.00", "2.00 to 2.00"), ("women", "no event", ""))
    assert [(dot.kind, tick.label) for dot, tick in zip(groups.dots, groups.x_ticks, strict=True)] == [
        ("", "all"),
        ("outside", "men"),
    ]
