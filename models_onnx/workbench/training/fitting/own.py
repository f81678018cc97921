"""Models that were fitted elsewhere: read by the compiler (docs/models/compiler.md), and never fitted."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from fhir.terminology.plain_file import read_plain
from models_onnx.errors import TrainingRefused
from models_onnx.spec import AdditiveLogistic, Fitted
from models_onnx.workbench.compiler.entry import read_model
from models_onnx.workbench.compiler.families.trees import Ensemble, as_received
from models_onnx.workbench.compiler.readers.network import OnnxSource
from models_onnx.workbench.compiler.readers.source import read_file, refuse_other_names
from models_onnx.workbench.training.data.follow_up import Array, FittingRows
from models_onnx.workbench.training.fitting.additive import fit_logistic
from models_onnx.workbench.training.fitting.fit import Fit

# What the few inputs beside the model are fitted with, where the model itself cannot be fitted on them.
SIMPLE = AdditiveLogistic(knots=3, C=0.3)


def load_own(declared: Fitted, people: FittingRows) -> Fit:
    """Return the model as it was fitted elsewhere, read against the reference rows of these people.

    Raises:
        TrainingRefused, CompileRefused: it cannot be loaded, has other inputs, or is not compiled.
    """
    names = tuple(item.name for item in people.inputs)
    if names != declared.inputs:
        return fit_logistic(SIMPLE, people)  # the few inputs beside the model
    model = load(declared)
    read = read_model(model, as_received(people.X[people.reference]), names, declared.groups)

    def library(X: Array) -> tuple[Array, Array]:
        values = as_received(X)
        return np.asarray(read.margin(values)), np.asarray(read.contributions(values))

    return Fit(read, library, model)


def load(declared: Fitted) -> Path | Ensemble | OnnxSource:
    """Return the fitted model of a declaration: a path that the compiler reads, or what was read from it.

    Raises:
        TrainingRefused: an ONNX file cannot be read.
    """
    path = declared.folder / declared.source
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


def _onnx(path: Path, declared: Fitted) -> OnnxSource:
    try:
        content = read_plain(path)
    except OSError as problem:
        raise TrainingRefused(f"the fitted model {declared.source} cannot be read: {problem}") from problem
    factors = tuple(declared.factors.get(name, 1.0) for name in declared.inputs)
    return OnnxSource(path.name, content, declared.columns, declared.answer, declared.texts, factors)
