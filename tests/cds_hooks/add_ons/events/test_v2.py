"""HL7 v2: what is read of a message, what is refused with its reason, and how facts follow each other."""

from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from cds_hooks.add_ons.events.facts import chart_of, numbers_of
from cds_hooks.add_ons.events.v2.values import read_time
from fhir.mapping.medications.daily_dose import daily_dose
from fhir.mapping.medications.identity import identify
from fhir.record.resources import MedicationRequest
from tests.cds_hooks.add_ons.events.messages import MSH, Sender, feed, message, result, versions_of, visit
from tests.each import for_rows


@pytest.fixture
def sender(tmp_path: Path) -> Sender:
    return Sender(tmp_path)


def chart(sender: Sender, kind: str, patient: str = "500") -> list[dict[str, Any]]:
    with sender.inbox.transaction() as connection:
        return [resource for name, _, resource in chart_of(connection, patient) if name == kind]


def test_the_same_bytes_again_have_no_second_effect(sender: Sender) -> None:
    assert [sender.send(result("1", "4.4")) for _ in range(3)] == [["AA"]] * 3
    assert sender.inbox.query("SELECT count(*), max(copies) FROM inbox") == [(1, 2)]
    assert len(chart(sender, "Observation")) == 1


def test_another_content_under_the_same_id_is_a_dead_letter(sender: Sender) -> None:
    sender.send(result("1", "4.4"))
    assert sender.send(result("1", "6.6")) == ["AE"]
    assert [one["valueQuantity"]["value"] for one in chart(sender, "Observation")] == [4.4]
    assert "another content" in sender.inbox.dead_letters()[0].reason


def test_a_correction_replaces_the_value_and_an_older_report_does_not_come_back(sender: Sender) -> None:
    sender.send(result("1", "4.4"))
    sender.send(result("2", "6.8", status="C", issued="202611201030+0000"))
    sender.send(result("3", "4.4", issued="202611201015+0000"))
    (observation,) = chart(sender, "Observation")
    assert (observation["valueQuantity"]["value"], observation["status"]) == (6.8, "corrected")
    assert sender.counted("out-of-order") == 1
    with sender.inbox.transaction() as connection:
        assert len(versions_of(connection, "Observation", observation["id"])) == 3


@pytest.mark.parametrize("status", ["W", "D"])
def test_a_withdrawn_result_is_in_error_and_its_decisions_are_to_be_marked(sender: Sender, status: str) -> None:
    sender.send(result("1", "4.4"))
    sender.send(result("2", "", status=status, issued="202611201030+0000"))
    assert chart(sender, "Observation")[0]["status"] == "entered-in-error"
    assert len(sender.inbox.query("SELECT fact FROM withdrawn")) == 1


def test_units_and_codes_that_do_not_fit_are_counted_by_code(sender: Sender) -> None:
    sender.send(result("1", "88", code="2160-0^Creatinine^LN", unit="umol/L"))
    sender.send(result("2", "88", code="2160-0^Creatinine^LN", unit="", filler="F2"))
    sender.send(result("3", "88", code="KREA^Kreatinin^L", filler="F3"))
    names = ("unit-disagrees:2160-0", "no-unit:2160-0", "unmapped:KREA")
    assert [sender.counted(name) for name in names] == [1, 1, 1]


def test_a_local_code_that_the_site_maps_has_its_loinc_code(tmp_path: Path) -> None:
    mapped = feed()
    mapped.local_codes = {"KREA": "2160-0"}
    sender = Sender(tmp_path, mapped)
    sender.send(result("1", "1.1", code="KREA^Kreatinin^L", unit="mg/dL"))
    codings = chart(sender, "Observation")[0]["code"]["coding"]
    assert [coding["code"] for coding in codings] == ["2160-0", "KREA"]
    assert sender.counted("unmapped:KREA") == 0


@pytest.mark.parametrize(
    ("content", "codes"),
    [
        (MSH.format(event="ORU^R01", id="1").encode() + b"\rOBR|1\r", ["AE"]),
        (message("MDM^T02^MDM_T02", "1"), ["AR"]),
        (message("ADT^A45^ADT_A45", "1"), ["AR"]),
        (result("1", "4.4")[:-60], ["AE"]),
        (message("ORU^R01", "1", "OBR|1|P|F", "OBX|1|NM|2823-3^K^LN||4.4|mmol/L"), ["AE"]),
        (message("ORU^R01", "1", "OBR|1|P|F", "a line that broke out of its field"), ["AE"]),
        (result("1", "4.4").replace(b"^^^SOUTH", b"^^^OTHER"), ["AE"]),
        (b"GET / HTTP/1.1", ["AR"]),
    ],
)
def test_what_cannot_be_read_is_a_dead_letter_with_its_reason(sender: Sender, content: bytes, codes: list[str]) -> None:
    answers = sender.send(content)
    assert answers == codes
    (letter,) = sender.inbox.dead_letters()
    assert letter.reason.endswith(".")
    assert letter.content == content
    assert not chart(sender, "Observation")


