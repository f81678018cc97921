"""Reads a fitted model into the family that explains it exactly, against rows of its reference cohort."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.grouped import GroupedModel
from models_onnx.workbench.compiler.families.shapley_trees import LEAST_COHORT
from models_onnx.workbench.compiler.link import FittedModel
from models_onnx.workbench.compiler.readers.calibrations import calibrated, unwrap
from models_onnx.workbench.compiler.readers.conversion import converted
from models_onnx.workbench.compiler.readers.network import OnnxSource
from models_onnx.workbench.compiler.readers.rows import refuse_other_names, refuse_unfitted
from models_onnx.workbench.compiler.readers.source import open_source

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ReadModel:
    """The model in its family, and the reference cohort as numbers."""

    fitted: FittedModel
    features: tuple[str, ...]
    X: Array


def read_model(
    model: Any, X: Array, names: tuple[str, ...], groups: Mapping[str, Sequence[str]] | None = None
) -> ReadModel:
    """Return a fitted model against rows [n, F] of its reference cohort, whose inputs have these names; NaN is missing.

    `model`: a fitted scikit-learn LogisticRegression (also behind imputers, scalers, one-hot codes),
    HistGradientBoosting-, GradientBoosting-, RandomForest- or ExtraTreesClassifier, interpret's
    ExplainableBoostingClassifier, a CoxModel, one of these in a CalibratedClassifierCV whose calibration is a line on
    the margin, a LightGBM or XGBoost object, or the path of a LightGBM text or XGBoost JSON file. With `groups` of
    inputs, at most ten, also any ONNX file (an OnnxSource), deeper trees, and whatever object of scikit-learn skl2onnx
    converts.

    Raises:
        CompileRefused: it cannot be explained exactly; the message says why and what to do.
    """
    if isinstance(model, OnnxSource):
        return _grouped(model, X, names, groups or {})
    refuse_unfitted(model)
    try:
        return _by_input(model, X, names)
    except CompileRefused:
        source = converted(model, names) if groups else None
        if source is None:
            raise
        return _grouped(source, X, names, groups or {})


def _grouped(source: OnnxSource, X: Array, names: tuple[str, ...], groups: Mapping[str, Sequence[str]]) -> ReadModel:
    return ReadModel(GroupedModel.read(source, names, groups, _checked(X)), names, X)


def _by_input(model: Any, X: Array, names: tuple[str, ...]) -> ReadModel:
    inner, line = unwrap(model)
    source = open_source(inner)
    refuse_other_names(source.features, names)
    input_count = getattr(inner, "n_features_in_", None)
    if input_count is not None and input_count != len(names):
        raise CompileRefused(f"the model takes {input_count} inputs, the reference rows have {len(names)} columns")
    return ReadModel(calibrated(source.explained(_checked(X), names), line), names, X)


def _checked(X: Array) -> Array:
    if len(X) < LEAST_COHORT:
        raise CompileRefused(f"a reference cohort has {LEAST_COHORT} rows or more, {len(X)} were given")
    if np.isinf(X).any():
        raise CompileRefused("the reference cohort holds infinite values; a missing value is NaN")
    return X
