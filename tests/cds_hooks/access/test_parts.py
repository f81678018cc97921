"""Logins by themselves: passwords, tries, codes, states, and the answers of a provider, on and beside each limit."""

from datetime import UTC, datetime
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from cds_hooks.access.code_flow import (
    FlowFailed,
    Provider,
    _base64_url,
    _check_claims,
    _signing_key,
    authorization_address,
    code_of,
    provider_of,
    redeem,
)
from cds_hooks.access.oidc import json_object
from cds_hooks.access.passwords import password_fault
from cds_hooks.access.pending import UnderWay, come_back, send_away
from cds_hooks.access.recorded_acts import RecordedAccount, _compare
from cds_hooks.access.store import AccessStore, tries
from cds_hooks.access.throttle import TooManyTries, _subject, address_of_client, count_try, forgive
from cds_hooks.settings.checks import networks_of
from tests.live import record_in

NOW = datetime(2026, 11, 20, 9, tzinfo=UTC).timestamp()


@pytest.fixture
def store(tmp_path: Path) -> AccessStore:
    return AccessStore(record_in(tmp_path))


@pytest.mark.parametrize(
    ("password", "name", "begins"),
    [
        ("correct horse batt", "ann", None),
        ("abcdefghijklmno", "ann", None),
        ("abcdefghijklmn", "ann", "The password has 14 characters"),
        ("horse staple " * 15 + "12345", "ann", None),
        ("horse staple " * 15 + "123456", "ann", "The password has 201 characters"),
        ("aaaabbbbccccdddd", "ann", "The password repeats"),
        ("correct horse Anna", "anna", "The password repeats"),
        ("correct horse ann", "ann", None),
        ("passwordpassword", "ann", "The password is made of one or two"),
        ("password-password-1", "ann", "The password is made of one or two"),
    ],
)
def test_a_password_is_long_and_not_common(password: str, name: str, begins: str | None) -> None:
    fault = password_fault(password, name)
    assert (fault is None) if begins is None else (fault or "").startswith(begins)


def test_after_five_failures_a_name_waits_for_a_quarter_of_an_hour(store: AccessStore) -> None:
    now = [NOW]
    waits = [count_try(store, "ann", f"10.0.0.{number}", lambda: now[0]).wait_seconds for number in range(5)]
    assert waits == pytest.approx([0.0, 0.0, 0.0, 0.1, 0.2])
    now[0] += 899
    with pytest.raises(TooManyTries) as refused:
        count_try(store, "Ann", "10.0.0.9", lambda: now[0])
    assert refused.value.seconds == pytest.approx(1.0)
    now[0] += 1
    count_try(store, "ann", "10.0.0.9", lambda: now[0])


def test_after_a_hundred_failures_an_address_waits_and_this_machine_only_slows_down(store: AccessStore) -> None:
    with store.transaction() as connection:
        for address in ("10.0.0.1", "127.0.0.1"):
            subject = _subject("address", address)
            rows = [{"id": f"{address} {number}", "subject": subject, "at": NOW} for number in range(99)]
            connection.execute(insert(tries), rows)
    assert count_try(store, "a", "10.0.0.1", lambda: NOW).wait_seconds == 4.0
    with pytest.raises(TooManyTries):
        count_try(store, "b", "10.0.0.1", lambda: NOW)
    waits = [count_try(store, name, "127.0.0.1", lambda: NOW).wait_seconds for name in ("c", "d")]
    assert waits == [4.0, 4.0]
    assert count_try(store, "e", "10.0.0.2", lambda: NOW).wait_seconds == 0.0


def test_who_has_logged_in_is_forgiven(store: AccessStore) -> None:
    attempts = [count_try(store, "ann", "10.0.0.1", lambda: NOW) for _ in range(5)]
    with store.transaction() as connection:
        forgive(connection, "Ann", attempts[0])
    assert count_try(store, "ann", "10.0.0.1", lambda: NOW).wait_seconds == 0.0


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "address"),
    [
        ("10.0.0.1", "1.2.3.4", "", "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4", "10.0.0.0/8", "1.2.3.4"),
        ("10.0.0.1", "9.9.9.9, 1.2.3.4, 10.0.0.2", "10.0.0.0/8", "1.2.3.4"),
        ("8.8.8.8", "1.2.3.4", "10.0.0.0/8", "8.8.8.8"),
        ("", "1.2.3.4", "10.0.0.0/8", "1.2.3.4"),
        ("10.0.0.1", "", "10.0.0.0/8", "10.0.0.1"),
        ("x" * 65, "", "", "x" * 64),
    ],
)
def test_the_address_that_counts_is_the_nearest_that_is_no_proxy(
    peer: str, forwarded: str, proxies: str, address: str
) -> None:
    assert address_of_client(peer, forwarded, networks_of(proxies)) == address


