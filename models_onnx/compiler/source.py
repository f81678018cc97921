"""Which model is it: the one place that tells fitted objects and files apart and reads each into its family."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.compiler.additive_trees import AdditiveTrees, additive
from models_onnx.compiler.ebm import terms_of
from models_onnx.compiler.fitted import FittedModel
from models_onnx.compiler.linear import LOGISTIC, CoxModel, logistic, weighted
from models_onnx.compiler.link import LOGIT
from models_onnx.compiler.polynomial import PiecewisePolynomial
from models_onnx.compiler.shapley_trees import DEEPEST
from models_onnx.compiler.sklearn_columns import Column, Inputs, through
from models_onnx.compiler.tree_source import FORESTS, booster_of, from_ensemble, read_file, reader_of, trees_behind
from models_onnx.compiler.trees import Ensemble
from models_onnx.errors import CompileRefused

Array = NDArray[np.float64]


class NoExactExplanation(CompileRefused):
    """The model can be converted, but nothing exact can be said about why it says what it says."""


@dataclass(frozen=True, slots=True)
class Source:
    """A model as it was read: what it is called, and how it becomes exact terms against a cohort [n, F]."""

    form: str
    features: tuple[str, ...] | None
    explained: Callable[[Array, Inputs], FittedModel]
    preparation: Any = None

    def columns(self, inputs: Inputs) -> list[Column]:
        """What reaches the model behind its preparation; settles the categories of text inputs on the way."""
        return _columns(self.preparation, inputs)


def open_source(model: Any, deepest: int = DEEPEST) -> Source:
    """What `model` is: a path, a fitted object of scikit-learn, interpret, LightGBM or XGBoost, or a CoxModel.

    NoExactExplanation for what could only be converted.
    """
    if isinstance(model, str | Path):
        return _of_ensemble(read_file(Path(model)), deepest)
    if isinstance(model, CoxModel):
        return Source("Cox", _names(model.preparation), lambda X, i: _cox(model, X, i), model.preparation)
    if (ensemble := booster_of(model)) is not None:
        return _of_ensemble(ensemble, deepest)
    if type(model).__name__ == "ExplainableBoostingClassifier":
        return Source("EBM", _names(model), lambda X, inputs: _ebm(model, X, inputs))
    preparation, last = _split(model)
    name = type(last).__name__
    if name in LOGISTIC:
        return Source("logistic", _names(model), lambda X, i: _logistic(preparation, last, X, i), preparation)
    if reader_of(last):
        form = "forest" if name in FORESTS else "boosted trees"
        return Source(form, _names(model), lambda X, i: _trees(preparation, last, X, i, deepest), preparation)
    raise NoExactExplanation(
        f"{name} has no exact explanation here; unexplained=True converts it, and no card shows such a model"
    )


def _of_ensemble(ensemble: Ensemble, deepest: int) -> Source:
    def explained(X: Array, inputs: Inputs) -> FittedModel:
        return from_ensemble(replace(ensemble, features=inputs.names), X, deepest)

    return Source("additive trees" if additive(ensemble) else "boosted trees", ensemble.features, explained)


def _names(model: Any) -> tuple[str, ...] | None:
    names = getattr(model, "feature_names_in_", None)
    return None if names is None else tuple(str(name) for name in names)


def _split(model: Any) -> tuple[Any, Any]:
    """Preparation (None for none) and the model proper of a pipeline."""
    if type(model).__name__ != "Pipeline":
        return None, model
    before, last = model[:-1], model.steps[-1][1]
    return (before if len(before.steps) else None), last


def _columns(preparation: Any, inputs: Inputs) -> list[Column]:
    return inputs.start() if preparation is None else through(preparation, inputs.start(), inputs)


def _logistic(preparation: Any, last: Any, X: Array, inputs: Inputs) -> FittedModel:
    coefficients, start = logistic(last)
    curves = weighted(_columns(preparation, inputs), coefficients, len(inputs.names))
    return PiecewisePolynomial.centred(inputs.names, curves, start, X)


def _cox(model: CoxModel, X: Array, inputs: Inputs) -> FittedModel:
    columns = _columns(model.preparation, inputs)
    curves = weighted(columns, np.array(model.coefficients), len(inputs.names))
    return PiecewisePolynomial.centred(inputs.names, curves, model.link.log_hazard, X, model.link)


def _ebm(model: Any, X: Array, inputs: Inputs) -> FittedModel:
    terms, start = terms_of(model, inputs.names)
    return AdditiveTrees.centred(inputs.names, terms, start, X, LOGIT)


def _trees(preparation: Any, last: Any, X: Array, inputs: Inputs, deepest: int) -> FittedModel:
    return trees_behind(_columns(preparation, inputs), preparation, last, X, inputs, deepest)
