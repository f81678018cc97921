"""The check of a vector file: what agrees, what does not, refusals, other units, files that are none."""

import json
from pathlib import Path
from typing import Any

import pytest

from models_onnx.equations.vectors import VectorCheck, check_vectors, read_vectors
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
