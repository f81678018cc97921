"""Logging in with an account, and the attacks on it: cookies, fixation, forged forms, redirects, guessing, timing."""

import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import RSAKey
from sqlalchemy import select

from cds_hooks.people.access.accounts import TRIES_FOR_A_NAME, check_login, disable_account, hash_password
from cds_hooks.people.access.store import sessions, tries
from cds_hooks.people.pages.login.views import local_page
from tests.cds_hooks.people.access.browsing import BROWSER, PASSWORD, Person, entries, form_token, visit, with_account
from tests.cds_hooks.people.access.provider import Provider, described, providing
from tests.live import serving_here
from tests.waiting import MOST_SECONDS


def _cookie(answer: httpx.Response) -> str:
    (field,) = [each for each in answer.headers.get_list("set-cookie") if "cds-session=" in each]
    return field


async def test_a_person_logs_in_comes_to_the_page_they_wanted_and_logs_out(tmp_path: Path) -> None:
    with_account(tmp_path, "ann", "operator")
    async with visit(tmp_path) as person:
        asked = await person.open("/models/mortality_5y?x=1")
        assert asked.headers["location"] == "../login?page=/models/mortality_5y%3Fx%3D1"
        answer = await person.log_in("Ann", page="/models/mortality_5y?x=1")
        assert answer.status_code == 303
        assert answer.headers["location"] == "./models/mortality_5y?x=1"
        page = await person.open("/models/mortality_5y")
        assert page.status_code == 200
        assert "Ann Example" in page.text
        assert "Open development profile" not in page.text
        out = await person.send("/logout", form_token=form_token(page))
        assert out.status_code == 303
        assert (await person.open("/docs/")).status_code == 303
    assert [(actor, detail["act"]) for actor, detail in entries(tmp_path, "login")] == [
        ("account ann", "in"),
        ("account ann", "out"),
    ]


@pytest.mark.parametrize(
    ("url", "name"), [("http://localhost", "cds-session"), ("https://x.test", "__Host-cds-session")]
)
async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites_and_of_plain_http(
    tmp_path: Path, url: str, name: str
) -> None:
    with_account(tmp_path, "ann", "viewer")
    async with visit(tmp_path, public_url=url) as person:
        person.calls.base_url = url
        field = _cookie(await person.log_in("ann"))
    value, *rest = field.split("; ")
    assert value.startswith(f"{name}=")
    assert len(value.partition("=")[2]) >= 43
    assert {"Path=/", "HttpOnly", "SameSite=Lax"} <= set(rest)
    assert ("Secure" in rest) is url.startswith("https")
    assert not any(each.startswith(("Domain", "Max-Age", "Expires")) for each in rest)


async def test_a_session_that_was_there_before_the_login_is_worth_nothing_after_it(tmp_path: Path) -> None:
    """Session fixation: the attacker's own session, put into the victim's browser."""
    store = with_account(tmp_path, "ann", "operator")
    with_account(tmp_path, "eve", "viewer")
    async with visit(tmp_path) as person:
        planted = _cookie(await person.log_in("eve")).partition("=")[2].partition(";")[0]
        after = _cookie(await person.log_in("ann")).partition("=")[2].partition(";")[0]
        assert after != planted
        person.calls.cookies.clear()
        person.calls.cookies.set("cds-session", planted)
        assert (await person.open("/docs/")).status_code == 303
        person.calls.cookies.clear()
        person.calls.cookies.set("cds-session", "chosen-by-the-attacker")
        await person.log_in("ann")
        with store.transaction() as connection:
            assert len(connection.execute(select(sessions)).all()) == 2
        person.calls.cookies.clear()
        person.calls.cookies.set("cds-session", "chosen-by-the-attacker")
        assert (await person.open("/docs/")).status_code == 303


async def test_a_form_without_the_token_of_the_session_or_from_another_site_changes_nothing(tmp_path: Path) -> None:
    with_account(tmp_path, "ann", "operator")
    async with visit(tmp_path) as person:
        await person.log_in("ann")
        token = form_token(await person.open("/docs/"))
        for wrong in ({"page": ""}, {"form_token": "x"}, {"form_token": token[:-1]}):
            assert (await person.send("/logout", **wrong)).status_code == 403
        for headers in (
            {"accept": "text/html", "sec-fetch-site": "cross-site"},
            {"accept": "text/html", "sec-fetch-site": "same-site"},
            {"accept": "text/html", "origin": "https://evil.example"},
            {"accept": "text/html", "origin": "null"},
            {"accept": "text/html", "origin": "http://["},
        ):
            answer = await person.calls.post("/logout", data={"form_token": token}, headers=headers)
            assert answer.status_code == 403
        assert (await person.open("/docs/")).status_code == 200
        opened = (await person.open("/try")).text
        assert token in opened
        fields = {"do": (None, "send")}
        assert (await person.calls.post("/try", files=fields, headers=BROWSER)).status_code == 403


