"""Groups of inputs, and the bins of a reference, by hand."""

import numpy as np
import pytest

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.explaining_graph import Groups
from models_onnx.workbench.compiler.link import LOGIT
from models_onnx.workbench.compiler.reference import QUANTILES, build_reference

FEATURES = ("age", "unit_a", "sex", "unit_b")


@pytest.mark.parametrize(
    ("declared", "refusal"),
    [
        ({"unit": ["unit_a", "ward", "bed"]}, "a group names bed, ward, which is not an input"),
        (
            {"a": ["age", "sex"], "b": ["sex", "age"]},
            "age, sex is in two groups; its contribution can be shown once only",
        ),
        ({"age": ["unit_a", "unit_b"]}, "a group is called like the input age, which is not in it"),
    ],
)
def test_groups_that_are_refused(declared: dict[str, list[str]], refusal: str) -> None:
    with pytest.raises(CompileRefused) as problem:
        Groups.of(FEATURES, declared)
    assert str(problem.value) == refusal


def _reference(y: list[int], weight: list[float] | None = None) -> list[tuple[int, int, int, float]]:
    """Start, people, events and rate of each bin; 200 people whose margins rise, ten of each twentieth."""
    margin = np.linspace(-3.0, 3.0, len(y))
    weights = np.ones(len(y)) if weight is None else np.array(weight)
    reference = build_reference(margin, margin, np.array(y), weights, LOGIT, None, (0, 25, 50, 75))
    return [(each.quantile, each.count, each.events, each.rate) for each in reference.bins]


def _quarters(*events: int) -> list[int]:
    return [int(number < count) for count in events for number in range(50)]


STEP = (QUANTILES + 1) // 4


def test_bins_whose_rates_rise_stay_apart_and_one_that_falls_joins_the_one_below() -> None:
    assert _reference(_quarters(5, 10, 10, 20)) == [
        (0, 50, 5, 0.1), (STEP, 50, 10, 0.2), (2 * STEP, 50, 10, 0.2), (3 * STEP, 50, 20, 0.4),
    ]  # fmt: skip
    assert _reference(_quarters(5, 10, 9, 20)) == [(0, 50, 5, 0.1), (STEP, 100, 19, 0.19), (3 * STEP, 50, 20, 0.4)]
    assert _reference(_quarters(20, 10, 5, 1)) == [(0, 200, 36, 0.18)]


def test_people_of_no_weight_are_in_no_bin_and_an_empty_bin_joins_its_neighbour() -> None:
    without_second = [1.0] * 50 + [0.0] * 50 + [1.0] * 100
    assert _reference(_quarters(5, 50, 10, 20), without_second) == [
        (0, 50, 5, 0.1), (2 * STEP, 50, 10, 0.2), (3 * STEP, 50, 20, 0.4),
    ]  # fmt: skip
    without_first = [0.0] * 50 + [1.0] * 150
    assert _reference(_quarters(0, 5, 10, 20), without_first) == [
        (0, 50, 5, 0.1), (2 * STEP, 50, 10, 0.2), (3 * STEP, 50, 20, 0.4),
    ]  # fmt: skip


def test_a_rate_counts_people_by_whom_they_stand_for_and_its_interval_those_who_were_seen() -> None:
    weight = [3.0 if number < 5 else 1.0 for number in range(50)] + [1.0] * 150
    first = build_reference(
        np.linspace(-3, 3, 200), np.linspace(-3, 3, 200), np.array(_quarters(5, 20, 30, 40)), np.array(weight),
        LOGIT, None, (0, 25, 50, 75),
    ).bins[0]  # fmt: skip
    assert (first.count, first.events, first.rate) == (50, 5, 0.25)
    assert 0.14 < first.low < 0.25 < first.high < 0.39
