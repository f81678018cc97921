"""Each reason against a score as its whole sentence, on and beside every limit."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from models_onnx.artifact.manifest import Manifest, ModelInput, RequiredInputGroup, RequiredInputs
from models_onnx.serving.effects import Effect, values_over_range
from models_onnx.serving.eligibility import (
    NotScored,
    lacks_inputs,
    may_be_scored,
    not_in_population,
    not_scored,
    out_of_range,
)
from models_onnx.serving.runtime import Prediction

NAN = float("nan")


def _input(name: str, low: float, high: float, clip: float | None = None, unit: str = "mg/dL") -> ModelInput:
    return ModelInput(name, name.title(), unit, (), "", low, high, clip, low, None)


INPUTS = (_input("age", 18, 90, 80, "a"), _input("urea", 2.5, 100), _input("sodium", 120, 160, unit="mmol/L"))
MANIFEST = cast(Manifest, SimpleNamespace(
    title="Falls", features=INPUTS, population=SimpleNamespace(age_low=18, words="adults"),
    required=RequiredInputs(("age",), (RequiredInputGroup("labs", "laboratory values", ("urea", "sodium"), 1),)),
    feature=lambda name: next(item for item in INPUTS if item.name == name),
))  # fmt: skip


@pytest.mark.parametrize("age", [18, 18.0, 120])
def test_who_is_old_enough_is_of_the_population(age: float) -> None:
    assert not_in_population(MANIFEST, age) is None


@pytest.mark.parametrize("age", [None, NAN])
def test_without_an_age_there_is_no_score(age: float | None) -> None:
    assert not_in_population(MANIFEST, age) == NotScored(
        "age-unknown", "Falls: no score, because no usable date of birth is on record (year and month at least).", ()
    )


def test_who_is_too_young() -> None:
    assert not_in_population(MANIFEST, 17.0) == NotScored(
        "outside-population", "Falls: no score. It is for adults; this person is 17.", ("age_years",)
    )


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((50, 5, 140), None),
        ((50, NAN, 140), None),
        ((50, 5, NAN), None),
        ((18, 2.5, 120), None),
        ((90, 100, 160), None),
        ((120, 100, 160), None),
        ((NAN, NAN, NAN), NotScored("input-missing", "Falls: no score, because age must be known.", ("age",))),
        (
            (50, NAN, NAN),
            NotScored(
                "too-few-inputs",
                "Falls: no score. 0 of the 2 laboratory values are usable, at least 1 are needed. Missing: Urea, "
                "Sodium.",
                ("urea", "sodium"),
            ),
        ),
        (
            (17, 100.5, 161),
            NotScored(
                "out-of-range",
                "Falls: no score, outside the range the model was built on: Age 17 a (built on 18 to 90); Urea 100.5 "
                "mg/dL (built on 2.5 to 100); Sodium 161 mmol/L (built on 120 to 160).",
                ("age", "urea", "sodium"),
            ),
        ),
        (
            (50, NAN, 119.9),
            NotScored(
                "out-of-range",
                "Falls: no score, outside the range the model was built on: Sodium 119.9 mmol/L (built on 120 to 160).",
                ("sodium",),
            ),
        ),
    ],
)
def test_the_first_reason_against_a_score(values: tuple[float, ...], reason: NotScored | None) -> None:
    assert not_scored(MANIFEST, np.array(values)) == reason
    missing = lacks_inputs(MANIFEST, np.array(values))
    assert missing == (None if reason is None or reason.reason == "out-of-range" else reason)


def test_two_inputs_that_must_be_there_are_named_together() -> None:
    both = cast(Manifest, SimpleNamespace(**{**vars(MANIFEST), "required": RequiredInputs(("age", "sodium"), ())}))
    assert not_scored(both, np.array([NAN, 5, NAN])) == NotScored(
        "input-missing", "Falls: no score, because age and sodium must be known.", ("age", "sodium")
    )


@pytest.mark.parametrize(
    ("missing", "out", "fine"),
    [
        ((False, False, False), (False, False, False), True),
        ((False, True, False), (False, False, False), True),
        ((False, True, True), (False, False, False), False),
        ((True, False, False), (False, False, False), False),
        ((False, False, False), (False, False, True), False),
        ((False, True, False), (True, False, False), False),
    ],
)
def test_the_masks_of_a_file_say_the_same(missing: tuple[bool, ...], out: tuple[bool, ...], fine: bool) -> None:
    prediction = cast(Prediction, SimpleNamespace(missing=np.array(missing), out_of_range=np.array(out)))
    assert may_be_scored(MANIFEST, prediction) is fine


@pytest.mark.parametrize(
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


def test_an_effect_depends_on_others_from_a_difference_that_is_no_rounding() -> None:
    def depends(gap: float) -> bool:
        return Effect(INPUTS[0], (1.0, 2.0), (0.0, 0.0), (0.0, 0.0), (0.0, gap)).depends_on_others

    assert (depends(0.0), depends(0.9e-5), depends(1.1e-5), depends(1.0)) == (False, False, True, True)


@pytest.mark.parametrize(
    ("changes", "values"),
    [
        ({"choices": ("a", "b", "c")}, [0, 1, 2]),
        ({"unit": "1"}, [0, 1]),
        ({"unit": ""}, [0, 1]),
        ({"unit": "kg"}, [number / 40 for number in range(41)]),
        ({"unit": "kg", "clip_high": 0.51}, sorted([*(number / 40 for number in range(41)), 0.51])),
        ({"unit": "kg", "clip_high": 0.5}, [number / 40 for number in range(41)]),
    ],
)
def test_the_values_over_which_an_effect_is_drawn(changes: dict[str, Any], values: list[float]) -> None:
    item = ModelInput(
        **{
            "name": "x",
            "words": "X",
            "unit": "1",
            "loinc": (),
            "fhir": "",
            "trained_low": 0.0,
            "trained_high": 1.0,
            "clip_high": None,
            "reference_value": 0.0,
            "group": None,
            **changes,
        }
    )
    assert values_over_range(item).tolist() == pytest.approx(values)
