"""SEC: tokens, keys and trust."""

import asyncio
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from time import time
from typing import Any, TypeVar

import jwt
import pytest

from cds_hooks.call.security import open_trust
from cds_hooks.call.security.trust import Trust
from cds_hooks.errors import Untrusted
from cds_hooks.tools.kit.simulator.signing import SigningKey, new_key
from tests.cds_hooks.call.security.servers import answering
from tests.cds_hooks.calls import ORDERS, PLANNING, request_for
from tests.conformance.answers import AS_OF
from tests.conformance.outside import SERVICES, Json
from tests.conformance.rows import row
from tests.conformance.trusted import BASE, ISSUER, KEY, OTHER_KEY, P256_KEY, RSA_KEY, Site, named
from tests.program import run_program
from tests.recorded import list_decisions

PATH = f"{SERVICES}/{PLANNING}"
VIEW = request_for(PLANNING, "patient-view", "infant", AS_OF)
T = TypeVar("T")


def _claims(**changed: Json) -> dict[str, Json]:
    now = int(time())
    claims = {"iss": ISSUER, "aud": BASE + PATH, "iat": now, "exp": now + 300, "jti": f"jti-{next(_NUMBERS)}"}
    return {name: value for name, value in (claims | changed).items() if value is not None}


_NUMBERS = iter(range(10**9))


def _token(key: SigningKey = KEY, header: Json = None, algorithm: str | None = None, **claims: Json) -> str:
    given = {"kid": key.jwk["kid"], "typ": "JWT"} | (header or {})
    headers = {name: value for name, value in given.items() if value is not None}
    token: str = jwt.encode(_claims(**claims), key.private, algorithm=algorithm or key.jwk["alg"], headers=headers)
    return token


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _status(site: Site, token: str) -> int:
    return site.server.call(PLANNING, VIEW, headers=_bearer(token)).status_code


def _asked(site: Site, ask: Callable[[Trust], Coroutine[Any, Any, T]]) -> T:
    """What the server's trust says, asked through its public functions."""

    async def run() -> T:
        trust = open_trust(site.file, BASE, f"sqlite:///{site.server.folder}/decisions.sqlite3")
        try:
            return await ask(trust)
        finally:
            await trust.aclose()

    return asyncio.run(run())


def _reason(site: Site, token: str) -> str | None:
    async def ask(trust: Trust) -> str | None:
        try:
            await trust.client_of([(b"authorization", b"Bearer " + token.encode())], PATH)
        except Untrusted as error:
            return error.reason
        return None

    return _asked(site, ask)


@pytest.fixture
def site(tmp_path: Path) -> Any:
    """A server with a trust file."""
    with Site(tmp_path, as_of=AS_OF) as opened:
        yield opened


@row("SEC-01", "SEC-02")
@pytest.mark.parametrize(("method", "path"), [("GET", SERVICES), ("POST", PATH), ("POST", f"{PATH}/feedback")])
def test_with_a_trust_file_nobody_calls_without_a_token(site: Site, method: str, path: str) -> None:
    answer = site.server.request(method, path, json=VIEW)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


@row("SEC-01")
def test_without_a_trust_file_only_this_machine_is_listened_to(tmp_path: Path) -> None:
    done = run_program("serve", "--host", "0.0.0.0", "--port", "0", folder=tmp_path)  # noqa: S104 - to be refused
    assert done.returncode == 2
    assert "trust file" in done.stderr


