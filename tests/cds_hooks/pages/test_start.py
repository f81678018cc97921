"""The start page: what each role does most, and the state of the server."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cds_hooks.pages.test_decisions import counting_client
from tests.contracts.markup import Page, faults
from tests.live import record_in

ROLES = (
    "Treat patients",
    "Try a service",
    "Check medications",
    "Work on models",
    "Decide in the committee",
    "Operate the server",
    "Read along",
    "Audit",
    "Protect patients&#39; data",
)


async def test_each_role_has_what_it_does_most_and_every_link_of_a_page_is_open(tmp_path: Path) -> None:
    async with counting_client(tmp_path) as calls:
        page = (await calls.get("/")).text
        assert faults(page) == []
        for role in ROLES:
            assert f"<dt>{role}</dt>" in page
        links = [each.attributes["href"] for each in Page(page).all("a") if "main" in each.path]
        assert {
            "try",
            "decisions",
            "ops",
            "rules",
            "models",
            "decisions/seen",
            "ops/cards",
            "rules#find",
            "worklist",
            "cds-services",
        } <= set(links)
        for link in links:
            if not link.startswith("docs/"):
                assert (await calls.get(f"/{link}")).status_code == 200, link


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
