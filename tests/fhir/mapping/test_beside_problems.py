"""Operations, devices, flags and reasons that tell of a condition which no entry of the problem list names."""

from typing import Any

import pytest

from fhir.mapping.conditions import KINDS, find_condition
from fhir.terminology.conditions import CONDITION_GROUPS
from tests.fhir.builders import SUBJECT, record_of, request


def _of(kind: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": kind, "id": "x", "subject": SUBJECT} | more


def _device(words: str, status: str = "active") -> dict[str, Any]:
    return {"resourceType": "Device", "id": "x", "patient": SUBJECT, "status": status, "type": {"text": words}}


def _visit(words: str, start: str = "2026-09-01", status: str = "finished") -> dict[str, Any]:
    return _of("Encounter", status=status, period={"start": start}, reasonCode=[{"text": words}])


def _ordered(words: str, **more: Any) -> dict[str, Any]:
    return request("a drug", reasonCode=[{"text": words}], **more)


def _flag(words: str, status: str = "active", **more: Any) -> dict[str, Any]:
    return _of("Flag", status=status, code={"text": words}, **more)


def _document(loinc: str, status: str = "current") -> dict[str, Any]:
    return _of("DocumentReference", status=status, type={"coding": [{"system": "http://loinc.org", "code": loinc}]})


def _consent(category: str, status: str = "active") -> dict[str, Any]:
    system = "http://terminology.hl7.org/CodeSystem/consentcategorycodes"
    return {"resourceType": "Consent", "id": "x", "patient": SUBJECT, "status": status} | {
        "category": [{"coding": [{"system": system, "code": category}]}]
    }


def _relative(relation: str, words: str, status: str = "completed") -> dict[str, Any]:
    return {"resourceType": "FamilyMemberHistory", "id": "x", "patient": SUBJECT, "status": status} | {
        "relationship": {"text": relation},
        "condition": [{"code": {"text": words}}],
    }


COUNTS: list[tuple[str, dict[str, Any]]] = [
    ("cabg", _of("Procedure", status="completed", code={"text": "CABG x3"}, performedDateTime="2015-01-01")),
    ("pacemaker", _device("Cardiac pacemaker")),
    ("do_not_resuscitate", _flag("Do not resuscitate")),
    ("g6pd", _flag("G6PD deficiency", period={"start": "2020-01-01"})),
    ("afib", _ordered("Atrial fibrillation")),
    ("hf", _visit("Heart failure follow-up")),
    ("hospice", _of("CarePlan", status="active", intent="plan", title="Hospice care")),
    ("advance_care_planning", _document("86533-7")),
    ("do_not_resuscitate", _consent("dnr")),
    ("family_history_colorectal", _relative("mother", "Colon cancer")),
    ("dialysis", _of("Procedure", status="completed", code={"text": "Hemodialysis"}, performedDateTime="2026-11-15")),
    ("dialysis", _of("Procedure", status="in-progress", code={"text": "CVVHDF"})),
]


@pytest.mark.parametrize(("group", "resource"), COUNTS)
def test_what_the_group_counts_tells_of_the_condition(group: str, resource: dict[str, Any]) -> None:
    hit = find_condition(record_of(resource), group)
    assert hit is not None
    assert hit.source == f"{resource['resourceType']}/{resource['id']}"


@pytest.mark.parametrize(
    ("group", "resource"),
    [
        ("cabg", _of("Procedure", status="preparation", code={"text": "CABG"})),
        (
            "dialysis",
            _of("Procedure", status="completed", code={"text": "Hemodialysis"}, performedDateTime="2026-10-01"),
        ),
        ("dialysis", _of("Procedure", status="not-done", code={"text": "Hemodialysis"})),
        ("pacemaker", _device("Cardiac pacemaker", "inactive")),
        ("do_not_resuscitate", _flag("Do not resuscitate", "inactive")),
        ("do_not_resuscitate", _flag("Do not resuscitate", period={"end": "2026-01-01"})),
        ("hospice", _of("CarePlan", status="completed", intent="plan", title="Hospice care")),
        ("hospice", _of("CarePlan", status="active", intent="plan", title="Hospice care declined")),
        ("advance_care_planning", _document("86533-7", "superseded")),
        ("do_not_resuscitate", _consent("dnr", "inactive")),
        ("family_history_colorectal", _relative("grandmother", "Colon cancer")),
        ("family_history_colorectal", _relative("stepfather", "Colon cancer")),
        ("family_history_colorectal", _relative("mother", "Colon cancer", "entered-in-error")),
        ("family_history_colorectal", _relative("mother", "no colon cancer")),
        ("colorectal_cancer", _relative("mother", "Colon cancer")),
        ("afib", _ordered("Atrial fibrillation", status="completed")),
        ("afib", _ordered("rule out atrial fibrillation")),
        ("gout", _ordered("prevention of gout flares")),
        ("hf", _visit("Heart failure follow-up", "2024-09-01")),
        ("hf", _visit("Heart failure follow-up", status="cancelled")),
        ("hf", _visit("screening for heart failure")),
        ("breast_cancer", _visit("breast cancer")),
        ("stroke", _ordered("Stroke")),
    ],
)
def test_what_is_over_planned_denied_or_not_counted_by_the_group_does_not(group: str, resource: dict[str, Any]) -> None:
    assert find_condition(record_of(resource), group) is None


def test_what_did_not_come_with_the_call_is_not_looked_at() -> None:
    record = record_of(_ordered("Atrial fibrillation")).with_requested(frozenset({"Condition"}))
    assert find_condition(record, "afib") is None


def test_each_group_names_only_kinds_that_are_read() -> None:
    assert {kind for group in CONDITION_GROUPS.values() for kind in group.counts_from} == KINDS