PAGES = (
    "https://evil.example", "//evil.example", "/\\evil.example", "/%0d%0aset-cookie: a=b", "javascript:alert(1)",
    "/x/../../evil", "\n/x", "/x\r\nlocation: https://evil.example", "/login", "/logout", "", "/a//evil.example",
)  # fmt: skip


async def test_a_login_leads_to_a_page_of_this_server_only(tmp_path: Path) -> None:
    with_account(tmp_path, "ann", "viewer")
    async with visit(tmp_path) as person:
        for page in PAGES:
            answer = await person.log_in("ann", page=page)
            assert answer.status_code == 303, page
            target = httpx.URL("http://localhost/login").join(answer.headers["location"])
            assert target.host == "localhost"
            assert not str(answer.headers["location"]).startswith(("/", "http"))


@given(st.text(max_size=60))
def test_whatever_page_is_named_the_way_back_stays_at_this_server(text: str) -> None:
    page = local_page(text)
    assert page.startswith("/")
    assert httpx.URL("http://localhost/login/back").join(f"../{page[1:]}").host == "localhost"


async def test_a_wrong_name_a_wrong_password_and_a_disabled_account_get_the_same_answer(tmp_path: Path) -> None:
    with_account(tmp_path, "ann", "viewer")
    with_account(tmp_path, "old", "viewer", state="disabled")
    texts = set()
    async with visit(tmp_path) as person:
        for name, password in (("nobody", PASSWORD), ("ann", "wrong"), ("old", PASSWORD)):
            answer = await person.log_in(name, password)
            assert answer.status_code == 403
            assert "The name or the password is not right." in answer.text
            told = answer.text.replace(form_token(answer), "").replace(name, "")
            texts.add(told)
    assert len(texts) == 1


async def test_another_site_cannot_log_a_browser_in_under_the_attackers_name(tmp_path: Path) -> None:
    with_account(tmp_path, "eve", "viewer")
    async with visit(tmp_path) as person:
        page = await person.open("/login")
        forged = {"name": "eve", "password": PASSWORD, "form_token": form_token(page)}
        answer = await person.calls.post("/login", data=forged, headers=BROWSER | {"sec-fetch-site": "cross-site"})
        assert answer.status_code == 403
        person.calls.cookies.clear()  # the attacker's form has the attacker's token, the browser another cookie
        answer = await person.send("/login", **forged)
        assert answer.status_code == 403
        assert "cds-session=" not in str(answer.headers)


