"""What of a chart is kept to answer again: what was read, and the names of what was there and was not."""

from typing import Any

import msgspec
import pytest

from fhir.record.datatypes import Subject
from fhir.record.facts import NotKept
from fhir.record.kept_facts import KeptFacts, keep_facts, record_of_facts
from fhir.record.record import PatientRecord
from fhir.record.resources import Procedure
from tests.fhir.record.charts import AS_OF, PATIENT, lean, observation, record_of

Json = dict[str, Any]
POTASSIUM, SODIUM = (observation(code, 4.0, "mmol/L", id=code) for code in ("2823-3", "2951-2"))
OLD = observation("2823-3", 5.0, "mmol/L", "2020-01-01", id="old")
SMOKES = {
    "resourceType": "Observation", "id": "smokes", "status": "final", "subject": {"reference": "Patient/p1"},
    "code": {"coding": [{"system": "http://loinc.org", "code": "72166-2"}]}, "valueString": "never smoker",
}  # fmt: skip
PROBLEM, DONE, NOT_DONE = (
    {"resourceType": kind, "id": name, "subject": {"reference": "Patient/p1"}} | more
    for kind, name, more in (
        ("Condition", "c", {}), ("Procedure", "done", {"status": "completed"}),
        ("Procedure", "not", {"status": "not-done"}),
    )
)  # fmt: skip
ORDER = {
    "resourceType": "MedicationRequest", "id": "m", "status": "active", "intent": "order",
    "subject": {"reference": "Patient/p1"}, "medicationReference": {"reference": "Medication/drug-a"},
}  # fmt: skip


def kept(record: PatientRecord, named_orders: bytes = b"") -> KeptFacts:
    record.keep_facts(lambda resources: keep_facts(resources, named_orders))
    return msgspec.json.decode(record.kept_facts(), type=KeptFacts)


def ids(facts: KeptFacts) -> list[str]:
    return [fact.id for fact in facts.chart]


def test_what_was_not_asked_for_is_left_out_and_named() -> None:
    record = record_of(POTASSIUM, SODIUM, OLD, PROBLEM, DONE, NOT_DONE, SMOKES)
    nothing = kept(record)
    assert (ids(nothing), nothing.left_out) == ([], ("Condition", "Procedure", "Observation"))
    assert record.newest("potassium") is not None
    of_potassium = kept(record)
    assert (ids(of_potassium), of_potassium.partial) == (["2823-3"], ("potassium",))
    assert of_potassium.left_out == ("Condition", "Procedure", "sodium", "smoking_status")
    assert len(record.procedures) == 1
    assert len(record.smoking_answers()) == 1
    facts = kept(record)
    assert ids(facts) == ["done", "not", "2823-3", "smokes"]
    assert facts.left_out == ("Condition", "sodium")
    again = record_of_facts(facts, "p1", AS_OF, None, None)
    assert again.newest("potassium") == record.newest("potassium")
    assert [procedure.id for procedure in again.procedures_not_done] == ["not"]
    assert [procedure.subject for procedure in facts.chart if isinstance(procedure, Procedure)] == [None, None]
    assert record.procedures[0].subject == Subject(reference="Patient/p1")  # another call may read the same resource
    for question in (lambda: again.conditions, lambda: again.newest("sodium")):
        with pytest.raises(NotKept):
            question()


def test_of_the_patient_only_what_is_read_is_kept() -> None:
    place = {"url": "http://hl7.org/fhir/StructureDefinition/patient-birthPlace", "valueAddress": {"country": "IN"}}
    patient = PATIENT | {"extension": [{"url": "x", "valueAddress": {"country": "FR"}}, place]}
    facts = kept(record_of(prefetch={"patient": lean(patient)}))
    assert facts.patient == lean({"resourceType": "Patient", "birthDate": "1950-05-05", "gender": "female"} | {
        "extension": [place]
    })  # fmt: skip
    assert kept(record_of(prefetch={"patient": None})).patient is None


def test_medications_are_kept_that_an_order_names_and_those_in_them() -> None:
    part = {"itemReference": {"reference": "Medication/drug-b"}}
    drugs: list[Json] = [
        {"resourceType": "Medication", "id": "drug-a", "ingredient": [{}, part]},
        *({"resourceType": "Medication", "id": f"drug-{name}"} for name in "bcd"),
    ]
    record = record_of(ORDER, ORDER | {"id": "n", "medicationReference": {"display": "x"}}, *drugs)
    assert kept(record).medications == {}
    assert len(record.medication_requests) == 2
    of_orders = ["Medication/drug-a", "Medication/drug-b"]
    assert sorted(kept(record).medications) == of_orders
    named = kept(record, b'{"reference": "Medication/drug-c"}').medications
    assert sorted(named) == [*of_orders, "Medication/drug-c", "drug-c"]


def test_the_facts_stay_when_the_record_is_released() -> None:
    record = record_of(POTASSIUM)
    assert record.kept_facts() == b""
    assert record.newest("potassium") is not None
    record.keep_facts(keep_facts)
    before = record.kept_facts()
    record.release()
    assert record.kept_facts() == before != b""
