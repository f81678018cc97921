"""The explainers of others, as oracles; what shap warns of at import is not ours to answer for."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.libraries import shap

Array = NDArray[np.float64]
# shap 0.51 cuts a larger background to 100 rows without a word.
BACKGROUND = 100


def tree_shap(model: Any, background: Array, X: Array) -> tuple[Array, float]:
    """shap's interventional values [n, F] of the second class, and its base."""
    assert len(background) == BACKGROUND
    explainer = shap.TreeExplainer(model, background, feature_perturbation="interventional")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = np.asarray(explainer.shap_values(X, check_additivity=False))
    if values.ndim == 3:
        return values[..., 1], float(np.ravel(explainer.expected_value)[1])
    return values, float(np.ravel(explainer.expected_value)[-1])


def linear_shap(coefficients: Array, intercept: float, background: Array, Z: Array) -> Array:
    """shap's values [n, columns] of a linear margin on prepared columns."""
    masker = shap.maskers.Independent(background, max_samples=len(background))
    return np.asarray(shap.LinearExplainer((coefficients, intercept), masker).shap_values(Z))
