"""What a missing input counts as in a model: the average, a value that is put in its place, or what was learned.

Whoever declares a model says which (`ModelSpec.missing_inputs`); gate G6 holds the file to it.
"""

from typing import Any

import numpy as np

from models_onnx.artifact.manifest import MissingInputs
from models_onnx.errors import TrainingRefused
from models_onnx.spec import ModelSpec
from models_onnx.workbench.compiler.families.grouped import GroupedModel
from models_onnx.workbench.compiler.readers.calibrations import unwrap
from models_onnx.workbench.compiler.readers.source import columns_of, split
from models_onnx.workbench.training.fitting.fit import Fit


def missing_inputs_of(spec: ModelSpec, fitted: Fit) -> MissingInputs | None:
    """Return what the manifest says of missing inputs; None where they count as the average.

    Raises:
        TrainingRefused: "imputed" is declared, and no imputer says by which values.
    """
    grouped = fitted.model
    if isinstance(grouped, GroupedModel) and grouped.fills:
        return MissingInputs(
            kind="imputed", values=dict(zip(grouped.features, grouped.background.tolist(), strict=True))
        )
    if isinstance(grouped, GroupedModel) and spec.missing_inputs is None:
        raise TrainingRefused(
            f"{spec.id}: the file takes missing values itself, so declare what they count as: missing_inputs='learned'"
            ", or 'imputed' where a SimpleImputer is in it"
        )
    if spec.missing_inputs == "learned":
        return MissingInputs(kind="learned")
    if spec.missing_inputs != "imputed":
        return None
    values = imputed_values(fitted.estimator, fitted.model.features) if fitted.estimator is not None else {}
    if absent := sorted(set(spec.feature_names) - set(spec.always_required) - set(values)):
        raise TrainingRefused(
            f"{spec.id}: missing_inputs='imputed' is declared, and no SimpleImputer before the model says by which "
            f"value {', '.join(absent)} is replaced; declare missing_inputs='learned', or impute it in the pipeline"
        )
    return MissingInputs(kind="imputed", values=values)


def imputed_values(model: Any, features: tuple[str, ...]) -> dict[str, float]:
    """Return the value by which the steps before a fitted model replace each input; none where absence is a column.

    An imputer that also makes indicator columns tells the model of the absence: what it means was learned.
    """
    preparation, _ = split(unwrap(model)[0])
    values: dict[str, float] = {}
    for column in columns_of(preparation, features):
        slope, intercept = column.curve.line if column.curve.straight else (1.0, 0.0)
        if not slope and column.curve.missing != intercept:
            return {}
        if slope and not np.isnan(column.curve.missing):
            values[features[column.input]] = float(f"{(column.curve.missing - intercept) / slope:.12g}")
    return values