def test_a_state_comes_back_once_in_its_browser_and_in_time(store: AccessStore) -> None:
    login = UnderWay("oidc", "https://issuer.example", "v", "n", "/worklist")
    now = [NOW]

    def sent() -> str:
        return send_away(store, login, "cookie", lambda: now[0])

    state = sent()
    assert come_back(store, "oidc", state, "cookie", lambda: NOW + 599) == login
    assert come_back(store, "oidc", state, "cookie", lambda: NOW) is None, "it is used up"
    assert come_back(store, "smart", sent(), "cookie", lambda: NOW) is None
    assert come_back(store, "oidc", sent(), "another", lambda: NOW) is None
    assert come_back(store, "oidc", sent(), "cookie", lambda: NOW + 600) is None
    assert come_back(store, "oidc", "unknown", "cookie", lambda: NOW) is None
    old = sent()
    now[0] += 600
    sent()
    assert come_back(store, "oidc", old, "cookie", lambda: NOW) is None, "what is over is deleted"


def test_an_account_is_as_the_recorded_acts_left_it() -> None:
    row = RecordedAccount(frozenset({"viewer"}), "active")
    assert _compare("ann", row, row) == ""
    assert _compare("ann", row, None) == "the account ann (viewer) was made by no recorded act"
    assert _compare("ann", row, RecordedAccount(frozenset({"viewer"}), "disabled")) == (
        "the account ann is active with the roles viewer; the recorded acts left it disabled with viewer"
    )


# The answers of a provider

DOCUMENT = {
    "issuer": "https://id.example",
    "authorization_endpoint": "https://id.example/authorize",
    "token_endpoint": "https://id.example/token",
    "jwks_uri": "https://id.example/keys",
}
PROVIDER = Provider(
    "https://id.example", "https://id.example/authorize", "https://id.example/token", "https://id.example/keys", "us"
)


def test_a_provider_is_read_from_its_document() -> None:
    assert provider_of(DOCUMENT, "us", None) == PROVIDER
    more = DOCUMENT | {
        "authorization_response_iss_parameter_supported": True, "userinfo_endpoint": "https://id.example/who",
        "code_challenge_methods_supported": ["plain", "S256"],
    }  # fmt: skip
    read = provider_of(more, "us", "secret", issuer="https://other.example")
    assert (read.issuer, read.secret, read.names_itself, read.userinfo) == (
        "https://other.example", "secret", True, "https://id.example/who",
    )  # fmt: skip
    assert not provider_of(more | {"authorization_response_iss_parameter_supported": "true"}, "us", None).names_itself
    assert provider_of(DOCUMENT | {"authorization_endpoint": "https://id.example/a?x=1"}, "us", None).authorize


@pytest.mark.parametrize(
    "changed",
    [
        {"token_endpoint": None},
        {"token_endpoint": 7},
        {"authorization_endpoint": "http://id.example/authorize"},
        {"jwks_uri": "ftp://id.example"},
        {"userinfo_endpoint": ""},
        {"code_challenge_methods_supported": ["plain"]},
    ],
)
def test_a_document_that_cannot_be_used_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(FlowFailed):
        provider_of(DOCUMENT | changed, "us", None)


def test_the_browser_is_sent_with_a_challenge() -> None:
    address = authorization_address(PROVIDER, "https://cds.example/back", "openid", "st", "verifier", "no", aud="f")
    challenge = _base64_url(sha256(b"verifier").digest())
    assert address == (
        "https://id.example/authorize?response_type=code&client_id=us&redirect_uri=https%3A%2F%2Fcds.example%2Fback"
        f"&scope=openid&state=st&nonce=no&code_challenge={challenge}&code_challenge_method=S256&aud=f"
    )
    query = Provider("i", "https://id.example/a?x=1", "t", "k", "us")
    assert authorization_address(query, "r", "s", "st", "v", "n").startswith("https://id.example/a?x=1&response_type")


