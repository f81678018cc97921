"""A chart of the monitor in numbers: where each day stands, what lies outside its limits, and the words beside it."""

from datetime import date, timedelta

import pytest

from cds_hooks.monitor.charts import _by_day, _places, _Scale, _Series

FIRST = date(2026, 11, 2)
DAYS = [FIRST + timedelta(days=number) for number in range(4)]


@pytest.mark.parametrize(("value", "height"), [(0.0, 146.0), (50.0, 79.0), (100.0, 12.0), (-5.0, 146.0), (130.0, 12.0)])
def test_a_value_stands_in_proportion_and_within_the_frame(value: float, height: float) -> None:
    assert _Scale(0.0, 100.0).y(value) == height


def test_a_scale_without_a_height_puts_everything_on_the_ground() -> None:
    assert _Scale(0.0, 0.0).y(0.0) == 146.0


@pytest.mark.parametrize(("many", "places"), [(1, [46.0]), (2, [46.0, 332.0]), (3, [46.0, 189.0, 332.0])])
def test_days_are_spread_from_the_left_to_the_right_edge(many: int, places: list[float]) -> None:
    assert _places(many) == places


def test_the_days_of_the_window_stand_apart_and_a_day_without_calls_has_no_mark() -> None:
    chart = _by_day("Calls a day", "A sentence.", "calls", DAYS, DAYS[2], _Series([100.0, None, 50.0, 200.0]))
    assert [(mark.x, mark.y, mark.kind) for mark in chart.marks] == [
        (46.0, 82.2, "reference"),
        (236.7, 114.1, "window"),
        (332.0, 18.4, "window"),
    ]
    assert chart.lines == [("value", "46.0,82.2 236.7,114.1 332.0,18.4")]
    assert chart.rows == [
        ("2026-11-02", "100"),
        ("2026-11-03", "nothing counted"),
        ("2026-11-04", "50"),
        ("2026-11-05", "200"),
    ]
    assert [(label.x, label.y, label.text, label.anchor) for label in chart.labels] == [
        (42.0, 22.4, "200", "end"),
        (42.0, 150.0, "0", "end"),
        (46.0, 162.0, "02 Nov", "start"),
        (332.0, 162.0, "05 Nov", "end"),
    ]


def test_a_value_on_its_limit_is_within_and_one_beyond_is_marked() -> None:
    chart = _by_day(
        "Rate", "A sentence.", "%", DAYS, DAYS[0], _Series([10.0, 20.0, 9.9, 20.1], low=[10.0] * 4, high=[20.0] * 4)
    )
    assert [mark.kind for mark in chart.marks] == ["window", "window", "outside", "outside"]
    assert [text for _, text in chart.rows] == ["10", "20", "9.9 (outside the limits)", "20.1 (outside the limits)"]
    assert [name for name, _ in chart.lines] == ["low", "high", "value"]


def test_a_chart_on_which_nothing_was_counted_has_its_frame() -> None:
    chart = _by_day("Calls a day", "A sentence.", "calls", DAYS, DAYS[2], _Series([None] * 4))
    assert chart.marks == []
    assert chart.labels[0].text == "1"
