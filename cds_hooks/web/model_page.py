"""From a model's manifest to the rows of its page."""

from dataclasses import dataclass
from itertools import pairwise

from cards.explain import in_100
from cds_hooks.web.inputs import SEX, average_of, words_of
from cds_hooks.web.numbers import people_range, spoken_unit, spoken_value
from models_onnx.manifest import Bin, Feature, Manifest


@dataclass(frozen=True, slots=True)
class CalibrationRow:
    """People whose estimate lay between `start` and `end`, on average `foretold`, and what happened to them; in 100."""

    words: str
    foretold: int
    people: int
    events: int
    happened: str
    start: float
    end: float
    low: float
    rate: float
    high: float


@dataclass(frozen=True, slots=True)
class InputRow:
    """One input: the range the model knows, the group's average, and where it is read from."""

    words: str
    range: str
    average: str
    source: str


def calibration_rows(manifest: Manifest) -> list[CalibrationRow]:
    """One row per bin of the reference cohort."""
    bins = manifest.reference.bins
    ends = [following.probability_low for _, following in pairwise(bins)]
    return [_calibration_row(each, end) for each, end in zip(bins, [*ends, 1.0], strict=True)]


def _calibration_row(each: Bin, end: float) -> CalibrationRow:
    start = 100 * each.probability_low
    return CalibrationRow(
        words=f"{start:.0f} to {100 * end:.0f}" if end < 1 else f"{start:.0f} and over",
        foretold=in_100(each.predicted),
        people=each.count,
        events=each.events,
        happened=f"{in_100(each.rate)} ({people_range(each.low, each.high)})",
        start=start,
        end=100 * end,
        low=100 * each.low,
        rate=100 * each.rate,
        high=100 * each.high,
    )


def input_rows(manifest: Manifest) -> list[InputRow]:
    """One row per input, in the model's order."""
    return [_input_row(feature) for feature in manifest.features]


def _input_row(feature: Feature) -> InputRow:
    source = f"LOINC {', '.join(feature.loinc)}" if feature.loinc else feature.fhir
    return InputRow(words_of(feature), _range(feature), average_of(feature), source)


def _range(feature: Feature) -> str:
    if feature.name == SEX:
        return "male or female"
    low, high = spoken_value(feature.trained_low), spoken_value(feature.trained_high)
    above = f"; above, it counts as {feature.clip_high:g}" if feature.clip_high is not None else ""
    return f"{low} to {high} {spoken_unit(feature.unit)}{above}"
