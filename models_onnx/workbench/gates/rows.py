"""Rows for the gates: invented ones that test the file itself, and a site's own people from a CSV file.

The invented rows are ordinary people, people with missing values, and every edge of the inputs. A site's own file is
for a model from elsewhere; it has inputs, outcome, and further facts about these people.

Columns of such a file: every input by its name (empty is missing) and `outcome` (0 or 1); where they exist also one
column for each fairness axis of the card (by its name), the column of need that the card's label audit names, and
`library_probability`, the probability that the library which trained the model gives for the row.
"""

import csv
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from models_onnx.artifact.manifest import ModelInput
from models_onnx.errors import ImportRefused
from models_onnx.workbench import metrics
from models_onnx.workbench.gates.subject import Audit, Library, Subject
from models_onnx.workbench.metrics import Estimate, Metric, estimate

Array = NDArray[np.float64]
SEED = 20260101
_HOLES = 0.15
_SPREAD = 3.0


def ordinary(features: tuple[ModelInput, ...], count: int, seed: int = SEED) -> Array:
    """People within the training ranges, most of them near the reference cohort's mean; nothing is missing."""
    draw = np.random.default_rng(seed)
    return np.column_stack([_column(draw, item, count) for item in features])


def with_missing_values(
    rows: Array, features: tuple[ModelInput, ...], always: frozenset[str], seed: int = SEED
) -> Array:
    """Return the same people with values removed at random, except values that are required."""
    draw = np.random.default_rng(seed + 1)
    holes = draw.random(rows.shape) < _HOLES
    holes[:, [item.name in always for item in features]] = False
    return np.where(holes, np.nan, rows)


def edges(features: tuple[ModelInput, ...]) -> NDArray[np.float32]:
    """One ordinary person with each input in turn on its limits and their float32 neighbours, 0, ±infinity, missing."""
    person = np.array([item.reference_value for item in features], dtype=np.float32)
    rows = [person]
    for position, item in enumerate(features):
        for value in _edge_values(item):
            row = person.copy()
            row[position] = value
            rows.append(row)
    return np.vstack(rows)


def all_kinds(features: tuple[ModelInput, ...], always: frozenset[str], count: int = 500) -> NDArray[np.float32]:
    """At least 1,000 rows: ordinary people, the same with missing values, and the edges."""
    people = ordinary(features, count)
    holes = with_missing_values(people, features, always)
    return np.vstack([people.astype(np.float32), holes.astype(np.float32), edges(features)])


def is_binary(item: ModelInput) -> bool:
    """Return whether it is a yes-or-no input, coded 0 and 1."""
    return item.trained_low == 0.0 and item.trained_high == 1.0


def _column(draw: np.random.Generator, item: ModelInput, count: int) -> Array:
    low, high, middle = item.trained_low, item.trained_high, item.reference_value
    if is_binary(item):
        return (draw.random(count) < middle).astype(np.float64)
    if not low < high:
        return np.full(count, low)
    # Training ranges extend far, mostly upwards: most people lie around the mean, within the nearer end's distance.
    nearer = min(middle - low, high - middle) or high - low
    return np.clip(draw.normal(middle, nearer / _SPREAD, count), low, high)


def _edge_values(item: ModelInput) -> list[Any]:
    limits = [np.float32(item.trained_low), np.float32(item.trained_high)]
    beside = [np.nextafter(limit, np.float32(side)) for limit in limits for side in (-np.inf, np.inf)]
    return [*limits, *beside, np.float32(0), np.float32(np.inf), np.float32(-np.inf), np.float32(np.nan)]


OUTCOME, LIBRARY, AGE = "outcome", "library_probability", "age_years"
_REPLICATES = 300
_SEED = 20260101
_TOP = 0.9  # the threshold of the error rates marks the highest tenth of these people
_ENOUGH = 100

_WHOLE: dict[str, Metric] = {
    "auroc": metrics.auroc,
    "brier": metrics.brier,
    "calibration_slope": metrics.calibration_slope,
    "observed_expected": metrics.observed_expected,
}


@dataclass(frozen=True, slots=True)
class RowsFromFile:
    """The subject, evaluated on these people, and the further facts in their file."""

    subject: Subject
    people: Array
    audit: Audit | None
    library: Library | None


def read_rows(subject: Subject, path: Path) -> RowsFromFile:
    """Return the content of the file.

    Raises:
        ImportRefused: a column is missing, or a cell is not a number.
    """
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
    if AGE in names and not any(name.startswith("age") for name in axes):
        axes["age band"] = _age_bands(X[:, names.index(AGE)])
    evaluated = msgspec.structs.replace(subject.about, evaluation=_evaluate(probability, y, axes, path))
    subject.about = evaluated
    library = Library(X, _numbers(rows, LIBRARY, path)) if LIBRARY in there else None
    return RowsFromFile(subject, X, _audit(subject, rows, probability, axes, path), library)


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
    figures = estimate(wanted, margin, y, _REPLICATES, _SEED)
    return {
        "n": len(y),
        "events": events,
        "sufficient": events >= _ENOUGH,
        **{name: _figure(value) for name, value in figures.items()},
    }


def _figure(estimated: Estimate) -> dict[str, float]:
    return {"value": round(estimated.value, 4), "low": round(estimated.low, 4), "high": round(estimated.high, 4)}


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
        raise ImportRefused(f"{path.name}: column {name} has a value that is not a number ({problem})") from problem


def _age_bands(age: Array) -> NDArray[Any]:
    """Bands of ten years, which everybody has who has an age: nobody's file can leave them out."""
    low = np.clip(np.nan_to_num(age, nan=-10.0) // 10 * 10, -10, 80).astype(int)
    return np.array(
        ["not recorded" if years < 0 else f"{years}-{years + 9}" if years < 80 else "80 and over" for years in low]
    )


def _texts(rows: list[dict[str, str]], name: str) -> NDArray[Any]:
    return np.array([row[name].strip() or "not recorded" for row in rows])
