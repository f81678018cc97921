"""What is wrong with a new order is named by its place and kind; a fault of the original is no new one."""

from cards.fhir_validity import ValidShapes, new_faults, validate

ORDER = {
    "resourceType": "MedicationRequest", "id": "a", "subject": {"reference": "Patient/1"},
    "authoredOn": "2026-11-20T09:30:00+01:00", "dosageInstruction": [{"text": "1 tablet"}],
}  # fmt: skip


def test_a_fault_that_the_original_has_already_is_no_new_one() -> None:
    faulty = {**ORDER, "status": "active", "intent": "order", "doNotPerform": "no idea"}
    assert {place for place, _ in new_faults(faulty, {})} >= {"doNotPerform"}
    assert not new_faults({**faulty, "status": "stopped"}, faulty)
    nobody = {name: value for name, value in faulty.items() if name != "subject"}
    assert {place for place, _ in new_faults(nobody, {})} >= {"doNotPerform", "subject"}


def test_an_id_that_is_none_of_fhir_is_the_fault_of_that_order_alone() -> None:
    shapes = ValidShapes()
    order = {**ORDER, "status": "draft", "intent": "order", "medicationCodeableConcept": {"text": "x"}}
    assert shapes.faults(order | {"id": "a b"}) == {("id", "string_pattern_mismatch")}
    assert shapes.faults(order | {"id": "c"}) == frozenset()
    assert shapes.faults(order | {"id": "a b"}) == {("id", "string_pattern_mismatch")}


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
