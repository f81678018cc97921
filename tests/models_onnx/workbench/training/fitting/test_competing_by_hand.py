"""The intervals of two hazards, and the fit of people who are all alike."""

import numpy as np
import pytest

from models_onnx.errors import TrainingRefused
from models_onnx.spec import CauseSpecificCox, InputSpec
from models_onnx.workbench.training.data.follow_up import FittingRows, Observed
from models_onnx.workbench.training.fitting import competing
from models_onnx.workbench.training.fitting.competing import fit_causes


def test_intervals_end_at_the_horizons_and_at_quantiles_before_the_last() -> None:
    """Of 26 times the 23 inner limits of 24 parts lie on or just above the second to the twenty-fourth."""
    times = np.arange(26.0)
    assert competing._ends(times, [30.0]) == [*np.arange(1.0, 24.0), 30.0]
    assert competing._ends(times, [2.5, 5.0]) == [1.0, 2.0, 2.5, 3.0, 4.0, 5.0]
    assert competing._ends(np.full(9, 5.0), [5.0]) == [5.0]


def _people(years: list[float], event: list[int], other: list[float]) -> FittingRows:
    happened = np.array(event)
    X = np.tile([[0.0], [1.0]], (len(event) // 2, 1))
    observed = Observed(
        happened, np.ones(len(event)), np.array(years), happened == 1, competing=np.array(other)
    )  # fmt: skip
    return FittingRows((InputSpec("age_years", knots=()),), X, observed, np.ones(len(event), dtype=bool))


INF = float("inf")


def test_the_risk_of_people_alike_is_the_cumulative_incidence() -> None:
    """Of eight one has the event in the first year and two of the seven left the other one; then one of five."""
    people = _people([1, 5, 5, 2, 5, 5, 5, 5], [1, 0, 0, 1, 0, 0, 0, 0], [INF, 1.5, 1.5, INF, INF, INF, INF, INF])
    model = fit_causes(CauseSpecificCox(knots=0, penalty=1e9, horizons_years=(1.0, 7.0)), people, 3.0)
    assert model.link.horizons == (1.0, 3.0)
    first, second, third = 1 / 8, 2 / 7, 1 / 5
    after_first, after_second = np.exp(-first), np.exp(-first - second)
    expected = [1 - after_first, 1 - after_first + after_second * (1 - np.exp(-third))]
    assert model.risk(np.array([[0.5]]))[0] == pytest.approx(expected, abs=1e-6)
    assert model.margin(np.array([[0.5]])) == pytest.approx(model.margins(np.array([[0.5]]))[:, -1])
    assert model.recalibrated(0.5, 2.0).recalibrated(1.0, 3.0).intercept == 2.5
    assert model.recalibrated(0.5, 2.0).recalibrated(1.0, 3.0).slope == 6.0
    moved = model.recalibrated(0.5, 2.0)
    assert moved.margin(np.array([[0.5]])) == pytest.approx(0.5 + 2.0 * model.margin(np.array([[0.5]])))


@pytest.mark.parametrize(
    ("event", "other", "refusal"),
    [
        ([0, 0], [1.0, INF], "nobody had the event within the horizon: there are no two hazards to fit"),
        ([1, 0], [INF, INF], "nobody had the competing event within the horizon: there are no two hazards to fit"),
        ([0, 1], [0.5, INF], "nobody had the event within 1 years: leave out this horizon"),
    ],
)
def test_two_hazards_that_cannot_be_fitted(event: list[int], other: list[float], refusal: str) -> None:
    with pytest.raises(TrainingRefused) as problem:
        fit_causes(CauseSpecificCox(0, 1.0, (1.0,)), _people([2.0, 2.0], event, other), 3.0)
    assert str(problem.value) == refusal
