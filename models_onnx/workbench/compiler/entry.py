"""Reads a fitted model into the family that explains it exactly, against rows of its reference cohort.

What is around a model is taken off first: a search is its best estimator, and a calibration at the end of a pipeline is
one of pipelines. A calibration that is a straight line on the scale on which the model adds up is folded into the
contributions and keeps them exact. What has no form of its own, such as a calibration that bends or an average of
several models, is written as an ONNX file where it was fitted, and explained by groups (`families/grouped.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.grouped import GroupedModel
from models_onnx.workbench.compiler.families.shapley_trees import LEAST_COHORT, ShapleyTrees
from models_onnx.workbench.compiler.link import IDENTITY, LOGIT, FittedModel
from models_onnx.workbench.compiler.readers.network import OnnxSource
from models_onnx.workbench.compiler.readers.source import read_by_input, refuse_unfitted

Array = NDArray[np.float64]


def read_model(
    model: Any, X: Array, names: tuple[str, ...], groups: Mapping[str, Sequence[str]] | None = None
) -> FittedModel:
    """Return a fitted model against rows [n, F] of its reference cohort, whose inputs have these names; NaN is missing.

    `model`: a fitted scikit-learn LogisticRegression (also behind imputers, scalers, one-hot codes),
    HistGradientBoosting-, GradientBoosting-, RandomForest- or ExtraTreesClassifier, interpret's
    ExplainableBoostingClassifier, a CoxModel, one of these in a CalibratedClassifierCV whose calibration is a line on
    the margin, a LightGBM or XGBoost object, or the path of a LightGBM text or XGBoost JSON file; and any ONNX file
    (an OnnxSource), which is explained by `groups` of its inputs, at most ten.

    Raises:
        CompileRefused: it cannot be explained exactly; the message says why and what to do.
    """
    if isinstance(model, OnnxSource):
        return GroupedModel.read(model, names, groups or {}, _checked(X))
    refuse_unfitted(model)
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


def steps_of(model: Any) -> list[Any]:
    """Return the steps of a model in one list, those of searches and of pipelines in pipelines too."""
    if hasattr(model, "best_estimator_"):
        return steps_of(model.best_estimator_)
    if type(model).__name__ == "FrozenEstimator":
        return steps_of(model.estimator)
    if type(model).__name__ != "Pipeline":
        return [model]
    return [*(step for _, step in model.steps[:-1]), *steps_of(model.steps[-1][1])]


def _joined(model: Any, steps: list[Any]) -> Any:
    """Return the steps as one pipeline, or as the model itself where these are its steps."""
    from sklearn.pipeline import Pipeline

    if len(steps) == 1:
        return steps[0]
    own_steps = [step for _, step in model.steps] if type(model).__name__ == "Pipeline" else []
    return model if own_steps == steps else Pipeline([(f"step{number}", step) for number, step in enumerate(steps)])


@dataclass(frozen=True, slots=True)
class CalibrationLine:
    """margin = intercept + slope * what the model says: its margin, or with `of_probability` its probability."""

    intercept: float
    slope: float
    of_probability: bool = False


def unwrap(model: Any) -> tuple[Any, CalibrationLine | None]:
    """Return the model in a fitted CalibratedClassifierCV and its line; another object as it is, without its wrapping.

    Raises:
        CompileRefused: the calibration is no line, or of several models.
    """
    steps = steps_of(model)
    if type(steps[-1]).__name__ != "CalibratedClassifierCV":
        return _joined(model, steps), None
    if len(steps[-1].calibrated_classifiers_) > 1:
        raise CompileRefused(
            "the mean of several calibrated models (ensemble=True) is no sum on one scale: calibrate with "
            "ensemble=False, or write it as an ONNX file, which is explained by groups of its inputs"
        )
    calibrated_classifier = steps[-1].calibrated_classifiers_[0]
    inner, before = unwrap(calibrated_classifier.estimator)
    if before is not None:
        raise CompileRefused(
            "a calibration of a calibrated model is not compiled: calibrate the model itself, once, on rows of its own"
        )
    whole = _joined(inner, [*steps[:-1], *steps_of(inner)])
    return whole, _line(calibrated_classifier.calibrators[0], inner)


def _line(calibrator: Any, inner: Any) -> CalibrationLine:
    # scikit-learn calibrates the decision function where there is one, else the probability
    if type(calibrator).__name__ != "_SigmoidCalibration":
        raise CompileRefused(
            f"the calibration {type(calibrator).__name__} is no line on the margin: use method='sigmoid', or write the "
            "model as an ONNX file, which is explained by groups of its inputs"
        )
    return CalibrationLine(-float(calibrator.b_), -float(calibrator.a_), not hasattr(inner, "decision_function"))


def calibrated(model: FittedModel, line: CalibrationLine | None) -> FittedModel:
    """Return the model with the line folded in; an average of probabilities becomes a margin of log odds by it."""
    if line is None:
        return model
    if line.of_probability != (model.link is IDENTITY):
        raise CompileRefused("the calibration is a line on another scale than that of the model's contributions")
    moved = model.recalibrated(line.intercept, line.slope)
    if isinstance(moved, ShapleyTrees) and line.of_probability:
        return replace(moved, ensemble=replace(moved.ensemble, link=LOGIT))
    return moved
