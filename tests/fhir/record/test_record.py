"""The record holds one patient's facts, and says what it refused."""

import json
from typing import Any

import pytest

from fhir.record.record import may_be_patient, read_record, read_value
from fhir.record.refusals import Refusal, WrongPatient, shorten_refusals
from tests.fhir.record.charts import AS_OF, PATIENT, bundle, lean, observation, record_of

CONDITION: dict[str, Any] = {
    "resourceType": "Condition",
    "id": "c1",
    "code": {"coding": [{"system": "http://snomed.info/sct", "code": "44054006"}]},
    "subject": {"reference": "Patient/p1"},
}


@pytest.mark.parametrize(
    "subject", ["Patient/p1", "https://ehr.example/fhir/Patient/p1", "Patient/p1/_history/3", "urn:uuid:p1"]
)
def test_the_patient_is_recognised_in_every_form_of_reference(subject: str) -> None:
    assert len(record_of(CONDITION | {"subject": {"reference": subject}}).conditions) == 1


@pytest.mark.parametrize("element", ["subject", "patient"])
def test_a_resource_about_another_patient_stops_the_call(element: str) -> None:
    kind = "Condition" if element == "subject" else "AllergyIntolerance"
    other = {"resourceType": kind, "id": "x", element: {"reference": "Patient/p2"}}
    with pytest.raises(WrongPatient, match=f"One {kind} is about another patient"):
        record_of(other)


def test_an_unread_type_about_another_patient_stops_the_call_too() -> None:
    plan = {"resourceType": "CarePlan", "id": "d", "subject": {"reference": "Patient/p2"}}
    with pytest.raises(WrongPatient):
        record_of(plan)


def test_another_patients_patient_resource_stops_the_call_without_naming_who() -> None:
    with pytest.raises(WrongPatient) as error:
        read_record({"patient": lean(PATIENT | {"id": "secret-7"})}, "p1", AS_OF)
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
            {"fullUrl": "urn:uuid:abc-1", "resource": PATIENT},
        ],
    }
    assert len(read_record({"all": lean(chart)}, "p1", AS_OF).conditions) == 1


def test_a_resource_about_a_device_is_refused_and_named() -> None:
    record = record_of(observation("2160-0", 1.0, "mg/dL", subject={"reference": "Device/7"}))
    assert record.newest("creatinine") is None
    assert [refusal.reason for refusal in record.refusals] == ["other-subject"]


@pytest.mark.parametrize("status", ["refuted", "entered-in-error"])
def test_what_was_refuted_is_no_fact(status: str) -> None:
    verification = {"coding": [{"code": status}]}
    assert record_of(CONDITION | {"verificationStatus": verification}).conditions == ()


@pytest.mark.parametrize("words", ["Refuted", "Entered in error"])
def test_what_was_refuted_in_words_alone_is_no_fact(words: str) -> None:
    assert record_of(CONDITION | {"verificationStatus": {"text": words}}).conditions == ()


def test_what_was_only_confirmed_in_words_is_one() -> None:
    assert record_of(CONDITION | {"verificationStatus": {"text": "Confirmed"}}).conditions


@pytest.mark.parametrize(
    ("when", "is_fact"),
    [("2026-11-20", True), ("2026-11-20T08:59:00Z", True), ("2026-11-24", False), ("2027-01-01T08:00:00Z", False)],
)
def test_an_illness_or_an_operation_of_next_month_is_no_fact_yet(when: str, is_fact: bool) -> None:
    operation = {"resourceType": "Procedure", "id": "x", "status": "completed", "subject": CONDITION["subject"]}
    record = record_of(
        CONDITION | {"onsetDateTime": when},
        CONDITION | {"id": "c2", "recordedDate": when},
        CONDITION | {"id": "c3", "onsetPeriod": {"start": when}},
        operation | {"performedDateTime": when},
        operation | {"id": "y", "performedPeriod": {"start": when}},
    )
    assert (len(record.conditions), len(record.procedures)) == ((3, 2) if is_fact else (0, 0))


