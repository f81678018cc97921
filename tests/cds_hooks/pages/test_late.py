"""A server starts without what no call needs: the pages are put together when the first of them is opened."""

import asyncio
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp

from cds_hooks.app import create_app
from cds_hooks.pages import application
from cds_hooks.pages.application import page_application
from cds_hooks.pages.server import PageServer
from cds_hooks.settings import Settings
from tests.live import record_in


@pytest.mark.slow
def test_making_a_server_imports_neither_pages_nor_clients_nor_the_library_of_metrics(tmp_path: Path) -> None:
    script = (
        "import sys; from cds_hooks.app import create_app; from cds_hooks.settings import Settings\n"
        f"create_app(Settings(database_url={record_in(tmp_path)!r}))\n"
        "late = ('httpx', 'httpcore', 'jinja2', 'prometheus_client', 'cds_hooks.pages.server',\n"
        "        'cds_hooks.pages.gate', 'cds_hooks.access.store',\n"
        "        'models_onnx.spec', 'fhir.resources')\n"
        "print([name for name in late if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


async def test_the_first_page_is_there_for_all_who_ask_for_it_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[PageServer] = []

    def make(server: PageServer) -> ASGIApp:
        made.append(server)
        return page_application(server)

    monkeypatch.setattr(application, "page_application", make)
    app = create_app(Settings(database_url=record_in(tmp_path)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        answers = await asyncio.gather(*(client.get("/rules", headers={"accept": "text/html"}) for _ in range(3)))
        nowhere = await client.get("/nowhere", headers={"accept": "application/json"})
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert (nowhere.status_code, nowhere.json()["resourceType"]) == (404, "OperationOutcome")
    assert len(made) == 1
