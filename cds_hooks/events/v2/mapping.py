"""Maps one HL7 v2 message to what it brings, by HL7's v2-to-FHIR guide: which segments of which messages are read.

ADT: demographics, visits, allergies, diagnoses, merges. ORU and OUL: results. ORM and OML: orders of tests. RDE:
medication orders. VXU: vaccinations. Other messages are rejected, with the code of HL7 table 0357 for it, unless the
site declares that they come and are not used.
"""

from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import replace

from cds_hooks.events.declaration import V2Feed
from cds_hooks.events.effects import Effects, Fact, Merge
from cds_hooks.events.v2.message import Message, Segment, Unreadable
from cds_hooks.events.v2.orders import take_medications, take_tests, take_vaccinations
from cds_hooks.events.v2.results import take_results, version_time
from cds_hooks.events.v2.times import zone_of
from cds_hooks.events.v2.visits import (
    demographics,
    patient_number,
    patient_numbers,
    take_allergies,
    take_diagnoses,
    visit,
)

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
    patients = 0
    for segments in _by_patient(message):
        patients += 1
        patient = patient_number(segments[0], feed)
        take(message, feed, patient, segments, trigger, effects)
    if not patients:
        raise Unreadable("The message has no PID segment, so it is about nobody.", "101")
    _note_times(effects, now)
    stay = message.first("PV1")
    if stay is not None and (ward := stay.text(3)):
        effects.counted[f"ward:{ward[:20]}"] += 1
    return effects


def _trigger(message: Message) -> str:
    evn = message.first("EVN")
    return evn.text(1) if evn is not None else ""


def _by_patient(message: Message) -> Iterator[list[Segment]]:
    """Yield each PID with the segments up to the next one: what follows a PID is about that patient."""
    group: list[Segment] = []
    for segment in message.segments:
        if segment.name == "PID":
            if group:
                yield group
            group = [segment]
        elif group:
            group.append(segment)
    if group:
        yield group


def _message_time(message: Message, feed: V2Feed) -> float:
    evn = message.first("EVN")
    texts = [evn.text(6), evn.text(2)] if evn is not None else []
    return version_time(message, texts, feed.zone)


def _person(message: Message, feed: V2Feed, patient: str, pid: Segment, effects: Effects, *, leads: bool) -> None:
    at = _message_time(message, feed)
    how: Any = "demographics" if leads else "known-or-new"
    effects.facts.append(Fact(patient, demographics(pid, feed, patient), at, how=how))


def _take_visit(
    message: Message, feed: V2Feed, patient: str, segments: list[Segment], trigger: str, effects: Effects
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


def _take_merge(message: Message, feed: V2Feed, patient: str, segments: list[Segment], effects: Effects) -> None:
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
    message: Message, feed: V2Feed, patient: str, segments: list[Segment], _trigger_event: str, effects: Effects
) -> None:
    _person(message, feed, patient, segments[0], effects, leads=False)
    take_results(message, feed, patient, segments, effects)


def _take_orders(
    message: Message, feed: V2Feed, patient: str, segments: list[Segment], _trigger_event: str, effects: Effects
) -> None:
    _person(message, feed, patient, segments[0], effects, leads=False)
    take_tests(segments, feed, patient, _message_time(message, feed), effects)


def _take_medications(
    message: Message, feed: V2Feed, patient: str, segments: list[Segment], _trigger_event: str, effects: Effects
) -> None:
    _person(message, feed, patient, segments[0], effects, leads=False)
    take_medications(segments, feed, patient, _message_time(message, feed), effects)


def _take_vaccinations(
    message: Message, feed: V2Feed, patient: str, segments: list[Segment], _trigger_event: str, effects: Effects
) -> None:
    _person(message, feed, patient, segments[0], effects, leads=False)
    take_vaccinations(segments, feed, patient, _message_time(message, feed), effects)


_BY_TYPE: Final = {
    "ADT": _take_visit,
    "ORU": _take_results,
    "OUL": _take_results,
    "ORM": _take_orders,
    "OML": _take_orders,
    "RDE": _take_medications,
    "VXU": _take_vaccinations,
}


def _note_times(effects: Effects, now: float) -> None:
    for fact in effects.facts:
        if fact.type != "Observation" or fact.happened is None:
            continue
        if fact.happened > now + 300:
            effects.counted["future"] += 1
        effects.latencies.append(now - fact.happened)
