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
    age,
    get_equation,
    measured,
    sex,
)
from models_onnx.errors import DeclarationError
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


def test_an_unknown_analyte_is_refused_with_those_that_are_similar() -> None:
    with pytest.raises(DeclarationError) as refused:
        measured("x", "creatinin", 1, 2)
    similar = "; similar names are creatinine"
    start = "input 'x': there is no analyte 'creatinin' (fhir/terminology/analytes.py)"
    assert (str(refused.value)[: len(start + similar)], refused.value.about) == (start + similar, "creatinin")
