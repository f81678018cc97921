"""The compact form of small patients and drafts, member by member, as the FHIR that it stands for."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cards.casebook.patients import bundle_of, record_of
from tests.each import for_rows
from tests.fhir.builders import medication_order

Json = dict[str, Any]
AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
SUBJECT = {"reference": "Patient/case"}
RXNORM, LOINC = "http://www.nlm.nih.gov/research/umls/rxnorm", "http://loinc.org"


def resources(**patient: Any) -> list[Json]:
    """What the patient has beside the Patient resource."""
    bundle = bundle_of(patient, AS_OF)
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "searchset")
    first, *rest = (entry["resource"] for entry in bundle["entry"])
    assert first["resourceType"] == "Patient"
    return rest


@for_rows(
    ("clearance", "creatinine", "weight"),
    [
        # Cockcroft-Gault for a man of 60: 80 x weight / (72 x creatinine).
        (10, 4.0, 36.0), (19.9, 4.0, 71.64), (20, 2.0, 36.0), (60, 2.0, 108.0), (61, 1.0, 54.9),
    ],
)  # fmt: skip
def test_a_clearance_is_a_creatinine_and_the_weight_that_gives_it(
    clearance: float, creatinine: float, weight: float
) -> None:
    labs = resources(crcl=clearance, labs=[["potassium", 4]])
    values = [(lab["code"]["coding"][0]["code"], lab["valueQuantity"]["value"]) for lab in labs]
    assert [code for code, _ in values] == ["2160-0", "29463-7", "8302-2", "2823-3"]
    assert [value for _, value in values] == [creatinine, pytest.approx(weight), 190, 4]
    days = [lab["effectiveDateTime"][:10] for lab in labs]
    assert days == ["2026-11-17", "2026-11-10", "2026-11-10", "2026-11-17"]
    assert resources(crcl=clearance, days_ago=40)[0]["effectiveDateTime"][:10] == "2026-10-11"


def test_a_result_is_in_the_usual_unit_unless_said() -> None:
    labs = resources(labs=[["body_weight", 9], ["body_weight", 9, 3, "[lb_av]"]])
    quantities = [lab["valueQuantity"] for lab in labs]
    assert [(one["unit"], one["code"]) for one in quantities] == [("kg", "kg"), ("[lb_av]", "[lb_av]")]


def test_a_condition_is_of_sixty_days_ago_unless_said() -> None:
    first, second, third = resources(conditions=["dm2", ["asthma_acute", 3], ["hf", "2020-05"]])
    assert [one["onsetDateTime"] for one in (first, second, third)] == ["2026-09-21", "2026-11-17", "2020-05"]
    assert (first["id"], second["id"]) == ("condition-dm2", "condition-asthma-acute")
    assert first["code"]["text"] == "dm2"
    assert second["code"]["text"] == "asthma acute"
    assert first["clinicalStatus"]["coding"][0]["code"] == "active"
    assert first["subject"] == SUBJECT
    assert record_of({"conditions": ["dm2"]}, AS_OF).conditions[0].code is not None


def test_what_is_taken_is_an_active_order_of_sixty_days_ago_unless_said() -> None:
    usual, recent, ended, undated = resources(
        active=[
            "metformin 500 MG Oral Tablet",
            ["ibuprofen", 5],
            {"drug": "warfarin", "days_ago": 30, "ended": 2, "status": "completed"},
            {"drug": "digoxin", "undated": True},
        ]
    )
    assert usual == medication_order(
        "metformin 500 MG Oral Tablet", patient="case", id="active-0", authoredOn="2026-09-21"
    )
    assert (recent["id"], recent["authoredOn"]) == ("active-1", "2026-11-15")
    assert (ended["status"], ended["authoredOn"], ended["dispenseRequest"]) == (
        "completed",
        "2026-10-21",
        {"validityPeriod": {"start": "2026-10-21", "end": "2026-11-18T09:00:00+00:00"}},
    )
    assert "authoredOn" not in undated


def test_allergies_orders_stays_and_anything_more() -> None:
    more = {"resourceType": "Basic", "id": "b"}
    found = resources(
        allergies=["penicillin", {"code": {"text": "eggs"}, "criticality": "high"}],
        more=[more],
        ordered=["2160-0"],
        inpatient=True,
    )
    hives = [{"manifestation": [{"text": "hives"}]}]
    allergy = {"resourceType": "AllergyIntolerance", "patient": SUBJECT, "reaction": hives}
    assert found == [
        allergy | {"id": "allergy-0", "code": {"text": "penicillin"}},
        allergy | {"id": "allergy-1", "code": {"text": "eggs"}, "criticality": "high"},
        more,
        {"resourceType": "ServiceRequest", "id": "ordered-0", "status": "active", "intent": "order",
         "code": {"coding": [{"system": LOINC, "code": "2160-0"}]}, "subject": SUBJECT},
        {"resourceType": "Encounter", "id": "stay", "status": "in-progress",
         "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}, "subject": SUBJECT,
         "period": {"start": "2026-10-11T09:00:00+00:00"}},
    ]  # fmt: skip
    assert resources(inpatient=False) == []


def test_what_was_not_sent_was_not_asked_for() -> None:
    record = record_of({"not_sent": ["Condition", "creatinine"]}, AS_OF)
    asked = [record.was_requested(name) for name in ("Condition", "creatinine", "Procedure", "potassium")]
    assert asked == [False, False, True, True]
    assert record_of({}, AS_OF).was_requested("Condition")
