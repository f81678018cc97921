"""Takes off what is around a model: searches, thresholds, pipelines in pipelines, votes and calibrations.

A search is its best estimator, a threshold changes no probability, and a vote or a calibration at the end of a pipeline
is one of pipelines. A calibration that is a straight line on the margin is folded into the contributions and keeps them
exact; with one that bends, or several, contributions are shares of the probability (`families/averaged.py`).
"""

from dataclasses import dataclass, replace
from typing import Any

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.additive_trees import AdditiveTrees
from models_onnx.workbench.compiler.families.averaged import Calibration, isotonic
from models_onnx.workbench.compiler.families.piecewise import Curve
from models_onnx.workbench.compiler.families.shapley_trees import ShapleyTrees
from models_onnx.workbench.compiler.link import IDENTITY, LOGIT, FittedModel, Link
from models_onnx.workbench.compiler.readers.prepared import FORESTS, Prepared

_AROUND = {
    "FrozenEstimator": "estimator",
    "FixedThresholdClassifier": "estimator_",
    "TunedThresholdClassifierCV": "estimator_",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One of several models whose probabilities are averaged; `calibrator` is None where it is its own probability."""

    estimator: Any
    calibrator: Any = None
    weight: float = 1.0


def without_wrapping(model: Any) -> Any:
    """Returns the model itself, with the steps of pipelines in pipelines in one."""
    if hasattr(model, "best_estimator_"):
        return without_wrapping(model.best_estimator_)
    inner = getattr(model, _AROUND.get(type(model).__name__, ""), None)
    if inner is not None:
        return without_wrapping(inner)
    if type(model).__name__ != "Pipeline":
        return model
    last = without_wrapping(model.steps[-1][1])
    return model if last is model.steps[-1][1] and type(last).__name__ != "Pipeline" else behind(model, last)


def behind(pipeline: Any, last: Any) -> Any:
    """Returns the pipeline with another last step, whose own steps follow where it is a pipeline itself."""
    from sklearn.pipeline import Pipeline

    inner_steps = [step for _, step in last.steps] if type(last).__name__ == "Pipeline" else [last]
    steps = [*(step for _, step in pipeline.steps[:-1]), *inner_steps]
    return Pipeline([(f"step{number}", step) for number, step in enumerate(steps)])


def last_of(model: Any) -> Any:
    """Returns the last step of a pipeline, any other model itself."""
    return model.steps[-1][1] if type(model).__name__ == "Pipeline" else model


def votes_of(model: Any) -> tuple[Part, ...]:
    """Returns the models of a VotingClassifier with soft votes, with their weights; empty for any other object."""
    last = last_of(model)
    if type(last).__name__ != "VotingClassifier" or last.voting != "soft":
        return ()
    weights = last._weights_not_none or [1.0] * len(last.estimators_)
    parts = [estimator if last is model else behind(model, estimator) for estimator in last.estimators_]
    return tuple(Part(part, None, float(weight)) for part, weight in zip(parts, weights, strict=True))


@dataclass(frozen=True, slots=True)
class CalibrationLine:
    """margin = intercept + slope * what the model says: its margin, or with `of_probability` its probability."""

    intercept: float
    slope: float
    of_probability: bool = False


def unwrap(model: Any) -> tuple[Any, CalibrationLine | None]:
    """The model inside a fitted CalibratedClassifierCV and its line; any other object as it is, without its wrapping.

    What is no line on the margin is read by `averaged_parts` instead.
    """
    model = without_wrapping(model)
    last = last_of(model)
    if type(last).__name__ != "CalibratedClassifierCV":
        return model, None
    calibrated_classifier = last.calibrated_classifiers_[0]
    inner, before = unwrap(calibrated_classifier.estimator)
    if before is not None:
        raise CompileRefused(
            "a calibration of a calibrated model is not compiled: calibrate the model itself, once, on rows of its own"
        )
    return inner if last is model else behind(model, inner), _line(calibrated_classifier.calibrators[0], inner)


def _line(calibrator: Any, inner: Any) -> CalibrationLine:
    # scikit-learn calibrates the decision function where there is one, else the probability
    of_probability = not hasattr(inner, "decision_function")
    line = _sigmoid(calibrator, of_probability)
    if line is None or (of_probability and type(calibrator).__name__ == "_TemperatureScaling"):
        raise CompileRefused(f"the calibration {type(calibrator).__name__} is not compiled; use method='sigmoid'")
    return CalibrationLine(*line, of_probability)


def _sigmoid(calibrator: Any, of_probability: bool) -> tuple[float, float] | None:
    """Returns intercept and slope of a calibration by the logistic function of a line; None for any other."""
    kind = type(calibrator).__name__
    if kind == "_SigmoidCalibration":
        return -float(calibrator.b_), -float(calibrator.a_)
    if kind == "_TemperatureScaling":  # the softmax of (-margin, margin), or of the logarithms of both probabilities
        return 0.0, float(calibrator.beta_) * (1.0 if of_probability else 2.0)
    return None


def averaged_parts(model: Any) -> tuple[Part, ...]:
    """Returns the models whose probabilities are averaged, or calibrated by what is no line on the margin; else empty.

    They are those of a soft vote, and of a CalibratedClassifierCV that is isotonic, an average of several
    (ensemble=True), or a sigmoid of the probability of a model that adds up on log odds.
    """
    model = without_wrapping(model)
    if votes := votes_of(model):
        return votes
    last = last_of(model)
    if type(last).__name__ != "CalibratedClassifierCV":
        return ()
    pairs = tuple(
        (calibrated_classifier.estimator, calibrated_classifier.calibrators[0])
        for calibrated_classifier in last.calibrated_classifiers_
    )
    inner, calibrator = pairs[0]
    straight = type(calibrator).__name__ != "IsotonicRegression"
    if len(pairs) == 1 and straight and _on_own_scale(inner):
        return ()
    return tuple(Part(estimator if last is model else behind(model, estimator), how) for estimator, how in pairs)


def _on_own_scale(inner: Any) -> bool:
    """Returns whether the calibration is of the scale on which the model adds up."""
    inner, line = unwrap(inner)
    return line is None and (hasattr(inner, "decision_function") or type(last_of(inner)).__name__ in FORESTS)


def calibration_of(calibrator: Any, estimator: Any, model: FittedModel) -> Calibration:
    """Returns the way from the margin of the model as it was read to the calibrated probability.

    Without a calibrator it is the way to the model's own probability.

    Raises:
        CompileRefused: the calibrator is of an unknown kind.
    """
    if calibrator is None:
        return Calibration(() if model.link is IDENTITY else ((0.0, 1.0),))
    of_probability = not hasattr(estimator, "decision_function")
    if of_probability and model.link not in (LOGIT, IDENTITY):
        raise CompileRefused("a calibration is compiled of models on log odds and of averages of probabilities")
    before: tuple[tuple[float, float] | Curve, ...] = ((0.0, 1.0),) if of_probability and model.link is LOGIT else ()
    if type(calibrator).__name__ == "IsotonicRegression":
        return Calibration((*before, isotonic(calibrator.X_thresholds_, calibrator.y_thresholds_)))
    line, is_temperature = _sigmoid(calibrator, of_probability), type(calibrator).__name__ == "_TemperatureScaling"
    if line is None or (is_temperature and model.link is not LOGIT):
        name = type(calibrator).__name__
        raise CompileRefused(
            f"the calibration {name} of {type(estimator).__name__} is not compiled; use method='sigmoid'"
        )
    return Calibration((line,) if is_temperature else (*before, line))


def calibrated(model: FittedModel, line: CalibrationLine | None) -> FittedModel:
    """Returns the model with the line folded in; an average of probabilities becomes a margin of log odds by it."""
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
