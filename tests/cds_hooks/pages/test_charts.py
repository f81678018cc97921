"""The chart of what each input adds, and the scales that drawings stand on."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_hooks.pages.explain.explanation import Effects, model_effects
from cds_hooks.pages.explain.inputs import Input
from cds_hooks.web.charts import HAPPENED, PEOPLE


def _chart(contributions: list[float], known: bool = True) -> Effects:
    gap = "" if known else "not recorded"
    names = (f"input_{number}" for number in range(len(contributions)))
    inputs = [
        Input(name, name, "1", "1", "", "", "", "", gap, "", "", "", size)
        for name, size in zip(names, contributions, strict=True)
    ]
    return model_effects(inputs)


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=25))
def test_every_bar_is_inside_its_column_and_together_they_are_the_whole(contributions: list[float]) -> None:
    chart = _chart(contributions)
    assert all(0 <= row.left <= row.left + row.width <= 100.01 for row in chart.rows)
    assert sum(row.move for row in chart.rows) == pytest.approx(sum(contributions), abs=1e-9)
    assert len(chart.rows) == min(11, len(contributions))


def test_an_average_person_has_a_chart_too() -> None:
    chart = _chart([0.0] * 12)
    assert (chart.scale.low, chart.scale.high) == (-1.0, 1.0)
    assert {(row.effect, row.width) for row in chart.rows} == {("no effect", 0.0)}


def test_the_rest_says_how_many_of_it_are_not_known() -> None:
    assert _chart([1.0] * 12, known=False).rows[-1].note == "2 of them not recorded or not usable"
    assert _chart([1.0] * 11).rows[-1].title == "1 other input: input_10"


def test_half_and_twice_as_many_lie_alike_far_from_what_was_expected() -> None:
    assert HAPPENED.at(1) == 50
    assert (HAPPENED.at(0.5), HAPPENED.at(2)) == (0, 100)
    assert math.isclose(50 - HAPPENED.at(0.8), HAPPENED.at(1.25) - 50, abs_tol=0.02)
    assert (HAPPENED.at(0.1), HAPPENED.at(9)) == (0, 100)
    assert [PEOPLE.at(value) for value in (0, 38, 100)] == [0, 38, 100]
