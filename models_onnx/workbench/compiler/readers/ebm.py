"""Reads interpret's ExplainableBoostingClassifier: its steps of one input as curves, its pairs as tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.additive_curves import AdditiveCurves, Curve, PairTable


def read_ebm(model: Any, X: NDArray[np.float64], features: Sequence[str]) -> AdditiveCurves:
    """Return a fitted ExplainableBoostingClassifier of two classes against a cohort [n, F], on the logit scale.

    Raises:
        CompileRefused: terms of three inputs, inputs that are not numbers, another link.
    """
    if getattr(model, "link_", "") != "logit":
        raise CompileRefused("only an ExplainableBoostingClassifier with the logit link is compiled")
    curves, pairs = [Curve.steps([], [0.0], 0.0) for _ in features], []
    for inputs, scores in zip(model.term_features_, model.term_scores_, strict=True):
        if len(inputs) > 2:
            raise CompileRefused(
                f"the term {' & '.join(features[j] for j in inputs)} has more than two inputs, which is not explained "
                "exactly: train with interactions=5, say, which makes pairs only"
            )
        axes = [_axis(model, features, j, len(inputs)) for j in inputs]
        values = np.asarray(scores, dtype=np.float64)
        for axis, (_, cells) in enumerate(axes):
            values = np.take(values, cells, axis=axis)
        if len(inputs) == 1:
            steps: list[float] = values.tolist()
            curves[inputs[0]] = curves[inputs[0]] + Curve.steps(axes[0][0], steps[:-1], steps[-1])
        else:
            first, second = (int(j) for j in inputs)
            pairs.append(PairTable((first, second), (axes[0][0], axes[1][0]), values))
    return AdditiveCurves.centred(features, curves, float(np.ravel(model.intercept_)[0]), X, pairs=pairs)


def _axis(model: Any, features: Sequence[str], j: int, dimensions: int) -> tuple[list[float], list[int]]:
    """Find where our cells begin, and interpret's bin of each: 0 missing, 1.. increasing, the last for unknown values.

    A value on a cut belongs to the bin above it.
    """
    resolutions = model.bins_[j]
    bins = resolutions[min(dimensions, len(resolutions)) - 1]
    if isinstance(bins, dict):
        raise CompileRefused(f"{features[j]} was fitted as categories: fit it as a number, feature_types='continuous'")
    cuts: list[float] = np.asarray(bins, dtype=np.float64).tolist()
    return cuts, [*range(1, len(cuts) + 2), 0]
