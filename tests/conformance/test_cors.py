"""CORS: calls from browsers."""

from pathlib import Path

import pytest

from tests.cds_hooks.calls import PLANNING, request_for
from tests.conformance.answers import AS_OF
from tests.conformance.conftest import Opened
from tests.conformance.outside import SERVICES, Json, Outside
from tests.conformance.rows import row
from tests.conformance.trusted import Site

ORIGIN, STRANGER = "https://app.ehr.example.org", "https://elsewhere.example"
VIEW = request_for(PLANNING, "patient-view", "infant", AS_OF)
PATHS = (SERVICES, f"{SERVICES}/{PLANNING}", f"{SERVICES}/{PLANNING}/feedback")


def _preflight(server: Outside, path: str, origin: str) -> dict[str, str]:
    headers = {
        "origin": origin,
        "access-control-request-method": "GET" if path == SERVICES else "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    answer = server.request("OPTIONS", path, headers=headers)
    assert answer.status_code < 500
    return dict(answer.headers) | {"status": str(answer.status_code)}


@row("CORS-01")
@pytest.mark.parametrize("path", PATHS)
def test_without_a_trust_file_any_page_of_this_machine_may_call_without_credentials(server: Outside, path: str) -> None:
    for origin in ("http://localhost:3000", "http://127.0.0.1:8080", "https://[::1]"):
        headers = _preflight(server, path, origin)
        assert headers["status"].startswith("2")
        assert headers["access-control-allow-origin"] in ("*", origin)
        assert "access-control-allow-credentials" not in headers


@row("CORS-01")
@pytest.mark.parametrize(
    "origin", [STRANGER, "http://localhost.evil.example", "http://127.0.0.1.evil.example:80", "null"]
)
def test_without_a_trust_file_a_page_of_another_site_may_not_call(server: Outside, origin: str) -> None:
    assert "access-control-allow-origin" not in _preflight(server, PATHS[1], origin)


@row("CORS-01")
def test_which_origins_may_call_is_a_setting(opened: Opened) -> None:
    server = opened(cors_origins=ORIGIN)
    assert "access-control-allow-origin" not in _preflight(server, PATHS[1], STRANGER)
    assert _preflight(server, PATHS[1], ORIGIN)["access-control-allow-origin"] == ORIGIN


@row("CORS-02")
@pytest.mark.parametrize("path", PATHS)
def test_a_preflight_is_answered_before_anyone_asks_for_a_token(tmp_path: Path, path: str) -> None:
    with Site(tmp_path) as site:
        allowed, refused = (_preflight(site.server, path, origin) for origin in (ORIGIN, STRANGER))
    assert allowed["status"].startswith("2")
    assert allowed["access-control-allow-origin"] == ORIGIN
    assert {"GET", "POST"} <= set(allowed["access-control-allow-methods"].replace(" ", "").split(","))
    named = allowed["access-control-allow-headers"].lower()
    assert "authorization" in named
    assert "content-type" in named
    assert "access-control-allow-origin" not in refused


@row("CORS-03")
@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", SERVICES, None, 200),
        ("POST", PATHS[1], VIEW, 200),
        ("POST", PATHS[2], {}, 400),
        ("POST", PATHS[1], {}, 400),
        ("POST", f"{SERVICES}/nobody", VIEW, 404),
        ("GET", PATHS[1], None, 405),
        ("POST", PATHS[1], request_for(PLANNING, "patient-view", "planning-talk", AS_OF) | {"prefetch": {}}, 412),
    ],
)
def test_a_page_may_read_every_answer(server: Outside, method: str, path: str, body: Json, status: int) -> None:
    answer = server.request(method, path, json=body, headers={"origin": "http://localhost:3000"})
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] in ("*", "http://localhost:3000")


@row("CORS-03")
def test_a_page_may_read_that_it_is_not_trusted_and_that_we_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    with Site(tmp_path, as_of=AS_OF) as site:
        untrusted = [site.server.request("POST", path, json=VIEW, headers={"origin": ORIGIN}) for path in PATHS[1:]]
        monkeypatch.setattr("cds_hooks.call.services.planning_conversation.outlook_inputs", fail)
        view = request_for(PLANNING, "patient-view", "planning-talk", AS_OF)
        failed = site.server.call(PLANNING, view, headers=site.signed(PATHS[1]) | {"origin": ORIGIN})
    assert [answer.status_code for answer in (*untrusted, failed)] == [401, 401, 500]
    assert {answer.headers.get("access-control-allow-origin") for answer in (*untrusted, failed)} == {ORIGIN}
