"""Which segments of which messages are read, for whom, with which time, and what is counted of the whole message."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from cds_hooks.events.declaration import V2Feed
from cds_hooks.events.effects import Effects, Merge
from cds_hooks.events.v2.mapping import effects_of
from cds_hooks.events.v2.message import Unreadable
from tests.cds_hooks.events.v2.segments import SOUTH, made

Fields = Mapping[int, str]
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
PID: Fields = {3: "500^^^SOUTH^MR"}
PV1: Fields = {2: "I", 3: "W1^101", 19: "V1"}
HEAD = {"sender:SOUTH LAB": 1}


def read(
    kind: str, *segments: tuple[str, Fields], header: Fields | None = None, feed: V2Feed = SOUTH, now: float = NOON
) -> Effects:
    return effects_of(made(kind, *segments, header=header), feed, now)


def kinds(effects: Effects) -> list[tuple[str, str, str, float]]:
    """Type, patient, way of meeting what is there, and time in minutes from noon of each fact."""
    return [(fact.type, fact.patient, fact.how, (fact.at - NOON) / 60) for fact in effects.facts]


PERSON, NAMED = ("Patient", "500", "demographics", 0), ("Patient", "500", "known-or-new", 0)


@pytest.mark.parametrize("trigger", ["A01", "A02", "A03", "A04", "A05", "A06", "A07", "A08", "A11", "A12", "A13"])
def test_a_visit_is_read_from_each_trigger_of_visits(trigger: str) -> None:
    effects = read(f"ADT^{trigger}", ("PID", PID), ("PV1", PV1))
    assert kinds(effects) == [PERSON, ("Encounter", "500", "visit", 0)]
    assert effects.counted == Counter(HEAD | {f"type:ADT^{trigger}": 1, "ward:W1": 1})


@pytest.mark.parametrize(
    ("kind", "segments", "facts", "counted"),
    [
        ("ADT^A28", [("PV1", PV1)], [PERSON], {"ward:W1": 1}),
        ("ADT^A31", [], [PERSON], {}),
        ("ADT^A08", [], [PERSON], {}),
        ("ADT^A01", [], [PERSON], {"visit-without-number": 1}),
        ("ADT^A01", [("PV1", {2: "I"})], [PERSON], {"visit-without-number": 1}),
        ("ADT^A01", [("PV1", {2: "I", 50: "V2"})], [PERSON, ("Encounter", "500", "visit", 0)],
         {"lenient:visit-number-elsewhere": 1}),
        ("ADT^A01", [("PV1", {2: "I", 3: "W" * 21, 19: "V1"})], [PERSON, ("Encounter", "500", "visit", 0)],
         {f"ward:{'W' * 20}": 1}),
        ("ADT^A08", [("AL1", {3: "7980^Penicillin^RXNORM"}), ("DG1", {3: "I10^x^I10"})],
         [PERSON, ("AllergyIntolerance", "500", "put", 0), ("Condition", "500", "put", 0)], {}),
        ("ORM^O01", [("OBR", {2: "P1", 4: "2160-0^x^LN"})], [NAMED, ("ServiceRequest", "500", "put", 0)], {}),
        ("OML^O21", [("OBR", {2: "P1", 4: "2160-0^x^LN"})], [NAMED, ("ServiceRequest", "500", "put", 0)], {}),
        ("RDE^O11", [("ORC", {1: "NW", 2: "P1"}), ("RXE", {2: "11289^x^RXNORM"})],
         [NAMED, ("MedicationRequest", "500", "put", 0)], {}),
        ("VXU^V04", [("RXA", {3: "20261120", 5: "140^x^CVX"})], [NAMED, ("Immunization", "500", "put", 0)], {}),
    ],
)  # fmt: skip
def test_a_message_brings_what_is_read_of_its_type(
    kind: str, segments: list[tuple[str, Fields]], facts: list[tuple[str, str, str, float]], counted: dict[str, int]
) -> None:
    effects = read(kind, ("PID", PID), *segments)
    assert kinds(effects) == facts
    assert effects.counted == Counter(HEAD | {f"type:{kind}": 1} | counted)
    assert (effects.merges, effects.latencies) == ([], [])


RESULT: Fields = {2: "ST", 3: "K^Potassium^L", 5: "x", 11: "F", 14: "202611201100+0000"}


@pytest.mark.parametrize("kind", ["ORU^R01", "OUL^R22"])
def test_a_result_has_the_time_from_collection_to_arrival(kind: str) -> None:
    effects = read(kind, ("PID", PID), ("OBR", {3: "F1"}), ("OBX", RESULT), ("OBX", {**RESULT, 14: ""}))
    assert kinds(effects) == [NAMED, ("Observation", "500", "put", 0), ("Observation", "500", "put", 0)]
    assert effects.latencies == [3600]
    assert effects.counted["future"] == 0


@pytest.mark.parametrize(("seconds", "future"), [(-301, 1), (-300, 0), (-299, 0), (0, 0)])
def test_a_result_more_than_five_minutes_ahead_is_of_the_future(seconds: float, future: int) -> None:
    effects = read("ORU^R01", ("PID", PID), ("OBR", {3: "F1"}), ("OBX", RESULT), now=NOON - 3600 + seconds)
    assert (effects.counted["future"], effects.latencies) == (future, [seconds])


def test_a_visit_that_is_to_come_is_no_result_of_the_future() -> None:
    effects = read("ADT^A05", ("EVN", {2: "202611301200+0000"}), ("PID", PID), ("PV1", PV1))
    assert (effects.counted["future"], effects.latencies) == (0, [])


@pytest.mark.parametrize(
    ("evn", "minutes"),
    [
        ({2: "202611201210+0000", 6: "202611201205+0000"}, 5),
        ({2: "202611201210+0000"}, 10),
        ({1: "A08"}, 0),
        ({2: "202611201210+0000", 6: "20261120"}, 10),
    ],
)
def test_a_message_is_of_the_time_of_its_event(evn: Fields, minutes: float) -> None:
    effects = read("ADT^A08", ("EVN", evn), ("PID", PID))
    assert kinds(effects) == [("Patient", "500", "demographics", minutes)]


def test_without_any_time_a_message_is_of_its_arrival() -> None:
    assert kinds(read("ADT^A08", ("PID", PID), header={7: ""}, now=NOON + 120)) == [
        ("Patient", "500", "demographics", 2)
    ]


@pytest.mark.parametrize(
    ("timezone", "header", "minutes"),
    [("", "20261120120000+0100", -60), ("", "20261120120000", 0), ("UTC", "20261120120000+0100", 0)],
)
def test_times_without_an_offset_are_in_the_zone_of_the_feed_or_else_of_the_header(
    timezone: str, header: str, minutes: float
) -> None:
    feed = V2Feed(name="lab", authority="SOUTH", timezone=timezone, zone=ZoneInfo("UTC"))
    effects = read("ADT^A08", ("EVN", {2: "202611201200"}), ("PID", PID), header={7: header}, feed=feed)
    assert kinds(effects) == [("Patient", "500", "demographics", minutes)]


def test_segments_belong_to_the_patient_before_them() -> None:
    second = ("PID", {3: "600^^^SOUTH^MR"})
    effects = read("ADT^A08", ("AL1", {3: "1"}), ("PID", PID), ("AL1", {3: "2"}), second, ("AL1", {3: "3"}))
    assert [(fact.type, fact.patient) for fact in effects.facts] == [
        ("Patient", "500"),
        ("AllergyIntolerance", "500"),
        ("Patient", "600"),
        ("AllergyIntolerance", "600"),
    ]
    assert [fact.key[3] for fact in effects.facts if fact.key] == ["2", "3"]


@pytest.mark.parametrize(
    ("processing", "training", "takes"),
    [("T", False, False), ("D", False, False), ("T", True, True), ("P", False, True)],
)
def test_a_message_for_training_counts_and_has_no_effect(processing: str, training: bool, takes: bool) -> None:
    feed = V2Feed(name="lab", authority="SOUTH", training=training)
    effects = read("ADT^A08", ("PID", PID), header={11: processing}, feed=feed)
    assert kinds(effects) == ([PERSON] if takes else [])
    assert effects.counted == Counter(HEAD | {"type:ADT^A08": 1} | ({} if takes else {"training": 1}))


@pytest.mark.parametrize(
    ("header", "name"),
    [({3: "LAB", 4: ""}, "LAB"), ({3: "", 4: "SOUTH"}, "SOUTH"), ({3: "L" * 70, 4: "S"}, f"S {'L' * 58}")],
)
def test_the_sender_is_counted_by_its_names(header: Fields, name: str) -> None:
    assert read("ADT^A08", ("PID", PID), header=header).counted == Counter({"type:ADT^A08": 1, f"sender:{name}": 1})


def test_a_leniency_is_counted_by_its_name() -> None:
    message = made("ADT^A08", ("PID", PID))
    message.leniencies = ["line-feeds"]
    assert effects_of(message, SOUTH, NOON).counted == Counter(HEAD | {"type:ADT^A08": 1, "lenient:line-feeds": 1})


def test_the_trigger_is_that_of_evn_where_the_header_has_none() -> None:
    effects = read("ADT", ("EVN", {1: "A05"}), ("PID", PID), ("PV1", PV1))
    assert [fact.resource["status"] for fact in effects.facts if fact.type == "Encounter"] == ["planned"]


MRG: Fields = {1: "400^^^SOUTH^MR~401^^^SOUTH^MR~400^^^SOUTH^MR"}
ANYBODY = V2Feed(name="lab", zone=ZoneInfo("UTC"))


@pytest.mark.parametrize("trigger", ["A40", "A18", "A34"])
def test_a_merge_names_each_number_once(trigger: str) -> None:
    effects = read(f"ADT^{trigger}", ("PID", PID), ("MRG", MRG), ("MRG", {1: "402^^^SOUTH^MR"}), ("PV1", PV1))
    assert kinds(effects) == [PERSON]
    assert effects.merges == [Merge("500", number) for number in ("400", "401", "402")]


def test_without_an_authority_the_first_number_of_a_merge_counts() -> None:
    effects = read("ADT^A40", ("PID", PID), ("MRG", MRG), feed=ANYBODY)
    assert effects.merges == [Merge("SOUTH.500", "SOUTH.400")]


@pytest.mark.parametrize(
    ("kind", "segments", "text", "code", "rejects"),
    [
        ("MDM^T02", [("PID", PID)], "Messages of the type MDM^T02 are not taken here.", "200", True),
        (f"{'X' * 30}^T02", [("PID", PID)], f"Messages of the type {'X' * 20} are not taken here.", "200", True),
        ("ADT^A45", [("PID", PID)], "The trigger event A45 is not taken here.", "201", True),
        ("ADT^A4567890123", [("PID", PID)], "The trigger event A45678901 is not taken here.", "201", True),
        ("ADT", [("PID", PID)], "The trigger event  is not taken here.", "201", True),
        ("ADT^A08", [("PV1", PV1)], "The message has no PID segment, so it is about nobody.", "101", False),
        ("ADT^A40", [("PID", PID)], "A merge has no MRG segment.", "101", False),
        ("ADT^A40", [("PID", PID), ("MRG", {1: "400^^^SOUTH^MR~500^^^SOUTH^MR"})],
         "A merge names the same patient number twice.", "103", False),
    ],
)  # fmt: skip
def test_what_is_not_taken_is_refused_with_its_reason(
    kind: str, segments: list[tuple[str, Fields]], text: str, code: str, rejects: bool
) -> None:
    with pytest.raises(Unreadable) as refused:
        read(kind, *segments)
    assert (str(refused.value), refused.value.code, refused.value.rejects) == (text, code, rejects)
