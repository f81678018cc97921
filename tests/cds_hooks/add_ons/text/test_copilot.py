"""The copilot's tools: they read, refuse whatever is not theirs, and each call is on record."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from starlette.types import ASGIApp

from cds_hooks.add_ons.text.copilot.tools import TOOLS, Copilot
from cds_hooks.server.app import create_app
from cds_hooks.settings import Settings
from tests.cds_hooks.add_ons.text.charts import CHART
from tests.fhir.builders import bundle

PATIENT = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1950-04-02"}
BUNDLE = bundle(PATIENT, *CHART, type="collection")
NESTED: Any = []
for _ in range(2000):
    NESTED = [NESTED]


class _InThisProcess(httpx.BaseTransport):
    """Sends requests to an application in an event loop beside the test."""

    def __init__(self, app: ASGIApp, portal: BlockingPortal) -> None:
        self._transport = httpx.ASGITransport(app=app)
        self._portal = portal

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def answer() -> httpx.Response:
            asked = httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
            answered = await self._transport.handle_async_request(asked)
            return httpx.Response(answered.status_code, headers=answered.headers, content=await answered.aread())

        return self._portal.call(answer)


@pytest.fixture(scope="module")
def copilot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copilot]:
    folder: Path = tmp_path_factory.mktemp("copilot")
    configured = Settings(database_url=f"sqlite:///{folder}/record.db")
    with start_blocking_portal() as portal:
        transport = _InThisProcess(create_app(configured), portal)
        with httpx.Client(transport=transport, base_url="http://localhost") as http:
            yield Copilot(http, configured, "anonymous")


def _data(copilot: Copilot, name: str, **arguments: Any) -> Any:
    answer = copilot.call(name, arguments)
    assert answer.status == "answered", answer.data
    return answer.data


def test_there_are_at_most_eight_tools_and_none_has_a_word_of_writing() -> None:
    assert len(TOOLS) <= 8
    assert not any(word in name for name in TOOLS for word in ("write", "release", "approve", "send", "set_", "fetch"))
    assert all(tool.schema["additionalProperties"] is False for tool in TOOLS.values())


def test_charts_are_summarised_and_understood(copilot: Copilot) -> None:
    texts = [sentence["text"] for sentence in _data(copilot, "summarise_chart", chart=BUNDLE)["sentences"]]
    assert any(text.startswith("Problems: Atrial fibrillation") for text in texts)
    assert _data(copilot, "understand_resource", resource=CHART[0])["understood"]
    assert _data(copilot, "search_rules", words="metformin")["rules"]
    assert _data(copilot, "search_rules", words="zzz")["rules"] == []
    assert "cards" in _data(copilot, "forecast_vaccines", chart=BUNDLE)
