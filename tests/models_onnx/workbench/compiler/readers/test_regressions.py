"""Survival regressions of lifelines: which are read, and as what."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.shapley_trees import _depth_in_time
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


def test_other_accelerated_models_are_named_as_what_they_are() -> None:
    with pytest.raises(CompileRefused, match="LogNormalAFTFitter is an accelerated failure time model"):
        regression_of(fitted("LogNormalAFTFitter"), (1.0,), per_year=12.0)
    with pytest.raises(CompileRefused, match="shape depends on inputs"):
        regression_of(fitted("WeibullAFTFitter", ("rho_", "age", 0.1)), (1.0,), per_year=12.0)
    with pytest.raises(CompileRefused, match="per_year"):
        regression_of(fitted("WeibullAFTFitter"), (1.0,))


@pytest.mark.parametrize(("trees", "most", "depth"), [(100, 6, 6), (150, 6, 5), (300, 6, 4), (100, 4, 4), (20, 6, 6)])
def test_the_depth_that_a_refusal_names_is_explained_within_the_time_of_a_card(
    trees: int, most: int, depth: int
) -> None:
    ensemble: Any = SimpleNamespace(trees=(None,) * trees)
    assert _depth_in_time(ensemble, most) == depth
