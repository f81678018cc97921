"""The ways into a session in their words: what the form and the gate say, what the log says, and what is refused."""

import re
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.access.accounts import TRIES_FOR_A_NAME
from cds_hooks.access.code_flow import UnderWay, come_back, send_away
from cds_hooks.access.roles import Role
from cds_hooks.pages.doors import DOORS
from cds_hooks.pages.login.views import local_page
from tests.cds_hooks.access.browsing import BROWSER, PASSWORD, entries, form_token, store_of, visit, with_account
from tests.cds_hooks.access.provider import Provider
from tests.cds_hooks.access.test_login import at as at_provider
from tests.cds_hooks.access.test_login import public
from tests.cds_hooks.access.test_smart import ehr
from tests.cds_hooks.calls import client
from tests.cds_hooks.logged import capture_logs
from tests.cds_hooks.pages.given import kept_values
from tests.cds_hooks.pages.test_decisions import trust_file_in

__all__ = ["ehr", "public"]


def _reasons(lines: list[dict[str, Any]], event: str) -> list[tuple[int, str]]:
    return [(line["status"], line["reason"]) for line in lines if line["event"] == event]


async def test_the_form_keeps_the_page_and_the_name_and_says_what_was_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_account(tmp_path, "ann", "viewer")
    with kept_values(monkeypatch) as values:
        async with visit(tmp_path) as person:
            await person.open("/login?page=/ops")
            shown = values["form"]
            assert (shown["page"], shown["name"], shown["problem"]) == ("/ops", "", "")
            assert (shown["by_account"], shown["by_provider"]) == (True, False)
            with capture_logs() as lines:
                answer = await person.log_in(f"  {'n' * 201} ", "wrong", "/worklist")
            assert _reasons(lines, "login refused") == [(403, "wrong-name-or-password")]
            form = values["form"]
            assert (answer.status_code, form["page"], form["name"]) == (403, "/worklist", "n" * 200)
            assert form["problem"] == "The name or the password is not right."
            assert (await person.log_in("ann", "x" * 201)).status_code == 403
            person.calls.cookies.clear()
            late = await person.send("/login", name=" ann ", password=PASSWORD, page="/ops", form_token="x")  # noqa: S106
            assert (late.status_code, values["form"]["name"], values["form"]["page"]) == (403, "ann", "/ops")
            assert values["form"]["problem"] == (
                "The form was too old, or your browser keeps no cookies for this server. Try once more."
            )
            assert (await person.log_in(" ann ")).status_code == 303


async def test_too_many_tries_say_how_long_to_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_account(tmp_path, "ann", "viewer")
    with kept_values(monkeypatch) as values:
        async with visit(tmp_path) as person:
            for _ in range(5):
                await person.log_in("ann", "wrong")
            with capture_logs() as lines:
                answer = await person.log_in("ann")
    assert _reasons(lines, "login refused") == [(429, "too-many-tries")]
    assert (answer.status_code, values["form"]["name"]) == (429, "ann")
    assert values["form"]["problem"] == "Too many logins have failed. Try again in 15 minutes."
    assert 890 <= int(answer.headers["retry-after"]) <= 900


async def test_without_accounts_or_without_a_provider_that_way_is_closed(
    tmp_path: Path, public: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kept_values(monkeypatch) as values:
        async with at_provider(tmp_path, public) as person:
            await person.open("/login")
            form = {"name": "ann", "password": PASSWORD, "form_token": values["form"]["token"]}
            answer = await person.send("/login", **form)
            assert answer.status_code == 403
            assert "This server has no accounts of its own; use your account of the site." in answer.text
            with capture_logs() as lines:
                back = await person.open("/login/back?state=x&code=y")
            assert back.status_code == 403
            assert _reasons(lines, "login refused") == [(403, "state")]
            assert "This login was not begun here" in back.text
    async with visit(tmp_path) as person:
        closed = await person.open("/login/site")
        assert (closed.status_code, "This server has no provider for logins." in closed.text) == (404, True)
        assert (await person.open("/login/back")).status_code == 403


async def test_logging_out_drops_the_cookie_also_where_nobody_was_logged_in(tmp_path: Path) -> None:
    with_account(tmp_path, "ann", "viewer")
    async with visit(tmp_path) as person:
        out = await person.send("/logout", form_token="")
        assert (out.status_code, out.headers["location"]) == (303, "login")
        assert out.headers["set-cookie"].startswith("cds-session=; Path=/")
        assert "Max-Age=0" in out.headers["set-cookie"]
        await person.log_in("ann")
        await person.send("/logout", form_token=form_token(await person.open("/")))
    assert entries(tmp_path, "login") == [
        ("account ann", {"act": "in", "roles": ["viewer"]}),
        ("account ann", {"act": "out"}),
    ]


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("/ops", "/ops"),
        ("/explain/1?a=b&c=d", "/explain/1?a=b&c=d"),
        ("/a//b", "/"),
        ("/a/../b", "/"),
        ("/a b", "/"),
        ("/login", "/"),
        ("/launch", "/"),
        ("/open/1/2", "/"),
        ("ops", "/"),
        ("", "/"),
    ],
)
async def test_a_login_leads_to_a_page_of_this_server(text: str, page: str) -> None:
    assert local_page(text) == page


