"""An equation that contradicts itself is refused where it is declared, with the name of what is wrong."""

from dataclasses import fields
from typing import Any

import pytest

from models_onnx.equations.declaration import (
    Band,
    BandTable,
    Equation,
    EquationInput,
    Exclusion,
    get_equation,
    measured,
)
from models_onnx.errors import DeclarationError

FIB4 = get_equation("fib4")


def _with(**members: Any) -> Equation:
    given = {each.name: getattr(FIB4, each.name) for each in fields(Equation) if each.init}
    return Equation(**{**given, **members})


def _bands(*lowest: float | None) -> tuple[BandTable, ...]:
    bands = tuple(Band(f"band-{position}", "words", low) for position, low in enumerate(lowest))
    return (BandTable(output=FIB4.outputs[0].id, bands=bands, source="a guideline", verified="knowledge"),)


def _inputs(other: EquationInput) -> tuple[EquationInput, ...]:
    return tuple(other if each.name == other.name else each for each in FIB4.inputs)


def test_an_equation_as_it_is_is_taken() -> None:
    assert _with().id == "fib4"


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"inputs": _inputs(measured("ast", "ast", 500, 5))}, "the limits of ast are 500 to 5; the lower one is first"),
        (
            {"inputs": _inputs(measured("ast", "ast", 5, 500, feature="inr"))},
            "ast is ast in U/L, but its feature inr",
        ),
        ({"bands": _bands(None, 3, 2)}, "band band-2 does not begin above band band-1"),
        ({"bands": _bands(None, 3, None)}, "band band-2 does not begin above band band-1"),
        ({"population": " "}, "population is empty"),
        ({"reviewed": "20.11.2026"}, "it must be an ISO date"),
        ({"exclusions": (Exclusion("child", "is_child"),)}, "written with a comma"),  # type: ignore[arg-type]
        ({"cautions": "One."}, "cautions is 'One.'; it must be a tuple"),
        ({"work": "work"}, "work is 'work'; it must be a function"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(members: dict[str, Any], said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        _with(**members)
