"""Fits the hazards of an event and of a competing one, each with the other taken for a loss, and joins them to a risk.

Each hazard alone is estimated as if the other cause took people away by chance, which is right for a hazard and wrong
for a risk; the cumulative incidence is made of both (Prentice, Biometrics 1978;34:541).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn, has no types

from models_onnx.errors import TrainingRefused
from models_onnx.spec import CauseSpecificCox
from models_onnx.workbench.compiler.families.incidence import CauseHazards, Incidence, IncidenceModel
from models_onnx.workbench.compiler.link import LOGIT, FittedModel
from models_onnx.workbench.compiler.parity import Oracle
from models_onnx.workbench.training.data.follow_up import FittingRows
from models_onnx.workbench.training.fitting.additive import Array, Linear, basis_of, fit_cox, significant

# Within one the hazards are constant: so many follow the curves of mgus2 and of the waiting list to 0.001.
_INTERVALS = 24


@dataclass(frozen=True, slots=True)
class TwoCauses:
    """Both linear predictors, 0 at the reference, and the baseline hazards of both causes by interval."""

    event: Linear
    competing: Linear
    hazards: CauseHazards
    link: Incidence
    intercept: float = 0.0
    slope: float = 1.0

    def margins(self, X: Array) -> Array:
        """Return log(-log(1 - risk)) at each horizon [n, H], recalibrated."""
        at_horizons = self.hazards.margins(self.event.margin(X), self.competing.margin(X))
        return np.asarray(self.intercept + self.slope * at_horizons)

    def margin(self, X: Array) -> Array:
        return np.asarray(self.margins(X)[:, -1])

    def risk(self, X: Array) -> Array:
        """Return the cumulative incidence at each horizon [n, H]."""
        return self.link.probability(self.margins(X))

    def recalibrated(self, intercept: float, slope: float) -> "TwoCauses":
        return replace(self, intercept=intercept + slope * self.intercept, slope=slope * self.slope)

    def form(self, features: tuple[str, ...], highs: Sequence[float | None]) -> IncidenceModel:
        event, competing = (cause.form(features, highs) for cause in (self.event, self.competing))
        return IncidenceModel(event, competing, self.hazards, self.link, self.intercept, self.slope)

    def oracle_of(self, form: FittedModel) -> Oracle:
        return lambda X: (self.link.probability(self.margin(X)), form.contributions(X))


def fit_causes(estimator: CauseSpecificCox, people: FittingRows, horizon_years: float) -> TwoCauses:
    """Fit both hazards over the follow-up to the horizon.

    Raises:
        TrainingRefused: Nobody had one of the events, or a regression does not settle.
    """
    hinges, scaler, Z = basis_of(estimator.knots, people)
    observed = people.observed
    is_other = np.isfinite(observed.competing)
    years = np.minimum(observed.years, observed.competing)
    if not observed.event.any() or not is_other.any():
        missing = "the event" if not observed.event.any() else "the competing event"
        raise TrainingRefused(f"nobody had {missing} within the horizon: there are no two hazards to fit")
    horizons = sorted({*(h for h in estimator.horizons_years if h < horizon_years), horizon_years})
    ends = _ends(years[observed.event | is_other], horizons)
    predictors, baselines = [], []
    for happened in (observed.event, is_other):
        with threadpool_limits(limits=1):
            cox = fit_cox(Z, years, happened, estimator.penalty)
        predictors.append(Linear(hinges, scaler, cox.coefficients, 0.0, LOGIT))  # a predictor has no link
        rises = np.diff([0.0, *(cox.until(end) for end in ends)])
        baselines.append(tuple(significant(float(rise), 8) for rise in rises))
    if not any(baselines[0][: ends.index(horizons[0]) + 1]):
        raise TrainingRefused(f"nobody had the event within {horizons[0]:g} years: leave out this horizon")
    hazards = CauseHazards(baselines[0], baselines[1], tuple(ends.index(horizon) + 1 for horizon in horizons))
    return TwoCauses(predictors[0], predictors[1], hazards, hazards.link(horizons))


def _ends(happened: Array, horizons: list[float]) -> list[float]:
    """Return the horizons, and between them quantiles of the times at which something happened."""
    inner = np.quantile(happened, np.linspace(0.0, 1.0, _INTERVALS + 1)[1:-1], method="lower").tolist()
    return sorted({*horizons, *(time for time in inner if time < horizons[-1])})
