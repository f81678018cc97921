"""Logging in with an account, and the attacks on it: cookies, fixation, forged forms, redirects, guessing, timing."""

from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from cds_hooks.access.accounts import TRIES_FOR_A_NAME, check_login, disable_account, hash_password
from cds_hooks.access.store import sessions, tries
from cds_hooks.pages.login.views import local_page
from tests.cds_hooks.access.browsing import BROWSER, PASSWORD, entries, form_token, visit, with_account


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
        assert (await person.open("/")).status_code == 303
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


async def test_the_database_holds_neither_the_cookie_nor_the_password(tmp_path: Path) -> None:
    with_account(tmp_path, "ann", "viewer", password_hash=hash_password(PASSWORD))
    async with visit(tmp_path) as person:
        token = _cookie(await person.log_in("ann")).partition("=")[2].partition(";")[0]
    stored = b"".join(each.read_bytes() for each in tmp_path.glob("access.sqlite3*"))
    assert b"$argon2id$v=19$m=65536,t=3,p=4$" in stored
    assert token.encode() not in stored
    assert PASSWORD.encode() not in stored


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
        assert (await person.open("/")).status_code == 303
        person.calls.cookies.clear()
        person.calls.cookies.set("cds-session", "chosen-by-the-attacker")
        await person.log_in("ann")
        with store.transaction() as connection:
            assert len(connection.execute(select(sessions)).all()) == 2
        person.calls.cookies.clear()
        person.calls.cookies.set("cds-session", "chosen-by-the-attacker")
        assert (await person.open("/")).status_code == 303


async def test_a_form_without_the_token_of_the_session_or_from_another_site_changes_nothing(tmp_path: Path) -> None:
    with_account(tmp_path, "ann", "operator")
    async with visit(tmp_path) as person:
        await person.log_in("ann")
        token = form_token(await person.open("/"))
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
        assert (await person.open("/")).status_code == 200
        opened = (await person.open("/try")).text
        assert token in opened
        fields = {"do": (None, "send")}
        assert (await person.calls.post("/try", files=fields, headers=BROWSER)).status_code == 403


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


@pytest.mark.parametrize(
    "page",
    ["https://evil.example", "//evil.example", "/\\evil.example", "/%0d%0aset-cookie: a=b", "javascript:alert(1)",
     "/x/../../evil", "\n/x", "/x\r\nlocation: https://evil.example", "/login", "/logout", "", "/a//evil.example"],
)  # fmt: skip
async def test_a_login_leads_to_a_page_of_this_server_only(tmp_path: Path, page: str) -> None:
    with_account(tmp_path, "ann", "viewer")
    async with visit(tmp_path) as person:
        answer = await person.log_in("ann", page=page)
    assert answer.status_code == 303
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


def test_a_hash_is_computed_also_for_a_name_that_does_not_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What decides how long an answer takes is counted, because a clock on a busy machine proves nothing."""
    from argon2 import PasswordHasher

    store = with_account(tmp_path, "ann", "viewer", password_hash=hash_password(PASSWORD))
    with_account(tmp_path, "old", "viewer", state="disabled", password_hash=hash_password(PASSWORD))
    compared: list[str] = []
    real = PasswordHasher.verify

    def count(self: PasswordHasher, hashed: str, password: str) -> bool:
        compared.append(hashed.partition(",p=")[0])
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
        assert (await person.open("/")).status_code == 200
        disable_account(store, "ann")
        assert (await person.open("/")).status_code == 303


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


def test_each_hash_has_a_salt_of_its_own() -> None:
    assert hash_password(PASSWORD) != hash_password(PASSWORD)
