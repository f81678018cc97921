"""Incidents from signals, one decision at a time: what joins which, what follows from what, and when it is over."""

from itertools import product
from typing import Any

import pytest

from cds_hooks.events.watch.baseline import Signal, few, many
from cds_hooks.events.watch.incidents import FEWER, Evidence, Incident, Incidents, Topology, explained
from tests.cds_hooks.events.pinned import PINNED, text

NETWORK = Topology({"a": "net", "b": "net", "c": "other"}, {"lab": "adt"})


def signal(feed: str, kind: str, subject: str = "", **more: Any) -> Signal:
    """A signal of one message in the step before 100."""
    members: dict[str, Any] = {"ratio": 0.5, "since": 99, "weight": 1.0, "group": kind} | more
    return Signal(feed, kind, subject, **members)


def opened(first: Signal, end: int = 100, topology: Topology = NETWORK) -> Incidents:
    """The incidents after this signal."""
    incidents = Incidents(topology)
    incidents.take(end, [first])
    return incidents


def test_a_signal_opens_an_incident_with_all_that_it_says() -> None:
    incidents = Incidents(NETWORK)
    begun = incidents.take(100, [signal("a", "errors", "x", ratio=0.4, since=90, weight=7.0, is_strong=True)])
    expected = Incident("errors", ["a"], "x", "high", 90, 99, 0.4, evidence={"a\terrors": Evidence(100, 7.0)}, number=1)
    assert begun == incidents.all == incidents.open == [expected]
    assert (expected.seen, expected.cause) == (100, "a: errors (x)")
    assert incidents.take(101, [signal("a", "errors", "x", ratio=0.6, since=80, weight=3.0)]) == []
    assert incidents.all == [
        Incident("errors", ["a"], "x", "high", 80, 99, 0.6, evidence={"a\terrors": Evidence(101, 3.0)}, number=1)
    ]
    assert [i.number for i in incidents.take(101, [signal("a", "clock"), signal("z", "order")])] == [2, 3]
    assert Incident("low", ["a", "b"], "", "medium", 1, 5, through="net").cause == "net: low"
    assert Incident("low", ["a", "b"], "", "medium", 1, 5).cause == "a, b: low"
    assert Incident("low", ["a"], "", "medium", 1, 5).seen == 5


STOPS = {"silent", "low", "flapping"}
FOLLOWING = {
    "silent": STOPS
    | {"flood", "more", "resend", "late", "sender", "code-gone", "errors", "stuck", "order", "duplicates", "ahead"},
    "flood": {"flood", "more", "resend", "duplicates", "late", "order", "low", "silent"},
    "resend": {"flood", "more", "resend", "duplicates", "late", "order", "low", "silent"},
    "late": {"late", "errors", "flood", "order", "duplicates"},
    "errors": {"late", "errors", "flood", "order", "duplicates"},
    "sender": {"sender", "low"},
    "unmapped": {"unmapped", "unit-label", "code-gone"},
    "clock": {"clock", "late"},
    "unit": {"unit"},
    "more": {"more"},
    FEWER: {FEWER},
}
KINDS = sorted(set().union(*FOLLOWING.values()) | {"identifiers", "shift"})


@pytest.mark.parametrize(("first", "then"), list(product(FOLLOWING, KINDS)))
def test_what_is_part_of_an_incident_of_the_same_feed(first: str, then: str) -> None:
    incidents = opened(signal("a", first))
    incidents.take(101, [signal("a", then)])
    is_one = then in FOLLOWING[first]
    assert len(incidents.all) == (1 if is_one else 2)


def test_a_subject_of_its_own_is_an_incident_of_its_own_but_for_kinds_that_are_held_together() -> None:
    for kind, count in (("missing", 2), ("unmapped", 1), ("code-gone", 1), (FEWER, 1)):
        incidents = opened(signal("a", kind, "x", group="g1"))
        incidents.take(101, [signal("a", kind, "y", group="g2")])
        assert len(incidents.all) == count, kind
    values = opened(signal("a", "shift", "x", group="values:x"))
    values.take(101, [signal("a", "stuck", "y", group="values:x")])
    assert [incident.kind for incident in values.all] == ["shift"]
    volume = opened(signal("a", "shift", "x", group="volume"))
    volume.take(101, [signal("a", "stuck", "y", group="volume")])
    assert [incident.kind for incident in volume.all] == ["shift", "stuck"]