def test_a_hash_is_computed_also_for_a_name_that_does_not_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What decides how long an answer takes is counted, because a clock on a busy machine proves nothing."""
    store = with_account(tmp_path, "ann", "viewer", password_hash=hash_password(PASSWORD))
    with_account(tmp_path, "old", "viewer", state="disabled", password_hash=hash_password(PASSWORD))
    compared: list[str] = []
    real = PasswordHasher.verify

    def count(self: PasswordHasher, hashed: str | bytes, password: str | bytes) -> Literal[True]:
        compared.append(str(hashed).partition(",p=")[0])
        return real(self, hashed, password)

    monkeypatch.setattr(PasswordHasher, "verify", count)
    for name in ("ann", "old", "nobody"):
        check_login(store, name, "wrong")
    assert len(compared) == 3
    assert len(set(compared)) == 1


async def test_guessing_ends_after_five_tries_for_a_name_whether_it_exists_or_not(tmp_path: Path) -> None:
    store = with_account(tmp_path, "ann", "viewer")
    async with visit(tmp_path) as person:
        for name in ("ann", "nobody"):
            for _ in range(TRIES_FOR_A_NAME):
                assert (await person.log_in(name, "wrong")).status_code == 403
            answer = await person.log_in(name)
            assert answer.status_code == 429
            assert int(answer.headers["retry-after"]) > 0
            assert "Try again in 15 minutes" in answer.text
    with store.transaction() as connection:
        assert not any(b"ann" in row.subject for row in connection.execute(select(tries)))


async def test_tries_at_the_same_moment_are_counted_before_they_are_checked(tmp_path: Path) -> None:
    import asyncio

    with_account(tmp_path, "ann", "viewer")
    async with visit(tmp_path) as person:
        shown = await person.open("/login")
        fields = {"name": "ann", "password": "wrong", "page": "/", "form_token": form_token(shown)}
        cookies = dict(person.calls.cookies)
        header = "; ".join(f"{name}={value}" for name, value in cookies.items())
        answers = await asyncio.gather(
            *(person.calls.post("/login", data=fields, headers=BROWSER | {"cookie": header}) for _ in range(12))
        )
    assert sorted(answer.status_code for answer in answers) == [403] * TRIES_FOR_A_NAME + [429] * 7


@pytest.mark.slow
def test_sixty_logins_at_once_leave_the_loop_to_probes_and_whoever_has_to_wait_is_told_for_how_long(
    tmp_path: Path,
) -> None:
    """What is counted is the processor time of the loop's thread: a clock on a busy machine proves nothing."""
    hashed = hash_password(PASSWORD)
    for number in range(60):
        with_account(tmp_path, f"p{number}", "viewer", password_hash=hashed)
    with serving_here(tmp_path, login="accounts") as address, ThreadPoolExecutor(60) as people:
        shown = httpx.get(f"{address}/login", headers=BROWSER)
        headers = BROWSER | {"cookie": shown.headers["set-cookie"].partition(";")[0]}
        form = {"password": PASSWORD, "page": "/", "form_token": form_token(shown)}

        def log_in(number: int) -> httpx.Response:
            fields = form | {"name": f"p{number}"}
            return httpx.post(f"{address}/login", data=fields, headers=headers, timeout=MOST_SECONDS)

        logins = [people.submit(log_in, number) for number in range(60)]
        loop = next(thread for thread in threading.enumerate() if thread.name == address)
        clock, longest, probes = time.pthread_getcpuclockid(cast("int", loop.ident)), 0.0, 0
        while not all(login.done() for login in logins):
            begun = time.clock_gettime(clock)
            assert httpx.get(f"{address}/livez", timeout=30).status_code == 200
            longest, probes = max(longest, time.clock_gettime(clock) - begun), probes + 1
        answers = Counter((login.result().status_code, "retry-after" in login.result().headers) for login in logins)
    assert set(answers) <= {(303, False), (503, True)}
    assert answers[303, False] >= 16
    assert longest < 0.5, probes  # the hashes alone take six seconds, and what is read of sixty forms a tenth of one


async def test_a_login_that_succeeds_forgives_the_failures_before_it(tmp_path: Path) -> None:
    with_account(tmp_path, "ann", "viewer")
    async with visit(tmp_path) as person:
        for _ in range(3):
            for _ in range(TRIES_FOR_A_NAME - 1):
                assert (await person.log_in("ann", "wrong")).status_code == 403
            assert (await person.log_in("ann")).status_code == 303


async def test_an_account_that_is_disabled_is_out_at_its_next_page(tmp_path: Path) -> None:
    store = with_account(tmp_path, "ann", "viewer")
    async with visit(tmp_path) as person:
        await person.log_in("ann")
        assert (await person.open("/docs/")).status_code == 200
        disable_account(store, "ann")
        assert (await person.open("/docs/")).status_code == 303


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x>', "a" * 5000, "\x00", "ann\u202e"])
async def test_a_hostile_name_comes_back_as_text_or_not_at_all(tmp_path: Path, name: str) -> None:
    async with visit(tmp_path) as person:
        answer = await person.log_in(name, "wrong")
        assert answer.status_code == (400 if "\x00" in name else 403)
        assert "<script>alert" not in answer.text
        assert "<img src=x" not in answer.text
        assert len(answer.text) < 20_000


async def test_no_header_of_a_request_makes_the_gate_believe_that_it_has_decided(tmp_path: Path) -> None:
    async with visit(tmp_path) as person:
        answer = await person.calls.get(
            "/metrics", headers={"cds_hooks.admitted": "1", "cookie": "cds-session=; \x01=2"}
        )
        assert answer.status_code == 401


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


async def visiting_provider(address: str) -> httpx.URL:
    """Where the provider sends the browser, which follows our redirect there."""
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(address)
    assert answer.status_code == 302, answer.text
    return httpx.URL(answer.headers["location"])


