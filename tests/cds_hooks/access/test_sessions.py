"""Sessions: what is kept of each, and how they end: after a while, after some hours, and with their account."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from msgspec import structs
from sqlalchemy import select

from cds_hooks.access.accounts import change_password, change_roles, disable_account
from cds_hooks.access.code_flow import LIFETIME_SECONDS, UnderWay, come_back, send_away
from cds_hooks.access.roles import ASSIGNABLE, ROLE_WORDS, Role
from cds_hooks.access.sessions import Lifetimes, Person, Sessions
from cds_hooks.access.store import AccessStore, pending, sessions
from cds_hooks.pages.doors import door_of
from cds_hooks.settings.fields import LoginRole
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.entries import add_event
from tests.cds_hooks.access.browsing import BROWSER, store_of, visit, with_account
from tests.contracts.markup import Page
from tests.live import record_in

ANN = Person("account ann", "Ann", frozenset({"viewer"}), "ann")


class Clock:
    """Seconds that go on when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(tmp_path: Path, clock: Clock) -> Sessions:
    with_account(tmp_path, "ann", "viewer")
    return Sessions(store_of(tmp_path), Lifetimes(idle=900, longest=3600), secure=True, now=clock)


def test_a_session_that_is_used_goes_on_until_its_longest_time(opened: Sessions, clock: Clock) -> None:
    token = opened.begin(ANN)
    for _ in range(5):
        clock.now += 700
        assert opened.visitor(token) is not None
    clock.now += 700
    assert opened.visitor(token) is None


@pytest.mark.parametrize(("longest", "ends_after"), [(1000.0, 1000), (None, 3600), (5000.0, 3600)])
def test_a_person_can_have_a_shorter_session_and_no_longer_one(
    opened: Sessions, clock: Clock, longest: float | None, ends_after: int
) -> None:
    token, begun = opened.begin(structs.replace(ANN, longest=longest)), clock.now
    for seconds in (*range(500, ends_after, 500), ends_after):
        clock.now = begun + seconds
        assert (opened.visitor(token) is not None) is (seconds < ends_after)


def test_a_session_without_a_page_ends_and_its_row_is_gone(opened: Sessions, clock: Clock, tmp_path: Path) -> None:
    token = opened.begin(ANN)
    clock.now += 900
    assert opened.visitor(token) is None
    with store_of(tmp_path).transaction() as connection:
        assert connection.execute(select(sessions)).first() is None


@pytest.mark.parametrize(("longest", "seconds"), [(None, 900), (600, 600)])
def test_the_rows_of_sessions_that_nobody_ended_are_swept_at_the_next_login(
    opened: Sessions, clock: Clock, tmp_path: Path, longest: int | None, seconds: int
) -> None:
    for _ in range(3):
        opened.begin(msgspec.structs.replace(ANN, longest=longest))
    clock.now += seconds
    opened.begin(ANN)
    with store_of(tmp_path).transaction() as connection:
        assert len(connection.execute(select(sessions)).all()) == 1


def test_the_roles_are_those_that_the_account_has_now(opened: Sessions, tmp_path: Path) -> None:
    token = opened.begin(ANN)
    change_roles(store_of(tmp_path), "ann", frozenset({Role.AUDITOR}))
    visitor = opened.visitor(token)
    assert visitor is not None
    assert visitor.roles == {"auditor"}


def test_a_session_that_is_ended_is_gone_and_no_other(opened: Sessions) -> None:
    ended, other = opened.begin(ANN), opened.begin(ANN)
    opened.end(ended)
    assert opened.visitor(ended) is None
    assert opened.visitor(other) is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda store: change_password(store, "ann", "five other plain words"),
        lambda store: disable_account(store, "Ann"),
    ],
)
def test_what_changes_how_an_account_gets_in_ends_its_sessions_and_those_of_nobody_else(
    opened: Sessions, tmp_path: Path, change: Callable[[AccessStore], None]
) -> None:
    with_account(tmp_path, "bob", "viewer")
    opened.begin(ANN)
    of_bob = opened.begin(Person("account bob", "Bob", frozenset({"viewer"}), "bob"))
    change(store_of(tmp_path))
    with store_of(tmp_path).transaction() as connection:
        assert connection.execute(select(sessions.c.account)).scalars().all() == ["bob"]
    assert opened.visitor(of_bob) is not None


