"""The reference cohort: quantiles of the finished model's margins, and what happened, out of fold, in each bin."""

import numpy as np
from numpy.typing import NDArray

from models_onnx.compiler import LOGIT, Link
from models_onnx.compiler.familiarity import Familiarity
from models_onnx.compiler.reference import CalibrationBin, Reference
from models_onnx.evaluation.calibration import jeffreys
from models_onnx.training.hinges import Array

# Steps of half a percent: with 13,391 people 66 of them lie between two limits, so no limit is one person's value.
QUANTILES = 199
# Narrow where cards are shown: the top percent of the cohort is a bin of its own.
BIN_PERCENTILES = (0, 25, 50, 65, 75, 82, 87, 90, 93, 95, 97, 98, 99)


def build_reference(
    margin: Array,
    out_of_fold_margin: Array,
    y: NDArray[np.int64],
    weight: Array | None = None,
    link: Link = LOGIT,
    familiarity: Familiarity | None = None,
) -> Reference:
    """All are of the reference cohort; a bin where the observed rate would fall is joined with the one below.

    `weight`: how many people each speaks for; who has none is compared with, and not counted in a bin.
    """
    quantiles = np.quantile(margin, np.arange(1, QUANTILES + 1) / (QUANTILES + 1)).round(6)
    starts = [round(percent * (QUANTILES + 1) / 100) for percent in BIN_PERCENTILES]
    weight = np.ones(len(y)) if weight is None else weight
    known = weight > 0
    place = np.searchsorted(quantiles, out_of_fold_margin[known], side="right")
    predicted = link.probability(out_of_fold_margin[known])
    while True:
        bins = _bins(starts, place, predicted, y[known], weight[known])
        falls = [number for number in range(1, len(bins)) if bins[number].rate < bins[number - 1].rate]
        if not falls:
            return Reference(tuple(quantiles.tolist()), tuple(bins), familiarity)
        del starts[falls[0]]


def _bins(
    starts: list[int], place: NDArray[np.int64], predicted: Array, y: NDArray[np.int64], weight: Array
) -> list[CalibrationBin]:
    bins = []
    for start, end in zip(starts, [*starts[1:], QUANTILES + 1], strict=True):
        inside = (place >= start) & (place < end)
        count, events = int(inside.sum()), int(y[inside].sum())
        spoken_for = float(weight[inside].sum())
        mean = float(np.average(predicted[inside], weights=weight[inside])) if count else 0.0
        rate = float((weight[inside] * y[inside]).sum()) / spoken_for if count else 0.0
        # The interval is that of as many people as were seen, not of those they speak for.
        low, high = jeffreys(rate * count, count) if count else (0.0, 1.0)
        bins.append(CalibrationBin(start, count, events, round(mean, 4), round(rate, 6), round(low, 6), round(high, 6)))
    return bins
