"""Estimators of one's own: what is fitted on whom, and why one is refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models_onnx.errors import CompileRefused, TrainingRefused
from models_onnx.spec import InputSpec, OwnEstimator
from models_onnx.workbench.training.data.follow_up import FittingRows, Observed
from models_onnx.workbench.training.fitting.fit import Fit
from models_onnx.workbench.training.fitting.own import fit_own

NAMES = ("age_years", "creatinine_mg_dl")


def people(missing: float = 0.0, weights: float | None = None, names: tuple[str, ...] = NAMES) -> FittingRows:
    """Two hundred people; a seventh counts for nobody where weights differ, and an eighth for so many."""
    draw = np.random.default_rng(3)
    X = np.column_stack([draw.uniform(40, 90, 200), draw.lognormal(0, 0.4, 200)])
    y = (draw.random(200) < 1 / (1 + np.exp(-(0.05 * (X[:, 0] - 65) + X[:, 1] - 1)))).astype(np.int64)
    X[draw.random(X.shape) < missing] = np.nan
    weight = np.ones(200)
    if weights is not None:
        weight[::7], weight[1::8] = 0.0, weights
    observed = Observed(y, weight, np.full(200, 5.0), y == 1)
    return FittingRows(tuple(map(InputSpec, names)), X, observed, np.arange(200) >= 50)


def own(estimator: Any, seen: FittingRows | None = None) -> Fit:
    """The estimator, fitted on these people."""
    model = fit_own(OwnEstimator(estimator), seen or people())
    assert model.estimator is not None
    return model


def float32(X: np.ndarray) -> np.ndarray:
    """Values as the file receives them."""
    return X.astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("weights", [None, 2.5])
def test_an_estimator_is_fitted_on_everybody_whose_outcome_counts_with_their_weights(weights: float | None) -> None:
    seen = people(weights=weights)
    counts = seen.weight > 0
    X, y = float32(seen.X)[counts], seen.observed.y[counts]
    for estimator, name in (
        (LogisticRegression(C=0.1), "sample_weight"),
        (make_pipeline(StandardScaler(), LogisticRegression(C=0.1)), "logisticregression__sample_weight"),
    ):
        expected = estimator.fit(X, y, **{name: seen.weight[counts]}).decision_function(float32(seen.X))
        model = own(estimator, seen)
        assert (model.model.features, model.intercept, model.slope) == (NAMES, 0.0, 1.0)
        np.testing.assert_allclose(model.margin(seen.X), expected, atol=1e-6)


def test_a_mean_of_probabilities_is_recalibrated_by_no_line() -> None:
    forest = own(RandomForestClassifier(3, max_depth=2, random_state=0))
    with pytest.raises(TrainingRefused) as refused:
        forest.recalibrated(0.1, 1.0)
    assert str(refused.value) == (
        "the model adds up on the scale of the probability, which a recalibration by a line could take out of 0 to 1: "
        "leave `recalibration` out of the declaration"
    )


@pytest.mark.parametrize("around", [lambda ebm: ebm, lambda ebm: GridSearchCV(make_pipeline(ebm), {})])
def test_an_ebm_is_refused_before_it_is_fitted_with_what_writes_it_as_a_file(around: Callable[[Any], Any]) -> None:
    of_interpret = {"__module__": "interpret.glassbox._ebm._ebm", "fit": None}
    ebm = type("ExplainableBoostingClassifier", (LogisticRegression,), of_interpret)()
    with pytest.raises(CompileRefused, match="ebm2onnx"):
        fit_own(OwnEstimator(around(ebm)), people())
