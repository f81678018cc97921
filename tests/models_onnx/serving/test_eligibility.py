"""No score outside the population, with too few inputs or outside the trained range; the reason names what it is."""

import math
from itertools import combinations
from types import SimpleNamespace
from typing import cast

import msgspec
import numpy as np
import pytest

from models_onnx.artifact.manifest import ModelInput, Twin
from models_onnx.models.mortality_5y import LABS
from models_onnx.serving.effects import values_over_range
from models_onnx.serving.eligibility import (
    NotScored,
    may_be_scored,
    not_in_population,
    not_scored,
    out_of_range,
    twin_may_take_over,
)
from models_onnx.serving.runtime import Model, Prediction
from tests.models_onnx.serving.test_runtime import person


@pytest.mark.parametrize(
    ("age", "reason"), [(None, "age-unknown"), (39, "outside-population"), (0, "outside-population")]
)
def test_an_age_outside_the_population_is_said(mortality: Model, age: int | None, reason: str) -> None:
    told = not_in_population(mortality.manifest, age)
    assert told is not None
    assert told.reason == reason


@pytest.mark.parametrize("age", [40, 80, 104])
def test_an_age_of_the_population_is_not_held_against_anyone(mortality: Model, age: int) -> None:
    assert not_in_population(mortality.manifest, age) is None


def test_a_complete_vector_is_scored(mortality: Model) -> None:
    assert not_scored(mortality.manifest, person(mortality)) is None


def test_seven_labs_are_too_few_and_eight_are_enough(mortality: Model) -> None:
    three = dict.fromkeys(LABS[:3], math.nan)
    assert not_scored(mortality.manifest, person(mortality, **three)) is None
    told = not_scored(mortality.manifest, person(mortality, **three, rdw_pct=math.nan))
    assert told is not None
    assert told.reason == "too-few-inputs"
    assert "7 of the 11" in told.text
    assert told.features == ("albumin_g_dl", "alp_u_l", "bun_mg_dl", "rdw_pct")
    assert "Red cell width" in told.text


def test_without_pressure_and_body_mass_there_is_a_score(mortality: Model) -> None:
    values = person(mortality, sbp_mmhg=math.nan, dbp_mmhg=math.nan, bmi_kg_m2=math.nan)
    assert not_scored(mortality.manifest, values) is None


def test_the_masks_of_a_prediction_say_the_same_as_its_values(mortality: Model) -> None:
    """What is needed may lack one by one, in groups, and beside what is not needed; a value may be out of range."""
    for absent in (*combinations(mortality.features, 1), *combinations(("sex_male", *LABS[:6]), 4), (), LABS[:3]):
        for changed in ({}, {"creatinine_mg_dl": 5.2}):
            values = person(mortality, **{**changed, **dict.fromkeys(absent, math.nan)})
            is_out = [out_of_range(item, v) for item, v in zip(mortality.manifest.features, values, strict=True)]
            masks = cast(Prediction, SimpleNamespace(out_of_range=np.array(is_out), missing=np.isnan(values)))
            expected = not_scored(mortality.manifest, values) is None
            assert may_be_scored(mortality.manifest, masks) is expected, (absent, changed)


def test_without_sex_there_is_no_score(mortality: Model) -> None:
    told = not_scored(mortality.manifest, person(mortality, sex_male=math.nan))
    assert told is not None
    assert (told.reason, told.features) == ("input-missing", ("sex_male",))


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
    assert (told.reason, told.features) == ("out-of-range", (name,))
    assert mortality.manifest.feature(name).words in told.text
    assert f"{value:g}" in told.text


def test_the_range_check_is_that_of_the_model_file(mortality: Model) -> None:
    draw = np.random.default_rng(3)
    for item in mortality.manifest.features:
        near = [item.trained_low, item.trained_high]
        values = [float(np.nextafter(np.float32(edge), np.float32(way))) for edge in near for way in (-np.inf, np.inf)]
        values += [*near, *draw.normal(item.trained_high, abs(item.trained_high) / 2 + 1, 20).tolist()]
        position = mortality.features.index(item.name)
        for value in values:
            told = mortality.predict(person(mortality, **{item.name: value})).out_of_range[position]
            assert out_of_range(item, value) == told, (item.name, value)


@pytest.mark.parametrize("reason", ["input-missing", "too-few-inputs", "age-unknown", "outside-population"])
def test_a_twin_takes_over_only_what_is_refused_for_missing_inputs(mortality: Model, reason: str) -> None:
    refused = NotScored(reason, "a sentence")
    with_twin = msgspec.structs.replace(mortality.manifest, twin=Twin("mortality_5y_small", "needs less"))
    without = msgspec.structs.replace(mortality.manifest, twin=None)
    assert twin_may_take_over(with_twin, refused) is (reason in ("input-missing", "too-few-inputs"))
    assert not twin_may_take_over(without, refused)
    assert not twin_may_take_over(with_twin, None)


@pytest.mark.parametrize(
    ("unit", "high", "clip", "points"),
    [("1", 1.0, None, 2), ("", 1.0, None, 2), ("mg/dL", 1.0, None, 41), ("1", 2.0, None, 41), ("", 2.0, 1.99, 42)],
)
def test_the_effect_of_a_yes_or_no_has_two_points_and_of_a_number_many(
    unit: str, high: float, clip: float | None, points: int
) -> None:
    item = ModelInput("x", "X", unit, (), "", 0.0, high, clip, 0.0, None)
    values = values_over_range(item).tolist()
    assert (values[0], values[-1], len(values)) == (0.0, high, points)
    assert clip is None or clip in values
    coded = msgspec.structs.replace(item, choices=("no", "yes", "not known"))
    assert values_over_range(coded).tolist() == [0.0, 1.0, 2.0]
