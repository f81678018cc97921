"""CloudEvents over a webhook: signed, in order, sent again until they are taken, and nothing of a person in them."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from cds_hooks.events.declaration import Declaration, Webhook
from cds_hooks.events.inbox import Inbox
from cds_hooks.events.outbox import (
    BrokerDelivery,
    Delivery,
    Queue,
    ReceiverState,
    add_to_outbox,
    queues,
    receiver_states,
    resend_given_up,
)
from tests.cds_hooks.events.messages import NOW, run_async
from tests.cds_hooks.logged import capture_logs
from tests.receiver import receiving

SECRET = b"s" * 32


def _filled(folder: Path, count: int) -> Inbox:
    inbox = Inbox(folder / "events.sqlite3")
    with inbox.transaction() as connection:
        for number in range(count):
            data = {"decision": f"d{number}", "service": "vaccines-due", "patient": "p1"}
            for _ in range(2):
                add_to_outbox(connection, f"d{number}", "decision-made", "p1", NOW, data)
    return inbox


@run_async
async def test_what_is_not_taken_is_sent_again_later_and_nothing_overtakes_it(tmp_path: Path) -> None:
    inbox = _filled(tmp_path, 3)
    with receiving() as receiver:
        clock = [NOW]
        hook = Webhook(url=receiver.url, secret_file="", secret=SECRET)
        delivery = Delivery(inbox, "care", hook, "https://cds.example", lambda: clock[0])
        async with httpx.AsyncClient(trust_env=False) as http:
            receiver.status = 503
            assert [await delivery.send(http) for _ in range(3)] == [0, 0, 0]
            receiver.status = 204
            assert await delivery.send(http) == 0
            clock[0] += 2
            assert await delivery.send(http) == 3
    inbox.close()
    assert [event["id"] for event in receiver.taken] == ["d0", "d1", "d2"]


def _delivery(inbox: Inbox, clock: list[float], **hook: Any) -> Delivery:
    target = Webhook(url="http://127.0.0.1:1/in", secret=SECRET, **hook)
    return Delivery(inbox, "care", target, "https://cds.example", lambda: clock[0])


def _answering(*statuses: int) -> tuple[httpx.AsyncClient, list[httpx.Request]]:
    """A receiver that answers with these statuses in turn; at 0 the connection breaks."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        if not (status := statuses[min(len(requests), len(statuses)) - 1]):
            raise httpx.ConnectError("broken")
        return httpx.Response(status)

    return httpx.AsyncClient(transport=httpx.MockTransport(answer)), requests


@run_async
async def test_the_wait_after_a_failure_doubles_from_a_second_to_five_minutes(tmp_path: Path) -> None:
    inbox, clock = _filled(tmp_path, 2), [NOW]
    delivery, waits = _delivery(inbox, clock), []
    http, requests = _answering(*[500, 0, 404] * 4, 200, 200, 503)
    for number in range(12):
        assert await delivery.send(http) == 0
        assert delivery._state()[:2] == (0, number + 1)
        waits.append(delivery._state()[2] - clock[0])
        clock[0] += waits[-1] - 0.001
        assert await delivery.send(http) == 0
        assert len(requests) == number + 1
        clock[0] = delivery._state()[2]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    with inbox.transaction() as connection:
        add_to_outbox(connection, "last", "decision-made", "p1", NOW, {})
    assert await delivery.send(http) == 2
    assert delivery._state() == (2, 1, clock[0] + 1)  # what was sent between them ends the row of failures
    inbox.close()


