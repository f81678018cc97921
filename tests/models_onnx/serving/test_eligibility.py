"""No score outside the population, with too few inputs or outside the trained range; the reason names what it is."""

import math

import msgspec
import pytest

from fhir.record.refusals import WhyNot
from models_onnx.artifact.manifest import Twin
from models_onnx.models.mortality_5y import LABS
from models_onnx.serving.eligibility import not_in_population, not_scored, twin_may_take_over
from models_onnx.serving.runtime import Model
from tests.each import each_row
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


@each_row(("name", "value", "why"))
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
    refused = WhyNot(mortality.manifest.id, reason, "a sentence")
    with_twin = msgspec.structs.replace(mortality.manifest, twin=Twin("mortality_5y_small", "needs less"))
    without = msgspec.structs.replace(mortality.manifest, twin=None)
    assert twin_may_take_over(with_twin, refused) is (reason in ("input-missing", "too-few-inputs"))
    assert not twin_may_take_over(without, refused)
    assert not twin_may_take_over(with_twin, None)


@pytest.mark.parametrize("age", [None, math.nan])
def test_without_an_age_there_is_no_score(mortality: Model, age: float | None) -> None:
    why = not_in_population(mortality.manifest, age)
    assert why is not None
    assert why.reason == "age-unknown"
    assert why.text.endswith("no score, because no usable date of birth is on record (year and month at least).")
