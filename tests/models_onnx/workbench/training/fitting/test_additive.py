"""The basis, the fits and the lines that are written all say the same."""

import numpy as np
import pytest

from models_onnx.spec import AdditiveLogistic
from models_onnx.workbench.training.data.cohort import Cohort
from models_onnx.workbench.training.data.follow_up import FittingRows
from models_onnx.workbench.training.fitting.additive import (
    fit_logistic,
    place_knots,
)
from models_onnx.workbench.training.fitting.fit import Fit
from tests.models_onnx.invented import INVENTED


def people(cohort: Cohort) -> FittingRows:
    """Everybody of the cohort."""
    return FittingRows(INVENTED.inputs, cohort.X, cohort.observed, cohort.recent)


@pytest.fixture(scope="module")
def fitted(cohort: Cohort) -> Fit:
    """The model of the invented cohort."""
    assert isinstance(INVENTED.estimator, AdditiveLogistic)
    return fit_logistic(INVENTED.estimator, people(cohort))


def test_the_basis_is_missing_where_the_input_is(cohort: Cohort) -> None:
    hinges = place_knots(cohort.X, 2)
    spread = hinges.expand(cohort.X)
    assert (np.isnan(spread) == np.isnan(cohort.X)[:, hinges.owner]).all()


def test_the_reference_cohorts_mean_contribution_is_nothing(fitted: Fit, cohort: Cohort) -> None:
    means = fitted.oracle(cohort.X[cohort.recent])[1].mean(axis=0)
    assert np.abs(means).max() < 1e-12


def test_the_lines_say_what_was_fitted(fitted: Fit, cohort: Cohort) -> None:
    assert np.abs(fitted.library(cohort.X)[0] - fitted.margin(cohort.X)).max() < 1e-5
    highest = np.nanmax(cohort.X, axis=0)
    clipped = [item.clip_high is not None for item in INVENTED.inputs]
    assert fitted.model.high == pytest.approx(np.where(clipped, np.inf, highest))