# A launch by an EHR


@pytest.mark.parametrize("query", ["", "?iss=https://ehr.example", "?launch=1", "?iss=&launch=1"])
async def test_a_launch_names_its_ehr_and_its_launch(tmp_path: Path, query: str) -> None:
    async with client(tmp_path) as calls:
        with capture_logs() as lines:
            answer = await calls.get(f"/launch{query}", headers=BROWSER)
    assert answer.status_code == 403
    assert "An EHR opens this address with iss and launch." in answer.text
    assert "The app was not opened" in answer.text
    assert _reasons(lines, "launch refused") == [(403, "smart")]


async def test_a_launch_of_an_ehr_that_is_not_registered_or_was_not_begun_here_is_refused(tmp_path: Path) -> None:
    async with client(tmp_path) as calls:
        answer = await calls.get("/launch?iss=https://ehr.example&launch=1", headers=BROWSER)
        assert answer.status_code == 403
        assert "registered for no client of this server that may launch it as an app" in answer.text
        with capture_logs() as lines:
            back = await calls.get("/launch/back?state=x&code=y", headers=BROWSER)
        assert (back.status_code, "This login was not begun here" in back.text) == (403, True)
        assert _reasons(lines, "launch refused") == [(403, "state")]


async def test_a_program_without_a_login_is_told_so_and_a_browser_is_sent_to_the_form(tmp_path: Path) -> None:
    async with visit(tmp_path) as person:
        program = await person.calls.get("/ops?days=1", headers={"accept": "application/json"})
        assert (program.status_code, program.headers["www-authenticate"]) == (401, "Bearer")
        assert program.json()["issue"][0]["diagnostics"] == (
            "This page is for people who have logged in, so nothing was shown or done. Open the page in a browser and "
            "log in. Programs send CDS_OPERATOR_TOKEN as bearer to the pages that take it."
        )
        browser = await person.open("/ops?days=1")
        assert (browser.status_code, browser.headers["location"]) == (303, "login?page=/ops%3Fdays%3D1")
        assert browser.headers["cache-control"] == "no-store"
        assert (await person.open("/explain/1")).headers["location"] == "../login?page=/explain/1"
        assert (await person.send("/terminology")).status_code == 401
        other = await person.calls.post("/login", headers={"accept": "text/html", "sec-fetch-site": "cross-site"})
        assert (other.status_code, "The form did not come from a page of this server" in other.text) == (403, True)


async def test_a_session_that_cannot_be_looked_up_shows_nothing(tmp_path: Path) -> None:
    with_account(tmp_path, "ann", "viewer")
    async with visit(tmp_path) as person:
        await person.log_in("ann")
        assert (await person.open("/")).status_code == 200
        (tmp_path / "access.sqlite3").write_bytes(b"no database")
        for beside in ("access.sqlite3-wal", "access.sqlite3-shm"):
            (tmp_path / beside).unlink(missing_ok=True)
        with capture_logs() as lines:
            answer = await person.open("/")
        assert (answer.status_code, "Your login cannot be read" in answer.text) == (503, True)
        assert [line["status"] for line in lines if line["event"] == "record away"] == [503]
        assert (await person.open("/static/look.css")).status_code == 200


async def test_each_view_of_a_patient_is_recorded_with_who_saw_it(tmp_path: Path) -> None:
    token = "operator-token-of-the-tests"  # noqa: S105
    async with visit(tmp_path, operator_token=token) as person:
        headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
        assert (await person.calls.get("/decisions", headers=headers)).status_code == 200
        assert (await person.calls.get("/ops", headers=headers)).status_code == 200
        assert (await person.calls.get("/ops/interfaces", headers=headers)).status_code == 401
        assert (await person.calls.get(f"/explain/{'x' * 400}", headers=headers)).status_code == 404
    assert entries(tmp_path, "page-view") == [("operator", {"page": "/decisions"})]


_CLOSED = [door.path for door in DOORS if door.roles is not None]
_WRONG = "not the right password"


