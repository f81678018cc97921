"""An equation that contradicts itself is refused where it is declared, with the name of what is wrong."""

from dataclasses import fields
from typing import Any

import pytest
from msgspec.structs import replace as changed

from models_onnx.equations.declaration import (
    Band,
    BandTable,
    Equation,
    EquationInput,
    NarrowerPopulation,
    age,
    find_equations,
    get_equation,
    measured,
    sex,
    yes_no,
)
from models_onnx.errors import DeclarationError, UnknownEquation
from tests.each import for_rows

FIB4 = get_equation("fib4")
INDEX = FIB4.outputs[0]


def _with(**members: Any) -> Equation:
    given = {item.name: getattr(FIB4, item.name) for item in fields(Equation) if item.init}
    return Equation(**{**given, **members})


def _bands(*lowest: float | None) -> tuple[BandTable, ...]:
    bands = tuple(Band(f"band-{position}", "words", low) for position, low in enumerate(lowest))
    return (BandTable(output=INDEX.id, bands=bands, source="a guideline", verified="knowledge"),)


def _inputs(other: EquationInput) -> tuple[EquationInput, ...]:
    return tuple(other if item.name == other.name else item for item in FIB4.inputs)


@for_rows(
    ("members", "sentence", "word"),
    [
        ({"outputs": (), "bands": ()}, "there is no output", "outputs"),
        ({"inputs": FIB4.inputs * 2}, "age, alt, ast, platelets is declared twice", "age"),
        ({"outputs": FIB4.outputs * 2}, "index is declared twice", "index"),
        ({"outputs": (changed(INDEX, id="other"),)}, "index is named but is no output", "index"),
        ({"inputs": _inputs(changed(FIB4.inputs[0], for_outputs=("tomorrow", "index")))},
         "tomorrow is named but is no output", "tomorrow"),
        ({"work": None}, "it says nowhere how it is worked out: give it `work`", "work"),
        *(({name: " "}, f"{name} is empty", name) for name in ("title", "version", "citation")),
        *(({name: ""}, f"{name} is empty", name) for name in ("population", "reference")),
        ({"inputs": _inputs(measured("ast", "ast", 500, 5))}, "the limits of ast are 500 to 5; the lower one is first",
         "ast"),
        ({"inputs": _inputs(measured("ast", "ast", 5, 5))}, "the limits of ast are 5 to 5; the lower one is first",
         "ast"),
        ({"inputs": _inputs(measured("ast", "ast", 5, 500, feature="inr"))},
         "input ast is ast in U/L, but its feature inr is inr in {INR}", "ast"),
        ({"inputs": (*FIB4.inputs, changed(age(1, 2), name="years", unit="mo"))},
         "input years is no analyte in mo, but its feature age_years is no analyte in a", "years"),
        ({"inputs": (*FIB4.inputs, changed(sex(), choices=()))}, "sex: choices belong to inputs of that kind only",
         "sex"),
        ({"inputs": _inputs(changed(FIB4.inputs[0], choices=("young", "old")))},
         "age: choices belong to inputs of that kind only", "age"),
        ({"inputs": _inputs(changed(FIB4.inputs[0], feature="age_yeers"))},
         "there is no feature 'age_yeers' (fhir/mapping/features); similar names are age_years", "age_yeers"),
        ({"only_with": ("qqqqqq",)}, "there is no feature 'qqqqqq' (fhir/mapping/features)", "qqqqqq"),
        ({"bands": _bands(None, 3, 2)}, "band band-2 does not begin above band band-1; bands rise", "band-2"),
        ({"bands": _bands(None, 3, None)}, "band band-2 does not begin above band band-1; bands rise", "band-2"),
        ({"reviewed": "20.11.2026"}, "reviewed is '20.11.2026'; it must be an ISO date such as 2026-11-20", "reviewed"),
    ],
)  # fmt: skip
def test_a_declaration_that_contradicts_itself_is_refused(members: dict[str, Any], sentence: str, word: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        _with(**members)
    assert (str(refused.value), refused.value.about) == (f"fib4: {sentence}", word)


@for_rows(
    "members",
    [
        {},
        {"bands": _bands(None, 2, 2)},
        {"bands": _bands(1, 2)},
        {"inputs": (*FIB4.inputs, sex(), yes_no("smokes", "Smoking", "smokes"))},
        {"inputs": _inputs(changed(FIB4.inputs[0], low=None))},
        {"inputs": _inputs(changed(FIB4.inputs[0], high=None))},
        {"work": None, "outputs": (changed(INDEX, kind="code"),)},
        {"work": None, "items": get_equation("cha2ds2_vasc").items},
    ],
)
def test_an_equation_that_does_not_contradict_itself_is_taken(members: dict[str, Any]) -> None:
    assert _with(**members).id == "fib4"


def test_an_unknown_analyte_is_refused_with_those_that_are_similar() -> None:
    with pytest.raises(DeclarationError) as refused:
        measured("x", "creatinin", 1, 2)
    similar = "; similar names are creatinine"
    start = "input 'x': there is no analyte 'creatinin' (fhir/terminology/analytes.py)"
    assert (str(refused.value)[: len(start + similar)], refused.value.about) == (start + similar, "creatinin")


def test_inputs_are_declared_in_a_word() -> None:
    assert measured("ast", "ast", 5, 500, note="a note") == EquationInput(
        name="ast", words=measured("y", "ast", 1, 2).words, unit="U/L", low=5, high=500, analyte="ast", note="a note"
    )
    assert measured("x", "ast", 5, 500, words="My words", feature="f").words == "My words"
    assert measured("x", "ast", 5, 500).loinc
    assert yes_no("s", "Smokes", "smokes", "a note") == EquationInput(
        name="s", words="Smokes", kind="yes-no", feature="smokes", note="a note"
    )
    assert (sex().kind, sex().choices, sex().feature, sex().loinc) == ("choice", ("female", "male"), "sex_male", ())
    years = age(18, 90)
    assert (years.name, years.unit, years.low, years.high, years.feature) == ("age", "a", 18, 90, "age_years")


def test_an_input_is_needed_for_every_output_or_for_those_that_it_names() -> None:
    item = changed(FIB4.inputs[0], for_outputs=("5y",))
    assert (item.is_needed_for("5y"), item.is_needed_for("2y"), FIB4.inputs[0].is_needed_for("2y")) == (
        True,
        False,
        True,
    )
    two = _with(outputs=(changed(INDEX, id="5y"), changed(INDEX, id="2y")), bands=(), inputs=(item, *FIB4.inputs[1:]))
    assert {output: [item.name for item in read] for output, read in two.read_for.items()} == {
        "5y": [item.name for item in FIB4.inputs if item.feature],
        "2y": [item.name for item in FIB4.inputs[1:] if item.feature],
    }


def test_a_narrower_population_ends_with_its_limit_or_below_it() -> None:
    upto = NarrowerPopulation(("30y",), "age", 60, "words")
    below = changed(upto, under=True)
    for value, over, at_or_over in ((59, False, False), (60, False, True), (61, True, True)):
        assert (upto.leaves_out("30y", value), below.leaves_out("30y", value)) == (over, at_or_over)
        assert not upto.leaves_out("10y", value)
        assert not below.leaves_out("10y", value)


def test_a_band_is_reached_on_its_limit_or_strictly_above_it() -> None:
    reached = [
        [band.is_reached(value) for value in (-9.0, 1.9, 2.0, 2.1)]
        for band in (Band("a", "a"), Band("b", "b", 2.0), Band("c", "c", 2.0, strictly=True))
    ]
    assert reached == [[True] * 4, [False, False, True, True], [False, False, False, True]]


def test_the_catalogue_names_its_equations() -> None:
    with pytest.raises(UnknownEquation) as refused:
        get_equation("fib5")
    assert str(refused.value) == f"no equation is called 'fib5'; there are: {', '.join(find_equations())}"
    assert FIB4.output() is FIB4.output("index") is INDEX
    assert FIB4.input("ast") is FIB4.inputs_by_name["ast"]
