"""Fits the hazards of an event and of a competing one, each with the other taken for a loss, and joins them to a risk.

Each hazard alone is estimated as if the other cause took people away by chance, which is right for a hazard and wrong
for a risk; the cumulative incidence is made of both (Prentice, Biometrics 1978;34:541).
"""

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn, has no types

from models_onnx.errors import TrainingRefused
from models_onnx.spec import CauseSpecificCox
from models_onnx.workbench.compiler.families.incidence import CauseHazards, IncidenceModel
from models_onnx.workbench.training.data.follow_up import FittingRows
from models_onnx.workbench.training.fitting.additive import Array, Basis, fit_cox, significant
from models_onnx.workbench.training.fitting.fit import Fit

# Within one the hazards are constant: so many follow the curves of mgus2 and of the waiting list to 0.001.
_INTERVALS = 24


def fit_causes(estimator: CauseSpecificCox, people: FittingRows, horizon_years: float) -> Fit:
    """Fit both hazards over the follow-up to the horizon.

    Raises:
        TrainingRefused: Nobody had one of the events, or a regression does not settle.
    """
    basis = Basis.of(estimator.knots, people)
    Z = basis.scaled(people.X)
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
        predictors.append(basis.lines(cox.coefficients, 0.0))  # a predictor has no link
        rises = np.diff([0.0, *(cox.until(end) for end in ends)])
        baselines.append(tuple(significant(float(rise), 8) for rise in rises))
    if not any(baselines[0][: ends.index(horizons[0]) + 1]):
        raise TrainingRefused(f"nobody had the event within {horizons[0]:g} years: leave out this horizon")
    hazards = CauseHazards(baselines[0], baselines[1], tuple(ends.index(horizon) + 1 for horizon in horizons))
    model = IncidenceModel(predictors[0], predictors[1], hazards, hazards.link(horizons))
    return Fit(model, lambda X: (model.margin(X), model.contributions(X)))


def _ends(happened: Array, horizons: list[float]) -> list[float]:
    """Return the horizons, and between them quantiles of the times at which something happened."""
    inner = np.quantile(happened, np.linspace(0.0, 1.0, _INTERVALS + 1)[1:-1], method="lower").tolist()
    return sorted({*horizons, *(time for time in inner if time < horizons[-1])})
