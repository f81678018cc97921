"""No score outside the population, with too few inputs or outside the trained range; the reason names what it is."""

import math
from itertools import combinations
from types import SimpleNamespace
from typing import cast

import msgspec
import numpy as np
import pytest

from fhir.record.refusals import WhyNot
from models_onnx.artifact.manifest import Manifest, ModelInput, RequiredInputGroup, RequiredInputs, Twin
from models_onnx.models.mortality_5y import LABS
from models_onnx.serving.eligibility import (
    lacks_inputs,
    may_be_scored,
    not_in_population,
    not_scored,
    out_of_range,
    twin_may_take_over,
)
from models_onnx.serving.runtime import Model, Prediction
from tests.each import for_rows
from tests.models_onnx.serving.test_runtime import person


def test_seven_labs_are_too_few_and_eight_are_enough(mortality: Model) -> None:
    three = dict.fromkeys(LABS[:3], math.nan)
    assert not_scored(mortality.manifest, person(mortality, **three)) is None
    told = not_scored(mortality.manifest, person(mortality, **three, rdw_pct=math.nan))
    assert told is not None
    assert told.reason == "too-few-inputs"
    assert "7 of the 11" in told.text
    assert told.about == ("albumin_g_dl", "alp_u_l", "bun_mg_dl", "rdw_pct")
    assert "Red cell width" in told.text


def test_the_masks_of_a_prediction_say_the_same_as_its_values(mortality: Model) -> None:
    """What is needed may lack one by one, in groups, and beside what is not needed; a value may be out of range."""
    for absent in (*combinations(mortality.features, 1), *combinations(("sex_male", *LABS[:6]), 4), (), LABS[:3]):
        for changed in ({}, {"creatinine_mg_dl": 5.2}):
            values = person(mortality, **{**changed, **dict.fromkeys(absent, math.nan)})
            is_out = [out_of_range(item, v) for item, v in zip(mortality.manifest.features, values, strict=True)]
            masks = cast(Prediction, SimpleNamespace(out_of_range=np.array(is_out), missing=np.isnan(values)))
            expected = not_scored(mortality.manifest, values) is None
            assert may_be_scored(mortality.manifest, masks) is expected, (absent, changed)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("creatinine_mg_dl", 5.2, "kidney failure, cut from the study"),
        ("creatinine_mg_dl", 88.0, "umol/L taken for mg/dL"),
        ("glucose_mg_dl", 5.6, "mmol/L taken for mg/dL"),
        ("albumin_g_dl", 41.0, "g/L taken for g/dL"),
        ("wbc_10e3_ul", 7200.0, "per uL"),
        ("bilirubin_total_mg_dl", 12.0, "umol/L taken for mg/dL"),
    ],
)
def test_a_value_outside_the_trained_range_is_refused_and_named(
    mortality: Model, name: str, value: float, why: str
) -> None:
    told = not_scored(mortality.manifest, person(mortality, **{name: value}))
    assert told is not None, why
    assert (told.reason, told.about) == ("out-of-range", (name,))
    assert mortality.manifest.feature(name).words in told.text
    assert f"{value:g}" in told.text


@pytest.mark.parametrize("reason", ["input-missing", "too-few-inputs", "age-unknown", "outside-population"])
def test_a_twin_takes_over_only_what_is_refused_for_missing_inputs(mortality: Model, reason: str) -> None:
    refused = WhyNot(MANIFEST.id, reason, "a sentence")
    with_twin = msgspec.structs.replace(mortality.manifest, twin=Twin("mortality_5y_small", "needs less"))
    without = msgspec.structs.replace(mortality.manifest, twin=None)
    assert twin_may_take_over(with_twin, refused) is (reason in ("input-missing", "too-few-inputs"))
    assert not twin_may_take_over(without, refused)
    assert not twin_may_take_over(with_twin, None)


# Each reason against a score as its whole sentence, on and beside every limit.


