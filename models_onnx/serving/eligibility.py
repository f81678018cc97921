"""Whether to score a person: population, enough inputs, values inside the trained range. Reads the manifest only."""

from math import isnan

import numpy as np
from numpy.typing import NDArray

from fhir.record.refusals import WhyNot
from models_onnx.artifact.manifest import Manifest, ModelInput, RequiredInputGroup
from models_onnx.serving.runtime import Prediction

UNKNOWN_AGE = "age-unknown"
OUTSIDE_POPULATION = "outside-population"
INPUT_MISSING = "input-missing"
TOO_FEW_INPUTS = "too-few-inputs"
OUT_OF_RANGE = "out-of-range"
WHAT_IS_MISSING = (INPUT_MISSING, TOO_FEW_INPUTS)


def not_in_population(manifest: Manifest, age_years: float | None) -> WhyNot | None:
    """Return whether the age keeps the person out; None where it does not. Conditions are the caller's to look up."""
    if age_years is None or isnan(age_years):
        text = f"{manifest.title}: no score, because no usable date of birth is on record (year and month at least)."
        return WhyNot(manifest.id, UNKNOWN_AGE, text)
    if age_years < manifest.population.age_low:
        return WhyNot(
            manifest.id,
            OUTSIDE_POPULATION,
            f"{manifest.title}: no score. It is for {manifest.population.words}; the age is {age_years:.0f}.",
            ("age_years",),
        )
    return None


def not_scored(manifest: Manifest, values: NDArray[np.float64]) -> WhyNot | None:
    """Find the first reason not to score this vector (order of the manifest's features, NaN missing); None if fine.

    In this order: an input that must be there, too few of a group, a value outside the trained range.
    """
    return lacks_inputs(manifest, values) or _out_of_range(manifest, values)


def lacks_inputs(manifest: Manifest, values: NDArray[np.float64]) -> WhyNot | None:
    """Return what `not_scored` has against this vector for what is missing; it needs no run of the model."""
    pairs = zip(manifest.features, values.tolist(), strict=True)
    absent = {item.name for item, value in pairs if isnan(value)}
    return (_missing(manifest, absent) or _too_few(manifest, absent)) if absent else None


def twin_may_take_over(manifest: Manifest, refused: WhyNot | None) -> bool:
    """Return whether the model is refused for what is missing, and has a twin that needs less."""
    return refused is not None and manifest.twin is not None and refused.reason in WHAT_IS_MISSING


def may_be_scored(manifest: Manifest, prediction: Prediction) -> bool:
    """Whether `not_scored` has nothing against this prediction, by the masks that the model file gives with it."""
    if True in prediction.out_of_range.tolist():
        return False
    missing = prediction.missing.tolist()
    if not any(missing):
        return True
    absent = {item.name for item, is_missing in zip(manifest.features, missing, strict=True) if is_missing}
    required = manifest.required
    return absent.isdisjoint(required.always) and all(
        len(group.members) - len(absent.intersection(group.members)) >= group.at_least for group in required.groups
    )


def out_of_range(feature: ModelInput, value: float) -> bool:
    """Whether the value is outside what the model was trained on; compared in float32, as the model file does."""
    x = np.float32(value)
    above = feature.clip_high is None and x > np.float32(feature.trained_high)
    return bool(x < np.float32(feature.trained_low) or above)


def _missing(manifest: Manifest, absent: set[str]) -> WhyNot | None:
    needed = [manifest.feature(name) for name in manifest.required.always if name in absent]
    if not needed:
        return None
    words = " and ".join(item.words.lower() for item in needed)
    text = f"{manifest.title}: no score, because {words} must be known."
    return WhyNot(manifest.id, INPUT_MISSING, text, tuple(item.name for item in needed))


def _too_few(manifest: Manifest, absent: set[str]) -> WhyNot | None:
    for group in manifest.required.groups:
        lacking = tuple(name for name in group.members if name in absent)
        if len(group.members) - len(lacking) < group.at_least:
            return WhyNot(manifest.id, TOO_FEW_INPUTS, _too_few_text(manifest, group, lacking), lacking)
    return None


def _too_few_text(manifest: Manifest, group: RequiredInputGroup, lacking: tuple[str, ...]) -> str:
    words = {item.name: item.words for item in manifest.features}
    names, members = ", ".join(words[name] for name in lacking), len(group.members)
    return (
        f"{manifest.title}: no score. Usable: {members - len(lacking)} of the {members} {group.words}; at least "
        f"{group.at_least} are needed. Missing: {names}."
    )


def _out_of_range(manifest: Manifest, values: NDArray[np.float64]) -> WhyNot | None:
    pairs = zip(manifest.features, values.tolist(), strict=True)
    outside = [(item, value) for item, value in pairs if out_of_range(item, value)]
    if not outside:
        return None
    ranges = "; ".join(
        f"{item.words} {value:g} {item.unit} (built on {item.trained_low:g} to {item.trained_high:g})"
        for item, value in outside
    )
    text = f"{manifest.title}: no score, outside the range the model was built on: {ranges}."
    return WhyNot(manifest.id, OUT_OF_RANGE, text, tuple(item.name for item, _ in outside))
