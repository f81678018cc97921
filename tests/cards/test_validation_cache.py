"""What is proven once is not proven again, and nothing but digests and places is kept."""

import json
from datetime import datetime
from typing import Any

import pytest

from cards.compose.orders import check_orders
from cards.validation_cache import ValidationCache, ValidationFault, ValidShapes, shape_of
from tests.cards.rules.cases import uuids
from tests.cards.rules.patients import draft_of, drafts_of, record_of


def test_the_same_order_under_another_id_is_proven_once() -> None:
    validation_cache, asked = ValidationCache(), []

    def prove(resource: dict[str, object]) -> set[ValidationFault]:
        asked.append(resource)
        return {("status", "missing")}

    for identity in ("a", "b"):
        assert validation_cache.faults({"id": identity, "intent": "order"}, prove) == {("status", "missing")}
    validation_cache.faults({"id": "a", "intent": "plan"}, prove)
    assert len(asked) == 2
    assert validation_cache.used == 1


def test_a_correction_offered_at_selection_is_taken_over_at_signing(as_of: datetime) -> None:
    validation_cache = ValidationCache()
    patient = {"labs": [["creatinine", 4.0, 3]], "conditions": ["dm2"]}
    draft = draft_of({"drug": "861007", "dose": "1 tablet", "times": 2})

    def suggestions() -> str:
        outcome = check_orders(
            record_of(patient, as_of), drafts_of(draft), None, uuids(), validation_cache=validation_cache
        )
        assert outcome.cards
        return json.dumps([one.label for card in outcome.cards for one in card.suggestions])

    first = suggestions()
    assert validation_cache.used == 0
    assert suggestions() == first
    assert validation_cache.used > 0
    assert "case" not in repr(validation_cache._faults)


ORDER = {
    "resourceType": "MedicationRequest",
    "id": "a",
    "subject": {"reference": "Patient/1"},
    "authoredOn": "2026-11-20T09:30:00+01:00",
    "dosageInstruction": [{"text": "1 tablet"}],
}


def test_an_order_of_the_same_shape_for_another_patient_is_not_proven_again() -> None:
    shapes, asked = ValidShapes(), []

    def prove(resource: dict[str, Any]) -> set[ValidationFault]:
        asked.append(resource)
        return {("status", "missing")}

    another = ORDER | {"id": "b", "subject": {"reference": "Patient/2"}, "authoredOn": "2026-10-01T10:00:00Z"}
    assert shapes.faults(ORDER, prove) == shapes.faults(another, prove) == {("status", "missing")}
    assert asked == [ORDER]


@pytest.mark.parametrize(
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
    ],
)
def test_what_can_change_the_proof_is_another_shape(other: dict[str, Any]) -> None:
    assert shape_of(ORDER | other) != shape_of(ORDER)
