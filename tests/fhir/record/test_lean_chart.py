"""What is recorded of a chart to answer again: all that was read, and neither the patient's name nor references."""

from fhir.record.lean_chart import (
    after_part,
    continue_chart,
    decode_chart,
    encode_chart,
    first_chart,
    join_charts,
    record_of_chart,
)
from fhir.record.record import PatientRecord
from fhir.record.text_budget import CHARACTERS_OF_A_CALL
from tests.fhir.builders import AS_OF, WOMAN, lean, medication_order, observation, record_of

POTASSIUM = observation("2823-3", 4.0, "mmol/L", id="k")
OLD = observation("2823-3", 5.0, "mmol/L", "2020-01-01", id="old")
PROBLEM, DONE, NOT_DONE = (
    {"resourceType": kind, "id": name, "subject": {"reference": "Patient/p1"}} | more
    for kind, name, more in (
        ("Condition", "c", {}), ("Procedure", "done", {"status": "completed"}),
        ("Procedure", "not", {"status": "not-done"}),
    )
)  # fmt: skip
ORDER = medication_order(None, id="m", medicationReference={"reference": "Medication/drug-a"})


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


def test_a_chart_that_goes_on_from_others_is_made_whole_to_the_byte() -> None:
    absolute = {"subject": {"reference": "https://ehr.example/fhir/Patient/p1"}}
    drug = {"resourceType": "Medication", "id": "drug-a", "code": {"text": "Ibuprofen"}}
    kept = {key: lean(value) for key, value in (
        ("k", POTASSIUM), ("old", OLD | {"subject": None}), ("c", PROBLEM | absolute), ("done", DONE),
        ("not", NOT_DONE | {"subject": {}}), ("order", ORDER), ("drug", drug), ("patient", WOMAN),
    )}  # fmt: skip
    before, contents = None, list[bytes]()
    for keys in ("k c", "old k c", "k c", "patient done not k order drug", "old order drug", "not", ""):
        record = record_of(prefetch={key: kept[key] for key in keys.split()})
        read, whole = record.resources, encode(record)
        if before is None:
            contents.append(whole)
            before = first_chart(read, "p1", b"1", whole)
            continue
        part = continue_chart(read, "p1", before)
        assert part is not None
        assert join_charts([*contents, part.text]) == whole, keys
        if part.new:
            contents.append(part.text)
            before = after_part(part, before, read, b"%d" % len(contents))
    assert before is not None
    assert len(contents) == 3
    other = lean(PROBLEM | {"id": "c2", "subject": {"reference": "urn:uuid:5"}})
    assert continue_chart(record_of(prefetch={"c": other}).resources, "p1", before) is None, "not numbered before"
    same = lean(PROBLEM | absolute | {"id": "c3"})
    assert continue_chart(record_of(prefetch={"c": same}).resources, "p1", before) is not None, "the form of before"
    changed = lean(drug | {"code": {"text": "Naproxen"}})
    part = continue_chart(record_of(prefetch={"drug": changed}).resources, "p1", before)
    assert part is not None
    again = decode_chart(join_charts([*contents, part.text]))
    assert again.medications["drug-a"] == changed, "another content under the names of before"
    for more, is_part in (("", True), ("a", False)):
        texts = [*["a" * 399] * (CHARACTERS_OF_A_CALL // 400 - 1), "a" * 399 + more]
        notes = [lean(PROBLEM | {"id": f"n{number}", "code": {"text": text}}) for number, text in enumerate(texts)]
        long = record_of(prefetch={note.id: note for note in notes})
        assert bool(continue_chart(long.resources, "p1", before)) is is_part, "no more prose than may be read"


def test_of_the_patient_only_what_is_read_is_kept() -> None:
    place = {"url": "http://hl7.org/fhir/StructureDefinition/patient-birthPlace", "valueAddress": {"country": "IN"}}
    patient = WOMAN | {"extension": [{"url": "x", "valueAddress": {"country": "FR"}}, place]}
    again = read_again(record_of(prefetch={"patient": lean(patient)}))
    assert again.patient == lean({"resourceType": "Patient", "birthDate": "1956-11-20", "gender": "female"} | {
        "extension": [place]
    })  # fmt: skip
    assert read_again(record_of(prefetch={"patient": None})).patient is None


def test_medications_are_found_by_every_name_that_they_had() -> None:
    part = {"itemReference": {"reference": "Medication/drug-b"}}
    record = record_of(
        ORDER, {"resourceType": "Medication", "id": "drug-a", "ingredient": [{}, part]},
        {"resourceType": "Medication", "id": "drug-b"},
    )  # fmt: skip
    assert read_again(record).medications == record.medications
    assert {"drug-a", "Medication/drug-b"} <= set(record.medications)