def test_a_login_under_way_comes_back_once_in_time_and_in_the_same_browser(clock: Clock, tmp_path: Path) -> None:
    store = store_of(tmp_path)
    what = UnderWay("oidc", "", "verifier", "nonce", "/x")

    def sent() -> str:
        return send_away(store, what, "this browser", clock)

    state = sent()
    assert come_back(store, "oidc", state, "this browser", clock) == what
    assert come_back(store, "oidc", state, "this browser", clock) is None
    assert come_back(store, "oidc", sent(), "another browser", clock) is None
    assert come_back(store, "smart", sent(), "this browser", clock) is None
    assert come_back(store, "oidc", "guessed", "this browser", clock) is None
    state = sent()
    sent()
    clock.now += LIFETIME_SECONDS
    assert come_back(store, "oidc", state, "this browser", clock) is None
    sent()
    with store.transaction() as connection:
        assert len(connection.execute(select(pending)).all()) == 1, "what nobody came back for is swept at its end"


def test_a_store_that_cannot_be_opened_says_so_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "access.sqlite3").write_bytes(b"no database" * 1000)
    with pytest.raises(RecordUnavailable, match="accounts and sessions"), store_of(tmp_path).transaction():
        pass


def _row(tmp_path: Path) -> Any:
    with store_of(tmp_path).transaction() as connection:
        return connection.execute(select(sessions)).one()


def test_a_page_is_noted_every_thirty_seconds_and_a_new_session_replaces_an_old_one(
    opened: Sessions, clock: Clock, tmp_path: Path
) -> None:
    token = opened.begin(Person("a", "A", frozenset({"viewer"})))
    seen = []
    for seconds in (29.9, 0.1, 29.0, 1.0):
        clock.now += seconds
        visitor = opened.visitor(token)
        assert visitor is not None
        assert visitor.bound is None
        seen.append(_row(tmp_path).seen_at)
    assert seen == [1_000_000.0, 1_000_030.0, 1_000_030.0, 1_000_060.0]
    new = opened.begin(Person("b", "B", frozenset({"viewer"})), replacing=token)
    assert (opened.visitor(token), opened.visitor(new) is not None, opened.visitor("")) == (None, True, None)


def test_the_cookies_of_a_session_and_of_a_login_under_way(tmp_path: Path) -> None:
    lifetimes = Lifetimes(1, 1)
    plain, secure = (Sessions(store_of(tmp_path), lifetimes, secure=secure) for secure in (False, True))
    assert (plain.cookie, plain.login_cookie) == ("cds-session", "cds-login")
    assert (secure.cookie, secure.login_cookie) == ("__Host-cds-session", "__Host-cds-login")
    assert plain.set_cookie("t") == "cds-session=t; Path=/; HttpOnly; SameSite=Lax"
    assert secure.set_cookie("t") == "__Host-cds-session=t; Path=/; HttpOnly; SameSite=Lax; Secure"
    assert plain.set_login_cookie("t") == "cds-login=t; Path=/; HttpOnly; SameSite=Lax; Max-Age=600"
    assert secure.drop_cookie("x") == "x=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0"


def test_a_door_leads_to_its_path_and_below_and_nowhere_else() -> None:
    assert door_of("/ops") is not None
    assert door_of("/ops/cards") is not None
    for path in ("/opsx", "/nothing", "", "//", "/explainx/1", "/..", "/OPS"):
        assert door_of(path) is None, path


def test_every_role_has_words_and_the_settings_know_those_that_can_be_given() -> None:
    assert set(ROLE_WORDS) == set(Role)
    assert tuple(ASSIGNABLE) == get_args(LoginRole)


async def _status(folder: Path, role: str, path: str) -> int:
    with_account(folder, "ann", role)
    async with visit(folder) as person:
        assert (await person.log_in("ann")).status_code == 303
        return (await person.open(path)).status_code


