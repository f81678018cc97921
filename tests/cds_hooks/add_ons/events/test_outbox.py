"""CloudEvents over a webhook: signed, in order, sent again until they are taken, and nothing of a person in them."""

from pathlib import Path
from typing import Any

import httpx

from cds_hooks.add_ons.events.declaration import Webhook
from cds_hooks.add_ons.events.inbox import Inbox
from cds_hooks.add_ons.events.outbox import Delivery, ReceiverState, add_to_outbox, receiver_states, resend_given_up
from tests.cds_hooks.add_ons.events.messages import NOW, run_async
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
