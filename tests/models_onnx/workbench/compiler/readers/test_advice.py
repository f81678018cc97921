"""A refusal names what works: its advice is followed here for the defaults of the common libraries."""

from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler import compile_model


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_the_advice_of_a_refusal_works_when_it_is_followed(library: str) -> None:
    draw = np.random.default_rng(0)
    X = draw.normal(size=(800, 5))
    y = (draw.random(800) < 1 / (1 + np.exp(-X[:, 0] + X[:, 1] * X[:, 2]))).astype(int)

    def fitted(**settings: Any) -> Any:
        if library == "lightgbm":
            return lightgbm.LGBMClassifier(n_jobs=1, verbose=-1, n_estimators=10, **settings).fit(X, y)
        return xgboost.XGBClassifier(n_jobs=1, n_estimators=10, **settings).fit(X, y)

    with pytest.raises(CompileRefused, match="Train with max_depth=4") as refused:
        compile_model(fitted(), X[:300])
    assert compile_model(fitted(max_depth=4), X[:300]).report.agreement.probability < 1e-5
    assert ("deepest=6 explains these exactly" in str(refused.value)) is (library == "xgboost")
    if library == "xgboost":
        assert compile_model(fitted(), X[:300], deepest=6).report.approximation is None
    assert compile_model(fitted(), X[:300], approximate=True).report.approximation is not None
