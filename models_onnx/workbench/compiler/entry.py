"""Reads a fitted model into the family that explains it exactly, against rows of its reference cohort."""

from collections.abc import Mapping, Sequence
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
from models_onnx.workbench.compiler.readers.rows import refuse_unfitted
from models_onnx.workbench.compiler.readers.source import read_by_input

Array = NDArray[np.float64]


def read_model(
    model: Any, X: Array, names: tuple[str, ...], groups: Mapping[str, Sequence[str]] | None = None
) -> FittedModel:
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
        return GroupedModel.read(model, names, groups or {}, _checked(X))
    refuse_unfitted(model)
    try:
        return _by_input(model, X, names)
    except CompileRefused:
        source = converted(model, names) if groups else None
        if source is None:
            raise
        return GroupedModel.read(source, names, groups or {}, _checked(X))


def _by_input(model: Any, X: Array, names: tuple[str, ...]) -> FittedModel:
    inner, line = unwrap(model)
    input_count = getattr(inner, "n_features_in_", None)
    if input_count is not None and input_count != len(names):
        raise CompileRefused(f"the model takes {input_count} inputs, the reference rows have {len(names)} columns")
    return calibrated(read_by_input(inner, _checked(X), names), line)


def _checked(X: Array) -> Array:
    if len(X) < LEAST_COHORT:
        raise CompileRefused(f"a reference cohort has {LEAST_COHORT} rows or more, {len(X)} were given")
    if np.isinf(X).any():
        raise CompileRefused("the reference cohort holds infinite values; a missing value is NaN")
    return X
