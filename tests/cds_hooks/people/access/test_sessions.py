"""Sessions: what is kept of each, and how they end: after a while, after some hours, and with their account."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from cds_hooks.evidence.storage.entries import add_event
from cds_hooks.people.access.accounts import change_password, change_roles, disable_account
from cds_hooks.people.access.code_flow import LIFETIME_SECONDS, UnderWay, come_back, send_away
from cds_hooks.people.access.roles import Role
from cds_hooks.people.access.sessions import Lifetimes, Person, Sessions
from cds_hooks.people.access.store import AccessStore, pending, sessions
from tests.cds_hooks.people.access.browsing import BROWSER, store_of, visit, with_account
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


def test_the_roles_are_those_that_the_account_has_now(opened: Sessions, tmp_path: Path) -> None:
    token = opened.begin(ANN)
    change_roles(store_of(tmp_path), "ann", frozenset({Role.AUDITOR}))
    visitor = opened.visitor(token)
    assert visitor is not None
    assert visitor.roles == {"auditor"}


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
    state = sent()
    for browser in ("another browser", "this browser"):  # the attempt uses it up
        assert come_back(store, "oidc", state, browser, clock) is None
    assert come_back(store, "smart", sent(), "this browser", clock) is None
    assert come_back(store, "oidc", "guessed", "this browser", clock) is None
    state = sent()
    sent()
    clock.now += LIFETIME_SECONDS
    assert come_back(store, "oidc", state, "this browser", clock) is None
    sent()
    with store.transaction() as connection:
        assert len(connection.execute(select(pending)).all()) == 1, "what nobody came back for is swept at its end"


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


async def test_a_program_with_the_operators_token_reads_the_pages_for_programs_and_no_others(tmp_path: Path) -> None:
    token = "operator-token-of-the-tests"  # noqa: S105
    async with visit(tmp_path, operator_token=token) as person:
        bearer = {"authorization": f"Bearer {token}", "accept": "application/json"}
        assert (await person.calls.get("/metrics", headers=bearer)).status_code == 200
        assert (await person.calls.get("/try", headers=bearer)).status_code == 401
        assert (await person.calls.get("/worklist", headers=bearer)).status_code == 401


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
