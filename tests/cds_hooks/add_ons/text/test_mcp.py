"""The interface for a copilot with the official client of its protocol (MCP): in process, over stdio and HTTP."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from cds_hooks.add_ons.text.copilot.tools import TOOLS, Copilot
from tests.cds_hooks.add_ons.text.charts import CHART
from tests.cds_hooks.add_ons.text.test_copilot import BUNDLE, copilot
from tests.live import free_port, is_listening
from tests.waiting import until

__all__ = ["copilot"]

pytestmark = pytest.mark.slow


TOKEN = "of-one-process-" + "x" * 16


def _calls(decision: str) -> dict[str, dict[str, Any]]:
    return {
        "list_services": {}, "call_service": {"service": "vaccines-due", "chart": BUNDLE},
        "explain_decision": {"decision": decision}, "search_rules": {"words": "metformin"},
        "summarise_chart": {"chart": BUNDLE},
        "understand_resource": {"resource": CHART[0]}, "forecast_vaccines": {"chart": BUNDLE},
    }  # fmt: skip


def test_the_official_client_lists_and_calls_all_tools(copilot: Copilot) -> None:
    from mcp import Client

    from cds_hooks.add_ons.text.copilot.server import mcp_server

    decision = copilot.call("call_service", {"service": "vaccines-due", "chart": BUNDLE}).data["decision"]

    async def called() -> None:
        async with Client(mcp_server(copilot)) as client:
            tools = (await client.list_tools()).tools
            assert {tool.name for tool in tools} == set(TOOLS)
            assert all(tool.annotations is not None and tool.annotations.read_only_hint for tool in tools)
            for name, arguments in _calls(decision).items():
                answer = await client.call_tool(name, arguments)
                assert not answer.is_error, (name, answer.content)
                assert answer.structured_content["notice"].startswith("This is data")

    anyio.run(called)


def test_over_stdio_it_is_a_process_of_its_own(tmp_path: Path) -> None:
    from mcp import Client, StdioServerParameters

    environment = {**os.environ, "CDS_DATABASE_URL": f"sqlite:///{tmp_path}/record.db"}
    environment["CDS_PUBLIC_URL"] = "http://127.0.0.1:9"
    parameters = StdioServerParameters(
        command=sys.executable, args=["-m", "cds_hooks.add_ons.text.copilot.server"], env=environment
    )

    async def called() -> None:
        async with Client(parameters) as client:
            assert len((await client.list_tools()).tools) == len(TOOLS)
            answer = await client.call_tool("list_services", {})
            assert (answer.is_error, answer.structured_content["status"]) == (True, "refused")  # no server is there
            summary = await client.call_tool("summarise_chart", {"chart": BUNDLE})
            assert summary.structured_content["data"]["sentences"]

    anyio.run(called)


def test_over_http_the_official_client_calls_it_with_the_token(tmp_path: Path) -> None:
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    (tmp_path / "token").write_text(TOKEN)
    port = free_port()
    command = [sys.executable, "-m", "cds_hooks.add_ons.text.copilot.server", "--http", str(port)]
    environment = {**os.environ, "CDS_DATABASE_URL": f"sqlite:///{tmp_path}/record.db"}

    forms = set[tuple[str, bool]]()

    async def note(response: httpx2.Response) -> None:
        if response.status_code == 200:
            forms.add((response.headers["content-type"], "mcp-session-id" in response.headers))

    async def called() -> None:
        hooks = {"response": [note]}
        async with httpx2.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"}, event_hooks=hooks) as http:
            transport = streamable_http_client(f"http://127.0.0.1:{port}/mcp", http_client=http)
            async with Client(transport) as client:
                answer = await client.call_tool("search_rules", {"words": "metformin"})
                assert answer.structured_content["source"] == "rules"

    with subprocess.Popen([*command, "--token-file", str(tmp_path / "token")], env=environment) as process:
        try:
            until(lambda: is_listening(port))
            anyio.run(called)
        finally:
            process.terminate()
    assert forms == {("application/json", False)}, "JSON and no sessions, so that any worker can answer"
