"""Factors are ranked by strength, marked by share, and nothing of the sum is lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_onnx.serving.runtime import explain, marks

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
