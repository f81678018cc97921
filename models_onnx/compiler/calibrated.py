"""Calibration that keeps contributions exact: a straight line on the margin is folded into them, a bend is refused."""

from dataclasses import dataclass, replace
from typing import Any

from models_onnx.compiler.additive_trees import AdditiveTrees
from models_onnx.compiler.fitted import FittedModel
from models_onnx.compiler.link import IDENTITY, LOGIT, Link
from models_onnx.compiler.prepared import Prepared
from models_onnx.compiler.shapley_trees import ShapleyTrees
from models_onnx.errors import CompileRefused


@dataclass(frozen=True, slots=True)
class Line:
    """margin = intercept + slope * what the model says: its margin, or with `of_probability` its probability."""

    intercept: float
    slope: float
    of_probability: bool = False


def unwrap(model: Any) -> tuple[Any, Line | None]:
    """The model inside a fitted CalibratedClassifierCV and its line, the best of a search; any other object as it is.

    Refused: isotonic calibration (it bends the margin, so that no sum of contributions gives the probability), and an
    average of several calibrated models (cv, ensemble=True), which is no sum on the margin either.
    """
    if type(model).__name__ == "FrozenEstimator":
        return unwrap(model.estimator)
    if hasattr(model, "best_estimator_"):  # of a search over settings
        return unwrap(model.best_estimator_)
    if type(model).__name__ != "CalibratedClassifierCV":
        return model, None
    if len(model.calibrated_classifiers_) != 1:
        raise CompileRefused(
            f"the calibration averages {len(model.calibrated_classifiers_)} models, and contributions do not add up to "
            "an average of probabilities: use CalibratedClassifierCV(..., ensemble=False), or a FrozenEstimator"
        )
    own = model.calibrated_classifiers_[0]
    inner, before = unwrap(own.estimator)
    if before is not None:
        raise CompileRefused("a calibration of a calibrated model is not compiled")
    return inner, _line(own.calibrators[0], inner)


def _line(calibrator: Any, inner: Any) -> Line:
    # scikit-learn calibrates the decision function where there is one, else the probability
    of_probability = not hasattr(inner, "decision_function")
    kind = type(calibrator).__name__
    if kind == "_SigmoidCalibration":
        return Line(-float(calibrator.b_), -float(calibrator.a_), of_probability)
    if kind == "_TemperatureScaling" and not of_probability:
        # the softmax of (-margin, margin)
        return Line(0.0, 2.0 * float(calibrator.beta_), of_probability)
    if kind == "IsotonicRegression":
        raise CompileRefused(
            "isotonic calibration bends the margin: contributions would no longer add up to the probability. Use "
            "method='sigmoid' (a straight line on the margin)"
        )
    raise CompileRefused(f"the calibration {kind} is not compiled; use method='sigmoid'")


def calibrated(model: FittedModel, line: Line | None) -> FittedModel:
    """The model with the line folded in; an average of probabilities becomes a margin of log odds by it."""
    if line is None:
        return model
    if line.of_probability != (model.link is IDENTITY):
        raise CompileRefused(
            "the calibration is a line of the probability, and the model's contributions are on another scale"
            if line.of_probability
            else "the calibration is a line of log odds, and the model's contributions are on the probability scale"
        )
    moved = model.recalibrated(line.intercept, line.slope)
    return _linked(moved, LOGIT) if line.of_probability else moved


def _linked(model: FittedModel, link: Link) -> FittedModel:
    if isinstance(model, Prepared):
        return replace(model, inner=_linked(model.inner, link))
    if isinstance(model, ShapleyTrees):
        return replace(model, ensemble=replace(model.ensemble, link=link))
    if isinstance(model, AdditiveTrees):
        return replace(model, link=link)
    raise CompileRefused(f"{type(model).__name__} keeps its own link")
