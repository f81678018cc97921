"""What the patient takes as orders for the rules, and what the patient does not want, one condition at a time."""

import re
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cds_hooks.protocol.originals import OriginalOrders
from cds_hooks.services._current_medications import _label, taken_medications
from fhir.mapping.declined import declined_medicine
from tests.each import for_rows
from tests.fhir.builders import AS_OF, SUBJECT, condition, medication_order, record_of

Json = dict[str, Any]
STATINS, CALLED = frozenset({"statin"}), re.compile(r"\bstatins?\b", re.IGNORECASE)


def _day(days: int) -> str:
    return (AS_OF.date() - timedelta(days=days)).isoformat()


def _order(words: str = "atorvastatin 20 MG Oral Tablet", **more: Any) -> Json:
    return medication_order(words, id="m1", authoredOn=_day(10), dosageInstruction=[{"text": "1 tablet daily"}]) | more


@for_rows(
    ("label", "actions", "shown"),
    [
        ("Stop it", ["stopped"], "Stop ibuprofen"),
        ("Lower Ibuprofen to 200 mg", ["active"], "Lower Ibuprofen to 200 mg"),
        ("Lower the dose", ["active"], "ibuprofen: Lower the dose"),
        ("Order creatinine", [None], "Order creatinine"),
    ],
)
def test_a_button_of_the_review_names_its_drug(label: str, actions: list[str | None], shown: str) -> None:
    made = [
        SimpleNamespace(type="update" if status else "create", resource={"status": status} if status else None)
        for status in actions
    ]
    assert _label(cast("Any", SimpleNamespace(label=label, actions=made)), "ibuprofen") == shown


def _declined(*resources: Json) -> str | None:
    return declined_medicine(record_of(*resources), STATINS, CALLED)


_ORDER = "The chart says that atorvastatin was declined or is not to be given (MedicationRequest/m1)."
_REFUSED = {"text": "Patient declined"}


@for_rows(
    ("more", "is_declined"),
    [
        ({}, True),
        ({"status": "completed"}, True),
        ({"status": "cancelled"}, False),
        ({"status": "cancelled", "reasonCode": [_REFUSED]}, True),
        ({"status": "stopped", "doNotPerform": None, "statusReason": _REFUSED}, True),
        ({"status": "stopped", "doNotPerform": None, "statusReason": {"text": "myalgia"}}, False),
        ({"status": "entered-in-error", "reasonCode": [_REFUSED]}, False),
        ({"doNotPerform": False, "reasonCode": [_REFUSED]}, False),
        ({"resourceType": "MedicationStatement", "status": "not-taken"}, False),
        ({"doNotPerform": False}, False),
        ({"doNotPerform": None}, False),
        ({"authoredOn": _day(365)}, True),
        ({"authoredOn": _day(366)}, False),
        ({"authoredOn": _day(-3)}, False),
        ({"authoredOn": None}, True),
        ({"medicationCodeableConcept": {"text": "metformin 500 MG Oral Tablet"}}, False),
    ],
)
def test_an_order_not_to_give_it(more: Json, is_declined: bool) -> None:
    assert _declined(_order() | {"doNotPerform": True} | more) == (_ORDER if is_declined else None)


def test_a_statement_that_it_is_not_taken_because_it_was_refused() -> None:
    answer = _ORDER.replace("MedicationRequest", "MedicationStatement")
    statement = _order(resourceType="MedicationStatement", status="not-taken", dateAsserted=_day(20))
    assert _declined(statement) is None
    refused = {"coding": [{"system": "http://snomed.info/sct", "code": "105480006"}]}
    assert _declined(statement | {"statusReason": [refused]}) == answer


@for_rows(
    ("words", "more", "is_declined"),
    [
        ("Statin declined", {}, True),
        ("Refuses statins", {}, True),
        ("Does not want a statin", {}, True),
        ("Statin intolerance", {}, False),
        ("Declined influenza vaccine", {}, False),
        ("Declined nystatin", {}, False),
        ("Statin declined", {"onsetDateTime": _day(365)}, True),
        ("Statin declined", {"onsetDateTime": _day(366)}, False),
        ("Statin declined", {"onsetDateTime": _day(-3)}, False),
        ("Statin declined", {"clinicalStatus": {"coding": [{"code": "resolved"}]}}, False),
    ],
)
def test_a_problem_in_words(words: str, more: Json, is_declined: bool) -> None:
    problem = condition("x") | {"id": "c1", "code": {"text": words}} | more
    assert _declined(problem) == (f"{words} is on record (Condition/c1)." if is_declined else None)


def test_a_problem_of_another_kind_before_it_hides_nothing() -> None:
    other = condition("x") | {"id": "c0", "code": {"text": "Statin intolerance"}}
    refused = condition("y") | {"id": "c1", "code": {"text": "Statin refused"}}
    assert _declined(other, refused) == "Statin refused is on record (Condition/c1)."


def _taken(*resources: Json, charted: dict[str, Json] | None = None) -> list[tuple[Any, ...]]:
    originals = None if charted is None else cast(OriginalOrders, SimpleNamespace(by_id=charted.get))
    taken = taken_medications(record_of(*resources), originals)
    return [(order.reference, order.resource, cast(Any, order.read).status) for _, order in taken]


def test_an_order_that_is_taken_has_the_json_of_the_client() -> None:
    assert _taken(_order()) == [("MedicationRequest/m1", {}, "active")]
    assert _taken(_order(), charted={}) == [("MedicationRequest/m1", {}, "active")]
    original = {"resourceType": "MedicationRequest", "id": "m1", "note": [{"text": "own"}]}
    assert _taken(_order(), charted={"m1": original}) == [("MedicationRequest/m1", original, "active")]


@pytest.mark.parametrize("kind", ["MedicationStatement", "MedicationDispense"])
def test_what_is_only_stated_is_read_as_an_order_and_cannot_be_stopped(kind: str) -> None:
    member = "dosage" if kind == "MedicationStatement" else "dosageInstruction"
    stated = {
        "resourceType": kind, "id": "s1", "status": "active" if kind == "MedicationStatement" else "completed",
        "subject": SUBJECT, "medicationCodeableConcept": {"text": "atorvastatin 20 MG Oral Tablet"},
        member: [{"text": "1 tablet daily"}], "whenHandedOver": _day(5), "daysSupply": {"value": 30, "unit": "d"},
        "effectivePeriod": {"start": _day(5)},
    }  # fmt: skip
    [(medication, draft)] = taken_medications(record_of(stated), None)
    assert (draft.reference, draft.resource, draft.position) == (f"{kind}/s1", {}, 0)
    read: Any = draft.read
    assert (read.id, read.status, read.medicationCodeableConcept.text) == (
        "s1", "active", "atorvastatin 20 MG Oral Tablet",
    )  # fmt: skip
    assert [dosage.text for dosage in read.dosageInstruction] == ["1 tablet daily"]
    assert medication.identity.name == "atorvastatin"
