"""Reports that the record does not take, names of other sites, and the words of a failure."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cds_hooks.call.routes.entrance import ContainedApp
from cds_hooks.telemetry.logs import configure_logs
from cds_hooks.telemetry.metrics import Metrics
from tests.cds_hooks.calls import PLANNING, client, request_for
from tests.each import each_row

# Reports


@each_row(("path", "body", "text"))
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


_OURS = ("localhost:8085", "127.0.0.1", "[::1]:8085", "app.localhost", "192.168.1.7:8085", "cds.example.org")
_OF_OTHERS = (
    "evil.example", "127.0.0.1.evil.example:8085", "localhost.evil.example", "evil.example@127.0.0.1:x", "",
)  # fmt: skip


async def test_a_name_of_another_site_is_not_answered_to(tmp_path: Path) -> None:
    async with client(tmp_path, public_url="https://cds.example.org") as calls:
        for path in ("/models", "/cds-services", "/livez"):
            for host in (*_OURS, *_OF_OTHERS):
                answered = await calls.get(path, headers={"host": host})
                assert answered.status_code == (200 if host in _OURS else 421), (path, host)


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
