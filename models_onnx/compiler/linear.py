"""Logistic regressions of scikit-learn and Cox models, behind any preprocessing that keeps inputs apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.compiler.curve import Curve
from models_onnx.compiler.link import Survival
from models_onnx.compiler.sklearn_columns import Column
from models_onnx.errors import CompileRefused

Array = NDArray[np.float64]
LOGISTIC = ("LogisticRegression", "LogisticRegressionCV", "SGDClassifier")


@dataclass(frozen=True, slots=True)
class CoxModel:
    """Proportional hazards, fitted anywhere: coefficients behind `preparation`, cumulative baseline hazard by horizon.

    The baseline is that of a linear predictor of 0. `preparation` is a fitted scikit-learn transformer, or None where
    the coefficients are of the inputs as they are.
    """

    coefficients: tuple[float, ...]
    hazards: Mapping[float, float]
    horizon: float
    preparation: Any = None
    unit: str = "years"
    link: Survival = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "link", Survival.at(self.hazards, self.horizon, self.unit))

    @classmethod
    def from_statsmodels(
        cls, results: Any, horizons: tuple[float, ...], horizon: float, preparation: Any = None, unit: str = "years"
    ) -> Self:
        """Of statsmodels' PHReg results without strata, its baseline read at each horizon (a step function of time)."""
        if results.model.surv.nstrat != 1:
            raise CompileRefused("a Cox model with strata has several baselines; compile one model for each")
        times, hazards, _ = results.baseline_cumulative_hazard[0]
        order = np.argsort(times, kind="stable")
        reached = np.searchsorted(np.asarray(times)[order], np.array(horizons), side="right")
        if (reached == 0).any():
            raise CompileRefused(f"nobody in the study had an event before {min(horizons):g} {unit}")
        found = np.asarray(hazards)[order][reached - 1]
        pairs = dict(zip(map(float, horizons), map(float, found), strict=True))
        return cls(tuple(map(float, results.params)), pairs, float(horizon), preparation, unit)


def weighted(columns: list[Column], coefficients: Array, inputs: int) -> tuple[Curve, ...]:
    """One curve per input: the sum of its columns times their coefficients."""
    if len(columns) != len(coefficients):
        raise CompileRefused(f"{len(coefficients)} coefficients do not fit the {len(columns)} columns before them")
    found = [Curve.steps([], [0.0], 0.0)] * inputs
    for column, coefficient in zip(columns, coefficients.tolist(), strict=True):
        found[column.input] = found[column.input] + column.curve.scaled(coefficient, 0.0)
    return tuple(found)


def logistic(model: Any) -> tuple[Array, float]:
    """Coefficients and intercept of a fitted logistic regression of two classes; refuses other losses."""
    if type(model).__name__ == "SGDClassifier" and model.loss != "log_loss":
        raise CompileRefused(f"SGDClassifier with the loss {model.loss!r} gives no probability; use loss='log_loss'")
    if not hasattr(model, "coef_"):
        raise CompileRefused(f"{type(model).__name__} is not fitted")
    if len(model.classes_) != 2:
        raise CompileRefused(f"{type(model).__name__} has {len(model.classes_)} classes; models of two are compiled")
    return np.asarray(model.coef_, dtype=np.float64)[0], float(np.asarray(model.intercept_).ravel()[0])