@row("SEC-04", "SEC-05", "SEC-06", "SEC-07", "SEC-12", "SEC-13", "SEC-15", "SEC-16", "SEC-17", "SEC-20", "SEC-24")
@pytest.mark.parametrize(
    ("token", "reason"),
    [
        pytest.param(lambda: _token(OTHER_KEY, {"kid": KEY.jwk["kid"]}), "signature", id="another key"),
        pytest.param(lambda: _token(header={"kid": None}), "header", id="no kid"),
        pytest.param(lambda: _token(header={"kid": "unknown"}), "key", id="unknown kid"),
        pytest.param(lambda: _token(header={"typ": "at+jwt"}), "header", id="another typ"),
        pytest.param(lambda: _token(iss=None), "claims", id="no iss"),
        pytest.param(lambda: _token(iss="https://nobody.example"), "issuer", id="unknown iss"),
        pytest.param(lambda: _token(aud=None), "claims", id="no aud"),
        pytest.param(lambda: _token(aud=f"{BASE}{SERVICES}"), "audience", id="aud of discovery"),
        pytest.param(lambda: _token(aud="https://elsewhere.example"), "audience", id="aud of another"),
        pytest.param(lambda: _token(exp=None), "claims", id="no exp"),
        pytest.param(lambda: _token(exp=int(time()) - 120, iat=int(time()) - 300), "expired", id="expired"),
        pytest.param(lambda: _token(iat=None), "claims", id="no iat"),
        pytest.param(lambda: _token(iat=int(time()) + 600, exp=int(time()) + 900), "not-yet", id="of tomorrow"),
        pytest.param(lambda: _token(nbf=int(time()) + 600), "not-yet", id="not before"),
        pytest.param(lambda: _token(exp=int(time()) + 7200), "lifetime", id="lives too long"),
        pytest.param(lambda: _token(jti=None), "claims", id="no jti"),
        pytest.param(lambda: jwt.encode(_claims(), "", algorithm="none", headers={"kid": "a+/=1"}), None, id="none"),
    ],
)
def test_each_step_of_the_check_refuses_by_itself(site: Site, token: Callable[[], str], reason: str | None) -> None:
    assert _status(site, token()) == 401
    found = _reason(site, token())
    assert found == reason if reason else found


