"""Which model is it: the one place that tells fitted objects and files apart and reads each into its family."""

import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.compiler.additive_trees import AdditiveTrees, additive, steps_of
from models_onnx.compiler.ebm import terms_of
from models_onnx.compiler.fitted import FittedModel
from models_onnx.compiler.lightgbm_file import read_lightgbm
from models_onnx.compiler.linear import LOGISTIC, CoxModel, logistic, weighted
from models_onnx.compiler.link import LOGIT
from models_onnx.compiler.polynomial import PiecewisePolynomial
from models_onnx.compiler.prepared import Prepared, moved_cuts, plain, prepare, unscaled
from models_onnx.compiler.rows import framed
from models_onnx.compiler.shapley_trees import DEEPEST, ShapleyTrees
from models_onnx.compiler.sklearn_columns import Column, Inputs, through
from models_onnx.compiler.sklearn_trees import (
    from_forest,
    from_gradient_boosting,
    from_hist_gradient_boosting,
    thresholds_of,
)
from models_onnx.compiler.trees import Cuts, Ensemble, limits
from models_onnx.compiler.xgboost_file import read_xgboost
from models_onnx.errors import CompileRefused

Array = NDArray[np.float64]
FORESTS = ("RandomForestClassifier", "ExtraTreesClassifier", "DecisionTreeClassifier")
_PICKLES = (".pkl", ".pickle", ".joblib", ".sav", ".skops", ".dill")


@dataclass(frozen=True, slots=True)
class Source:
    """A model as it was read: what it is called, and how it becomes exact terms against a cohort [n, F]."""

    form: str
    features: tuple[str, ...] | None
    explained: Callable[[Array, Inputs], FittedModel]
    preparation: Any = None

    def columns(self, inputs: Inputs) -> list[Column]:
        """What reaches the model behind its preparation; settles the categories of text inputs on the way."""
        return inputs.start() if self.preparation is None else through(self.preparation, inputs.start(), inputs)


def read_file(path: Path) -> Ensemble:
    """The ensemble of a LightGBM (text) or XGBoost (JSON, UBJ) file; a pickle is refused, whatever it holds."""
    if not path.is_file():
        raise CompileRefused(f"{path} is not there")
    start = path.read_bytes()[:64]
    if path.suffix.lower() in _PICKLES or start[:1] == b"\x80" or start[:2] == b"PK":
        raise CompileRefused(
            f"{path.name} is a pickle or an archive of one: it could run anything when read, so it never is. Write the "
            "model in its library's own format (LightGBM: text, XGBoost: JSON), or call compile_model in Python"
        )
    if start.startswith(b"tree\n") or start.startswith(b"tree\r\n"):
        return read_lightgbm(path)
    if start.lstrip().startswith(b"{"):
        return read_xgboost(path)
    raise CompileRefused(f"{path.name} is neither a LightGBM text file nor an XGBoost JSON or UBJ file")


def open_source(model: Any, deepest: int = DEEPEST) -> Source:
    """What `model` is: a path, a fitted object of scikit-learn, interpret, LightGBM or XGBoost, or a CoxModel.

    NoExactExplanation for what could only be converted.
    """
    if isinstance(model, str | Path):
        return _of_ensemble(read_file(Path(model)), deepest)
    if isinstance(model, CoxModel):
        return Source("Cox", _names(model.preparation), lambda X, i: _cox(model, X, i), model.preparation)
    if text := _booster_text(model):
        return _of_ensemble(_read_text(*text), deepest)
    if type(model).__name__ == "ExplainableBoostingClassifier":
        return Source("EBM", _names(model), lambda X, inputs: _ebm(model, X, inputs))
    preparation, last = _split(model)
    name = type(last).__name__
    if name in LOGISTIC:
        return Source("logistic", _names(model), lambda X, i: _logistic(preparation, last, X, i), preparation)
    if reader := _tree_reader(last):
        form = "forest" if name in FORESTS else "boosted trees"
        return Source(form, _names(model), lambda X, i: _trees(preparation, last, reader, X, i, deepest), preparation)
    raise NoExactExplanation(
        f"{name} has no exact explanation here; unexplained=True converts it, and no card shows such a model"
    )


