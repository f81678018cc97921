"""Reads a fitted model into the family that explains it exactly, against rows of its reference cohort.

Trees are read from the files of LightGBM and XGBoost. Everything else is an ONNX file: it is explained input by input
where it is trees or a sum of terms of single inputs, else by groups.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.grouped import AdditiveFile, GroupedModel
from models_onnx.workbench.compiler.families.shapley_trees import LEAST_COHORT, ShapleyTrees
from models_onnx.workbench.compiler.families.trees import LEAF, Ensemble, limits
from models_onnx.workbench.compiler.graph import DOUBLE, FLOAT, ML_DOMAIN, Graph
from models_onnx.workbench.compiler.link import IDENTITY, FittedModel
from models_onnx.workbench.compiler.readers.network import Network, OnnxSource, Scale, answering_graph
from models_onnx.workbench.compiler.readers.onnx_trees import agrees, trees_of_file
from models_onnx.workbench.compiler.readers.source import read_file, refuse_other_names
from models_onnx.workbench.compiler.readers.steps import Steps

Array = NDArray[np.float64]


def read_model(
    model: Path | Ensemble | OnnxSource, X: Array, names: tuple[str, ...], groups: Mapping[str, Sequence[str]]
) -> FittedModel:
    """Return a fitted model against rows [n, F] of its reference cohort, whose inputs have these names; NaN is missing.

    `model`: the path of a LightGBM text or XGBoost JSON file, trees read from one, or an ONNX file. With `groups` of
    inputs, at most ten, what is no sum of its inputs is explained by them.

    Raises:
        CompileRefused: it cannot be explained exactly; the message says why and what to do.
    """
    X = _checked(X)
    if isinstance(model, OnnxSource):
        return _of_file(model, X, names, groups)
    name, trees = (model.name, read_file(model)) if isinstance(model, Path) else ("trees", model)
    refuse_other_names(trees.features, names)
    trees = replace(trees, features=names)
    try:
        return ShapleyTrees.of(trees, X)
    except CompileRefused:
        if not groups:
            raise
        return GroupedModel.read(_trees(name, trees), names, groups, X)


def _checked(X: Array) -> Array:
    if len(X) < LEAST_COHORT:
        raise CompileRefused(f"a reference cohort has {LEAST_COHORT} rows or more, {len(X)} were given")
    if np.isinf(X).any():
        raise CompileRefused("the reference cohort holds infinite values; a missing value is NaN")
    return X


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
    model = ShapleyTrees.of(steps.ensemble_of_inputs(ensemble, names), X)
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
        return None
    low, high = limits(X)
    network = Network.read(model, names, np.array(low), np.array(high))
    found = trees_of_file(*answering_graph(model))
    return Steps.of(network.part(model, found[1]) if found else network.answers, X)


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
