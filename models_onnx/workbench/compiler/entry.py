"""Reads a fitted model into the family that explains it exactly, against rows of its reference cohort.

Trees are read from the files of LightGBM and XGBoost. Everything else is an ONNX file: it is explained input by input
where it is a sum of terms of single inputs, else by groups.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.serving.runtime import RUN_ERRORS
from models_onnx.workbench.compiler.families.grouped import AdditiveFile, GroupedModel
from models_onnx.workbench.compiler.families.shapley_trees import LEAST_COHORT, ShapleyTrees
from models_onnx.workbench.compiler.families.trees import Ensemble, limits, medians
from models_onnx.workbench.compiler.link import FittedModel
from models_onnx.workbench.compiler.readers.network import Network, OnnxSource
from models_onnx.workbench.compiler.readers.trees import read_file, refuse_other_names

Array = NDArray[np.float64]


def read_model(
    model: Path | Ensemble | OnnxSource, X: Array, names: tuple[str, ...], groups: Mapping[str, Sequence[str]]
) -> FittedModel:
    """Return a fitted model against rows [n, F] of its reference cohort, whose inputs have these names; NaN is missing.

    `model`: the path of a LightGBM text or XGBoost JSON file, trees read from one, or an ONNX file. With `groups` of
    inputs, at most ten, what is no sum of its inputs is explained by them.

    Raises:
        CompileRefused: it cannot be explained exactly; the message says why and what to do.
    """
    X = _checked(X)
    if isinstance(model, OnnxSource):
        return AdditiveFile.read(model, names, X) or GroupedModel.read(model, names, groups, X)
    trees = read_file(model) if isinstance(model, Path) else model
    refuse_other_names(trees.features, names)
    return ShapleyTrees.of(replace(trees, features=names), X)


def _checked(X: Array) -> Array:
    if len(X) < LEAST_COHORT:
        raise CompileRefused(f"a reference cohort has {LEAST_COHORT} rows or more, {len(X)} were given")
    if np.isinf(X).any():
        raise CompileRefused("the reference cohort holds infinite values; a missing value is NaN")
    return X


_POINTS, _PEOPLE = 64, 200
_REFUSALS: tuple[type[Exception], ...] = (ValueError, TypeError, *RUN_ERRORS)
_SAME = 1e-4
"""As a share of what an answer varies by: two answers that differ by less are the same."""


def imputed_values(model: Any, fitted: FittedModel, X: Array) -> dict[str, float]:
    """Return the value of each input with which a file answers as without it, as far as there is one.

    A file of trees answers alike on both sides of a value that no tree asks about, so what they take is compared.

    `model`: what `fitted` was read from; X [n, F] are rows of its cohort, some of which the file is asked about.
    """
    if not isinstance(model, OnnxSource):
        return {}
    answers: Callable[[Array], Array] = fitted.margin
    steps = [answers]
    if not isinstance(fitted, AdditiveFile):
        low, high = limits(X)
        network = Network.read(model, fitted.features, np.array(low), np.array(high))
        answers, steps = network.answers, network.steps(model) or [network.answers]
    people = np.where(np.isnan(X), np.array(medians(X)), X)[np.linspace(0, len(X) - 1, _PEOPLE).astype(int)]
    values = {}
    for j, name in enumerate(fitted.features):
        for step in steps:
            value = _counted_as(step, people, X[~np.isnan(X[:, j]), j], j)
            if not np.isnan(value) and _is_same(answers, people, j, value):
                values[name] = value
    return values


def _is_same(answers: Callable[[Array], Array], people: Array, j: int, value: float) -> bool:
    """Whether these people are answered alike with this value of input j and without it."""
    with_value = people.copy()
    with_value[:, j] = value
    without = people.copy()
    without[:, j] = np.nan
    try:
        apart = np.abs(answers(with_value) - answers(without))
    except _REFUSALS:
        return False
    return bool((apart <= _SAME * np.ptp(answers(people)) + np.finfo(np.float32).tiny).all())


def _counted_as(columns_of: Callable[[Array], Array], people: Array, recorded: Array, j: int) -> float:
    """Return the value of input j with which these people have the columns as without it; NaN where none is found."""

    def asked(values: Array) -> Array:
        rows = np.repeat(people[None], len(values), axis=0)
        rows[:, :, j] = values[:, None]
        try:
            return np.asarray(columns_of(rows.reshape(-1, people.shape[1])), dtype=np.float64).reshape(len(values), -1)
        except _REFUSALS:
            return np.full((len(values), len(people)), np.nan)

    if not len(recorded):
        return float("nan")
    quantiles = np.quantile(recorded, np.linspace(0.0, 1.0, _POINTS), method="nearest")
    grid = np.unique(quantiles.astype(np.float32)).astype(np.float64)
    columns, absent = asked(grid), asked(np.array([np.nan]))[0]
    if np.isnan(absent).any():
        return float("nan")
    if len(equal := grid[(columns == absent).all(axis=1)]):
        return float(equal[len(equal) // 2])
    for column, value in zip(columns.T, absent, strict=True):
        sign = np.sign(column[-1] - column[0])
        if len(grid) > 1 and (np.diff(sign * column) > 0).all() and column.min() <= value <= column.max():
            return float(f"{np.interp(sign * value, sign * column, grid):.6g}")
    return float("nan")
