"""A failure that nobody foresaw: the operator learns the place, the caller the id, and nobody the words."""

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

from cds_hooks.logs import configure_logs
from cds_hooks.package_tests.markup import faults
from cds_hooks.routes.failures import ContainedApp, failure_place
from tests.cds_hooks.access.browsing import BROWSER
from tests.cds_hooks.calls import PLANNING, client, request_for


def _lines(printed: str, event: str) -> list[dict[str, Any]]:
    return [line for each in printed.splitlines() if (line := json.loads(each))["event"] == event]


async def test_the_words_of_a_failure_go_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    async def fail(_: Request) -> Response:
        raise RuntimeError("secret-canary")

    app = Starlette(routes=[Route("/", fail)])
    configure_logs("info")
    transport = httpx.ASGITransport(ContainedApp(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as calls:
        answer = await calls.get("/")
    printed = capfd.readouterr()
    assert answer.status_code == 500
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert "secret-canary" not in answer.text + printed.out + printed.err
    (line,) = _lines(printed.err, "request failed")
    assert line["error_type"] == "RuntimeError"
    assert line["decision"] in answer.json()["issue"][0]["diagnostics"]


async def test_the_log_names_module_function_and_line_of_our_innermost_frame(
    tmp_path: Path, as_of: datetime, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret-canary")

    monkeypatch.setattr("cds_hooks.services.planning_conversation.outlook_inputs", fail)
    async with client(tmp_path, as_of=as_of) as calls:
        body = request_for(PLANNING, "patient-view", "planning-talk", as_of)
        answer = await calls.post(f"/cds-services/{PLANNING}", json=body)
    (line,) = _lines(capfd.readouterr().err, "call failed")
    assert (line["module"], line["function"]) == ("cds_hooks.services.planning_conversation", "decide")
    assert line["line"] > 0
    assert line["service"] == PLANNING
    said = answer.json()["issue"][0]["diagnostics"]
    assert line["decision"] in said
    assert "secret-canary" not in said


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
