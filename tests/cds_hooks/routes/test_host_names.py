"""The parts of the routes by themselves: large pages in parts, host names, redirects, refusals that are read on."""

import asyncio
import json
from collections.abc import Awaitable, MutableMapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from cds_hooks.errors import BadRequest, HookError, Untrusted
from cds_hooks.logs import configure_logs
from cds_hooks.metrics import Metrics
from cds_hooks.routes.entrance import (
    ContainedApp,
    HostCheck,
    KnownHosts,
    ProtocolCors,
    answer_hook_error,
    answer_http_error,
    failure_place,
    refuse_host,
)
from tests.cds_hooks.access.browsing import BROWSER
from tests.cds_hooks.calls import PLANNING, client, request_for
from tests.cds_hooks.logged import capture_logs
from tests.contracts.markup import faults

Message = MutableMapping[str, Any]


async def run(what: Awaitable[Any]) -> Any:
    return await what


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


async def test_a_failure_beside_an_answer_is_logged_and_one_at_the_start_is_raised() -> None:
    async def fail(_: Any) -> None:
        raise RuntimeError

    @asynccontextmanager
    async def no_start(_: Any) -> Any:
        raise RuntimeError
        yield

    socket = {"type": "websocket", "path": "/", "headers": [], "query_string": b"", "scheme": "ws"}
    app = ContainedApp(Starlette(routes=[WebSocketRoute("/", fail)]), Metrics())
    with capture_logs() as lines:
        await run(app(socket, Sent(), Sent()))  # type: ignore[arg-type]
    (line,) = lines
    assert (line["event"], line["status"], line["error_type"]) == ("request failed", 500, "RuntimeError")

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    with pytest.raises(RuntimeError):
        await run(ContainedApp(Starlette(lifespan=no_start), Metrics())({"type": "lifespan"}, receive, Sent()))


@pytest.mark.parametrize(
    ("error", "noted", "client", "reason"),
    [
        (BadRequest("a"), "", "", "BadRequest"),
        (BadRequest("a"), "ehr", "ehr", "BadRequest"),
        (Untrusted("expired", "of-token"), "ehr", "of-token", "expired"),
    ],
)
async def test_a_refusal_is_logged_with_its_client_and_reason_and_counted(
    tmp_path: Path, error: HookError, noted: str, client: str, reason: str
) -> None:
    request = Request({"type": "http", "state": {"client": noted} if noted else {}})
    metrics = Metrics()
    with capture_logs() as lines:
        answer = await run(answer_hook_error(metrics)(request, error))
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
async def test_a_program_is_told_that_there_is_no_such_address_or_method(status: int, expected: int, text: str) -> None:
    error = HTTPException(status, headers={"allow": "GET"})
    with capture_logs() as lines:
        answer = await run(answer_http_error(Request({"type": "http"}), error))
    assert (answer.status_code, answer.headers["allow"], lines[0]["status"]) == (expected, "GET", expected)
    assert text.encode() in bytes(answer.body)
    assert answer.headers["x-call-id"] == lines[0]["decision"]


# Reports


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
async def test_a_report_that_the_record_does_not_take_is_to_be_sent_again(
    tmp_path: Path, as_of: datetime, path: str, body: dict[str, Any], text: str
) -> None:
    async with client(tmp_path, as_of=as_of) as calls:
        request = request_for(PLANNING, "patient-view", "planning-talk", as_of)
        answer = await calls.post(f"/cds-services/{PLANNING}", json=request)
        (items,) = body.values()
        card = answer.json()["cards"][0]["uuid"]
        filled = [{name: value.replace("{card}", card) for name, value in items[0].items()}]
        (tmp_path / "decisions.sqlite3").rename(tmp_path / "elsewhere")
        answer = await calls.post(path, json=dict.fromkeys(body, filled))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["issue"][0]["diagnostics"] == text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8085", 200),
        ("127.0.0.1", 200),
        ("[::1]:8085", 200),
        ("app.localhost", 200),
        ("192.168.1.7:8085", 200),
        ("cds.example.org", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:8085", 421),
        ("localhost.evil.example", 421),
        ("evil.example@127.0.0.1:x", 421),
        ("", 421),
    ],
)
@pytest.mark.parametrize("path", ["/", "/cds-services", "/livez"])
async def test_a_name_of_another_site_is_not_answered_to(tmp_path: Path, host: str, status: int, path: str) -> None:
    async with client(tmp_path, public_url="https://cds.example.org") as calls:
        answered = await calls.get(path, headers={"host": host})
    assert answered.status_code == status


def _lines(printed: str, event: str) -> list[dict[str, Any]]:
    return [line for each in printed.splitlines() if (line := json.loads(each))["event"] == event]


async def test_the_words_of_a_failure_go_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    async def fail(_: Request) -> Response:
        raise RuntimeError("secret-canary")

    app = Starlette(routes=[Route("/", fail)])
    configure_logs("info")
    transport = httpx.ASGITransport(ContainedApp(app, Metrics()))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as calls:
        answer = await calls.get("/")
    printed = capfd.readouterr()
    assert answer.status_code == 500
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert "secret-canary" not in answer.text + printed.out + printed.err
    (line,) = _lines(printed.err, "request failed")
    assert line["error_type"] == "RuntimeError"
    assert line["decision"] in answer.json()["issue"][0]["diagnostics"]


def test_an_error_without_a_frame_of_ours_has_no_place() -> None:
    assert failure_place(RuntimeError("never raised")) == {}


@pytest.mark.parametrize("path", ["/nothing", "/rule/renal-metformin", "/models/a/b/c", "/<script>alert(1)</script>"])
async def test_a_browser_gets_a_page_where_nothing_is_and_a_program_gets_json(tmp_path: Path, path: str) -> None:
    async with client(tmp_path) as calls:
        page = await calls.get(path, headers=BROWSER)
        form = await calls.post("/ops", headers=BROWSER, data={"a": "b"})
        program = await calls.get(path)
    assert (page.status_code, form.status_code, program.status_code) == (404, 405, 404)
    assert faults(page.text) == faults(form.text) == []
    assert "There is no such page" in page.text
    assert "alert(1)" not in page.text
    assert set(form.headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert program.json()["resourceType"] == "OperationOutcome"
