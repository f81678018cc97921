"""The server's own events: written in the transaction of what they report, sent as CloudEvents 1.0 (HTTP, brokers).

An event holds ids and codes and no name. Each receiver gets the events of one patient in their order. While a receiver
cannot be reached, or refuses whatever comes, everything waits; an event that it refuses as such is set aside with those
of the same patient behind it, tried again, and given up as a dead letter. The signature is that of Standard Webhooks
(HMAC-SHA256).
"""

import asyncio
import base64
import hashlib
import hmac
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

import orjson
from msgspec import Struct

from cds_hooks.add_ons.events.declaration import Declaration, Webhook
from cds_hooks.add_ons.events.inbox import AT_BROKER, Inbox
from cds_hooks.telemetry.logs import log

PREFIX: Final = "org.cds-hooks-onnx."
_AT_ONCE: Final = 100
_POLL_SECONDS: Final = 0.5
_DOUBLED: Final = 9
"""So often the wait after a failure is doubled, from a second on; then it is the longest one."""
_LONGEST_WAIT_SECONDS: Final = 300.0
_TIMEOUT_SECONDS: Final = 10.0
_NOTED_TOGETHER: Final = 20
"""So many events are sent again at most, with the same ids, where the server ends while it sends."""
_MOST_REFUSALS: Final = 10
"""An event that was refused so often, which takes eight minutes, is a dead letter."""
_OF_RECEIVER: Final = frozenset({401, 403, 404, 405, 407, 408, 410, 421, 425, 429})
"""Refusals that are about the receiver or the moment, and not about the event."""

Outcome = Literal["taken", "refused", "away"]


def add_to_outbox(
    connection: sqlite3.Connection, event_id: str, kind: str, subject: str, at: float, data: Mapping[str, Any]
) -> None:
    """Write an event in the transaction of this connection; one with an id that is there is written once."""
    connection.execute(
        "INSERT OR IGNORE INTO outbox (id, type, subject, at, data) VALUES (?, ?, ?, ?, ?)",
        (event_id, kind, subject, at, orjson.dumps(data).decode()),
    )


def cloud_event(source: str, event_id: str, kind: str, subject: str, at: float, data: str) -> bytes:
    """Return an event in the JSON format of CloudEvents 1.0."""
    event = {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": PREFIX + kind,
        "subject": subject,
        "time": datetime.fromtimestamp(at, UTC).isoformat(),
        "datacontenttype": "application/json",
        "data": orjson.Fragment(data),
    }
    return orjson.dumps(event)


