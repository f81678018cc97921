"""The record holds one patient's facts, and says what it refused."""

import json
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
from fhir.record.record import BIRTH_SEX, PatientRecord, may_be_patient, read_record, read_value
from fhir.record.refusals import Refusal, WrongPatient, shorten_refusals
from fhir.terminology.conditions import CONDITION_GROUPS
from tests.each import for_rows
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


def test_a_patient_without_an_id_is_the_one_of_the_call() -> None:
    without_id = {name: value for name, value in WOMAN.items() if name != "id"}
    assert read_record({"patient": lean(without_id)}, "p1", AS_OF).sex == "female"


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
    ("kind", "status"),
    [("Procedure", "not-done"), ("Encounter", "cancelled"), ("MedicationRequest", "entered-in-error")],
)
def test_what_did_not_happen_is_no_fact(kind: str, status: str) -> None:
    record = record_of({"resourceType": kind, "id": "x", "status": status, "subject": {"reference": "Patient/p1"}})
    assert [*record.procedures, *record.encounters, *record.medication_requests] == []


def test_the_moment_of_a_record_needs_a_time_zone() -> None:
    with pytest.raises(ValueError, match="as_of needs a time zone"):
        read_record({}, "p1", AS_OF.replace(tzinfo=None))


def test_the_same_resource_under_two_keys_is_one_fact() -> None:
    genes = [observation("81247-9") | {"id": None, "issued": f"2026-01-0{day}"} for day in (1, 2)]
    assert len(record_of(*genes).genetic_observations()) == 2, "without an id it may be another"
    twice = {"one": lean(bundle(CONDITION)), "two": lean(bundle(CONDITION))}
    assert len(read_record(twice, "p1", AS_OF).conditions) == 1


