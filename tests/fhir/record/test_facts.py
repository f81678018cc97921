"""The class of a visit: HL7's own code, or what the display of a chart's own system says."""

from datetime import UTC, datetime
from typing import Any

import pytest

from fhir.record.datatypes import CodeableConcept
from fhir.record.facts import ACT_CODE, ReadResources, says_not_performed
from fhir.record.resources import AllergyIntolerance, Condition, Encounter, Procedure
from tests.each import for_rows
from tests.fhir.builders import lean, record_of

EPIC = "urn:oid:1.2.840.114350.1.72.1.7.7.10.696784.13260"


def facts_among(resources: list[Any], kind: type[Any], as_of: datetime) -> tuple[Any, ...]:
    """The facts among resources of one kind."""
    read = ReadResources()
    read.by_type[kind] = resources
    return read.facts_of(kind, as_of)


def visit(system: str, code: str, display: str | None) -> dict[str, Any]:
    """A visit with this class."""
    told = {"system": system, "code": code} | ({"display": display} if display is not None else {})
    return {"resourceType": "Encounter", "id": "e", "status": "in-progress", "class": told}


@for_rows("display", ["Surgery", "Disappointment", "", None])
def test_what_neither_says_stays_as_it_is(display: str | None) -> None:
    (read,) = record_of(visit(EPIC, "13", display)).encounters
    assert read.class_ is not None
    assert (read.class_.system, read.class_.code) == (EPIC, "13")


def test_a_code_of_hl7_is_not_read_over() -> None:
    (read,) = record_of(visit(ACT_CODE, "EMER", "Outpatient in the emergency department")).encounters
    assert read.class_ is not None
    assert read.class_.code == "EMER"


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


@for_rows(
    "words",
    [
        "Colonoscopy, biopsy not done", "Coronary angiography with stent not performed",
        "Curettage after aborted pregnancy", "Coronary artery bypass graft", "Nodulectomy",
    ],
)  # fmt: skip
def test_what_was_not_performed_in_part_was_performed(words: str) -> None:
    assert not says_not_performed(Procedure(status="completed", code=CodeableConcept(text=words)))


def test_the_reason_of_a_status_can_say_that_it_was_not_performed() -> None:
    reason = CodeableConcept(text="Cancelled by the patient")
    stent = CodeableConcept(text="Coronary stent")
    assert says_not_performed(Procedure(status="completed", code=stent, statusReason=reason))
    early = CodeableConcept(text="Finished early")
    assert not says_not_performed(Procedure(status="completed", code=stent, statusReason=early))


# Which resources are facts at the instant of a call, worked out by hand to the hour.


AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def _procedure(when: str | None = None, identifier: str | None = "p", **more: Any) -> Procedure:
    resource = {"resourceType": "Procedure", "id": identifier, "status": "completed", "performedDateTime": when} | more
    procedure: Procedure = lean({name: value for name, value in resource.items() if value is not None})
    return procedure


def _condition(**more: Any) -> Condition:
    condition: Condition = lean({"resourceType": "Condition", "id": "c"} | more)
    return condition


def test_a_period_begins_with_its_start_and_the_time_goes_before_it() -> None:
    period: Any = {"performedPeriod": {"start": "2027-01-01"}}
    assert facts_among([_procedure(**period)], Procedure, AS_OF) == ()
    dated = _procedure("2026-01-01", **period)
    assert facts_among([dated], Procedure, AS_OF) == (dated,)
    open_start = _procedure(performedPeriod={"end": "2027-01-01"})
    assert facts_among([open_start], Procedure, AS_OF) == (open_start,)


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


def test_an_allergy_of_dstu2_without_a_status_is_an_active_one() -> None:
    allergy = lean({"resourceType": "AllergyIntolerance", "id": "a", "substance": {"text": "latex"}})
    both = lean({"resourceType": "AllergyIntolerance", "code": {"text": "rubber"}, "substance": {"text": "latex"}})
    assert (both.code.text, both.clinicalStatus) == ("rubber", None)
    assert facts_among([allergy], AllergyIntolerance, AS_OF) == (allergy,)
    assert (allergy.code.text, allergy.clinicalStatus.has("active")) == ("latex", True)


# Words that deny a procedure.


def test_a_procedure_without_words_is_not_denied() -> None:
    assert says_not_performed(Procedure(status="completed")) is False


# The class of a visit.


@pytest.mark.parametrize(
    "visit_class", [None, {"system": "urn:x", "code": "1"}, {"code": "IMP", "display": "Emergency"}]
)
def test_a_visit_without_a_class_or_a_display_or_with_a_code_of_hl7_stays(visit_class: dict[str, str] | None) -> None:
    more = {"class": visit_class} if visit_class is not None else {}
    visit = lean({"resourceType": "Encounter", "id": "e", "status": "finished"} | more)
    (fact,) = facts_among([visit], Encounter, AS_OF)
    assert fact is visit
