"""Out-of-fold predictions, and the reference cohort that is made of them.

Every person is predicted by a model, and a recalibration, that never saw them. The reference cohort is the quantiles
of the finished model's margins, and what happened, out of fold, in each bin.

A model that was fitted elsewhere is read by the compiler (docs/models/compiler.md), and never fitted.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fhir.terminology.plain_file import read_plain
from models_onnx.errors import TrainingRefused
from models_onnx.spec import AdditiveLogistic, Estimator, Fitted, ModelSpec
from models_onnx.workbench.compiler.entry import read_model
from models_onnx.workbench.compiler.families.trees import Ensemble, as_received
from models_onnx.workbench.compiler.link import Link
from models_onnx.workbench.compiler.readers.network import OnnxSource
from models_onnx.workbench.compiler.readers.trees import read_file, refuse_other_names
from models_onnx.workbench.metrics import logit, recalibration
from models_onnx.workbench.training.data.cohort import Cohort
from models_onnx.workbench.training.data.follow_up import FittingRows
from models_onnx.workbench.training.fitting.additive import Array, fit_logistic
from models_onnx.workbench.training.fitting.fit import Fit

# Each fold is predicted by models fitted, and recalibrated out of fold, on the others: two of them at least.
LEAST_FOLDS = 3

# What is being done, how much of it is done, of how much.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Out-of-fold margins, and the model of each fold for stress tests on its people.

    `margin` is on the scale of the model's link, `logit` always that of the log odds, which the figures are about.
    """

    margin: Array
    logit: Array
    models: dict[int, Fit]

    def logit_of(self, X: Array, fold: NDArray[np.int64]) -> Array:
        """Log odds of changed inputs (a panel taken away, say), each person by the model that never saw them."""
        odds = np.empty(len(X))
        for number, model in self.models.items():
            odds[fold == number] = log_odds(model.link, model.margin(X[fold == number]))
        return odds


def log_odds(link: Link, margin: Array) -> Array:
    """Margins of any link as log odds."""
    return margin if link.name == "logit" else logit(link.probability(margin))


@dataclass(slots=True)
class Folds:
    """The fits of one procedure without this or that fold; a fit that two folds need is made once."""

    spec: ModelSpec
    cohort: Cohort
    features: tuple[str, ...]
    X: Array = field(init=False)
    _fits: dict[frozenset[int], Fit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.numbers) < LEAST_FOLDS:
            column = self.spec.fold_column
            if column not in self.cohort.rows.columns:
                column, patients = self.spec.patient_column, len(np.unique(self.cohort.patient))
                raise TrainingRefused(f"{self.spec.table} names {patients} patients in its column {column}: no folds")
            raise TrainingRefused(
                f"{self.spec.table} needs {LEAST_FOLDS} folds of patients or more in its column {column}, or no such "
                "column: then they are made"
            )
        self.X = self.cohort.X[:, [self.cohort.features.index(name) for name in self.features]]

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(int(number) for number in np.unique(self.cohort.fold))

    def recalibrated_without(self, *left_out: int) -> Fit:
        """Fit on the other folds; intercept and slope from their latest period, each predicted without itself.

        Without a latest period the fit is left as it is: its own people are the reference.
        """
        fitted = self._fit_without(*left_out)
        if self.spec.recalibration is None:
            return fitted
        inner = np.full(len(self.cohort), np.nan)
        for number in self.numbers:
            if number not in left_out:
                apart = self.cohort.fold == number
                inner[apart] = self._fit_without(*left_out, number).margin(self.X[apart])
        latest = self._rows_without(left_out) & self.cohort.recent & (self.cohort.weight > 0)
        y, weight = self.cohort.y[latest], self.cohort.weight[latest]
        return fitted.recalibrated(*recalibration(inner[latest], y, weight))

    def out_of_fold(self, progress: Progress, title: str) -> OutOfFold:
        """Cross-validation by patient with the whole procedure inside, knots and recalibration and all."""
        models, margin, odds = {}, np.empty(len(self.cohort)), np.empty(len(self.cohort))
        for done, number in enumerate(self.numbers):
            progress(title, done, len(self.numbers))
            models[number] = self.recalibrated_without(number)
            apart = self.cohort.fold == number
            margin[apart] = models[number].margin(self.X[apart])
            odds[apart] = log_odds(models[number].link, margin[apart])
        progress(title, len(self.numbers), len(self.numbers))
        return OutOfFold(margin, odds, models)

    def _rows_without(self, left_out: tuple[int, ...]) -> NDArray[np.bool_]:
        return ~np.isin(self.cohort.fold, left_out)

    def _fit_without(self, *left_out: int) -> Fit:
        # what was fitted elsewhere saw nobody of the table, whichever fold is left out: it is read once
        is_given = isinstance(self.spec.estimator, Fitted) and self.features == self.spec.estimator.inputs
        left_out = () if is_given else left_out
        key = frozenset(left_out)
        if key not in self._fits:
            rows = np.flatnonzero(self._rows_without(left_out))
            inputs = tuple(item for name in self.features for item in self.spec.inputs if item.name == name)
            people = FittingRows(inputs, self.X[rows], self.cohort.observed.part(rows), self.cohort.recent[rows])
            self._fits[key] = fit(self.spec.estimator, people)
        return self._fits[key]


def fit(estimator: Estimator, people: FittingRows) -> Fit:
    """Fits the model of this family on these people."""
    if isinstance(estimator, AdditiveLogistic):
        return fit_logistic(estimator, people)
    return load_own(estimator, people)


# What the few inputs beside the model are fitted with, where the model itself cannot be fitted on them.
SIMPLE = AdditiveLogistic(knots=3, C=0.3)


def load_own(declared: Fitted, people: FittingRows) -> Fit:
    """Return the model as it was fitted elsewhere, read against the reference rows of these people.

    Raises:
        TrainingRefused, CompileRefused: it cannot be loaded, has other inputs, or is not compiled.
    """
    names = tuple(item.name for item in people.inputs)
    if names != declared.inputs:
        return fit_logistic(SIMPLE, people)  # the few inputs beside the model
    model = load(declared)
    read = read_model(model, as_received(people.X[people.reference]), names, declared.groups)

    def library(X: Array) -> tuple[Array, Array]:
        values = as_received(X)
        return np.asarray(read.margin(values)), np.asarray(read.contributions(values))

    return Fit(read, library, model)


def load(declared: Fitted) -> Path | Ensemble | OnnxSource:
    """Return the fitted model of a declaration: a path that the compiler reads, or what was read from it.

    Raises:
        TrainingRefused: an ONNX file cannot be read.
    """
    path = declared.folder / declared.source
    if path.suffix.lower() == ".onnx":
        return _onnx(path, declared)
    if declared.texts:
        raise TrainingRefused(
            f"{declared.source}: texts are for an ONNX file; write the model as one, or fit it on numbers"
        )
    if not (declared.factors or declared.columns):
        return path
    ensemble = read_file(path)
    if declared.columns:
        refuse_other_names(ensemble.features, declared.columns)
    ensemble = replace(ensemble, features=declared.inputs)
    return ensemble.in_units([declared.factors.get(name, 1.0) for name in declared.inputs])


def _onnx(path: Path, declared: Fitted) -> OnnxSource:
    try:
        content = read_plain(path)
    except OSError as problem:
        raise TrainingRefused(f"the fitted model {declared.source} cannot be read: {problem}") from problem
    factors = tuple(declared.factors.get(name, 1.0) for name in declared.inputs)
    return OnnxSource(path.name, content, declared.columns, declared.answer, declared.texts, factors)
