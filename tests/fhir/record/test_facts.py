"""The class of a visit: HL7's own code, or what the display of a chart's own system says."""

from datetime import UTC, datetime
from typing import Any

from fhir.record.datatypes import CodeableConcept
from fhir.record.facts import ReadResources, says_not_performed
from fhir.record.resources import AllergyIntolerance, Condition, Procedure
from tests.each import for_rows
from tests.fhir.builders import lean


def facts_among(resources: list[Any], kind: type[Any], as_of: datetime) -> tuple[Any, ...]:
    """The facts among resources of one kind."""
    read = ReadResources()
    read.by_type[kind] = resources
    return read.facts_of(kind, as_of)


def visit(system: str, code: str, display: str | None) -> dict[str, Any]:
    """A visit with this class."""
    told = {"system": system, "code": code} | ({"display": display} if display is not None else {})
    return {"resourceType": "Encounter", "id": "e", "status": "in-progress", "class": told}


@for_rows(
    "words",
    [
        "Carotid endarterectomy not performed", "Colonoscopy - cancelled", "PCI (not done because of bleeding)",
        "Declined mammogram", "Coronary stent: aborted", "No colonoscopy",
    ],
)  # fmt: skip
def test_a_procedure_whose_words_say_that_it_was_not_performed_is_no_fact(words: str) -> None:
    denied = Procedure(status="completed", code=CodeableConcept(text=words))
    assert says_not_performed(denied)
    assert facts_among([denied], Procedure, AS_OF) == ()


# Which resources are facts at the instant of a call, worked out by hand to the hour.


AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def _condition(**more: Any) -> Condition:
    condition: Condition = lean({"resourceType": "Condition", "id": "c"} | more)
    return condition


@for_rows(
    ("dates", "is_fact"),
    [
        ({"onsetDateTime": "2027-01-01"}, False),
        ({"onsetDateTime": "2026-01-01", "recordedDate": "2027-01-01"}, True),
        ({"onsetPeriod": {"start": "2027-01-01"}, "recordedDate": "2026-01-01"}, False),
        ({"onsetPeriod": {"end": "2027-01-01"}, "recordedDate": "2026-01-01"}, True),
        ({"recordedDate": "2027-01-01"}, False),
        ({}, True),
    ],
)
def test_a_condition_is_none_before_its_onset(dates: dict[str, Any], is_fact: bool) -> None:
    condition = _condition(**dates)
    assert facts_among([condition], Condition, AS_OF) == ((condition,) if is_fact else ())


@for_rows(
    ("status", "is_fact"),
    [
        (None, True),
        ({"coding": [{"code": "confirmed"}]}, True),
        ({"coding": [{"code": "refuted"}]}, False),
        ({"coding": [{"code": "entered-in-error"}]}, False),
        ({"coding": [{"code": "confirmed"}, {"code": "refuted"}]}, False),
        ({"text": "confirmed"}, True),
        ({"coding": [{"code": "confirmed"}], "text": "refuted"}, True),
        ({}, True),
    ],
)
def test_what_was_taken_back_or_refuted_is_no_fact(status: dict[str, Any] | None, is_fact: bool) -> None:
    more = {"verificationStatus": status} if status is not None else {}
    condition = _condition(**more)
    assert facts_among([condition], Condition, AS_OF) == ((condition,) if is_fact else ())
    allergy = lean({"resourceType": "AllergyIntolerance", "id": "a"} | more)
    assert facts_among([allergy], AllergyIntolerance, AS_OF) == ((allergy,) if is_fact else ())


@for_rows(
    ("system", "code", "is_read"),
    [
        ("https://hospital.example", "1", False),
        ("http://snomed.info/sct", "1", False),
        ("http://snomed.info/sct", "44054006", True),
        ("http://hl7.org/fhir/sid/icd-10-cm", "Z99.99", True),
    ],
)
def test_the_words_of_a_condition_add_a_code_where_its_own_are_not_read(system: str, code: str, is_read: bool) -> None:
    coding = {"system": system, "code": code}
    (fact,) = facts_among([_condition(code={"coding": [coding], "text": "Type 2 diabetes"})], Condition, AS_OF)
    assert len(fact.code.coding) == (1 if is_read else 2)


# Words that deny a procedure.


# The class of a visit.
