"""scikit-learn's forests and boosted trees as ours: HistGradientBoosting, GradientBoosting, RandomForest, ExtraTrees.

Read through the objects' own arrays: `tree_` and, for HistGradientBoosting, `_predictors` (private, read since 0.21).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.compiler.link import IDENTITY, LOGIT
from models_onnx.compiler.trees import LEAF, Ensemble, Tree, at_most
from models_onnx.errors import CompileRefused

Array = NDArray[np.float64]


def from_hist_gradient_boosting(model: Any, features: Sequence[str]) -> Ensemble:
    """A fitted HistGradientBoostingClassifier of two classes; categorical splits are refused by name.

    A missing value goes the way that was learned, also at nodes that ask only whether it is missing.
    """
    _refuse_other_than_two_classes(model)
    categorical = getattr(model, "is_categorical_", None)
    if categorical is not None and np.any(categorical):
        names = ", ".join(name for name, own in zip(features, categorical, strict=True) if own)
        raise CompileRefused(f"categorical splits on {names} are not compiled: use one-hot columns")
    nodes = [rounds[0].nodes for rounds in model._predictors]
    start = float(np.asarray(model._baseline_prediction).ravel()[0])
    return Ensemble(tuple(features), tuple(_histogram_tree(own) for own in nodes), start, LOGIT)


def _histogram_tree(nodes: Any) -> Tree:
    leaf = nodes["is_leaf"] == 1
    return Tree(
        feature=np.where(leaf, LEAF, nodes["feature_idx"]).astype(np.int64),
        threshold=np.array([at_most(float(x)) for x in nodes["num_threshold"]], dtype=np.float32),
        left=nodes["left"].astype(np.int64),
        right=nodes["right"].astype(np.int64),
        nan_left=nodes["missing_go_to_left"] == 1,
        zero_missing=np.zeros(len(nodes), dtype=bool),
        value=np.where(leaf, nodes["value"], 0.0),
    )


def from_gradient_boosting(model: Any, features: Sequence[str], fill: Sequence[float]) -> Ensemble:
    """A fitted GradientBoostingClassifier of two classes; it knows no missing values: `fill` takes their place."""
    _refuse_other_than_two_classes(model)
    if model.loss not in ("log_loss", "exponential"):
        raise CompileRefused(f"the loss {model.loss!r} gives no probability that is compiled")
    start = float(np.asarray(model._raw_predict_init(np.zeros((1, len(features))))).ravel()[0])
    if not isinstance(model.init_, str) and type(model.init_).__name__ != "DummyClassifier":
        raise CompileRefused("GradientBoosting that starts from another model (init) is not a sum of its trees")
    trees = tuple(_tree(own.tree_, model.learning_rate) for own in model.estimators_[:, 0])
    ensemble = Ensemble(tuple(features), trees, start, LOGIT, tuple(fill))
    # The exponential loss fits half the log odds: probability = 1 / (1 + exp(-2 * score)).
    return ensemble.scaled(0.0, 2.0) if model.loss == "exponential" else ensemble


def from_forest(model: Any, features: Sequence[str], fill: Sequence[float] | None) -> Ensemble:
    """A fitted RandomForest- or ExtraTreesClassifier of two classes, on the probability scale (link `identity`).

    A forest trained with missing values sends them the way that was learned; otherwise `fill` takes their place.
    """
    _refuse_other_than_two_classes(model)
    share = 1.0 / len(model.estimators_)
    trees = tuple(_tree(own.tree_, share, probability=True) for own in model.estimators_)
    return Ensemble(tuple(features), trees, 0.0, IDENTITY, None if fill is None else tuple(fill))


def _tree(tree: Any, scale: float, probability: bool = False) -> Tree:
    leaf = tree.children_left < 0
    values = tree.value[:, 0, :]
    # From 1.3 on a forest's leaves hold shares, before that counts: divided by their sum both are the same.
    value = values[:, 1] / values.sum(axis=1) if probability else values[:, 0]
    return Tree(
        feature=np.where(leaf, LEAF, tree.feature).astype(np.int64),
        threshold=np.array([at_most(float(x)) for x in tree.threshold], dtype=np.float32),
        left=tree.children_left.astype(np.int64),
        right=tree.children_right.astype(np.int64),
        nan_left=np.asarray(tree.missing_go_to_left).astype(bool) & ~leaf,
        zero_missing=np.zeros(len(leaf), dtype=bool),
        value=np.where(leaf, scale * value, 0.0),
    )


def _refuse_other_than_two_classes(model: Any) -> None:
    classes = getattr(model, "classes_", None)
    if classes is None:
        raise CompileRefused(f"{type(model).__name__} is not a fitted classifier; a probability is what is explained")
    if np.ndim(classes[0]) or len(classes) != 2:
        raise CompileRefused(f"{type(model).__name__} has {len(classes)} classes; models of two classes are compiled")
