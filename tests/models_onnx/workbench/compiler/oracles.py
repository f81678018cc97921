"""The explainers of others, as oracles; what shap warns of at import is not ours to answer for."""

import itertools
import math
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# shap 0.51 cuts a larger background to 100 rows without a word.
BACKGROUND = 100


@cache
def _shap() -> Any:
    """The library; importing it takes longer than most tests, so only those that ask it do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap
    return shap


def tree_shap(model: Any, background: Array, X: Array) -> tuple[Array, float]:
    """shap's interventional values [n, F] of the second class, and its base."""
    assert len(background) == BACKGROUND
    explainer = _shap().TreeExplainer(model, background, feature_perturbation="interventional")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = np.asarray(explainer.shap_values(X, check_additivity=False))
    if values.ndim == 3:
        return values[..., 1], float(np.ravel(explainer.expected_value)[1])
    return values, float(np.ravel(explainer.expected_value)[-1])


def linear_shap(coefficients: Array, intercept: float, background: Array, Z: Array) -> Array:
    """shap's values [n, columns] of a linear margin on prepared columns."""
    masker = _shap().maskers.Independent(background, max_samples=len(background))
    return np.asarray(_shap().LinearExplainer((coefficients, intercept), masker).shap_values(Z))


def shapley(margin: Callable[[Array], Array], person: Array, cohort: Array) -> Array:
    """Interventional Shapley values [F] by their definition: every coalition takes the values of the person."""
    count = len(person)
    value = {}
    for size in range(count + 1):
        for own in itertools.combinations(range(count), size):
            rows = cohort.copy()
            rows[:, list(own)] = person[list(own)]
            value[own] = float(margin(rows).mean())
    found = np.zeros(count)
    for j in range(count):
        others = [each for each in range(count) if each != j]
        for size in range(count):
            weight = math.factorial(size) * math.factorial(count - size - 1) / math.factorial(count)
            for own in itertools.combinations(others, size):
                found[j] += weight * (value[tuple(sorted((*own, j)))] - value[own])
    return found