class NoExactExplanation(CompileRefused):
    """The model can be converted, but nothing exact can be said about why it says what it says."""


def _of_ensemble(ensemble: Ensemble, deepest: int) -> Source:
    def explained(X: Array, inputs: Inputs) -> FittedModel:
        return from_ensemble(replace(ensemble, features=inputs.names), X, deepest)

    return Source("additive trees" if additive(ensemble) else "boosted trees", ensemble.features, explained)


def from_ensemble(ensemble: Ensemble, cohort: Array, deepest: int = DEEPEST) -> FittedModel:
    """Step functions where every tree asks about one input only, Shapley values otherwise."""
    if not additive(ensemble):
        return ShapleyTrees.of(ensemble, cohort, deepest=deepest)
    terms, start = steps_of(ensemble)
    return AdditiveTrees.centred(ensemble.features, terms, start, cohort, ensemble.link)


def _booster_text(model: Any) -> tuple[str, str] | None:
    """The model as its own library writes it, by the methods of LightGBM's and XGBoost's objects."""
    booster = getattr(model, "booster_", model)
    if hasattr(booster, "model_to_string"):
        return ".txt", str(booster.model_to_string())
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    if hasattr(booster, "save_raw"):
        return ".json", bytes(booster.save_raw("json")).decode()
    return None


def _read_text(suffix: str, text: str) -> Ensemble:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{suffix}"
        path.write_text(text, encoding="utf-8")
        return read_file(path)


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


TreeReader = Callable[[Sequence[str], Cuts], Ensemble]


def _tree_reader(last: Any) -> TreeReader | None:
    """How the ensemble of this object is read, given names of its columns and how its questions are asked."""
    name = type(last).__name__
    if name == "HistGradientBoostingClassifier":
        return lambda names, cuts: from_hist_gradient_boosting(last, names, cuts)
    if name == "GradientBoostingClassifier":
        return lambda names, cuts: from_gradient_boosting(last, names, (), cuts)
    if name in FORESTS:
        return lambda names, cuts: from_forest(last, names, (), cuts)
    return None


def _takes_nan(model: Any, count: int) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.predict_proba(np.full((1, count), np.nan))
    except ValueError:
        return False
    return True


def _trees(preparation: Any, last: Any, reader: TreeReader, X: Array, inputs: Inputs, deepest: int) -> FittedModel:
    columns = _columns(preparation, inputs)
    narrow = type(last).__name__ != "HistGradientBoostingClassifier"
    asked = thresholds_of(last)

    def transform(rows: Array) -> Array:
        return np.asarray(preparation.transform(framed(preparation, rows, inputs)), dtype=np.float64)

    cuts = moved_cuts(columns, asked, transform, _typical(X, inputs), narrow)
    own = unscaled(columns)
    seen = prepare(own, X)
    if not _takes_nan(last, len(columns)):
        # Such trees know nothing missing: where nothing was imputed before them, the cohort's middle value is.
        middle = medians(seen)
        cuts = replace(cuts, missing=tuple(m if np.isnan(v) else v for v, m in zip(cuts.missing, middle, strict=True)))
    if plain(columns, len(inputs.names)):
        return from_ensemble(reader(inputs.names, cuts), X, deepest)
    names = [f"{inputs.names[column.input]}#{number}" for number, column in enumerate(columns)]
    inner = from_ensemble(reader(names, cuts), seen, deepest)
    return Prepared(inputs.names, own, inner, *limits(X))


def _typical(X: Array, inputs: Inputs) -> tuple[float, ...]:
    """A row without anything missing; a text is its first category."""
    return tuple(0.0 if name in inputs.text else m for name, m in zip(inputs.names, medians(X), strict=True))


def medians(X: Array) -> tuple[float, ...]:
    """The middle value of each input, as float32; 0 where there is none."""
    return tuple(float(np.float32(np.nanmedian(x))) if not np.isnan(x).all() else 0.0 for x in X.T)
