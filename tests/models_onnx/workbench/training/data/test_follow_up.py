"""Who was followed for less than the horizon counts through the time there was: weights, refusals, Harrell's C."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models_onnx.errors import TrainingRefused
from models_onnx.spec import DAYS_PER_YEAR, FollowUp, OutcomeSpec
from models_onnx.workbench.training.data.follow_up import Observed, observe

OUTCOME = OutcomeSpec(
    column="died",
    words="died within 5 years",
    horizon_days=5 * DAYS_PER_YEAR,
    follow_up=FollowUp(lambda table: table["months"], lambda table: table["died"], per_year=12),
)


def observed(months: Any, died: Any) -> Observed:
    """What is seen of these people."""
    return observe(OUTCOME, pd.DataFrame({"months": months, "died": died}), np.ones(len(months), dtype=bool))


def test_without_anyone_leaving_early_everybody_counts_once() -> None:
    seen = observed([10, 60, 100, 61], [1, 1, 0, 1])
    assert seen.weight.tolist() == [1, 1, 1, 1]
    assert seen.y.tolist() == [1, 1, 0, 0]


def test_who_left_early_is_spoken_for_by_those_who_stayed() -> None:
    # Of four at risk at 20 months one left: the three who stayed count 4/3 times from then on.
    seen = observed([10, 20, 40, 60, 80], [1, 0, 1, 0, 0])
    assert seen.weight == pytest.approx([1, 0, 4 / 3, 4 / 3, 4 / 3])
    assert seen.weight.sum() == pytest.approx(5)


def test_the_weighted_share_is_the_kaplan_meier_risk() -> None:
    draw = np.random.default_rng(4)
    death, left = draw.exponential(60, 800).round(), draw.uniform(10, 120, 800).round()
    seen = observed(np.minimum(death, left), (death <= left).astype(float))
    surviving, at_risk = 1.0, 800
    for month in range(61):
        died = ((death == month) & (death <= left)).sum()
        surviving *= 1 - died / at_risk
        at_risk -= died + ((left == month) & (left < death)).sum()
    assert (seen.weight * seen.y).sum() / seen.weight.sum() == pytest.approx(1 - surviving, abs=0.002)


def test_periods_with_other_follow_up_are_weighted_apart() -> None:
    table = pd.DataFrame({"months": [100, 100, 20, 60], "died": [0, 0, 0, 0]})
    seen = observe(OUTCOME, table, np.array([False, False, True, True]))
    assert seen.weight.tolist() == [1, 1, 0, 2]


@pytest.mark.parametrize(("months", "died"), [([-1, 60], [0, 1]), ([np.nan, 60], [0, 1]), ([50, 60], [0, 2])])
def test_an_impossible_follow_up_is_refused(months: list[float], died: list[float]) -> None:
    with pytest.raises(TrainingRefused, match="follow-up"):
        observed(months, died)


def test_an_outcome_that_is_neither_0_nor_1_is_refused() -> None:
    outcome = OutcomeSpec(column="died", words="died", horizon_days=30)
    with pytest.raises(TrainingRefused, match="0 or 1"):
        observe(outcome, pd.DataFrame({"died": [0.0, np.nan]}), np.ones(2, dtype=bool))


def test_a_stratum_of_whom_hardly_anybody_was_followed_counts_nowhere() -> None:
    """Pooled, the deaths of such a cycle would count and its survivors not: O/E 2.6 was published so."""
    strata = replace(OUTCOME, follow_up=replace(OUTCOME.follow_up, strata=lambda table: table["cycle"]))  # type: ignore[type-var]  # it has one
    table = pd.DataFrame({"months": [100] * 20 + [30] * 20, "died": [0] * 30 + [1] * 10, "cycle": [1] * 20 + [2] * 20})
    seen = observe(strata, table, np.ones(40, dtype=bool))
    assert seen.weight.tolist() == [1.0] * 20 + [0.0] * 20
    assert seen.unfollowed.tolist() == [False] * 20 + [True] * 20
    pooled = observe(OUTCOME, table, np.ones(40, dtype=bool))
    assert (pooled.weight * pooled.y)[20:].sum() == 10


def test_a_study_in_which_nobody_was_followed_to_the_horizon_is_refused() -> None:
    with pytest.raises(TrainingRefused, match="fewer than a tenth"):
        observed([20, 30], [0, 0])