def signature(secret: bytes, event_id: str, timestamp: int, body: bytes) -> str:
    """Return the header `webhook-signature`.

    >>> signature(b"0" * 32, "a", 1, b"{}")[:3]
    'v1,'
    """
    digest = hmac.new(secret, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def outcome_of(status: int) -> Outcome:
    """Return what an HTTP status says of an event.

    >>> outcome_of(204), outcome_of(422), outcome_of(503), outcome_of(404)
    ('taken', 'refused', 'away', 'away')
    """
    if 200 <= status < 300:
        return "taken"
    return "refused" if 400 <= status < 500 and status not in _OF_RECEIVER else "away"


class Delivery:
    """Sends the events to one receiver."""

    def __init__(self, inbox: Inbox, name: str, hook: Webhook, source: str, now: Callable[[], float]) -> None:
        """`source` is the address of this server, as the events name it."""
        self._inbox, self._name, self._hook, self._source, self._now = inbox, name, hook, source, now
        self._is_away = False

    def _say_away(self, **about: Any) -> "Outcome":
        """Say once that the receiver cannot be reached, until it can."""
        if not self._is_away:
            log().warning("receiver of events away", client=self._name, **about)
        self._is_away = True
        return "away"

    async def keep_sending(self) -> None:
        """Send what waits until canceled."""
        import httpx

        async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, follow_redirects=False) as client:
            while True:
                sent = await self.send(client)
                await asyncio.sleep(0 if sent == _AT_ONCE else _POLL_SECONDS)

    async def send(self, client: Any) -> int:
        """Send what waits, up to the first failure of the receiver, and return how many events were passed."""
        delivered, failures, retry_at = await asyncio.to_thread(self._state)
        if self._now() < retry_at or not await self._send_set_aside(client, failures):
            return 0
        rows = await asyncio.to_thread(
            self._inbox.query,
            "SELECT sequence, id, type, subject, at, data FROM outbox WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (delivered, _AT_ONCE),
        )
        held = {row[1] for row in await asyncio.to_thread(self._set_aside)} - {""}
        noted = 0
        for count, (sequence, event_id, kind, subject, at, data) in enumerate(rows):
            outcome: Outcome = "taken"
            if (not self._hook.types or kind in self._hook.types) and subject in held:
                await asyncio.to_thread(self._keep, sequence, subject, 0)
            elif not self._hook.types or kind in self._hook.types:
                body = cloud_event(self._source, event_id, kind, subject, at, data)
                outcome = await self._post(client, event_id, subject, body)
            if outcome == "away":
                await self._wait(delivered if count else None, 0 if count else failures)
                return count
            if outcome == "refused":
                await asyncio.to_thread(self._keep, sequence, subject, 1)
                held |= {subject} - {""}
            delivered = sequence
            if count + 1 == len(rows) or count + 1 - noted == _NOTED_TOGETHER or outcome == "refused":
                await asyncio.to_thread(self._note, delivered, 0, 0.0)
                noted = count + 1
        return len(rows)

    async def _wait(self, delivered: object | None, failures: int) -> None:
        wait = 2.0**failures if failures < _DOUBLED else _LONGEST_WAIT_SECONDS
        await asyncio.to_thread(self._note, delivered, failures + 1, self._now() + wait)

    async def _send_set_aside(self, client: Any, failures: int) -> bool:
        """Try again what was refused, each patient's in their order, and return whether the receiver is there."""
        waiting: set[str] = set()
        for sequence, subject, refusals, retry_at in await asyncio.to_thread(self._set_aside):
            if subject in waiting or self._now() < retry_at:
                waiting |= {subject} - {""}
                continue
            query = "SELECT id, type, subject, at, data FROM outbox WHERE sequence = ?"
            for event_id, *event in await asyncio.to_thread(self._inbox.query, query, (sequence,)):
                body = cloud_event(self._source, event_id, *event)
                outcome = await self._post(client, event_id, subject, body)
                if outcome == "away":
                    await self._wait(None, failures)
                    return False
                if outcome == "refused":
                    await asyncio.to_thread(self._keep, sequence, subject, refusals + 1)
                    if refusals + 1 < _MOST_REFUSALS:
                        waiting |= {subject} - {""}
                    break
            else:
                await asyncio.to_thread(self._drop, sequence)
        return True

    def _set_aside(self) -> list[tuple[int, str, int, float]]:
        """Return the events that wait behind a refusal: number, patient, refusals, and when they are tried again."""
        statement = (
            "SELECT sequence, subject, failures, retry_at FROM set_aside WHERE webhook = ? AND is_dead = 0"
            " ORDER BY sequence"
        )
        return self._inbox.query(statement, (self._name,))

    def _keep(self, sequence: int, subject: str, refusals: int) -> None:
        is_dead = refusals >= _MOST_REFUSALS
        retry_at = self._now() + 2.0 ** (refusals - 1) if refusals else 0.0
        with self._inbox.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO set_aside (webhook, sequence, subject, failures, retry_at, is_dead)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (self._name, sequence, subject, refusals, retry_at, is_dead),
            )
        if is_dead:
            log().error("webhook gives an event up", client=self._name, number=sequence)

    def _drop(self, sequence: int) -> None:
        with self._inbox.transaction() as connection:
            connection.execute("DELETE FROM set_aside WHERE webhook = ? AND sequence = ?", (self._name, sequence))

    async def _post(self, client: Any, event_id: str, _subject: str, body: bytes) -> Outcome:
        import httpx

        timestamp = int(self._now())
        headers = {
            "content-type": "application/cloudevents+json",
            "webhook-id": event_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self._hook.secret, event_id, timestamp, body),
        }
        try:
            response = await client.post(self._hook.url, content=body, headers=headers)
        except httpx.HTTPError as error:
            return self._say_away(error_type=type(error).__name__)
        outcome = outcome_of(response.status_code)
        if outcome == "away":
            return self._say_away(status=response.status_code)
        if outcome == "refused":
            log().warning("webhook refused", client=self._name, status=response.status_code)
        self._is_away = False
        return outcome

    def _state(self) -> tuple[int, int, float]:
        rows = self._inbox.query(
            "SELECT delivered, failures, retry_at FROM deliveries WHERE webhook = ?", (self._name,)
        )
        if not rows:
            return 0, 0, 0.0
        delivered, failures, retry_at = rows[0]
        return delivered, failures, retry_at

    def _note(self, delivered: object | None, failures: int, retry_at: float) -> None:
        before, _, _ = self._state()
        with self._inbox.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO deliveries (webhook, delivered, failures, retry_at) VALUES (?, ?, ?, ?)",
                (self._name, before if delivered is None else delivered, failures, retry_at),
            )


