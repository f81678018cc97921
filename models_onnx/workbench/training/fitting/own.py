"""Estimators of one's own: fitted on each fold as scikit-learn fits them, or loaded as they were fitted elsewhere.

Both are read by the compiler (docs/models/compiler.md), so that their margins and contributions are those of the file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn, has no types

from fhir.terminology.plain_file import read_plain
from models_onnx.errors import TrainingRefused
from models_onnx.spec import AdditiveLogistic, OwnEstimator
from models_onnx.spec import Fitted as FittedElsewhere
from models_onnx.workbench.compiler.entry import read_model, refuse_before_fitting
from models_onnx.workbench.compiler.families.trees import as_received
from models_onnx.workbench.compiler.parity import ask_library
from models_onnx.workbench.compiler.readers.network import OnnxSource
from models_onnx.workbench.compiler.readers.source import read_file, refuse_other_names
from models_onnx.workbench.metrics import logit
from models_onnx.workbench.training.data.follow_up import Array, FittingRows
from models_onnx.workbench.training.fitting.additive import fit_logistic
from models_onnx.workbench.training.fitting.fit import Fit

# What the few inputs beside the model are fitted with, where the model itself cannot be fitted on them.
SIMPLE = AdditiveLogistic(knots=3, C=0.3)


def read_fit(model: Any, people: FittingRows, groups: Mapping[str, Sequence[str]] | None = None) -> Fit:
    """Return a fitted object with the compiler's reading of it against the reference rows of these people.

    The library's probability counts wherever it takes a row.
    """
    names = tuple(item.name for item in people.inputs)
    read = read_model(model, as_received(people.X[people.reference]), names, groups)

    def library(X: Array) -> tuple[Array, Array]:
        probability = ask_library(model, read, X.astype(np.float32), names)
        return logit(probability) if read.link.name == "logit" else probability, read.contributions(X)

    return Fit(read, library, model)


def fit_own(declared: OwnEstimator, people: FittingRows) -> Fit:
    """Fit the estimator on everybody whose outcome counts, values rounded to float32 as the file receives them.

    Raises:
        TrainingRefused: it cannot be fitted on these rows; the message says why.
        CompileRefused: it is of a family that is not compiled.
    """
    refuse_before_fitting(declared.estimator)
    names = tuple(item.name for item in people.inputs)
    if set(_transformers(declared.estimator)) - set(names):
        return fit_logistic(SIMPLE, people)  # the few inputs beside the model
    is_followed = people.weight > 0
    table = pd.DataFrame(as_received(people.X[is_followed]), columns=list(names))
    model = clone(declared.estimator)
    weights = {} if (people.weight[is_followed] == 1.0).all() else _weights(model, people.weight[is_followed])
    try:
        with threadpool_limits(limits=1):
            model.fit(table, people.observed.y[is_followed], **weights)
    except (ValueError, TypeError, KeyError) as problem:
        sentence = str(problem).strip().splitlines()[0]
        raise TrainingRefused(f"{type(model).__name__} cannot be fitted on the table: {sentence}") from problem
    return read_fit(model, people)


def _transformers(estimator: Any) -> list[str]:
    """Return the columns that a ColumnTransformer in this pipeline names."""
    columns: list[str] = []
    for _, step in getattr(estimator, "steps", ()):
        for _, _, chosen in getattr(step, "transformers", ()):
            listed = [chosen] if isinstance(chosen, str) else chosen
            columns += [column for column in listed if isinstance(column, str)]
    return columns


def _weights(model: Any, weight: Array) -> dict[str, Array]:
    steps = getattr(model, "steps", None)
    return {f"{steps[-1][0]}__sample_weight" if steps else "sample_weight": weight}


def load_own(declared: FittedElsewhere, people: FittingRows) -> Fit:
    """Return the model as it was fitted elsewhere, read against the reference rows of these people.

    Raises:
        TrainingRefused, CompileRefused: it cannot be loaded, has other inputs, or is not compiled.
    """
    names = tuple(item.name for item in people.inputs)
    if names != declared.inputs:
        return fit_logistic(SIMPLE, people)  # the few inputs beside the model
    return read_fit(load(declared), people, declared.groups)


def load(declared: FittedElsewhere) -> Any:
    """Return the fitted model of a declaration: a path that the compiler reads, or what was read from it.

    Raises:
        TrainingRefused: an ONNX file cannot be read.
    """
    path = (declared.folder or Path()) / declared.source
    if path.suffix.lower() == ".onnx":
        return _onnx(path, declared)
    if declared.texts:
        raise TrainingRefused(
            f"{declared.source}: texts are for an ONNX file; write the model as one, or fit it on numbers"
        )
    if not (declared.factors or declared.columns):
        return path
    ensemble = read_file(path)
    if declared.columns:
        refuse_other_names(ensemble.features, declared.columns)
    ensemble = replace(ensemble, features=declared.inputs)
    return ensemble.in_units([declared.factors.get(name, 1.0) for name in declared.inputs])


def _onnx(path: Path, declared: FittedElsewhere) -> OnnxSource:
    try:
        content = read_plain(path)
    except OSError as problem:
        raise TrainingRefused(f"the fitted model {declared.source} cannot be read: {problem}") from problem
    factors = tuple(declared.factors.get(name, 1.0) for name in declared.inputs)
    return OnnxSource(path.name, content, declared.columns, declared.answer, declared.texts, factors)
