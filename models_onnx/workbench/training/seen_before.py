"""Was a model that was fitted elsewhere fitted on people of this table? Then every figure of it here is too good.

Nothing in a fitted model says on whom it was fitted. What can be asked: its estimator is fitted again on the rows of
the table. Where that gives the same model, it was fitted on them. Where the model ranks these people as only one does
that has seen them, it has seen many of them: fitted again and asked about the same rows the estimator ranks better than
about rows that were left out, and the model stands nearer to the former. Both need an estimator of scikit-learn's
interface; of a file of trees or coefficients nothing can be said.
"""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn, has no types

from models_onnx.errors import ModelError
from models_onnx.spec import Fitted, ModelSpec
from models_onnx.workbench.metrics import Ranked, auroc
from models_onnx.workbench.training.data.cohort import Cohort
from models_onnx.workbench.training.fitting.own import load

Array = NDArray[np.float64]
SAME = 1e-6
"""Probabilities this near everywhere are those of one and the same model."""
OPTIMISM = 0.03
"""Less than this between seen and unseen rows (in AUROC) tells nothing: the estimator hardly learns single people."""
_PARTS = 5


def seen_before(spec: ModelSpec, cohort: Cohort) -> str | None:
    """Why the fitted model was, by its estimates, fitted on people of this table; None where nothing says so."""
    declared = spec.estimator
    if not isinstance(declared, Fitted):
        return None
    try:
        model = load(declared)
    except ModelError:
        return None  # whoever compiles it says so
    is_followed = cohort.weight > 0
    rows = pd.DataFrame(cohort.X[is_followed].astype(np.float32).astype(np.float64), columns=list(cohort.features))
    names = getattr(model, "feature_names_in_", None)
    if names is not None and len(names) == rows.shape[1]:
        rows.columns = list(map(str, names))
    try:
        with threadpool_limits(limits=1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _judged(model, rows, cohort.y[is_followed], cohort.patient[is_followed])
    except (ValueError, TypeError, AttributeError, RuntimeError):
        return None  # it cannot be fitted again here: nothing can be said


def _judged(model: Any, rows: pd.DataFrame, y: NDArray[np.int64], patient: NDArray[np.int64]) -> str | None:
    from sklearn.base import clone

    probability = _probability(model, rows)
    refitted = _probability(clone(model).fit(rows, y), rows)
    if float(np.abs(refitted - probability).max()) <= SAME:
        return f"fitted again on the {len(y):,} rows of the table it is the same model: it was fitted on them"
    measured, seen = _auroc(probability, y), _auroc(refitted, y)
    left_out = np.zeros(len(y))
    for part in range(_PARTS):
        out = patient % _PARTS == part
        left_out[out] = _probability(clone(model).fit(rows[~out], y[~out]), rows[out])
    unseen = _auroc(left_out, y)
    if seen - unseen >= OPTIMISM and measured > (seen + unseen) / 2:
        return (
            f"its AUROC on the rows of the table is {measured:.3f}; an estimator of its kind reaches {seen:.3f} on "
            f"rows that it was fitted on and {unseen:.3f} on rows that it was not: it was fitted on many of these "
            "people"
        )
    return None


def _probability(model: Any, rows: pd.DataFrame) -> Array:
    return np.asarray(model.predict_proba(rows), dtype=np.float64)[:, 1]


def _auroc(score: Array, y: NDArray[np.int64]) -> float:
    return float(auroc(Ranked.of(score, y), np.ones((1, len(y))))[0])
