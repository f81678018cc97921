"""Cox models of statsmodels as coefficients and baseline hazards at the horizons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.link import Survival

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CoxModel:
    """Proportional hazards, fitted anywhere: coefficients of the inputs, cumulative baseline hazard by horizon.

    The baseline is that of a linear predictor of 0; `names` are those of the inputs, where they are known.
    """

    coefficients: tuple[float, ...]
    hazards: Mapping[float, float]
    horizon: float
    names: tuple[str, ...] | None = None
    link: Survival = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "link", Survival.at(self.hazards, self.horizon))


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
    """Return a CoxModel for results of statsmodels' PHReg; any other object as it is.

    Its baseline is read at each horizon. Events at the horizon itself count: the baseline is Breslow's, worked out from
    the risk sets, because `baseline_cumulative_hazard` of statsmodels gives at each time the hazard before that time.

    `horizons` in years, the main one last; `per_year`: how many units of the study's time a year has.

    Raises:
        CompileRefused: the object has strata, the unit of its time is not known, or a horizon lies beyond its study.
    """
    results = getattr(model, "_results", model)
    if type(getattr(results, "model", None)).__name__ != "PHReg":
        return model
    if per_year is None:
        raise CompileRefused(
            "PHReg: the unit of its time is not known; declare per_year (365.25 for days, 12 for months, 1 for years)"
        )
    if results.model.surv.nstrat != 1:
        raise CompileRefused("a Cox model with strata has several baselines; compile one model for each")
    ends, longest = np.array(horizons, dtype=np.float64) * per_year, float(np.max(results.model.endog))
    # Months as fractions of a year: a horizon may miss the time it means by the last bits of a float.
    if ends.max() > longest * (1.0 + 1e-9):  # the hazard up to then would be taken for the whole of it
        raise CompileRefused(
            f"PHReg: its people were followed for at most {longest:g}, and the horizon is {ends.max():g} in its unit "
            f"({per_year:g} in a year): declare another per_year or a shorter horizon"
        )
    times, cumulative = _breslow(results)
    reached = np.searchsorted(times, ends * (1.0 + 1e-9), side="right")
    if (reached == 0).any():
        raise CompileRefused(f"nobody in the study had an event up to {ends.min():g}")
    hazards = dict(zip(map(float, horizons), cumulative[reached - 1].tolist(), strict=True))
    coefficients, names = tuple(map(float, results.params)), results.model.exog_names
    input_names = None if names is None else tuple(map(str, names))
    return CoxModel(coefficients, hazards, float(horizons[-1]), names=input_names)
