"""Verifies a compiled file against the library that fitted the model, on ordinary, missing and boundary values.

What scikit-learn has fitted here is predicted by it; a file of others by the model as it was read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.serving.runtime import run_in_parts
from models_onnx.workbench.compiler.families.trees import as_float32, medians
from models_onnx.workbench.compiler.link import FittedModel

TOLERANCE = 1e-5
LEAST_ROWS = 1000

_EXTREME = (np.nan, 0.0, -1.0, np.inf, -np.inf, np.finfo(np.float32).max, np.finfo(np.float32).tiny)

# Probability [N] and contributions [N, F] of the fitted model, computed without the compiled file.
Oracle = Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]


@dataclass(frozen=True, slots=True)
class Agreement:
    """The largest differences found, and the number of rows."""

    rows: int
    rows_with_missing: int
    probability: float
    contribution: float
    additivity: float


def verify(content: bytes, model: FittedModel, oracle: Oracle, rows: NDArray[np.float32]) -> Agreement:
    """Return the largest differences found.

    Differences above 1e-5, another mark of a missing or out-of-range value, fewer than 1,000 rows, and rows without a
    missing value are refused.
    """
    with_missing = int(np.isnan(rows).any(axis=1).sum())
    if len(rows) < LEAST_ROWS or not with_missing:
        raise CompileRefused(f"parity needs {LEAST_ROWS} rows, some with missing values; {len(rows)} were given")
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = ["probability", "margin", "contributions", "missing", "out_of_range"]
    outputs = run_in_parts(session, names, rows, len(content))
    probability, margin, contributions, missing, beyond = (np.asarray(output) for output in outputs)
    expected, expected_contributions = oracle(rows.astype(np.float64))
    low, high = as_float32(np.array(model.low)), as_float32(np.array(model.high))
    if not np.array_equal(missing, np.isnan(rows)) or not np.array_equal(beyond, (rows < low) | (rows > high)):
        raise CompileRefused("the file marks other values as missing or out of range than those that are")

    parity = _largest(probability - expected)
    # relative beyond 1: a power of an absurd value is 1e18, of which no float64 knows the fifth decimal
    explained = _largest((contributions - expected_contributions) / np.maximum(1.0, np.abs(expected_contributions)))
    additive = _largest((margin - model.base - contributions.sum(axis=1)) / np.maximum(1.0, np.abs(margin)))
    linked = _largest(probability - model.link.probability(margin))
    if not parity <= TOLERANCE:
        raise CompileRefused(f"probabilities differ from the fitted model by up to {parity:.2e} (limit {TOLERANCE:g})")
    if not additive <= TOLERANCE:
        raise CompileRefused(f"base + contributions miss the margin by up to {additive:.2e} (limit {TOLERANCE:g})")
    if not linked <= TOLERANCE:
        raise CompileRefused(f"the probability does not follow from the margin by {model.link.name}: {linked:.2e} off")
    if not explained <= TOLERANCE:
        raise CompileRefused(
            f"contributions differ from the fitted model by up to {explained:.2e} (limit {TOLERANCE:g})"
        )
    return Agreement(len(rows), with_missing, parity, explained, additive)


def _largest(difference: NDArray[np.float64]) -> float:
    # A NaN anywhere must be refused: NaN <= limit is false, and max() would hide it.
    return float("nan") if np.isnan(difference).any() else float(np.abs(difference).max())


def boundary_rows(typical: NDArray[np.float64], edges: Sequence[Sequence[float]]) -> NDArray[np.float32]:
    """Rows at each edge of each input, one float32 below and one above it, and with each input missing."""
    rows = [np.full(len(typical), np.nan, dtype=np.float32)]
    for column, values in enumerate(edges):
        for value in values:
            x = np.float32(value)
            with np.errstate(over="ignore"):
                beside = (x, np.nextafter(x, np.float32(-np.inf)), np.nextafter(x, np.float32(np.inf)))
            rows.extend(_with(typical, column, near) for near in beside)
        rows.extend(_with(typical, column, np.float32(x)) for x in _EXTREME)
    return np.array(rows, dtype=np.float32)


def _with(typical: NDArray[np.float64], column: int, value: np.float32) -> NDArray[np.float32]:
    row = typical.astype(np.float32)
    row[column] = value
    return row


Array = NDArray[np.float64]
PROOF_ROWS = 2000


def proof_rows(X: Array, model: FittedModel, seed: int = 0) -> NDArray[np.float32]:
    """Return rows for the verification: people, the same with values removed, and rows at every edge of the model."""
    generator = np.random.default_rng(seed)
    with np.errstate(over="ignore"):
        people = X[generator.integers(0, len(X), PROOF_ROWS // 2)].astype(np.float32)
    holes = np.where(generator.random(people.shape) < 0.3, np.float32(np.nan), people)
    return np.vstack([people, holes, boundary_rows(np.array(medians(X)), model.edges)])
