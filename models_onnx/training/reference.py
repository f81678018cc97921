"""The reference cohort: quantiles of the finished model's margins, and what happened, out of fold, in each bin."""

import numpy as np
from numpy.typing import NDArray

from models_onnx.compiler.reference import CalibrationBin, Reference
from models_onnx.evaluation.calibration import jeffreys
from models_onnx.training.hinges import Array

# Steps of half a percent: with 11,185 people 56 of them lie between two limits, so no limit is one person's value.
QUANTILES = 199
# Narrow where cards are shown: the top percent of the cohort is a bin of its own.
BIN_PERCENTILES = (0, 25, 50, 65, 75, 82, 87, 90, 93, 95, 97, 98, 99)


def build_reference(margin: Array, out_of_fold_margin: Array, y: NDArray[np.int64]) -> Reference:
    """All three are of the reference cohort; bins where the observed rate would fall are joined with the next."""
    quantiles = np.quantile(margin, np.arange(1, QUANTILES + 1) / (QUANTILES + 1)).round(6)
    limits = [-np.inf, *np.percentile(margin, BIN_PERCENTILES[1:]).round(6)]
    while True:
        bins = _bins(limits, out_of_fold_margin, y)
        falls = [i for i in range(1, len(bins)) if bins[i].rate < bins[i - 1].rate]
        if not falls:
            return Reference(tuple(float(q) for q in quantiles), tuple(bins))
        del limits[falls[0]]


def _bins(limits: list[float], margin: Array, y: NDArray[np.int64]) -> list[CalibrationBin]:
    place = np.searchsorted(limits, margin, side="right") - 1
    bins = []
    for number, limit in enumerate(limits):
        count, events = int((place == number).sum()), int(y[place == number].sum())
        low, high = jeffreys(events, count)
        rate = events / count if count else 0.0
        bins.append(CalibrationBin(float(limit), count, events, round(rate, 6), round(low, 6), round(high, 6)))
    return bins
