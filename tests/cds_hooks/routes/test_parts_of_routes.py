"""The parts of the routes by themselves: large pages in parts, host names, redirects, refusals that are read on."""

import asyncio
from collections.abc import Awaitable, Iterable, MutableMapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import WebSocketRoute

from cds_hooks.errors import BadRequest, BodyTooLarge, HookError, Untrusted
from cds_hooks.metrics.counts import Metrics
from cds_hooks.routes.bodies import _is_json
from cds_hooks.routes.entrance import HostCheck, KnownHosts, ProtocolCors, RelativeRedirects, refuse_host
from cds_hooks.routes.failures import (
    ContainedApp,
    _read_on,
    answer_hook_error,
    answer_http_error,
)
from cds_hooks.routes.feedback import _by_decision
from cds_hooks.routes.health import _one_at_a_time
from cds_hooks.storage.decision import FeedbackItem, card_uuid
from cds_hooks.storage.queries import feedback_on
from tests.cds_hooks.calls import PLANNING, client, ours, request_for
from tests.cds_hooks.logged import capture_logs
from tests.cds_hooks.storage.samples import a_decision, store
from tests.live import record_in

Message = MutableMapping[str, Any]


def run(what: Awaitable[Any]) -> Any:
    async def awaited() -> Any:
        return await what

    return asyncio.run(awaited())


