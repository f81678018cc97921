"""How each input moves a model's estimate over its range: asked of the file itself, not of what trained it."""

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models_onnx.artifact.manifest import ModelInput
from models_onnx.serving.runtime import Model

_POINTS = 41
_OTHERS = 24
_SEED = 20260101
# Contributions are float64 sums of float32 tables: less than this is no dependence on another input.
_ALIKE = 1e-5


class Effect(Struct, frozen=True):
    """The contribution of one input over its values, on the scale of the margin.

    `middle` is with every other input at its reference value; `low` and `high` are the ends over other people, the same
    as `middle` where no other input changes it.
    """

    feature: ModelInput
    values: tuple[float, ...]
    middle: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def depends_on_others(self) -> bool:
        """Whether another input changes what this one contributes."""
        return any(high - low > _ALIKE for low, high in zip(self.low, self.high, strict=True))


def effects(model: Model) -> list[Effect]:
    """Return one for each input that is explained by itself, the largest span of contributions first."""
    features = model.manifest.features
    typical = np.array([item.reference_value for item in features])
    draw = np.random.default_rng(_SEED)
    low = np.array([item.trained_low for item in features])
    high = np.array([item.trained_high for item in features])
    anywhere = draw.uniform(low, high, (_OTHERS, len(features)))
    anyone = np.where(draw.random(anywhere.shape) < 0.5, typical, anywhere)
    people = np.vstack([typical, anyone])
    alone = [column for column, item in enumerate(features) if not model.manifest.group_of(item.name)]
    all_effects = [_effect(model, column, people) for column in alone]
    return sorted(all_effects, key=lambda effect: min(effect.middle) - max(effect.middle))


def _effect(model: Model, column: int, people: NDArray[np.float64]) -> Effect:
    item = model.manifest.features[column]
    values = values_over_range(item)
    rows = np.repeat(people, len(values), axis=0)
    rows[:, column] = np.tile(values, len(people))
    contributions = model.predict_rows(rows).contributions[:, column].reshape(len(people), len(values))
    return Effect(
        item,
        tuple(values.tolist()),
        tuple(contributions[0].tolist()),
        tuple(contributions.min(axis=0).tolist()),
        tuple(contributions.max(axis=0).tolist()),
    )


def values_over_range(item: ModelInput) -> NDArray[np.float64]:
    """Return the places of a code, 0 and 1 of a yes or no, else even steps over the range that the model knows."""
    if item.choices:
        return np.arange(len(item.choices), dtype=np.float64)
    low, high = item.trained_low, item.trained_high
    if (low, high) == (0.0, 1.0) and item.unit in ("1", ""):
        return np.array([0.0, 1.0])
    steps = np.linspace(low, high, _POINTS)
    return np.unique(np.append(steps, item.clip_high)) if item.clip_high is not None else steps
