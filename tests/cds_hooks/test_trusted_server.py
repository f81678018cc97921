"""A server with a trust file, over real HTTP: who is registered is answered, everyone else hears the same refusal."""

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cds_hooks.kit.simulator.signing import new_key, sign_token, write_key
from tests.cds_hooks.calls import ORDERS, PLANNING, request_for
from tests.conftest import ROOT
from tests.live import free_port, serving

ISSUER = "https://ehr.example"
KEY = new_key(ISSUER)
CLIENT = f"""
version = 1

[[client]]
name = "ehr"
issuers = ["{ISSUER}"]
algorithms = ["ES384"]
jwks_file = "keys.json"
services = ["{PLANNING}"]
cors_origins = ["https://app.ehr.example"]
"""


OPERATOR = f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("trusted")
    (folder / "keys.json").write_text(json.dumps(KEY.key_set()))
    (folder / "trust.toml").write_text(CLIENT)
    write_key(KEY, folder / "key.json")
    with serving(folder, CDS_TRUST_FILE=str(folder / "trust.toml"), CDS_OPERATOR_LISTEN=OPERATOR) as address:
        yield address, folder


def _post(address: str, service: str, headers: dict[str, str], planned: str = "planning-talk") -> httpx.Response:
    hook = "patient-view" if service == PLANNING else "order-select"
    draft = None if service == PLANNING else "metformin-ckd4-coded"
    sample = planned if service == PLANNING else "ckd4-metformin"
    request: dict[str, Any] = request_for(service, hook, sample, datetime.now(UTC), draft)
    return httpx.post(f"{address}/cds-services/{service}", json=request, headers=headers, timeout=30)


def _signed(address: str, path: str) -> dict[str, str]:
    return {"authorization": f"Bearer {sign_token(KEY, address + path)}"}


@pytest.mark.slow
def test_a_signed_call_is_answered_once(trusted: tuple[str, Path]) -> None:
    address, _ = trusted
    headers = _signed(address, f"/cds-services/{PLANNING}")
    assert len(_post(address, PLANNING, headers).json()["cards"]) == 1
    assert _post(address, PLANNING, headers).status_code == 401


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer x.y.z"}, {"authorization": "Basic eDp5"}])
def test_everyone_else_hears_the_same(trusted: tuple[str, Path], headers: dict[str, str]) -> None:
    answer = _post(trusted[0], PLANNING, headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    said = answer.json()["issue"][0]["details"]["text"]
    assert said.startswith("This call does not come from a client that is trusted here.")
    assert "x-call-id" in said
    assert answer.headers["x-call-id"]


def test_a_token_for_another_service_is_refused(trusted: tuple[str, Path]) -> None:
    address, _ = trusted
    assert _post(address, PLANNING, _signed(address, f"/cds-services/{ORDERS}")).status_code == 401


def test_a_service_the_client_is_not_registered_for_is_forbidden(trusted: tuple[str, Path]) -> None:
    address, _ = trusted
    assert _post(address, ORDERS, _signed(address, f"/cds-services/{ORDERS}")).status_code == 403


def test_discovery_is_for_clients_and_lists_what_they_may_call(trusted: tuple[str, Path]) -> None:
    address, _ = trusted
    assert httpx.get(f"{address}/cds-services").status_code == 401
    answer = httpx.get(f"{address}/cds-services", headers=_signed(address, "/cds-services"))
    assert {entry["id"] for entry in answer.json()["services"]} == {PLANNING}


def test_only_registered_origins_may_call_from_a_browser(trusted: tuple[str, Path]) -> None:
    allowed = {}
    for origin in ("https://app.ehr.example", "https://elsewhere.example"):
        headers = {"origin": origin, "access-control-request-method": "POST"}
        answer = httpx.options(f"{trusted[0]}/cds-services/{PLANNING}", headers=headers)
        allowed[origin] = answer.headers.get("access-control-allow-origin")
    assert allowed == {"https://app.ehr.example": "https://app.ehr.example", "https://elsewhere.example": None}


def test_the_command_line_signs_its_calls_and_sends_feedback(trusted: tuple[str, Path]) -> None:
    address, folder = trusted
    command = [str(ROOT / ".venv/bin/cds-hooks"), "call", "sample:planning-talk"]
    command += ["--service", "planning-conversation", "--key", str(folder / "key.json")]
    done = subprocess.run(
        [*command, "--feedback", "accepted"],
        env=os.environ | {"CDS_PUBLIC_URL": address},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "feedback (accepted) on 1 cards: HTTP 200" in done.stdout


def test_why_a_call_was_refused_is_for_the_operator(trusted: tuple[str, Path]) -> None:
    address, folder = trusted
    _post(address, PLANNING, {})
    assert '"no-token"' in (folder / "server.log").read_text()
    assert 'cds_untrusted_total{reason="no-token"}' in httpx.get(f"http://{OPERATOR}/metrics").text


def test_without_a_token_nobody_learns_which_services_there_are(trusted: tuple[str, Path]) -> None:
    answers = [httpx.post(f"{trusted[0]}/cds-services/{name}", json={}) for name in (PLANNING, "nobody")]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].content == answers[1].content