def test_a_type_that_the_site_declares_as_not_used_is_acknowledged_without_effect(tmp_path: Path) -> None:
    sender = Sender(tmp_path, feed(not_used=("SIU", "ORU")))
    appointment = message("SIU^S12^SIU_S12", "1", "SCH|A1||||||ROUTINE^Routine^HL70276")
    assert (sender.send(appointment), sender.send(message("MDM^T02^MDM_T02", "2"))) == (["AA"], ["AR"])
    assert sender.send(result("3", "4.4")) == ["AA"]  # what is read is read
    assert (sender.counted("not-used"), len(chart(sender, "Observation"))) == (1, 1)


def test_enhanced_mode_gets_the_commit_first(sender: Sender) -> None:
    assert sender.send(result("1", "4.4", header="|||AL|AL")) == ["CA", "AA"]
    assert sender.send(result("2", "4.4", header="|||AL|NE", filler="F2")) == ["CA"]


def test_two_quotation_marks_remove_and_an_empty_field_does_not(sender: Sender) -> None:
    sender.send(message("ADT^A08^ADT_A01", "1"))
    line = 'PID|1||500^^^SOUTH^MR||SAMPLE^SAM||""|'
    sender.send("\r".join([MSH.format(event="ADT^A08^ADT_A01", id="2"), line, ""]).encode())
    (person,) = chart(sender, "Patient")
    assert ("birthDate" in person, person["gender"]) == (False, "male")


def test_a_visit_follows_its_events_in_the_order_of_the_sender(sender: Sender) -> None:
    sender.send(visit("A03", "1", "202611201200+0000"))
    sender.send(visit("A01", "2", "202611200900+0000"))
    (stay,) = chart(sender, "Encounter")
    assert (stay["status"], stay["period"]["start"][:16]) == ("finished", "2026-11-20T09:00")
    sender.send(visit("A13", "3", "202611201300+0000"))
    (stay,) = chart(sender, "Encounter")
    assert (stay["status"], "end" in stay["period"]) == ("in-progress", False)
    sender.send(visit("A11", "4", "202611201400+0000"))
    sender.send(visit("A03", "5", "202611201500+0000"))
    assert chart(sender, "Encounter")[0]["status"] == "cancelled"


def test_merged_numbers_are_one_patient_until_the_merge_is_undone(sender: Sender) -> None:
    sender.send(result("1", "4.4", number="500"))
    sender.send(result("2", "5.5", number="400", filler="F2"))
    sender.send(message("ADT^A40^ADT_A39", "3", "MRG|400^^^SOUTH^MR"))
    sender.send(result("4", "6.6", number="400", filler="F4"))
    assert len(chart(sender, "Observation", "500")) == 3
    assert {one["subject"]["reference"] for one in chart(sender, "Observation", "500")} == {"Patient/500"}
    with sender.inbox.transaction() as connection:
        assert numbers_of(connection, "500") == ["500", "400"]
    assert sender.inbox.unmerge("400", sender.now)
    assert len(chart(sender, "Observation", "500")) == 1


def test_a_pharmacy_order_says_how_much_a_day(sender: Sender) -> None:
    """The dose, the repeat pattern and the route of a message are what the dose rules read of an order."""
    lines = ["ORC|NW|O1", "RXE||6809^metformin^RXNORM|500||mg", "TQ1|1||Q12H", "RXR|PO^Oral^HL70162"]
    sender.send(message("RDE^O11^RDE_O11", "1", *lines))
    order = msgspec.convert(chart(sender, "MedicationRequest")[0], MedicationRequest)
    identity = identify(order)
    (dose,) = daily_dose(order, identity).per_day
    assert (dose.low, dose.high, identity.route) == (1000.0, 1000.0, "Oral")


@for_rows(("text", "written", "notes"))
def test_times_keep_their_precision_and_get_the_zone_of_the_feed(text: str, written: str, notes: list[str]) -> None:
    from zoneinfo import ZoneInfo

    time = read_time(text, ZoneInfo("America/New_York"))
    assert time is not None
    assert (time.text, list(time.notes)) == (written, notes)


def test_damaged_messages_are_read_or_refused_and_never_a_fault(sender: Sender) -> None:
    random = Random(7)
    whole = [result("1", "4.4"), visit("A01", "2", "20261120"), message("VXU^V04", "3", "RXA|0|1|20261101||140^F^CVX")]
    for _ in range(150):
        damaged = bytearray(random.choice(whole))
        for _ in range(random.randint(1, 4)):
            at = random.randrange(len(damaged))
            damaged[at : at + random.randint(0, 9)] = random.choice([b"", b"|", b"^~\\&", b"\r", b"\xff", b'""', b"9"])
            damaged = damaged or bytearray(b"MSH")
        assert sender.send(bytes(damaged))
    reasons = [letter.reason for letter in sender.inbox.dead_letters()]
    assert reasons
    assert not [reason for reason in reasons if "fault of this server" in reason]


def test_what_is_settled_is_forgotten_and_facts_and_dead_letters_stay(sender: Sender) -> None:
    sender.send(result("1", "4.4"))
    sender.send(result("2", "4.4")[:-60])
    sender.inbox.forget(sender.now + 1000)
    assert sender.inbox.query("SELECT message_id, state FROM inbox") == [("2", "dead")]
    assert len(chart(sender, "Observation")) == 1
    assert sender.counted("messages") == 0
