"""PID, PV1, AL1 and DG1 as whole resources, worked out by hand from HL7's v2-to-FHIR guide."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cds_hooks.events.declaration import V2Feed
from cds_hooks.events.facts import Effects, Fact, resource_id
from cds_hooks.events.inbox import Taken
from cds_hooks.events.v2.intake import acknowledge, read_frame
from cds_hooks.events.v2.message import Segment, parse_message, split_batch
from cds_hooks.events.v2.visits import (
    demographics,
    patient_number,
    take_allergies,
    visit,
    visit_number,
)
from fhir.mapping.stays import destination_named
from fhir.record.datatypes import CodeableConcept, Coding
from tests.cds_hooks.events.messages import feed, result
from tests.each import for_rows

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


# Persons


@pytest.mark.parametrize(
    ("feed", "numbers", "patient"),
    [
        (SOUTH, "7^^^NORTH~500^^^SOUTH", "500"),
        (ANYBODY, "7^^^NORTH~500^^^SOUTH", "NORTH.7"),
        (ANYBODY, "500", "500"),
    ],
)
def test_numbers_of_several_authorities_are_kept_apart(feed: V2Feed, numbers: str, patient: str) -> None:
    assert patient_number(_segment("PID", f3=numbers), feed) == patient


@for_rows(
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


@for_rows(
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


def _visit(trigger: str, **fields: str) -> Fact | None:
    values: dict[str, str] = {"f2": "I", "f19": "V1"} | fields
    return visit(_segment("PV1", **values), SOUTH, "500", trigger, AT)


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


# Allergies and diagnoses


def _taken_in(take: Any, *segments: Segment) -> list[Fact]:
    effects = Effects()
    take(list(segments), SOUTH, "500", AT, effects)
    return effects.facts


def _status(system: str, code: str) -> Json:
    return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code}]}


@for_rows(
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


MSH = "MSH|^~\\&|LAB|SOUTH|CDS|NORTH|20261120120000||ORU^R01|C1|P|2.5.1"
PID = "PID|1||500"


def _frame(*lines: str, end: str = "\r") -> bytes:
    return ("\r".join(lines) + end).encode()


def _texts(content: bytes, charset: str = "iso8859-1") -> tuple[list[str], list[str]]:
    return split_batch(content, charset)


@for_rows(
    ("lines", "messages"),
    [
        (("BHS|^~\\&", MSH, PID, MSH, PID, "BTS|2"), 2),
        (("FHS|^~\\&", "BHS|^~\\&", MSH, PID, "BTS|1|x", "FTS|1"), 1),
        (("BHS|^~\\&", MSH, PID, "BTS| 1 "), 1),
        (("BHS|^~\\&", MSH, PID, "BTS"), 1),
        (("BHS|^~\\&", MSH, PID, "BTS|"), 1),
        (("BHS|^~\\&", PID, MSH, PID, "BTS|1"), 1),
    ],
)
def test_a_batch_holds_as_many_messages_as_it_says(lines: tuple[str, ...], messages: int) -> None:
    texts, leniencies = _texts(_frame(*lines))
    assert (texts, leniencies) == ([f"{MSH}\r{PID}\r"] * messages, [])


def test_signs_of_windows_are_read_where_a_latin_set_is_meant() -> None:
    content = _frame(MSH + "||||||8859/1", "NTE|1||5 ").replace(b"5 ", b"5 \x80")
    (text,), noted = _texts(content)
    assert text.endswith("5 €\r")
    assert noted == ["charset-assumed"]


# Messages


@for_rows(
    ("header", "event", "is_training", "wants_commit"),
    [
        ("MSH|^~\\&|||||||ACK|1|P|2.5.1", "ACK", False, False),
        ("MSH|^~\\&|||||||ORU^R01|1|T|2.5.1", "ORU^R01", True, False),
        ("MSH|^~\\&|||||||ORU^R01|1|D|2.5.1|||AL", "ORU^R01", True, True),
        ("MSH|^~\\&|||||||ORU^R01|1|P|2.5.1|||SU", "ORU^R01", False, True),
        ("MSH|^~\\&|||||||ORU^R01|1|P|2.5.1|||NE", "ORU^R01", False, False),
    ],
)
def test_the_header_says_kind_training_and_mode(header: str, event: str, is_training: bool, wants_commit: bool) -> None:
    message = parse_message(f"{header}\r")
    assert (message.event, message.is_training, message.wants_commit) == (event, is_training, wants_commit)


NOW = datetime(2026, 11, 20, 13, 40, tzinfo=UTC).timestamp()


def test_another_content_under_the_same_id_is_an_error_of_its_own() -> None:
    (reading,) = read_frame(result("C1", "4"), feed(), NOW)
    (answer,) = acknowledge(reading, Taken(1, "dead", "It was | sent ^ before\rx" + "y" * 300), NOW)
    _, msa, err, _ = answer.decode().split("\r")
    assert msa == "MSA|AE|C1"
    assert err == f"ERR|||205^^HL70357|E||||It was   sent   before x{'y' * 226}"