class ReceiverState(Struct, frozen=True):
    """What waits for a receiver: events not sent, those set aside behind a refusal, and those that were given up.

    `oldest` is when the oldest that waits was written, in epoch seconds; 0 where none does.
    """

    receiver: str
    waiting: int
    set_aside: int
    given_up: int
    oldest: float


def resend_given_up(inbox: Inbox, receiver: str) -> int:
    """Try the events again that a receiver refused until they were given up, and return how many they are.

    Later events of the same patients that have not been sent wait behind them again.
    """
    with inbox.transaction() as connection:
        return connection.execute(
            "UPDATE set_aside SET is_dead = 0, failures = 0, retry_at = 0 WHERE webhook = ? AND is_dead = 1",
            (receiver,),
        ).rowcount


class Queue(Struct, frozen=True):
    """Work that waits: how much, and since when the oldest does (epoch seconds; 0 where that is not known)."""

    name: str
    waiting: int
    oldest: float


def queues(inbox: Inbox, declaration: Declaration) -> list[Queue]:
    """Return what is due to be computed, and what waits for each receiver and at each broker."""
    ((due, since),) = inbox.query("SELECT count(*), coalesce(min(since), 0) FROM due")
    gaps = inbox.query("SELECT feed, json_array_length(gaps), seen_at FROM subscriptions ORDER BY feed")
    at_brokers = inbox.query("SELECT feed, count FROM counts WHERE name = ? ORDER BY feed", (AT_BROKER,))
    return [
        Queue("due to be computed", due, since),
        *(Queue(state.receiver, state.waiting + state.set_aside, state.oldest)
          for state in receiver_states(inbox, declaration.webhook)),
        *(Queue(f"{feed}, events that did not come", missing, since if missing else 0.0)
          for feed, missing, since in gaps),
        *(Queue(f"{feed}, at its broker", int(count), 0.0) for feed, count in at_brokers),
    ]  # fmt: skip


def receiver_states(inbox: Inbox, receivers: Iterable[str]) -> list[ReceiverState]:
    """Return the state of each receiver."""
    waiting = (
        "SELECT count(*), coalesce(min(at), 0) FROM outbox WHERE sequence >"
        " coalesce((SELECT delivered FROM deliveries WHERE webhook = ?), 0)"
    )
    aside = (
        "SELECT coalesce(sum(is_dead = 0), 0), coalesce(sum(is_dead), 0), min(CASE WHEN is_dead = 0 THEN at END)"
        " FROM set_aside JOIN outbox USING (sequence) WHERE webhook = ?"
    )
    states = []
    for name in receivers:
        ((count, at),) = inbox.query(waiting, (name,))
        ((set_aside, given_up, oldest),) = inbox.query(aside, (name,))
        times = [moment for moment in (at, oldest) if moment]
        states.append(ReceiverState(name, count, set_aside, given_up, min(times, default=0.0)))
    return states


class BrokerDelivery(Delivery):
    """Publishes the events at a broker; one is published again where it is not known whether the broker has it."""

    async def keep_sending(self) -> None:
        """Publish what waits until canceled."""
        from cds_hooks.add_ons.events.brokers import Publisher

        publisher = Publisher(self._hook.url, self._hook.subject, self._hook.stream)
        try:
            while True:
                sent = await self.send(publisher)
                await asyncio.sleep(0 if sent == _AT_ONCE else _POLL_SECONDS)
        finally:
            await publisher.close()

    async def _post(self, client: Any, event_id: str, subject: str, body: bytes) -> Outcome:
        try:
            await asyncio.wait_for(client.publish(body, event_id, subject), _TIMEOUT_SECONDS)
        except Exception as error:  # each library has errors of its own
            await client.close()
            return self._say_away(error_type=type(error).__name__)
        self._is_away = False
        return "taken"
