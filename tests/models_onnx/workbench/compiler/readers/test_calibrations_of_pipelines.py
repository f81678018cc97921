"""What is around a model is taken off: votes, chosen thresholds, searches, a calibration at the end of a pipeline."""

from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models_onnx.workbench.compiler.families.additive_curves import AdditiveCurves
from tests.models_onnx.workbench.compiler.people import compiled, invented, says


@pytest.mark.parametrize(
    "unfitted",
    [
        make_pipeline(StandardScaler(), CalibratedClassifierCV(LogisticRegression(), ensemble=False)),
        make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), LogisticRegression())),
        make_pipeline(StandardScaler(), GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2)),
        FixedThresholdClassifier(make_pipeline(StandardScaler(), LogisticRegression()), threshold=0.3),
        TunedThresholdClassifierCV(LogisticRegression(), cv=2),
        make_pipeline(StandardScaler(), LinearDiscriminantAnalysis()),
    ],
    ids=["sigmoid", "pipeline", "search", "threshold", "tuned threshold", "discriminant"],
)
def test_what_changes_no_probability_is_taken_off(unfitted: Any) -> None:
    X, y = invented(gaps=0.0)
    fitted = unfitted.fit(X, y)
    file = compiled(fitted, X)
    assert np.abs(says(file.content, X)["probability"] - fitted.predict_proba(X)[:, 1]).max() < 1e-6
    assert isinstance(file.fitted, AdditiveCurves)