@row("SEC-21", "SEC-23")
def test_a_symmetric_signature_proves_nobody(site: Site) -> None:
    public = json.dumps(KEY.key_set()["keys"][0]).encode()
    header = {"alg": "HS384", "typ": "JWT", "kid": KEY.jwk["kid"]}
    parts = b".".join(urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=") for each in (header, _claims()))
    signature = hmac.new(public, parts, "sha384").digest()
    signed = b".".join((parts, urlsafe_b64encode(signature).rstrip(b"="))).decode()
    assert _status(site, signed) == 401
    assert _reason(site, signed) == "algorithm"


@row("SEC-22", "SEC-23", "SEC-10", "SEC-11")
def test_by_default_es384_and_rs384_are_trusted_with_keys_that_were_exchanged(site: Site) -> None:
    assert [_status(site, _token(key)) for key in (KEY, RSA_KEY)] == [200, 200]


@row("SEC-23")
def test_which_algorithms_are_trusted_is_the_operators_choice(tmp_path: Path) -> None:
    with Site(tmp_path, 'algorithms = ["RS384"]', clients=_with_keys(RSA_KEY)) as site:
        assert [_status(site, _token(key)) for key in (KEY, RSA_KEY)] == [401, 200]


@row("SEC-23")
def test_an_algorithm_that_is_not_listed_is_refused(site: Site) -> None:
    assert _reason(site, _token(P256_KEY, {"kid": KEY.jwk["kid"]})) == "algorithm"


def _with_keys(*keys: SigningKey) -> str:
    """A trust file with one client whose public keys stand in it."""
    tables = "".join(
        "\n[[client.keys]]\n"
        + "".join(f"{name} = {json.dumps(value)}\n" for name, value in key.key_set()["keys"][0].items())
        for key in keys
    )
    return f'version = 1\n[[client]]\nname = "ehr"\nissuers = ["{ISSUER}"]\n{tables}'


@row("SEC-13", "SEC-14")
@pytest.mark.parametrize("aud", [BASE + PATH, [BASE + PATH], ["https://other.example", BASE + PATH]])
def test_the_audience_is_the_address_alone_or_among_others(site: Site, aud: Json) -> None:
    assert _status(site, _token(aud=aud)) == 200


@row("SEC-18")
def test_a_tenant_that_is_registered_is_asked_for(tmp_path: Path) -> None:
    with Site(tmp_path, 'tenant = "north"') as site:
        assert [_status(site, _token(tenant=tenant)) for tenant in ("north", "south", None)] == [200, 401, 401]


@row("SEC-08", "SEC-19")
def test_an_address_of_keys_that_is_not_listed_is_never_called(tmp_path: Path) -> None:
    with answering(lambda _: (200, {}, json.dumps(KEY.key_set()).encode())) as listed:
        with answering(lambda _: (200, {}, json.dumps(OTHER_KEY.key_set()).encode())) as unlisted:
            clients = (
                f'version = 1\n[[client]]\nname = "ehr"\nissuers = ["{ISSUER}"]\njwks_url = "{listed.base}/jwks"\n'
            )
            with Site(tmp_path, clients=clients) as site:
                forged = named(OTHER_KEY, kid="x")
                assert _status(site, _token(forged, {"jku": f"{unlisted.base}/jwks"})) == 401
                assert _status(site, _token(header={"jku": f"{listed.base}/jwks"})) == 200
                assert _status(site, _token()) == 200
            assert unlisted.requests == []
        assert len(listed.requests) == 1


@row("SEC-06", "SEC-09", "SEC-26")
def test_keys_are_fetched_seldom_and_a_new_one_is_taken(tmp_path: Path) -> None:
    published = [KEY]
    with answering(
        lambda _: (200, {}, json.dumps({"keys": [k.key_set()["keys"][0] for k in published]}).encode())
    ) as keys:
        clients = f'version = 1\n[[client]]\nname = "ehr"\nissuers = ["{ISSUER}"]\njwks_url = "{keys.base}/jwks"\n'
        with Site(tmp_path, clients=clients) as site:
            assert {_status(site, _token()) for _ in range(10)} == {200}
            assert len(keys.requests) == 1
            published.append(RSA_KEY)
            assert _status(site, _token(RSA_KEY)) == 200
            assert {_status(site, _token(header={"kid": f"flood-{n}"})) for n in range(30)} == {401}
            assert len(keys.requests) <= 4
            assert _status(site, _token(RSA_KEY)) == 200


@row("SEC-17", "SEC-25")
def test_a_token_is_used_once_whoever_of_the_workers_gets_it(site: Site) -> None:
    token = _token(jti="0123456789abcdef" * 4)
    assert _status(site, token) == 200
    assert _status(site, token) == 401
    assert _reason(site, token) == "replayed"  # another process, the same store
    assert _status(site, _token(OTHER_KEY, iss=OTHER_KEY.issuer, jti="0123456789abcdef" * 4)) == 200


@row("SEC-27")
def test_a_token_is_in_no_file_and_no_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Site(tmp_path, as_of=AS_OF, log_level="debug") as site:
        tokens = [_token(), _token(aud="x"), _token(OTHER_KEY)]
        for token in tokens:
            site.server.call(PLANNING, VIEW, headers=_bearer(token))
        files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    printed = capfd.readouterr()
    for token in tokens:
        for part in token.split(".")[1:]:
            assert part not in printed.out + printed.err
            assert part.encode() not in files


@row("SEC-28")
def test_claims_that_nobody_asked_for_are_no_reason(site: Site) -> None:
    assert _status(site, _token(sub="app", nbf=int(time()) - 300, roles=["x"], nested={"a": 1})) == 200


@row("SEC-29")
def test_every_refusal_says_the_same(site: Site) -> None:
    refused = [
        _token(aud="x"),
        _token(exp=1),
        _token(OTHER_KEY),
        _token(iss="https://nobody.example"),
        _token(replace(KEY, jwk=KEY.jwk | {"kid": "unknown"})),
        "no.token.this",
        "",
    ]
    answers = [site.server.call(PLANNING, VIEW, headers=_bearer(token)) for token in refused]
    answers.append(site.server.call(PLANNING, VIEW))
    answers.append(site.server.call(PLANNING, VIEW, headers={"authorization": "Basic eDp5"}))
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    for answer in answers:
        answer.headers.pop("x-call-id", None)  # each refusal has its own
    assert len({tuple(sorted(answer.headers.items())) for answer in answers}) == 1


@row("SEC-33")
def test_who_asked_what_for_whom_is_on_record(site: Site) -> None:
    assert site.call(PLANNING, VIEW).status_code == 200
    (decision,) = list_decisions(f"sqlite:///{site.server.folder}/decisions.sqlite3")
    assert decision.client == "ehr"
    assert decision.service == PLANNING
    assert decision.hook == "patient-view"
    assert decision.hook_instance == VIEW["hookInstance"]
    assert decision.patient == "infant"
    assert decision.outcome == "silent"


@row("SEC-33", "SEC-02")
def test_a_client_does_what_it_is_registered_for(tmp_path: Path) -> None:
    with Site(tmp_path, f'services = ["{PLANNING}"]') as site:
        assert site.call(PLANNING, VIEW).status_code == 200
        order = request_for(ORDERS, "order-select", "ckd4-metformin", AS_OF, "metformin-ckd4-coded")
        assert site.call(ORDERS, order).status_code == 403
        listed = site.server.request("GET", SERVICES, headers=site.signed(SERVICES)).json()["services"]
        assert {entry["id"] for entry in listed} == {PLANNING}


def test_the_keys_of_these_tests_are_made_for_them() -> None:
    assert new_key(ISSUER).jwk["d"] != KEY.jwk["d"]