async def test_a_page_that_is_in_no_table_is_closed_also_to_an_operator(tmp_path: Path) -> None:
    assert await _status(tmp_path, "operator", "/unknown") == 403


@pytest.mark.parametrize("path", ["/", "/explain/x", "/try", "/metrics", "/models/mortality_5y", "/docs/", "/unknown"])
async def test_without_a_login_every_page_leads_to_it_and_programs_are_told(tmp_path: Path, path: str) -> None:
    async with visit(tmp_path) as person:
        answer = await person.open(path)
        assert answer.status_code == 303
        assert "login?page=" in answer.headers["location"]
        told = await person.calls.get(path, headers={"accept": "application/json"})
        assert told.status_code == 401
        assert told.json()["resourceType"] == "OperationOutcome"
        assert (await person.calls.post(path, headers=BROWSER)).status_code in (401, 403)


async def test_health_static_files_and_the_login_itself_need_no_login(tmp_path: Path) -> None:
    async with visit(tmp_path) as person:
        for path in ("/livez", "/readyz", "/static/look.css", "/login"):
            assert (await person.open(path)).status_code == 200


async def test_hook_calls_are_not_asked_for_a_login(tmp_path: Path) -> None:
    async with visit(tmp_path) as person:
        assert (await person.calls.get("/cds-services")).status_code == 200


async def test_a_program_with_the_operators_token_reads_the_pages_for_programs_and_no_others(tmp_path: Path) -> None:
    token = "operator-token-of-the-tests"  # noqa: S105
    async with visit(tmp_path, operator_token=token) as person:
        bearer = {"authorization": f"Bearer {token}", "accept": "application/json"}
        assert (await person.calls.get("/metrics", headers=bearer)).status_code == 200
        assert (await person.calls.get("/try", headers=bearer)).status_code == 401
        assert (await person.calls.get("/worklist", headers=bearer)).status_code == 401


NEXT_TASKS = {
    "viewer": "rules", "clinician": "worklist", "model-owner": "models", "approver": "rules#waiting",
    "pharmacist": "rules#find", "operator": "try", "auditor": "decisions",
}  # fmt: skip


@pytest.mark.parametrize("role", ASSIGNABLE)
async def test_the_start_page_begins_with_the_next_task_of_a_role_and_every_link_opens(
    tmp_path: Path, role: Role
) -> None:
    with_account(tmp_path, "ann", role)
    async with visit(tmp_path) as person:
        assert (await person.log_in("ann")).status_code == 303
        text = (await person.open("/")).text
        page, own = Page(text), text.partition('<dl class="terms">')[2].partition("</dl>")[0]
        assert re.findall('href="([^"]*)"', own)[0] == NEXT_TASKS[role]
        links = [each.attributes["href"] for each in page.all("a") if "main" in each.path]
        assert ("never verified" in text) == (role in ("operator", "auditor"))
        in_navigation = [each for each in page.all("a") if "nav" in each.path]
        assert len(in_navigation) <= 7
        for link in {link.partition("#")[0] for link in links if not link.startswith("docs/")}:
            assert (await person.open(f"/{link}")).status_code == 200, link


async def test_an_auditor_sees_who_logged_in_and_who_was_shown_which_page(tmp_path: Path) -> None:
    with_account(tmp_path, "ann", "auditor")
    async with visit(tmp_path) as person:
        await person.log_in("ann")
        await person.open("/decisions")
        text = Page((await person.open("/decisions/seen")).text).text
        assert "logged in or out, act in" in text
        assert "was shown a page of patients, page /decisions" in text
        assert "Nothing of this person" in (await person.open("/decisions/seen?who=nobody")).text
        add_event(record_in(tmp_path), "login", "ben", {"act": "in"})
        both, of_ben = [(await person.open(f"/decisions/seen{who}")).text for who in ("", "?who=%20ben%20")]
        who = 'data-label="Who"><span>'
        assert (both.count(who) > 1, of_ben.count(who), of_ben.count(f"{who}ben</span>")) == (True, 1, 1)