@for_rows(
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
    record = read_record({"patient": lean(WOMAN | {"birthDate": born})}, "p1", AS_OF)
    assert record.age_years() == age


@pytest.mark.parametrize("death", [{"deceasedBoolean": True}, {"deceasedDateTime": "2020-01-01"}])
def test_death_is_read_in_both_forms(death: dict[str, Any]) -> None:
    assert read_record({"patient": lean(WOMAN | death)}, "p1", AS_OF).deceased
    assert not read_record({"patient": lean(WOMAN | {"deceasedBoolean": False})}, "p1", AS_OF).deceased


def test_null_and_empty_values_are_no_error() -> None:
    record = read_record({"patient": None, "labs": lean(bundle()), "other": None}, "p1", AS_OF)
    assert record.patient is None
    assert record.observations == ()


def test_a_medication_is_found_by_every_name_it_has() -> None:
    entry = {"fullUrl": "https://ehr.example/Medication/m1", "resource": {"resourceType": "Medication", "id": "m1"}}
    record = record_of(prefetch={"patient": lean(WOMAN), "more": lean(bundle(entry=[entry]))})
    assert set(record.medications) == {"m1", "Medication/m1", "https://ehr.example/Medication/m1"}


def test_a_resource_of_somebody_else_among_many_of_the_patient_stops_the_call() -> None:
    other = CONDITION | {"id": "x", "subject": {"reference": "Patient/p2"}}
    with pytest.raises(WrongPatient) as error:
        record_of(CONDITION, CONDITION | {"id": "c2"}, other)
    assert "p2" not in str(error.value)


@for_rows(
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


@for_rows("subject", ["Patient/p1", ["Patient/p1"], 7, {"reference": {"a": 1}}, {"reference": None}])
def test_a_subject_of_another_type_is_read_as_a_reference_where_it_can_be(subject: object) -> None:
    value, refusals = read_value("problems", json.dumps(CONDITION | {"subject": subject}).encode())
    assert refusals == []
    assert [condition.id for condition in read_record({"problems": value}, "p1", AS_OF).conditions] == ["c1"]


def test_another_full_url_than_that_of_the_patient_is_another_patient() -> None:
    own = {"fullUrl": "urn:uuid:abc-1", "resource": WOMAN}
    other = {"resource": CONDITION | {"subject": {"reference": "urn:uuid:abc-2"}}}
    with pytest.raises(WrongPatient):
        read_record({"all": lean({"resourceType": "Bundle", "entry": [own, other]})}, "p1", AS_OF)


def test_what_was_not_done_stands_beside_what_was() -> None:
    done, not_done, shot, no_shot = (
        {"resourceType": kind, "id": status, "status": status, element: {"reference": "Patient/p1"}}
        for kind, element in (("Procedure", "subject"), ("Immunization", "patient"))
        for status in ("completed", "not-done")
    )
    record = record_of(done, not_done, not_done, shot, no_shot)
    assert [dose.id for dose in record.immunizations_not_done] == ["not-done"]
    assert [procedure.id for procedure in record.procedures] == ["completed"]
    assert [procedure.id for procedure in record.procedures_not_done] == ["not-done"]


def test_the_country_of_birth_is_that_of_the_extension_of_birth_places() -> None:
    url = "http://hl7.org/fhir/StructureDefinition/patient-birthPlace"
    place, other = {"url": url, "valueAddress": {"country": "IN"}}, {"url": "x", "valueAddress": {"country": "FR"}}
    for extensions, country in (([other, place], "IN"), ([other], None), ([{"url": url}, place], "IN"), ([], None)):
        patient = lean(WOMAN | {"extension": extensions})
        assert read_record({"patient": patient}, "p1", AS_OF).birth_country == country
    assert read_record({}, "p1", AS_OF).birth_country is None


def _extended(url: str, **parts: dict[str, Any]) -> dict[str, Any]:
    inner = [{"url": name, "valueCodeableConcept": value} for name, value in parts.items()]
    return {"extension": [{"url": url, "extension": inner}]}


RECORDED, FOR_CARE, IDENTITY = (
    f"http://hl7.org/fhir/StructureDefinition/{name}"
    for name in ("individual-recordedSexOrGender", "patient-sexParameterForClinicalUse", "patient-genderIdentity")
)


@for_rows(
    ("of_patient", "observed", "sex"),
    [
        ({}, {"text": "Male"}, "male"),
        ({}, {"text": "not asked"}, "female"),
        ({}, {"coding": [{"display": "without a code"}, {"code": "248153007"}]}, "male"),
        (_extended(RECORDED, type={"text": "Sex at birth"}, value={"coding": [{"code": "M"}]}), None, "male"),
        (_extended(RECORDED, type={"text": "Sex at birth"}, value={"coding": [{"display": "M"}]}), None, "female"),
        (_extended(RECORDED, type={"coding": [{"code": "76689-9"}]}, value={"coding": [{"code": "M"}]}), None, "male"),
        (_extended(RECORDED, type={"text": "Sex at birth"}), None, "female"),
        (_extended(RECORDED, value={"coding": [{"code": "M"}]}), None, "female"),
        (_extended(RECORDED, type={"text": "Legal sex"}, value={"coding": [{"code": "M"}]}), None, "female"),
        (_extended(FOR_CARE, value={"coding": [{"system": "x"}, {"code": "male-typical"}]}), None, "male"),
        (_extended(IDENTITY, value={"coding": [{"system": "x"}, {"code": "407376001"}]}), None, "male"),
        (_extended(IDENTITY, value={"text": "Transgender woman"}), None, "male"),
        (_extended(IDENTITY, value={"text": "Woman"}), None, "female"),
        ({"extension": [{"url": BIRTH_SEX[0]}]}, None, "female"),
    ],
)
def test_the_charted_sex_goes_before_the_administrative_one(
    of_patient: dict[str, Any], observed: dict[str, Any] | None, sex: str
) -> None:
    at_birth = observation("76689-9") | {"valueQuantity": None, "valueCodeableConcept": observed}
    chart = {"patient": lean(WOMAN | of_patient), "at-birth": lean(at_birth) if observed is not None else None}
    chart["problem without a code"] = lean({"resourceType": "Condition", "id": "c"})
    assert read_record(chart, "p1", AS_OF).sex == sex


def test_the_patient_of_another_chart_stops_or_is_left_out() -> None:
    prefetch = {"patient": lean(WOMAN), "other": lean(WOMAN | {"id": "p2"})}
    with pytest.raises(WrongPatient):
        read_record(prefetch, "p1", AS_OF)
    record = read_record(prefetch, "p1", AS_OF, on_other_patient="refuse")
    assert [refusal.text for refusal in record.refusals] == ["The Patient resource is about another patient: not used."]
    assert record.patient == prefetch["patient"]


@for_rows(
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


def test_values_with_one_code_leave_the_refusals_of_the_others_to_be_named() -> None:
    values = (
        observation(EGFR, 70.0, "mL/min/{1.73_m2}", "2026-09-01"),
        observation(CKD_EPI_2021, 60.0, "mL/min/{1.73_m2}", "2026-08-01"),
        observation(EGFR, 9999.0, "mL/min/{1.73_m2}", "2026-07-01"),
        observation(CKD_EPI_2021, 61.0, "mL/min/{1.73_m2}", "2026-10-01"),
    )
    record, asked_all = record_of(*values), record_of(*values)
    assert [one.value for one in record.measurements_with_code("egfr", CKD_EPI_2021)] == [61.0, 60.0]
    assert [one.value for one in asked_all.measurements("egfr")] == [61.0, 70.0, 60.0]
    assert record.refusals == asked_all.refusals
    assert [one.reason for one in record.refusals] == ["implausible"]


def test_an_analyte_that_is_not_in_the_table_is_a_fault_of_the_program() -> None:
    with pytest.raises(KeyError):
        record_of().lookup("unobtainium")


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


def test_a_pregnancy_code_of_a_man_is_refused_whoever_asks() -> None:
    resources = [condition("77386006", onsetDateTime="2026-08-01")]
    for ask in (condition_hits, lambda record: find_condition(record, "pregnancy")):
        record = record_of(*resources, prefetch={"one": lean(MAN)})
        ask(record)
        assert [(refusal.subject, refusal.reason) for refusal in record.refusals] == [
            ("Condition/c-77386006", "impossible")
        ]
        assert isinstance(record.refusals[0], Refusal)


LABS = [["potassium", 4.0, 1], ["potassium", 5.2, 1], ["potassium", 3.9, 3], ["potassium", 3.1, 40]]


@pytest.fixture
def record(as_of: datetime) -> PatientRecord:
    """Two values of one instant, an older and a much older one."""
    return patients.record_of({"labs": LABS}, as_of)


def test_values_of_one_instant_come_together(record: PatientRecord) -> None:
    assert sorted(one.value for one in record.newest_together("potassium")) == [4.0, 5.2]
    assert record.newest_together("sodium") == []
    newer = observation("2823-3", 4.1, "mmol/L", "2026-11-19", status="preliminary", valueQuantity=None)
    older = [observation("2823-3", 4.0 + day, "mmol/L", f"2026-11-1{day}") for day in (5, 3)]
    assert [one.value for one in record_of(newer, *older).newest_together("potassium")] == [9.0]


@for_rows(
    ("one", "other", "are_one_instant"),
    [
        ("2026-11-19T10:00:00Z", "2026-11-19T10:00:00.000Z", True),
        ("2026-11-19T10:00:00+01:00", "2026-11-19T11:00:00+02:00", True),
        ("2026-11-19T10:00:00+01:00", "2026-11-19T11:00:00+01:00", False),
        ("2026-11-19T10:00:00", "2026-11-19T11:00:00", True),  # without an offset both are the day
        ("2026-11-19T10:00+01:00", "2026-11-19T11:00+02:00", True),  # without seconds, which FHIR forbids
        ("2026-11-19", "2026-11-18", False),
    ],
)
def test_instants_are_one_however_they_are_written(one: str, other: str, are_one_instant: bool) -> None:
    record = record_of(observation("2823-3", 4.1, "mmol/L", one), observation("2823-3", 5.2, "mmol/L", other))
    assert len(record.newest_together("potassium")) == (2 if are_one_instant else 1)


def test_too_old_is_none(as_of: datetime) -> None:
    old = patients.record_of({"labs": [["potassium", 4.0, 40]]}, as_of)
    assert old.newest_together("potassium", 30) == []
    assert len(old.newest_together("potassium", 40)) == 1
