"""Scores rows of inputs by a model and its twin, under the bedside's rules: population, missingness, range.

The order of the rules is that of the services: who has died, the age, the conditions that the population leaves out,
what is missing (there the twin takes over), what is out of range.
"""

from collections.abc import Mapping

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from fhir.record.refusals import WhyNot
from models_onnx.batch.columns import Array, Mask
from models_onnx.serving.eligibility import (
    OUT_OF_RANGE,
    OUTSIDE_POPULATION,
    WHAT_IS_MISSING,
    not_in_population,
    not_scored,
)
from models_onnx.serving.runtime import Model

Texts = NDArray[np.object_]
_AGE = "age_years"


class Rows(Struct, frozen=True):
    """Rows to score: the inputs [N, F] (NaN missing), which of them are implausible, and whom a condition leaves out.

    `left_out` has a mask of the rows by the condition in words, in the order in which they are asked.
    """

    inputs: Array
    implausible: Mask
    left_out: Mapping[str, Mask]


class ScoredRows(Struct, frozen=True):
    """One answer per row: probability and percentile NaN and a reason where there is no score.

    `model` names who scored; `contributions` [N, F] are in the order of the model's features, NaN where the model that
    scored does not read the input.
    """

    probability: Array
    percentile: Array
    reason: Texts
    reason_text: Texts
    model: Texts
    base: Array
    contributions: Array


def score_rows(model: Model, twin: Model | None, rows: Rows) -> ScoredRows:
    """Return the answers for these rows, in their order."""
    estimates = _by(model, rows)
    if twin is None:
        return estimates
    gone = np.isin(estimates.reason, WHAT_IS_MISSING)
    if gone.any():
        places = np.flatnonzero(gone)
        chosen = np.array([model.features.index(name) for name in twin.features])
        part = Rows(
            rows.inputs[np.ix_(places, chosen)],
            rows.implausible[np.ix_(places, chosen)],
            {},  # whom a condition leaves out lacks nothing: that is the first reason against a score
        )
        _take_over(estimates, places, _by(twin, part), chosen)
    return estimates


def _by(model: Model, rows: Rows) -> ScoredRows:
    count = len(rows.inputs)
    reason, text = np.full(count, "", dtype=object), np.full(count, "", dtype=object)
    _population(model, rows, reason, text)
    probability, percentile, base = (np.full(count, np.nan) for _ in range(3))
    contributions = np.full((count, len(model.features)), np.nan)
    flatnonzero = np.flatnonzero(reason == "")
    if len(flatnonzero):
        predict_rows = model.predict_rows(rows.inputs[flatnonzero])
        _refuse(model, rows, flatnonzero, predict_rows.missing, predict_rows.out_of_range, reason, text)
        fine = reason[flatnonzero] == ""
        places = flatnonzero[fine]
        probability[places], percentile[places] = predict_rows.probability[fine], predict_rows.percentile[fine]
        contributions[places], base[places] = predict_rows.contributions[fine], model.manifest.base
    name = np.where(np.isnan(probability), "", model.manifest.id).astype(object)
    return ScoredRows(probability, percentile, reason, text, name, base, contributions)


def _population(model: Model, rows: Rows, reason: Texts, text: Texts) -> None:
    manifest = model.manifest
    if _AGE in model.features:
        index = model.features.index(_AGE)
        # What nobody can be is no age, as a birth date that cannot be read.
        ages = np.where(rows.implausible[:, index], np.nan, rows.inputs[:, index])
        for row in np.flatnonzero(np.isnan(ages) | (ages < manifest.population.age_low)).tolist():
            _say(reason, text, row, not_in_population(manifest, float(ages[row])))
    for words, mask in rows.left_out.items():
        if words == "deceased":
            reason[mask], text[mask] = "deceased", "The patient has died."
        else:
            first: Mask = np.logical_and(mask, reason == "")
            sentence = f"The model is for {manifest.population.words}; {words} is on record."
            reason[first], text[first] = OUTSIDE_POPULATION, sentence


def _refuse(
    model: Model, rows: Rows, chosen: NDArray[np.intp], missing: Mask, out: Mask, reason: Texts, text: Texts
) -> None:
    """Masks find the rows; the sentences and the rules are those of `serving/eligibility.py`."""
    manifest, names = model.manifest, model.features
    lacking: Mask = missing[:, [names.index(name) for name in manifest.required.always]].sum(axis=1) > 0
    for group in manifest.required.groups:
        there = ~missing[:, [names.index(member) for member in group.members]]
        lacking |= there.sum(axis=1) < group.at_least
    implausible = rows.implausible[chosen]
    sentences: dict[bytes, WhyNot | None] = {}
    for row in np.flatnonzero(lacking | out.any(axis=1)).tolist():
        # What is missing is said alike for everybody who misses the same.
        pattern = missing[row].tobytes() if lacking[row] else b""
        if not pattern or pattern not in sentences:
            sentences[pattern] = not_scored(manifest, rows.inputs[chosen[row]])
        _say(reason, text, chosen[row], sentences[pattern])
    for row in np.flatnonzero(implausible.any(axis=1)).tolist():
        if reason[chosen[row]] == "":
            _say(reason, text, chosen[row], _implausible(model, rows.inputs[chosen[row]], implausible[row]))


def _implausible(model: Model, values: Array, implausible: Mask) -> WhyNot:
    items = [model.manifest.features[index] for index in np.flatnonzero(implausible).tolist()]
    descriptions = "; ".join(f"{item.words} {values[model.features.index(item.name)]:g} {item.unit}" for item in items)
    title = model.manifest.title
    text = f"{title}: no score, outside the range the model was built on. Outside the plausible range: {descriptions}."
    return WhyNot(model.manifest.id, OUT_OF_RANGE, text, tuple(item.name for item in items))


def _say(reason: Texts, text: Texts, row: int, not_scored: WhyNot | None) -> None:
    if not_scored is not None:
        reason[row], text[row] = not_scored.reason, not_scored.text


def _take_over(scored_rows: ScoredRows, rows: NDArray[np.intp], by: ScoredRows, columns: NDArray[np.intp]) -> None:
    """Take the twin's answers where it has a score; where it has none either the model's own reason stays."""
    flatnonzero = np.flatnonzero(~np.isnan(by.probability))
    places = rows[flatnonzero]
    scored_rows.reason[places] = scored_rows.reason_text[places] = ""
    for name in ("probability", "percentile", "model", "base"):
        getattr(scored_rows, name)[places] = getattr(by, name)[flatnonzero]
    scored_rows.contributions[np.ix_(places, columns)] = by.contributions[flatnonzero]
