"""How far each missing input could move an estimate (the model itself is asked), and the estimates before it."""

import math
from collections.abc import Iterable

import msgspec
import numpy as np
from msgspec import Struct

from cards.compose.model import in_100, people_shown
from cds_hooks.pages.explain.recorded_decision import Basis, Scores, read_basis
from cds_hooks.storage.decision import Decision
from cds_hooks.web.model_words import words_of
from cds_hooks.web.numbers import format_quantity, format_time, format_value, time_of
from models_onnx.artifact.manifest import ModelInput
from models_onnx.serving.effects import values_over_range
from models_onnx.serving.runtime import Model

_SAME = 1e-6


class Move(Struct, frozen=True):
    """One missing input: the lowest and the highest estimate, in 100, with any value of it that the model knows."""

    words: str
    low: int
    high: int
    over: str


class EarlierEstimate(Struct, frozen=True):
    """An estimate of the same service for the same patient: when, how many in 100, and by which version."""

    decision: str
    when: str
    people: int
    version: str


def earlier_estimates(decisions: Iterable[Decision], model: str) -> list[EarlierEstimate]:
    """Return those of these decisions in which this model estimated; a record of another form is left out."""
    estimates = []
    for decision in decisions:
        try:
            scores = read_basis(decision).model_scores
        except msgspec.MsgspecError:
            continue
        if scores is not None and scores.id == model:
            when = format_time(time_of(decision.decided_at))
            estimates.append(EarlierEstimate(decision.id, when, people_shown(scores), scores.version))
    return estimates


def missing_moves(model: Model, basis: Basis, scores: Scores) -> list[Move]:
    """Return one for each input without a value, the largest span first; everything else stays as it was recorded.

    Empty where the recorded inputs do not give the recorded estimate with this model: then nothing is said.
    """
    features = model.manifest.features
    row = np.array([basis.features[item.name][0] if item.name in basis.features else math.nan for item in features])
    places = [position for position, item in enumerate(features) if item.name not in basis.features]
    if not places or abs(float(model.predict_rows(row[None]).probability[0]) - scores.probability) > _SAME:
        return []
    moves = [_move(model, row, position, features[position]) for position in places]
    return sorted(moves, key=lambda move: (move.low - move.high, move.words))


def _move(model: Model, row: "np.ndarray[tuple[int], np.dtype[np.float64]]", position: int, item: ModelInput) -> Move:
    values = values_over_range(item)
    rows = np.repeat(row[None], len(values), axis=0)
    rows[:, position] = values
    probability = model.predict_rows(rows).probability
    return Move(words_of(item), in_100(float(probability.min())), in_100(float(probability.max())), _over(item))


def _over(item: ModelInput) -> str:
    if item.choices or (item.trained_low, item.trained_high) == (0.0, 1.0):
        return "any answer"
    return f"{format_value(item.trained_low)} to {format_quantity(item.trained_high, item.unit)}"
