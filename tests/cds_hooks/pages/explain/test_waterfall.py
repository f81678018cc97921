"""The waterfall of an estimate, worked out by hand: its scale, its steps, the rest together, and their words."""

import math
from typing import Any

import pytest
from msgspec.structs import replace

from cds_hooks.pages.explain.inputs import Input
from cds_hooks.pages.explain.recorded_decision import Scores
from cds_hooks.pages.explain.waterfall import Step, _effect, log_odds_scale, waterfall
from cds_hooks.web.numbers import logistic, logit

INPUT = Input("age", "Age", "79 years", "79", "years", "2026-11-01", "", "", "", "", "above average (60)", "", 0.0)


def _scores(base: float, margin: float, **more: Any) -> Scores:
    made = Scores("m", "1.0.0", "0", logistic(margin), margin, base, {}, 50.0, 0.1, 0.05, 0.99, 100)
    return replace(made, **more)


def _inputs(*contributions: float) -> list[Input]:
    return [
        replace(INPUT, name=f"i{number}", words=f"Input {number}", contribution=contribution)
        for number, contribution in enumerate(contributions)
    ]


def test_a_scale_has_8_percent_of_room_at_each_side() -> None:
    scale = log_odds_scale([0.0, 10.0])
    assert [scale.low, scale.high] == pytest.approx([-0.8, 10.8])


def test_a_narrow_scale_has_a_least_room() -> None:
    scale = log_odds_scale([0.0])
    assert (scale.low, scale.high) == (-0.15, 0.15)
    assert [(tick.label, tick.at) for tick in scale.ticks] == [("50", 50.0)]


def test_labels_of_people_stand_where_they_are_and_not_too_near() -> None:
    scale = log_odds_scale([logit(0.1), logit(0.9)])
    # from -2.5488 to 2.5488: 10 at 6.9 %, 15 at 16.0 % (9.1 apart), 20 at 22.8 % is left out, 30 at 33.4 %
    # 40 stands at 42.0 % and 60 at 58.0 %, 8.7 and 8.0 from their neighbours
    assert [tick.label for tick in scale.ticks] == ["10", "15", "30", "50", "70", "80", "90"]
    assert [tick.at for tick in scale.ticks][:3] == [6.9, 15.97, 33.38]


def test_a_label_on_the_edge_of_the_scale_is_there() -> None:
    low = logit(0.5)
    scale = log_odds_scale([low + 0.15, low + 0.15 + 1e-12])
    assert scale.ticks[0].label == "50"
    assert scale.ticks[0].at == 0.0


def test_two_steps_lead_from_the_average_to_the_patient() -> None:
    inputs = _inputs(0.5, -1.5)
    chart = waterfall(_scores(0.0, -1.0), inputs)
    # the bars are drawn from -1.5 - 0.15 to 0.15: 0 stands at 1.65 of 1.80
    assert [chart.scale.low, chart.scale.high] == pytest.approx([-1.65, 0.15])
    assert (chart.start, chart.start_people) == (91.67, 50)
    assert (chart.end, chart.end_people) == (36.11, 27)
    assert chart.steps == (
        Step(
            "Input 1", "79 years", "above average (60)", "2026-11-01", "▼▼▼", "lowers a lot", "down",
            8.33, 83.34, 91.67, 8.33, 18,
        ),
        Step(
            "Input 0", "79 years", "above average (60)", "2026-11-01", "▲▲", "raises clearly", "up",
            8.33, 27.78, 8.33, 36.11, 27,
        ),
    )  # fmt: skip


def test_what_the_model_counted_stands_in_place_of_the_value() -> None:
    inputs = [replace(INPUT, used="100 years", contribution=0.2)]
    assert waterfall(_scores(0.0, 0.2), inputs).steps[0].value == "100 years"


def test_of_ten_inputs_none_are_put_together() -> None:
    chart = waterfall(_scores(0.0, 1.0), _inputs(*[0.1] * 10))
    assert len(chart.steps) == 10
    assert [step.title for step in chart.steps] == [f"Input {number}" for number in range(10)]


def test_a_single_other_input_has_its_name() -> None:
    chart = waterfall(_scores(0.0, 1.05), _inputs(*[0.1] * 10, 0.05))
    last = chart.steps[-1]
    assert (last.title, last.value, last.note, last.date) == ("1 other input: Input 10", "", "", "")
    assert last.after == chart.end
    assert len(chart.steps) == 11


def test_other_inputs_are_one_step_with_their_number_and_those_without_a_value() -> None:
    inputs = _inputs(*[0.1] * 10, 0.06, -0.02, 0.03)
    inputs[10] = replace(inputs[10], gap="not recorded")
    inputs[12] = replace(inputs[12], gap="not known")
    inputs[0] = replace(inputs[0], gap="not recorded")
    chart = waterfall(_scores(0.0, 1.07), inputs)
    last = chart.steps[-1]
    assert last.title == "3 other inputs, together"
    assert last.note == "2 of them not recorded or not usable"
    assert (last.before, last.after) == (chart.scale.at(1.0), chart.scale.at(1.07))
    assert (last.marks, last.effect, last.style) == _effect(0.07, 1.11)
    assert last.people == round(100 * logistic(1.07))


def test_an_estimate_above_what_was_seen_ends_at_what_was_seen() -> None:
    scores = _scores(0.0, 1.0, observed_high=0.5, observed_rate=0.4)
    assert waterfall(scores, _inputs(1.0)).end_people == 40


@pytest.mark.parametrize(
    ("move", "sizes", "expected"),
    [
        (0.0, 1.0, ("", "no effect", "flat")),
        (0.04, 1.0, ("▵", "raises a little", "flat")),
        (-0.04, 1.0, ("▿", "lowers a little", "flat")),
        (0.06, 1.0, ("▲", "raises somewhat", "up")),
        (-0.06, 1.0, ("▼", "lowers somewhat", "down")),
        (1.0, 1.0, ("▲▲▲", "raises a lot", "up")),
        (-1.0, 1.0, ("▼▼▼", "lowers a lot", "down")),
    ],
)
def test_a_step_is_told_in_the_words_of_the_card(move: float, sizes: float, expected: tuple[str, str, str]) -> None:
    assert _effect(move, sizes) == expected


def test_the_scale_of_odds_is_that_of_the_logarithm() -> None:
    assert logistic(math.log(3)) == pytest.approx(0.75)
