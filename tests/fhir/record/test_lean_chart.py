"""What is recorded of a chart to answer again: all that was read, and neither the patient's name nor references."""

from fhir.record.lean_chart import (
    decode_chart,
    encode_chart,
    record_of_chart,
)
from fhir.record.record import PatientRecord
from tests.fhir.builders import AS_OF, observation, record_of

POTASSIUM = observation("2823-3", 4.0, "mmol/L", id="k")
OLD = observation("2823-3", 5.0, "mmol/L", "2020-01-01", id="old")
PROBLEM, DONE, NOT_DONE = (
    {"resourceType": kind, "id": name, "subject": {"reference": "Patient/p1"}} | more
    for kind, name, more in (
        ("Condition", "c", {}), ("Procedure", "done", {"status": "completed"}),
        ("Procedure", "not", {"status": "not-done"}),
    )
)  # fmt: skip


def encode(record: PatientRecord) -> bytes:
    return encode_chart(record.resources, record.patient_id)


def read_again(record: PatientRecord) -> PatientRecord:
    chart = decode_chart(encode(record))
    return record_of_chart(chart, record.patient_id, AS_OF, record.refusals)


def test_every_question_has_the_same_answer_whether_it_was_asked_before_or_not() -> None:
    record = record_of(POTASSIUM, OLD, PROBLEM, DONE | {"subject": {}}, NOT_DONE)
    again = read_again(record)
    assert again.measurements("potassium") == record.measurements("potassium")
    assert [problem.id for problem in again.conditions] == ["c"]
    assert [procedure.id for procedure in again.procedures] == ["done"]
    assert [procedure.id for procedure in again.procedures_not_done] == ["not"]
    assert again.refusals == record.refusals