class Sent:
    """The messages that were sent."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)


def test_names_of_this_machine_addresses_and_the_public_host_are_answered_to() -> None:
    check = HostCheck("https://CDS.example.org/x")
    for _ in range(2):  # the last name that was allowed is remembered, and no other one
        for host, is_known in (
            (b"localhost", True),
            (b"LOCALHOST:8085", True),
            (b"a.localhost", True),
            (b"cds.example.org", True),
            (b"cds.example.org:443", True),
            (b"evil.example", False),
            (b"10.0.0.1:8085", True),
            (b"[::1]:8085", True),
            (b"evil@10.0.0.1", False),
            (b"10.0.0.1/x", False),
            (b"\xff", False),
            (b"[::1", False),
            (b"", False),
        ):
            assert check.allows(host) is is_known, host
    assert HostCheck("no address").allows(b"localhost")


def test_another_name_is_told_which_ones_are_answered_to() -> None:
    sent = Sent()
    with capture_logs() as lines:
        asyncio.run(refuse_host(sent))
    assert sent.messages[0]["status"] == 421
    assert b"names, to addresses and to the host of CDS_PUBLIC_URL only." in sent.messages[1]["body"]
    (line,) = lines
    assert (line["event"], line["status"], line["reason"]) == ("call refused", 421, "MisdirectedRequest")


def test_only_known_names_are_asked_and_only_the_protocol_has_cors() -> None:
    async def app(scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    origin = "https://a.example"
    chain = KnownHosts(ProtocolCors(app, allow_origins=[origin]), "")

    def answered(path: str, kind: str = "http", **headers: str) -> tuple[int, bool]:
        sent, given = Sent(), [(name.encode(), value.encode()) for name, value in headers.items()]
        asyncio.run(chain({"type": kind, "path": path, "method": "GET", "headers": given}, None, sent))  # type: ignore[arg-type]
        start = sent.messages[0]
        return start["status"], any(name == b"access-control-allow-origin" for name, _ in start["headers"])

    assert answered("/cds-services/a") == (200, False)
    assert answered("/cds-services", origin=origin) == (200, True)
    assert answered("/explain/1", origin=origin) == (200, False)
    assert answered("/cds-services", kind="lifespan") == (200, False)
    assert answered("/ops", host="evil.example") == (421, False)
    assert answered("/", host="localhost") == (200, False)


@pytest.mark.parametrize(
    ("path", "query", "status", "location"),
    [
        ("/docs", b"", 307, "./docs/"),
        ("/docs", b"a=1", 307, "./docs/?a=1"),
        ("/a/ops/", b"", 307, "../ops"),
        ("/a b", b"", 307, "./a%20b/"),
        ("/docs", b"", 303, "http://evil.example/docs/"),
    ],
)
def test_a_slash_too_many_or_too_few_leads_to_the_right_address_in_relative_steps(
    path: str, query: bytes, status: int, location: str
) -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"location", b"http://evil.example/docs/")]
        await send({"type": "http.response.start", "status": status, "headers": headers})

    sent = Sent()
    scope = {"type": "http", "path": path, "query_string": query}
    asyncio.run(RelativeRedirects(app)(scope, None, sent))  # type: ignore[arg-type]
    headers = dict(sent.messages[0]["headers"])
    assert headers.get(b"location") == location.encode()
    assert headers.get(b"cache-control") == (b"no-store" if status == 307 else None)


def test_a_failure_beside_an_answer_is_logged_and_one_at_the_start_is_raised() -> None:
    async def fail(_: Any) -> None:
        raise RuntimeError

    @asynccontextmanager
    async def no_start(_: Any) -> Any:
        raise RuntimeError
        yield

    socket = {"type": "websocket", "path": "/", "headers": [], "query_string": b"", "scheme": "ws"}
    app = ContainedApp(Starlette(routes=[WebSocketRoute("/", fail)]))
    with capture_logs() as lines:
        run(app(socket, Sent(), Sent()))  # type: ignore[arg-type]
    (line,) = lines
    assert (line["event"], line["status"], line["error_type"]) == ("request failed", 500, "RuntimeError")

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    with pytest.raises(RuntimeError):
        run(ContainedApp(Starlette(lifespan=no_start))({"type": "lifespan"}, receive, Sent()))


@pytest.mark.parametrize(
    ("error", "noted", "client", "reason"),
    [
        (BadRequest("a"), "", "", "BadRequest"),
        (BadRequest("a"), "ehr", "ehr", "BadRequest"),
        (Untrusted("expired", "of-token"), "ehr", "of-token", "expired"),
    ],
)
def test_a_refusal_is_logged_with_its_client_and_reason_and_counted(
    tmp_path: Path, error: HookError, noted: str, client: str, reason: str
) -> None:
    request = Request({"type": "http", "state": {"client": noted} if noted else {}})
    metrics = Metrics()
    with capture_logs() as lines:
        answer = run(answer_hook_error(metrics)(request, error))
    (line,) = lines
    assert (line["event"], line["status"], line["client"], line["reason"]) == (
        "call refused", error.status, client, reason,
    )  # fmt: skip
    assert answer.status_code == error.status
    assert answer.headers["x-call-id"] == line["decision"]
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "expected", "text"),
    [
        (404, 404, "There is nothing at this address; GET /cds-services lists the services."),
        (405, 405, "This address does not answer that method."),
        (400, 404, "There is nothing at this address; GET /cds-services lists the services."),
    ],
)
def test_a_program_is_told_that_there_is_no_such_address_or_method(status: int, expected: int, text: str) -> None:
    error = HTTPException(status, headers={"allow": "GET"})
    with capture_logs() as lines:
        answer = run(answer_http_error(Request({"type": "http"}), error))
    assert (answer.status_code, answer.headers["allow"], lines[0]["status"]) == (expected, "GET", expected)
    assert text.encode() in bytes(answer.body)
    assert answer.headers["x-call-id"] == lines[0]["decision"]


# Refusals of bodies that are on their way


class Coming:
    """A body that comes in these parts, and how many of them were taken."""

    def __init__(self, parts: Iterable[tuple[int, bool]]) -> None:
        self._parts = iter(parts)
        self.taken = 0

    async def __call__(self) -> Message:
        length, more = next(self._parts)
        self.taken += 1
        return {"type": "http.request", "body": bytes(length), "more_body": more}


@pytest.mark.parametrize(
    ("parts", "taken"),
    [
        ([(10, False)], 1),
        ([(10, True), (10, True), (0, False)], 3),
        ([(2**24, True)] * 3, 2),
        ([(2**24, True), (2**24 - 1, True), (1, True), (1, True)], 3),
    ],
)
def test_what_is_on_its_way_is_read_to_its_end_or_to_32_mib(parts: list[tuple[int, bool]], taken: int) -> None:
    coming = Coming(parts)
    asyncio.run(_read_on(coming))
    assert coming.taken == taken


async def run_both(answer: Awaitable[Any], receive: Any, send: Any) -> None:
    await (await answer)({}, receive, send)


def test_a_report_that_is_too_long_is_logged_and_read_on() -> None:
    sent, coming = Sent(), Coming([(1, False)])
    request = Request({"type": "http", "state": {"client": "ehr"}})
    with capture_logs() as lines:
        asyncio.run(run_both(answer_hook_error(Metrics())(request, BodyTooLarge("Too large.")), coming, sent))
    (line,) = lines
    assert (line["event"], line["client"], line["status"], line["reason"]) == (
        "call refused", "ehr", 413, "BodyTooLarge",
    )  # fmt: skip
    assert (coming.taken, len(sent.messages)) == (1, 3)
    assert dict(sent.messages[0]["headers"])[b"x-call-id"] == line["decision"].encode()


@pytest.mark.parametrize(
    ("kind", "is_json"),
    [
        (b"application/json", True),
        (b" Application/JSON ; charset=utf-8", True),
        (b"application/fhir+json", True),
        (b"text/fhir+json", False),
        (b"application/xml", False),
        (b"application/json+xml", False),
    ],
)
def test_json_by_its_media_type(kind: bytes, *, is_json: bool) -> None:
    assert _is_json(kind) is is_json


# Reports


def test_answers_are_joined_to_twenty_decisions_at_a_time(tmp_path: Path) -> None:
    url = record_in(tmp_path)
    decisions = [a_decision(decided_at=number + 1) for number in range(21)]
    store(url, *decisions)

    def item(card: str, outcome: Any = "accepted") -> FeedbackItem:
        return FeedbackItem(card, "s", "c", outcome, "2026-11-20T09:00:00Z", 1)

    items = [item(card_uuid(decision.id, 1)) for decision in decisions]
    again, nobodys = item(card_uuid(decisions[0].id, 2), "overridden"), item("nobody's")
    first, second = _by_decision(url, [nobodys, *items, again])
    assert set(first[0]) == {decision.id for decision in decisions[:19]}
    assert first[1] == [nobodys, items[0], again, *items[1:19]]
    assert set(second[0]) == {decision.id for decision in decisions[19:]}
    assert second[1] == items[19:]


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        (f"/cds-services/{PLANNING}/feedback",
         {"feedback": [{"card": "{card}", "outcome": "overridden", "outcomeTimestamp": "2026-11-20T09:05:00Z"}]},
         "The feedback could not be stored. Send it again later."),
        ("/outcomes", {"outcomes": [{"prediction": "{card}", "outcome": "unknown"}]},
         "The outcomes could not be stored. Send them again later."),
    ],
)  # fmt: skip
def test_a_report_that_the_record_does_not_take_is_to_be_sent_again(
    tmp_path: Path, as_of: datetime, path: str, body: dict[str, Any], text: str
) -> None:
    async def told() -> Any:
        async with client(tmp_path, as_of=as_of) as calls:
            request = request_for(PLANNING, "patient-view", "planning-talk", as_of)
            answer = await calls.post(f"/cds-services/{PLANNING}", json=request)
            (items,) = body.values()
            card = answer.json()["cards"][0]["uuid"]
            filled = [{name: value.replace("{card}", card) for name, value in items[0].items()}]
            (tmp_path / "decisions.sqlite3").rename(tmp_path / "elsewhere")
            return await calls.post(path, json=dict.fromkeys(body, filled))

    answer = asyncio.run(told())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["issue"][0]["diagnostics"] == text


# Whether the server is ready


def test_those_who_ask_at_the_same_time_share_one_check() -> None:
    checked: list[int] = []

    async def check() -> None:
        checked.append(1)
        await asyncio.sleep(0)
        if len(checked) == 2:
            raise RuntimeError

    async def story() -> None:
        shared = _one_at_a_time(check)
        await asyncio.gather(shared(), shared())
        assert len(checked) == 1
        failed = await asyncio.gather(shared(), shared(), return_exceptions=True)
        assert ([type(each) for each in failed], len(checked)) == ([RuntimeError] * 2, 2)
        await shared()
        assert len(checked) == 3

    asyncio.run(story())


def test_times_of_reports_are_those_of_the_clock_that_calls_are_answered_by(tmp_path: Path) -> None:
    as_of = datetime(2026, 11, 20, 9, 14, tzinfo=UTC)

    async def story() -> str:
        async with client(tmp_path, as_of=as_of) as calls:
            request = request_for(PLANNING, "patient-view", "planning-talk", as_of)
            answer = await calls.post(f"/cds-services/{PLANNING}", json=request)
            card = answer.json()["cards"][0]["uuid"]
            item = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-11-20T09:05:00Z"}
            assert (await calls.post(f"/cds-services/{PLANNING}/feedback", json={"feedback": [item]})).json() == {}
            decision: str = ours(answer)["decision"]
            return decision

    (item,) = feedback_on(record_in(tmp_path), asyncio.run(story()))
    assert item.received_at == 1_795_166_040_000_000
