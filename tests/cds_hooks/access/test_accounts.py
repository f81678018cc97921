"""Accounts and sessions row by row: what is kept of each, and what is refused in which words."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select, text, update

from cds_hooks.access.accounts import (
    Account,
    AccountRefused,
    add_account,
    change_password,
    check_login,
    disable_account,
    enable_account,
    list_accounts,
    parse_roles,
)
from cds_hooks.access.code_flow import FlowFailed, Provider, verified_claims
from cds_hooks.access.oidc import fetch_json
from cds_hooks.access.passwords import password_fault, verifies
from cds_hooks.access.recorded_acts import wrong_accounts
from cds_hooks.access.roles import Role
from cds_hooks.access.sessions import Lifetimes, Person, Sessions
from cds_hooks.access.store import accounts, sessions, tries
from cds_hooks.access.throttle import count_try
from cds_hooks.web.visitor import PatientBound
from tests.cds_hooks.access.browsing import PASSWORD, store_of, with_account
from tests.cds_hooks.security.servers import answering
from tests.live import record_in

WORDS = "four plain words together"


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (["viewer", " auditor "], None),
        (["viewer", "", "  "], None),
        (["viewer", "boss"], "'boss' is no role that an account can have"),
        (["clinician-link"], "'clinician-link' is no role that an account can have"),
        (["x" * 50], f"{'x' * 40!r} is no role that an account can have"),
        ([], "An account needs a role"),
        ([" "], "An account needs a role"),
    ],
)
def test_roles_are_read_by_their_names(names: list[str], fault: str | None) -> None:
    if fault is None:
        assert parse_roles(names) == {Role(name.strip()) for name in names if name.strip()}
        return
    with pytest.raises(AccountRefused) as refused:
        parse_roles(names)
    every = "viewer, clinician, model-owner, approver, pharmacist, operator, auditor"
    assert str(refused.value) == f"{fault}; the roles are {every}."


def test_an_account_is_kept_in_small_letters_with_its_roles_and_made_once(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    add_account(store, "Ann.B", "  ", frozenset({Role.VIEWER, Role.AUDITOR}), WORDS)
    add_account(store, "ben", " Ben Ray ", frozenset({Role.VIEWER}), WORDS)
    assert list_accounts(store) == [
        Account("ann.b", "Ann.B", frozenset({"viewer", "auditor"}), "active"),
        Account("ben", "Ben Ray", frozenset({"viewer"}), "active"),
    ]
    for name, fault in (
        ("ANN.B", "There is an account ANN.B already."),
        ("-a", "A name has 1 to 64 letters, digits and . _ @ -, and begins with a letter or digit."),
        ("", "A name has 1 to 64 letters, digits and . _ @ -, and begins with a letter or digit."),
    ):
        with pytest.raises(AccountRefused) as refused:
            add_account(store, name, "", frozenset({Role.VIEWER}), WORDS)
        assert str(refused.value) == fault
    with pytest.raises(AccountRefused) as refused:
        change_password(store, "ben", "too short")
    assert str(refused.value) == "The password has 9 characters; it needs at least 15. Several words are good."
    with pytest.raises(AccountRefused) as refused:
        disable_account(store, "n" * 70)
    assert str(refused.value) == (f"There is no account {'n' * 64}; `cds-hooks accounts` has those there are.")


def test_a_login_is_that_of_an_active_account_whose_failures_are_forgotten_when_it_is_changed(tmp_path: Path) -> None:
    store = with_account(tmp_path, "ann", "viewer")
    assert check_login(store, "ANN", PASSWORD) == Account("ann", "Ann Example", frozenset({"viewer"}), "active")
    assert check_login(store, "ann", "wrong") is None
    assert check_login(store, "nobody", PASSWORD) is None
    count_try(store, "ann", "127.0.0.1")
    with store.transaction() as connection:
        before = connection.execute(select(accounts.c.changed_at)).scalar_one()
    disable_account(store, "Ann")
    assert check_login(store, "ann", PASSWORD) is None
    with store.transaction() as connection:
        assert connection.execute(select(accounts.c.changed_at)).scalar_one() > before
        assert len(connection.execute(select(tries)).all()) == 1, "the try of the address stays"
    enable_account(store, "ann")
    assert check_login(store, "ann", PASSWORD) is not None


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("x" * 14, "The password has 14 characters; it needs at least 15. Several words are good."),
        ("ab cde" * 34, "The password has 204 characters; at most 200 are read."),
        ("abcd" * 5, "The password repeats a few characters or contains the name of the account; choose another one."),
        (
            "passwordpassword",
            "The password is made of one or two that are used most often; choose another one. Several words are good.",
        ),
    ],
)
def test_what_is_wrong_with_a_password_is_a_sentence(password: str, fault: str) -> None:
    assert password_fault(password, "ann") == fault


def test_what_is_no_hash_verifies_nothing() -> None:
    assert not verifies(PASSWORD, "no hash")
    assert not verifies("of nobody, compared for its time", None)


# Sessions


class Clock:
    """Seconds that go on when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(tmp_path: Path, clock: Clock) -> Sessions:
    return Sessions(store_of(tmp_path), Lifetimes(idle=900, longest=3600), secure=False, now=clock)


