"""Invented rows for the gates, that test the file itself: ordinary people, missing values, every edge of the inputs."""

import numpy as np
from numpy.typing import NDArray

from models_onnx.artifact.manifest import ModelInput
from models_onnx.workbench.compiler.parity import boundary_rows

Array = NDArray[np.float64]
SEED = 20260101
_HOLES = 0.15
_PEOPLE = 500
_SPREAD = 3.0


def ordinary(features: tuple[ModelInput, ...], count: int) -> Array:
    """People within the training ranges, most of them near the reference cohort's mean; nothing is missing."""
    draw = np.random.default_rng(SEED)
    return np.column_stack([_column(draw, item, count) for item in features])


def with_missing_values(rows: Array, features: tuple[ModelInput, ...], always: frozenset[str]) -> Array:
    """Return the same people with values removed at random, except values that are required."""
    draw = np.random.default_rng(SEED + 1)
    holes = draw.random(rows.shape) < _HOLES
    holes[:, [item.name in always for item in features]] = False
    return np.where(holes, np.nan, rows)


def edges(features: tuple[ModelInput, ...]) -> NDArray[np.float32]:
    """One ordinary person with each input in turn on its limits and their float32 neighbors, 0, ±infinity, missing."""
    person = np.array([item.reference_value for item in features])
    return boundary_rows(person, [(item.trained_low, item.trained_high) for item in features])


def all_kinds(features: tuple[ModelInput, ...], always: frozenset[str]) -> NDArray[np.float32]:
    """At least 1,000 rows: ordinary people, the same with missing values, and the edges."""
    people = ordinary(features, _PEOPLE)
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
