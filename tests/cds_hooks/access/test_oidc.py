"""Login by the site's OpenID provider, over real HTTP with one made of Authlib, and the attacks on it."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from joserfc.jwk import RSAKey

from cds_hooks.settings import Settings
from cds_hooks.settings.login import read_provider
from tests.cds_hooks.access.browsing import Person, entries, visit
from tests.cds_hooks.access.provider import Provider, described, providing

SECRET = "a-secret-of-the-tests"  # noqa: S105
URL = "http://localhost"


@pytest.fixture(params=[SECRET, None], ids=["with a secret", "as a public client"])
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    with providing(f"{URL}/login/back", request.param) as started:
        yield started


@pytest.fixture
def public() -> Iterator[Provider]:
    with providing(f"{URL}/login/back") as started:
        yield started


@asynccontextmanager
async def at(folder: Path, provider: Provider, **more: Any) -> AsyncIterator[Person]:
    """A person at a server that asks this provider."""
    roles = {"cds-ops": "operator", "auditors": "auditor"}
    async with visit(
        folder, login="oidc", public_url=URL, oidc_file=described(folder, provider, roles, **more)
    ) as person:
        yield person


async def _at_provider(address: str) -> httpx.URL:
    """Where the provider sends the browser, which follows our redirect there."""
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(address)
    assert answer.status_code == 302, answer.text
    return httpx.URL(answer.headers["location"])


async def _come_back(person: Person, page: str = "/") -> httpx.Response:
    sent = await person.calls.get("/login/site", params={"page": page}, headers=person.headers)
    assert sent.status_code == 303, sent.text
    back = await _at_provider(sent.headers["location"])
    return await person.open(back.raw_path.decode())


async def test_a_person_of_the_site_logs_in_with_the_roles_of_their_groups(tmp_path: Path, provider: Provider) -> None:
    provider.person["groups"] = ["others", "cds-ops", "auditors", 7]
    async with at(tmp_path, provider) as person:
        answer = await _come_back(person, "/try")
        assert answer.status_code == 303, answer.text
        assert answer.headers["location"] == "../try"
        assert "Pat Site" in (await person.open("/try")).text
        assert "Log in with your account of the site" in (await person.open("/login")).text
    assert entries(tmp_path, "login") == [("oidc p-1", {"act": "in", "roles": ["auditor", "operator"]})]


async def test_the_request_has_a_state_a_nonce_and_a_challenge_and_none_of_them_twice(
    tmp_path: Path, public: Provider
) -> None:
    seen: list[dict[str, str]] = []
    async with at(tmp_path, public) as person:
        for _ in range(2):
            sent = await person.open("/login/site")
            seen.append(dict(parse_qsl(urlsplit(sent.headers["location"]).query)))
    for name in ("state", "nonce", "code_challenge"):
        assert len({each[name] for each in seen}) == 2
        assert all(len(each[name]) >= 43 for each in seen)
    assert {each["code_challenge_method"] for each in seen} == {"S256"}
    assert {each["redirect_uri"] for each in seen} == {f"{URL}/login/back"}


async def test_an_answer_is_taken_once_and_only_in_the_browser_that_asked(tmp_path: Path, public: Provider) -> None:
    """A state of another browser is a login that somebody else began: login CSRF, or a stolen code."""
    async with at(tmp_path, public) as person:
        sent = await person.open("/login/site")
        back = (await _at_provider(sent.headers["location"])).raw_path.decode()
        kept = dict(person.calls.cookies)
        person.calls.cookies.clear()
        stolen = await person.open(back)
        assert stolen.status_code == 403
        assert "not begun here" in stolen.text
        for name, value in kept.items():
            person.calls.cookies.set(name, value)
        assert (await person.open(back)).status_code == 403  # it was used up by the attempt

        first = await person.open("/login/site")
        back = (await _at_provider(first.headers["location"])).raw_path.decode()
        assert (await person.open(back)).status_code == 303
        assert (await person.open(back)).status_code == 403
        for forged in ("/login/back", "/login/back?code=x", "/login/back?state=x&code=y"):
            assert (await person.open(forged)).status_code == 403


async def test_the_answer_of_another_server_or_one_that_does_not_name_itself_is_refused(
    tmp_path: Path, public: Provider
) -> None:
    """The mix-up attack (RFC 9207)."""
    async with at(tmp_path, public) as person:
        for change in ({"iss": "https://evil.example"}, {}):
            sent = await person.open("/login/site")
            back = await _at_provider(sent.headers["location"])
            query = {name: value for name, value in back.params.items() if name != "iss"} | change
            answer = await person.calls.get("/login/back", params=query, headers=person.headers)
            assert answer.status_code == 403
            assert "another authorization server" in answer.text
    assert "/token" not in [path for path, _ in public.asked]


def _with(**change: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda claims: {**claims, **change}


def _without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda claims: {each: value for each, value in claims.items() if each != name}


SPOILT = {
    "another nonce": _with(nonce="of another login"), "no nonce": _without("nonce"),
    "another issuer": _with(iss="https://evil.example"), "another audience": _with(aud="another client"),
    "two audiences without azp": _with(aud=["cds-hooks-1", "another"]),
    "azp of another": _with(aud=["cds-hooks-1", "another"], azp="another"),
    "expired": _with(exp=int(time.time()) - 3600), "no end": _without("exp"), "no subject": _without("sub"),
    "from the future": _with(iat=int(time.time()) + 3600),
    "another access token": _with(at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
async def test_an_id_token_that_is_not_for_this_login_lets_nobody_in(
    tmp_path: Path, public: Provider, name: str
) -> None:
    public.spoil = SPOILT[name]
    async with at(tmp_path, public) as person:
        answer = await _come_back(person)
        assert answer.status_code == 403, name
        assert "cds-session=" not in str(answer.headers)
        assert (await person.open("/")).status_code == 303


async def test_an_id_token_signed_by_another_key_lets_nobody_in(tmp_path: Path, public: Provider) -> None:
    public.published = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})
    async with at(tmp_path, public) as person:
        assert (await _come_back(person)).status_code == 403


async def test_a_new_key_of_the_provider_is_fetched_when_it_is_first_used(tmp_path: Path, public: Provider) -> None:
    async with at(tmp_path, public) as person:
        assert (await _come_back(person)).status_code == 303
        public.signer = RSAKey.generate_key(2048, {"kid": "k2", "use": "sig"})
        assert (await _come_back(person)).status_code == 303
    assert [path for path, _ in public.asked].count("/keys") == 2


async def test_a_stolen_code_is_worth_nothing_without_the_verifier(tmp_path: Path, public: Provider) -> None:
    async with at(tmp_path, public) as person:
        sent = await person.open("/login/site")
        back = await _at_provider(sent.headers["location"])
    form = {"grant_type": "authorization_code", "code": back.params["code"], "redirect_uri": f"{URL}/login/back"}
    async with httpx.AsyncClient() as thief:
        for more in ({}, {"code_verifier": "x" * 43}):
            body = {**form, "client_id": public.client.client_id, **more}
            answer = await thief.post(f"{public.address}/token", data=body)
            assert answer.status_code == 400


@pytest.mark.parametrize(
    "metadata",
    [{"issuer": "https://evil.example"}, {"code_challenge_methods_supported": ["plain"]},
     {"token_endpoint": "http://evil.example/token"}, {"authorization_endpoint": "javascript:alert(1)"},
     {"token_endpoint": None}],
)  # fmt: skip
async def test_a_provider_that_cannot_be_used_is_named_in_a_sentence(
    tmp_path: Path, public: Provider, metadata: dict[str, Any]
) -> None:
    public.metadata = metadata
    async with at(tmp_path, public) as person:
        answer = await person.open("/login/site")
        assert answer.status_code == 403
        assert "You were not logged in" in answer.text


async def test_a_provider_that_is_away_is_said_so(tmp_path: Path, public: Provider) -> None:
    async with at(tmp_path, public, issuer="http://127.0.0.1:1") as person:
        assert "cannot be reached" in (await person.open("/login/site")).text


@pytest.mark.parametrize("groups", [[], "others", ["others"], None, {"cds-ops": 1}, [["cds-ops"]]])
async def test_a_person_without_a_role_is_not_let_in(tmp_path: Path, public: Provider, groups: Any) -> None:
    public.person["groups"] = groups
    async with at(tmp_path, public) as person:
        answer = await _come_back(person)
        assert answer.status_code == 403
        assert "none of their groups has a role here" in answer.text


async def test_a_hostile_name_of_a_person_is_shown_as_text(tmp_path: Path, public: Provider) -> None:
    public.person["name"] = "<script>alert(1)</script>\u202e"
    async with at(tmp_path, public) as person:
        assert (await _come_back(person)).status_code == 303
        page = (await person.open("/")).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "\u202e" not in page


async def test_accounts_of_the_server_are_not_checked_where_only_the_provider_counts(
    tmp_path: Path, public: Provider
) -> None:
    async with at(tmp_path, public) as person:
        page = await person.open("/login")
        assert 'type="password"' not in page.text


@pytest.mark.parametrize(
    ("given", "said"),
    [({"login": "oidc"}, "needs CDS_OIDC_FILE"), ({"oidc_file": "absent.toml"}, "absent.toml cannot be read"),
     ({"login": "accounts", "explain_pages": "everyone"}, "choose one")],
)  # fmt: skip
def test_settings_that_do_not_fit_are_refused_in_a_sentence(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Settings(**given)


@pytest.mark.parametrize(
    ("line", "fault"),
    [('issuer = "http://login.example"', "https"), ('scopes = "profile"', "scopes"), ("claim = 1", "claim"),
     ("client_id = ''", "client_id"), ("[roles]\nx = 'king'", "roles.x"), ("[roles]", "roles")],
)  # fmt: skip
def test_a_file_of_the_provider_that_does_not_fit_is_refused(tmp_path: Path, line: str, fault: str) -> None:
    whole = {
        "issuer": 'issuer = "https://login.example"',
        "client_id": 'client_id = "cds"',
        "client_secret": 'client_secret = "hidden-word"',
        "[roles]": "[roles]\nx = 'operator'",
    }
    lines = [given for name, given in whole.items() if not line.startswith(name)]
    file = tmp_path / "oidc.toml"
    file.write_text("\n".join([line, *lines] if not line.startswith("[") else [*lines, line]))
    with pytest.raises(ValueError, match=fault) as refused:
        read_provider(file)
    assert "hidden-word" not in str(refused.value)


def _groups_at_userinfo(provider: Provider, **userinfo: Any) -> None:
    """As a provider in its default configuration: groups are not in the ID token."""
    provider.person = {"sub": "p-1", "name": "Pat Site"}
    provider.userinfo = {"sub": "p-1", **userinfo}
    provider.metadata = {"userinfo_endpoint": f"{provider.address}/userinfo"}


async def test_groups_that_the_id_token_lacks_are_read_from_userinfo(tmp_path: Path, provider: Provider) -> None:
    _groups_at_userinfo(provider, groups=["cds-ops"])
    async with at(tmp_path, provider, scopes="openid profile groups") as person:
        assert (await _come_back(person)).status_code == 303
        assert (await person.open("/decisions")).status_code == 200
    (asked,) = [fields for path, fields in provider.asked if path == "/authorize"]
    assert asked["scope"] == "openid profile groups"


@pytest.mark.parametrize("userinfo", [{"sub": "p-2", "groups": ["cds-ops"]}, {"groups": []}, {}])
async def test_userinfo_of_another_person_or_without_groups_lets_nobody_in(
    tmp_path: Path, public: Provider, userinfo: dict[str, Any]
) -> None:
    _groups_at_userinfo(public, **userinfo)
    async with at(tmp_path, public) as person:
        assert (await _come_back(person)).status_code == 403
