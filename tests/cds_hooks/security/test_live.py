"""A server with a trust file, over real HTTP and in two processes: wrong calls hear one answer, right ones get in."""

import json
from collections.abc import Iterator
from pathlib import Path
from time import sleep, time
from typing import Any

import httpx
import pytest

from cds_hooks.errors import Untrusted, operation_outcome
from cds_hooks.kit.simulator.signing import SigningKey, sign_token
from tests.cds_hooks.security.conftest import make_site
from tests.cds_hooks.security.forging import Forger
from tests.cds_hooks.security.test_token import ROWS
from tests.cds_hooks.security.trusting import CLIENT, SERVICE, Clock, Site
from tests.live import serving

pytestmark = pytest.mark.slow


# one for all: each new client reads the certificates of all authorities first
_http = httpx.Client(timeout=60)


UNTRUSTED_BODY = operation_outcome(Untrusted("no-token"))


@pytest.fixture(scope="module")
def live_site(tmp_path_factory: pytest.TempPathFactory, signing_keys: dict[str, SigningKey]) -> Site:
    return make_site(tmp_path_factory.mktemp("live"), signing_keys, Clock())


UNTRUSTED_BODY = operation_outcome(Untrusted("no-token"))


@pytest.fixture(scope="module")
def address(live_site: Site) -> Iterator[str]:
    """Two server processes that trust one client."""
    with _http, serving(live_site.folder, "--workers", "2", CDS_TRUST_FILE=str(live_site.file)) as running:
        yield running


def _post(address: str, authorizations: list[bytes], path: str = SERVICE, *, alone: bool = False) -> httpx.Response:
    headers: list[tuple[bytes, bytes]] = [(b"content-type", b"application/json")]
    headers += [(b"authorization", each) for each in authorizations]
    if alone:  # on a connection of its own
        headers.append((b"connection", b"close"))
    return _http.post(address + path, content=b"{}", headers=headers)


def _token(key: SigningKey, url: str) -> list[bytes]:
    return [b"Bearer " + sign_token(key, url).encode()]


def test_a_good_token_is_let_through_to_the_service(address: str, signing_keys: dict[str, SigningKey]) -> None:
    for key in signing_keys.values():
        # the empty body is then what is wrong with the call
        answer = _post(address, _token(key, address + SERVICE))
        assert (answer.status_code, answer.headers["cache-control"]) == (400, "no-store")


# Every forged token is refused in process by test_jwt.py; over HTTP a part of them shows that nothing lies between.
SAMPLE = ROWS[::8]


@pytest.mark.parametrize("row", SAMPLE, ids=[row["name"] for row in SAMPLE])
def test_a_forged_token_gets_the_one_answer(
    row: dict[str, Any], address: str, signing_keys: dict[str, SigningKey], attacker: SigningKey
) -> None:
    forger = Forger(signing_keys, attacker, time(), address + SERVICE)
    if "first" in row:
        _post(address, forger.authorizations({}, forger.token({"claims": row["first"]})))
    token = forger.token(row)
    if row.get("first_token"):
        pytest.skip("shown in process by test_jwt.py")
    try:
        answers = [_post(address, forger.authorizations(row, token)) for _ in range(row.get("times", 1))]
    except httpx.LocalProtocolError:
        pytest.skip("no HTTP client sends this header")
    answer = answers[-1]
    if answer.status_code in (400, 431) and not answer.content.startswith(b"{"):
        pytest.skip("the HTTP server itself refuses this header")
    assert (answer.status_code, answer.content) == (401, UNTRUSTED_BODY)
    assert (answer.headers["www-authenticate"], answer.headers["cache-control"]) == ("Bearer", "no-store")


def test_a_token_is_taken_once_by_both_processes(address: str, signing_keys: dict[str, SigningKey]) -> None:
    for _ in range(5):
        authorization = _token(signing_keys["ES256"], address + SERVICE)
        # so that both processes get some
        codes = [_post(address, authorization, alone=True).status_code for _ in range(4)]
        assert sorted(codes) == [400, 401, 401, 401]


def test_discovery_and_feedback_need_a_token_of_their_own(address: str, signing_keys: dict[str, SigningKey]) -> None:
    key = signing_keys["ES384"]
    discovery = f"{address}/cds-services"
    assert _http.get(discovery).content == UNTRUSTED_BODY
    signed = _http.get(discovery, headers={"authorization": f"Bearer {sign_token(key, discovery)}"})
    assert signed.status_code == 200
    feedback = f"{SERVICE}/feedback"
    assert _post(address, [], feedback).status_code == 401
    assert _post(address, _token(key, address + "/cds-services/other"), feedback).status_code == 401
    assert _post(address, _token(key, address + feedback), feedback).status_code == 400
    assert _post(address, _token(key, address + SERVICE), feedback).status_code == 400
    assert _post(address, [], "/outcomes").content == UNTRUSTED_BODY
    assert _post(address, _token(key, address + SERVICE), "/outcomes").status_code == 401
    assert _post(address, _token(key, address + "/outcomes"), "/outcomes").status_code == 400


def test_the_log_names_the_reason_and_no_token(
    address: str, live_site: Site, signing_keys: dict[str, SigningKey], attacker: SigningKey
) -> None:
    token = Forger(signing_keys, attacker, time(), address + SERVICE).token({"sign": "attacker"})
    _post(address, [b"Bearer " + token.encode()])
    log = Path(live_site.folder / "server.log").read_text()
    assert any(json.loads(line).get("reason") == "signature" for line in log.splitlines() if line.startswith("{"))
    assert not any(part in log for part in token.split("."))


def test_a_client_that_is_taken_out_of_the_file_is_refused_without_a_restart(
    address: str, live_site: Site, signing_keys: dict[str, SigningKey]
) -> None:
    key = signing_keys["ES256"]
    live_site.write("version = 1\n")
    try:
        sleep(1.1)
        assert [_post(address, _token(key, address + SERVICE)).status_code for _ in range(3)] == [401] * 3
    finally:
        live_site.write(CLIENT)
    sleep(1.1)
    assert _post(address, _token(key, address + SERVICE)).status_code == 400