def _row(tmp_path: Path) -> Any:
    with store_of(tmp_path).transaction() as connection:
        return connection.execute(select(sessions)).one()


def test_a_session_keeps_who_it_is_and_of_which_patient(opened: Sessions, tmp_path: Path) -> None:
    bound = PatientBound("ehr", "p1", "d1")
    token = opened.begin(Person("a" * 301, "f" * 121, frozenset({"b", "a"}), bound=bound, longest=60.0))
    row = _row(tmp_path)
    assert (row.actor, row.full_name, row.roles, row.account) == ("a" * 300, "f" * 120, "a,b", "")
    assert (row.bound_client, row.bound_patient, row.bound_decision) == ("ehr", "p1", "d1")
    assert (row.seen_at, row.ends_at, len(row.form_token), len(token)) == (1000.0, 1060.0, 32, 43)
    visitor = opened.visitor(token)
    assert visitor is not None
    assert (visitor.name, visitor.actor, visitor.roles) == ("f" * 120, "a" * 300, frozenset({"a", "b"}))
    assert (visitor.form_token, visitor.bound) == (row.form_token, bound)


@pytest.mark.parametrize(("longest", "ends"), [(None, 4600.0), (60.0, 1060.0), (9999.0, 4600.0)])
def test_a_session_ends_at_the_latest_after_the_longest_time(
    opened: Sessions, tmp_path: Path, longest: float | None, ends: float
) -> None:
    opened.begin(Person("a", "A", frozenset({"viewer"}), longest=longest))
    assert _row(tmp_path).ends_at == ends


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
    assert seen == [1000.0, 1030.0, 1030.0, 1060.0]
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


def test_accounts_that_cannot_be_read_are_compared_with_nothing(tmp_path: Path) -> None:
    store = with_account(tmp_path, "ann", "viewer")
    assert wrong_accounts(record_in(tmp_path)) == ["the account ann (viewer) was made by no recorded act"]
    with store.transaction() as connection:
        connection.execute(update(accounts).values(roles="operator"))
    with_account(tmp_path, "ben", "viewer")
    assert wrong_accounts(record_in(tmp_path)) == [
        "the account ann (operator) was made by no recorded act",
        "the account ben (viewer) was made by no recorded act",
    ]
    with create_engine(f"sqlite:///{tmp_path}/access.sqlite3").begin() as connection:
        connection.execute(text("DROP TABLE access_accounts"))
    assert wrong_accounts(record_in(tmp_path)) == []
    (tmp_path / "access.sqlite3").write_bytes(b"no database" * 1000)
    assert wrong_accounts(record_in(tmp_path)) == []


# A provider


@pytest.mark.parametrize(("length", "is_read"), [(256 * 1024, True), (256 * 1024 + 1, False)])
def test_an_answer_of_a_provider_has_256_kilobytes_at_most(length: int, *, is_read: bool) -> None:
    body = b'{"a":"' + b"x" * (length - 8) + b'"}'
    with answering(lambda _: (200, {}, body)) as seen:
        if is_read:
            assert list(asyncio.run(fetch_json(seen.base, None, {}))) == ["a"]
            return
        with pytest.raises(FlowFailed) as refused:
            asyncio.run(fetch_json(seen.base, None, {}))
        assert str(refused.value) == "The authorization server's answer is too large."


def test_a_provider_that_is_away_is_named_by_the_kind_of_the_fault() -> None:
    with pytest.raises(FlowFailed) as refused:
        asyncio.run(fetch_json("http://127.0.0.1:9", {"a": "b"}, {}))
    assert str(refused.value) == "The authorization server cannot be reached (ConnectError)."


@pytest.mark.parametrize("token", [{}, {"id_token": None}, {"id_token": 7}])
def test_an_answer_without_an_id_token_lets_nobody_in(token: dict[str, Any]) -> None:
    provider = Provider("https://id.example", "a", "t", "k", "us")
    with pytest.raises(FlowFailed) as refused:
        verified_claims(token, {"keys": []}, provider, "n")
    assert str(refused.value) == ("The authorization server sent no ID token; the scope openid may not be allowed.")
    with pytest.raises(FlowFailed, match=r"^The ID token cannot be accepted \(DecodeError\)\.$"):
        verified_claims({"id_token": "x"}, {"keys": []}, provider, "n")