@pytest.mark.parametrize(
    ("kind", "status"),
    [("Procedure", "not-done"), ("Encounter", "cancelled"), ("MedicationRequest", "entered-in-error")],
)
def test_what_did_not_happen_is_no_fact(kind: str, status: str) -> None:
    record = record_of({"resourceType": kind, "id": "x", "status": status, "subject": {"reference": "Patient/p1"}})
    assert [*record.procedures, *record.encounters, *record.medication_requests] == []


def test_the_same_resource_under_two_keys_is_one_fact() -> None:
    twice = {"one": lean(bundle(CONDITION)), "two": lean(bundle(CONDITION))}
    assert len(read_record(twice, "p1", AS_OF).conditions) == 1


@pytest.mark.parametrize(
    ("born", "age"),
    [
        ("1950-11-20", 76),
        ("1950-11-21", 75),
        ("1950-11", 76),
        ("1950-12", 75),
        ("1950", None),
        ("2030-01-01", None),
        ("1904-01-01", 122),
        ("1900-01-01", None),
        ("1753-01-01", None),
        ("0001-01-01", None),
        ("x", None),
    ],
)
def test_age_is_counted_at_the_instant_of_the_call(born: str, age: int | None) -> None:
    record = read_record({"patient": lean(PATIENT | {"birthDate": born})}, "p1", AS_OF)
    assert record.age_years() == age


@pytest.mark.parametrize("death", [{"deceasedBoolean": True}, {"deceasedDateTime": "2020-01-01"}])
def test_death_is_read_in_both_forms(death: dict[str, Any]) -> None:
    assert read_record({"patient": lean(PATIENT | death)}, "p1", AS_OF).deceased
    assert not read_record({"patient": lean(PATIENT | {"deceasedBoolean": False})}, "p1", AS_OF).deceased


def test_null_and_empty_values_are_no_error() -> None:
    record = read_record({"patient": None, "labs": lean(bundle()), "other": None}, "p1", AS_OF)
    assert record.patient is None
    assert record.observations == ()


def test_a_medication_is_found_by_every_name_it_has() -> None:
    record = record_of({"resourceType": "Medication", "id": "m1"})
    assert set(record.medications) == {"m1", "Medication/m1", "https://ehr.example/Medication/m1"}


def test_a_resource_of_somebody_else_among_many_of_the_patient_stops_the_call() -> None:
    other = CONDITION | {"id": "x", "subject": {"reference": "Patient/p2"}}
    with pytest.raises(WrongPatient) as error:
        record_of(CONDITION, CONDITION | {"id": "c2"}, other)
    assert "p2" not in str(error.value)


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/p1", "patient/p1", "p1", " Patient/p1 ", "PATIENT/p1", "https://ehr.example/fhir/patient/p1",
        "https://ehr.example/fhir/Patient/p1/_history/2", "#patient", "Patient/p1/", "Patient//p1", "Patient/p1|2",
        "Patient/p1#x", "Patient/%70%31", "\u200bPatient/p1", "\uff30atient/p1", "", "Patient/p1/_history",
    ],
)  # fmt: skip
def test_a_resource_about_this_patient_is_kept_however_the_reference_is_spelled(reference: str) -> None:
    record = record_of(CONDITION | {"subject": {"reference": reference}})
    assert [condition.id for condition in record.conditions] == ["c1"]
    assert record.refusals == ()


