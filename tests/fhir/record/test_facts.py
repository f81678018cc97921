"""The class of a visit: HL7's own code, or what the display of a chart's own system says."""

from typing import Any

import pytest

from fhir.record.facts import ACT_CODE
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
