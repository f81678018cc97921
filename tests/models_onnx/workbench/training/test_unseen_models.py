"""Fitted models through `model adopt`: the file answers as the library, contributions are those of brute force.

Brute force is the definition: over all coalitions of the inputs, the mean margin of the library over the reference
cohort with the person's values put in.
"""

import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import RobustScaler, StandardScaler

from models_onnx.serving.runtime import Model
from tests.models_onnx.workbench.compiler.people import by_coalitions
from tests.models_onnx.workbench.training.toy import NAMES, adopted, adults, declare, elsewhere, inputs, toy_table

pytestmark = pytest.mark.slow
LABS = ["creatinine_mg_dl", "albumin_g_dl"]


def columns(labs: Any) -> ColumnTransformer:
    """The laboratory values through `labs`, age and sex as they are."""
    return ColumnTransformer([("labs", labs, LABS)], remainder="passthrough")


def calibrated(model: Any, **how: Any) -> Any:
    """The model in a calibration with three folds."""
    return CalibratedClassifierCV(model, cv=3, **how)


def models() -> dict[str, tuple[Any, str]]:
    """Unfitted models by name, each with the scale on which its contributions add up."""
    scaled = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), RobustScaler())
    regression = LogisticRegression(max_iter=2000)
    boosted = HistGradientBoostingClassifier(max_depth=3, max_iter=25)
    gentle = GradientBoostingClassifier(max_depth=3, n_estimators=20)
    return {
        "scaled": (make_pipeline(columns(scaled), StandardScaler(), regression), "logit"),
        "boosted": (boosted, "logit"),
        "imputed boosting": (make_pipeline(SimpleImputer(), gentle), "logit"),
        "lightgbm": (lightgbm.LGBMClassifier(n_estimators=20, max_depth=4, verbose=-1), "logit"),
        "xgboost": (xgboost.XGBClassifier(n_estimators=20, max_depth=4, learning_rate=0.2), "logit"),
        "forest": (make_pipeline(SimpleImputer(), RandomForestClassifier(25, max_depth=4, random_state=0)), "identity"),
        "sigmoid": (calibrated(boosted, ensemble=False, method="sigmoid"), "logit"),
    }


def logit(probability: np.ndarray) -> np.ndarray:
    """Log odds."""
    return np.asarray(np.log(probability / (1 - probability)))


def source_of(fitted: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The model as the function of a module, as a declaration names it."""
    module = types.ModuleType(f"unseen_{name.replace(' ', '_')}")
    module.model = lambda: fitted  # type: ignore[attr-defined]  # a module of the test
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return f"{module.__name__}:model"


def agrees(model: Model, told: Callable[[pd.DataFrame], np.ndarray], scale: str) -> None:
    """Probabilities of everybody, contributions of some people by brute force."""
    X = inputs(adults(toy_table(700)))
    answers = model.predict_rows(X.to_numpy())
    assert np.abs(answers.probability - told(X)).max() < 1e-5
    assert model.manifest.link == scale

    def margin(rows: np.ndarray) -> np.ndarray:
        probability = told(pd.DataFrame(rows, columns=NAMES))
        return probability if scale == "identity" else logit(probability)

    for place in (0, 7, 40):
        own = by_coalitions(margin, X.to_numpy()[place], X.to_numpy())
        assert np.abs(answers.contributions[place] - own).max() < 2e-4, place


@pytest.mark.parametrize("name", models())
def test_an_unseen_model_is_adopted_and_explained_as_by_the_definition(
    name: str,
    tmp_path: Path,
    run: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,  # the fixture
) -> None:
    unfitted, scale = models()[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = unfitted.fit(*elsewhere())
    source = source_of(fitted, name, monkeypatch)
    declare(tmp_path, f"Fitted({source!r}, trained_on='people of another year')")
    model = adopted(run, tmp_path)
    agrees(model, lambda X: np.asarray(fitted.predict_proba(X)[:, 1], dtype=np.float64), scale)
