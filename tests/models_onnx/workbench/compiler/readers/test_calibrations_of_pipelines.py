"""What is around a model is taken off: votes, chosen thresholds, searches, a calibration at the end of a pipeline."""

from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models_onnx.workbench.compiler import compile_model
from models_onnx.workbench.compiler.entry import read_model
from models_onnx.workbench.compiler.families.averaged import Averaged
from tests.models_onnx.workbench.compiler.people import invented, says
from tests.models_onnx.workbench.compiler.test_calibrations import by_integral


def _vote(**more: Any) -> VotingClassifier:
    boosted = GradientBoostingClassifier(n_estimators=8, max_depth=2, random_state=0)
    forest = RandomForestClassifier(n_estimators=6, max_depth=3, random_state=0)
    models = [("line", LogisticRegression()), ("boosted", boosted), ("forest", forest)]
    return VotingClassifier(models, voting="soft", **more)


@pytest.mark.parametrize(
    "unfitted",
    [_vote(), _vote(weights=[1, 3, 0.5]), make_pipeline(StandardScaler(), _vote(weights=[2, 1, 1]))],
    ids=["equal", "weighted", "behind a scaler"],
)
def test_a_soft_vote_is_the_weighted_mean_and_its_shares_are_those_of_the_definition(unfitted: Any) -> None:
    X, y = invented(gaps=0.0)
    vote = unfitted.fit(X, y)
    compiled = compile_model(vote, X)
    told = says(compiled.content, X)
    assert np.abs(told["probability"] - vote.predict_proba(X)[:, 1]).max() < 1e-6
    assert compiled.report.form == "mean of 3: logistic, boosted trees, forest"
    assert np.abs(compiled.report.base + told["contributions"].sum(axis=1) - told["probability"]).max() < 1e-9
    read = read_model(vote, X, None, 4).fitted
    assert isinstance(read, Averaged)
    weights = np.array(read.weights or [1.0] * 3)
    parts = [by_integral(Averaged((member,)), X[:4], 1000) for member in read.members]
    assert np.abs(told["contributions"][:4] - np.average(parts, axis=0, weights=weights)).max() < 1e-5


@pytest.mark.parametrize(
    "unfitted",
    [
        make_pipeline(StandardScaler(), CalibratedClassifierCV(LogisticRegression(), ensemble=False)),
        make_pipeline(StandardScaler(), CalibratedClassifierCV(LogisticRegression(), method="isotonic", cv=3)),
        make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), LogisticRegression())),
        make_pipeline(StandardScaler(), GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2)),
        FixedThresholdClassifier(make_pipeline(StandardScaler(), LogisticRegression()), threshold=0.3),
        TunedThresholdClassifierCV(LogisticRegression(), cv=2),
        make_pipeline(StandardScaler(), LinearDiscriminantAnalysis()),
    ],
    ids=["sigmoid", "isotonic", "pipeline", "search", "threshold", "tuned threshold", "discriminant"],
)
def test_what_changes_no_probability_is_taken_off(unfitted: Any) -> None:
    X, y = invented(gaps=0.0)
    fitted = unfitted.fit(X, y)
    compiled = compile_model(fitted, X)
    assert np.abs(says(compiled.content, X)["probability"] - fitted.predict_proba(X)[:, 1]).max() < 1e-6
    assert compiled.report.rows_asked_of_library > 700
    assert compiled.report.form.startswith("logistic")
