"""The parts of the routes by themselves: large pages in parts, host names, redirects, refusals that are read on."""

import asyncio
import json
from collections.abc import MutableMapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.logs import configure_logs
from cds_hooks.metrics import Metrics
from cds_hooks.routes.entrance import (
    ContainedApp,
    KnownHosts,
    ProtocolCors,
)
from tests.cds_hooks.calls import PLANNING, client, request_for

Message = MutableMapping[str, Any]


class Sent:
    """The messages that were sent."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)


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