async def _come_back(person: Person, page: str = "/") -> httpx.Response:
    sent = await person.calls.get("/login/site", params={"page": page}, headers=person.headers)
    assert sent.status_code == 303, sent.text
    back = await visiting_provider(sent.headers["location"])
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
        back = (await visiting_provider(sent.headers["location"])).raw_path.decode()
        kept = dict(person.calls.cookies)
        person.calls.cookies.clear()
        stolen = await person.open(back)
        assert stolen.status_code == 403
        assert "not started here" in stolen.text
        for name, value in kept.items():
            person.calls.cookies.set(name, value)
        assert (await person.open(back)).status_code == 403  # it was used up by the attempt

        first = await person.open("/login/site")
        back = (await visiting_provider(first.headers["location"])).raw_path.decode()
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
            back = await visiting_provider(sent.headers["location"])
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


async def test_an_id_token_that_is_not_for_this_login_lets_nobody_in(tmp_path: Path, public: Provider) -> None:
    async with at(tmp_path, public) as person:
        for name, public.spoil in SPOILT.items():
            answer = await _come_back(person)
            assert answer.status_code == 403, name
            assert "cds-session=" not in str(answer.headers)
            assert (await person.open("/docs/")).status_code == 303


async def test_an_id_token_signed_by_another_key_lets_nobody_in(tmp_path: Path, public: Provider) -> None:
    public.published = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})
    async with at(tmp_path, public) as person:
        assert (await _come_back(person)).status_code == 403


METADATA: list[dict[str, Any]] = [
    {"issuer": "https://evil.example"}, {"code_challenge_methods_supported": ["plain"]},
    {"token_endpoint": "http://evil.example/token"}, {"authorization_endpoint": "javascript:alert(1)"},
    {"token_endpoint": None},
]  # fmt: skip


async def test_a_provider_that_cannot_be_used_is_named_in_a_sentence(tmp_path: Path, public: Provider) -> None:
    for public.metadata in METADATA:
        async with at(tmp_path, public) as person:
            answer = await person.open("/login/site")
            assert answer.status_code == 403, public.metadata
            assert "You were not logged in" in answer.text


async def test_a_person_without_a_role_is_not_let_in(tmp_path: Path, public: Provider) -> None:
    async with at(tmp_path, public) as person:
        for groups in ([], "others", ["others"], None, {"cds-ops": 1}, [["cds-ops"]]):
            public.person["groups"] = groups
            answer = await _come_back(person)
            assert answer.status_code == 403, groups
            assert "none of their groups has a role here" in answer.text


async def test_a_hostile_name_of_a_person_is_shown_as_text(tmp_path: Path, public: Provider) -> None:
    public.person["name"] = "<script>alert(1)</script>\u202e"
    async with at(tmp_path, public) as person:
        assert (await _come_back(person)).status_code == 303
        page = (await person.open("/docs/")).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "\u202e" not in page


def _groups_at_userinfo(provider: Provider, **userinfo: Any) -> None:
    """As a provider in its default configuration: groups are not in the ID token."""
    provider.person = {"sub": "p-1"}
    provider.userinfo = {"sub": "p-1", **userinfo}
    provider.metadata = {"userinfo_endpoint": f"{provider.address}/userinfo"}


async def test_groups_that_the_id_token_lacks_are_read_from_userinfo(tmp_path: Path, provider: Provider) -> None:
    _groups_at_userinfo(provider, groups=["cds-ops"])
    async with at(tmp_path, provider, scopes="openid profile groups") as person:
        assert (await _come_back(person)).status_code == 303
        shown = await person.open("/decisions")
        assert (shown.status_code, "p-1" in shown.text) == (200, True)  # who has no name is called by the subject
    (asked,) = [fields for path, fields in provider.asked if path == "/authorize"]
    assert asked["scope"] == "openid profile groups"


@pytest.mark.parametrize("userinfo", [{"sub": "p-2", "groups": ["cds-ops"]}, {"groups": []}, {}, None])
async def test_userinfo_of_another_person_or_without_groups_lets_nobody_in(
    tmp_path: Path, public: Provider, userinfo: dict[str, Any] | None
) -> None:
    _groups_at_userinfo(public, **userinfo or {})
    if userinfo is None:  # nor does the provider say more than the ID token
        public.metadata = {}
    async with at(tmp_path, public) as person:
        answer = await _come_back(person)
    is_other = userinfo is not None and "sub" in userinfo
    assert (answer.status_code, "none of their groups" in answer.text) == (403, not is_other)