@pytest.mark.parametrize(
    ("first", "then", "feeds", "through"),
    [
        (("a", "silent"), ("b", "low"), ["a", "b"], "net"),
        (("a", "silent"), ("c", "low"), None, ""),
        (("z", "silent"), ("y", "silent"), None, ""),
        (("a", "silent"), ("b", "late"), None, ""),
        (("a", "late"), ("c", "errors"), ["a", "c"], "this server"),
        (("a", "late"), ("c", "low"), None, ""),
        (("a", FEWER), ("c", FEWER), ["a", "c"], ""),
        (("a", FEWER), ("c", "low"), None, ""),
        (("adt", "silent"), ("lab", "identifiers"), ["adt"], ""),
        (("b", "silent"), ("lab", "identifiers"), None, ""),
        (("adt", "errors"), ("lab", "identifiers"), None, ""),
        (("adt", "silent"), ("a", "identifiers"), None, ""),
    ],
)
def test_what_is_part_of_an_incident_of_another_feed(
    first: tuple[str, str], then: tuple[str, str], feeds: list[str] | None, through: str
) -> None:
    incidents = opened(signal(*first))
    incidents.take(101, [signal(*then)])
    if feeds is None:
        assert [incident.feeds for incident in incidents.all] == [[first[0]], [then[0]]]
    else:
        assert [(incident.feeds, incident.through) for incident in incidents.all] == [(feeds, through)]


def test_feeds_join_within_half_a_day_and_the_receiver_only_while_it_is_open() -> None:
    for kinds in (("silent", "silent"), ("late", "late")):
        for end, count in ((99 + 144, 1), (99 + 145, 2)):
            incidents = opened(signal("a", kinds[0]))
            incidents.take(end, [signal("b", kinds[1])])
            assert len(incidents.all) == count, (kinds, end)
    incidents = opened(signal("a", "late"))
    incidents.close(120, lambda *_: 100.0)
    incidents.take(121, [signal("b", "late")])
    assert len(incidents.all) == 2


def test_patients_that_are_not_there_are_an_effect_of_a_stop_that_is_told_once() -> None:
    incidents = opened(signal("adt", "silent"))
    for end in (101, 102):
        incidents.take(end, [signal("lab", "identifiers", is_strong=True, since=5)])
    expected = Incident("silent", ["adt"], "", "medium", 99, 99, 0.5, evidence={"adt\tsilent": Evidence(100, 1.0)})
    expected.number, expected.effects = 1, ["lab: identifiers"]
    assert incidents.all == [expected]


@pytest.mark.parametrize(
    ("first", "then", "kind"),
    [
        ("low", "silent", "silent"),
        ("silent", "low", "silent"),
        ("silent", "flapping", "flapping"),
        ("low", "flapping", "flapping"),
        ("flapping", "silent", "flapping"),
        ("shift", "unit", "unit"),
        ("errors", "late", "errors"),
        ("silent", "flood", "silent"),
    ],
)
def test_an_incident_becomes_what_is_worse(first: str, then: str, kind: str) -> None:
    incidents = opened(signal("a", first, group="g"))
    incidents.take(101, [signal("a", then, group="g", ratio=0.25, since=50, is_strong=True)])
    (incident,) = incidents.all
    assert incident.kind == kind
    is_same = kind == then
    assert (incident.severity, incident.ratio) == (("high", 0.25) if is_same else ("medium", 0.5))
    assert incident.since == (99 if then == "flood" else 50)
    assert incident.evidence["a\tg"].seen == (100 if then == "flood" else 101)


def test_an_incident_is_over_after_an_hour_and_four_times_its_messages_or_three_days() -> None:
    def closes(end: int, came: float) -> bool:
        incidents = opened(signal("a", "errors", weight=10.0))
        asked: list[Any] = []

        def weight_since(*about: Any) -> float:
            asked.append(about)
            return came

        closed = incidents.close(end, weight_since)
        assert asked in ([], [("a", "errors", 100)])
        assert [incident.closed for incident in incidents.all] == [end - 1 if closed else None]
        assert incidents.open == ([] if closed else incidents.all)
        return bool(closed)

    assert [closes(111, 1e9), closes(112, 40.0), closes(112, 39.9)] == [False, True, False]
    assert [closes(100 + 863, 39.9), closes(100 + 864, 39.9)] == [False, True]


def test_the_same_kind_within_a_day_is_the_same_incident_opened_again() -> None:
    for end, count in ((100 + 288, 1), (100 + 289, 2)):
        incidents = opened(signal("a", "errors"))
        incidents.close(120, lambda *_: 100.0)
        begun = incidents.take(end, [signal("a", "errors")])
        assert (len(incidents.all), [incident.closed for incident in begun]) == (count, [None])


