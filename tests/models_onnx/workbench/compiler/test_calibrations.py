"""Calibrations that are no line on the margin, against scikit-learn and the integral that defines the shares."""

from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler import compile_model
from models_onnx.workbench.compiler.entry import read_model
from models_onnx.workbench.compiler.families.averaged import Averaged
from tests.libraries import lightgbm
from tests.models_onnx.workbench.compiler.people import Array, invented, says

ESTIMATORS: dict[str, Any] = {
    "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "boosted": lambda: GradientBoostingClassifier(n_estimators=8, max_depth=2, random_state=0),
    "forest": lambda: RandomForestClassifier(n_estimators=8, max_depth=3, random_state=0),
    "lightgbm": lambda: lightgbm.LGBMClassifier(n_estimators=8, max_depth=3, verbose=-1),
}


def by_integral(model: Averaged, X: Array, steps: int = 4000) -> Array:
    """The shares by their definition: contributions times the calibration's slope, on the way from the reference."""
    total = np.zeros(X.shape)
    along = (np.arange(steps) + 0.5) / steps
    for member in model.members:
        own = member.model.contributions(X)
        away = own.sum(axis=1)
        for row in range(len(X)):
            margins = member.model.base + np.outer([-0.5 / steps, 0.5 / steps], np.ones(steps)) * away[row]
            low, high = (member.calibration.probability(side + along * away[row]) for side in margins)
            mean_slope = float((high - low).sum() / away[row])
            total[row] += own[row] * mean_slope / len(model.members)
    return total


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")  # LightGBM names its columns itself
@pytest.mark.parametrize("ensemble", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("name", "method"),
    [
        (name, method)
        for name in ESTIMATORS
        for method in ("sigmoid", "isotonic", "temperature")
        if (name, method) != ("forest", "temperature")  # refused: the test below
    ],
)
def test_every_calibration_gives_the_library_s_probability_and_the_shares_of_the_definition(
    name: str, method: str, ensemble: bool
) -> None:
    X, y = invented(gaps=0.0)
    whole = CalibratedClassifierCV(ESTIMATORS[name](), method=method, ensemble=ensemble, cv=3).fit(X, y)
    compiled = compile_model(whole, X, outcomes=y)
    told = says(compiled.content, X)
    assert np.abs(told["probability"] - whole.predict_proba(X)[:, 1]).max() < 1e-6
    assert compiled.report.rows_asked_of_library > 700
    read = read_model(whole, X, None, 4).fitted
    if isinstance(read, Averaged):
        assert np.abs(told["contributions"][:5] - by_integral(read, X[:5])).max() < 1e-6
        assert np.abs(compiled.report.base + told["contributions"].sum(axis=1) - told["probability"]).max() < 1e-6
        assert "Aumann-Shapley" in compiled.report.explanation
    else:
        assert not ensemble


def test_a_row_at_the_reference_itself_has_no_share_and_one_beside_it_hardly_any() -> None:
    X, y = invented(gaps=0.0)
    whole = CalibratedClassifierCV(LogisticRegression(), method="isotonic", ensemble=False).fit(X, y)
    told = says(compile_model(whole, X).content, np.full((1, 5), np.nan))
    assert told["contributions"].tolist() == [[0.0] * 5]
    assert whole.predict_proba(X[:1]).shape == (1, 2)


def test_a_row_gets_the_same_bits_alone_and_in_any_batch() -> None:
    X, y = invented(gaps=0.0)
    content = compile_model(CalibratedClassifierCV(LogisticRegression(), cv=5).fit(X, y), X).content
    whole = says(content, X)
    for count in (1, 3, 17):
        part = says(content, X[:count])
        assert all(part[name].tobytes() == whole[name][:count].tobytes() for name in ("probability", "contributions"))


def test_what_is_not_compiled_names_what_is() -> None:
    X, y = invented(gaps=0.0)
    whole = CalibratedClassifierCV(FrozenEstimator(ESTIMATORS["forest"]().fit(X, y)), method="temperature").fit(X, y)
    with pytest.raises(CompileRefused, match="use method='sigmoid'"):
        compile_model(whole, X)
