"""HL7 v2: what is read of a message, what is refused with its reason, and how facts follow each other."""

from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from cds_hooks.events.facts import chart_of, numbers_of
from cds_hooks.events.v2.times import read_time
from fhir.mapping.medications.daily_dose import daily_dose
from fhir.mapping.medications.identity import identify
from fhir.record.resources import MedicationRequest
from tests.cds_hooks.events.messages import MSH, Sender, feed, message, result, versions_of, visit


@pytest.fixture
def sender(tmp_path: Path) -> Sender:
    return Sender(tmp_path)


def chart(sender: Sender, kind: str, patient: str = "500") -> list[dict[str, Any]]:
    with sender.inbox.transaction() as connection:
        return [resource for name, _, resource in chart_of(connection, patient) if name == kind]


def test_a_result_is_an_observation_with_its_value_unit_and_time(sender: Sender) -> None:
    assert sender.send(result("1", "4.4")) == ["AA"]
    (observation,) = chart(sender, "Observation")
    assert observation["valueQuantity"] == {"value": 4.4, "unit": "mmol/L"}
    assert (observation["status"], observation["effectiveDateTime"]) == ("final", "2026-11-20T09:00:00+00:00")


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


def test_a_preliminary_result_of_the_same_minute_does_not_replace_the_final_one(sender: Sender) -> None:
    sender.send(result("1", "4.4"))
    sender.send(result("2", "5.0", status="P"))
    assert chart(sender, "Observation")[0]["status"] == "final"


@pytest.mark.parametrize("status", ["W", "D"])
def test_a_withdrawn_result_is_in_error_and_its_decisions_are_to_be_marked(sender: Sender, status: str) -> None:
    sender.send(result("1", "4.4"))
    sender.send(result("2", "", status=status, issued="202611201030+0000"))
    assert chart(sender, "Observation")[0]["status"] == "entered-in-error"
    assert len(sender.inbox.query("SELECT fact FROM withdrawn")) == 1


@pytest.mark.parametrize(
    ("kind", "text", "unit", "quantity"),
    [
        ("SN", ">^40000", "U/L", {"value": 40000, "unit": "U/L", "comparator": ">"}),
        ("ST", "<0.01", "ng/mL", {"value": 0.01, "unit": "ng/mL", "comparator": "<"}),
        ("ST", "7.25", "mmol/L", {"value": 7.25, "unit": "mmol/L"}),
        ("NM", "88", "", {"value": 88}),
    ],
)
def test_a_number_is_read_with_its_comparator(
    sender: Sender, kind: str, text: str, unit: str, quantity: dict[str, Any]
) -> None:
    sender.send(result("1", text, kind=kind, unit=unit))
    assert chart(sender, "Observation")[0]["valueQuantity"] == quantity


@pytest.mark.parametrize(("text", "fault"), [("HAEMOLYSED", "text-in-number"), ("5,1", "decimal-comma")])
def test_a_word_or_a_decimal_comma_is_no_number(sender: Sender, text: str, fault: str) -> None:
    assert sender.send(result("1", text)) == ["AA"]
    observation = chart(sender, "Observation")[0]
    assert "valueQuantity" not in observation
    assert observation["dataAbsentReason"]["coding"][0]["code"] == "error"
    assert sender.counted(f"{fault}:2823-3") == 1


def test_a_feed_may_say_that_its_numbers_have_a_comma(tmp_path: Path) -> None:
    sender = Sender(tmp_path, feed(decimal=","))
    sender.send(result("1", "5,1"))
    assert chart(sender, "Observation")[0]["valueQuantity"]["value"] == 5.1


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


def test_results_go_to_the_patient_whose_pid_stands_before_them(sender: Sender) -> None:
    two = result("1", "4.4").decode() + "\r".join(result("1", "2.2", number="600").decode().split("\r")[1:])
    assert sender.send(two.encode()) == ["AA"]
    values = [chart(sender, "Observation", number)[0]["valueQuantity"]["value"] for number in ("500", "600")]
    assert values == [4.4, 2.2]


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


def test_a_batch_is_taken_where_its_count_is_right(sender: Sender) -> None:
    both = result("1", "4.4") + result("2", "4.5", filler="F2")
    head, tail = b"FHS|^~\\&|LAB\rBHS|^~\\&|LAB\r", b"FTS|1\r"
    assert sender.send(head + both + b"BTS|2\r" + tail) == ["AA", "AA"]
    assert "AA" not in sender.send(head + both.replace(b"|P|2.5.1", b"|P|2.5") + b"BTS|3\r" + tail)


