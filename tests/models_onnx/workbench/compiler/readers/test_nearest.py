"""A model that is not compiled is refused in a sentence that names the nearest one that is; so is one never fitted."""

from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    PolynomialFeatures,
    PowerTransformer,
    SplineTransformer,
    StandardScaler,
)

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler import compile_model
from tests.libraries import glassbox, lightgbm, xgboost
from tests.models_onnx.workbench.compiler.people import invented, says

_LINE = ("line", LogisticRegression())


def refusal(model: Any) -> str:
    """The sentence with which this object is refused."""
    X, _ = invented(gaps=0.0)
    with pytest.raises(CompileRefused) as refused:
        compile_model(model, X)
    return str(refused.value)


@pytest.mark.parametrize(
    ("unfitted", "nearest"),
    [
        (StackingClassifier([_LINE, ("bayes", GaussianNB())], cv=2), "VotingClassifier(voting='soft') of the same"),
        (VotingClassifier([_LINE, ("bayes", GaussianNB())]), "fit it with voting='soft', which is compiled"),
        (BaggingClassifier(LogisticRegression(), 2), "VotingClassifier(voting='soft') of a few models"),
        (AdaBoostClassifier(n_estimators=2), "GradientBoostingClassifier(max_depth=2)"),
        (GaussianNB(), "nearest to it is LogisticRegression"),
        (KNeighborsClassifier(), "HistGradientBoostingClassifier(max_depth=4)"),
        (RidgeClassifier(), "LogisticRegression, which also gives a probability"),
        (
            make_pipeline(SimpleImputer(), MLPClassifier((2,), max_iter=2)),
            "HistGradientBoostingClassifier(max_depth=4)",
        ),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_family_that_is_not_compiled_names_the_nearest_that_is(unfitted: Any, nearest: str) -> None:
    X, y = invented(gaps=0.0)
    assert nearest in refusal(unfitted.fit(X, y))


@pytest.mark.parametrize(
    ("step", "named", "instead"),
    [
        (Binarizer(threshold=1.0), "KBinsDiscretizer(n_bins=2", KBinsDiscretizer(n_bins=2, encode="ordinal")),
        (
            ColumnTransformer([("powers", PolynomialFeatures(3, include_bias=False), [0])], remainder="passthrough"),
            "SplineTransformer(n_knots=2, degree=3, extrapolation='continue')",
            ColumnTransformer(
                [("powers", SplineTransformer(n_knots=2, degree=3, extrapolation="continue"), [0])],
                remainder="passthrough",
            ),
        ),
        (
            MinMaxScaler(clip=True),
            "SplineTransformer(n_knots=2, degree=1, knots='uniform', extrapolation='constant')",
            SplineTransformer(n_knots=2, degree=1, knots="uniform", extrapolation="constant"),
        ),
        (FunctionTransformer(np.cbrt), "PowerTransformer or SplineTransformer", PowerTransformer()),
        (
            FunctionTransformer(np.clip, kw_args={"a_min": 0, "a_max": 9}),
            "such as np.log1p",
            FunctionTransformer(np.tanh),
        ),
        (SplineTransformer(extrapolation="periodic"), "extrapolation='constant'", SplineTransformer()),
        (SimpleImputer(missing_values=-1), "write NaN for -1 in the rows", SimpleImputer()),
        (
            ColumnTransformer([("a", StandardScaler(), [0])], remainder="passthrough", transformer_weights={"a": 2.0}),
            "leave the weights out",
            StandardScaler(),
        ),
        (
            FeatureUnion([("a", StandardScaler())], transformer_weights={"a": 2.0}),
            "leave the weights out",
            StandardScaler(),
        ),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
def test_a_step_that_is_not_compiled_names_one_that_is(step: Any, named: str, instead: Any) -> None:
    X, y = invented(gaps=0.0)
    assert named in refusal(make_pipeline(step, LogisticRegression(max_iter=5000)).fit(X, y))
    fitted = make_pipeline(instead, LogisticRegression(max_iter=5000)).fit(X, y)
    content = compile_model(fitted, X).content
    rows = X[:50].astype(np.float32).astype(np.float64)
    assert np.abs(says(content, rows)["probability"] - fitted.predict_proba(rows)[:, 1]).max() < 1e-6


@pytest.mark.parametrize(
    ("unfitted", "said"),
    [
        (make_pipeline(SimpleImputer(), LogisticRegression()), "SimpleImputer is not fitted: call fit(X, y) first"),
        (CalibratedClassifierCV(LogisticRegression()), "CalibratedClassifierCV is not fitted"),
        (VotingClassifier([_LINE], voting="soft"), "VotingClassifier is not fitted"),
        (LogisticRegression, "LogisticRegression is a class: give the object that was fitted"),
        ({}, "an object of the type dict is no fitted model"),
        (None, "an object of the type NoneType is no fitted model"),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
def test_what_was_never_fitted_or_is_no_model_is_said(unfitted: Any, said: str) -> None:
    assert said in refusal(unfitted)


@pytest.mark.parametrize(
    ("library", "name"),
    [(lightgbm, "LGBMClassifier"), (xgboost, "XGBClassifier"), (glassbox, "ExplainableBoostingClassifier")],
    ids=["lightgbm", "xgboost", "interpret"],
)
def test_what_another_library_never_fitted_is_said(library: Any, name: str) -> None:
    assert f"{name} is not fitted" in refusal(getattr(library, name)())


def test_another_value_for_missing_than_nan_is_named() -> None:
    X, y = invented(gaps=0.0)
    fitted = xgboost.XGBClassifier(missing=-1.0, n_estimators=2, max_depth=2).fit(X, y)
    assert "Write NaN for -1 in the rows and fit it again with missing=nan" in refusal(fitted)