NAN = float("nan")


def _input(name: str, low: float, high: float, clip: float | None = None, unit: str = "mg/dL") -> ModelInput:
    return ModelInput(name, name.title(), unit, (), "", low, high, clip, low, None)


INPUTS = (_input("age", 18, 90, 80, "a"), _input("urea", 2.5, 100), _input("sodium", 120, 160, unit="mmol/L"))
MANIFEST = cast(Manifest, SimpleNamespace(
    id="falls", title="Falls", features=INPUTS, population=SimpleNamespace(age_low=18, words="adults"),
    required=RequiredInputs(("age",), (RequiredInputGroup("labs", "laboratory values", ("urea", "sodium"), 1),)),
    feature=lambda name: next(item for item in INPUTS if item.name == name),
))  # fmt: skip


@pytest.mark.parametrize("age", [18, 18.0, 120])
def test_who_is_old_enough_is_of_the_population(age: float) -> None:
    assert not_in_population(MANIFEST, age) is None


@pytest.mark.parametrize("age", [None, NAN])
def test_without_an_age_there_is_no_score(age: float | None) -> None:
    assert not_in_population(MANIFEST, age) == WhyNot(
        MANIFEST.id,
        "age-unknown",
        "Falls: no score, because no usable date of birth is on record (year and month at least).",
        (),
    )


def test_who_is_too_young() -> None:
    assert not_in_population(MANIFEST, 17.0) == WhyNot(
        MANIFEST.id, "outside-population", "Falls: no score. It is for adults; this person is 17.", ("age_years",)
    )


@for_rows(
    ("item", "value", "is_out"),
    [
        (INPUTS[0], 17.99, True),
        (INPUTS[0], 18, False),
        (INPUTS[0], 500, False),
        (INPUTS[1], 2.4999999999, False),
        (INPUTS[1], 2.4, True),
        (INPUTS[1], 100.0000001, False),
        (INPUTS[1], 100.1, True),
        (INPUTS[1], NAN, False),
    ],
)
def test_a_value_is_compared_as_the_file_does_with_seven_digits(item: ModelInput, value: float, is_out: bool) -> None:
    assert out_of_range(item, value) is is_out


@for_rows(
    ("values", "reason"),
    [
        ((50, 5, 140), None),
        ((50, NAN, 140), None),
        ((50, 5, NAN), None),
        ((18, 2.5, 120), None),
        ((90, 100, 160), None),
        ((120, 100, 160), None),
        (
            (NAN, NAN, NAN),
            WhyNot(MANIFEST.id, "input-missing", "Falls: no score, because age must be known.", ("age",)),
        ),
        (
            (50, NAN, NAN),
            WhyNot(
                MANIFEST.id,
                "too-few-inputs",
                "Falls: no score. 0 of the 2 laboratory values are usable, at least 1 are needed. Missing: Urea, "
                "Sodium.",
                ("urea", "sodium"),
            ),
        ),
        (
            (17, 100.5, 161),
            WhyNot(
                MANIFEST.id,
                "out-of-range",
                "Falls: no score, outside the range the model was built on: Age 17 a (built on 18 to 90); Urea 100.5 "
                "mg/dL (built on 2.5 to 100); Sodium 161 mmol/L (built on 120 to 160).",
                ("age", "urea", "sodium"),
            ),
        ),
        (
            (50, NAN, 119.9),
            WhyNot(
                MANIFEST.id,
                "out-of-range",
                "Falls: no score, outside the range the model was built on: Sodium 119.9 mmol/L (built on 120 to 160).",
                ("sodium",),
            ),
        ),
    ],
)
def test_the_first_reason_against_a_score(values: tuple[float, ...], reason: WhyNot | None) -> None:
    assert not_scored(MANIFEST, np.array(values)) == reason
    missing = lacks_inputs(MANIFEST, np.array(values))
    assert missing == (None if reason is None or reason.reason == "out-of-range" else reason)