def test_training_has_no_effect_and_is_counted(sender: Sender) -> None:
    assert sender.send(result("1", "9.9").replace(b"|P|2.5.1", b"|T|2.5.1")) == ["AA"]
    assert (chart(sender, "Observation"), sender.counted("training")) == ([], 1)


def test_escapes_are_text_and_no_segments(sender: Sender) -> None:
    sender.send(result("1", r"A \T\ B \F\ C \S\ D \R\ E \E\ F\.br\G\X0D\H", kind="TX", unit=""))
    assert chart(sender, "Observation")[0]["valueString"] == "A & B | C ^ D ~ E \\ F\nG\rH"


@pytest.mark.parametrize(
    ("charset", "encoding"), [("8859/1", "iso8859-1"), ("", "iso8859-1"), ("UNICODE UTF-8", "utf-8")]
)
def test_names_are_read_in_their_character_set(sender: Sender, charset: str, encoding: str) -> None:
    text = message("ADT^A08^ADT_A01", "1", header=f"||||||{charset}").decode().replace("SAMPLE", "MÜLLER")
    assert sender.send(text.encode(encoding)) == ["AA"]
    assert chart(sender, "Patient")[0]["name"][0]["family"] == "MÜLLER"
    assert sender.counted("lenient:charset-assumed") == (not charset)


def test_line_feeds_and_a_byte_order_mark_are_read_and_counted(sender: Sender) -> None:
    assert sender.send(b"\xef\xbb\xbf" + result("1", "4.4").replace(b"\r", b"\n")) == ["AA"]
    assert (sender.counted("lenient:line-feeds"), sender.counted("lenient:byte-order-mark")) == (1, 1)


def test_two_quotation_marks_remove_and_an_empty_field_does_not(sender: Sender) -> None:
    sender.send(message("ADT^A08^ADT_A01", "1"))
    line = 'PID|1||500^^^SOUTH^MR||SAMPLE^SAM||""|'
    sender.send("\r".join([MSH.format(event="ADT^A08^ADT_A01", id="2"), line, ""]).encode())
    (person,) = chart(sender, "Patient")
    assert ("birthDate" in person, person["gender"]) == (False, "male")


def test_a_result_adds_nothing_to_what_is_known_of_a_person(sender: Sender) -> None:
    sender.send(message("ADT^A08^ADT_A01", "1"))
    sender.send(result("2", "4.4").replace(b"19500102", b"19990101"))
    assert chart(sender, "Patient")[0]["birthDate"] == "1950-01-02"
    assert sender.counted("unknown-patients") == 1


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


def test_susceptibilities_belong_to_their_organism(sender: Sender) -> None:
    lines = [
        "OBR|1|P1|F1|600-7^Blood culture^LN|||202611200930+0000",
        "OBX|1|CE|600-7^Organism^LN|1|112283007^E. coli^SCT||||||F",
        "OBX|2|CE|600-7^Organism^LN|2|3092008^S. aureus^SCT||||||F",
        "OBX|3|CE|18906-8^Ciprofloxacin^LN|2|R^Resistant^HL70078||||||F",
    ]
    sender.send(message("ORU^R01^ORU_R01", "1", *lines))
    with_members = [one for one in chart(sender, "Observation") if "hasMember" in one]
    assert [one["valueCodeableConcept"]["text"] for one in with_members] == ["S. aureus"]
    assert sender.counted("time-of-order") == 3


def test_a_document_is_kept_out_of_the_facts(sender: Sender) -> None:
    sender.send(result("1", "^application^pdf^Base64^AAAA", kind="ED", unit=""))
    assert (chart(sender, "Observation"), sender.counted("documents")) == ([], 1)


