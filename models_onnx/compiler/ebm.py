"""interpret's Explainable Boosting Machine as a sum of step functions, pairs among them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.compiler.additive_trees import Term
from models_onnx.compiler.trees import below
from models_onnx.errors import CompileRefused

Array = NDArray[np.float64]


def terms_of(model: Any, features: Sequence[str]) -> tuple[tuple[Term, ...], float]:
    """The terms of a fitted ExplainableBoostingClassifier of two classes, and its intercept, on the logit scale.

    Refused by name: terms of three inputs, inputs that are not numbers, more than two classes.
    """
    if len(getattr(model, "classes_", ())) != 2 or getattr(model, "link_", "") != "logit":
        raise CompileRefused("only an ExplainableBoostingClassifier of two classes with the logit link is compiled")
    terms = []
    for inputs, scores in zip(model.term_features_, model.term_scores_, strict=True):
        if len(inputs) > 2:
            raise CompileRefused(f"the term {' & '.join(features[j] for j in inputs)} has more than two inputs")
        axes = [_axis(model, features, j, len(inputs)) for j in inputs]
        values = np.asarray(scores, dtype=np.float64)
        for axis, (_, cells) in enumerate(axes):
            values = np.take(values, cells, axis=axis)
        terms.append(Term(tuple(int(j) for j in inputs), tuple(edges for edges, _ in axes), values))
    return tuple(terms), float(np.asarray(model.intercept_).ravel()[0])


def _axis(model: Any, features: Sequence[str], j: int, dimensions: int) -> tuple[tuple[float, ...], list[int]]:
    """Edges of our cells, and which of interpret's bins each is: 0 missing, 1.. rising, the last for the unknown."""
    resolutions = model.bins_[j]
    bins = resolutions[min(dimensions, len(resolutions)) - 1]
    if isinstance(bins, dict):
        return _categories(features[j], bins)
    cuts = np.asarray(bins, dtype=np.float64)
    # interpret: a value on a cut belongs to the bin above it
    edges = [float(below(float(cut))) for cut in cuts]
    kept = [k for k, edge in enumerate(edges) if k == len(edges) - 1 or edge != edges[k + 1]]
    return tuple(edges[k] for k in kept), [k + 1 for k in kept] + [len(cuts) + 1, 0]


def _categories(feature: str, bins: dict[str, int]) -> tuple[tuple[float, ...], list[int]]:
    """Numbers treated as categories: each its own cell, all between them the bin of unknown values."""
    try:
        numbers = sorted((np.float32(name), place) for name, place in bins.items())
    except ValueError:
        raise CompileRefused(f"{feature} has categories that are no numbers: code them before training") from None
    unknown = max(bins.values()) + 1
    edges: list[float] = []
    cells: list[int] = []
    for value, place in numbers:
        edges += [float(np.nextafter(value, np.float32(-np.inf))), float(value)]
        cells += [unknown, place]
    kept = [k for k, edge in enumerate(edges) if k == 0 or edge != edges[k - 1]]
    return tuple(edges[k] for k in kept), [cells[k] for k in kept] + [unknown, 0]
