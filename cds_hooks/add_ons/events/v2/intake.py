"""Takes one MLLP frame: messages parsed and mapped, then acknowledged as they became of (AA, AE, AR; CA in advance).

Maps one HL7 v2 message to what it brings, by HL7's v2-to-FHIR guide: which segments of which messages are read.

ADT: demographics, visits, allergies, diagnoses, merges. ORU and OUL: results. ORM and OML: orders of tests. RDE:
medication orders. VXU: vaccinations. Other messages are rejected, with the code of HL7 table 0357 for it, unless the
site declares that they come and are not used.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from cds_hooks.add_ons.events.declaration import V2Feed
from cds_hooks.add_ons.events.facts import Effects, Fact, Merge
from cds_hooks.add_ons.events.inbox import Incoming, Taken
from cds_hooks.add_ons.events.v2.message import Message, Segment, Unreadable, groups_of, parse_message, split_batch
from cds_hooks.add_ons.events.v2.orders import (
    take_orders,
    take_results,
    take_vaccinations,
    version_time,
)
from cds_hooks.add_ons.events.v2.values import zone_of
from cds_hooks.add_ons.events.v2.visits import (
    demographics,
    patient_numbers,
    take_allergies,
    take_diagnoses,
    visit,
)
from cds_hooks.telemetry.logs import log

NO_ID: Final = ""
Take = Callable[[Message, V2Feed, str, Sequence[Segment], str, Effects], None]
"""Adds to the effects what the segments of one patient bring, by the trigger event."""


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


VISITS: Final = frozenset(f"A{number:02}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13))
_PERSONS: Final = frozenset({"A28", "A31"})
_MERGES: Final = frozenset({"A40", "A18", "A34"})


def effects_of(message: Message, feed: V2Feed, now: float) -> Effects:
    """Return what the message brings; nothing but a count where it is for training and the feed is not.

    Raises:
        Unreadable: It is of a kind that is not read here, names no patient, or lacks what HL7 requires.
    """
    effects = Effects()
    effects.counted.update(f"lenient:{name}" for name in message.leniencies)
    sender = " ".join(part for part in (message.header.text(4), message.header.text(3)) if part)
    effects.counted.update((f"type:{message.event}", f"sender:{sender[:60]}"))
    if message.is_training and not feed.training:
        effects.counted["training"] += 1
        return effects
    if not feed.timezone:  # HL7 chapter 2, MSH-7: its zone is that of all times of the message
        feed = replace(feed, zone=zone_of(message.header.text(7), feed.zone))
    message.received_at = now
    kind, trigger = message.header.text(9, 1), message.header.text(9, 2) or _trigger(message)
    take = _BY_TYPE.get(kind)
    if take is None and kind in feed.not_used:
        effects.counted["not-used"] += 1
        return effects
    if take is None:
        raise Unreadable(f"Messages of the type {message.event[:20]} are not taken here.", "200", rejects=True)
    # what follows a PID is about that patient
    _, *of_patients = groups_of(message.segments, "PID")
    for segments in of_patients:
        take(message, feed, patient_numbers(segments[0], feed)[0], segments, trigger, effects)
    if not of_patients:
        raise Unreadable("The message has no PID segment, so it is about nobody.", "101")
    _note_times(effects, now)
    stay = message.first("PV1")
    if stay is not None and (ward := stay.text(3)):
        effects.counted[f"ward:{ward[:20]}"] += 1
    return effects


def _trigger(message: Message) -> str:
    evn = message.first("EVN")
    return evn.text(1) if evn is not None else ""


def _message_time(message: Message, feed: V2Feed) -> float:
    evn = message.first("EVN")
    texts = [evn.text(6), evn.text(2)] if evn is not None else []
    return version_time(message, texts, feed.zone)


def _person(message: Message, feed: V2Feed, patient: str, pid: Segment, effects: Effects, *, leads: bool) -> None:
    at = _message_time(message, feed)
    how: Any = "demographics" if leads else "known-or-new"
    effects.facts.append(Fact(patient, demographics(pid, feed, patient), at, how=how))


def _take_visit(
    message: Message, feed: V2Feed, patient: str, segments: Sequence[Segment], trigger: str, effects: Effects
) -> None:
    if trigger in _MERGES:
        _take_merge(message, feed, patient, segments, effects)
        return
    if trigger not in VISITS | _PERSONS:
        raise Unreadable(f"The trigger event {trigger[:9]} is not taken here.", "201", rejects=True)
    _person(message, feed, patient, segments[0], effects, leads=True)
    at = _message_time(message, feed)
    stay = next((segment for segment in segments if segment.name == "PV1"), None)
    if stay is not None and trigger in VISITS and (fact := visit(stay, feed, patient, trigger, at)) is not None:
        effects.facts.append(fact)
        if not stay.text(19):
            effects.counted["lenient:visit-number-elsewhere"] += 1
    elif trigger in VISITS and trigger != "A08":
        effects.counted["visit-without-number"] += 1
    take_allergies(segments, feed, patient, at, effects)
    take_diagnoses(segments, feed, patient, at, effects)


def _take_merge(message: Message, feed: V2Feed, patient: str, segments: Sequence[Segment], effects: Effects) -> None:
    merged = [segment for segment in segments if segment.name == "MRG"]
    if not merged:
        raise Unreadable("A merge has no MRG segment.", "101")
    _person(message, feed, patient, segments[0], effects, leads=True)
    for segment in merged:
        others = patient_numbers(segment, feed, field=1)
        if patient in others:
            raise Unreadable("A merge names the same patient number twice.", "103")
        effects.merges += (Merge(patient, other) for other in dict.fromkeys(others[: None if feed.authority else 1]))


def _take_results(
    message: Message, feed: V2Feed, patient: str, segments: Sequence[Segment], _trigger_event: str, effects: Effects
) -> None:
    _person(message, feed, patient, segments[0], effects, leads=False)
    take_results(message, feed, patient, segments, effects)


def _of_person(take: Callable[[Sequence[Segment], V2Feed, str, float, Effects], None]) -> Take:
    """Return what takes a message that is of no visit: its person where they are new, then what `take` reads."""

    def take_both(
        message: Message, feed: V2Feed, patient: str, segments: Sequence[Segment], _trigger_event: str, effects: Effects
    ) -> None:
        _person(message, feed, patient, segments[0], effects, leads=False)
        take(segments, feed, patient, _message_time(message, feed), effects)

    return take_both


_take_tests: Final = partial(take_orders, names=("OBR", "RXO"))
_BY_TYPE: Final[dict[str, Take]] = {
    "ADT": _take_visit,
    "ORU": _take_results,
    "OUL": _take_results,
    "ORM": _of_person(_take_tests),
    "OML": _of_person(_take_tests),
    "RDE": _of_person(partial(take_orders, names=("RXE",))),
    "VXU": _of_person(take_vaccinations),
}


def _note_times(effects: Effects, now: float) -> None:
    for fact in effects.facts:
        if fact.type != "Observation" or fact.happened is None:
            continue
        if fact.happened > now + 300:
            effects.counted["future"] += 1
        effects.latencies.append(now - fact.happened)