@pytest.mark.parametrize("host", ["evil.example", "cds.example.org"])
async def test_a_redirect_for_a_slash_names_neither_a_host_nor_plain_http(tmp_path: Path, host: str) -> None:
    behind = {"trust_file": trust_file_in(tmp_path), "public_url": "https://cds.example.org"}
    async with visit(tmp_path, **behind) as person:
        for path, target in (
            ("/login/", "../login"),
            ("/open/decision/signature/", "../signature"),
            ("/launch/?iss=a&launch=b", "../launch?iss=a&launch=b"),
            ("//evil.example/login/", None),
            ("/open/decision/a:b/", "../a%3Ab"),
        ):
            answer = await person.calls.get(path, headers=BROWSER | {"host": host})
            location = answer.headers.get("location")
            if target is None:
                assert location is None or not re.match(r"[a-z]+:|//", location), path
                continue
            assert (answer.status_code, location) == (307, target), path
            assert answer.headers["cache-control"] == "no-store"


async def test_a_name_in_other_letters_or_with_spaces_around_it_has_no_more_tries(tmp_path: Path) -> None:
    with_account(tmp_path, "ann", "operator")
    written = ["ann", "ANN", " ann", "ann\t", "\u00a0Ann\u2003"]
    assert len(written) == TRIES_FOR_A_NAME
    async with visit(tmp_path) as person:
        for name in written:
            assert (await person.log_in(name, _WRONG)).status_code == 403, repr(name)
        for name in (*written, "aNN", "\nann\r\n", "\u3000ANN"):
            assert (await person.log_in(name, _WRONG)).status_code == 429, repr(name)
        assert (await person.log_in("ann")).status_code == 429
    async with visit(tmp_path) as person:  # nor with another address behind a header
        forged = {**BROWSER, "x-forwarded-for": "203.0.113.7", "forwarded": "for=203.0.113.7"}
        person.headers = forged
        assert (await person.log_in("ann", _WRONG)).status_code == 429


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "GET "])
async def test_no_method_opens_a_page_without_a_login_or_for_another_role(tmp_path: Path, method: str) -> None:
    with_account(tmp_path, "cat", "clinician")
    async with visit(tmp_path) as person:
        for path in _CLOSED:
            answer = await person.calls.request(method, path, headers=BROWSER)
            assert answer.status_code in (303, 401), path
            assert "set-cookie" not in answer.headers, path
        await person.log_in("cat")
        for door in DOORS:
            if door.roles is not None and Role.CLINICIAN not in door.roles:
                answer = await person.calls.request(method, door.path, headers=BROWSER)
                assert answer.status_code == 403, door.path
    assert entries(tmp_path, "page-view") == []


async def test_a_page_of_patients_that_is_asked_for_without_its_body_is_a_view_on_record(tmp_path: Path) -> None:
    with_account(tmp_path, "cat", "clinician")
    async with visit(tmp_path) as person:
        await person.log_in("cat")
        answer = await person.calls.head("/worklist", headers=BROWSER)
        assert (answer.status_code, answer.content) == (200, b"")
    assert entries(tmp_path, "page-view") == [("account cat", {"page": "/worklist"})]


async def test_no_page_behind_the_login_tells_its_address_to_others_or_is_kept(tmp_path: Path) -> None:
    with_account(tmp_path, "ann", *(role for role in Role if role is not Role.CLINICIAN_LINK))
    async with visit(tmp_path) as person:
        closed = await person.open("/decisions/00000000-0000-7000-8000-000000000000")
        assert closed.headers["cache-control"] == "no-store"
        await person.log_in("ann")
        for path in (*_CLOSED, "/models/mortality_5y", "/rules/renal-metformin", "/decisions"):
            if path in ("/equations", "/docs", "/openapi.json", "/metrics"):
                continue  # nothing of a patient or a person is in their addresses or on them
            answer = await person.open(path)
            sent = {name: answer.headers.get(name) for name in ("referrer-policy", "cache-control")}
            assert sent == {"referrer-policy": "same-origin", "cache-control": "no-store"}, path
            assert answer.headers["x-content-type-options"] == "nosniff", path
            policy = answer.headers["content-security-policy"]
            assert "frame-ancestors 'none'" in policy, path
            assert "form-action 'self'" in policy, path


def test_a_state_of_a_launch_is_worth_nothing_for_a_login_and_is_used_up_by_the_attempt(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    launch = UnderWay("smart", "https://ehr.example.org/fhir", "verifier", "nonce")
    state = send_away(store, launch, "browser")
    assert come_back(store, "oidc", state, "browser") is None
    assert come_back(store, "smart", state, "browser") is None
    again = send_away(store, launch, "browser")
    assert come_back(store, "smart", again, "another browser") is None
    assert come_back(store, "smart", again, "browser") is None
    good = send_away(store, launch, "browser")
    assert come_back(store, "smart", good, "browser") == launch
