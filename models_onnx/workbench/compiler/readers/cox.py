"""Cox models of statsmodels, lifelines and scikit-survival as coefficients and baseline hazards at the horizons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.link import Survival

Array = NDArray[np.float64]
COX = ("PHRegResults", "PHRegResultsWrapper", "CoxPHFitter", "CoxPHSurvivalAnalysis", "CoxnetSurvivalAnalysis")


@dataclass(frozen=True, slots=True)
class CoxModel:
    """Proportional hazards, fitted anywhere: coefficients behind `preparation`, cumulative baseline hazard by horizon.

    The baseline is that of a linear predictor of 0. `preparation` is a fitted scikit-learn transformer, or None where
    the coefficients are of the inputs as they are; `names` are those of the inputs, where they are known.
    """

    coefficients: tuple[float, ...]
    hazards: Mapping[float, float]
    horizon: float
    preparation: Any = None
    names: tuple[str, ...] | None = None
    link: Survival = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "link", Survival.at(self.hazards, self.horizon))

    @classmethod
    def from_statsmodels(
        cls, results: Any, horizons: tuple[float, ...], horizon: float, preparation: Any = None
    ) -> Self:
        """Of statsmodels' PHReg results without strata, its baseline read at each horizon (a step function of time).

        Events at the horizon itself count: the baseline is Breslow's, worked out from the risk sets of the results,
        because `baseline_cumulative_hazard` of statsmodels gives at each time the hazard before that time.
        """
        if results.model.surv.nstrat != 1:
            raise CompileRefused("a Cox model with strata has several baselines; compile one model for each")
        times, hazards = _breslow(results)
        # Months as fractions of a year: a horizon may miss the time it means by the last bits of a float.
        reached = np.searchsorted(times, np.array(horizons) * (1.0 + 1e-9), side="right")
        if (reached == 0).any():
            raise CompileRefused(f"nobody in the study had an event up to {min(horizons):g}")
        at_horizons = hazards[reached - 1]
        pairs = dict(zip(map(float, horizons), map(float, at_horizons), strict=True))
        return cls(tuple(map(float, results.params)), pairs, float(horizon), preparation)


def _breslow(results: Any) -> tuple[Array, Array]:
    """Rising event times of PHReg results and the cumulative baseline hazard, each time's own events included."""
    surv = results.model.surv
    predictor = np.asarray(surv.exog_s[0] @ results.params, dtype=np.float64)
    if surv.offset_s is not None:
        predictor = predictor + surv.offset_s[0]
    weight, at_risk = np.exp(predictor), 0.0
    times = np.asarray(surv.ufailt[0], dtype=np.float64)
    hazard = np.zeros(len(times))
    for k in range(len(times))[::-1]:
        at_risk += float(weight[surv.risk_enter[0][k]].sum())
        hazard[k] = len(surv.ufailt_ix[0][k]) / at_risk
        at_risk -= float(weight[surv.risk_exit[0][k]].sum())
    return times, np.cumsum(hazard)


def cox_of(model: Any, horizons: Sequence[float] = (), per_year: float | None = None) -> Any:
    """Return a CoxModel for a Cox model of those libraries; any other object as it is.

    `horizons` in years, the main one last; `per_year`: how many units of the study's time a year has.

    Raises:
        CompileRefused: the object has strata, or the unit of its time is not known.
    """
    name, results = type(model).__name__, getattr(model, "_results", model)
    is_phreg = type(getattr(results, "model", None)).__name__ == "PHReg"
    if name not in COX and not is_phreg:
        return model
    if per_year is None:
        raise CompileRefused(
            f"{name}: the unit of its time is not known; declare per_year (365.25 for days, 12 for months, 1 for years)"
        )
    times = [year * per_year for year in horizons]
    _refuse_beyond_study(model, results, name, max(times), per_year)
    if is_phreg:
        cox = CoxModel.from_statsmodels(results, tuple(times), times[-1])
        return _in_years(cox.coefficients, list(cox.hazards.values()), horizons, results.model.exog_names)
    if name == "CoxPHFitter":
        return _lifelines(model, times, horizons)
    if name == "CoxPHSurvivalAnalysis":
        hazards = [float(model.cum_baseline_hazard_(time)) for time in times]
        return _in_years(model.coef_, hazards, horizons, getattr(model, "feature_names_in_", None))
    raise CompileRefused(f"{name} is not compiled; CoxPHSurvivalAnalysis is, with alpha for a ridge penalty")


def _refuse_beyond_study(model: Any, results: Any, name: str, horizon: float, per_year: float) -> None:
    """Refuses a horizon after the last time of the study: the hazard up to then would be taken for the whole of it."""
    if name == "CoxPHFitter":
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
