"""Frames and messages of HL7 v2: what is split, read leniently or refused, and the words of each acknowledgment."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cds_hooks.events.inbox import Taken
from cds_hooks.events.v2 import message as message_module
from cds_hooks.events.v2.intake import acknowledge, read_frame
from cds_hooks.events.v2.message import Message, Segment, Unreadable, parse_message, split_batch
from tests.cds_hooks.events.messages import feed, result

NOW = datetime(2026, 11, 20, 13, 40, tzinfo=UTC).timestamp()
MSH = "MSH|^~\\&|LAB|SOUTH|CDS|NORTH|20261120120000||ORU^R01|C1|P|2.5.1"
PID = "PID|1||500"


def _frame(*lines: str, end: str = "\r") -> bytes:
    return ("\r".join(lines) + end).encode()


def _texts(content: bytes, charset: str = "iso8859-1") -> tuple[list[str], list[str]]:
    return split_batch(content, charset)


def test_a_frame_of_one_message_is_its_text() -> None:
    assert _texts(_frame(MSH, PID)) == ([f"{MSH}\r{PID}\r"], [])


def test_a_header_of_three_letters_names_no_character_set() -> None:
    assert _texts(_frame("MSH")) == (["MSH\r"], [])


def test_empty_lines_are_left_out_and_line_feeds_are_noted() -> None:
    assert _texts(f"{MSH}\r\n\r\n{PID}\n".encode()) == ([f"{MSH}\r{PID}\r"], ["line-feeds"])


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


@pytest.mark.parametrize(
    ("content", "text", "code", "rejects"),
    [
        (b"", "The frame is empty.", "100", True),
        (b" \r\n", "The frame is empty.", "100", True),
        (_frame(PID), "The frame does not begin with MSH, FHS or BHS.", "100", True),
        (_frame("BHS|^~\\&", MSH, PID, "BTS|2"), "BTS-1 says 2 messages and the batch holds 1.", "102", False),
        (_frame("BHS|^~\\&", MSH, PID, "BTS|1234567890123"), "BTS-1 says 123456789 messages and the batch holds 1.",
         "102", False),
        (_frame(MSH, "PID|1||50", end=""), "The message ends inside PID: it was cut off, and nothing of it was used.",
         "101", False),
        (_frame(MSH, PID, "OBX|1|NM|a||5|||||", end=""),
         "The message ends inside OBX: it was cut off, and nothing of it was used.", "101", False),
        (_frame(MSH + "||||||KLINGON", PID),
         "MSH-18 names the character set 'KLINGON', which is not read here.", "102", False),
    ],
)  # fmt: skip
def test_a_frame_that_cannot_be_split(content: bytes, text: str, code: str, rejects: bool) -> None:
    with pytest.raises(Unreadable) as refused:
        _texts(content)
    assert (str(refused.value), refused.value.code, refused.value.rejects) == (text, code, rejects)


@pytest.mark.parametrize(
    "content",
    [_frame(MSH, PID, "OBX|1|NM|a||5||||||F", end=""), _frame(MSH, PID, "NTE|1|x", end=""), f"{MSH}\n{PID}".encode()],
)
def test_a_last_line_without_its_end_may_be_whole(content: bytes) -> None:
    texts, leniencies = _texts(content)
    assert len(texts) == 1
    assert "no-last-return" in leniencies


NAME = "PID|1||500||JÖRG"


@pytest.mark.parametrize(
    ("content", "charset", "leniencies"),
    [
        (_frame(MSH, NAME), "iso8859-1", []),
        (_frame(MSH + "||||||UNICODE UTF-8", NAME), "iso8859-1", []),
        (_frame(MSH, NAME).decode().encode("iso8859-1"), "iso8859-1", ["charset-assumed"]),
        (_frame(MSH + "||||||8859/1", NAME).decode().encode("iso8859-1"), "iso8859-1", []),
        (_frame(MSH + "||||||8859/1", NAME), "iso8859-1", ["charset-assumed"]),
        (_frame(MSH + "||||||ISO-8859-1", PID), "iso8859-1", []),
        (_frame(MSH + "||||||ASCII~8859/1", NAME).decode().encode("iso8859-1"), "iso8859-2", []),
        (b"\xef\xbb\xbf" + _frame(MSH, NAME), "iso8859-1", ["byte-order-mark"]),
        (_frame(MSH, NAME).decode().encode("utf-16"), "iso8859-1", ["utf-16"]),
        (_frame(MSH, NAME).decode().encode("utf-16-le"), "iso8859-1", ["utf-16"]),
        (_frame(MSH, NAME).decode().encode("utf-16-be"), "iso8859-1", ["utf-16"]),
    ],
)
def test_a_name_is_read_in_its_character_set(content: bytes, charset: str, leniencies: list[str]) -> None:
    (text,), noted = _texts(content, charset)
    assert parse_message(text).segments[1].text(5) == "JÖRG" or NAME not in text
    assert noted == leniencies


def test_signs_of_windows_are_read_where_a_latin_set_is_meant() -> None:
    content = _frame(MSH + "||||||8859/1", "NTE|1||5 ").replace(b"5 ", b"5 \x80")
    (text,), noted = _texts(content)
    assert text.endswith("5 €\r")
    assert noted == ["charset-assumed"]


def test_bytes_that_are_not_in_the_set_that_is_named_are_refused() -> None:
    with pytest.raises(Unreadable, match=r"The message is not in UNICODE UTF-8, the character set that MSH-18 names\."):
        _texts(_frame(MSH + "||||||UNICODE UTF-8", NAME).decode().encode("iso8859-1"))


# Messages


def test_a_message_has_its_segments_by_their_fields() -> None:
    message = parse_message(f"{MSH}\r{PID}\rNTE|1\rNTE|2\r")
    assert [segment.name for segment in message.segments] == ["MSH", "PID", "NTE", "NTE"]
    assert message.header.text(1) == "|"
    assert (message.control_id, message.event, message.header.text(12)) == ("C1", "ORU^R01", "2.5.1")
    assert [segment.text(1) for segment in message.all("NTE")] == ["1", "2"]
    assert message.first("PID") is message.segments[1]
    assert message.first("ZZZ") is None


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


@pytest.mark.parametrize(
    ("text", "words", "code"),
    [
        ("MSH|", "The message cannot be parsed as HL7 v2.", "100"),
        (f"{MSH}\rnot a segment\r", "A line of the message is no segment: a line end stands inside a field.", "100"),
        (f"{MSH}\rP1|x\r", "A line of the message is no segment: a line end stands inside a field.", "100"),
        ("MSH|^~\\&|||||||ORU^R01||P\r", "MSH has no control id (MSH-10) or no message type (MSH-9).", "101"),
        ("MSH|^~\\&||||||||1|P\r", "MSH has no control id (MSH-10) or no message type (MSH-9).", "101"),
    ],
)
def test_a_text_that_is_no_message(text: str, words: str, code: str) -> None:
    with pytest.raises(Unreadable) as refused:
        parse_message(text)
    assert (str(refused.value), refused.value.code, refused.value.rejects) == (words, code, False)


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


@pytest.mark.parametrize(
    ("value", "at", "text"),
    [
        ("a^b&c~d", {}, "a"),
        ("a^b&c~d", {"component": 2}, "b"),
        ("a^b&c~d", {"component": 2, "subcomponent": 2}, "c"),
        ("a^b&c~d", {"component": 3}, ""),
        ("a^b&c~d", {"component": 2, "subcomponent": 3}, ""),
        ("a^b&c~d", {"repetition": 1}, "d"),
        ("a^b&c~d", {"repetition": 2}, ""),
        ("a", {"component": 2}, ""),
        ("a", {"repetition": 1}, ""),
        (" a ", {}, "a"),
        (r"a\F\b\S\c\R\d\T\e\E\f", {}, "a|b^c~d&e\\f"),
        (r"a\.br\b\.sp+2\c\.sk3\d\H\e\N\f", {}, "a\nb\nc def"),
        (r"\X41C3A4\ \XE4\ \Z\ \C2842\x", {}, "Aä ä \\Z\\ x"),
    ],
)
def test_a_text_stands_in_its_part_of_a_field(value: str, at: dict[str, Any], text: str) -> None:
    assert _field(value).text(1, **at) == text


def test_a_field_has_repetitions_or_none() -> None:
    segment = _field("a~b~c")
    assert [segment.repetitions(number) for number in (1, 2)] == [3, 0]
    assert _field("a").repetitions(1) == 1
    assert [segment.whole(number) for number in (0, 1, 2)] == ["NTE", "a~b~c", ""]


# Acknowledgments


def _acknowledged(header: str, outcome: Taken) -> list[list[str]]:
    (reading,) = read_frame(_frame(header, PID), feed(), NOW)
    return [answer.decode().split("\r") for answer in acknowledge(reading, outcome, NOW)]


DONE = Taken(1, "done")
LATER = "20261120134000+0000"


def test_what_was_taken_is_acknowledged_to_its_sender() -> None:
    assert _acknowledged(MSH, DONE) == [
        [f"MSH|^~\\&|CDS|NORTH|LAB|SOUTH|{LATER}||ACK^R01^ACK|C1-AA|P|2.5.1", "MSA|AA|C1", ""]
    ]
    assert _acknowledged(MSH, Taken(1, "duplicate")) == _acknowledged(MSH, DONE)


def test_an_acknowledgment_has_the_signs_and_the_version_of_the_message() -> None:
    header = "MSH#*~\\&#LAB#SOUTH#CDS#NORTH#2026##ORU*R01#C1##"
    (reading,) = read_frame(_frame(header, "PID#1##500***SOUTH*MR"), feed(), NOW)
    (answer,) = acknowledge(reading, DONE, NOW)
    lines = answer.decode().split("\r")
    assert lines[0] == f"MSH#*~\\&#CDS#NORTH#LAB#SOUTH#{LATER}##ACK*R01*ACK#C1-AA#P#2.5.1"
    (lines,) = _acknowledged("MSH|^~\\&|||||||ACK|C1|T|2.3", DONE)
    assert lines[0] == f"MSH|^~\\&|||||{LATER}||ACK|C1-AA|T|2.3"


def test_an_id_of_an_acknowledgment_is_at_most_199_signs_long() -> None:
    (lines,) = _acknowledged(f"MSH|^~\\&|||||||ORU^R01|{'x' * 199}|P", DONE)
    assert lines[0].split("|")[9] == "x" * 199


@pytest.mark.parametrize(
    ("modes", "codes"),
    [("AL|AL", ["CA", "AA"]), ("AL|SU", ["CA", "AA"]), ("SU|NE", ["CA"]), ("AL", ["CA"]), ("NE|AL", ["AA"])],
)
def test_in_enhanced_mode_the_commit_comes_first(modes: str, codes: list[str]) -> None:
    assert [lines[1] for lines in _acknowledged(f"{MSH}|||{modes}", DONE)] == [f"MSA|{code}|C1" for code in codes]


@pytest.mark.parametrize(
    ("header", "code", "error"),
    [
        (MSH, "AE", "ERR|||101^^HL70357|E||||Not read"),
        (f"{MSH}|||AL|AL", "CE", "ERR|||101^^HL70357|E||||Not read"),
        (MSH.replace("ORU^R01", "SIU^S12"), "AR", "ERR|||200^^HL70357|E||||Not read"),
        (f"{MSH.replace('ORU^R01', 'SIU^S12')}|||AL", "CR", "ERR|||200^^HL70357|E||||Not read"),
    ],
)
def test_a_dead_letter_is_an_error_or_a_rejection(header: str, code: str, error: str) -> None:
    (reading,) = read_frame(_frame(header, "PID|1||9^^^NORTH^MR"), feed(), NOW)
    (answer,) = acknowledge(reading, Taken(1, "dead", "Not read"), NOW)
    assert answer.decode().split("\r")[1:] == [f"MSA|{code}|C1", error, ""]


def test_a_message_alone_is_kept_as_it_came_and_those_of_a_batch_one_by_one() -> None:
    alone = _frame(MSH, NAME).decode().encode("latin-1")
    assert [reading.incoming.content for reading in read_frame(alone, feed(), NOW)] == [alone]
    batch = _frame("BHS|^~\\&", MSH, PID, MSH, PID, "BTS|2")
    assert [reading.incoming.content for reading in read_frame(batch, feed(), NOW)] == [_frame(MSH, PID)] * 2


def test_another_content_under_the_same_id_is_an_error_of_its_own() -> None:
    (reading,) = read_frame(result("C1", "4"), feed(), NOW)
    (answer,) = acknowledge(reading, Taken(1, "dead", "It was | sent ^ before\rx" + "y" * 300), NOW)
    _, msa, err, _ = answer.decode().split("\r")
    assert msa == "MSA|AE|C1"
    assert err == f"ERR|||205^^HL70357|E||||It was   sent   before x{'y' * 226}"


def test_a_frame_without_a_header_is_rejected() -> None:
    (reading,) = read_frame(b"PID|1", feed(), NOW)
    assert reading.message is None
    (answer,) = acknowledge(reading, Taken(1, "dead", "The frame does not begin with MSH, FHS or BHS."), NOW)
    assert answer.decode().split("\r") == [
        f"MSH|^~\\&|||||{LATER}||ACK|none-AR|P|2.5.1",
        "MSA|AR|",
        "ERR|||100^^HL70357|E||||The frame does not begin with MSH, FHS or BHS.",
        "",
    ]


def test_a_line_that_is_no_segment_is_acknowledged_by_the_header_before_it() -> None:
    (reading,) = read_frame(_frame(MSH, PID, "a line that broke out of its field"), feed(), NOW)
    assert (reading.incoming.message_id, reading.incoming.type) == ("C1", "ORU^R01")
    (answer,) = acknowledge(reading, Taken(1, "dead", reading.incoming.fault), NOW)
    assert answer.decode().split("\r") == [
        f"MSH|^~\\&|CDS|NORTH|LAB|SOUTH|{LATER}||ACK^R01^ACK|C1-AE|P|2.5.1",
        "MSA|AE|C1",
        "ERR|||100^^HL70357|E||||A line of the message is no segment: a line end stands inside a field.",
        "",
    ]


def test_a_frame_that_cannot_be_split_is_acknowledged_by_its_header() -> None:
    (reading,) = read_frame(_frame(MSH, "PID|1||50", end=""), feed(), NOW)
    assert isinstance(reading.message, Message)
    assert (reading.incoming.message_id, reading.incoming.type) == ("C1", "ORU^R01")
    assert reading.incoming.fault == "The message ends inside PID: it was cut off, and nothing of it was used."
    assert reading.incoming.effects is None
