"""The report of an evaluation: curves of held-out rows, and what the pages show of it later."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.artifact.manifest import Manifest
from models_onnx.model_card.evaluation_file import LaterEvaluation
from models_onnx.model_card.plots import Bin
from models_onnx.workbench.metrics import jeffreys

Array = NDArray[np.float64]
FINE, COARSE = 100, 10


def row_bins(probability: Array, y: NDArray[np.int64], weight: Array, count: int) -> list[Bin]:
    """People by rising estimate in at most `count` groups of equal size; equal estimates stay together.

    Rows without weight, whose outcome is not known, are left out.
    """
    known = weight > 0
    estimate, event, own = probability[known], y[known].astype(np.float64), weight[known]
    limits = np.unique(np.quantile(estimate, np.arange(count) / count))
    place = np.searchsorted(limits, estimate, side="right") - 1
    found = []
    for number, low in enumerate(limits.tolist()):
        inside = place == number
        if not inside.any():
            continue
        people, total, events = int(inside.sum()), float(own[inside].sum()), float((own * event)[inside].sum())
        ends = jeffreys(events / total * people, people)
        found.append(Bin(low, total, events, float(np.average(estimate[inside], weights=own[inside])), *ends))
    return found


def later_evaluation(manifest: Manifest, rows: str, rows_sha256: str, how: str, groups: list[Any]) -> LaterEvaluation:
    """What the pages show of an evaluation of this model file."""
    return LaterEvaluation(
        id=manifest.id,
        version=manifest.version,
        sha256=manifest.file.sha256,
        rows=rows,
        rows_sha256=rows_sha256,
        how=how,
        groups=groups,
    )
