"""Out-of-fold predictions: every person is predicted by a model, and a recalibration, that never saw them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import TrainingRefused
from models_onnx.evaluation.calibration import logistic_recalibration
from models_onnx.spec import ModelSpec
from models_onnx.training.additive import Fitted, fit, recalibrated
from models_onnx.training.cohort import NO_FOLD, Cohort
from models_onnx.training.hinges import Array

# Each fold is predicted by models fitted, and recalibrated out of fold, on the others: two of them at least.
LEAST_FOLDS = 3

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Out-of-fold margins of the recalibrated models, and the model of each fold for stress tests on its people."""

    margin: Array
    models: dict[int, Fitted]

    def margin_of(self, X: Array, fold: NDArray[np.int64]) -> Array:
        """Margins of changed inputs (a panel taken away, say), each person by the model that never saw them."""
        margin = np.empty(len(X))
        for number, model in self.models.items():
            margin[fold == number] = model.margin(X[fold == number])
        return margin


def fit_recalibrated(spec: ModelSpec, cohort: Cohort, columns: list[int], rows: NDArray[np.bool_]) -> Fitted:
    """Fitted on `rows`; intercept and slope from their latest period, predicted by inner models without the person."""
    X, y, fold, recent = cohort.X[:, columns], cohort.y, cohort.fold, cohort.recent
    inner = np.full(len(y), np.nan)
    for number in np.unique(fold[rows]):
        apart = rows & (fold == number)
        inner[apart] = fit(spec.estimator, X[rows & ~apart], y[rows & ~apart], recent[rows & ~apart]).margin(X[apart])
    latest = rows & recent
    intercept, slope = logistic_recalibration(inner[latest], y[latest])
    return recalibrated(fit(spec.estimator, X[rows], y[rows], recent[rows]), intercept, slope)


def out_of_fold(spec: ModelSpec, cohort: Cohort, features: tuple[str, ...], progress: Progress, what: str) -> OutOfFold:
    """Cross-validation by the table's fold column (by patient), the whole procedure inside, knots and all."""
    columns = [cohort.features.index(name) for name in features]
    numbers = [int(number) for number in np.unique(cohort.fold)]
    if NO_FOLD in numbers or len(numbers) < LEAST_FOLDS:
        raise TrainingRefused(
            f"{spec.table} needs a column {spec.fold_column} with {LEAST_FOLDS} folds of patients or more"
        )
    models, margin = {}, np.empty(len(cohort))
    for done, number in enumerate(numbers):
        progress(what, done, len(numbers))
        apart = cohort.fold == number
        models[number] = fit_recalibrated(spec, cohort, columns, ~apart)
        margin[apart] = models[number].margin(cohort.X[apart][:, columns])
    progress(what, len(numbers), len(numbers))
    return OutOfFold(margin, models)
