"""Takes one MLLP frame: messages parsed and mapped, then acknowledged as they became of (AA, AE, AR; CA in advance)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from cds_hooks.events.declaration import V2Feed
from cds_hooks.events.inbox import Incoming, Taken
from cds_hooks.events.v2.mapping import effects_of
from cds_hooks.events.v2.message import Message, Unreadable, parse_message, split_batch
from cds_hooks.logs import log

NO_ID: Final = ""


class Reading(Struct):
    """One message of a frame: what goes into the inbox, and what its acknowledgment needs."""

    incoming: Incoming
    message: Message | None = None
    fault: Unreadable | None = None


def read_frame(content: bytes, feed: V2Feed, now: float) -> list[Reading]:
    """Return the messages of a frame; one that cannot be read has its reason in place of its effects."""
    try:
        texts, leniencies = split_batch(content, feed.charset)
    except Unreadable as error:
        header = _header_of(content)
        return [Reading(_incoming(feed, content, now, header, str(error)), header, error)]
    if len(texts) == 1:
        return [_read(texts[0], content, leniencies, feed, now)]
    return [_read(text, text.encode(), leniencies, feed, now) for text in texts]


def _read(text: str, content: bytes, leniencies: list[str], feed: V2Feed, now: float) -> Reading:
    message: Message | None = None
    try:
        message = parse_message(text)
        message.leniencies += leniencies
        effects = effects_of(message, feed, now)
    except Unreadable as error:
        message = message or _header_of(text.encode())
        return Reading(_incoming(feed, content, now, message, str(error)), message, error)
    except Exception as error:
        log().error("message not mapped", client=feed.name, error_type=type(error).__name__)
        fault = Unreadable(f"A fault of this server: the message could not be mapped ({type(error).__name__}).", "207")
        return Reading(_incoming(feed, content, now, message, str(fault)), message, fault)
    incoming = _incoming(feed, content, now, message)
    incoming.effects = effects
    return Reading(incoming, message)


def _incoming(feed: V2Feed, content: bytes, now: float, message: Message | None, fault: str = "") -> Incoming:
    control_id = message.control_id if message is not None else NO_ID
    kind = message.event if message is not None else ""
    return Incoming(feed.name, control_id, kind, content, now, fault=fault, late_days=feed.late_days)


def _header_of(content: bytes) -> Message | None:
    """Return the header of a message that cannot be read, so that it can be acknowledged; None where it has none."""
    start = content.find(b"MSH")
    if start < 0:
        return None
    line = content[start:].replace(b"\n", b"\r").split(b"\r", 1)[0]
    try:
        return parse_message(line.decode("utf-8", "replace") + "\r")
    except Unreadable:
        return None


def answer_frame(readings: Sequence[Reading], outcomes: Sequence[Taken], now: float) -> list[bytes]:
    """Return the answers to one frame: to a batch one batch with the acknowledgment of each of its messages.

    An empty frame is noted and not answered.
    """
    answers = [
        answer
        for reading, outcome in zip(readings, outcomes, strict=True)
        if reading.message is not None or reading.incoming.content.strip()
        for answer in acknowledge(reading, outcome, now)
    ]
    if len(readings) < 2:
        return answers
    # HL7 chapter 2, acknowledging batches: all messages are acknowledged in one response batch
    separator, encoding = answers[0][3:4], answers[0][4:8]
    head, count = b"BHS" + separator + encoding + b"\r", str(len(answers)).encode()
    return [head + b"".join(answers) + b"BTS" + separator + count + b"\r"]


def acknowledge(reading: Reading, outcome: Taken, now: float) -> list[bytes]:
    """Return the acknowledgments of a message that is in the inbox: in enhanced mode the commit's first.

    AA says that it was taken or was there before, AE that it is a dead letter, AR that its kind is not taken.
    """
    message = reading.message
    if message is None:
        return [_acknowledgment(None, "AR", outcome.reason, "100", now)]
    if outcome.state == "dead":
        fault = reading.fault
        rejects = fault is not None and fault.rejects
        prefix = "C" if message.wants_commit else "A"
        code = fault.code if fault is not None else "205"
        return [_acknowledgment(message, prefix + ("R" if rejects else "E"), outcome.reason, code, now)]
    if not message.wants_commit:
        return [_acknowledgment(message, "AA", "", "0", now)]
    answers = [_acknowledgment(message, "CA", "", "0", now)]
    if message.header.text(16) in ("AL", "SU"):
        answers.append(_acknowledgment(message, "AA", "", "0", now))
    return answers


def _acknowledgment(message: Message | None, code: str, text: str, condition: str, now: float) -> bytes:
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d%H%M%S+0000")
    header = message.header if message is not None else None
    separator = header.message.separators[1] if header is not None else "|"
    encoding = header.whole(2) if header is not None else "^~\\&"
    parts: Sequence[str] = ("", "", "", "")
    trigger, version, control_id, processing = "", "2.5.1", "", "P"
    if header is not None:
        parts = (header.whole(5), header.whole(6), header.whole(3), header.whole(4))
        trigger, version = header.text(9, 2), header.text(12) or version
        control_id, processing = header.whole(10), header.text(11) or processing
    component = encoding[:1] or "^"
    kind = component.join(part for part in ("ACK", trigger, "ACK") if part) if trigger else "ACK"
    own_id = f"{control_id or 'none'}-{code}"[:199]
    msh = ["MSH", encoding, *parts, moment, "", kind, own_id, processing, version]
    lines = [separator.join(msh), separator.join(["MSA", code, control_id])]
    if condition != "0":
        words = "".join(" " if character in separator + encoding + "\r\n" else character for character in text)
        error = component.join((condition, "", "HL70357"))
        lines.append(separator.join(["ERR", "", "", error, "E", "", "", "", words[:250]]))
    return ("\r".join(lines) + "\r").encode()
