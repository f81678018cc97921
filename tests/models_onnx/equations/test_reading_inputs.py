"""One input of an equation: what is taken as its value, on and beside its limits, and each refusal in whole."""

from typing import Any

import pytest
from msgspec.structs import replace

from models_onnx.equations.calculate import Quantity, calculate, limits, read_input, read_inputs
from models_onnx.equations.declaration import EquationInput, get_equation, measured, sex, yes_no
from models_onnx.errors import EquationRefused

YEARS = EquationInput(name="age", words="Age", unit="a", low=35, high=65)
SCORE = EquationInput(name="total", words="Total", kind="whole", low=0, high=9)
COUNT = EquationInput(name="count", words="Count", low=0)
CREATININE = measured("creatinine", "creatinine", 0.5, 5.0)
FEMALE = sex()
SMOKES = yes_no("smokes", "Smoking")


@pytest.mark.parametrize(
    ("item", "raw", "value"),
    [
        (YEARS, 35, 35.0),
        (YEARS, 65.0, 65.0),
        (YEARS, 35 * (1 - 1e-10), 35 * (1 - 1e-10)),
        (YEARS, 65 * (1 + 1e-10), 65 * (1 + 1e-10)),
        (YEARS, " 40 ", 40.0),
        (YEARS, Quantity("41.5", "a"), 41.5),
        (COUNT, 1e9, 1e9),
        (SCORE, 3, 3.0),
        (SCORE, 3.0, 3.0),
        (CREATININE, Quantity(88.42, "umol/L"), pytest.approx(1.0, rel=1e-3)),
        (CREATININE, Quantity(1.0, "mg/dL"), 1.0),
        (FEMALE, " Female ", "female"),
        (FEMALE, "male", "male"),
        (SMOKES, True, True),
        (SMOKES, 0, False),
        (SMOKES, 1.0, True),
        (SMOKES, " YES ", True),
        (SMOKES, "no", False),
        (SMOKES, "true", True),
        (SMOKES, "false", False),
        (SMOKES, "1", True),
        (SMOKES, "0", False),
    ],
)
def test_a_value_is_read_in_the_unit_of_the_equation(item: EquationInput, raw: Any, value: Any) -> None:
    read = read_input("Index", item, raw)
    assert read == value
    assert isinstance(read, bool) == (item is SMOKES)


@pytest.mark.parametrize(
    ("item", "raw", "reason", "sentence"),
    [
        (YEARS, 34.9, "out-of-range", "Index: Age 34.9 a is outside 35 to 65."),
        (YEARS, 65.1, "out-of-range", "Index: Age 65.1 a is outside 35 to 65."),
        (YEARS, 65 * (1 + 1e-8), "out-of-range", "Index: Age 65 a is outside 35 to 65."),
        (YEARS, 35 * (1 - 1e-8), "out-of-range", "Index: Age 35 a is outside 35 to 65."),
        (COUNT, -1, "out-of-range", "Index: Count -1 is outside from 0."),
        (replace(COUNT, low=None, high=9), 10, "out-of-range", "Index: Count 10 is outside up to 9."),
        (SCORE, 2.5, "input-unusable", "Index: Total 2.5 is no whole number."),
        (SCORE, 10, "out-of-range", "Index: Total 10 is outside 0 to 9."),
        *((YEARS, raw, "input-unusable", "Index: Age is no usable number.") for raw in ("x", True, float("nan"), [40])),
        (YEARS, float("inf"), "input-unusable", "Index: Age is no usable number."),
        (YEARS, Quantity(40, "mo"), "input-unusable", "Index: Age in mo cannot be converted to a."),
        (YEARS, Quantity(40, ""), "input-unusable", "Index: Age in no unit cannot be converted to a."),
        (FEMALE, "other", "input-unusable", "Index: Sex must be female or male."),
        (FEMALE, 1, "input-unusable", "Index: Sex must be female or male."),
        *((SMOKES, raw, "input-unusable", "Index: Smoking must be yes or no.") for raw in (2, "maybe", 0.5, [1])),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_in_a_sentence(
    item: EquationInput, raw: Any, reason: str, sentence: str
) -> None:
    with pytest.raises(EquationRefused) as refused:
        read_input("Index", item, raw)
    assert (refused.value.reason, refused.value.text, refused.value.inputs) == (reason, sentence, (item.name,))


def test_limits_are_put_in_words() -> None:
    words = [limits(item) for item in (YEARS, COUNT, replace(COUNT, low=None, high=9), replace(COUNT, low=None))]
    assert words == ["35 to 65", "from 0", "up to 9", "no limits"]


def test_inputs_are_read_by_name_and_those_that_an_output_does_not_need_may_be_absent() -> None:
    fib4 = get_equation("fib4")
    whole = {"age": 55, "ast": 45, "alt": 50, "platelets": 180}
    assert read_inputs(fib4, whole, fib4.output()) == whole
    refusals: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
        "FIB-4 has no input": ({**whole, "zinc": 1, "b12": 2}, "fib4 has no input b12, zinc.", ("b12", "zinc")),
        "nothing": ({name: value for name, value in whole.items() if name != "ast"},
                    f"{fib4.title}: no {fib4.input('ast').words.lower()}.", ("ast",)),
        "none": ({**whole, "alt": None}, f"{fib4.title}: no {fib4.input('alt').words.lower()}.", ("alt",)),
    }  # fmt: skip
    for inputs, sentence, names in refusals.values():
        with pytest.raises(EquationRefused) as refused:
            read_inputs(fib4, inputs, fib4.output())
        assert (refused.value.text, refused.value.inputs) == (sentence, names)


def test_a_result_has_its_number_its_band_and_what_was_observed() -> None:
    index = calculate(get_equation("fib4"), {"age": 55, "ast": 45, "alt": 50, "platelets": 180})
    assert index.value == index.number == pytest.approx(1.9445436)
    assert index.band is not None
    assert index.table is not None
    assert (index.band.id, index.band in index.table.bands) == ("indeterminate", True)
    score = get_equation("cha2ds2_vasc")
    values: dict[str, Any] = {item.name: False for item in score.inputs} | {"age": 80, "sex": "female"}
    result = calculate(score, values)
    assert (result.value, result.number) == (3, 3.0)  # two for 75 and over, one for the sex
    assert result.rates() == [(rate, rate.of[3]) for rate in score.rates if 3 in rate.of]
    assert score.rates == () or result.rates()
