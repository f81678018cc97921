"""The proof: a compiled file against the library that fitted the model, on ordinary, missing and boundary values."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models_onnx.compiler.link import LOGIT, Link
from models_onnx.errors import AdditivityRefused, CompileRefused, ParityRefused

TOLERANCE = 1e-5
LEAST_ROWS = 1000

_EXTREME = (np.nan, 0.0, -1.0, np.inf, -np.inf, np.finfo(np.float32).max, np.finfo(np.float32).tiny)

# Probability [N] and contributions [N, F] of the fitted model, computed without the compiled file.
Oracle = Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Largest differences seen, over so many rows."""

    rows: int
    rows_with_missing: int
    probability: float
    contribution: float
    additivity: float


def verify(content: bytes, base: float, oracle: Oracle, rows: NDArray[np.float32], link: Link = LOGIT) -> Agreement:
    """Largest differences; refuses above 1e-5, with fewer than 1,000 rows, or without a row that misses something."""
    with_missing = int(np.isnan(rows).any(axis=1).sum())
    if len(rows) < LEAST_ROWS or not with_missing:
        raise CompileRefused(f"parity needs {LEAST_ROWS} rows, some with missing values; {len(rows)} were given")
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = ["probability", "margin", "contributions"]
    probability, margin, contributions = (np.asarray(o) for o in session.run(names, {"features": rows}))
    expected, expected_contributions = oracle(rows.astype(np.float64))

    parity = _largest(probability - expected)
    explained = _largest(contributions - expected_contributions)
    additive = _largest((margin - base - contributions.sum(axis=1)) / np.maximum(1.0, np.abs(margin)))
    linked = _largest(probability - link.probability(margin))
    if not parity <= TOLERANCE:
        raise ParityRefused(f"probabilities differ from the fitted model by up to {parity:.2e} (limit {TOLERANCE:g})")
    if not additive <= TOLERANCE:
        raise AdditivityRefused(f"base + contributions miss the margin by up to {additive:.2e} (limit {TOLERANCE:g})")
    if not linked <= TOLERANCE:
        raise AdditivityRefused(f"the probability does not follow from the margin by {link.name}: {linked:.2e} off")
    if not explained <= TOLERANCE:
        raise ParityRefused(
            f"contributions differ from the fitted model by up to {explained:.2e} (limit {TOLERANCE:g})"
        )
    return Agreement(len(rows), with_missing, parity, explained, additive)


def _largest(difference: NDArray[np.float64]) -> float:
    # A NaN anywhere must refuse: NaN <= limit is false, and max() would hide it.
    return float("nan") if np.isnan(difference).any() else float(np.abs(difference).max())


def boundary_rows(typical: NDArray[np.float64], edges: Sequence[Sequence[float]]) -> NDArray[np.float32]:
    """Rows at, one float32 below and one above each edge of each input, the others typical; and each input missing."""
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
