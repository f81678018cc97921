"""Factors are ranked by strength, marked by share, and nothing of the sum is lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_onnx.serving.runtime import Explanation, RankedFactor, explain, marks

contributions = st.lists(st.floats(-5, 5, allow_subnormal=False), min_size=1, max_size=20)


@given(contributions)
def test_shown_and_others_together_are_the_whole_difference(values: list[float]) -> None:
    told = explain([f"input {number}" for number in range(len(values))], np.array(values))
    total = sum(factor.contribution for factor in told.factors) + told.others_contribution
    assert total == pytest.approx(sum(values), abs=1e-9)
    assert len(told.factors) + told.others == sum(value != 0.0 for value in values)
    assert len(told.factors) <= 5


@given(contributions)
def test_factors_come_strongest_first_and_none_left_out_is_stronger(values: list[float]) -> None:
    told = explain([f"input {number}" for number in range(len(values))], np.array(values))
    strengths = [abs(factor.contribution) for factor in told.factors]
    assert strengths == sorted(strengths, reverse=True)
    assert strengths == sorted((abs(value) for value in values if value), reverse=True)[:5]


@pytest.mark.parametrize(("share", "count"), [(0.30, 3), (0.299, 2), (0.15, 2), (0.149, 1), (0.05, 1), (0.049, 0)])
def test_marks_follow_the_share(share: float, count: int) -> None:
    assert marks(share, 1.0) == marks(-share, 1.0) == count


def test_raising_and_lowering_are_told_apart() -> None:
    told = explain(("age", "albumin", "bmi"), np.array([1.2, -0.4, 0.0]))
    assert [factor.feature for factor in told.raising] == ["age"]
    assert [factor.feature for factor in told.lowering] == ["albumin"]
    assert told.others == 0


def test_someone_like_the_reference_has_no_factors() -> None:
    told = explain(("age", "sex"), np.zeros(2))
    assert (told.factors, told.others, told.others_marks) == ((), 0, 0)


# What an explanation names, in which order and with how many marks, on shares that are worked out by hand.


@pytest.mark.parametrize(
    ("part", "count"),
    [(0.0, 0), (4.99, 0), (5.0, 1), (14.9, 1), (15.0, 2), (29.9, 2), (30.0, 3), (100.0, 3), (-30.0, 3), (-5.0, 1)],
)
def test_marks_begin_at_a_twentieth_three_twentieths_and_three_tenths(part: float, count: int) -> None:
    assert marks(part, 100.0) == count


def test_of_nothing_there_are_no_marks() -> None:
    assert marks(0.0, 0.0) == 0
    assert explain(("a", "b"), np.zeros(2)) == Explanation((), 0, 0.0, 0)


def test_the_strongest_come_first_whatever_their_sign() -> None:
    names = ("a", "b", "c", "d", "e", "f", "g", "h")
    contributions = np.array([0.5, -4.0, 0.0, 2.0, -1.5, 1.0, -0.75, 0.25])
    explanation = explain(names, contributions)
    assert explanation == Explanation(
        (
            RankedFactor("b", -4.0, 3),
            RankedFactor("d", 2.0, 2),
            RankedFactor("e", -1.5, 2),
            RankedFactor("f", 1.0, 1),
            RankedFactor("g", -0.75, 1),
        ),
        2,
        0.75,
        1,
    )
    assert [factor.feature for factor in explanation.raising] == ["d", "f"]
    assert [factor.feature for factor in explanation.lowering] == ["b", "e", "g"]


def test_of_two_that_are_equal_the_first_input_is_first() -> None:
    assert [factor.feature for factor in explain(("a", "b", "c"), np.array([1.0, -1.0, 1.0])).factors] == [*"abc"]


def test_as_many_as_are_wanted_are_named_and_the_others_are_one_sum() -> None:
    explanation = explain(("a", "b", "c"), np.array([4.0, 3.0, -3.0]), limit=1)
    assert (len(explanation.factors), explanation.others, explanation.others_contribution) == (1, 2, 0.0)
    assert explanation.others_marks == 0
    assert not RankedFactor("a", 0.0, 0).raises
