"""The record holds one patient's facts, and says what it refused."""

from datetime import datetime
from typing import Any

import pytest

from cards.casebook import patients
from fhir.record.facts import Found
from fhir.record.record import PatientRecord, read_record
from fhir.record.refusals import WrongPatient
from fhir.record.resources import Condition, Encounter, MedicationRequest, Procedure
from tests.each import for_rows
from tests.fhir.builders import AS_OF, SNOMED, WOMAN, bundle, lean, observation, problem, record_of

CONDITION: dict[str, Any] = problem(code="44054006", system=SNOMED, status=None, id="c1")


@for_rows("subject", ["Patient/p1", "https://ehr.example/fhir/Patient/p1", "Patient/p1/_history/3", "urn:uuid:p1"])
def test_the_patient_is_recognised_in_every_form_of_reference(subject: str) -> None:
    assert len(record_of(CONDITION | {"subject": {"reference": subject}}).facts(Condition)) == 1


@pytest.mark.parametrize("element", ["subject", "patient"])
def test_a_resource_about_another_patient_stops_the_call(element: str) -> None:
    kind = "Condition" if element == "subject" else "AllergyIntolerance"
    other = {"resourceType": kind, "id": "x", element: {"reference": "Patient/p2"}}
    with pytest.raises(WrongPatient, match=f"One {kind} is about another patient"):
        record_of(other)


def test_a_bundle_inside_a_bundle_is_read_and_of_another_patient_stops_the_call() -> None:
    """A batch response, or a page inside a page: what is in it is the patient's as what is beside it."""
    inner = bundle(CONDITION, type="searchset")
    assert len(record_of(inner, CONDITION | {"id": "c2"}).facts(Condition)) == 2
    with pytest.raises(WrongPatient):
        record_of(bundle(CONDITION | {"subject": {"reference": "Patient/p2"}}))


def test_an_unread_type_about_another_patient_stops_the_call_too() -> None:
    plan = {"resourceType": "CarePlan", "id": "d", "subject": {"reference": "Patient/p2"}}
    with pytest.raises(WrongPatient):
        record_of(plan)


def test_another_patients_patient_resource_stops_the_call_without_naming_who() -> None:
    with pytest.raises(WrongPatient) as error:
        read_record({"patient": lean(WOMAN | {"id": "secret-7"})}, "p1", AS_OF)
    assert "secret-7" not in str(error.value)


def test_in_batch_another_patients_resource_is_refused_and_named() -> None:
    record = record_of(CONDITION | {"subject": {"reference": "Patient/p2"}}, CONDITION, on_other_patient="refuse")
    assert len(record.facts(Condition)) == 1
    assert [refusal.reason for refusal in record.refusals] == ["other-patient"]


def test_the_full_url_of_the_patient_is_another_name_of_the_patient() -> None:
    chart = {
        "resourceType": "Bundle",
        "entry": [
            {"resource": CONDITION | {"subject": {"reference": "urn:uuid:abc-1"}}},
            {"fullUrl": "urn:uuid:abc-1", "resource": WOMAN},
        ],
    }
    assert len(read_record({"all": lean(chart)}, "p1", AS_OF).facts(Condition)) == 1


@pytest.mark.parametrize("status", ["refuted", "entered-in-error"])
def test_what_was_refuted_is_no_fact(status: str) -> None:
    verification = {"coding": [{"code": status}]}
    assert record_of(CONDITION | {"verificationStatus": verification}).facts(Condition) == ()


@pytest.mark.parametrize(
    ("kind", "status"),
    [("Procedure", "not-done"), ("Encounter", "cancelled"), ("MedicationRequest", "entered-in-error")],
)
def test_what_did_not_happen_is_no_fact(kind: str, status: str) -> None:
    record = record_of({"resourceType": kind, "id": "x", "status": status, "subject": {"reference": "Patient/p1"}})
    assert [*record.facts(Procedure), *record.facts(Encounter), *record.facts(MedicationRequest)] == []


def test_the_same_resource_under_two_keys_is_one_fact() -> None:
    genes = [observation("81247-9") | {"id": None, "issued": f"2026-01-0{day}"} for day in (1, 2)]
    assert len(record_of(*genes).genetic_observations()) == 2, "without an id it may be another"
    twice = {"one": lean(bundle(CONDITION)), "two": lean(bundle(CONDITION))}
    assert len(read_record(twice, "p1", AS_OF).facts(Condition)) == 1


@pytest.mark.parametrize("death", [{"deceasedBoolean": True}, {"deceasedDateTime": "2020-01-01"}])
def test_death_is_read_in_both_forms(death: dict[str, Any]) -> None:
    assert read_record({"patient": lean(WOMAN | death)}, "p1", AS_OF).deceased
    assert not read_record({"patient": lean(WOMAN | {"deceasedBoolean": False})}, "p1", AS_OF).deceased


@for_rows("reference")
def test_a_resource_about_this_patient_is_kept_however_the_reference_is_spelled(reference: str) -> None:
    record = record_of(CONDITION | {"subject": {"reference": reference}})
    assert [condition.id for condition in record.facts(Condition)] == ["c1"]
    assert record.refusals == ()


@for_rows("reference")
def test_what_cannot_be_compared_is_kept_and_said(reference: str) -> None:
    record = record_of(CONDITION | {"subject": {"reference": reference}})
    assert [condition.id for condition in record.facts(Condition)] == ["c1"]
    assert [(refusal.subject, refusal.reason) for refusal in record.refusals] == [
        ("Condition/c1", "subject-not-compared")
    ]


@for_rows("reference", ["Patient/p2", "patient/p2", "https://ehr.example/fhir/patient/p2", "Patient/p2/", "Patient/P1"])
def test_a_resource_about_another_patient_stops_the_call_however_it_is_spelled(reference: str) -> None:
    with pytest.raises(WrongPatient):
        record_of(CONDITION | {"subject": {"reference": reference}})


# Refusals are told one by one as long as they are few.


# A look-up answers found, refused or absent, the same to everybody who asks, in whatever order they ask.
CREATININE, POTASSIUM, EGFR, CKD_EPI_2021 = "2160-0", "2823-3", "33914-3", "98979-8"


def test_a_usable_value_is_found_and_the_newer_ones_that_were_refused_stand_beside_it() -> None:
    record = record_of(
        observation(CREATININE, 1.0, "mg/dL", "2026-10-01"),
        observation(CREATININE, 999.0, "mg/dL", "2026-11-01"),
        observation(CREATININE, 888.0, "mg/dL", "2026-09-01"),
        observation(CREATININE, 2.0, "mg/dL", "2026-11-02", status="entered-in-error"),
    )
    found = record.lookup("creatinine")
    assert isinstance(found, Found)
    assert found.measurement.value == 1.0
    assert [refusal.reason for refusal in found.refused] == ["implausible"]


# The order of the questions


LABS = [["potassium", 4.0, 1], ["potassium", 5.2, 1], ["potassium", 3.9, 3], ["potassium", 3.1, 40]]


@pytest.fixture
def record(as_of: datetime) -> PatientRecord:
    """Two values of one instant, an older and a much older one."""
    return patients.record_of({"labs": LABS}, as_of)
