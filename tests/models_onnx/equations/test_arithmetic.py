"""Sums of products: shares of an interaction add up and treat equal inputs alike; choices are counted first."""

import pytest

from models_onnx.equations.arithmetic import (
    CoefficientSet,
    Factor,
    Linear,
    Term,
    apply_link,
    invert_link,
    steps,
)

A, B, C = Factor("a"), Factor("b", centre=3, scale=2), Factor("c", low=0, high=10)


def test_limits_of_a_factor_are_applied_before_the_logarithm() -> None:
    assert Factor("x", low=1, ln=True).of(0.2) == 0.0
    assert Factor("x", high=110, centre=110, scale=20).of(90) == -1.0


def test_a_word_is_no_number() -> None:
    with pytest.raises(TypeError):
        Factor("x").of("male")


def test_what_is_chosen_by_is_counted_first_and_one_base_holds_for_everybody() -> None:
    sets = (
        CoefficientSet({"sex": "f"}, 1.0, (Term(2.0, (A,)),)),
        CoefficientSet({"sex": "m"}, 4.0, (Term(3.0, (A,)),)),
    )
    linear = Linear("identity", ("sex",), sets, {"sex": "f", "a": 0.0})
    worked = linear.work({"sex": "m", "a": 5.0})
    assert (worked.base, worked.value, worked.margin) == (1.0, 19.0, 19.0)
    assert [(each.input, each.contribution) for each in worked.contributions] == [("sex", 3.0), ("a", 15.0)]


@pytest.mark.parametrize("link", ["logit", "cloglog", "log", "identity"])
def test_a_link_and_its_inverse_undo_each_other(link: str) -> None:
    assert apply_link(link, invert_link(link, -1.25)) == pytest.approx(-1.25)  # type: ignore[arg-type]  # a Link by parameter


def test_steps_begin_at_their_edge() -> None:
    item = steps("age", 0, (65, 1), (75, 2))
    assert [item.points(age) for age in (64.9, 65, 74.9, 75)] == [0, 1, 1, 2]
