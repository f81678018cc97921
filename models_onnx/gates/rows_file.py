"""People of one's own for the gates of a model from elsewhere: a CSV file with inputs, outcome, and what else is known.

Columns: every input by its name (empty: missing), `outcome` (0 or 1); where there are such, one column for each axis of
fairness on the card (its name), the column of need that the card's label audit names, and `library_probability`, what
the library that trained the model says for the row.
"""

import csv
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import ImportRefused
from models_onnx.evaluation import metrics
from models_onnx.evaluation.bootstrap import Estimate, Metric, estimate
from models_onnx.gates.subject import Audit, Library, Subject

Array = NDArray[np.float64]

OUTCOME, LIBRARY = "outcome", "library_probability"
_REPLICATES = 300
_SEED = 20260101
_TOP = 0.9  # the threshold of the error rates: the highest tenth of these people
_ENOUGH = 100

_WHOLE: dict[str, Metric] = {
    "auroc": metrics.auroc,
    "brier": metrics.brier,
    "calibration_slope": metrics.calibration_slope,
    "observed_expected": metrics.observed_expected,
}


@dataclass(frozen=True, slots=True)
class FromRows:
    """The subject with these people's figures as its evaluation, and what else they give."""

    subject: Subject
    people: Array
    audit: Audit | None
    library: Library | None


def read_rows(subject: Subject, path: Path) -> FromRows:
    """What the rows give; ImportRefused where a column is missing or a number is none."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [item.name for item in subject.features]
    there = set(rows[0]) if rows else set()
    if absent := sorted({*names, OUTCOME} - there):
        raise ImportRefused(f"{path.name} lacks the column{'s' if len(absent) > 1 else ''} {', '.join(absent)}")
    X = np.column_stack([_numbers(rows, name, path) for name in names])
    y = _numbers(rows, OUTCOME, path).astype(np.int64)
    probability = subject.answers(X).probability
    axes = {name: _texts(rows, name) for name in subject.product.get("fairness_axes", {}) if name in there}
    evaluated = msgspec.structs.replace(subject.about, evaluation=_evaluate(probability, y, axes, path))
    subject.about = evaluated
    library = Library(X, _numbers(rows, LIBRARY, path)) if LIBRARY in there else None
    return FromRows(subject, X, _audit(subject, rows, probability, axes, path), library)


def _evaluate(probability: Array, y: NDArray[np.int64], axes: dict[str, NDArray[Any]], path: Path) -> dict[str, Any]:
    margin = np.log(np.clip(probability, 1e-12, 1 - 1e-12)) - np.log1p(-np.clip(probability, 1e-12, 1 - 1e-12))
    threshold = float(np.quantile(margin, _TOP))
    errors: dict[str, Metric] = {
        "sensitivity": partial(metrics.sensitivity, threshold=threshold),
        "false_positive_rate": partial(metrics.false_positive_rate, threshold=threshold),
    }
    few = {name: _WHOLE[name] for name in ("auroc", "observed_expected")}
    groups = [
        {"axis": axis, "group": str(group), **_block(margin[column == group], y[column == group], {**few, **errors})}
        for axis, column in axes.items()
        for group in sorted(set(column.tolist()))
    ]
    return {
        "how": f"{path.name}: {len(y):,} rows. 95 % intervals: {_REPLICATES} bootstrap samples of rows.",
        "all": _block(margin, y, {**_WHOLE, **errors}),
        "subgroups": groups,
    }


def _block(margin: Array, y: NDArray[np.int64], wanted: dict[str, Metric]) -> dict[str, Any]:
    events = int(y.sum())
    if not 0 < events < len(y):
        return {"n": len(y), "events": 0, "sufficient": False, **{name: _unknown() for name in wanted}}
    found = estimate(wanted, margin, y, _REPLICATES, _SEED)
    return {
        "n": len(y),
        "events": events,
        "sufficient": events >= _ENOUGH,
        **{name: _figure(value) for name, value in found.items()},
    }


def _figure(found: Estimate) -> dict[str, float]:
    return {"value": round(found.value, 4), "low": round(found.low, 4), "high": round(found.high, 4)}


def _unknown() -> dict[str, None]:
    return {"value": None, "low": None, "high": None}


def _audit(
    subject: Subject, rows: list[dict[str, str]], probability: Array, axes: dict[str, NDArray[Any]], path: Path
) -> Audit | None:
    declared = subject.product.get("label", {}).get("audit")
    if declared is None or declared["need"] not in rows[0]:
        return None
    axis = next((name for name in axes if name.startswith(declared["axis"])), None)
    if axis is None:
        return None
    need = _numbers(rows, declared["need"], path)
    return Audit(score=probability, group=axes[axis], need=need, words=declared["words"])


def _numbers(rows: list[dict[str, str]], name: str, path: Path) -> Array:
    try:
        return np.array([float(row[name]) if row[name].strip() else np.nan for row in rows])
    except ValueError as problem:
        raise ImportRefused(f"{path.name}: column {name} holds what is no number ({problem})") from problem


def _texts(rows: list[dict[str, str]], name: str) -> NDArray[Any]:
    return np.array([row[name].strip() or "not recorded" for row in rows])
