"""scikit-learn's forests and boosted trees as ours: HistGradientBoosting, GradientBoosting, RandomForest, ExtraTrees.

Read through the objects' own arrays: `tree_` and, for HistGradientBoosting, `_predictors` (private, read since 0.21).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.trees import LEAF, Ensemble, Tree, at_most
from models_onnx.workbench.compiler.link import IDENTITY, LOGIT

Array = NDArray[np.float64]


def from_hist_gradient_boosting(model: Any, features: Sequence[str]) -> Ensemble:
    """Return a fitted HistGradientBoostingClassifier of two classes; categorical splits are refused by name.

    A missing value goes the way that was learned, also at nodes that ask only whether it is missing.
    """
    _refuse_other_than_two_classes(model)
    categorical = getattr(model, "is_categorical_", None)
    if categorical is not None and np.any(categorical):
        names = ", ".join(name for name, estimator in zip(features, categorical, strict=True) if estimator)
        raise CompileRefused(f"categorical splits on {names} are not compiled: use one-hot columns")
    start = float(np.asarray(model._baseline_prediction).ravel()[0])
    trees = tuple(_histogram_tree(rounds[0].nodes) for rounds in model._predictors)
    return Ensemble(tuple(features), trees, start, LOGIT)


def _histogram_tree(nodes: Any) -> Tree:
    leaf = nodes["is_leaf"] == 1
    learned = nodes["missing_go_to_left"] == 1
    return _asking(
        np.where(leaf, LEAF, nodes["feature_idx"]),
        nodes["num_threshold"],
        (nodes["left"], nodes["right"]),
        learned,
        np.where(leaf, nodes["value"], 0.0),
    )


def from_gradient_boosting(model: Any, features: Sequence[str]) -> Ensemble:
    """Read a fitted GradientBoostingClassifier of two classes; it knows no missing values."""
    _refuse_other_than_two_classes(model)
    if model.loss not in ("log_loss", "exponential"):
        raise CompileRefused(f"the loss {model.loss!r} gives no probability that is compiled")
    if not isinstance(model.init_, str) and type(model.init_).__name__ != "DummyClassifier":
        raise CompileRefused("GradientBoosting that starts from another model (init) is not a sum of its trees")
    start = float(np.asarray(model._raw_predict_init(np.zeros((1, len(features))))).ravel()[0])
    trees = tuple(_tree(estimator.tree_, model.learning_rate) for estimator in model.estimators_[:, 0])
    ensemble = Ensemble(tuple(features), trees, start, LOGIT)
    # The exponential loss fits half the log odds: probability = 1 / (1 + exp(-2 * score)).
    return ensemble.scaled(0.0, 2.0) if model.loss == "exponential" else ensemble


def from_forest(model: Any, features: Sequence[str]) -> Ensemble:
    """Read a fitted RandomForest-, ExtraTrees- or DecisionTreeClassifier of two classes.

    It is read on the probability scale (link `identity`).
    """
    _refuse_other_than_two_classes(model)
    grown = getattr(model, "estimators_", [model])
    trees = tuple(_tree(estimator.tree_, 1.0 / len(grown), probability=True) for estimator in grown)
    return Ensemble(tuple(features), trees, 0.0, IDENTITY)


def _tree(tree: Any, scale: float, probability: bool = False) -> Tree:
    leaf = tree.children_left < 0
    values = tree.value[:, 0, :]
    # From 1.3 on a forest's leaves hold shares, before that counts: divided by their sum both are the same.
    value = values[:, 1] / values.sum(axis=1) if probability else values[:, 0]
    return _asking(
        np.where(leaf, LEAF, tree.feature),
        tree.threshold,
        (np.where(leaf, 0, tree.children_left), np.where(leaf, 0, tree.children_right)),
        np.asarray(tree.missing_go_to_left).astype(bool),
        np.where(leaf, scale * value, 0.0),
    )


def _asking(feature: Any, threshold: Any, children: tuple[Any, Any], learned: NDArray[np.bool_], value: Array) -> Tree:
    is_leaf = np.asarray(feature) == LEAF
    limits = [
        np.float32(0.0) if leaf else at_most(float(limit)) for leaf, limit in zip(is_leaf, threshold, strict=True)
    ]
    return Tree(
        feature=np.asarray(feature, dtype=np.int64),
        threshold=np.array(limits, dtype=np.float32),
        left=np.asarray(children[0], dtype=np.int64),
        right=np.asarray(children[1], dtype=np.int64),
        nan_left=learned & ~is_leaf,
        value=value,
    )


def _refuse_other_than_two_classes(model: Any) -> None:
    classes = getattr(model, "classes_", None)
    if classes is None:
        raise CompileRefused(f"{type(model).__name__} is not a fitted classifier; a probability is what is explained")
    if np.ndim(classes[0]) or len(classes) != 2:
        raise CompileRefused(f"{type(model).__name__} has {len(classes)} classes; models of two classes are compiled")
