"""Figures at each horizon of a survival model, out of fold: calibration, Brier score, and its mean over time."""

from dataclasses import replace
from typing import Any

import numpy as np

from models_onnx.artifact.manifest import DAYS_PER_YEAR
from models_onnx.spec import ModelSpec
from models_onnx.workbench import metrics
from models_onnx.workbench.compiler.families.incidence import IncidenceModel
from models_onnx.workbench.compiler.link import Survival
from models_onnx.workbench.metrics import PatientRows, estimate, logit
from models_onnx.workbench.training.crossvalidate import OutOfFold
from models_onnx.workbench.training.data.cohort import Cohort
from models_onnx.workbench.training.data.follow_up import observe
from models_onnx.workbench.training.evaluate import rounded


def at_horizons(
    spec: ModelSpec, cohort: Cohort, predicted: OutOfFold, replicates: int, seed: int
) -> dict[str, Any] | None:
    """Return the figures at each horizon, each by who was followed so far (IPCW); None where there is one horizon.

    The integrated Brier score is the mean over time between the first and the last horizon (trapezoids).
    """
    links = [model.link for model in predicted.models.values()]
    horizons = links[0].horizons if isinstance(links[0], Survival) else ()
    if spec.outcome.follow_up is None or len(horizons) < 2:
        return None
    risk = np.empty((len(cohort), len(horizons)))
    for number, model in predicted.models.items():
        rows = cohort.fold == number
        assert isinstance(model.link, Survival)  # noqa: S101 - all folds are of one family
        if isinstance(model.model, IncidenceModel):
            risk[rows] = model.link.probability(model.model.margins(cohort.X[rows]))
        else:
            risk[rows] = model.link.risk(predicted.margin[rows])
    blocks, scores = [], []
    for column, years in enumerate(horizons):
        outcome = replace(spec.outcome, horizon_days=years * DAYS_PER_YEAR)
        observed = observe(outcome, cohort.rows, cohort.recent)
        is_followed = observed.weight > 0
        wanted = {"observed_expected": metrics.observed_expected, "brier": metrics.brier, "auroc": metrics.auroc}
        people = PatientRows(cohort.patient, observed.weight).of(is_followed)
        odds, y = logit(risk[is_followed, column]), observed.y[is_followed]
        figures = estimate(wanted, odds, y, replicates, seed, people)
        events = int(y.sum())
        scores.append(figures["brier"].value)
        blocks.append({"years": years, "events": events, **{name: rounded(value) for name, value in figures.items()}})
    integrated = float(np.trapezoid(scores, horizons) / (horizons[-1] - horizons[0]))
    return {"integrated_brier": round(integrated, 4), "rows": blocks}
