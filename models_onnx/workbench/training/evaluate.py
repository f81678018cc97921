"""Evaluates a model's whole procedure on people it was not trained on: figures with intervals, and by subgroup."""

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models_onnx.monitoring.intervals import Interval
from models_onnx.spec import ModelSpec
from models_onnx.workbench import metrics
from models_onnx.workbench.metrics import Metric, PatientRows, estimate, gain, sigmoid
from models_onnx.workbench.training.crossvalidate import OutOfFold, Progress
from models_onnx.workbench.training.data.cohort import Cohort
from models_onnx.workbench.training.fitting.additive import Array

# responsible-ai 5.2, fairness: fewer events than this in a group is "insufficient", never "passed".
ENOUGH_EVENTS = 100

WHOLE: Mapping[str, Metric] = {
    "auroc": metrics.auroc,
    "auprc": metrics.auprc,
    "brier": metrics.brier,
    "calibration_intercept": metrics.calibration_intercept,
    "calibration_slope": metrics.calibration_slope,
    "observed_expected": metrics.observed_expected,
}

Figures = dict[str, Any]

NOT_FOLLOWED = "insufficient: fewer than a tenth of them were followed for the whole horizon"
UNKNOWN: Mapping[str, None] = {"value": None, "low": None, "high": None}


class Evaluator:
    """One cohort, its out-of-fold predictions and the threshold (log odds); each method gives one block.

    Rows whose outcome is not known count through the weights of the others.
    """

    def __init__(
        self, spec: ModelSpec, cohort: Cohort, predicted: OutOfFold, threshold: float, replicates: int, seed: int
    ) -> None:
        self.spec, self.cohort, self.predicted = spec, cohort, predicted
        self.replicates, self.seed, self.threshold = replicates, seed, threshold
        self.known = cohort.weight > 0
        self.rows = PatientRows(cohort.patient, cohort.weight)
        self.alerts: Mapping[str, Metric] = {
            "alert_rate": partial(metrics.alert_rate, threshold=threshold),
            "ppv": partial(metrics.ppv, threshold=threshold),
            "sensitivity": partial(metrics.sensitivity, threshold=threshold),
            "false_positive_rate": partial(metrics.false_positive_rate, threshold=threshold),
        }

    def block(self, rows: NDArray[np.bool_], wanted: Mapping[str, Metric]) -> Figures:
        """n, events and the wanted figures with intervals, of these rows as far as their outcome can be estimated."""
        is_followed = rows & self.known
        counted, events = rows & ~self.cohort.unfollowed, self.cohort.y[is_followed].sum()
        odds = self.predicted.logit[is_followed]
        figures = self._figures(wanted, odds, is_followed)
        if not events and self.replicates and "observed_expected" in figures:
            # every sample of people without events has none: the exact interval of a count (Garwood 1936) ends higher
            expected = float((sigmoid(odds) * self.cohort.weight[is_followed]).sum())
            figures["observed_expected"] = rounded(Interval(0.0, 0.0, -math.log(0.025) / expected))
        return {"n": int(counted.sum()), "events": int(events), **figures}

    def _figures(self, wanted: Mapping[str, Metric], odds: Array, rows: NDArray[np.bool_]) -> Figures:
        """Return the wanted figures with intervals of these log odds of the rows."""
        people = self.rows.of(rows)
        estimates = estimate(wanted, odds, self.cohort.y[rows], self.replicates, self.seed, people)
        return {name: rounded(figure) for name, figure in estimates.items()}

    def unfollowed(self, rows: NDArray[np.bool_], wanted: Iterable[str]) -> Figures:
        """Return the block of rows of whom too few were followed to the horizon: people, events seen, no figures."""
        seen = int(self.cohort.y[rows].sum())
        return {"n": int(rows.sum()), "events": seen, "insufficient": NOT_FOLLOWED, **dict.fromkeys(wanted, UNKNOWN)}

    def simple(self, simple: OutOfFold) -> Figures:
        """Return the AUROC of the same procedure with few inputs, and what the others gain, on the same samples."""
        y, rows, few = self.cohort.y[self.known], self.rows.of(self.known), simple.logit[self.known]
        alone = estimate({"auroc": metrics.auroc}, few, y, self.replicates, self.seed, rows)
        all_inputs = self.predicted.logit[self.known]
        more = gain(metrics.auroc, all_inputs, few, y, self.replicates, self.seed, rows)
        return {"inputs": list(self.spec.simple_inputs), "auroc": rounded(alone["auroc"]), "gain": rounded(more)}

    def subgroups(self, progress: Progress) -> list[Figures]:
        """Return one block per group of every axis; `sufficient` is false below 100 events."""
        blocks = []
        axes = list(self.spec.subgroups.items())
        wanted = {
            "auroc": metrics.auroc,
            "observed_expected": metrics.observed_expected,
            "calibration_slope": metrics.calibration_slope,
            **self.alerts,
        }
        for done, (axis, column_of) in enumerate(axes):
            progress("subgroups", done, len(axes))
            column = np.asarray(column_of(self.cohort.rows))
            for group in sorted({member for member in column if not pd.isna(member)}):
                rows = column == group
                labels = {"axis": axis, "group": str(group)}
                if not (rows & self.known).any():
                    blocks.append({**labels, "sufficient": False, **self.unfollowed(rows, wanted)})
                    continue
                figures = self.block(rows, {**wanted, **self._standardised(axis, rows & self.known)})
                blocks.append({**labels, "sufficient": figures["events"] >= ENOUGH_EVENTS, **figures})
                latest = rows & self.cohort.recent
                if (latest & self.known).any() and not latest[rows].all():
                    blocks[-1]["latest"] = self.block(latest, {"observed_expected": metrics.observed_expected})
        progress("subgroups", len(axes), len(axes))
        return blocks

    def _standardised(self, axis: str, is_followed: NDArray[np.bool_]) -> Mapping[str, Metric]:
        """Error rates of a group as they would be with the ages of everybody; none for the axis of age itself."""
        by = self.spec.standardise_by
        if by is None or axis == by:
            return {}
        band = pd.factorize(self.spec.subgroups[by](self.cohort.rows), sort=True)[0]
        y, weight = self.cohort.y, self.cohort.weight
        kinds = {"sensitivity_standardised": 1, "false_positive_rate_standardised": 0}
        return {
            name: metrics.standardised_alerts(
                self.threshold,
                kind,
                band[is_followed],
                np.bincount(band[self.known], weights=((y == kind) * weight)[self.known]),
            )
            for name, kind in kinds.items()
        }

    def panels(self) -> list[Figures]:
        """Return what happens to everyone's prediction when a panel of inputs is not there."""
        blocks = []
        is_followed = self.cohort.recent & self.known
        for words, names in self.spec.panels.items():
            X = self.cohort.X.copy()
            X[:, [self.cohort.features.index(name) for name in names]] = np.nan
            odds = self.predicted.logit_of(X, self.cohort.fold)[is_followed]
            wanted = {"auroc": metrics.auroc, "observed_expected": metrics.observed_expected}
            block = {"words": words, "missing": list(names), "scored": self._scored(X)}
            blocks.append({**block, **self._figures(wanted, odds, is_followed)})
        return blocks

    def _scored(self, X: Array) -> bool:
        is_there: NDArray[np.bool_] = ~np.all(np.isnan(X), axis=0)
        there = dict(zip(self.cohort.features, is_there.tolist(), strict=True))
        return all(there[name] for name in self.spec.always_required) and all(
            sum(there[m] for m in group.members) >= group.at_least for group in self.spec.required_groups
        )


def rounded(figure: Interval) -> dict[str, float | None]:
    """Return a figure as it is written: four decimals, None where it cannot be computed."""
    ends = {"value": figure.value, "low": figure.low, "high": figure.high}
    return {name: None if np.isnan(value) else round(value, 4) for name, value in ends.items()}
