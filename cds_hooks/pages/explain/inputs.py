"""Every input of a model as the decision used it: value, unit, date, source, or why there is none."""

import math
from collections.abc import Iterable

from msgspec import Struct

from cds_hooks.pages.explain.recorded_decision import Basis, Scores
from cds_hooks.web.model_words import words_of
from cds_hooks.web.numbers import date_of, format_age, format_quantity, format_unit, format_value
from fhir.mapping.features.catalog import FEATURES
from models_onnx.artifact.manifest import Manifest, ModelInput

AGE, SEX = "age_years", "sex_male"
_SEXES = {1.0: "male", 0.0: "female"}

_REASONS = {
    "absent": "not recorded",
    "stale": "too old to be used",
    "refused": "recorded, but not usable",
    "unknown": "not known",
}


class Input(Struct, frozen=True):
    """One input: `value` is its `figure` with the unit, or "" and `gap` says why.

    `used` is what the model counted where that differs, `compared` sets the value beside the group's average.
    """

    name: str
    words: str
    value: str
    figure: str
    unit: str
    date: str
    age: str
    source: str
    gap: str
    used: str
    compared: str
    average: str
    contribution: float

    @property
    def has_value(self) -> bool:
        """Whether there was a usable value."""
        return not self.gap


def read_inputs(basis: Basis, scores: Scores | None, manifest: Manifest | None) -> list[Input]:
    """Return the inputs in the model's order; without its manifest, with the words and units of our own features."""
    contributions = scores.contributions if scores is not None else {}
    if manifest is not None:
        described: Iterable[ModelInput] = manifest.features
    else:
        described = map(_undescribed, contributions or [*basis.features, *basis.missing])
    return [_input(feature, basis, contributions.get(feature.name, 0.0)) for feature in described]


def _input(feature: ModelInput, basis: Basis, contribution: float) -> Input:
    words, unit, average = words_of(feature), format_unit(feature.unit), average_of(feature)
    if feature.name not in basis.features:
        gap = _REASONS.get(basis.missing.get(feature.name, ""), "not recorded")
        return Input(feature.name, words, "", "", unit, "", "", "", gap, "", "", average, contribution)
    value, effective, source = basis.features[feature.name]
    is_sex, top = feature.name == SEX, feature.clip_high
    answer = _SEXES.get(value, "") if is_sex else _answer(feature, value, source)
    figure = answer or format_value(value)
    return Input(
        name=feature.name,
        words=words,
        value=answer or format_quantity(value, feature.unit),
        figure=figure,
        unit=unit,
        date=date_of(effective),
        age="at this call" if feature.name in (AGE, SEX) else format_age(effective, basis.as_of),
        source=source,
        gap="",
        used=f"{top:g} or over" if top is not None and value >= top else "",
        compared=_compared(value, feature),
        average=average,
        contribution=contribution,
    )


def _answer(feature: ModelInput, value: float, source: str) -> str:
    """Give the words of a code or of a yes or no, else ""; what was not found has the patient as its source."""
    if feature.choices:
        position = int(value)
        return feature.choices[position] if 0 <= position < len(feature.choices) else ""
    if not _is_yes_no(feature):
        return ""
    return "yes" if value else "not found in the chart" if source.startswith("Patient/") else "no"


def _is_yes_no(feature: ModelInput) -> bool:
    return feature.name in FEATURES and FEATURES[feature.name].is_yes_no


def average_of(feature: ModelInput) -> str:
    """Return the mean of the reference cohort in words; "" where the model's own dictionary is not available."""
    mean = feature.reference_value
    if math.isnan(mean) or feature.choices:
        return ""
    if _is_yes_no(feature):
        return f"{100 * mean:.0f} in 100: yes"
    return f"{100 * mean:.0f} in 100 are male" if feature.name == SEX else format_quantity(mean, feature.unit)


def _undescribed(name: str) -> ModelInput:
    feature = FEATURES.get(name)
    words, unit = (feature.words, feature.unit) if feature is not None else (name, "")
    return ModelInput(name, words, unit, (), "", math.nan, math.nan, None, math.nan, None)


def _compared(value: float, feature: ModelInput) -> str:
    mean = feature.reference_value
    if math.isnan(mean) or feature.name == SEX or feature.choices or _is_yes_no(feature):
        return ""
    average = format_value(mean)
    if format_value(value) == average:
        return f"average ({average})"
    return f"{'above' if value > mean else 'below'} average ({average})"
