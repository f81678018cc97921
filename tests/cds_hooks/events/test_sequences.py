"""HL7 v2 messages that refer to earlier ones: in what order they come, under which number, and in which zone."""

from pathlib import Path

import pytest

from tests.cds_hooks.events.messages import Sender, message, result, visit
from tests.cds_hooks.events.test_v2 import chart


@pytest.fixture
def sender(tmp_path: Path) -> Sender:
    return Sender(tmp_path)


def values(sender: Sender, patient: str = "500") -> list[tuple[str, float]]:
    return [(one["status"], one["valueQuantity"]["value"]) for one in chart(sender, "Observation", patient)]


def merge(control_id: str, survivor: str, *merged: str) -> bytes:
    numbers = "~".join(f"{number}^^^SOUTH^MR" for number in merged)
    return message("ADT^A40^ADT_A39", control_id, f"MRG|{numbers}", number=survivor)


def test_a_visit_without_any_time_begins_when_its_message_came(sender: Sender) -> None:
    sender.send(visit("A01", "1", "").replace(b"20261120130000+0000", b""))
    assert chart(sender, "Encounter")[0]["period"] == {"start": "2026-11-20T13:40:00+00:00"}


def test_merges_follow_each_other_to_the_last_number(sender: Sender) -> None:
    for number in ("200", "300", "400"):
        sender.send(result(number, "4.4", number=number, filler=f"F{number}"))
    for survivor, merged in (("300", "200"), ("400", "300"), ("500", "400"), ("200", "500")):
        sender.send(merge(f"m{merged}", survivor, merged))
    assert (len(values(sender, "200")), values(sender, "500")) == (3, [])


def test_a_result_of_a_series_that_is_corrected_alone_is_the_one_of_its_time(sender: Sender) -> None:
    obr = "OBR|1|P1|F1|2345-7^Glucose^LN|||202611200800+0000|||||||||||||||{issued}+0000|||F"
    obx = "OBX|{at}|NM|2345-7^Glucose^LN||{value}|mg/dL|||||{status}|||20261120{hour}00+0000"
    first = [
        obx.format(at=at, value=value, status="F", hour=hour) for at, value, hour in ((1, 90, "08"), (2, 140, "09"))
    ]
    sender.send(message("ORU^R01^ORU_R01", "1", obr.format(issued="202611201000"), *first))
    second = obx.format(at=1, value=150, status="C", hour="09")
    sender.send(message("ORU^R01^ORU_R01", "2", obr.format(issued="202611201100"), second))
    assert values(sender) == [("final", 90), ("corrected", 150)]


@pytest.mark.parametrize(
    ("declared", "encoding", "name", "is_noted"),
    [
        ("ISO-8859-1", "iso8859-1", "MÜLLER", False),
        ("8859/1", "utf-8", "MÜLLER", True),
        ("8859/1", "cp1252", "O’NEIL", True),
        ("", "cp1252", "O’NEIL", True),
        ("ASCII", "iso8859-1", "MÜLLER", True),
        ("8859/6", "iso8859-6", "محمد", False),
        ("~ISO IR87", "iso2022_jp", "山田", False),
        ("GB 18030-2000", "gb18030", "李", False),
        ("BIG-5", "big5", "許功蓋", False),
    ],
)
def test_a_name_is_never_garbled_without_a_count(
    sender: Sender, declared: str, encoding: str, name: str, is_noted: bool
) -> None:
    text = message("ADT^A08^ADT_A01", "1", header=f"||||||{declared}").decode().replace("SAMPLE", name)
    assert sender.send(text.encode(encoding)) == ["AA"]
    assert chart(sender, "Patient")[0]["name"][0]["family"] == name
    assert bool(sender.counted("lenient:charset-assumed")) == is_noted


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (r"\H\high\N\ text", "high text"),
        (r"C:\temp", r"C:\temp"),
        (r"5\.sp3\mg\.in+4\x", "5\nmg x"),
        (r"\XC3A9\\XE9\ ", "éé"),
        (r"\.sp99999999999\ ", r"\.sp99999999999" + "\\"),
        ("end\\", "end\\"),
    ],
)
def test_no_text_is_lost_with_an_escape(sender: Sender, sent: str, read: str) -> None:
    sender.send(result("1", sent, kind="TX", unit=""))
    assert chart(sender, "Observation")[0]["valueString"] == read


BEGUN, OVER = "202611200900+0000", "202611201200+0000"


def test_the_ward_of_a_message_is_counted(sender: Sender) -> None:
    sender.send(visit("A01", "1", BEGUN))
    assert sender.counted("ward:W1") == 1
