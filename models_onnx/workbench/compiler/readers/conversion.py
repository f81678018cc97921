"""Models of no form of their own as ONNX files: scikit-learn objects by skl2onnx, deep trees by one operator."""

from collections import defaultdict
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from models_onnx.workbench.compiler.families.trees import LEAF, Ensemble
from models_onnx.workbench.compiler.graph import DOUBLE, FLOAT, ML_DOMAIN, ML_OPSET, OPSET, Graph
from models_onnx.workbench.compiler.link import IDENTITY
from models_onnx.workbench.compiler.readers.network import OnnxSource, Scale
from models_onnx.workbench.compiler.readers.source import read_file, reader_of


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
