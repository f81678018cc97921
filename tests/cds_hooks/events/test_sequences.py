"""HL7 v2 messages that refer to earlier ones: in what order they come, under which number, and in which zone."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cds_hooks.events.messages import Sender, feed, message, result, visit
from tests.cds_hooks.events.test_v2 import chart

BEGUN, OVER = "202611200900+0000", "202611201200+0000"


@pytest.fixture
def sender(tmp_path: Path) -> Sender:
    return Sender(tmp_path)


def values(sender: Sender, patient: str = "500") -> list[tuple[str, float]]:
    return [(one["status"], one["valueQuantity"]["value"]) for one in chart(sender, "Observation", patient)]


def merge(control_id: str, survivor: str, *merged: str) -> bytes:
    numbers = "~".join(f"{number}^^^SOUTH^MR" for number in merged)
    return message("ADT^A40^ADT_A39", control_id, f"MRG|{numbers}", number=survivor)


@pytest.mark.parametrize(
    ("events", "status", "ended"),
    [
        ((("A01", BEGUN), ("A03", OVER), ("A08", "202611201300+0000")), "finished", True),
        ((("A01", BEGUN), ("A03", OVER), ("A02", "202611201300+0000")), "finished", True),
        ((("A01", BEGUN), ("A11", OVER), ("A08", "202611201300+0000")), "cancelled", False),
        ((("A01", BEGUN), ("A08", "202611201300+0000"), ("A03", OVER)), "finished", True),
        ((("A08", "202611201300+0000"), ("A11", OVER)), "cancelled", False),
        ((("A13", "202611201300+0000"), ("A08", "202611201400+0000"), ("A03", OVER)), "in-progress", False),
        ((("A05", BEGUN), ("A08", OVER)), "planned", False),
        ((("A03", BEGUN), ("A13", OVER), ("A03", "202611201300+0000")), "finished", True),
        ((("A01", BEGUN), ("A03", "20261120")), "finished", True),
        ((("A01", BEGUN), ("A03", OVER), ("A01", "202611201300+0000")), "in-progress", False),
    ],
)
def test_only_what_begins_or_ends_a_visit_changes_its_status(
    sender: Sender, events: Sequence[tuple[str, str]], status: str, ended: bool
) -> None:
    for number, (trigger, at) in enumerate(events):
        sender.send(visit(trigger, str(number), at))
    (stay,) = chart(sender, "Encounter")
    assert (stay["status"], "end" in stay.get("period", {})) == (status, ended)


def test_a_visit_without_any_time_begins_when_its_message_came(sender: Sender) -> None:
    sender.send(visit("A01", "1", "").replace(b"20261120130000+0000", b""))
    assert chart(sender, "Encounter")[0]["period"] == {"start": "2026-11-20T13:40:00+00:00"}


def test_after_a_merge_a_correction_replaces_what_came_under_the_other_number(sender: Sender) -> None:
    sender.send(result("1", "4.4", number="900"))
    sender.send(visit("A01", "2", BEGUN).replace(b"||500^^^", b"||900^^^"))
    sender.send(merge("3", "500", "900"))
    sender.send(result("4", "6.6", status="C", issued="202611201100+0000"))
    sender.send(visit("A03", "5", OVER))
    assert values(sender) == [("corrected", 6.6)]
    assert [stay["status"] for stay in chart(sender, "Encounter")] == ["finished"]
    sender.send(result("6", "7.7", status="C", issued="202611201200+0000", number="900"))
    assert values(sender) == [("corrected", 7.7)]


def test_a_merge_that_is_sent_twice_or_names_two_numbers_counts_nothing_twice(sender: Sender) -> None:
    for number in ("900", "901"):
        sender.send(result(number, "4.4", number=number, filler=f"F{number}"))
    for control_id in ("m1", "m2"):
        assert sender.send(merge(control_id, "500", "900", "901")) == ["AA"]
    assert len(values(sender)) == 2


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


def test_a_correction_whose_time_is_only_a_day_is_not_older_than_what_it_corrects(sender: Sender) -> None:
    sender.send(result("1", "4.4"))
    sender.send(result("2", "5.5", status="C", issued="20261120"))
    assert values(sender) == [("corrected", 5.5)]


@pytest.mark.parametrize(
    ("control", "status"),
    [("SC|O1|||CM", "completed"), ("CA|O1|||CA", "revoked"), ("CA|O1", "active"), ("OC|O1", "revoked")],
)
def test_an_order_has_the_status_that_its_sender_gives(sender: Sender, control: str, status: str) -> None:
    for number, first in enumerate(("NW|O1", control)):
        lines = (f"ORC|{first}", "OBR|1|O1||2160-0^Creatinine^LN")
        sender.send(message("ORM^O01^ORM_O01", str(number), *lines))
    assert [order["status"] for order in chart(sender, "ServiceRequest")] == [status]


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


def test_utf_16_is_read_and_a_set_that_is_not_there_is_said(sender: Sender) -> None:
    text = message("ADT^A08^ADT_A01", "1", header="||||||UNICODE UTF-16").decode()
    assert sender.send(text.encode("utf-16")) == ["AA"]
    assert sender.send(text.replace("|1|P", "|2|P").encode()) == ["AE"]
    assert "UNICODE UTF-16" in sender.inbox.dead_letters()[0].reason


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


def test_the_ward_of_a_message_is_counted(sender: Sender) -> None:
    sender.send(visit("A01", "1", BEGUN))
    assert sender.counted("ward:W1") == 1


@pytest.mark.parametrize(("zone", "offset"), [("", "+01:00"), ("America/New_York", "-05:00")])
def test_a_time_has_the_offset_of_the_header_where_the_feed_names_no_zone(
    tmp_path: Path, zone: str, offset: str
) -> None:
    here = feed(zone=zone or "UTC")
    here.timezone = zone
    sender = Sender(tmp_path, here)
    sender.send(result("1", "4.4", collected="202611200930").replace(b"20261120130000+0000", b"20261120130000+0100"))
    assert chart(sender, "Observation")[0]["effectiveDateTime"] == f"2026-11-20T09:30:00{offset}"
