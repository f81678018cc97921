"""The record holds one patient's facts, and says what it refused."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cards.casebook import patients
from fhir.mapping.conditions import ConditionHit, find_condition
from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.kidney import KidneyAbsence, crcl_cockcroft_gault, egfr_best
from fhir.record.facts import Found
from fhir.record.record import PatientRecord, read_record
from fhir.record.refusals import WrongPatient
from fhir.terminology.conditions import CONDITION_GROUPS
from tests.each import for_rows, rows_of
from tests.fhir.builders import AS_OF, MAN, SNOMED, WOMAN, bundle, condition, lean, observation, problem, record_of

CONDITION: dict[str, Any] = problem(code="44054006", system=SNOMED, status=None, id="c1")


@for_rows("subject", ["Patient/p1", "https://ehr.example/fhir/Patient/p1", "Patient/p1/_history/3", "urn:uuid:p1"])
def test_the_patient_is_recognised_in_every_form_of_reference(subject: str) -> None:
    assert len(record_of(CONDITION | {"subject": {"reference": subject}}).conditions) == 1


@pytest.mark.parametrize("element", ["subject", "patient"])
def test_a_resource_about_another_patient_stops_the_call(element: str) -> None:
    kind = "Condition" if element == "subject" else "AllergyIntolerance"
    other = {"resourceType": kind, "id": "x", element: {"reference": "Patient/p2"}}
    with pytest.raises(WrongPatient, match=f"One {kind} is about another patient"):
        record_of(other)


def test_a_bundle_inside_a_bundle_is_read_and_of_another_patient_stops_the_call() -> None:
    """A batch response, or a page inside a page: what is in it is the patient's as what is beside it."""
    inner = bundle(CONDITION, type="searchset")
    assert len(record_of(inner, CONDITION | {"id": "c2"}).conditions) == 2
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
    assert len(record.conditions) == 1
    assert [refusal.reason for refusal in record.refusals] == ["other-patient"]


def test_the_full_url_of_the_patient_is_another_name_of_the_patient() -> None:
    chart = {
        "resourceType": "Bundle",
        "entry": [
            {"resource": CONDITION | {"subject": {"reference": "urn:uuid:abc-1"}}},
            {"fullUrl": "urn:uuid:abc-1", "resource": WOMAN},
        ],
    }
    assert len(read_record({"all": lean(chart)}, "p1", AS_OF).conditions) == 1


@pytest.mark.parametrize("status", ["refuted", "entered-in-error"])
def test_what_was_refuted_is_no_fact(status: str) -> None:
    verification = {"coding": [{"code": status}]}
    assert record_of(CONDITION | {"verificationStatus": verification}).conditions == ()


@pytest.mark.parametrize(
    ("kind", "status"),
    [("Procedure", "not-done"), ("Encounter", "cancelled"), ("MedicationRequest", "entered-in-error")],
)
def test_what_did_not_happen_is_no_fact(kind: str, status: str) -> None:
    record = record_of({"resourceType": kind, "id": "x", "status": status, "subject": {"reference": "Patient/p1"}})
    assert [*record.procedures, *record.encounters, *record.medication_requests] == []


def test_the_same_resource_under_two_keys_is_one_fact() -> None:
    genes = [observation("81247-9") | {"id": None, "issued": f"2026-01-0{day}"} for day in (1, 2)]
    assert len(record_of(*genes).genetic_observations()) == 2, "without an id it may be another"
    twice = {"one": lean(bundle(CONDITION)), "two": lean(bundle(CONDITION))}
    assert len(read_record(twice, "p1", AS_OF).conditions) == 1


@pytest.mark.parametrize("death", [{"deceasedBoolean": True}, {"deceasedDateTime": "2020-01-01"}])
def test_death_is_read_in_both_forms(death: dict[str, Any]) -> None:
    assert read_record({"patient": lean(WOMAN | death)}, "p1", AS_OF).deceased
    assert not read_record({"patient": lean(WOMAN | {"deceasedBoolean": False})}, "p1", AS_OF).deceased


def test_a_resource_of_somebody_else_among_many_of_the_patient_stops_the_call() -> None:
    other = CONDITION | {"id": "x", "subject": {"reference": "Patient/p2"}}
    with pytest.raises(WrongPatient) as error:
        record_of(CONDITION, CONDITION | {"id": "c2"}, other)
    assert "p2" not in str(error.value)


@for_rows(
    "reference",
    rows_of(__file__, "a_resource_about_this_patient_is_kept_however_the_reference_is_spelled"),
)  # fmt: skip
def test_a_resource_about_this_patient_is_kept_however_the_reference_is_spelled(reference: str) -> None:
    record = record_of(CONDITION | {"subject": {"reference": reference}})
    assert [condition.id for condition in record.conditions] == ["c1"]
    assert record.refusals == ()


