"""PID, PV1, AL1 and DG1 as whole resources, worked out by hand from HL7's v2-to-FHIR guide."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cds_hooks.events.declaration import V2Feed
from cds_hooks.events.effects import Effects, Fact, resource_id
from cds_hooks.events.v2.message import Segment, Unreadable, parse_message
from cds_hooks.events.v2.visits import (
    demographics,
    patient_number,
    patient_numbers,
    take_allergies,
    take_diagnoses,
    visit,
    visit_number,
)
from fhir.mapping.destinations import destination_named
from fhir.record.datatypes import CodeableConcept, Coding
from tests.fhir.builders import encounter

Json = dict[str, Any]
HEADER = "MSH|^~\\&|LAB|SOUTH|CDS|CDS|20261120120000||ADT^A01|1|P|2.5.1\r"
SOUTH = V2Feed(name="adt", authority="SOUTH", zone=ZoneInfo("UTC"))
ANYBODY = V2Feed(name="adt", zone=ZoneInfo("UTC"))
AT = datetime(2026, 11, 20, 9, tzinfo=UTC).timestamp()


def _segment(name: str, **fields: str) -> Segment:
    """A segment with these fields, as f3="…"."""
    numbered = {int(number.removeprefix("f")): value for number, value in fields.items()}
    values = [numbered.get(number, "") for number in range(1, max(numbered, default=0) + 1)]
    return parse_message(HEADER + "|".join([name, *values]) + "\r").segments[1]


# Numbers


@pytest.mark.parametrize(
    ("feed", "fields", "numbers"),
    [
        (SOUTH, {"f3": "500^^^SOUTH^MR"}, ["500"]),
        (SOUTH, {"f3": "9^^^NORTH^MR~500^^^SOUTH^MR"}, ["500"]),
        (SOUTH, {"f3": "7^^^SOUTH^VN~500^^^SOUTH^MR~501^^^SOUTH^MR"}, ["500", "501"]),
        (SOUTH, {"f3": "7^^^SOUTH^VN~8^^^SOUTH^PI"}, ["7", "8"]),
        (SOUTH, {"f2": "600^^^SOUTH"}, ["600"]),
        (SOUTH, {"f2": "600^^^SOUTH", "f3": "500^^^SOUTH^MR"}, ["500"]),
        (SOUTH, {"f2": "600^^^SOUTH", "f3": '""'}, ["600"]),
        (SOUTH, {"f3": "5/0^^^SOUTH^MR"}, [resource_id("patient", "5/0")]),
        (SOUTH, {"f3": f"{'5' * 64}^^^SOUTH^MR"}, ["5" * 64]),
        (SOUTH, {"f3": f"{'5' * 65}^^^SOUTH^MR"}, [resource_id("patient", "5" * 65)]),
        (ANYBODY, {"f3": "500^^^SOUTH^MR"}, ["SOUTH.500"]),
        (ANYBODY, {"f3": "500"}, ["500"]),
        (ANYBODY, {"f3": "500^^^SOUTH^VN~501^^^NORTH^MR"}, ["NORTH.501"]),
    ],
)
def test_the_numbers_of_a_patient(feed: V2Feed, fields: dict[str, str], numbers: list[str]) -> None:
    pid = _segment("PID", **fields)
    assert patient_numbers(pid, feed) == numbers
    assert patient_number(pid, feed) == numbers[0]


@pytest.mark.parametrize(
    ("name", "feed", "fields", "number", "text"),
    [
        ("PID", SOUTH, {"f3": "500^^^NORTH^MR"}, 3, "PID-3 has no patient number of the authority SOUTH."),
        ("PID", SOUTH, {"f2": "600^^^NORTH"}, 3, "PID-3 has no patient number of the authority SOUTH."),
        ("PID", ANYBODY, {"f5": "SAMPLE"}, 3, "PID-3 has no patient number."),
        ("PID", ANYBODY, {"f3": '""'}, 3, "PID-3 has no patient number."),
        ("MRG", ANYBODY, {"f2": "600"}, 1, "MRG-1 has no patient number."),
    ],
)
def test_a_patient_without_a_number_is_nobody(
    name: str, feed: V2Feed, fields: dict[str, str], number: int, text: str
) -> None:
    with pytest.raises(Unreadable) as refused:
        patient_numbers(_segment(name, **fields), feed, number)
    assert (str(refused.value), refused.value.code) == (text, "101")


# Persons


def test_a_person_is_a_patient_with_number_name_birth_and_sex() -> None:
    pid = _segment("PID", f3="500^^^SOUTH^MR", f5="SAMPLE^SAM^X", f7="195001021230", f8="F")
    assert demographics(pid, SOUTH, "500") == {
        "resourceType": "Patient", "id": "500", "identifier": [{"system": "urn:v2:SOUTH", "value": "500"}],
        "name": [{"family": "SAMPLE", "given": ["SAM"]}], "birthDate": "1950-01-02", "gender": "female",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "more"),
    [
        ({}, {}),
        ({"f5": "SAMPLE"}, {"name": [{"family": "SAMPLE", "given": []}]}),
        ({"f5": "^SAM"}, {"name": [{"family": "", "given": ["SAM"]}]}),
        ({"f5": "^^X"}, {}),
        ({"f5": '""', "f7": '""', "f8": '""'}, {"name": None, "birthDate": None, "gender": None}),
        ({"f7": "1950"}, {"birthDate": "1950"}),
        ({"f7": "195002"}, {"birthDate": "1950-02"}),
        ({"f7": "x"}, {}),
        ({"f8": "X"}, {}),
        ({"f8": "A"}, {"gender": "other"}),
        ({"f29": "20261119"}, {"deceasedDateTime": "2026-11-19"}),
        ({"f29": "20261119", "f30": "Y"}, {"deceasedDateTime": "2026-11-19"}),
        ({"f30": "Y"}, {"deceasedBoolean": True}),
        ({"f30": "N"}, {}),
        ({"f29": '""'}, {"deceasedDateTime": None}),
        ({"f29": '""', "f30": "Y"}, {"deceasedDateTime": None, "deceasedBoolean": True}),
    ],
)
def test_what_is_not_sent_is_not_there_and_what_is_removed_is_none(fields: dict[str, str], more: Json) -> None:
    pid = _segment("PID", f3="500", **fields)
    bare = {"resourceType": "Patient", "id": "p", "identifier": [{"system": "urn:v2:adt", "value": "500"}]}
    assert demographics(pid, ANYBODY, "p") == bare | more


# Visits


@pytest.mark.parametrize(
    ("fields", "number"),
    [
        ({"f19": "V1", "f50": "V2", "f20": "AB1"}, "V1"),
        ({"f50": "V2", "f20": "AB1"}, "V2"),
        ({"f20": "AB12"}, "AB12"),
        ({"f20": "ABCDE1"}, ""),
        ({"f20": "12"}, ""),
        ({"f20": f"A{'1' * 20}"}, f"A{'1' * 20}"),
        ({"f20": f"A{'1' * 21}"}, ""),
        ({}, ""),
    ],
)
def test_the_number_of_a_visit(fields: dict[str, str], number: str) -> None:
    assert visit_number(_segment("PV1", f2="I", **fields)) == number


KEY = ("SOUTH", "visit", "500", "V1")
STAY: Json = encounter(
    {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
    patient="500",
    id=resource_id(*KEY),
    identifier=[{"system": "urn:v2:SOUTH:visit", "value": "V1"}],
)
NINE = "2026-11-20T09:00:00+00:00"


def _visit(trigger: str, **fields: str) -> Fact | None:
    values: dict[str, str] = {"f2": "I", "f19": "V1"} | fields
    return visit(_segment("PV1", **values), SOUTH, "500", trigger, AT)


def test_an_admission_is_a_visit_with_its_ward_and_beginning() -> None:
    fact = _visit("A01", f3="W1^101^A", f44="202611200830")
    period = {"start": "2026-11-20T08:30:00+00:00"}
    resource = STAY | {"location": [{"location": {"display": "W1 101 A"}}], "period": period}
    assert fact == Fact("500", resource, AT, int(AT), how="visit", happened=AT, key=KEY)


@pytest.mark.parametrize(
    ("trigger", "fields", "changes", "rank"),
    [
        ("A01", {}, {"period": {"start": NINE}}, int(AT)),
        ("A04", {}, {"period": {"start": NINE}}, int(AT)),
        ("A02", {}, {}, 0),
        ("A02", {"f44": "20261118"}, {"period": {"start": "2026-11-18"}}, 0),
        ("A03", {}, {"status": "finished", "period": {"end": NINE}}, int(AT)),
        ("A03", {"f44": "20261118", "f45": "20261119"},
         {"status": "finished", "period": {"start": "2026-11-18", "end": "2026-11-19"}}, int(AT)),
        ("A05", {}, {"status": "planned"}, int(AT)),
        ("A08", {}, {}, 0),
        ("A08", {"f45": "20261119"}, {"status": "finished", "period": {"end": "2026-11-19"}}, int(AT)),
        ("A08", {"f2": "P"}, {"status": "planned"}, 0),
        ("A08", {"f2": "P", "f45": "20261119"}, {"status": "planned", "period": {"end": "2026-11-19"}}, int(AT)),
        ("A11", {}, {"status": "cancelled"}, int(AT)),
        ("A12", {}, {}, 0),
        ("A13", {"f44": "20261118", "f45": "20261119"}, {"period": {"start": "2026-11-18"}}, int(AT)),
        ("A13", {"f45": "20261119"}, {}, int(AT)),
        ("A08", {"f3": "W1"}, {"location": [{"location": {"display": "W1"}}]}, 0),
        ("A08", {"f3": "^^A^X"}, {"location": [{"location": {"display": "A"}}]}, 0),
        ("A08", {"f3": "^^^X"}, {}, 0),
    ],
)  # fmt: skip
def test_a_visit_by_its_trigger(trigger: str, fields: dict[str, str], changes: Json, rank: int) -> None:
    fact = _visit(trigger, **fields)
    assert fact is not None
    code = "PRENC" if fields.get("f2") == "P" else "IMP"
    assert fact.resource == STAY | {"class": STAY["class"] | {"code": code}} | changes
    assert (fact.rank, fact.at, fact.happened) == (rank, AT, AT)


@pytest.mark.parametrize(("sent", "code"), [("E", "EMER"), ("O", "AMB"), ("R", "AMB"), ("B", "IMP"), ("Z", "AMB")])
def test_the_class_of_a_visit(sent: str, code: str) -> None:
    fact = _visit("A08", f2=sent)
    assert fact is not None
    assert fact.resource["class"]["code"] == code


def test_a_visit_names_who_takes_part_and_where_the_patient_goes() -> None:
    doctors = {"f7": "11^MUELLER^ANNA^^^DR~12^ROSS", "f9": "^GREEN", "f17": '""'}
    fact = _visit("A03", **doctors, f36="03")
    system = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"

    def takes_part(code: str, **person: Any) -> Json:
        return {"type": [{"coding": [{"system": system, "code": code}]}], "individual": person}

    assert fact is not None
    assert fact.resource["participant"] == [
        takes_part("ATND", identifier={"value": "11"}, display="ANNA MUELLER"),
        takes_part("ATND", identifier={"value": "12"}, display="ROSS"),
        takes_part("CON", display="GREEN"),
    ]
    coding = {"code": "03", "system": "http://terminology.hl7.org/CodeSystem/v2-0112"}
    assert fact.resource["hospitalization"] == {"dischargeDisposition": {"coding": [coding]}}
    destination = destination_named(CodeableConcept((Coding(system=coding["system"], code="03"),)))
    assert destination is not None
    assert destination.key == "skilled_nursing"


def test_a_visit_without_a_number_is_none() -> None:
    assert _visit("A01", f19="") is None


# Allergies and diagnoses


def _taken_in(take: Any, *segments: Segment) -> list[Fact]:
    effects = Effects()
    take(list(segments), SOUTH, "500", AT, effects)
    return effects.facts


def _status(system: str, code: str) -> Json:
    return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code}]}


@pytest.mark.parametrize(
    ("fields", "more"),
    [
        ({"f4": "SV", "f5": "rash"},
         {"criticality": "high", "reaction": [{"manifestation": [{"text": "rash"}], "severity": "severe"}]}),
        ({"f4": "MI", "f5": "rash~hives~"},
         {"criticality": "low",
          "reaction": [{"manifestation": [{"text": "rash"}, {"text": "hives"}], "severity": "mild"}]}),
        ({"f4": "MO", "f5": "rash"}, {"reaction": [{"manifestation": [{"text": "rash"}], "severity": "moderate"}]}),
        ({"f4": "U", "f5": "rash"}, {"reaction": [{"manifestation": [{"text": "rash"}]}]}),
        ({"f4": "SV"}, {"criticality": "high"}),
        ({"f2": "DA^Drug allergy^HL70127", "f6": "20191103"},
         {"category": ["medication"], "type": "allergy", "onsetDateTime": "2019-11-03"}),
        ({"f2": "MC", "f6": "x"}, {}),
    ],
)  # fmt: skip
def test_an_allergy_has_its_reaction(fields: dict[str, str], more: Json) -> None:
    key = ("SOUTH", "allergy", "500", "7980")
    resource = {
        "resourceType": "AllergyIntolerance", "id": resource_id(*key),
        "clinicalStatus": _status("allergyintolerance-clinical", "active"),
        "code": {"coding": [{"code": "7980", "system": "http://www.nlm.nih.gov/research/umls/rxnorm",
                             "display": "Penicillin"}], "text": "Penicillin"},
        "patient": {"reference": "Patient/500"},
    }  # fmt: skip
    allergy = _segment("AL1", f1="1", f3="7980^Penicillin^RXNORM", **fields)
    assert _taken_in(take_allergies, allergy) == [Fact("500", resource | more, AT, key=key)]


def test_an_allergy_in_words_is_known_by_its_words() -> None:
    words, empty, other = _segment("AL1", f3="^Penicillin"), _segment("AL1", f2="x"), _segment("DG1", f3="A^B")
    (fact,) = _taken_in(take_allergies, empty, other, words)
    assert fact.key == ("SOUTH", "allergy", "500", "Penicillin")
    assert fact.resource["code"] == {"text": "Penicillin"}


def _condition(code: Json, certainty: str, name: str = "I10") -> tuple[Json, tuple[str, ...]]:
    key = ("SOUTH", "diagnosis", "500", name)
    return {
        "resourceType": "Condition", "id": resource_id(*key), "clinicalStatus": _status("condition-clinical", "active"),
        "verificationStatus": _status("condition-ver-status", certainty),
        "category": [_status("condition-category", "encounter-diagnosis")], "code": code,
        "subject": {"reference": "Patient/500"},
    }, key  # fmt: skip


ICD = "http://hl7.org/fhir/sid/icd-10-cm"


@pytest.mark.parametrize(
    ("fields", "certainty", "more", "system"),
    [
        ({"f6": "F"}, "confirmed", {}, ICD),
        ({"f6": ""}, "confirmed", {}, ICD),
        ({"f6": "A"}, "provisional", {}, ICD),
        ({"f6": "W", "f21": "D"}, "entered-in-error", {}, ICD),
        ({"f6": "F", "f21": "A"}, "confirmed", {}, ICD),
        ({"f5": "20261120"}, "confirmed", {"recordedDate": "2026-11-20"}, ICD),
        ({"f2": "I9"}, "confirmed", {}, ICD),
        ({"f3": "I10^Hypertension", "f2": "I10"}, "confirmed", {}, ICD),
        ({"f3": "I10^Hypertension", "f2": "LOCAL"}, "confirmed", {}, "urn:v2:LOCAL"),
        ({"f3": "I10^Hypertension"}, "confirmed", {}, None),
    ],
)
def test_a_diagnosis(fields: dict[str, str], certainty: str, more: Json, system: str | None) -> None:
    coding = {"code": "I10", "display": "Hypertension"} | ({"system": system} if system else {})
    resource, key = _condition({"coding": [coding], "text": "Hypertension"}, certainty)
    values: dict[str, str] = {"f1": "1", "f3": "I10^Hypertension^I10C"} | fields
    assert _taken_in(take_diagnoses, _segment("DG1", **values)) == [Fact("500", resource | more, AT, key=key)]


def test_a_diagnosis_in_words_has_no_code_system() -> None:
    resource, key = _condition({"text": "Hypertension"}, "confirmed", "Hypertension")
    facts = _taken_in(take_diagnoses, _segment("DG1", f2="I10", f3="^Hypertension"), _segment("AL1", f3="x"))
    assert facts == [Fact("500", resource, AT, key=key)]