def test_medications_orders_and_vaccinations_are_read(sender: Sender) -> None:
    rde = ["ORC|NW|O1|||||||20261120", "RXE||197361^amlodipine 5 MG Oral Tablet^RXNORM|5||mg"]
    sender.send(message("RDE^O11^RDE_O11", "1", *rde))
    sender.send(message("RDE^O11^RDE_O11", "2", rde[0].replace("NW", "DC"), rde[1]).replace(b"130000", b"131000"))
    sender.send(message("OML^O21^OML_O21", "3", "ORC|NW|O2", "OBR|1|O2||2160-0^Creatinine^LN"))
    sender.send(message("VXU^V04^VXU_V04", "4", "ORC|RE||I1", "RXA|0|1|20261101||140^Influenza^CVX|||||||||||||||CP"))
    (order,) = chart(sender, "MedicationRequest")
    assert order["status"] == "stopped"
    assert order["dosageInstruction"][0]["doseAndRate"][0]["doseQuantity"] == {"value": 5, "unit": "mg"}
    assert chart(sender, "ServiceRequest")[0]["status"] == "active"
    assert chart(sender, "Immunization")[0]["occurrenceDateTime"] == "2026-11-01"


def test_a_pharmacy_order_says_how_much_a_day(sender: Sender) -> None:
    """The dose, the repeat pattern and the route of a message are what the dose rules read of an order."""
    lines = ["ORC|NW|O1", "RXE||6809^metformin^RXNORM|500||mg", "TQ1|1||Q12H", "RXR|PO^Oral^HL70162"]
    sender.send(message("RDE^O11^RDE_O11", "1", *lines))
    order = msgspec.convert(chart(sender, "MedicationRequest")[0], MedicationRequest)
    identity = identify(order)
    (dose,) = daily_dose(order, identity).per_day
    assert (dose.low, dose.high, identity.route) == (1000.0, 1000.0, "Oral")


def test_allergies_and_diagnoses_of_an_admission_are_read(sender: Sender) -> None:
    lines = ["EVN|A01|20261120", f"PV1|1|I|{'|' * 16}V9", "AL1|1|DA|7980^Penicillin^RXNORM|SV|Rash"]
    sender.send(
        message("ADT^A01^ADT_A01", "1", *lines, "DG1|1||E11.9^Diabetes^I10|||W", "DG1|2||I10^Hypertension^I10|||F")
    )
    assert chart(sender, "AllergyIntolerance")[0]["reaction"][0]["severity"] == "severe"
    certainty = [one["verificationStatus"]["coding"][0]["code"] for one in chart(sender, "Condition")]
    assert certainty == ["provisional", "confirmed"]


def test_other_delimiters_are_read(sender: Sender) -> None:
    text = result("1", "4.4").decode().replace("|", "#").replace("^~\\&", "%*@$").replace("^", "%")
    assert sender.send(text.encode()) == ["AA"]
    assert chart(sender, "Observation")[0]["code"]["coding"][0]["code"] == "2823-3"


@pytest.mark.parametrize(
    ("text", "written", "notes"),
    [
        ("20261120", "2026-11-20", ()),
        ("2026", "2026", ()),
        ("2026112009", "2026-11-20", ("hour-only",)),
        ("202611200930+0215", "2026-11-20T09:30:00+02:15", ()),
        ("202611010130", "2026-11-01T01:30:00-04:00", ("ambiguous-time",)),
        ("202603080230", "2026-03-08T02:30:00-05:00", ("time-left-out",)),
    ],
)
def test_times_keep_their_precision_and_get_the_zone_of_the_feed(
    text: str, written: str, notes: tuple[str, ...]
) -> None:
    from zoneinfo import ZoneInfo

    time = read_time(text, ZoneInfo("America/New_York"))
    assert time is not None
    assert (time.text, time.notes) == (written, notes)


@pytest.mark.parametrize("text", ["", "tomorrow", "20261399", "2026112", "20261120093"])
def test_what_is_no_time_is_none(text: str) -> None:
    from zoneinfo import ZoneInfo

    assert read_time(text, ZoneInfo("UTC")) is None


def test_1200_results_in_one_message_are_all_taken(sender: Sender) -> None:
    lines = [f"OBX|{at}|NM|2823-3^Potassium^LN||{at / 100}|mmol/L|||||F|||20261120" for at in range(1, 1201)]
    sender.send(message("ORU^R01", "1", "OBR|1|P1|F1|2823-3^Potassium^LN", *lines))
    assert len(chart(sender, "Observation")) == 1200


def test_a_future_or_late_result_is_stored_and_counted(sender: Sender) -> None:
    sender.send(result("1", "4.4", collected="202611250900+0000"))
    sender.send(result("2", "4.4", collected="202405200900+0000", filler="F2"))
    assert (sender.counted("future"), sender.counted("late")) == (1, 1)
    assert len(chart(sender, "Observation")) == 2


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