@run_async
async def test_a_request_holds_the_event_its_time_and_its_signature(tmp_path: Path) -> None:
    inbox = _filled(tmp_path, 1)
    http, requests = _answering(200)
    assert _delivery(inbox, [NOW])._state() == (0, 0, 0.0)
    assert await _delivery(inbox, [NOW + 60.9]).send(http) == 1
    inbox.close()
    (request,) = requests
    assert json.loads(request.content) == {
        "specversion": "1.0", "id": "d0", "source": "https://cds.example", "type": "org.cds-hooks-onnx.decision-made",
        "subject": "p1", "time": "2026-11-20T13:40:00+00:00", "datacontenttype": "application/json",
        "data": {"decision": "d0", "service": "vaccines-due", "patient": "p1"},
    }  # fmt: skip
    digest = hmac.new(SECRET, f"d0.{int(NOW) + 60}.".encode() + request.content, hashlib.sha256).digest()
    assert (request.method, str(request.url)) == ("POST", "http://127.0.0.1:1/in")
    names = [name for name in request.headers if name.startswith(("webhook", "content-type"))]
    assert {name: request.headers[name] for name in names} == {
        "content-type": "application/cloudevents+json", "webhook-id": "d0", "webhook-timestamp": str(int(NOW) + 60),
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }  # fmt: skip


@run_async
async def test_an_event_that_is_refused_holds_up_its_patient_only_and_becomes_a_dead_letter(tmp_path: Path) -> None:
    inbox, clock = Inbox(tmp_path / "events.sqlite3"), [NOW]
    with inbox.transaction() as connection:
        for event_id, patient in (("a1", "a"), ("b1", "b"), ("a2", "a"), ("x1", ""), ("b2", "b")):
            add_to_outbox(connection, event_id, "decision-made", patient, NOW, {})
    taken: list[str] = []
    refused = {"a1", "x1"}
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        name = request.headers["webhook-id"]
        asked.append(name)
        if name in refused:
            return httpx.Response(422)
        taken.append(name)
        return httpx.Response(204)

    delivery = _delivery(inbox, clock)
    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    assert await delivery.send(http) == 5
    assert (taken, asked) == (["b1", "b2"], ["a1", "b1", "x1", "b2"])
    assert receiver_states(inbox, ["care"]) == [ReceiverState("care", 0, 3, 0, NOW)]
    assert await delivery.send(http) == 0
    assert len(asked) == 4, "not before its time"
    with inbox.transaction() as connection:
        add_to_outbox(connection, "a3", "decision-made", "a", NOW, {})
    refused.discard("x1")
    clock[0] += 1
    assert await delivery.send(http) == 1
    assert taken == ["b1", "b2", "x1"]
    for wait in (2, 4, 8, 16, 32, 64, 128, 256):
        clock[0] += wait
        await delivery.send(http)
    assert inbox.query("SELECT sequence, is_dead FROM set_aside WHERE is_dead = 1") == [(1, 1)]
    assert asked.count("a1") == 10
    await delivery.send(http)
    assert taken == ["b1", "b2", "x1", "a2", "a3"], "those behind a dead letter go on, in their order"
    assert inbox.query("SELECT sequence FROM set_aside WHERE is_dead = 0") == []
    assert receiver_states(inbox, ["care", "none"]) == [
        ReceiverState("care", 0, 0, 1, 0.0), ReceiverState("none", 6, 0, 0, NOW)
    ]  # fmt: skip
    refused.discard("a1")
    assert [resend_given_up(inbox, name) for name in ("care", "care", "none")] == [1, 0, 0]
    await delivery.send(http)
    assert taken == ["b1", "b2", "x1", "a2", "a3", "a1"]
    assert receiver_states(inbox, ["care"]) == [ReceiverState("care", 0, 0, 0, 0.0)]
    inbox.forget(NOW + 1)
    assert inbox.query("SELECT sequence FROM set_aside") == []
    inbox.close()


@run_async
async def test_a_receiver_that_is_away_is_one_line_of_the_log_until_it_is_back(tmp_path: Path) -> None:
    inbox, clock = _filled(tmp_path, 3), [NOW]
    delivery = _delivery(inbox, clock)
    http, _ = _answering(503, 404, 500, 204, 422, 503)
    with capture_logs() as lines:
        for _ in range(6):
            clock[0] += 400
            await delivery.send(http)
    said = [(line["event"], line.get("status")) for line in lines]
    assert said == [("receiver of events away", 503), ("webhook refused", 422), ("receiver of events away", 503)]
    inbox.close()


