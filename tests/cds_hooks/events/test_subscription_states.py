"""What is known of a subscription after each notification, worked out by hand, and what is read of its FHIR server."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from cds_hooks.errors import BadRequest
from cds_hooks.events.subscriptions import (
    Notification,
    SubscriptionState,
    _entries,
    _key,
    _next_page,
    _next_state,
    _NotRead,
    _with_gaps,
    fact_of,
    read_notification,
)
from tests.cds_hooks.events.messages import NOW, run_async
from tests.cds_hooks.events.test_subscriptions import fhir_server, observation, subscribed

Json = dict[str, Any]
SERVER = "https://ehr.example/fhir"


def _notification(kind: str, count: int, *numbers: int, status: str = "active") -> Notification:
    events = tuple((number, f"Observation/k{number}") for number in numbers)
    return Notification("s", "t", kind, status, count, events, (), b"")


def _after(state: SubscriptionState, notification: Notification, *, is_late: bool = False) -> SubscriptionState:
    return _next_state(state, notification, [number for number, _ in notification.events], 50.0, is_late=is_late)


def _state(epoch: int, highest: int, *gaps: int, status: str = "active", seen_at: float = 50.0) -> SubscriptionState:
    return SubscriptionState(epoch, highest, frozenset(gaps), status, seen_at)


BEFORE = _state(2, 5, 3, seen_at=10.0)


@pytest.mark.parametrize(
    ("notification", "after"),
    [
        (_notification("event-notification", 6, 6), _state(2, 6, 3)),
        (_notification("event-notification", 8, 8), _state(2, 8, 3, 6, 7)),
        (_notification("event-notification", 8, 7, 8), _state(2, 8, 3, 6)),
        (_notification("event-notification", 3, 3), _state(2, 5)),  # closes a gap: not a restart
        (_notification("event-notification", 4, 3, 4), _state(3, 4, 1, 2)),  # 4 was no gap: counted again
        (_notification("event-notification", 5, 5), _state(2, 5, 3)),
        (_notification("event-notification", 2, 2), _state(3, 2, 1)),
        (_notification("event-notification", 0), _state(3, 0)),
        (_notification("heartbeat", 5), _state(2, 5, 3)),
        (_notification("heartbeat", 7), _state(2, 7, 3, 6, 7)),
        (_notification("heartbeat", 4), _state(3, 4, 1, 2, 3, 4)),
        (_notification("handshake", 5), _state(3, 5, 1, 2, 3, 4, 5)),
        (_notification("handshake", 0), _state(3, 0)),
        (_notification("handshake", 0, status="requested"), _state(3, 0)),
        (_notification("event-notification", 6, 6, status=""), _state(2, 6, 3)),
        (_notification("event-notification", 6, 6, status="off"), _state(2, 6, 3, status="off")),
        (_notification("event-notification", 9, 9, status="error"), _state(2, 5, 3, status="error")),
        (_notification("handshake", 0, status="error"), _state(2, 5, 3, status="error")),
    ],
)
def test_a_notification_changes_what_is_known(notification: Notification, after: SubscriptionState) -> None:
    assert _after(BEFORE, notification) == after


def test_a_late_notification_is_no_restart() -> None:
    assert _after(BEFORE, _notification("event-notification", 2, 2), is_late=True) == _state(2, 5, 3)


def test_a_gap_is_at_most_a_thousand_numbers() -> None:
    assert _after(_state(0, 0), _notification("event-notification", 2000, 2000)).gaps == frozenset(range(1001, 2000))
    assert _after(_state(0, 0), _notification("event-notification", 1000, 1000)).gaps == frozenset(range(1, 1000))
    assert _after(_state(0, 0), _notification("heartbeat", 2000)).gaps == frozenset(range(1, 1001))
    assert _after(_state(0, 0), _notification("heartbeat", 1000)).gaps == frozenset(range(1, 1001))


def test_while_there_are_gaps_it_is_complete_until_when_it_was_before() -> None:
    state, before = _state(1, 9, seen_at=50.0), _state(1, 8, seen_at=20.0)
    assert _with_gaps(state, frozenset({4}), before, 60.0) == _state(1, 9, 4, seen_at=20.0)
    assert _with_gaps(state, frozenset(), before, 60.0) == _state(1, 9, seen_at=60.0)


def test_the_key_of_a_notification_has_its_numbers_and_references() -> None:
    several = _notification("event-notification", 3, 2, 3)
    assert _key(4, several).startswith("4:2,3:")
    assert len(_key(4, several)) == len("4:2,3:") + 12
    other = replace(several, events=((2, "Observation/k2"), (3, "Observation/other")))
    assert _key(4, several) != _key(4, other)
    assert _key(4, _notification("heartbeat", 3)) == ""


@pytest.mark.parametrize("url", [f"{SERVER}x/Observation", "https://other.example/fhir/Observation", SERVER, 7, None])
def test_a_next_page_at_another_server_is_not_read(url: Any) -> None:
    with pytest.raises(_NotRead):
        _next_page({"link": [{"relation": "next", "url": url}]}, SERVER)


def test_the_resources_of_a_page_are_those_of_its_entries() -> None:
    page = {"resourceType": "Bundle", "entry": [{"resource": {"id": "a"}}, "x", {"resource": "y"}, {"fullUrl": "z"}]}
    assert _entries(page) == [{"id": "a"}]
    assert _entries({"resourceType": "Bundle"}) == []
    for wrong in ({}, {"resourceType": "Observation"}, {"resourceType": "Bundle", "entry": {}}):
        with pytest.raises(_NotRead):
            _entries(wrong)


# Facts


@pytest.mark.parametrize(
    ("members", "patient"),
    [
        ({"subject": {"reference": f"{SERVER}/Patient/p2"}}, "p2"),
        ({"patient": {"reference": "Patient/p3"}}, "p3"),
        ({"beneficiary": {"reference": "Patient/p4"}}, "p4"),
        ({"subject": {"reference": "Patient/p2"}, "patient": {"reference": "Patient/p3"}}, "p2"),
        ({"subject": {"reference": "Group/g"}}, None),
        ({"subject": {"display": "somebody"}}, None),
        ({"subject": "Patient/p2"}, None),
        ({"resourceType": "Patient", "id": "p5", "subject": {"reference": "Patient/p2"}}, "p5"),
        ({}, None),
        ({"id": 7, "subject": {"reference": "Patient/p2"}}, None),
        ({"resourceType": None, "subject": {"reference": "Patient/p2"}}, None),
    ],
)
def test_the_patient_is_whom_the_resource_is_about(members: Json, patient: str | None) -> None:
    fact = fact_of({"resourceType": "Observation", "id": "o"} | members)
    assert (fact.patient if fact is not None else None) == patient


# Notifications


def _bundle(*parameters: Json, entries: tuple[Any, ...] = (), **more: Any) -> bytes:
    status = {"resourceType": "Parameters", "parameter": list(parameters)}
    return orjson.dumps({"resourceType": "Bundle", "entry": [{"resource": status}, *entries]} | more)


OF = {"name": "subscription", "valueReference": {"reference": f"{SERVER}/Subscription/s1"}}
KIND = {"name": "type", "valueCode": "event-notification"}


def _event(number: Any, **focus: Any) -> Json:
    part = [{"name": "event-number", "valueString": number}]
    return {
        "name": "notification-event",
        "part": part + ([{"name": "focus", "valueReference": focus}] if focus else []),
    }


def test_a_notification_is_read_with_all_that_it_says() -> None:
    body = _bundle(
        OF,
        {"name": "topic", "valueCanonical": "t"},
        {"name": "status", "valueCode": "active"},
        KIND,
        {"name": "events-since-subscription-start", "valueString": "9"},
        _event("8", reference="Observation/a"),
        _event("9"),
        entries=({"resource": {"id": "a"}}, {"resource": "x"}, "y"),
    )
    events = ((8, "Observation/a"), (9, ""))
    assert read_notification(body) == Notification(
        f"{SERVER}/Subscription/s1", "t", "event-notification", "active", 9, events, ({"id": "a"},), body
    )


DEEP = b"[" * 300 + b"]" * 300


@pytest.mark.parametrize(
    "body",
    [
        _bundle(OF, KIND, _event("-1")),
        _bundle(OF, KIND, _event(str(2**53 + 1))),
        _bundle(OF, KIND, _event("x")),
        _bundle(OF, KIND, {"name": "notification-event"}),
        _bundle(OF),
        _bundle(KIND),
        _bundle(OF, KIND, resourceType="Parameters"),
        orjson.dumps({"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Basic", "parameter": []}}]}),
        # What is nested so deep can be read, and could not be written to the inbox.
        _bundle(OF, KIND, entries=({"resource": {"resourceType": "Basic", "id": "b"}},)).replace(b'"b"', DEEP),
    ],
)
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest, match="no notification of a FHIR topic subscription"):
        read_notification(body)


# What is counted and kept


@run_async
async def test_the_time_from_the_result_to_its_arrival_is_kept(tmp_path: Path) -> None:
    without_time, nobodys = observation("k2"), observation("k3")
    del without_time["effectiveDateTime"], nobodys["subject"]
    with fhir_server(k1=observation("k1"), k2=without_time, k3=nobodys) as server:
        async with subscribed(tmp_path, server.base) as here:
            taken_in: list[Any] = []
            groups = here._subscriber._groups

            class Kept:
                async def take(self, incoming: list[Any]) -> None:
                    taken_in.extend(incoming)
                    await groups.take(incoming)

            here._subscriber._groups = Kept()  # type: ignore[assignment]
            events = [(number, f"Observation/k{number}") for number in (1, 2, 3)]
            await here.post(server.notification("event-notification", 3, *events))
    (incoming,) = taken_in
    happened = datetime(2026, 11, 20, 9, 30, tzinfo=UTC).timestamp()
    assert incoming.effects.latencies == [NOW - happened]
    assert [fact.id for fact in incoming.effects.facts] == ["k1", "k2"]
    assert incoming.effects.counted["without-patient"] == 1
    assert incoming.effects.counted["duplicate"] == 0


@run_async
async def test_a_gap_that_is_not_filled_is_counted_and_a_filled_one_is_not(tmp_path: Path) -> None:
    with fhir_server(k1=observation("k1"), k2=observation("k2"), k3=observation("k3")) as server:
        async with subscribed(tmp_path, server.base) as here:
            await here.post(server.notification("event-notification", 1, (1, "Observation/k1")))
            await here.post(server.notification("event-notification", 3, (3, "Observation/k3")))
            assert (here.state.gaps, here.counted("gap-not-filled"), here.counted("gap-filled")) == (frozenset(), 0, 1)
            server.has_events = False
            await here.post(server.notification("event-notification", 5, (5, "Observation/k3")))
            assert (here.state.gaps, here.counted("gap-not-filled"), here.counted("gap-filled")) == ({4}, 1, 1)
            assert here.counted("searched") == 0  # the site declares no search
            asked = [path for path in server.asked if "$events" in path]
            assert asked[-1].endswith(
                "/Subscription/s1/$events?eventsSinceNumber=4&eventsUntilNumber=4&content=full-resource"
            )
            await here.fill()
            assert here.counted("gap-not-filled") == 2
