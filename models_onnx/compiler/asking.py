"""The rows of a proof, and what the library that fitted the model says of them: every row that it takes is asked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn, has no types

from models_onnx.compiler.fitted import FittedModel
from models_onnx.compiler.parity import TOLERANCE, boundary_rows
from models_onnx.compiler.rows import known_codes, library, medians
from models_onnx.compiler.sklearn_columns import Inputs
from models_onnx.compiler.trees import as_float32
from models_onnx.errors import ParityRefused

Array = NDArray[np.float64]
PROOF_ROWS = 1200
# scikit-learn refuses as infinite what has no float32; beyond this, sums of squares have none either
HUGE = 1e37


def proof_rows(X: Array, model: FittedModel) -> NDArray[np.float32]:
    """People of the cohort, the same with values taken away, and rows on and beside every edge of the model."""
    generator = np.random.default_rng(0)
    with np.errstate(over="ignore"):
        people = X[generator.integers(0, len(X), PROOF_ROWS // 2)].astype(np.float32)
    holes = np.where(generator.random(people.shape) < 0.3, np.float32(np.nan), people)
    return np.vstack([people, holes, boundary_rows(np.array(medians(X)), model.edges)])


@dataclass(frozen=True, slots=True)
class Asked:
    """The probability of every row of the proof, for how many of them the library itself gave it, and how many rows
    of the reference cohort it answers otherwise when their values are rounded to float32.
    """

    probability: Array
    count: int
    moved: int


def ask(model: Any, fitted: FittedModel, rows: NDArray[np.float32], cohort: Array, inputs: Inputs) -> Asked:
    """The library's probabilities where it takes the row (missing, infinite), the margins walked in numpy elsewhere.

    ParityRefused where the two disagree: then the model was read wrongly.
    """
    X = rows.astype(np.float64)
    told = fitted.link.probability(fitted.margin(X))
    if not hasattr(model, "predict_proba"):
        return Asked(told, 0, 0)
    probability = library(model, inputs)
    # One thread: for a row at a time, threads that wait for each other cost more than they do.
    with threadpool_limits(limits=1):
        fits = known_codes(X, inputs) & ~_not_taken(probability, X, inputs)
        there = probability(X[fits])
        moved = _moved(probability, cohort)
    difference = float(np.abs(there - told[fits]).max()) if fits.any() else 0.0
    if not difference <= TOLERANCE:
        raise ParityRefused(f"read wrongly: the library's probability differs by up to {difference:.2e}")
    told[fits] = there
    return Asked(told, int(fits.sum()), moved)


def _moved(probability: Callable[[Array], Array], cohort: Array) -> int:
    """How many rows lie so near to a threshold that float32 puts them on its other side."""
    try:
        return int((np.abs(probability(cohort) - probability(as_float32(cohort).astype(np.float64))) > TOLERANCE).sum())
    except ValueError:  # gaps that the library does not take
        whole = cohort[~np.isnan(cohort).any(axis=1)]
        return _moved(probability, whole) if 0 < len(whole) < len(cohort) else 0


def _not_taken(probability: Callable[[Array], Array], X: Array, inputs: Inputs) -> NDArray[np.bool_]:
    """Rows with a missing or an infinite value in a column where the library takes none, found by asking it."""
    typical = np.array([0.0 if n in inputs.text else m for n, m in zip(inputs.names, medians(X), strict=True)])
    found = np.zeros(len(X), dtype=bool)
    for j in range(len(typical)):
        for value, rows in ((np.nan, np.isnan(X[:, j])), (np.inf, np.abs(X[:, j]) > HUGE)):
            asked = typical.copy()
            asked[j] = value
            try:
                probability(asked[None])
            except (ValueError, TypeError, OverflowError):
                found |= rows
    return found
