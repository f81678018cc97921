"""The basis, the fit and the lines that are written all say the same."""

import numpy as np
import pytest

from models_onnx.training.additive import fit, recalibrated, to_lines
from models_onnx.training.cohort import Cohort
from models_onnx.training.hinges import place_knots
from tests.models_onnx.invented import INVENTED


def test_knots_begin_at_the_lowest_value_rise_and_end_below_the_top(cohort: Cohort) -> None:
    hinges = place_knots(cohort.X, 4)
    for knots, top, column in zip(hinges.knots, hinges.tops, cohort.X.T, strict=True):
        assert knots[0] == np.nanmin(column)
        assert list(knots) == sorted(set(knots))
        assert knots[-1] < top == np.nanmax(column)
    assert len(hinges.knots[0]) == 5
    assert hinges.knots[1] == (0.0,)


def test_the_basis_is_missing_where_the_input_is(cohort: Cohort) -> None:
    hinges = place_knots(cohort.X, 2)
    spread = hinges.spread(cohort.X)
    assert (np.isnan(spread) == np.isnan(cohort.X)[:, hinges.owner]).all()


def test_the_reference_cohorts_mean_contribution_is_nothing(cohort: Cohort) -> None:
    fitted = fit(INVENTED.estimator, cohort.X, cohort.y, cohort.recent)
    means = fitted.oracle(cohort.X[cohort.recent])[1].mean(axis=0)
    assert np.abs(means).max() < 1e-12


def test_recalibration_is_intercept_plus_slope_times_margin(cohort: Cohort) -> None:
    fitted = fit(INVENTED.estimator, cohort.X, cohort.y, cohort.recent)
    again = recalibrated(fitted, -0.3, 1.2)
    assert np.allclose(again.margin(cohort.X), -0.3 + 1.2 * fitted.margin(cohort.X), atol=1e-12)


def test_the_lines_say_what_scikit_learn_says(cohort: Cohort) -> None:
    fitted = fit(INVENTED.estimator, cohort.X, cohort.y, cohort.recent)
    lines = to_lines(fitted, cohort.features, (None,) * len(cohort.features))
    assert np.abs(lines.margin(cohort.X) - fitted.margin(cohort.X)).max() < 1e-5
    assert lines.high == pytest.approx(np.nanmax(cohort.X, axis=0))
