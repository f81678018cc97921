"""The server's own events: written in the transaction of what they report, sent as CloudEvents 1.0 (HTTP, brokers).

An event holds ids and codes and no name. Each receiver gets them in their order, so also in order per patient: the next
is sent when the one before was answered with 2xx. The signature is that of Standard Webhooks (HMAC-SHA256).
"""

import asyncio
import base64
import hashlib
import hmac
import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from cds_hooks.events.declaration import Webhook
from cds_hooks.events.inbox import Inbox
from cds_hooks.logs import log

PREFIX: Final = "org.cds-hooks-onnx."
TYPES: Final = {
    "decision-made": "An event made the server compute a decision: its id, the service and the patient's id.",
    "worklist-changed": "A decision put findings on the worklist: its id, the service and the patient's id.",
    "incident-opened": "The watch over the interfaces found an incident, or an ended one again: number, kind, feeds.",
    "incident-closed": "An incident of the interfaces is over: its number, kind and feeds.",
    "card-answered": "A clinician answered a card: the ids of decision and card, the service and the outcome.",
    "release-act": "A rule, model, equation, service or client was switched: its kind, name, version and new state.",
}
_DATA: Final = {
    "decision-made": ("decision", "service", "patient"),
    "worklist-changed": ("decision", "service", "patient"),
    "incident-opened": ("incident", "kind", "feeds", "severity", "cause"),
    "incident-closed": ("incident", "kind", "feeds", "severity", "cause"),
    "card-answered": ("decision", "card", "service", "outcome"),
    "release-act": ("kind", "name", "version", "state"),
}
_SCHEMAS: Final[Mapping[str, Mapping[str, Any]]] = {
    "incident": {"type": "integer"},
    "feeds": {"type": "array", "items": {"type": "string"}},
}
_AT_ONCE: Final = 100
_POLL_SECONDS: Final = 0.5
_DOUBLED: Final = 9
"""So often the wait after a failure is doubled, from a second on; then it is the longest one."""
_LONGEST_WAIT_SECONDS: Final = 300.0
_TIMEOUT_SECONDS: Final = 10.0


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


def asyncapi(server: str) -> dict[str, Any]:
    """Return the AsyncAPI document of the events that this server sends."""
    text = {"type": "string"}
    messages = {}
    for kind, description in TYPES.items():
        data = {"type": "object", "properties": {name: _SCHEMAS.get(name, text) for name in _DATA[kind]}}
        constants = {"specversion": {"const": "1.0"}, "type": {"const": PREFIX + kind}, "data": data}
        payload = {
            "type": "object",
            "properties": dict.fromkeys(("id", "source", "subject", "time"), text) | constants,
        }
        content = {"contentType": "application/cloudevents+json", "description": description, "payload": payload}
        messages[kind] = {"name": PREFIX + kind, **content}
    references = {kind: {"$ref": f"#/components/messages/{kind}"} for kind in TYPES}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Events of a CDS Hooks server",
            "version": "1",
            "description": f"Sent by {server} to webhooks and brokers.",
        },
        "channels": {"webhook": {"address": None, "messages": references}},
        "operations": {"send": {"action": "send", "channel": {"$ref": "#/channels/webhook"}}},
        "components": {"messages": messages},
    }


class Delivery:
    """Sends the events to one receiver."""

    def __init__(self, inbox: Inbox, name: str, hook: Webhook, source: str, now: Callable[[], float]) -> None:
        """`source` is the address of this server, as the events name it."""
        self._inbox, self._name, self._hook, self._source, self._now = inbox, name, hook, source, now

    async def keep_sending(self) -> None:
        """Send what waits until cancelled."""
        import httpx

        async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, follow_redirects=False) as client:
            while True:
                sent = await self.send(client)
                await asyncio.sleep(0 if sent == _AT_ONCE else _POLL_SECONDS)

    async def send(self, client: Any) -> int:
        """Send what waits, up to the first that is not taken, and return how many were taken."""
        delivered, failures, retry_at = await asyncio.to_thread(self._state)
        if self._now() < retry_at:
            return 0
        rows = await asyncio.to_thread(
            self._inbox.query,
            "SELECT sequence, id, type, subject, at, data FROM outbox WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (delivered, _AT_ONCE),
        )
        for count, (sequence, event_id, kind, subject, at, data) in enumerate(rows):
            wanted = not self._hook.types or kind in self._hook.types
            body = cloud_event(self._source, event_id, kind, subject, at, data)
            if wanted and not await self._post(client, event_id, subject, body):
                wait = 2.0**failures if failures < _DOUBLED else _LONGEST_WAIT_SECONDS
                await asyncio.to_thread(self._note, None, failures + 1, self._now() + wait)
                return count
            await asyncio.to_thread(self._note, sequence, 0, 0.0)
            failures = 0
        return len(rows)

    async def _post(self, client: Any, event_id: str, _subject: str, body: bytes) -> bool:
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
            log().warning("webhook failed", client=self._name, error_type=type(error).__name__)
            return False
        if response.is_success:
            return True
        log().warning("webhook refused", client=self._name, status=response.status_code)
        return False

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


class BrokerDelivery(Delivery):
    """Publishes the events at a broker; one is published again where it is not known whether the broker has it."""

    async def keep_sending(self) -> None:
        """Publish what waits until cancelled."""
        from cds_hooks.events.brokers import Publisher

        publisher = Publisher(self._hook.url, self._hook.subject, self._hook.stream)
        try:
            while True:
                sent = await self.send(publisher)
                await asyncio.sleep(0 if sent == _AT_ONCE else _POLL_SECONDS)
        finally:
            await publisher.close()

    async def _post(self, client: Any, event_id: str, subject: str, body: bytes) -> bool:
        try:
            await asyncio.wait_for(client.publish(body, event_id, subject), _TIMEOUT_SECONDS)
        except Exception as error:  # each library has errors of its own
            log().warning("event not published", client=self._name, error_type=type(error).__name__)
            await client.close()
            return False
        return True
