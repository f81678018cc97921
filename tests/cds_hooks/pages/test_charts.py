"""The waterfall chart and the scales that drawings stand on."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_hooks.pages.explain.explanation import Waterfall, log_odds_scale, waterfall
from cds_hooks.pages.explain.inputs import Input
from cds_hooks.pages.explain.recorded_decision import Scores
from cds_hooks.web.charts import HAPPENED, PEOPLE
from cds_hooks.web.numbers import logistic


def _chart(base: float, contributions: list[float], known: bool = True) -> Waterfall:
    margin = base + sum(contributions)
    names = {f"input_{number}": size for number, size in enumerate(contributions)}
    scores = Scores("m", "1.0.0", "0", logistic(margin), margin, base, names, 50.0, 0.1, 0.05, 0.2, 100)
    gap = "" if known else "not recorded"
    inputs = [Input(name, name, "1", "1", "", "", "", "", gap, "", "", "", size) for name, size in names.items()]
    return waterfall(scores, inputs)


@given(st.floats(-6, 6), st.lists(st.floats(-3, 3), min_size=1, max_size=25))
def test_every_chart_is_inside_its_column_and_leads_to_the_patient(base: float, contributions: list[float]) -> None:
    chart = _chart(base, contributions)
    assert all(0 <= step.left <= step.left + step.width <= 100.01 for step in chart.steps)
    assert chart.steps[-1].after == pytest.approx(chart.end, abs=0.05)
    assert len(chart.steps) == min(11, len(contributions))


@pytest.mark.parametrize(
    ("shares", "marks", "effect"),
    [
        ([0.40, 0.60], "▲▲▲", "raises a lot"),
        ([0.20, 0.80], "▲▲", "raises clearly"),
        ([0.06, 0.94], "▲", "raises somewhat"),
        ([0.04, 0.96], "▵", "raises a little"),
        ([-0.40, 0.60], "▼▼▼", "lowers a lot"),
        ([-0.04, 0.96], "▿", "lowers a little"),
        ([0.0, 1.0], "", "no effect"),
    ],
)
def test_a_step_has_its_marks_and_its_words(shares: list[float], marks: str, effect: str) -> None:
    step = next(step for step in _chart(-3.0, shares).steps if step.title == "input_0")
    assert (step.marks, step.effect) == (marks, effect)


def test_an_average_person_has_a_chart_too() -> None:
    chart = _chart(-3.0, [0.0] * 12)
    assert chart.start == chart.end
    assert {step.effect for step in chart.steps} == {"no effect"}


def test_the_rest_says_how_many_of_it_are_not_known() -> None:
    assert _chart(-3.0, [1.0] * 12, known=False).steps[-1].note == "2 of them not recorded or not usable"
    assert _chart(-3.0, [1.0] * 11).steps[-1].title == "1 other input: input_10"


@given(st.lists(st.floats(-8, 8), min_size=1, max_size=20))
def test_a_scale_of_log_odds_has_ticks_that_rise_and_never_touch(margins: list[float]) -> None:
    scale = log_odds_scale(margins)
    places = [tick.at for tick in scale.ticks]
    assert all(after - before >= 9 for before, after in pairwise(places))
    assert all(0 <= scale.at(margin) <= 100 for margin in margins)


def test_half_and_twice_as_many_lie_alike_far_from_what_was_expected() -> None:
    assert HAPPENED.at(1) == 50
    assert (HAPPENED.at(0.5), HAPPENED.at(2)) == (0, 100)
    assert math.isclose(50 - HAPPENED.at(0.8), HAPPENED.at(1.25) - 50, abs_tol=0.02)
    assert (HAPPENED.at(0.1), HAPPENED.at(9)) == (0, 100)
    assert [PEOPLE.at(value) for value in (0, 38, 100)] == [0, 38, 100]
