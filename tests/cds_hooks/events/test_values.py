"""Values, codes and times of HL7 v2 fields, each with the whole of what it becomes."""

import csv
import os
import time
from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cds_hooks.events.v2.message import Segment, parse_message
from cds_hooks.events.v2.values import code_table, concept, observation_value, read_time, zone_of
from tests.cds_hooks.events.messages import Sender, message, result, visit
from tests.conftest import ROOT
from tests.each import for_rows

HEADER = "MSH|^~\\&|LAB|SOUTH|CDS|CDS|20261120120000||ORU^R01|1|P|2.5.1\rPID|1||501^^^SOUTH^MR\r"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
UCUM = {"system": "http://unitsofmeasure.org"}
NEW_YORK = ZoneInfo("America/New_York")


def obx(kind: str, value: str, unit: str = "") -> Segment:
    """An OBX segment."""
    message = parse_message(f"{HEADER}OBX|1|{kind}|2823-3^Potassium^LN||{value}|{unit}\r")
    return next(segment for segment in message.segments if segment.name == "OBX")


def quantity(value: float, **more: Any) -> dict[str, Any]:
    """A Quantity as the value."""
    return {"valueQuantity": {"value": value, **more}}


def refused(text: str) -> dict[str, Any]:
    """A value that is absent because it was an error."""
    return {"dataAbsentReason": {"coding": [{"system": ABSENT, "code": "error"}], "text": text}}


