"""Reads a fitted model into the family that explains it exactly, against rows of its reference cohort.

What is around a model is taken off first: a search is its best estimator, and a calibration at the end of a pipeline is
one of pipelines. A calibration that is a straight line on the scale on which the model adds up is folded into the
contributions and keeps them exact. One that bends, or an average of several models, is explained by groups of an ONNX
file (`families/grouped.py`), to which skl2onnx and one operator for deep trees convert what has no form of its own.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.grouped import GroupedModel
from models_onnx.workbench.compiler.families.shapley_trees import LEAST_COHORT, ShapleyTrees
from models_onnx.workbench.compiler.families.trees import LEAF, Ensemble, limits
from models_onnx.workbench.compiler.graph import DOUBLE, FLOAT, ML_DOMAIN, ML_OPSET, OPSET, Graph
from models_onnx.workbench.compiler.link import IDENTITY, LOGIT, FittedModel
from models_onnx.workbench.compiler.readers.network import Network, OnnxSource, Scale, answering_graph
from models_onnx.workbench.compiler.readers.onnx_terms import FileTerms, agrees, read_terms
from models_onnx.workbench.compiler.readers.source import read_by_input, read_file, reader_of, refuse_unfitted

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
        return _of_file(model, _checked(X), names, groups or {})
    refuse_unfitted(model)
    try:
        return _by_input(model, X, names)
    except CompileRefused:
        source = converted(model, names) if groups else None
        if source is None:
            raise
        return GroupedModel.read(source, names, groups or {}, _checked(X))


def _of_file(source: OnnxSource, X: Array, names: tuple[str, ...], groups: Mapping[str, Sequence[str]]) -> FittedModel:
    """Return the terms of an ONNX file, input by input where it is a linear model or trees, else by groups."""
    if source.steps is not None:
        return GroupedModel.read(source, names, groups, X)
    low, high = limits(X)
    network = Network.read(source, names, np.array(low), np.array(high))
    proto, answer = answering_graph(source)
    too_deep: CompileRefused | None = None
    try:
        whole = network.whole_numbers(len(names))
        model = read_terms(proto, answer, names, source.texts_of(names), source.scale, X, whole)
    except CompileRefused as refused:
        model, too_deep = None, refused
    if model is not None and agrees(model, network.probabilities, X):
        return model
    try:
        return GroupedModel.read(source, names, groups, X)
    except CompileRefused as refused:
        raise too_deep or refused from refused


def imputed_in_file(source: OnnxSource, names: tuple[str, ...]) -> dict[str, float]:
    """Return the value that an ONNX file puts in the place of each input that is missing, where it has an imputer."""
    proto, _ = answering_graph(source)
    return {names[j]: value for j, value in FileTerms(proto, names, source.texts_of(names)).imputed.items()}


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


def converted(model: Any, names: Sequence[str]) -> OnnxSource | None:
    """Return a fitted object or a file of trees as an ONNX file; None where there is no converter for it.

    `names`: those of the inputs; an object that was fitted on named columns takes each of them by its name.
    """
    if isinstance(model, str | Path):
        return _trees(Path(model).name, read_file(Path(model)))
    if (reader := reader_of(model)) is not None:  # converters lose the way that a missing value takes
        return _trees(type(model).__name__, reader(names))
    if not hasattr(model, "predict_proba") or not type(model).__module__.startswith("sklearn"):
        return None
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    if getattr(model, "flatten_transform", False):  # changes no probability of a vote, and has no converter
        model = copy(model).set_params(flatten_transform=False)
    own_names = getattr(model, "feature_names_in_", None)
    if own_names is None:
        types = [("features", FloatTensorType([None, model.n_features_in_]))]
    else:
        types = [(str(name), FloatTensorType([None, 1])) for name in own_names]
    opsets = {"": OPSET, ML_DOMAIN: ML_OPSET}
    try:
        proto = to_onnx(model, initial_types=types, options={id(model): {"zipmap": False}}, target_opset=opsets)
    except Exception:
        return None
    columns = tuple(map(str, own_names if own_names is not None else names))
    return OnnxSource(type(model).__name__, proto.SerializeToString(), columns=columns)


def _trees(name: str, ensemble: Ensemble) -> OnnxSource:
    """Return trees of any depth as a file that gives their margin."""
    graph, weights = Graph(), []
    nodes: dict[str, list[Any]] = defaultdict(list)
    features = graph.input("features", FLOAT, ["N", len(ensemble.features)])
    for number, tree in enumerate(ensemble.trees):
        is_leaf, count = tree.feature == LEAF, len(tree.feature)
        columns = {
            "treeids": [number] * count,
            "nodeids": range(count),
            "featureids": np.where(is_leaf, 0, tree.feature).tolist(),
            "modes": np.where(is_leaf, "LEAF", "BRANCH_LEQ").tolist(),
            "values": np.where(is_leaf, 0.0, tree.threshold).tolist(),
            "truenodeids": tree.left.tolist(),
            "falsenodeids": tree.right.tolist(),
            "missing_value_tracks_true": tree.nan_left.astype(int).tolist(),
        }
        for column, cells in columns.items():
            nodes[f"nodes_{column}"] += cells
        weights += [(number, node, 0, float(tree.value[node])) for node in np.flatnonzero(is_leaf).tolist()]
    targets = zip(("treeids", "nodeids", "ids", "weights"), zip(*weights, strict=True), strict=True)
    written = graph.node(
        "TreeEnsembleRegressor",
        [features],
        "trees",
        domain=ML_DOMAIN,
        n_targets=1,
        **nodes,
        **{f"target_{column}": cells for column, cells in targets},
    )
    total = graph.node("Cast", [written], "of_trees", to=DOUBLE)
    graph.node("Add", [total, graph.constant("start", ensemble.start, "float64")], "margin")
    graph.output("margin", DOUBLE, ["N", 1])
    scale: Scale = "probability" if ensemble.link is IDENTITY else "log odds"
    return OnnxSource(name, graph.model(name, {}).SerializeToString(), scale=scale)


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