@for_rows(
    "reference",
    [
        "Patient?identifier=http://mrn|7", "urn:uuid:nobody-has-this-name", "Patient:p1", "Patient", "Patient/",
        "Patient\\p1", "Patient/p1/x", "p2", "Group/the second",
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_kept_and_said(reference: str) -> None:
    record = record_of(CONDITION | {"subject": {"reference": reference}})
    assert [condition.id for condition in record.conditions] == ["c1"]
    assert [(refusal.subject, refusal.reason) for refusal in record.refusals] == [
        ("Condition/c1", "subject-not-compared")
    ]


@for_rows("reference", ["Patient/p2", "patient/p2", "https://ehr.example/fhir/patient/p2", "Patient/p2/", "Patient/P1"])
def test_a_resource_about_another_patient_stops_the_call_however_it_is_spelled(reference: str) -> None:
    with pytest.raises(WrongPatient):
        record_of(CONDITION | {"subject": {"reference": reference}})


def test_another_full_url_than_that_of_the_patient_is_another_patient() -> None:
    own = {"fullUrl": "urn:uuid:abc-1", "resource": WOMAN}
    other = {"resource": CONDITION | {"subject": {"reference": "urn:uuid:abc-2"}}}
    with pytest.raises(WrongPatient):
        read_record({"all": lean({"resourceType": "Bundle", "entry": [own, other]})}, "p1", AS_OF)


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


def condition_hits(record: PatientRecord) -> dict[str, ConditionHit]:
    """Every condition key that the record has, with the condition that counts for it."""
    return {key: hit for key in CONDITION_GROUPS if (hit := find_condition(record, key)) is not None}


# The order of the questions


def _egfr(record: PatientRecord) -> object:
    found = egfr_best(record)
    return (found.reason, found.text, found.refused) if isinstance(found, KidneyAbsence) else found


QUESTIONS: dict[str, Callable[[PatientRecord], object]] = {
    **{
        f"feature {feature.name}": lambda record, feature=feature: feature.read(record)  # type: ignore[misc]
        for feature in FEATURES.values()
    },
    "best eGFR": _egfr,
    "clearance": lambda record: crcl_cockcroft_gault(record, "adjusted"),
    "newest creatinine": lambda record: record.newest("creatinine"),
    "all creatinine": lambda record: record.measurements("creatinine"),
    "potassium of a month": lambda record: record.lookup("potassium", 30),
    "potassium together": lambda record: record.newest_together("potassium"),
    "recent eGFR": lambda record: record.measurements_since("egfr", record.as_of_epoch - 30 * 86_400),
    "one-sided eGFR": lambda record: record.one_sided_results("egfr"),
    "pregnancy": lambda record: find_condition(record, "pregnancy"),
    "conditions": condition_hits,
}
_CODES = (
    CREATININE, POTASSIUM, EGFR, "98979-8", "8480-6", "8462-4", "29463-7", "8302-2", "39156-5", "9269-2", "1975-2",
)  # fmt: skip
_UNITS = ("mg/dL", "mmol/L", "stone", None, "mL/min/{1.73_m2}", "mm[Hg]", "kg", "cm", "kg/m2", "{score}")


@st.composite
def _observations(draw: st.DrawFn) -> list[dict[str, Any]]:
    made = []
    for number in range(draw(st.integers(1, 8))):
        value = draw(st.sampled_from((0.0, 1.0, 1.4, 5.0, 15.0, 60.0, 120.0, 170.0, 9999.0)))
        when = draw(st.sampled_from(("2026-11-19", "2026-11-01", "2026-06-01", "2024-01-01", "2031-01-01", None)))
        resource = observation(
            draw(st.sampled_from(_CODES)),
            value,
            draw(st.sampled_from(_UNITS)),
            when,
            id=f"o{number}",
            status=draw(st.sampled_from(("final", "preliminary", "entered-in-error"))),
        )
        if draw(st.booleans()):
            resource["valueQuantity"]["comparator"] = draw(st.sampled_from((">", "<")))
        made.append(resource)
    return made


@given(_observations(), st.permutations(sorted(QUESTIONS)), st.booleans())
def test_answers_and_refusals_do_not_depend_on_who_asked_first(
    observations: list[dict[str, Any]], order: list[str], is_man: bool
) -> None:
    resources = [*observations, condition("77386006", onsetDateTime="2026-08-01")]
    patient = {"one": lean(MAN)} if is_man else None

    def fresh() -> PatientRecord:
        return record_of(*resources, prefetch=patient)

    alone = {name: repr(QUESTIONS[name](fresh())) for name in QUESTIONS}
    shuffled, sorted_ = fresh(), fresh()
    assert {name: repr(QUESTIONS[name](shuffled)) for name in order} == alone
    for name in sorted(QUESTIONS):
        QUESTIONS[name](sorted_)
    assert shuffled.refusals == sorted_.refusals
    assert len(set(shuffled.refusals)) == len(shuffled.refusals)


LABS = [["potassium", 4.0, 1], ["potassium", 5.2, 1], ["potassium", 3.9, 3], ["potassium", 3.1, 40]]


@pytest.fixture
def record(as_of: datetime) -> PatientRecord:
    """Two values of one instant, an older and a much older one."""
    return patients.record_of({"labs": LABS}, as_of)
