"""Regressions of statsmodels, lifelines and scikit-survival as models that the compiler reads.

statsmodels    Logit, and GLM of the binomial family    `LogitModel`
statsmodels    PHReg                                    `CoxModel`
lifelines      CoxPHFitter, WeibullAFTFitter            `CoxModel`
scikit-survival CoxPHSurvivalAnalysis                   `CoxModel`
scikit-survival RandomSurvivalForest, ExtraSurvivalTrees  `SurvivalForest` at the main horizon
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.readers.source import CoxModel

Array = NDArray[np.float64]
COX = ("PHRegResults", "PHRegResultsWrapper", "CoxPHFitter", "CoxPHSurvivalAnalysis", "CoxnetSurvivalAnalysis")
AFT = "WeibullAFTFitter"
SURVIVAL_FORESTS = ("RandomSurvivalForest", "ExtraSurvivalTrees")


@dataclass(frozen=True, slots=True)
class LogitModel:
    """A logistic regression by its coefficients; `results` answers as the library, where they are its own.

    `feature_names_in_` and `classes_` are as in scikit-learn, by which the compiler knows names.
    """

    coefficients: tuple[float, ...]
    intercept: float
    feature_names_in_: tuple[str, ...]
    results: Any = None
    constant: int | None = None
    classes_: tuple[int, int] = field(default=(0, 1))

    def predict_proba(self, X: Any) -> Array:
        """Probabilities [n, 2] by statsmodels itself; without its results by the coefficients."""
        rows = np.asarray(X, dtype=np.float64)
        if not np.isfinite(rows).all():
            raise ValueError("missing and infinite values are not predicted")
        if self.results is None:
            p = 1.0 / (1.0 + np.exp(-(self.intercept + rows @ np.array(self.coefficients))))
        else:
            with_constant = rows if self.constant is None else np.insert(rows, self.constant, 1.0, axis=1)
            p = np.asarray(self.results.model.predict(np.asarray(self.results.params), with_constant), dtype=np.float64)
        return np.column_stack([1.0 - p, p])


@dataclass(frozen=True, slots=True)
class SurvivalForest:
    """A survival forest at one time: its risk is the mean over the trees of 1 - the survival of the leaf."""

    forest: Any
    column: int
    classes_: tuple[int, int] = field(default=(0, 1))

    @property
    def estimators_(self) -> list[Any]:
        """The trees, with shares of survival and risk at this time in place of whole curves."""
        return [_TreeAt(tree, self.column) for tree in self.forest.estimators_]

    @property
    def feature_names_in_(self) -> Any:
        """The names of the inputs, where the forest knows them."""
        return getattr(self.forest, "feature_names_in_", None)

    @property
    def n_features_in_(self) -> int:
        """The number of the inputs."""
        return int(self.forest.n_features_in_)

    def predict_proba(self, X: Any) -> Array:
        """Returns the survival and the risk [n, 2] by the library itself."""
        survival = np.asarray(self.forest.predict_survival_function(X, return_array=True))[:, self.column]
        return np.column_stack([survival, 1.0 - survival])


class _TreeAt:
    """One tree of a survival forest, as the reader of forests asks it."""

    def __init__(self, tree: Any, column: int) -> None:
        source = tree.tree_
        for name in ("children_left", "children_right", "feature", "threshold", "missing_go_to_left"):
            setattr(self, name, getattr(source, name))
        survival = source.value[:, column, 1]
        self.value = np.stack([survival, 1.0 - survival], axis=1)[:, None, :]
        self.tree_ = self


def regression_of(model: Any, horizons: Sequence[float] = (), per_year: float | None = None) -> Any:
    """Returns a LogitModel or CoxModel for fitted objects of those libraries; any other object as it is.

    `horizons` in years, the main one last; `per_year`: how many units of the study's time a year has.

    Raises:
        CompileRefused: the object is of another family, has strata, or the unit of its time is not known.
    """
    name, results = type(model).__name__, getattr(model, "_results", model)
    kind = type(getattr(results, "model", None)).__name__
    if kind in ("Logit", "GLM"):
        return _logit(results, kind)
    if name.endswith("AFTFitter") and name != AFT:
        raise CompileRefused(
            f"{name} is an accelerated failure time model whose hazards are not proportional: its contributions are "
            f"not exact on any one scale. {AFT} is compiled, and CoxPHFitter"
        )
    if name in SURVIVAL_FORESTS:
        return _survival_forest(model, horizons[-1], per_year)
    if name not in COX and name != AFT and kind != "PHReg":
        return model
    if per_year is None:
        raise _unit_is_not_known(name)
    times = [year * per_year for year in horizons]
    _refuse_beyond_study(model, results, name, max(times), per_year)
    if kind == "PHReg":
        cox = CoxModel.from_statsmodels(results, tuple(times), times[-1])
        return _in_years(cox.coefficients, list(cox.hazards.values()), horizons, results.model.exog_names)
    if name == "CoxPHFitter":
        return _lifelines(model, times, horizons)
    if name == AFT:
        return _weibull(model, times, horizons)
    if name == "CoxPHSurvivalAnalysis":
        hazards = [float(model.cum_baseline_hazard_(time)) for time in times]
        return _in_years(model.coef_, hazards, horizons, getattr(model, "feature_names_in_", None))
    raise CompileRefused(f"{name} is not compiled; CoxPHSurvivalAnalysis is, with alpha for a ridge penalty")


def _unit_is_not_known(name: str) -> CompileRefused:
    return CompileRefused(
        f"{name}: the unit of its time is not known; declare per_year (365.25 for days, 12 for months, 1 for years)"
    )


def _survival_forest(model: Any, horizon_years: float, per_year: float | None) -> "SurvivalForest":
    name = type(model).__name__
    if per_year is None:
        raise _unit_is_not_known(name)
    horizon, times = horizon_years * per_year, np.asarray(model.unique_times_, dtype=np.float64)
    if not times[0] <= horizon <= times[-1] * (1.0 + 1e-9):
        raise CompileRefused(
            f"{name}: its people were followed from {times[0]:g} to {times[-1]:g}, and the horizon is {horizon:g} in "
            f"its unit ({per_year:g} in a year): declare another per_year or another horizon"
        )
    if getattr(model, "low_memory", False):
        raise CompileRefused(f"{name} with low_memory=True keeps no survival function: fit it with low_memory=False")
    return SurvivalForest(model, int(np.searchsorted(times, horizon * (1.0 + 1e-9), side="right")) - 1)


def _refuse_beyond_study(model: Any, results: Any, name: str, horizon: float, per_year: float) -> None:
    """Refuses a horizon after the last time of the study: the hazard up to then would be taken for the whole of it."""
    if name in ("CoxPHFitter", AFT):
        longest = float(np.max(model.durations))
    elif name == "CoxPHSurvivalAnalysis":
        longest = float(np.max(model.cum_baseline_hazard_.x))
    else:
        longest = float(np.max(results.model.endog))
    if horizon > longest * (1.0 + 1e-9):
        raise CompileRefused(
            f"{name}: its people were followed for at most {longest:g}, and the horizon is {horizon:g} in its unit "
            f"({per_year:g} in a year): declare another per_year or a shorter horizon"
        )


def _in_years(coefficients: Any, hazards: Sequence[float], horizons: Sequence[float], names: Any) -> CoxModel:
    hazard_at = dict(zip(map(float, horizons), map(float, hazards), strict=True))
    input_names = None if names is None else tuple(map(str, names))
    return CoxModel(tuple(map(float, np.ravel(coefficients))), hazard_at, float(horizons[-1]), names=input_names)


def _lifelines(model: Any, times: Sequence[float], horizons: Sequence[float]) -> CoxModel:
    if model.strata:
        raise CompileRefused("a CoxPHFitter with strata has several baselines; adopt one model for each")
    names = [str(name) for name in model.params_.index]
    if set(names) - set(map(str, model._norm_mean.index)):
        raise CompileRefused("a CoxPHFitter with a formula is not compiled: give it the columns themselves")
    mean = model._norm_mean[model.params_.index]
    average = mean.to_frame().T
    at_average = model.predict_cumulative_hazard(average, times=list(times)).to_numpy(dtype=float)[:, 0]
    centre = float(np.asarray(mean, dtype=float) @ np.asarray(model.params_, dtype=float))
    return _in_years(model.params_.to_numpy(dtype=float), (at_average * np.exp(-centre)).tolist(), horizons, names)


def _weibull(model: Any, times: Sequence[float], horizons: Sequence[float]) -> CoxModel:
    """A Weibull model, whose times are accelerated and whose hazards are proportional too.

    S(t) = exp(-(t / l)^r) with l = exp(a + x b) and one r: the cumulative hazard is t^r exp(-r a) exp(-r x b).
    """
    scale, shape = model.params_["lambda_"], model.params_["rho_"]
    if list(map(str, shape.index)) != ["Intercept"]:
        raise CompileRefused(
            f"a {AFT} whose shape depends on inputs (ancillary) has no proportional hazards: fit it without"
        )
    power = float(np.exp(shape["Intercept"]))
    names = [str(name) for name in scale.index if str(name) != "Intercept"]
    hazards = [time**power * float(np.exp(-power * scale["Intercept"])) for time in times]
    return _in_years(-power * scale[names].to_numpy(dtype=float), hazards, horizons, names)


def _logit(results: Any, kind: str) -> LogitModel:
    if kind == "GLM":
        family = results.model.family
        if type(family).__name__ != "Binomial" or type(family.link).__name__ != "Logit":
            raise CompileRefused(
                f"a GLM of {type(family).__name__} with the link {type(family.link).__name__} is not compiled; "
                "Binomial with the logit link is"
            )
    names, constant = list(results.model.exog_names), results.model.data.const_idx
    values = np.asarray(results.params, dtype=np.float64)
    columns = [column for column in range(len(values)) if column != constant]
    intercept = 0.0 if constant is None else float(values[constant])
    input_names = tuple(str(names[column]) for column in columns)
    return LogitModel(tuple(values[columns].tolist()), intercept, input_names, results, constant)
