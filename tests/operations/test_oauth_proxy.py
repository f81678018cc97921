"""nginx with OAuth in front: an authorization service decides about each call, and learns nothing else of it."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.cds_hooks.call.security.servers import Seen, answering
from tests.cds_hooks.calls import PLANNING, request_for
from tests.live import free_port, is_listening, serving
from tests.operations.test_proxies import (
    HOST,
    KEY,
    TRUST,
    Authority,
    Proxy,
    client_context,
    signed,
    started_nginx,
)
from tests.waiting import until

pytestmark = pytest.mark.slow

PATH = f"/cds-services/{PLANNING}"
GOOD, FORBIDDEN = "Bearer an-access-token", "Bearer of-another-client"
TOKEN = "X-Gateway-Authorization"  # noqa: S105 - the name of a header


@dataclass
class Site:
    """A proxy with a real server behind it, and the authorization service that it asks."""

    proxy: Proxy
    asked: Seen
    answers: dict[str, int]
    """By access token the status of the authorization service; 401 for any other."""

    def call(self, token: str | None = GOOD, path: str = PATH, **options: Any) -> httpx.Response:
        headers = options.pop("headers", signed(path)) | ({TOKEN: token} if token is not None else {})
        return self.proxy.ask("POST", path, headers=headers, **options)


def _service(site: list[Site]) -> Callable[[str], tuple[int, dict[str, str], bytes]]:
    def answer(_: str) -> tuple[int, dict[str, str], bytes]:
        _, _, headers = site[0].asked.requests[-1]
        status = site[0].answers.get(headers.get("authorization", ""), 401)
        return status, {"WWW-Authenticate": 'Bearer realm="gateway"'} if status == 401 else {}, b""

    return answer


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if not shutil.which("nginx"):
        pytest.skip("nginx is not installed here; on Debian: apt-get install nginx")
    folder = tmp_path_factory.mktemp("oauth")
    authority = Authority(folder, "site")
    certificate, key = authority.issue(HOST)
    shutil.copy(certificate, folder / "server.pem")
    shutil.copy(key, folder / "server.key")
    (folder / "keys.json").write_text(json.dumps(KEY.key_set()))
    (folder / "trust.toml").write_text(TRUST)
    sites: list[Site] = []
    with ExitStack() as stack:
        asked = stack.enter_context(answering(_service(sites)))
        trust = str(folder / "trust.toml")
        server = stack.enter_context(serving(folder, CDS_TRUST_FILE=trust, CDS_PUBLIC_URL=f"https://{HOST}"))
        port = free_port()
        more = {"127.0.0.1:4180": asked.base.removeprefix("http://")}
        stack.enter_context(started_nginx(folder, port, server.removeprefix("http://"), "nginx-oauth.conf", more))
        until(lambda: is_listening(port))
        bare = client_context(authority.file, None)
        proxy = Proxy("nginx", port, server, folder / "operator.sock", bare, bare, bare)
        sites.append(Site(proxy, asked, {GOOD: 202, FORBIDDEN: 403}))
        yield sites[0]


def _body() -> dict[str, Any]:
    return request_for(PLANNING, "patient-view", "planning-talk", datetime.now(UTC))


def test_a_call_with_both_tokens_is_answered(site: Site) -> None:
    answer = site.call(json=_body())
    assert (answer.status_code, len(answer.json()["cards"])) == (200, 1)


def test_the_authorization_service_learns_the_access_token_and_nothing_else_of_the_call(site: Site) -> None:
    before = len(site.asked.requests)
    headers = signed(PATH) | {"X-Marked": "marked-header", "Cookie": "marked-cookie"}
    assert site.call(json=_body(), headers=headers).status_code == 200
    ((method, path, sent),) = site.asked.requests[before:]
    assert (method, path, sent["authorization"]) == ("GET", "/oauth2/auth", GOOD)
    assert (sent["x-original-method"], sent["x-original-uri"]) == ("POST", PATH)
    assert set(sent) <= {"authorization", "host", "x-original-method", "x-original-uri"}


@pytest.mark.parametrize(
    ("token", "status"), [(None, 401), ("", 401), ("Bearer nonsense", 401), ("Basic eDp5", 401), (FORBIDDEN, 403)]
)
def test_without_a_good_access_token_the_server_is_not_reached(site: Site, token: str | None, status: int) -> None:
    answer = site.call(token, json=_body())
    assert answer.status_code == status
    assert "x-call-id" not in answer.headers  # which every refusal of the server has
    assert (status == 401) == ("www-authenticate" in answer.headers)


def test_an_access_token_is_no_signed_call(site: Site) -> None:
    """The server hears the JWT alone: an access token in its place is refused there."""
    for headers in ({}, {"Authorization": GOOD}):
        answer = site.call(json=_body(), headers=headers)
        assert answer.status_code == 401
        assert answer.headers["x-call-id"]


@pytest.mark.parametrize("status", [500, 302, 404])
def test_an_authorization_service_that_fails_opens_nothing(site: Site, status: int) -> None:
    token = f"Bearer answered-{status}"
    site.answers[token] = status
    answer = site.call(token, json=_body())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("path", ["/_oauth", "/_oauth_away", "/metrics", "/explain/x", "/", "/cds-services/../metrics"])
def test_nothing_else_is_reached_and_the_inner_addresses_are_not_either(site: Site, path: str) -> None:
    answer = site.proxy.ask("GET", path, headers={TOKEN: GOOD})
    assert answer.status_code == 404
    assert site.proxy.ask("GET", "/readyz").status_code == 200


def test_an_answer_of_the_server_keeps_its_own_failure(site: Site) -> None:
    """The page of the gateway's own failure stands in for no answer of the server."""
    answer = site.call(content=b"{}", headers=signed(PATH) | {"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["id"] == answer.headers["x-call-id"]
