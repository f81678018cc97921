"""Out-of-fold predictions: every person is predicted by a model, and a recalibration, that never saw them."""

from collections.abc import Callable
from dataclasses import dataclass, field

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

# What is being done, how much of it is done, of how much.
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


@dataclass(slots=True)
class Folds:
    """The fits of one procedure without this or that fold; a fit that two folds need is made once."""

    spec: ModelSpec
    cohort: Cohort
    features: tuple[str, ...]
    X: Array = field(init=False)
    _fits: dict[frozenset[int], Fitted] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if NO_FOLD in self.numbers or len(self.numbers) < LEAST_FOLDS:
            raise TrainingRefused(
                f"{self.spec.table} needs {LEAST_FOLDS} folds of patients or more in its column {self.spec.fold_column}"
            )
        self.X = self.cohort.X[:, [self.cohort.features.index(name) for name in self.features]]

    @property
    def numbers(self) -> tuple[int, ...]:
        """The folds, by number."""
        return tuple(int(number) for number in np.unique(self.cohort.fold))

    def recalibrated_without(self, *left_out: int) -> Fitted:
        """Fitted on the other folds; intercept and slope from their latest period, each predicted without itself."""
        inner = np.full(len(self.cohort), np.nan)
        for number in self.numbers:
            if number not in left_out:
                apart = self.cohort.fold == number
                inner[apart] = self._fit_without(*left_out, number).margin(self.X[apart])
        latest = self._rows_without(left_out) & self.cohort.recent
        intercept, slope = logistic_recalibration(inner[latest], self.cohort.y[latest])
        return recalibrated(self._fit_without(*left_out), intercept, slope)

    def out_of_fold(self, progress: Progress, what: str) -> OutOfFold:
        """Cross-validation by patient with the whole procedure inside, knots and recalibration and all."""
        models, margin = {}, np.empty(len(self.cohort))
        for done, number in enumerate(self.numbers):
            progress(what, done, len(self.numbers))
            models[number] = self.recalibrated_without(number)
            apart = self.cohort.fold == number
            margin[apart] = models[number].margin(self.X[apart])
        progress(what, len(self.numbers), len(self.numbers))
        return OutOfFold(margin, models)

    def _rows_without(self, left_out: tuple[int, ...]) -> NDArray[np.bool_]:
        return ~np.isin(self.cohort.fold, left_out)

    def _fit_without(self, *left_out: int) -> Fitted:
        key = frozenset(left_out)
        if key not in self._fits:
            rows = self._rows_without(left_out)
            cohort = self.cohort
            self._fits[key] = fit(self.spec.estimator, self.X[rows], cohort.y[rows], cohort.recent[rows])
        return self._fits[key]
