"""Frames and messages of HL7 v2: what is split, read leniently or refused, and the words of each acknowledgment."""

from datetime import UTC, datetime

import pytest

from cds_hooks.events.inbox import Taken
from cds_hooks.events.v2 import message as message_module
from cds_hooks.events.v2.intake import acknowledge, read_frame
from cds_hooks.events.v2.message import Segment, Unreadable, parse_message, split_batch
from tests.cds_hooks.events.messages import feed, result

MSH = "MSH|^~\\&|LAB|SOUTH|CDS|NORTH|20261120120000||ORU^R01|C1|P|2.5.1"
PID = "PID|1||500"


def _frame(*lines: str, end: str = "\r") -> bytes:
    return ("\r".join(lines) + end).encode()


def _texts(content: bytes, charset: str = "iso8859-1") -> tuple[list[str], list[str]]:
    return split_batch(content, charset)


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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


def test_a_message_has_at_most_so_many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"{MSH}\r{PID}\r"
    parts = sum(text.count(sign) for sign in "|^~\\&\r")
    monkeypatch.setattr(message_module, "_MOST_PARTS", parts)
    assert len(parse_message(text).segments) == 2
    monkeypatch.setattr(message_module, "_MOST_PARTS", parts - 1)
    with pytest.raises(Unreadable, match=rf"^The message has more than {parts - 1} fields, repetitions, components"):
        parse_message(text)


def _field(value: str) -> Segment:
    return parse_message(f"{MSH}\rNTE|{value}\r").segments[1]


def test_a_field_has_repetitions_or_none() -> None:
    segment = _field("a~b~c")
    assert [segment.repetitions(number) for number in (1, 2)] == [3, 0]
    assert _field("a").repetitions(1) == 1
    assert [segment.whole(number) for number in (0, 1, 2)] == ["NTE", "a~b~c", ""]


NOW = datetime(2026, 11, 20, 13, 40, tzinfo=UTC).timestamp()


def test_another_content_under_the_same_id_is_an_error_of_its_own() -> None:
    (reading,) = read_frame(result("C1", "4"), feed(), NOW)
    (answer,) = acknowledge(reading, Taken(1, "dead", "It was | sent ^ before\rx" + "y" * 300), NOW)
    _, msa, err, _ = answer.decode().split("\r")
    assert msa == "MSA|AE|C1"
    assert err == f"ERR|||205^^HL70357|E||||It was   sent   before x{'y' * 226}"