@pytest.mark.parametrize(
    "reference",
    [
        "Patient?identifier=http://mrn|7", "urn:uuid:nobody-has-this-name", "Patient:p1", "Patient", "Patient/",
        "Patient\\p1", "Patient/p1/x", "p2",
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_kept_and_said(reference: str) -> None:
    record = record_of(CONDITION | {"subject": {"reference": reference}})
    assert [condition.id for condition in record.conditions] == ["c1"]
    assert [(refusal.subject, refusal.reason) for refusal in record.refusals] == [
        ("Condition/c1", "subject-not-compared")
    ]


@pytest.mark.parametrize(
    "reference", ["Patient/p2", "patient/p2", "https://ehr.example/fhir/patient/p2", "Patient/p2/", "Patient/P1"]
)
def test_a_resource_about_another_patient_stops_the_call_however_it_is_spelled(reference: str) -> None:
    with pytest.raises(WrongPatient):
        record_of(CONDITION | {"subject": {"reference": reference}})


@pytest.mark.parametrize("subject", ["Patient/p1", ["Patient/p1"], 7, {"reference": {"a": 1}}, {"reference": None}])
def test_a_subject_of_another_type_is_read_as_a_reference_where_it_can_be(subject: object) -> None:
    value, refusals = read_value("problems", json.dumps(CONDITION | {"subject": subject}).encode())
    assert refusals == []
    assert [condition.id for condition in read_record({"problems": value}, "p1", AS_OF).conditions] == ["c1"]


def test_another_full_url_than_that_of_the_patient_is_another_patient() -> None:
    own = {"fullUrl": "urn:uuid:abc-1", "resource": PATIENT}
    other = {"resource": CONDITION | {"subject": {"reference": "urn:uuid:abc-2"}}}
    with pytest.raises(WrongPatient):
        read_record({"all": lean({"resourceType": "Bundle", "entry": [own, other]})}, "p1", AS_OF)


def test_what_was_not_done_stands_beside_what_was() -> None:
    done, not_done = (
        {"resourceType": "Procedure", "id": status, "status": status, "subject": {"reference": "Patient/p1"}}
        for status in ("completed", "not-done")
    )
    record = record_of(done, not_done, not_done)
    assert [procedure.id for procedure in record.procedures] == ["completed"]
    assert [procedure.id for procedure in record.procedures_not_done] == ["not-done"]


def test_the_country_of_birth_is_that_of_the_extension_of_birth_places() -> None:
    url = "http://hl7.org/fhir/StructureDefinition/patient-birthPlace"
    place, other = {"url": url, "valueAddress": {"country": "IN"}}, {"url": "x", "valueAddress": {"country": "FR"}}
    for extensions, country in (([other, place], "IN"), ([other], None), ([{"url": url}, place], "IN"), ([], None)):
        patient = lean(PATIENT | {"extension": extensions})
        assert read_record({"patient": patient}, "p1", AS_OF).birth_country == country
    assert read_record({}, "p1", AS_OF).birth_country is None


def test_the_patient_of_another_chart_stops_or_is_left_out() -> None:
    prefetch = {"patient": lean(PATIENT), "other": lean(PATIENT | {"id": "p2"})}
    with pytest.raises(WrongPatient):
        read_record(prefetch, "p1", AS_OF)
    record = read_record(prefetch, "p1", AS_OF, on_other_patient="refuse")
    assert [refusal.text for refusal in record.refusals] == ["The Patient resource is about another patient: not used."]
    assert record.patient == prefetch["patient"]


@pytest.mark.parametrize(
    ("reference", "may"),
    [
        ("Patient/p1", True), ("https://ehr.example/fhir/Patient/p1/_history/2", True), ("urn:uuid:1", True),
        ("Group/p1", False), ("p1", False), ("patient/p1", True), ("Patient?name=x", True), ("Patient/p1/x", False),
    ],
)  # fmt: skip
def test_a_reference_can_be_to_a_patient(reference: str, may: bool) -> None:
    assert may_be_patient(reference) is may


# Refusals are told one by one as long as they are few.


def _refused(number: int, analyte: str = "creatinine", reason: str = "unknown-unit") -> Refusal:
    return Refusal(f"Observation/{number}", reason, f"Value {number} was not used.", analyte)


def test_few_refusals_stay_as_they_are() -> None:
    few = [_refused(number) for number in range(5)] + [_refused(9, reason="future"), _refused(8, analyte="potassium")]
    assert shorten_refusals(few) == few


def test_of_many_alike_five_are_named_and_the_rest_is_counted() -> None:
    many = [_refused(number) for number in range(20_000)]
    assert shorten_refusals(many) == [
        *many[:5],
        Refusal("creatinine", "unknown-unit", "Not used for the same reason: 19995 more (creatinine)."),
    ]


def test_resources_without_an_analyte_are_alike_by_their_type() -> None:
    broken = [Refusal(f"Condition/{number}", "unreadable", "Not used.") for number in range(7)]
    assert shorten_refusals(broken)[-1].text == "Not used for the same reason: 2 more (Condition)."