@for_rows(
    ("kind", "value", "unit", "members", "fault"),
    [
        ("NM", "", "mmol/L", {}, None),
        ("NM", '""', "mmol/L", {}, None),
        ("NM", "4", "mmol/L", quantity(4, unit="mmol/L"), None),
        ("NM", "4.", "mmol/L^mmol/L^UCUM", quantity(4.0, unit="mmol/L", code="mmol/L", **UCUM), None),
        ("NM", "-.5", "^millimoles", quantity(-0.5, unit="millimoles"), None),
        ("NM", "+4", "", quantity(4), "no-unit"),
        ("NM", "<0.01", "ng/mL", quantity(0.01, comparator="<", unit="ng/mL"), None),
        ("NM", ">= 5", "ng/mL", quantity(5, comparator=">=", unit="ng/mL"), None),
        ("NM", "5,1", "mmol/L", refused("5,1 has a decimal comma"), "decimal-comma"),
        ("NM", "high", "mmol/L", refused("high"), "text-in-number"),
        ("NM", "x" * 90, "mmol/L", refused("x" * 80), "text-in-number"),
        ("NM", "4~5", "mmol/L", {"valueString": "4~5"}, "repeated-number"),
        ("SN", "^4~^5", "mmol/L", {"valueString": "^4~^5"}, "repeated-number"),
        ("SN", "^4", "mmol/L", quantity(4, unit="mmol/L"), None),
        ("SN", "=^4", "mmol/L", quantity(4, unit="mmol/L"), None),
        ("SN", ">^4", "mmol/L", quantity(4, unit="mmol/L", comparator=">"), None),
        ("SN", "<>^4", "mmol/L", {"valueString": "<> 4"}, None),
        ("SN", ">^high", "mmol/L", refused("high"), "text-in-number"),
        ("SN", "<>^high", "mmol/L", refused("high"), "text-in-number"),
        ("SN", "^1^-^3", "mg", {"valueRange": {"low": {"value": 1, "unit": "mg"}, "high": {"value": 3, "unit": "mg"}}},
         None),
        ("SN", "^1^-^x", "mg", {"valueString": "1 - x"}, None),
        ("SN", "^x^-^1", "mg", {"valueString": "x - 1"}, None),
        ("SN", "^1^/^128", "", {"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 128}}}, None),
        ("SN", "^1^:^2.5", "", {"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 2.5}}}, None),
        ("SN", "^1^:^x", "", {"valueString": "1 : x"}, None),
        ("SN", "^x^/^2", "", {"valueString": "x / 2"}, None),
        ("SN", "^1^+", "", {"valueString": "1 +"}, None),
        ("SN", ">^^^2", "", {"valueString": "> 2"}, None),
        ("SN", "^1^^2", "", {"valueString": "1 2"}, None),
        ("CWE", "260373001^Detected^SCT", "",
         {"valueCodeableConcept": {"coding": [{"code": "260373001", "system": "http://snomed.info/sct",
                                               "display": "Detected"}], "text": "Detected"}}, None),
        ("CWE", "^^^^", "", {}, None),
        ("DT", "20261120", "", {"valueDateTime": "2026-11-20"}, None),
        ("TS", "20261120101500", "", {"valueDateTime": "2026-11-20T10:15:00+00:00"}, None),
        ("DTM", "tomorrow", "", {}, None),
        ("ST", "<0.01", "", quantity(0.01, comparator="<"), "no-unit"),
        ("ST", "4.1", "mmol/L", quantity(4.1, unit="mmol/L"), None),
        ("ST", "4.1", "", {"valueString": "4.1"}, None),
        ("TX", "4.1", "mmol/L", {"valueString": "4.1"}, None),
        ("TX", "<4.1", "", {"valueString": "<4.1"}, None),
        ("TX", "a~b", "", {"valueString": "a\nb"}, None),
        ("ST", "a^b", "", {"valueString": "a^b"}, None),
        ("ED", "x^y", "", {"valueString": "x"}, None),
    ],
)  # fmt: skip
def test_a_value_becomes_these_members_and_this_fault(
    kind: str, value: str, unit: str, members: dict[str, Any], fault: str | None
) -> None:
    assert observation_value(obx(kind, value, unit), UTC, ".") == (members, fault)


def test_a_feed_with_decimal_commas_reads_them_and_points() -> None:
    for value in ("5,1", "5.1"):
        assert observation_value(obx("NM", value, "mg"), UTC, ",") == (quantity(5.1, unit="mg"), None)
    assert observation_value(obx("ST", "5,1", "mg"), UTC, ",") == ({"valueString": "5,1"}, None)


@for_rows(
    ("field", "value"),
    [
        ("", None),
        ("^Potassium", {"text": "Potassium"}),
        ("K", {"coding": [{"code": "K"}]}),
        ("K^^L", {"coding": [{"code": "K", "system": "urn:v2:L"}]}),
        ("2823-3^Potassium^LN^K^Kalium^99LAB",
         {"coding": [{"code": "2823-3", "system": "http://loinc.org", "display": "Potassium"},
                     {"code": "K", "system": "urn:v2:99LAB", "display": "Kalium"}], "text": "Potassium"}),
        ("^^^K^Kalium", {"coding": [{"code": "K", "display": "Kalium"}]}),
        ("K^Potassium^^^^^^^Serum potassium",
         {"coding": [{"code": "K", "display": "Potassium"}], "text": "Serum potassium"}),
    ],
)  # fmt: skip
def test_a_coded_field_keeps_both_codings_and_its_text(field: str, value: dict[str, Any] | None) -> None:
    assert concept(obx("CWE", field), 5) == value


def test_a_repetition_of_a_coded_field_is_read_by_itself() -> None:
    assert concept(obx("CWE", "K^a~L^b"), 5, repetition=1) == {"coding": [{"code": "L", "display": "b"}], "text": "b"}


@for_rows(
    ("text", "written", "epoch", "notes", "has_no_offset"),
    [
        ("2026", "2026", 1767225600.0, (), False),
        ("202611", "2026-11", 1793491200.0, (), False),
        ("20261120", "2026-11-20", 1795132800.0, (), False),
        ("2026112010", "2026-11-20", 1795168800.0, ("hour-only",), False),
        ("202611201015", "2026-11-20T10:15:00+00:00", 1795169700.0, (), True),
        ("20261120101560", "2026-11-20T10:15:59+00:00", 1795169759.0, (), True),
        ("20261120101530.5", "2026-11-20T10:15:30+00:00", 1795169730.5, (), True),
        ("202611201015+0130", "2026-11-20T10:15:00+01:30", 1795164300.0, (), False),
        (" 202611201015-0500 ", "2026-11-20T10:15:00-05:00", 1795187700.0, (), False),
    ],
)
def test_a_time_keeps_its_precision(
    text: str, written: str, epoch: float, notes: tuple[str, ...], has_no_offset: bool
) -> None:
    time = read_time(text, UTC)
    assert time is not None
    assert (time.text, time.epoch, time.notes, time.has_no_offset) == (written, epoch, notes, has_no_offset)
    assert time.is_day == (len(written) <= 10)


@for_rows(
    ("text", "written", "notes"),
    [
        ("202611010059", "2026-11-01T00:59:00-04:00", ()),
        ("202611010130", "2026-11-01T01:30:00-04:00", ("ambiguous-time",)),
        ("202611010130-0500", "2026-11-01T01:30:00-05:00", ()),
        ("202611010200", "2026-11-01T02:00:00-05:00", ()),
        ("202603080230", "2026-03-08T02:30:00-05:00", ("time-left-out",)),
    ],
)
def test_hours_that_a_clock_change_repeats_or_leaves_out_are_noted(
    text: str, written: str, notes: tuple[str, ...]
) -> None:
    time = read_time(text, NEW_YORK)
    assert time is not None
    assert (time.text, time.notes) == (written, notes)


def test_the_offset_of_a_time_is_its_zone() -> None:
    offset = zone_of("20261120101500-0530", UTC).utcoffset(None)
    assert offset is not None
    assert offset.total_seconds() == -19800
    for text in ("20261120101500", "tomorrow", "202611201015+9900", ""):
        assert zone_of(text, NEW_YORK) is NEW_YORK
    assert read_time("202611201015+9900", UTC) is None
    assert read_time("20261399", UTC) is None


# Odd values at every member of a notification and in every field of a message: refused or taken, never a failure.
FIELDS = ("\\X0D\\", "9" * 400, "1e400", "00010101+1400", "99991231235959-1400", "<script>", "1^2^3~4&5", '""')
MESSAGES = (
    result("1", "4.4"),
    visit("A01", "2", "20261120120000"),
    message("RDE^O11", "3", "ORC|NW|O1|F1", "RXE|1^BID|11289^warfarin^RxNorm|5||mg|tab"),
    message("ADT^A40", "4", "EVN|A40|20261120", "MRG|501^^^SOUTH^MR"),
    message("ADT^A08", "5", "EVN|A08|20261120", "AL1|1|DA|7980^Penicillin^RxNorm|SV|rash", "DG1|1||I10^High^I10C"),
)


@pytest.mark.parametrize("content", MESSAGES, ids=lambda content: content[40:60].decode())
def test_no_odd_field_of_a_message_is_a_fault_of_this_server(content: bytes, tmp_path: Path) -> None:
    sender = Sender(tmp_path)
    lines = content.decode().split("\r")
    for at, line in enumerate(lines):
        fields = line.split("|")
        for field in range(len(fields)):
            for value in FIELDS:
                odd = "|".join([*fields[:field], value, *fields[field + 1 :]])
                sender.send("\r".join([*lines[:at], odd, *lines[at + 1 :]]).encode())
                assert not any("fault of this server" in reading.incoming.fault for reading in sender.readings), odd


@pytest.mark.parametrize("sign", ["|", "~", "^", "\r", "\\"])
def test_a_message_of_very_many_parts_is_a_dead_letter_at_once(sign: str, tmp_path: Path) -> None:
    sender = Sender(tmp_path)
    start = time.process_time()
    assert sender.send(result("1", "4.4")[:-1] + b"|" + sign.encode() * 400_000 + b"\r") in (["AE"], ["AA"])
    assert time.process_time() - start < 0.6


# The code table against the concept maps of HL7's v2-to-FHIR guide.
MAPS = Path(os.environ.get("CDS_SPEC_DIR", ROOT.parent / "shared" / "spec")) / "v2-to-fhir" / "codesystems"
OWN_CHOICE = {
    "observation-status": set("ABVURSINO"),
    "encounter-class": {"R", "B"},
    "encounter-status": {"A12"},
    "order-status": {"XO", "XX", "XR", "DE"},
    "repeat-pattern": {"Q1H", "Q2H", "Q3H", "Q4H", "Q6H", "Q8H", "Q1D", "Q1W"},
}
"""Codes that the guide leaves open (see coding.py), or has by their words alone ("every 1 hours")."""
SHEETS = {
    "observation-status": "ObservationResultStatusCodesInterpretation", "gender": "AdministrativeSex",
    "encounter-class": "PatientClass[EncounterClass]", "encounter-status": "Event[EncounterStatus]",
    "order-status": "OrderControlCode[ServiceRequest.status]", "order-state": "OrderStatus",
    "immunization-status": "CompletionStatus", "allergy-category": "AllergenType[AllergyIntoleranceCategory]",
    "allergy-type": "AllergyType", "allergy-criticality": "AllergySeverity[AllergyIntolerance.criticality]",
    "allergy-severity": "AllergySeverity[AllergyIntolerance.reaction.severity]", "route": "RouteOfAdministration",
    "repeat-pattern": "RepeatPattern",
}  # fmt: skip


def _map(sheet: str) -> dict[str, str]:
    file: Path = MAPS / f"HL7 Concept Map_ {sheet} - Sheet1.csv"
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.reader(opened))[2:]
    return {row[0].strip(): row[6].strip() for row in rows if len(row) > 6 and row[0].strip() and row[6].strip()}


@pytest.mark.outside_data
@pytest.mark.skipif(not MAPS.is_dir(), reason="needs the shared specifications (CDS_SPEC_DIR): v2-to-fhir")
@pytest.mark.parametrize("table", SHEETS)
def test_the_codes_are_those_of_the_guide(table: str) -> None:
    guide = _map(SHEETS[table])
    mine = {code: fhir for code, fhir in code_table(table).items() if code not in OWN_CHOICE.get(table, ())}
    assert mine == {code: guide.get(code) for code in mine}
    assert mine
