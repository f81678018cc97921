"""Incidents from signals, one decision at a time: what joins which, what follows from what, and when it is over."""

from itertools import product
from typing import Any

from cds_hooks.events.watch.history import Signal
from cds_hooks.events.watch.incidents import Incident, Incidents, Topology
from tests.each import for_rows

NETWORK = Topology({"a": "net", "b": "net", "c": "other"}, {"lab": "adt"})


def signal(feed: str, kind: str, subject: str = "", **more: Any) -> Signal:
    """A signal of the step before 100."""
    members: dict[str, Any] = {"ratio": 0.5, "since": 99, "group": kind} | more
    return Signal(feed, kind, subject, **members)


def opened(first: Signal, end: int = 100, topology: Topology = NETWORK) -> Incidents:
    """The incidents after this signal."""
    incidents = Incidents(topology)
    incidents.take(end, [first])
    return incidents


def test_a_signal_opens_an_incident_with_all_that_it_says() -> None:
    incidents = Incidents(NETWORK)
    begun = incidents.take(100, [signal("a", "errors", "x", ratio=0.4, since=90, severity="high")])
    expected = Incident("errors", ["a"], "x", "high", 90, 99, "errors", 0.4, seen=100, seen_since=90, number=1)
    assert begun == incidents.all == incidents.open == [expected]
    assert expected.cause == "a: errors (x)"
    assert incidents.take(101, [signal("a", "errors", "x", ratio=0.6, since=80)]) == []
    again = Incident("errors", ["a"], "x", "high", 80, 99, "errors", 0.6, seen=101, seen_since=80, number=1)
    assert incidents.all == [again]
    assert [i.number for i in incidents.take(101, [signal("a", "clock"), signal("z", "order")])] == [2, 3]
    assert Incident("low", ["a", "b"], "", "medium", 1, 5, "volume", through="net").cause == "net: low"
    assert Incident("low", ["a", "b"], "", "medium", 1, 5, "volume").cause == "a, b: low"


STOPS = {"silent", "low", "flapping"}
AFTER = {"flood", "duplicates", "late", "order", "sender", "code-gone"}
FOLLOWING = {
    "silent": STOPS | AFTER | {"errors", "stuck"},
    "flood": AFTER | {"low", "silent"},
    "resend": AFTER | {"low", "silent", "resend"},
    "duplicates": {"duplicates", "flood"},
    "late": {"late", "errors", "flood", "order", "duplicates"},
    "errors": {"late", "errors", "flood", "order", "duplicates"},
    "sender": {"sender", "low"},
    "unmapped": {"unmapped", "unit-label", "code-gone"},
    "clock": {"clock", "late"},
    "unit": {"unit", "unit-label"},
}
KINDS = sorted(set().union(*FOLLOWING.values()) | {"identifiers", "shift"})


@for_rows(("first", "then"), list(product(FOLLOWING, KINDS)))
def test_what_is_part_of_an_incident_of_the_same_feed(first: str, then: str) -> None:
    incidents = opened(signal("a", first))
    incidents.take(101, [signal("a", then)])
    is_one = then in FOLLOWING[first]
    assert len(incidents.all) == (1 if is_one else 2)


def test_what_is_judged_together_is_one_incident() -> None:
    values = opened(signal("a", "shift", "x", group="values:x"))
    values.take(101, [signal("a", "stuck", "x", group="values:x"), signal("a", "shift", "y", group="values:y")])
    assert [(incident.kind, incident.subject) for incident in values.all] == [("shift", "x"), ("shift", "y")]
    gone = opened(signal("a", "code-gone", "x", group="result:x"))
    gone.take(101, [signal("a", "code-gone", "y", group="result:y")])
    assert len(gone.all) == 1


@for_rows(
    ("first", "then", "feeds", "through"),
    [
        (("a", "silent"), ("b", "low"), ["a", "b"], "net"),
        (("a", "silent"), ("c", "low"), None, ""),
        (("z", "silent"), ("y", "silent"), None, ""),
        (("a", "silent"), ("b", "late"), None, ""),
        (("a", "late"), ("c", "errors"), ["a", "c"], "this server"),
        (("a", "late"), ("c", "low"), None, ""),
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
    incidents.close(120, lambda *_: 0.0)
    incidents.take(121, [signal("b", "late")])
    assert len(incidents.all) == 2


def test_patients_that_are_not_there_follow_from_a_stop_and_do_not_prolong_it() -> None:
    incidents = opened(signal("adt", "silent"))
    for end in (101, 102):
        incidents.take(end, [signal("lab", "identifiers", severity="high", since=5)])
    assert [(i.cause, i.severity, i.since, i.seen) for i in incidents.all] == [("adt: silent", "medium", 99, 100)]


@for_rows(
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
        ("flood", "duplicates", "resend"),
        ("duplicates", "flood", "resend"),
    ],
)
def test_an_incident_becomes_what_is_worse(first: str, then: str, kind: str) -> None:
    incidents = opened(signal("a", first, group="g"))
    incidents.take(101, [signal("a", then, group="g", ratio=0.25, since=50, severity="high")])
    (incident,) = incidents.all
    became = kind != first or then == first
    assert (incident.kind, incident.since, incident.seen) == (kind, 50, 101)
    assert (incident.severity, incident.ratio) == (("high", 0.25) if became else ("medium", 0.5))


def test_an_incident_is_over_after_an_hour_and_four_times_its_messages_or_three_days() -> None:
    def closes(end: int, due: float) -> bool:
        incidents = opened(signal("a", "errors", since=90))
        spans = {(90, 100): 10.0, (100, end): due}
        closed = incidents.close(end, lambda feed, *span: spans[span] if feed == "a" else 0.0)
        assert [incident.closed for incident in incidents.all] == [end - 1 if closed else None]
        assert incidents.open == ([] if closed else incidents.all)
        return bool(closed)

    assert [closes(111, 1e9), closes(112, 40.0), closes(112, 39.9)] == [False, True, False]
    assert [closes(100 + 863, 39.9), closes(100 + 864, 39.9)] == [False, True]


def test_the_same_kind_within_a_day_is_the_same_incident_opened_again() -> None:
    for end, count in ((100 + 288, 1), (100 + 289, 2)):
        incidents = opened(signal("a", "errors"))
        incidents.close(120, lambda *_: 0.0)
        begun = incidents.take(end, [signal("a", "errors")])
        assert (len(incidents.all), [incident.closed for incident in begun]) == (count, [None])


@for_rows(
    ("kinds", "causes"),
    [
        (["duplicates", "flood"], ["resend"]),
        (["sender", "silent"], ["silent"]),
        (["low", "sender"], ["sender"]),
        (["late", "clock"], ["clock"]),
        (["unit-label", "unit"], ["unit"]),
        (["errors", "clock"], ["clock", "errors"]),
    ],
)
def test_of_signals_of_one_step_the_cause_comes_first(kinds: list[str], causes: list[str]) -> None:
    incidents = Incidents(NETWORK)
    incidents.take(100, [signal("a", kind) for kind in kinds])
    assert [incident.kind for incident in incidents.all] == causes
