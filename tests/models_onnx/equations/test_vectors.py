"""The check of a vector file: what agrees, what does not, refusals, other units, files that are none."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from models_onnx.equations.calculate import Quantity
from models_onnx.equations.declaration import Equation, get_equation
from models_onnx.equations.vectors import VectorCheck, check_vectors, own_vectors, read_vectors
from models_onnx.errors import UnknownEquation, VectorsRefused

SOUND = {"age": 55, "ast": 45, "alt": 50, "platelets": 180}
EXPECTED = 1.9445436482630056


def _check(tmp_path: Path, *vectors: dict[str, Any], **members: Any) -> list[VectorCheck]:
    path = tmp_path / "vectors.json"
    path.write_text(json.dumps({"id": "fib4", "test_vectors": list(vectors), **members}))
    return list(check_vectors(*read_vectors(path)))


def _agrees(tmp_path: Path, vector: dict[str, Any], **members: Any) -> bool:
    (checked,) = _check(tmp_path, vector, **members)
    return checked.agrees


def test_a_value_agrees_to_a_thousandth_and_no_further(tmp_path: Path) -> None:
    assert _agrees(tmp_path, {"inputs": SOUND, "expected": EXPECTED * 1.0009})
    assert not _agrees(tmp_path, {"inputs": SOUND, "expected": EXPECTED * 1.0011})


def test_the_text_of_a_disagreement_names_the_vector_and_both_values(tmp_path: Path) -> None:
    (checked,) = _check(tmp_path, {"id": "fib4-x", "inputs": SOUND, "expected": 2.5})
    assert checked.text == f"fib4-x: expected 2.5, found {EXPECTED!r}"


@pytest.mark.parametrize(
    "refusal",
    [
        {"expected": None},
        {"expected": None, "reason": "age"},
    ],
)
def test_an_expected_refusal_agrees_with_a_refusal_and_not_with_a_value(
    tmp_path: Path, refusal: dict[str, Any]
) -> None:
    assert _agrees(tmp_path, {"inputs": {**SOUND, "age": 34}, **refusal})
    assert not _agrees(tmp_path, {"inputs": SOUND, **refusal})


def test_a_refusal_about_another_input_than_the_one_named_does_not_agree(tmp_path: Path) -> None:
    assert not _agrees(tmp_path, {"inputs": {**SOUND, "platelets": 4}, "expected": None, "reason": "age"})


def test_a_refusal_where_a_value_is_expected_does_not_agree(tmp_path: Path) -> None:
    (checked,) = _check(tmp_path, {"inputs": {**SOUND, "age": 34}, "expected": 1.0})
    assert not checked.agrees
    assert "refused" in checked.text


@pytest.mark.parametrize(
    ("vector", "members"),
    [
        ({"inputs": {**SOUND, "platelets": {"value": 180000, "unit": "/uL"}}}, {}),
        ({"inputs": {**SOUND, "platelets": 180000}}, {"inputs": [{"name": "platelets", "ucum": "/uL"}]}),
    ],
)
def test_another_unit_is_converted_wherever_it_is_stated(
    tmp_path: Path, vector: dict[str, Any], members: dict[str, Any]
) -> None:
    assert _agrees(tmp_path, {**vector, "expected": EXPECTED}, **members)


def test_whole_numbers_must_be_equal(tmp_path: Path) -> None:
    path = tmp_path / "vectors.json"
    inputs = {"length_of_stay_days": 5, "acute_admission": 1, "charlson_lace": 5, "ed_visits_6m": 2}
    path.write_text(json.dumps({"id": "lace", "test_vectors": [{"inputs": inputs, "expected": 14.001}]}))
    (checked,) = check_vectors(*read_vectors(path))
    assert not checked.agrees


@pytest.mark.parametrize(
    "content",
    [
        "no json",
        "[]",
        '{"id": "fib4"}',
        '{"id": "fib4", "test_vectors": []}',
        '{"id": "fib4", "test_vectors": [{"expected": 1}]}',
        '{"id": "fib4", "test_vectors": [{"inputs": {}}]}',
        '{"id": "fib4", "test_vectors": [{"inputs": {}, "output": "5y", "expected": 1}]}',
    ],
)
def test_a_file_in_another_format_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "fib4.json"
    path.write_text(content)
    with pytest.raises(VectorsRefused):
        read_vectors(path)


def test_a_file_about_an_equation_that_there_is_not_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "score_x.json"
    path.write_text('{"test_vectors": [{"inputs": {}, "expected": 1}]}')
    with pytest.raises(UnknownEquation, match="score_x"):
        read_vectors(path)


def declared(**vector: Any) -> Any:
    """FIB-4 under another id, with its own vectors in its declaration."""
    given = {item.name: getattr(get_equation("fib4"), item.name) for item in fields(Equation) if item.init}
    return Equation(**{**given, "id": "fib5", "vectors": (vector,) if vector else ()})


def test_vectors_of_a_declaration_are_prepared_as_those_of_a_file() -> None:
    equation = declared(inputs={**SOUND, "zinc": 1}, expected=EXPECTED)
    (vector,) = own_vectors(equation)
    assert (vector.id, vector.inputs, vector.expected, vector.output) == ("vector 1", SOUND, EXPECTED, None)
    converted = declared(inputs={**SOUND, "platelets": {"value": 180000, "unit": "/uL"}}, expected=EXPECTED, id="x")
    (vector,) = own_vectors(converted)
    assert (vector.id, vector.inputs["platelets"]) == ("x", Quantity(180000, "/uL"))
    shown = "models_onnx/equations/published/fib5.py"
    sentences = [
        (declared(), f"{shown}: the EQUATION has no vectors, and there is no fib5.vectors.json beside it"),
        (declared(inputs=3, expected=1), f"{shown}: vectors: Expected `object`, got `int` - at `$[0].inputs`"),
        (declared(inputs={}, expected=1, output="5y"), f"{shown}: vector 1: fib5 has no output '5y'"),
    ]
    for wrong, sentence in sentences:
        with pytest.raises(VectorsRefused) as refused:
            own_vectors(wrong)
        assert str(refused.value) == sentence


def test_every_check_has_its_value_its_difference_and_its_sentence(tmp_path: Path) -> None:
    checks = _check(
        tmp_path,
        {"inputs": SOUND, "expected": EXPECTED * 1.25, "output": "index"},
        {"inputs": SOUND, "expected": 0},
        {"inputs": SOUND, "expected": "high"},
        {"inputs": SOUND, "expected": None, "reason": "age"},
        {"inputs": {**SOUND, "age": 34}, "expected": None, "reason": "alt", "id": "young"},
    )
    young = f"{get_equation('fib4').title}: Age 34 a is outside 35 to 120."
    assert [(check.refused, check.agrees, check.text) for check in checks] == [
        (False, False, f"vector 1 index: expected {EXPECTED * 1.25!r}, found {EXPECTED!r}"),
        (False, False, f"vector 2: expected 0, found {EXPECTED!r}"),
        (False, False, f"vector 3: expected 'high', found {EXPECTED!r}"),
        (False, False, f"vector 4: expected a refusal about age, found {EXPECTED!r}"),
        (True, False, f"young: expected a refusal about alt, found refused: {young}"),
    ]
    differences = [check.difference for check in checks]
    assert differences[:2] == [pytest.approx(0.2), pytest.approx(EXPECTED)]
    assert differences[2:] == [None] * 3
    assert checks[4].result == young
