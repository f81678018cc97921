"""Invented rows for the gates that ask the file itself: ordinary people, holes, and every edge."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models_onnx.manifest import Feature

Array = NDArray[np.float64]
SEED = 20260101
_HOLES = 0.15
_SPREAD = 3.0


def ordinary(features: tuple[Feature, ...], count: int, seed: int = SEED) -> Array:
    """So many people within the trained ranges, most of them near the reference cohort's mean; nothing missing."""
    draw = np.random.default_rng(seed)
    return np.column_stack([_column(draw, item, count) for item in features])


def with_holes(rows: Array, features: tuple[Feature, ...], always: frozenset[str], seed: int = SEED) -> Array:
    """The same people with values taken away at random, never one that must be there."""
    draw = np.random.default_rng(seed + 1)
    holes = draw.random(rows.shape) < _HOLES
    holes[:, [item.name in always for item in features]] = False
    return np.where(holes, np.nan, rows)


def edges(features: tuple[Feature, ...]) -> NDArray[np.float32]:
    """One ordinary person with each input in turn on its limits and their float32 neighbours, 0, ±infinity, missing."""
    person = np.array([item.reference_value for item in features], dtype=np.float32)
    rows = [person]
    for place, item in enumerate(features):
        for value in _edge_values(item):
            row = person.copy()
            row[place] = value
            rows.append(row)
    return np.vstack(rows)


def all_kinds(features: tuple[Feature, ...], always: frozenset[str], count: int = 500) -> NDArray[np.float32]:
    """At least 1,000 rows: ordinary people, the same with holes, and the edges."""
    people = ordinary(features, count)
    holes = with_holes(people, features, always)
    return np.vstack([people.astype(np.float32), holes.astype(np.float32), edges(features)])


def is_binary(item: Feature) -> bool:
    """Whether it is a yes-or-no input, coded 0 and 1."""
    return item.trained_low == 0.0 and item.trained_high == 1.0


def _column(draw: np.random.Generator, item: Feature, count: int) -> Array:
    low, high, middle = item.trained_low, item.trained_high, item.reference_value
    if is_binary(item):
        return (draw.random(count) < middle).astype(np.float64)
    if not low < high:
        return np.full(count, low)
    # Trained ranges reach far out, mostly upwards: most people are near the middle, as far as the nearer end lets tell.
    nearer = min(middle - low, high - middle) or high - low
    return np.clip(draw.normal(middle, nearer / _SPREAD, count), low, high)


def _edge_values(item: Feature) -> list[Any]:
    limits = [np.float32(item.trained_low), np.float32(item.trained_high)]
    beside = [np.nextafter(limit, np.float32(side)) for limit in limits for side in (-np.inf, np.inf)]
    return [*limits, *beside, np.float32(0), np.float32(np.inf), np.float32(-np.inf), np.float32(np.nan)]
