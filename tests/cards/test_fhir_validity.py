"""An order of a shape that was validated is not validated again; what can change the answer is another shape."""

from typing import Any

import pytest

from cards import fhir_validity
from cards.fhir_validity import ValidationFault, ValidShapes, new_faults, shape_of, validate
from tests.each import for_rows

ORDER = {
    "resourceType": "MedicationRequest", "id": "a", "subject": {"reference": "Patient/1"},
    "authoredOn": "2026-11-20T09:30:00+01:00", "dosageInstruction": [{"text": "1 tablet"}],
}  # fmt: skip


def test_an_order_of_the_same_shape_for_another_patient_is_not_validated_again(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes, asked = ValidShapes(), []

    def validate(resource: dict[str, Any]) -> frozenset[ValidationFault]:
        asked.append(resource)
        return frozenset({("status", "missing")})

    monkeypatch.setattr(fhir_validity, "validate", validate)
    another = ORDER | {"id": "b", "subject": {"reference": "Patient/2"}, "authoredOn": "2026-10-01T10:00:00Z"}
    assert shapes.faults(ORDER) == shapes.faults(another) == {("status", "missing")}
    assert asked == [ORDER]
    assert "Patient/1" not in repr(shapes._faults)


def test_a_fault_that_the_original_has_already_is_no_new_one() -> None:
    faulty = {**ORDER, "status": "active", "intent": "order", "doNotPerform": "no idea"}
    assert {place for place, _ in new_faults(faulty, {})} >= {"doNotPerform"}
    assert not new_faults({**faulty, "status": "stopped"}, faulty)
    nobody = {name: value for name, value in faulty.items() if name != "subject"}
    assert {place for place, _ in new_faults(nobody, {})} >= {"doNotPerform", "subject"}


@for_rows(
    "other",
    [
        {"subject": {"reference": "Patient/"}},
        {"subject": {"reference": "Patient/a b"}},
        {"subject": {"reference": 1}},
        {"authoredOn": "2026-13-01T10:00:00Z"},
        {"authoredOn": "2026-02-30"},
        {"authoredOn": "2026-11-20T25:00:00Z"},
        {"authoredOn": "2026-11-20"},
        {"dosageInstruction": [{"text": "2 tablets"}]},
        {"id": 7},
        {"id": "a b"},
        {"id": "a_b"},
        {"id": ""},
        {"id": None},
        {"id": "x" * 65},
    ],
)
def test_what_can_change_the_answer_is_another_shape(other: dict[str, Any]) -> None:
    assert shape_of(ORDER | other) != shape_of(ORDER)


def test_an_id_that_is_none_of_fhir_is_the_fault_of_that_order_alone() -> None:
    shapes = ValidShapes()
    order = {**ORDER, "status": "draft", "intent": "order", "medicationCodeableConcept": {"text": "x"}}
    assert shapes.faults(order | {"id": "a b"}) == {("id", "string_pattern_mismatch")}
    assert shapes.faults(order | {"id": "c"}) == frozenset()
    assert shapes.faults(order | {"id": "a b"}) == {("id", "string_pattern_mismatch")}


def test_when_as_many_shapes_are_known_as_are_kept_all_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes, asked = ValidShapes(), []

    def validate(resource: dict[str, Any]) -> frozenset[ValidationFault]:
        asked.append(resource["status"])
        return frozenset()

    monkeypatch.setattr(fhir_validity, "validate", validate)
    monkeypatch.setattr(fhir_validity, "_MOST_SHAPES", 2)
    for status in ("a", "b", "a", "c", "a", "c"):
        assert shapes.faults(ORDER | {"status": status}) == frozenset()
    assert asked == ["a", "b", "c", "a"]


def test_what_is_no_fhir_is_named_by_its_place_and_kind() -> None:
    order = ORDER | {"status": "draft", "intent": "order", "medicationCodeableConcept": {"text": "x"}}
    assert validate(order) == frozenset()
    assert validate(order | {"priority": 5}) == {("priority", "string_type")}
    study = {"resourceType": "ServiceRequest", "status": "draft", "intent": "order", "subject": {"reference": "a/1"}}
    assert validate(study) == frozenset()
    assert {place for place, _ in validate(study | {"dosageInstruction": []})} == {"dosageInstruction"}
    wrong = order | {"dosageInstruction": [{"text": "a"}, {"sequence": "first"}]}
    assert {place for place, _ in validate(wrong)} == {"dosageInstruction.1.sequence"}
    assert new_faults(wrong, {}) == validate(wrong)
    assert new_faults(wrong, wrong) == frozenset()
    assert new_faults(wrong | {"priority": 5}, wrong) == {("priority", "string_type")}


@for_rows("value", ["1.5", "text", 1.5, ["x"], [["1.5"]], None, {}])
def test_an_extension_of_another_type_is_a_fault_that_hides_no_other(value: object) -> None:
    order = ORDER | {"status": "draft", "dosageInstruction": [{"_text": value}], "_status": value}
    assert isinstance(validate(order), frozenset)
    if value == "1.5":
        assert new_faults(order | {"priority": "stat"}, order) == validate(order) != frozenset()
