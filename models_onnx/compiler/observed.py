"""The reference cohort of one's own rows: quantiles of the margins, what happened in ten bins, and what is familiar."""

import numpy as np
from numpy.typing import NDArray

from models_onnx.compiler.familiarity import Familiarity
from models_onnx.compiler.fitted import FittedModel
from models_onnx.compiler.reference import CalibrationBin, Reference
from models_onnx.errors import CompileRefused
from models_onnx.evaluation.calibration import jeffreys

Array = NDArray[np.float64]
# Steps of half a percent, as in the models of this project.
QUANTILES = 199
BINS = 10


def observed(model: FittedModel, X: Array, outcomes: NDArray[np.int64] | None) -> Reference:
    """From the rows [n, F] and, where there are any, their outcomes (0 or 1): nobody of them may have been trained on.

    Without outcomes the observed rates are NaN, of 0 people. A bin where the rate would fall joins the one below.
    """
    margin = model.margin(X)
    levels = np.arange(1, QUANTILES + 1) / (QUANTILES + 1)
    quantiles = np.quantile(margin, levels)
    nan = float("nan")
    bins: tuple[CalibrationBin, ...] = (CalibrationBin(0, 0, 0, nan, nan, nan, nan),)
    if outcomes is not None:
        bins = _bins(quantiles, margin, model.link.probability(margin), _checked(outcomes, len(margin)))
    return Reference(tuple(quantiles.tolist()), bins, Familiarity.of(X))


def _checked(outcomes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    if outcomes.shape != (count,) or not np.isin(outcomes, (0, 1)).all():
        raise CompileRefused(f"outcomes are one 0 or 1 for each of the {count} reference rows")
    return outcomes.astype(np.int64)


def _bins(quantiles: Array, margin: Array, p: Array, y: NDArray[np.int64]) -> tuple[CalibrationBin, ...]:
    place = np.searchsorted(quantiles, margin, side="right")
    starts = [round(number * (QUANTILES + 1) / BINS) for number in range(BINS)]
    while True:
        ends = [*starts[1:], QUANTILES + 1]
        inside = [(place >= start) & (place < end) for start, end in zip(starts, ends, strict=True)]
        empty = [number for number, rows in enumerate(inside) if not rows.any()]
        rates = [float(y[rows].mean()) if rows.any() else 0.0 for rows in inside]
        falls = [number for number in range(1, len(rates)) if rates[number] < rates[number - 1]]
        joined = sorted({*empty, *falls} - {0}) or ([1] if 0 in empty and len(starts) > 1 else [])
        if not joined:
            return tuple(_bin(start, y[rows], p[rows]) for start, rows in zip(starts, inside, strict=True))
        del starts[joined[0]]


def _bin(start: int, y: NDArray[np.int64], p: Array) -> CalibrationBin:
    low, high = jeffreys(int(y.sum()), len(y))
    return CalibrationBin(start, len(y), int(y.sum()), float(p.mean()), float(y.mean()), low, high)
