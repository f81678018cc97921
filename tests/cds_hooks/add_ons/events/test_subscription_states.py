"""What is known of a subscription after each notification, and what is read of its FHIR server."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from cds_hooks.add_ons.events.declaration import SubscriptionFeed
from cds_hooks.add_ons.events.facts import chart_of
from cds_hooks.add_ons.events.inbox import Groups, Inbox
from cds_hooks.add_ons.events.subscriptions import Subscriber, read_notification
from cds_hooks.call.security import open_trust
from cds_hooks.call.security.trust import RegistrableNames
from cds_hooks.errors import BadRequest, HookError
from cds_hooks.settings import Settings
from tests.cds_hooks.add_ons.events.messages import NOW, run_async
from tests.conftest import ROOT
from tests.each import for_rows
from tests.http_server import Asked, Reply, answering

Json = dict[str, Any]
SERVER = "https://ehr.example/fhir"


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


DEEP = b"[" * 300 + b"]" * 300


@for_rows(
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
    with pytest.raises(BadRequest, match="must be a notification of a FHIR topic subscription"):
        read_notification(body)


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


TOPIC = "http://example.org/SubscriptionTopic/new-lab"
GIVEN = Path(os.environ.get("CDS_DATA_DIR", ROOT.parent / "shared" / "data")) / "events" / "fhir-subscriptions"


def observation(name: str, version: int = 1, value: float = 5.1) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "id": name,
        "meta": {"versionId": str(version), "lastUpdated": "2026-11-20T10:15:00Z"}, "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]}, "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2026-11-20T09:30:00Z", "valueQuantity": {"value": value, "unit": "mmol/L"},
    }  # fmt: skip


class FhirServer:
    """A FHIR server of the test over HTTP, and the notifications that it would post."""

    def __init__(self, base: str, resources: dict[str, dict[str, Any]]) -> None:
        self.base, self.resources, self.asked = base, resources, list[str]()
        self.is_down, self.has_events = False, True

    def notification(
        self, kind: str, count: int, *events: tuple[int, str], with_content: bool = True, **changed: Any
    ) -> bytes:
        parameters: list[dict[str, Any]] = [
            {
                "name": "subscription",
                "valueReference": {"reference": changed.get("of", f"{self.base}/Subscription/s1")},
            },
            {"name": "topic", "valueCanonical": changed.get("topic", TOPIC)},
            {"name": "status", "valueCode": changed.get("status", "active")},
            {"name": "type", "valueCode": kind},
            {"name": "events-since-subscription-start", "valueString": str(count)},
        ]
        entries: list[dict[str, Any]] = []
        for number, focus in events:
            parts: list[dict[str, Any]] = [{"name": "event-number", "valueString": str(number)}]
            if focus:
                parts.append({"name": "focus", "valueReference": {"reference": f"{self.base}/{focus}"}})
            parameters.append({"name": "notification-event", "part": parts})
            if with_content and focus:
                entries.append({"fullUrl": f"{self.base}/{focus}", "resource": self.resources[focus]})
        status = {"resourceType": "Parameters", "parameter": parameters}
        return json.dumps(
            {"resourceType": "Bundle", "type": "history", "entry": [{"resource": status}, *entries]}
        ).encode()


@contextmanager
def fhir_server(**resources: dict[str, Any]) -> Iterator[FhirServer]:
    stored = {f"Observation/{name}": resource for name, resource in resources.items()}
    server = FhirServer("", stored)

    def reply(asked: Asked) -> Reply:
        server.asked.append(asked.path)
        path = asked.path.removeprefix("/fhir/")
        if server.is_down:
            return 503, {}, b""
        if path.startswith("Subscription/s1/$events") and not server.has_events:
            body = b""
        elif path.startswith("Observation?category=laboratory&_lastUpdated=ge2026-11-20T13"):
            last = list(stored.values())[-1]
            link = {"relation": "next", "url": f"{server.base}/Observation?page=2"}
            body = json.dumps({"resourceType": "Bundle", "link": [link], "entry": [{"resource": last}]}).encode()
        elif path == "Observation?page=2":
            body = json.dumps({"resourceType": "Bundle"}).encode()
        elif path.startswith("Subscription/s1/$events"):
            number = int(path.split("eventsSinceNumber=")[1].split("&")[0])
            body = server.notification("query-event", number, (number, f"Observation/k{number}"))
        else:
            body = json.dumps(stored[path]).encode() if path in stored else b""
        return 200 if body else 404, {"content-type": "application/fhir+json"}, body

    with answering(reply) as base:
        server.base = f"{base}/fhir"
        yield server


class Subscribed:
    def __init__(self, subscriber: Subscriber, inbox: Inbox) -> None:
        self._subscriber, self.inbox = subscriber, inbox

    async def post(self, body: bytes) -> int:
        try:
            await self._subscriber.take(body, NOW)
        except HookError as error:
            return error.status
        return 200

    async def fill(self) -> None:
        await self._subscriber.fill_gaps(NOW)

    @property
    def state(self) -> Any:
        return self._subscriber.state()

    def values(self) -> dict[str, float]:
        with self.inbox.transaction() as connection:
            chart = chart_of(connection, "p1")
        return {one["id"]: one["valueQuantity"]["value"] for kind, _, one in chart if kind == "Observation"}

    def counted(self, name: str) -> float:
        return float(self.inbox.query("SELECT coalesce(sum(count), 0) FROM counts WHERE name = ?", (name,))[0][0])


@asynccontextmanager
async def subscribed(folder: Path, base: str, search: str = "") -> AsyncIterator[Subscribed]:
    inbox = Inbox(folder / "events.sqlite3")
    trust = open_trust(None, "http://127.0.0.1:8085", Settings().database_url, registrable=RegistrableNames({}, set()))
    feed = SubscriptionFeed(name="ehr", subscription=f"{base}/Subscription/s1", topic=TOPIC, search=search)
    yield Subscribed(Subscriber(feed, inbox, Groups(inbox, 10), trust, trust.clients[0]), inbox)
    await trust.aclose()
    inbox.close()


@run_async
async def test_an_id_is_read_from_the_server_and_one_that_is_gone_or_too_deep_is_counted(tmp_path: Path) -> None:
    deep = observation("deep") | {"note": orjson.loads(b"[" * 300 + b"]" * 300)}
    with fhir_server(k7=observation("k7"), deep=deep) as server:
        async with subscribed(tmp_path, server.base) as here:
            events = ((1, "Observation/k7"), (2, "Observation/gone"), (3, "Observation/deep"))
            assert await here.post(server.notification("event-notification", 3, *events, with_content=False)) == 200
            assert (here.values(), here.counted("not-found")) == ({"k7": 5.1}, 2)
            assert here.state.gaps == {3}


@run_async
async def test_what_cannot_be_read_while_the_server_is_down_is_a_gap_until_it_can_be_read(tmp_path: Path) -> None:
    with fhir_server(k1=observation("k1"), k2=observation("k2")) as server:
        async with subscribed(tmp_path, server.base) as here:
            server.is_down = True
            events = ((1, "Observation/k1"), (2, "Observation/k2"))
            for event in events:
                assert (
                    await here.post(server.notification("event-notification", event[0], event, with_content=False))
                    == 200
                )
            await here.fill()
            assert (here.values(), here.state.gaps, here.counted("not-found")) == ({}, frozenset({1, 2}), 2)
            server.is_down = False
            for _ in events:  # the server of the test gives one event at a time
                await here.fill()
            assert (set(here.values()), here.state.gaps) == ({"k1", "k2"}, frozenset())


@run_async
async def test_without_events_and_after_a_restart_a_search_finds_what_did_not_come(tmp_path: Path) -> None:
    search = "Observation?category=laboratory"
    with fhir_server(k1=observation("k1"), k3=observation("k3"), k2=observation("k2")) as server:
        async with subscribed(tmp_path, server.base, search) as here:
            server.has_events = False
            await here.post(server.notification("event-notification", 1, (1, "Observation/k1")))
            server.is_down = True
            await here.post(server.notification("event-notification", 3, (3, "Observation/k3")))
            assert (set(here.values()), here.state.gaps) == ({"k1", "k3"}, frozenset({2}))
            server.is_down = False
            await here.post(server.notification("handshake", 0))
            assert (here.state.epoch, here.state.gaps, set(here.values())) == (1, frozenset(), {"k1", "k2", "k3"})
            await here.post(server.notification("event-notification", 2, (2, "Observation/k3")))
            assert (here.state.gaps, here.counted("searched")) == (frozenset(), 2)


@run_async
async def test_a_server_that_counts_again_begins_a_new_epoch(tmp_path: Path) -> None:
    with fhir_server(k1=observation("k1"), k9=observation("k9")) as server:
        async with subscribed(tmp_path, server.base) as here:
            await here.post(server.notification("event-notification", 7, (7, "Observation/k1")))
            await here.post(server.notification("event-notification", 1, (1, "Observation/k9")))
            assert (here.state.epoch, here.state.highest, set(here.values())) == (1, 1, {"k1", "k9"})
            await here.post(server.notification("event-notification", 3, status="error"))
            assert here.state.status == "error"


@run_async
async def test_what_was_not_asked_for_is_refused_and_counted(tmp_path: Path) -> None:
    with fhir_server(k1=observation("k1")) as server:
        async with subscribed(tmp_path, server.base) as here:
            event = (1, "Observation/k1")
            strangers = (
                server.notification("event-notification", 1, event, topic="http://example.org/other"),
                server.notification("event-notification", 1, event, of="https://other.example/fhir/Subscription/zz"),
                b"{}",
                b"[]",
                b'{"resourceType": "Bundle", "entry": []}',
                b"no json",
            )
            assert {await here.post(body) // 100 for body in strangers} == {4}
            assert (here.values(), here.counted("refused")) == ({}, len(strangers))


@pytest.mark.outside_data
@pytest.mark.skipif(not GIVEN.is_dir(), reason="needs the shared data (CDS_DATA_DIR): events/fhir-subscriptions")
@run_async
async def test_the_13_given_notifications_do_what_the_manifest_says(tmp_path: Path) -> None:
    async with subscribed(tmp_path, "https://ehr.example/fhir") as here:
        answers = {file.stem: await here.post(file.read_bytes()) for file in sorted(GIVEN.glob("*.json"))}
        refused = {name for name, status in answers.items() if status >= 400}
        assert len(answers) == 13
        assert refused == {"12-wrong-topic", "13-foreign"}
        assert set(here.values()) == {"k1", "k2", "k3", "k4", "k9"}
        assert (here.state.epoch, here.state.status) == (1, "error")
        assert here.counted("not-found") == 1
        with here.inbox.transaction() as connection:
            k4 = next(one for _, _, one in chart_of(connection, "p1") if one["id"] == "k4")
        assert k4["meta"]["versionId"] == "2"
        await asyncio.sleep(0)