NAMED = Provider("https://id.example", "a", "t", "k", "us", names_itself=True)


@pytest.mark.parametrize(
    ("query", "provider", "fault"),
    [
        ({"code": "c"}, PROVIDER, None),
        ({"code": "c", "iss": "https://id.example"}, NAMED, None),
        ({"code": "c"}, NAMED, "another authorization server"),
        ({"code": "c", "iss": "https://evil.example"}, PROVIDER, "another authorization server"),
        ({"code": "c", "error": "access_denied"}, PROVIDER, "did not let this person in"),
        ({}, PROVIDER, "sent no code"),
        ({"code": ""}, PROVIDER, "sent no code"),
    ],
)
def test_a_code_is_taken_from_the_server_that_was_asked(query: Any, provider: Provider, fault: str | None) -> None:
    if fault is None:
        assert code_of(query, provider) == "c"
        return
    with pytest.raises(FlowFailed, match=fault):
        code_of(query, provider)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_code_is_redeemed_with_the_id_in_the_form_or_with_the_secret_in_a_header() -> None:
    sent: list[Any] = []

    async def fetch(address: str, form: Any, headers: Any) -> dict[str, Any]:
        sent.append((address, form, headers))
        return {"id_token": "t"}

    form = {"grant_type": "authorization_code", "code": "c", "redirect_uri": "r", "code_verifier": "v"}
    assert await redeem(fetch, PROVIDER, "c", "r", "v") == {"id_token": "t"}
    await redeem(fetch, Provider("i", "a", "https://id.example/token", "k", "us", "p:w"), "c", "r", "v")
    assert sent == [
        ("https://id.example/token", form | {"client_id": "us"}, {"accept": "application/json"}),
        ("https://id.example/token", form, {"accept": "application/json", "authorization": "Basic dXM6cCUzQXc="}),
    ]


HALF = {"ES256": sha256(b"at").digest()[:16], "EdDSA": sha512(b"at").digest()[:32]}


@pytest.mark.parametrize(
    ("claims", "algorithm", "is_good"),
    [
        ({"nonce": "n", "aud": "us"}, "ES256", True),
        ({"nonce": "x", "aud": "us"}, "ES256", False),
        ({"nonce": "n", "aud": ["us"]}, "ES256", True),
        ({"nonce": "n", "aud": ["us", "other"]}, "ES256", False),
        ({"nonce": "n", "aud": ["us", "other"], "azp": "us"}, "ES256", True),
        ({"nonce": "n", "aud": "us", "azp": "other"}, "ES256", False),
        ({"nonce": "n", "aud": "us", "at_hash": _base64_url(HALF["ES256"])}, "ES256", True),
        ({"nonce": "n", "aud": "us", "at_hash": _base64_url(HALF["EdDSA"])}, "EdDSA", True),
        ({"nonce": "n", "aud": "us", "at_hash": _base64_url(HALF["EdDSA"])}, "ES256", False),
    ],
)
def test_an_id_token_is_of_this_login_this_client_and_this_access_token(
    claims: dict[str, Any], algorithm: str, *, is_good: bool
) -> None:
    if is_good:
        _check_claims(claims, algorithm, "us", "n", "at")
    else:
        with pytest.raises(ValueError, match="it is"):
            _check_claims(claims, algorithm, "us", "n", "at")
    if claims.get("nonce") == "n":
        _check_claims({"nonce": "n", "aud": "us", "at_hash": "x"}, algorithm, "us", "n", None)


def test_a_key_that_is_not_the_one_that_signed_is_refused() -> None:
    for header in ({"crit": [], "alg": "ES256"}, {"alg": "ES256"}, {"alg": "HS256"}):
        with pytest.raises(ValueError, match=r"no extension|no key"):
            _signing_key(header, {"keys": []})


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (500, b"{}", "The authorization server refused: it answered 500."),
        (201, b"{}", "The authorization server refused: it answered 201."),
        (200, b"{", "The authorization server's answer is no JSON."),
        (200, b"[]", "The authorization server's answer is no JSON object."),
    ],
)
def test_an_answer_of_an_authorization_server_is_a_json_object(status: int, body: bytes, fault: str) -> None:
    with pytest.raises(FlowFailed) as refused:
        json_object(status, body)
    assert str(refused.value) == fault
    assert json_object(200, b'{"a":1}') == {"a": 1}
