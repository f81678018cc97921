"""The class of a visit: HL7's own code, or what the display of a chart's own system says."""

from typing import Any

import pytest

from fhir.record.datatypes import CodeableConcept
from fhir.record.facts import ACT_CODE, says_not_performed
from fhir.record.resources import Procedure
from tests.fhir.record.charts import record_of

EPIC = "urn:oid:1.2.840.114350.1.72.1.7.7.10.696784.13260"


def visit(system: str, code: str, display: str | None) -> dict[str, Any]:
    """A visit with this class."""
    told = {"system": system, "code": code} | ({"display": display} if display is not None else {})
    return {"resourceType": "Encounter", "id": "e", "status": "in-progress", "class": told}


@pytest.mark.parametrize(
    ("display", "code"),
    [
        ("Appointment", "AMB"),
        ("Support OP Encounter", "AMB"),
        ("HOV", "AMB"),
        ("Hospital Outpatient Visit", "AMB"),
        ("Office Visit", "AMB"),
        ("Inpatient", "IMP"),
        ("Emergency", "EMER"),
        ("Observation", "OBSENC"),
        ("Telemedicine", "VR"),
        ("Home Health", "HH"),
    ],
)
def test_the_display_of_another_system_says_the_class(display: str, code: str) -> None:
    (read,) = record_of(visit(EPIC, "13", display)).encounters
    assert read.class_ is not None
    assert (read.class_.system, read.class_.code, read.class_.display) == (ACT_CODE, code, display)


@pytest.mark.parametrize("display", ["Surgery", "Disappointment", "", None])
def test_what_neither_says_stays_as_it_is(display: str | None) -> None:
    (read,) = record_of(visit(EPIC, "13", display)).encounters
    assert read.class_ is not None
    assert (read.class_.system, read.class_.code) == (EPIC, "13")


def test_a_code_of_hl7_is_not_read_over() -> None:
    (read,) = record_of(visit(ACT_CODE, "EMER", "Outpatient in the emergency department")).encounters
    assert read.class_ is not None
    assert read.class_.code == "EMER"


@pytest.mark.parametrize(
    "words",
    [
        "Carotid endarterectomy not performed",
        "Colonoscopy - cancelled",
        "PCI (not done because of bleeding)",
        "Declined mammogram",
        "Coronary stent: aborted",
        "No colonoscopy",
    ],
)
def test_a_procedure_whose_words_say_that_it_was_not_performed_is_no_fact(words: str) -> None:
    assert says_not_performed(Procedure(status="completed", code=CodeableConcept(text=words)))


@pytest.mark.parametrize(
    "words",
    [
        "Colonoscopy, biopsy not done",
        "Coronary angiography with stent not performed",
        "Curettage after aborted pregnancy",
        "Coronary artery bypass graft",
        "Nodulectomy",
    ],
)
def test_what_was_not_performed_in_part_was_performed(words: str) -> None:
    assert not says_not_performed(Procedure(status="completed", code=CodeableConcept(text=words)))


def test_the_reason_of_a_status_can_say_that_it_was_not_performed() -> None:
    reason = CodeableConcept(text="Cancelled by the patient")
    stent = CodeableConcept(text="Coronary stent")
    assert says_not_performed(Procedure(status="completed", code=stent, statusReason=reason))