def test_what_waits_is_told_by_queue(tmp_path: Path) -> None:
    inbox = _filled(tmp_path, 2)
    with inbox.transaction() as connection:
        connection.execute("INSERT INTO due VALUES ('p', 's', ?, ?, ?, 1)", (NOW - 60, NOW, NOW))
        for feed, gaps in (("ehr", "[3, 4]"), ("other", "[]")):
            connection.execute("INSERT INTO subscriptions VALUES (?, 0, 9, 'active', ?, ?)", (feed, NOW - 5, gaps))
    inbox.note_at_broker("lab", 9)
    inbox.note_at_broker("lab", 7)
    declared = Declaration(webhook={"care": Webhook(url="https://care.example")})
    assert queues(inbox, declared) == [
        Queue("due to be computed", 1, NOW - 60), Queue("care", 2, NOW),
        Queue("ehr, events that did not come", 2, NOW - 5), Queue("other, events that did not come", 0, 0.0),
        Queue("lab, at its broker", 7, 0.0),
    ]  # fmt: skip
    inbox.close()


@run_async
async def test_what_was_set_aside_waits_while_the_receiver_is_away(tmp_path: Path) -> None:
    inbox, clock = _filled(tmp_path, 2), [NOW]
    delivery = _delivery(inbox, clock)
    http, requests = _answering(422, 503, 200)
    assert await delivery.send(http) == 2
    clock[0] += 1
    assert await delivery.send(http) == 0
    assert delivery._state() == (2, 1, clock[0] + 1)
    clock[0] += 1
    assert await delivery.send(http) == 0
    assert [request.headers["webhook-id"] for request in requests] == ["d0", "d0", "d0", "d1"]
    inbox.close()


class Broker:
    """A publisher that keeps what it is given, or fails."""

    made: ClassVar[list["Broker"]] = []

    def __init__(self, url: str, subject: str, stream: str) -> None:
        self.about, self.fails, self.closed = (url, subject, stream), False, 0
        self.published: list[tuple[bytes, str, str]] = []
        Broker.made.append(self)

    async def publish(self, body: bytes, event_id: str, subject: str) -> None:
        if self.fails:
            raise ConnectionError
        self.published.append((body, event_id, subject))

    async def close(self) -> None:
        self.closed += 1


@run_async
async def test_a_broker_gets_the_events_until_the_server_stops(tmp_path: Path) -> None:
    inbox = _filled(tmp_path, 2)
    hook = Webhook(url="redis://b", subject="out", stream="st")
    delivery = BrokerDelivery(inbox, "care", hook, "https://cds.example", lambda: NOW)
    failing = Broker("", "", "")
    failing.fails = True
    assert await delivery.send(failing) == 0
    assert (failing.closed, delivery._state()) == (1, (0, 1, NOW + 1))
    delivery = BrokerDelivery(inbox, "care", hook, "https://cds.example", lambda: NOW + 1)
    Broker.made.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cds_hooks.events.brokers.Publisher", Broker)
        await stopped_when(delivery.keep_sending(), lambda: delivery._state()[0] == 2)
    (broker,) = Broker.made
    assert (broker.about, broker.closed) == (("redis://b", "out", "st"), 1)
    events = [(json.loads(body)["id"], event_id, subject) for body, event_id, subject in broker.published]
    assert events == [("d0", "d0", "p1"), ("d1", "d1", "p1")]
    inbox.close()


@run_async
async def test_a_webhook_gets_the_events_until_the_server_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = _filled(tmp_path, 2)
    http, requests = _answering(200)
    given: dict[str, Any] = {}
    monkeypatch.setattr(httpx, "AsyncClient", lambda **options: given.update(options) or http)
    delivery = _delivery(inbox, [NOW])
    await stopped_when(delivery.keep_sending(), lambda: delivery._state()[0] == 2)
    assert len(requests) == 2
    assert given == {"timeout": 10.0, "follow_redirects": False}
    inbox.close()


async def stopped_when(work: Coroutine[Any, Any, None], is_done: Callable[[], bool]) -> None:
    """Run what runs until it is cancelled, up to a moment."""
    task = asyncio.create_task(work)
    while not is_done() and not task.done():
        await asyncio.sleep(0.001)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
