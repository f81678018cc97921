"""What is taken off a model and which calibration is a line: objects made by hand, by their kinds."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.additive_trees import AdditiveTrees, Term
from models_onnx.workbench.compiler.families.piecewise import BrokenLine, Curve, PiecewiseLinear
from models_onnx.workbench.compiler.families.shapley_trees import ShapleyTrees
from models_onnx.workbench.compiler.link import IDENTITY, LOGIT, Survival
from models_onnx.workbench.compiler.readers.calibrations import (
    CalibrationLine,
    Part,
    averaged_parts,
    behind,
    calibrated,
    calibration_of,
    last_of,
    unwrap,
    votes_of,
    without_wrapping,
)
from models_onnx.workbench.compiler.readers.column import Column
from models_onnx.workbench.compiler.readers.prepared import Prepared
from tests.models_onnx.workbench.compiler.readers.test_regressions_by_hand import made
from tests.models_onnx.workbench.compiler.readers.test_source_by_form import COHORT, chain

SIGMOID = made("_SigmoidCalibration", a_=-2.0, b_=0.5)
TEMPERATURE = made("_TemperatureScaling", beta_=1.5)
STEPS = made("IsotonicRegression", X_thresholds_=np.array([0.0, 1.0, 2.0]), y_thresholds_=np.array([0.125, 0.25, 0.75]))
OTHER = made("Splines")
LINEAR = made("LogisticRegression", decision_function=None)
FOREST = made("RandomForestClassifier")
BOOSTED = made("LGBMClassifier")
TERM = Term((0,), ((1.0,),), np.array([1.0, 3.0, 0.0]))
TREES = AdditiveTrees(("a",), (TERM,), 0.5, (0.0,), (2.0,))
SHARES = replace(TREES, link=IDENTITY)
X = np.array([[0.0], [2.0]])


def around(*pairs: tuple[Any, Any]) -> Any:
    """A CalibratedClassifierCV of these models and calibrators."""
    inside = [made("_CalibratedClassifier", estimator=model, calibrators=[how]) for model, how in pairs]
    return made("CalibratedClassifierCV", calibrated_classifiers_=inside)


def pipeline(*steps: Any) -> Any:
    """A pipeline."""
    return made("Pipeline", steps=[(str(number), step) for number, step in enumerate(steps)])


def steps(model: Any) -> list[Any]:
    """The steps of a pipeline."""
    return [step for _, step in model.steps]


def test_searches_thresholds_and_pipelines_in_pipelines_are_taken_off() -> None:
    scale, other = made("StandardScaler"), made("RobustScaler")
    search = made("GridSearchCV", best_estimator_=LINEAR)
    for wrapped in (
        search,
        made("FrozenEstimator", estimator=search),
        made("FixedThresholdClassifier", estimator_=made("TunedThresholdClassifierCV", estimator_=LINEAR)),
    ):
        assert without_wrapping(wrapped) is LINEAR
        assert steps(without_wrapping(pipeline(scale, wrapped))) == [scale, LINEAR]
    plain = pipeline(scale, LINEAR)
    assert without_wrapping(plain) is plain
    assert steps(without_wrapping(pipeline(scale, pipeline(other, search)))) == [scale, other, LINEAR]
    assert (last_of(plain), last_of(LINEAR)) == (LINEAR, LINEAR)
    assert [name for name, _ in behind(pipeline(scale, other, OTHER), LINEAR).steps] == ["step0", "step1", "step2"]


def test_soft_votes_are_parts_with_their_weights() -> None:
    def vote(voting: str = "soft", weights: Any = None) -> Any:
        return made("VotingClassifier", voting=voting, _weights_not_none=weights, estimators_=[LINEAR, FOREST])

    assert votes_of(vote()) == (Part(LINEAR, None, 1.0), Part(FOREST, None, 1.0))
    assert averaged_parts(vote(weights=[1, 3])) == (Part(LINEAR, None, 1.0), Part(FOREST, None, 3.0))
    assert votes_of(vote("hard")) == votes_of(LINEAR) == averaged_parts(LINEAR) == ()
    scale = made("StandardScaler")
    assert [steps(part.estimator) for part in votes_of(pipeline(scale, vote()))] == [[scale, LINEAR], [scale, FOREST]]


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (around((LINEAR, SIGMOID)), CalibrationLine(-0.5, 2.0, False)),
        (around((LINEAR, TEMPERATURE)), CalibrationLine(0.0, 3.0, False)),
        (around((FOREST, SIGMOID)), CalibrationLine(-0.5, 2.0, True)),
    ],
)
def test_a_calibration_that_is_a_line_is_read_with_the_model_inside(model: Any, line: CalibrationLine) -> None:
    scale = made("StandardScaler")
    inner, read = unwrap(model)
    assert (inner, read) == (model.calibrated_classifiers_[0].estimator, line)
    piped, read = unwrap(pipeline(scale, made("GridSearchCV", best_estimator_=model)))
    assert (steps(piped), read) == ([scale, inner], line)
    assert averaged_parts(model) == ()
    assert unwrap(inner) == (inner, None)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (around((LINEAR, STEPS)), "the calibration IsotonicRegression is not compiled; use method='sigmoid'"),
        (around((FOREST, TEMPERATURE)), "the calibration _TemperatureScaling is not compiled; use method='sigmoid'"),
        (
            around((around((LINEAR, SIGMOID)), SIGMOID)),
            "a calibration of a calibrated model is not compiled: calibrate the model itself, once, on rows of its own",
        ),
    ],
)
def test_a_calibration_that_is_no_line_is_refused_where_a_line_is_wanted(model: Any, sentence: str) -> None:
    with pytest.raises(CompileRefused) as refused:
        unwrap(model)
    assert str(refused.value) == sentence


def test_what_is_no_line_on_the_margin_is_averaged() -> None:
    for pairs in (
        [(LINEAR, STEPS)],
        [(LINEAR, SIGMOID), (LINEAR, SIGMOID)],
        [(BOOSTED, SIGMOID)],
        [(around((LINEAR, SIGMOID)), SIGMOID)],
    ):
        assert averaged_parts(around(*pairs)) == tuple(Part(model, how) for model, how in pairs)
    scale = made("StandardScaler")
    (part,) = averaged_parts(pipeline(scale, around((LINEAR, STEPS))))
    assert (steps(part.estimator), part.calibrator, part.weight) == ([scale, LINEAR], STEPS, 1.0)


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def test_the_way_from_a_margin_to_the_calibrated_probability() -> None:
    answers: list[tuple[Any, Any, Any, float]] = [
        (None, FOREST, SHARES, 0.75),
        (None, LINEAR, TREES, sigmoid(0.75)),
        (SIGMOID, LINEAR, TREES, sigmoid(2 * 0.75 - 0.5)),
        (SIGMOID, BOOSTED, TREES, sigmoid(2 * sigmoid(0.75) - 0.5)),
        (SIGMOID, FOREST, SHARES, sigmoid(2 * 0.75 - 0.5)),
        (TEMPERATURE, LINEAR, TREES, sigmoid(3 * 0.75)),
        (TEMPERATURE, BOOSTED, TREES, sigmoid(1.5 * 0.75)),
        (STEPS, FOREST, SHARES, 0.21875),
        (STEPS, LINEAR, TREES, 0.21875),
        (STEPS, BOOSTED, TREES, 0.125 + 0.125 * sigmoid(0.75)),
    ]
    for calibrator, estimator, model, expected in answers:
        way = calibration_of(calibrator, estimator, model)
        assert way.probability(np.array([0.75])).tolist() == pytest.approx([expected])


@pytest.mark.parametrize(
    ("calibrator", "estimator", "model", "sentence"),
    [
        (
            SIGMOID,
            FOREST,
            replace(TREES, link=Survival.at({5.0: 0.25}, 5.0)),
            "a calibration is compiled of models on log odds and of averages of probabilities",
        ),
        (OTHER, LINEAR, TREES, "the calibration Splines of LogisticRegression is not compiled; use method='sigmoid'"),
        (
            TEMPERATURE,
            FOREST,
            SHARES,
            "the calibration _TemperatureScaling of RandomForestClassifier is not compiled; use method='sigmoid'",
        ),
    ],
)
def test_a_calibration_of_another_kind_is_refused(calibrator: Any, estimator: Any, model: Any, sentence: str) -> None:
    with pytest.raises(CompileRefused) as refused:
        calibration_of(calibrator, estimator, model)
    assert str(refused.value) == sentence


def test_a_line_is_folded_into_the_margin_and_makes_log_odds_of_probabilities() -> None:
    assert calibrated(TREES, None) is TREES
    moved = calibrated(TREES, CalibrationLine(-0.5, 2.0))
    assert (moved.link, moved.margin(X).tolist()) == (LOGIT, [2.5, 6.5])
    line = CalibrationLine(-0.5, 2.0, True)
    inner = Prepared(("a",), (Column(0, Curve.identity()),), SHARES, (0.0,), (2.0,))
    deep = ShapleyTrees.of(replace(chain(2), link=IDENTITY), COHORT)
    for model, rows in ((SHARES, X), (inner, X), (deep, COHORT)):
        linked = calibrated(model, line)
        assert (linked.link, type(linked)) == (LOGIT, type(model))
        assert linked.margin(rows) == pytest.approx(2 * model.margin(rows) - 0.5)


@pytest.mark.parametrize(
    ("model", "of_probability", "sentence"),
    [
        (
            TREES,
            True,
            "the calibration is a line of the probability, and the model's contributions are on another scale",
        ),
        (
            SHARES,
            False,
            "the calibration is a line of log odds, and the model's contributions are on the probability scale",
        ),
        (
            PiecewiseLinear((BrokenLine("a", (0.0,), (1.0,), 0.0, 2.0, 2.0),), 0.5, IDENTITY),
            True,
            "PiecewiseLinear keeps its own link",
        ),
    ],
)
def test_a_line_on_another_scale_than_the_model_is_refused(model: Any, of_probability: bool, sentence: str) -> None:
    with pytest.raises(CompileRefused) as refused:
        calibrated(model, CalibrationLine(0.0, 1.0, of_probability))
    assert str(refused.value) == sentence
