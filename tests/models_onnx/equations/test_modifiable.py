"""What a what-if may change is named by a source, is never age or sex, and goes with a lower estimate as declared."""

from typing import Any

import pytest

from models_onnx.equations.calculate import calculate
from models_onnx.equations.declaration import get_equation
from models_onnx.equations.modifiable import NEVER, ModifiableInput, all_modifiable, modifiable_inputs, read_row
from models_onnx.errors import DeclarationError

ROWS = all_modifiable()
PEOPLE: dict[str, list[dict[str, Any]]] = {
    "prevent_base": [
        {
            "sex": sex, "age": age, "total_cholesterol": 240, "hdl_cholesterol": 45, "sbp": 160, "diabetes": diabetes,
            "current_smoker": True, "egfr": 70, "bp_medication": True, "statin": False,
        }
        for sex in ("female", "male") for age in (35, 55, 75) for diabetes in (False, True)
    ],
    "kfre_4": [
        {"age": age, "sex": "male", "egfr": 30, "uacr": 800, "calibration": "north_america"} for age in (40, 80)
    ],
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.equation}-{row.input}")
def test_every_row_names_its_document_and_the_day_of_its_review(row: ModifiableInput) -> None:
    assert row.input not in NEVER
    assert all((row.document, row.organisation, row.section, row.verified))
    assert row.url.startswith("https://")
    assert row.year.isdigit()
    assert row.reviewed <= "2026-12-31"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.equation}-{row.input}")
def test_the_estimate_never_rises_over_the_range_of_an_input_that_can_be_lowered(row: ModifiableInput) -> None:
    equation = get_equation(row.equation)
    for person in PEOPLE[row.equation]:
        if row.direction == "to-no":
            values: list[Any] = [True, False]
        else:
            assert row.low is not None
            step = (person[row.input] - row.low) / 20
            values = [person[row.input] - number * step for number in range(21)]
        found = [calculate(equation, {**person, row.input: value}, row.output).number for value in values]
        assert found == sorted(found, reverse=True), person
        assert found[-1] < found[0]


def test_an_output_without_a_source_has_nothing_to_change() -> None:
    assert modifiable_inputs("prevent_base", "heart_failure|10y") == ()
    assert modifiable_inputs("cha2ds2_vasc", "score") == ()
    assert [row.input for row in modifiable_inputs("kfre_4", "5y")] == ["uacr"]


GOOD = {
    "equation": "prevent_base", "output": "ascvd|10y", "input": "sbp", "direction": "lower", "low": "110",
    "high": "200", "range_note": "", "document": "A guideline", "organisation": "A society", "year": "2017",
    "section": "2", "url": "https://doi.org/10.1/x", "verified": "read", "reviewed": "2026-11-21",
}  # fmt: skip


@pytest.mark.parametrize(
    ("member", "value", "about"),
    [
        ("input", "age", "no input that can be changed"),
        ("input", "sex", "no input that can be changed"),
        ("input", "shoe_size", "no input that can be changed"),
        ("equation", "astrology", "no such equation"),
        ("output", "luck", "no such equation or output"),
        ("document", "", "document is empty"),
        ("url", "", "url is empty"),
        ("reviewed", "yesterday", "ISO date"),
        ("direction", "higher", "no direction"),
        ("direction", "to-no", "no direction"),
        ("low", "10", "limits of the equation"),
        ("high", "400", "limits of the equation"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_with_a_sentence(member: str, value: str, about: str) -> None:
    assert read_row(GOOD).low == 110
    with pytest.raises(DeclarationError, match=about):
        read_row({**GOOD, member: value})
