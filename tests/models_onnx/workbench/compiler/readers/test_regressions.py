"""Survival regressions of lifelines: which are read, and as what."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler import compile_model
from models_onnx.workbench.compiler.readers.regressions import regression_of


def fitted(name: str, *more: tuple[str, str, float]) -> Any:
    """An object as lifelines fits it, with its parameters by part and column."""
    parts = [("lambda_", "age", -0.02), ("lambda_", "male", -0.3), ("lambda_", "Intercept", 5.0), *more]
    parts.append(("rho_", "Intercept", 0.4))
    index = pd.MultiIndex.from_tuples([part[:2] for part in parts], names=["param", "covariate"])
    params = pd.Series([part[2] for part in parts], index=index)
    return type(name, (SimpleNamespace,), {})(params_=params, durations=np.array([1.0, 200.0]))


def test_a_weibull_model_gives_the_survival_of_its_own_formula() -> None:
    model = regression_of(fitted("WeibullAFTFitter"), (1.0, 5.0), per_year=12.0)
    row = np.array([60.0, 1.0])
    scale, shape = np.exp(5.0 - 0.02 * 60 - 0.3), np.exp(0.4)
    for year in (1.0, 5.0):
        hazard = model.hazards[year] * np.exp(row @ np.array(model.coefficients))
        assert np.exp(-hazard) == pytest.approx(np.exp(-((12 * year / scale) ** shape)))


def test_a_survival_forest_is_exact_at_the_horizon_and_refused_beyond_its_people_or_too_deep() -> None:
    ensemble = pytest.importorskip("sksurv.ensemble")
    util = pytest.importorskip("sksurv.util")
    draw = np.random.default_rng(4)
    X = draw.normal(size=(600, 3)).astype(np.float32).astype(float)
    time, event = draw.exponential(24 * np.exp(-X[:, 0] + 0.5 * X[:, 1] * (X[:, 2] > 0))), draw.random(600) < 0.8
    forest = ensemble.RandomSurvivalForest(n_estimators=30, max_depth=4, random_state=0)
    forest.fit(X, util.Surv.from_arrays(event, time))
    compiled = compile_model(regression_of(forest, (1.0,), per_year=12.0), X, features=["age", "male", "crea"])
    expected = (
        1
        - forest.predict_survival_function(X, return_array=True)[
            :, np.searchsorted(forest.unique_times_, 12.0, side="right") - 1
        ]
    )
    session = onnxruntime.InferenceSession(compiled.content)
    probability, shares = session.run(["probability", "contributions"], {"features": X.astype(np.float32)})
    assert np.abs(probability - expected).max() < 1e-6
    assert np.abs(compiled.report.base + shares.sum(axis=1) - expected).max() < 1e-5
    assert compiled.report.explanation.startswith("Exact interventional Shapley values")
    with pytest.raises(CompileRefused, match="declare another per_year or another horizon"):
        regression_of(forest, (1000.0,), per_year=12.0)
    with pytest.raises(CompileRefused, match="per_year"):
        regression_of(forest, (1.0,))
    deep = ensemble.RandomSurvivalForest(n_estimators=100, random_state=0).fit(X, util.Surv.from_arrays(event, time))
    with pytest.raises(CompileRefused, match="max_depth"):
        compile_model(regression_of(deep, (1.0,), per_year=12.0), X, features=["age", "male", "crea"])


def test_other_accelerated_models_are_named_as_what_they_are() -> None:
    with pytest.raises(CompileRefused, match="LogNormalAFTFitter is an accelerated failure time model"):
        regression_of(fitted("LogNormalAFTFitter"), (1.0,), per_year=12.0)
    with pytest.raises(CompileRefused, match="shape depends on inputs"):
        regression_of(fitted("WeibullAFTFitter", ("rho_", "age", 0.1)), (1.0,), per_year=12.0)
    with pytest.raises(CompileRefused, match="per_year"):
        regression_of(fitted("WeibullAFTFitter"), (1.0,))
