"""Reads a fitted model into the family that explains it exactly, against rows of its reference cohort.

Trees are read from their own objects and files. Everything else is an ONNX file, to which skl2onnx converts
objects of scikit-learn: it is explained input by input where it is a sum of terms of single inputs, else by groups.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.grouped import AdditiveFile, GroupedModel
from models_onnx.workbench.compiler.families.shapley_trees import LEAST_COHORT, ShapleyTrees
from models_onnx.workbench.compiler.families.trees import LEAF, Ensemble, limits
from models_onnx.workbench.compiler.graph import DOUBLE, FLOAT, ML_DOMAIN, ML_OPSET, OPSET, Graph
from models_onnx.workbench.compiler.link import IDENTITY, FittedModel
from models_onnx.workbench.compiler.readers.network import Network, OnnxSource, Scale, answering_graph
from models_onnx.workbench.compiler.readers.onnx_trees import agrees, trees_of_file
from models_onnx.workbench.compiler.readers.source import (
    read_file,
    read_trees,
    refuse_other_missing,
    split,
    transform_of,
)
from models_onnx.workbench.compiler.readers.steps import Steps

Array = NDArray[np.float64]


def read_model(
    model: Any, X: Array, names: tuple[str, ...], groups: Mapping[str, Sequence[str]] | None = None
) -> FittedModel:
    """Return a fitted model against rows [n, F] of its reference cohort, whose inputs have these names; NaN is missing.

    `model`: a fitted HistGradientBoosting-, GradientBoosting-, RandomForest- or ExtraTreesClassifier of scikit-learn,
    a LightGBM or XGBoost object, the path of a LightGBM text or XGBoost JSON file, any ONNX file (an OnnxSource), or
    whatever object of scikit-learn skl2onnx converts. With `groups` of inputs, at most ten, what is no sum of its
    inputs is explained by them.

    Raises:
        CompileRefused: it cannot be explained exactly; the message says why and what to do.
    """
    if isinstance(model, OnnxSource):
        return _of_file(model, _checked(X), names, groups or {})
    refuse_other_missing(model)
    model, X = without_search(model), _checked(X)
    if (count := len(getattr(model, "classes_", (0, 1)))) != 2:
        raise CompileRefused(f"{type(model).__name__} has {count} classes, and models of two are compiled")
    try:
        trees = read_trees(model, X, names)
    except CompileRefused:
        if not groups or not isinstance(model, Ensemble | Path):
            raise
        trees_as_file = _trees("trees", model) if isinstance(model, Ensemble) else _trees(model.name, read_file(model))
        return GroupedModel.read(trees_as_file, names, groups, X)
    if trees is not None:
        return trees
    return _of_file(_as_file(model, names), X, names, groups or {})


def _checked(X: Array) -> Array:
    if len(X) < LEAST_COHORT:
        raise CompileRefused(f"a reference cohort has {LEAST_COHORT} rows or more, {len(X)} were given")
    if np.isinf(X).any():
        raise CompileRefused("the reference cohort holds infinite values; a missing value is NaN")
    return X


def _as_file(model: Any, names: tuple[str, ...]) -> OnnxSource:
    name = type(split(model)[1]).__name__
    if (source := converted(model, names)) is None:
        raise CompileRefused(
            f"{name}, or a step before it, is not read here and skl2onnx does not convert it "
            "(docs/models/compiler.md): write the model as an ONNX file, or make the step's result a feature"
        )
    return source


def refuse_before_fitting(estimator: Any) -> None:
    """CompileRefused for an unfitted estimator, also inside another one, that only its own library writes as a file."""
    for part in (estimator, *getattr(estimator, "get_params", dict)().values()):
        name = type(part).__name__
        if type(part).__module__.startswith("interpret.") and name.startswith("ExplainableBoosting"):
            raise CompileRefused(
                f"{name} is read from an ONNX file alone: fit it yourself, write it with "
                "ebm2onnx.to_onnx(ebm, dtype, predict_proba=True) and take in that file "
                "(docs/adding/model.md, What to export)"
            )


def _of_file(source: OnnxSource, X: Array, names: tuple[str, ...], groups: Mapping[str, Sequence[str]]) -> FittedModel:
    """Return an ONNX file as trees or as a sum of its inputs where it is one, else by groups."""
    too_deep: CompileRefused | None = None
    try:
        if (trees := _trees_of_file(source, X, names)) is not None:
            return trees
    except CompileRefused as refused:
        too_deep = refused
    if (additive := AdditiveFile.read(source, names, X)) is not None:
        return additive
    try:
        return GroupedModel.read(source, names, groups, X)
    except CompileRefused as refused:
        raise too_deep or refused from refused


def _trees_of_file(source: OnnxSource, X: Array, names: tuple[str, ...]) -> FittedModel | None:
    low, high = limits(X)
    network = Network.read(source, names, np.array(low), np.array(high))
    if (found := trees_of_file(*answering_graph(source))) is None:
        return None
    ensemble, tensor = found
    steps = Steps.of(network.part(source, tensor), X)
    model = ShapleyTrees.of(steps.ensemble_of_inputs(ensemble, names, takes_missing=True), X)
    return model if agrees(model, network.probabilities, X) else None


def imputed_values(model: Any, fitted: FittedModel, X: Array) -> dict[str, float]:
    """Return the value of each input that counts as much as a missing one does, as far as there is one.

    `model`: what `fitted` was read from; X [n, F] are rows of its cohort, as the model is asked with them.
    """
    steps = _steps_before(model, fitted, X)
    values = {name: steps.counted_as(j) for j, name in enumerate(fitted.features)} if steps is not None else {}
    return {name: value for name, value in values.items() if not np.isnan(value)}


def _steps_before(model: Any, fitted: FittedModel, X: Array) -> Steps | None:
    """Return what of a model knows nothing of a missing input but the value that was put for it."""
    names = fitted.features
    if isinstance(fitted, AdditiveFile):
        return Steps.of(fitted.margin, X)
    if not isinstance(model, OnnxSource):
        preparation, _ = split(without_search(model))
        return None if preparation is None else Steps.of(transform_of(preparation, names), X)
    low, high = limits(X)
    network = Network.read(model, names, np.array(low), np.array(high))
    found = trees_of_file(*answering_graph(model))
    return Steps.of(network.part(model, found[1]) if found else network.answers, X)


def without_search(model: Any) -> Any:
    """Return the best estimator of a search, another model as it is."""
    return without_search(model.best_estimator_) if hasattr(model, "best_estimator_") else model


def converted(model: Any, names: Sequence[str]) -> OnnxSource | None:
    """Return a fitted object of scikit-learn as an ONNX file; None where there is no converter for it.

    `names`: those of the inputs; an object that was fitted on named columns takes each of them by its name.
    """
    if not hasattr(model, "predict_proba") or not type(model).__module__.startswith("sklearn"):
        return None
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    if getattr(model, "flatten_transform", False):  # changes no probability of a vote, and has no converter
        model = copy(model).set_params(flatten_transform=False)
    own_names = tuple(map(str, getattr(model, "feature_names_in_", ())))
    whole, named = [("features", (None, model.n_features_in_))], [(name, (None, 1)) for name in own_names]
    opsets = {"": OPSET, ML_DOMAIN: ML_OPSET}
    for inputs in (named, whole) if named else (whole,):  # a step may choose its columns by name
        types = [(name, FloatTensorType(list(shape))) for name, shape in inputs]
        with suppress(Exception):
            proto = to_onnx(model, initial_types=types, options={id(model): {"zipmap": False}}, target_opset=opsets)
            return OnnxSource(type(model).__name__, proto.SerializeToString(), columns=own_names or tuple(names))
    return None


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