def test_more_is_information_the_same_for_a_week_and_hides_no_flood() -> None:
    incidents = opened(signal("a", "more", group="flood"))
    (more,) = incidents.all
    assert more.severity == "information"
    more.closed = 120
    assert incidents.take(120 + 5 * 288, [signal("a", "more", group="flood")]) == [more]
    begun = incidents.take(120 + 5 * 288, [signal("a", "flood", group="flood", is_strong=True)])
    assert [(incident.kind, incident.severity) for incident in begun] == [("flood", "high")]
    assert incidents.take(121 + 5 * 288, [signal("a", "more", group="growth")]) == []  # it follows from the flood
    assert [incident.kind for incident in incidents.all] == ["more", "flood"]


def test_of_closed_incidents_the_newest_five_hundred_are_kept() -> None:
    earlier = [Incident("errors", [f"f{n}"], "", "medium", 0, 0, closed=1, number=n) for n in range(1000)]
    incidents = Incidents(NETWORK, earlier)
    incidents.take(1000, [signal("a", "clock")])
    assert [incident.number for incident in incidents.all] == [1000, *range(500, 1000)]
    fewer = Incidents(NETWORK, earlier[1:])
    fewer.take(1000, [signal("a", "clock")])
    assert len(fewer.all) == 1000


@pytest.mark.parametrize(
    ("kinds", "kept"),
    [
        (["flood", "duplicates"], ["resend", "resend"]),
        (["flood"], ["flood"]),
        (["duplicates"], ["duplicates"]),
        (["sender", "silent"], ["silent"]),
        (["sender", "flapping"], ["flapping"]),
        (["sender", "low"], ["sender"]),
        (["code-gone", "flood"], ["flood"]),
        (["late", "clock"], ["clock"]),
        (["unit-label", "unit"], ["unit"]),
        (["errors", "low"], ["errors", "low"]),
    ],
)
def test_what_another_signal_of_the_feed_explains_is_left_out(kinds: list[str], kept: list[str]) -> None:
    assert [s.kind for s in explained([signal("a", kind, "x") for kind in kinds])] == kept
    apart = [signal(f"f{number}", kind, "x") for number, kind in enumerate(kinds)]
    assert explained(apart) == apart


def test_what_is_sent_again_is_a_strong_signal_without_a_subject() -> None:
    (first, _) = explained([signal("a", "flood", "x"), signal("a", "duplicates", "y")])
    assert first == signal("a", "resend", "", group="flood", is_strong=True)


@pytest.mark.parametrize(
    ("count", "mean", "spread", "probability"),
    [
        (0, 2.0, 1.0, 0.1353352832),
        (2, 2.0, 1.0, 0.6766764162),
        (3, 2.0, 1.0001, 0.8571234605),
        (2, 4.0, 2.0, 0.34375),  # negative binomial of size 4 and one half: 1/16 + 4/32 + 10/64
        (0, 4.0, 2.0, 0.0625),
        (1, 4.0, 3.0, 0.2592592593),  # of size 2 and one third: 1/9 + 4/27
        (0, 0.5, 1.0, 0.6065306597),
        (0, 0.0, 1.0, 1.0),
        (3, -1.0, 2.0, 1.0),
        (400, 401.0, 4.0, 0.4900413),
        (900, 1000.0, 4.0, 0.0569231),
        (50, 1.0, 1.0, 1.0),
    ],
)
def test_the_chance_of_so_few(count: float, mean: float, spread: float, probability: float) -> None:
    assert few(count, mean, spread) == pytest.approx(probability, rel=1e-5)


@pytest.mark.parametrize(
    ("count", "mean", "spread", "probability"),
    [
        (1, 1.0, 1.0, 1.0),
        (1, 0.5, 1.0, 0.3934693403),
        (3, 1.0, 1.0, 0.0803013971),
        (3, 0.0, 1.0, 0.0),
        (3, 1.0, 2.0, 0.523196),  # exp(-(1 - 3 + 3 log 3) / 2)
        (101, 50.0, 1.0, 2.03484e-09),
        (100, 50.0, 1.0, 3.2001e-10),
    ],
)
def test_the_chance_of_so_many(count: float, mean: float, spread: float, probability: float) -> None:
    assert many(count, mean, spread) == pytest.approx(probability, rel=1e-3)


# How unlikely few and many calls of a feed are.


# HL7 v2 messages bring what was reviewed (`python -m tests.cds_hooks.events.pinned --write`).
def test_each_message_brings_what_was_reviewed() -> None:
    assert text() == PINNED.read_text(encoding="utf-8")
