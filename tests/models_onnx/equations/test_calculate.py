"""Every equation: reproduces its vectors, adds up, refuses by name, says what the source file says."""

from itertools import product
from typing import Any

import pytest

from models_onnx.equations.arithmetic import invert_link
from models_onnx.equations.calculate import calculate
from models_onnx.equations.declaration import Equation, find_equations
from models_onnx.errors import EquationRefused
from tests.each import for_each, for_rows
from tests.models_onnx.equations.vectors import all_vectors, vectors_of

EQUATIONS = find_equations()


VECTORS = {
    each: [(f"{name} {vector['id']}", (name, vector)) for name, vector in all_vectors() if name == each]
    for each in dict.fromkeys(name for name, _ in all_vectors())
}


def _sound(equation: Equation) -> tuple[dict[str, Any], str | None]:
    """Inputs with a value, and the output."""
    vector = vectors_of(equation.id)[0]
    return dict(vector["inputs"]), vector.get("output")


@for_rows("name", list(VECTORS))
def test_every_vector_is_reproduced(name: str) -> None:
    for_each(VECTORS[name], _is_reproduced)


def _is_reproduced(name: str, vector: dict[str, Any]) -> None:
    value = calculate(EQUATIONS[name], vector["inputs"], vector.get("output")).value
    assert value == pytest.approx(vector["expected"], rel=1e-9)
    if "published" in vector and "note" not in vector:
        tolerance = vector.get("published_tolerance", 0.5 * 10 ** -vector["published_decimals"] * 1.000001)
        assert abs(float(value) - vector["published"]) <= tolerance


@for_rows("name", list(VECTORS))
def test_base_and_contributions_add_up_to_the_link_of_the_value(name: str) -> None:
    for_each(VECTORS[name], _adds_up)


def _adds_up(name: str, vector: dict[str, Any]) -> None:
    working = calculate(EQUATIONS[name], vector["inputs"], vector.get("output")).working
    assert invert_link(working.link, working.margin) == pytest.approx(working.value, abs=1e-9)
    assert {part.input for part in working.contributions} <= {item.name for item in EQUATIONS[name].inputs}


@for_rows("equation", list(EQUATIONS.values()), ids=list(EQUATIONS))
def test_a_missing_input_is_refused_by_name(equation: Equation) -> None:
    inputs, output = _sound(equation)
    wanted = equation.output(output).id
    for item in equation.inputs:
        if item.is_needed_for(wanted):
            with pytest.raises(EquationRefused) as refused:
                calculate(equation, {name: value for name, value in inputs.items() if name != item.name}, output)
            assert (refused.value.reason, refused.value.inputs) == ("input-missing", (item.name,))


UNUSABLE = ("nonsense", float("nan"), float("inf"), [1], None)


@for_rows("equation", list(EQUATIONS.values()), ids=list(EQUATIONS))
def test_what_is_no_value_is_refused_and_never_guessed(equation: Equation) -> None:
    inputs, output = _sound(equation)
    needed = (each for each in equation.inputs if each.is_needed_for(equation.output(output).id))
    for item, unusable in product(needed, UNUSABLE):
        with pytest.raises(EquationRefused) as refused:
            calculate(equation, {**inputs, item.name: unusable}, output)
        assert refused.value.inputs == (item.name,)


@for_rows("equation", list(EQUATIONS.values()), ids=list(EQUATIONS))
def test_every_equation_has_vectors_and_refuses_those_that_expect_a_refusal(equation: Equation) -> None:
    vectors = vectors_of(equation.id)
    assert vectors, f"write tests/models_onnx/equations/published/{equation.id}.json"
    for vector in vectors:
        if vector["expected"] is None:
            with pytest.raises(EquationRefused) as refused:
                calculate(equation, vector["inputs"], vector.get("output"))
            assert vector.get("reason") in (None, *refused.value.inputs)


def test_the_30_year_risk_is_refused_from_60_on() -> None:
    sound = {**vectors_of("prevent_base")[0]["inputs"], "age": 60}
    calculate(EQUATIONS["prevent_base"], sound, "ascvd|10y")
    with pytest.raises(EquationRefused) as refused:
        calculate(EQUATIONS["prevent_base"], sound, "ascvd|30y")
    assert (refused.value.reason, refused.value.inputs) == ("outside-population", ("age",))


def test_kidney_failure_is_refused_from_egfr_60_on() -> None:
    sound = {**vectors_of("kfre_4")[0]["inputs"], "egfr": 60}
    with pytest.raises(EquationRefused) as refused:
        calculate(EQUATIONS["kfre_4"], sound, "5y")
    assert refused.value.reason == "outside-population"
