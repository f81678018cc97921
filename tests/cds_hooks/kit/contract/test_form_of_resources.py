"""The form that FHIR R4 gives to a resource that an action carries: each breach with its place and sentence."""

from typing import Any

from cds_hooks.kit.contract.checks.suggestions import form_faults
from cds_hooks.kit.contract.definitions import reference_problem
from cds_hooks.kit.contract.document import Node
from tests.each import for_rows

Json = dict[str, Any]
TASK: Json = {"resourceType": "Task", "status": "draft", "intent": "order"}
ORDER: Json = {
    "resourceType": "MedicationRequest", "status": "draft", "intent": "order", "subject": {"reference": "Patient/1"},
    "medicationCodeableConcept": {"text": "x"},
}  # fmt: skip


def faults(resource: Any, kind: str = "") -> list[tuple[str, str]]:
    """Place and sentence of everything that is not as FHIR has it."""
    kind = kind or resource["resourceType"]
    return [(fault.location, fault.message) for fault in form_faults(Node(resource), kind)]


def dosage(**members: Any) -> Json:
    return ORDER | {"dosageInstruction": [members]}


@for_rows(
    ("resource", "found"),
    [
        (TASK, []),
        (ORDER, []),
        (TASK | {"id": "a", "meta": {}, "contained": [], "extension": [], "_odd": {}, "text": {}}, []),
        (TASK | {"odd": 1}, [("odd", "FHIR R4 has no element odd in Task")]),
        ({"resourceType": "Task", "intent": "order"}, [("", "Task lacks status, which FHIR requires")]),
        ({"resourceType": "Task", "intent": "order", "_status": {}}, []),
        ({name: value for name, value in ORDER.items() if not name.startswith("medication")},
         [("", "MedicationRequest lacks medication[x], which FHIR requires")]),
        (ORDER | {"medicationReference": {"reference": "Medication/1"}},
         [("",
           "medicationCodeableConcept and medicationReference are both there: medication[x] is a choice of " "one")]),
        (dosage(asNeededBoolean=True), []),
        (dosage(asNeededBoolean=True, asNeededCodeableConcept={}),
         [("dosageInstruction[0]",
           "asNeededBoolean and asNeededCodeableConcept are both there: asNeeded[x] is a choice of one")]),
        (TASK | {"note": {}}, [("note", "note is no array")]),
        (TASK | {"priority": ["stat"]}, [("priority", "priority is an array")]),
        (TASK | {"note": [{"text": "a"}, "b"]}, [("note[1]", "note is 'b', not an object")]),
        (TASK | {"for": "Patient/1"}, [("for", "for is 'Patient/1', not an object")]),
        (TASK | {"priority": "stat"}, []),
        (TASK | {"priority": "now"}, [("priority", "priority is 'now', which is not among the codes of FHIR")]),
        (TASK | {"priority": 5}, [("priority", "priority is 5, not a string")]),
        (ORDER | {"doNotPerform": False}, []),
        (ORDER | {"doNotPerform": "no"}, [("doNotPerform", "doNotPerform is 'no', not a boolean")]),
        (ORDER | {"doNotPerform": 0}, [("doNotPerform", "doNotPerform is 0, not a boolean")]),
        (dosage(sequence=1), []),
        (dosage(sequence=1.5), []),
        (dosage(sequence=True), [("dosageInstruction[0].sequence", "sequence is True, not a integer")]),
        (dosage(sequence="1"), [("dosageInstruction[0].sequence", "sequence is '1', not a integer")]),
        ({"resourceType": "Task", "intent": "x", "odd": 1},
         [("intent", "intent is 'x', which is not among the codes of FHIR"),
          ("odd", "FHIR R4 has no element odd in Task"), ("", "Task lacks status, which FHIR requires")]),
    ],
)  # fmt: skip
def test_what_is_not_as_fhir_has_it(resource: Json, found: list[tuple[str, str]]) -> None:
    assert faults(resource) == found


def test_a_type_that_is_not_judged_and_what_is_no_object_have_no_fault() -> None:
    assert faults({"resourceType": "Basic", "odd": 1}) == []
    assert faults("text", "Task") == []


@for_rows(
    ("text", "fits"),
    [
        ("2026", True), ("2026-01", True), ("2026-12", True), ("2026-00", False), ("2026-13", False),
        ("2026-01-01", True), ("2026-01-31", True), ("2026-01-00", False), ("2026-01-32", False),
        ("2026-01-10T09:00:00Z", True), ("2026-01-10T09:00:00.5+02:00", True), ("2026-01-10T09:00:00", False),
        ("2026-01-10T09:00Z", False), ("2026-1-1", False), ("26", False), ("tomorrow", False), ("2026-01-10 ", False),
    ],
)  # fmt: skip
def test_a_date_with_a_time_has_its_form(text: str, fits: bool) -> None:
    found = [] if fits else [("authoredOn", f"authoredOn is {text!r}, not a dateTime")]
    assert faults(TASK | {"authoredOn": text}) == found


@for_rows(
    ("reference", "problem"),
    [
        ("Patient/1", ""),
        ("Patient/1/_history/2", ""),
        (f"Patient/{'x' * 500}", ""),
        (f"Patient/{'x' * 501}", "is not Type/id"),
        ("Patient/a b", "is not Type/id"),
        ("Patient", "is not Type/id"),
        ("patient/1", "is not Type/id"),
        ("Pill/1", "names Pill, which is no R4 resource type"),
        ("Order/1", "names Order, which is no R4 resource type"),
        (" ", "is blank"),
        ("#a", ""),
        ("urn:uuid:1", ""),
        ("http://a.example/Patient/1", ""),
        ("https://a.example/x", ""),
        ("ftp://a.example/x", "is not Type/id"),
    ],
)
def test_what_is_wrong_with_a_reference(reference: str, problem: str) -> None:
    assert reference_problem(reference) == problem
