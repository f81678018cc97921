"""Figures at each horizon of a survival model, out of fold: calibration, Brier score, and its mean over time.

The curves are of the thirds of the people by their estimated risk: as estimated, and as observed with an interval.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from models_onnx.artifact.manifest import DAYS_PER_YEAR
from models_onnx.spec import ModelSpec
from models_onnx.workbench import metrics
from models_onnx.workbench.compiler.link import Survival
from models_onnx.workbench.metrics import PatientRows, estimate, logit
from models_onnx.workbench.training.crossvalidate import OutOfFold
from models_onnx.workbench.training.data.cohort import Cohort
from models_onnx.workbench.training.data.follow_up import observe
from models_onnx.workbench.training.evaluate import rounded
from models_onnx.workbench.training.fitting.competing import TwoCauses

THIRDS = ("lowest third of the estimates", "middle third", "highest third")


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
        if isinstance(model, TwoCauses):
            risk[rows] = model.risk(cohort.X[rows])
        else:
            risk[rows] = model.link.risk(predicted.margin[rows])
    blocks, scores = [], []
    third = np.searchsorted(np.quantile(risk[:, -1], (1 / 3, 2 / 3)), risk[:, -1])
    curves: list[dict[str, Any]] = [{"group": group, "rows": []} for group in THIRDS]
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
        for number, curve in enumerate(curves):
            rows = is_followed & (third == number)
            shares = PatientRows(cohort.patient, observed.weight).of(rows)
            share = estimate(
                {"observed": metrics.event_share}, risk[rows, column], observed.y[rows], replicates, seed, shares
            )
            estimated = round(float(np.average(risk[rows, column], weights=shares.weight)), 4)
            curve["rows"].append({"years": years, "estimated": estimated, "observed": rounded(share["observed"])})
    integrated = float(np.trapezoid(scores, horizons) / (horizons[-1] - horizons[0]))
    return {"integrated_brier": round(integrated, 4), "rows": blocks, "curves": curves}
