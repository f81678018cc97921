"""Accounts: what is kept of each, what is refused in which words, and which no recorded act made."""

import sqlite3
from io import StringIO
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, update

from cds_hooks.people.access.accounts import (
    TRIES_FOR_A_NAME,
    Account,
    AccountRefused,
    TooManyTries,
    add_account,
    address_of_client,
    change_password,
    count_try,
    disable_account,
    list_accounts,
    password_fault,
)
from cds_hooks.people.access.roles import Role
from cds_hooks.people.access.store import AccessStore, accounts, wrong_accounts
from cds_hooks.settings.checks import networks_of
from tests.cds_hooks.people.access.browsing import store_of
from tests.cds_hooks.people.access.test_sessions import Clock, clock
from tests.each import for_rows
from tests.live import record_in
from tests.program import run_program

WORDS = "four plain words together"


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
    assert str(refused.value) == (f"There is no account '{'n' * 64}'; `cds-hooks accounts` lists those there are.")


# Passwords


@for_rows(("password", "fault"))
def test_what_is_wrong_with_a_password_is_a_sentence(password: str, fault: str) -> None:
    assert password_fault(password, "ann") == fault


# Recorded acts


def _run(folder: Path, *words: str) -> str:
    with pytest.MonkeyPatch.context() as typed:
        typed.setattr("sys.stdin", StringIO("four words of my own\n"))
        done = run_program(*words, environment={"CDS_DATABASE_URL": record_in(folder)})
    return done.stdout + done.stderr


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A record with two accounts that were made and changed by commands."""
    _run(tmp_path, "accounts", "Ann", "--role", "viewer", "--password-stdin")
    _run(tmp_path, "accounts", "bob", "--role", "operator", "--password-stdin")
    _run(tmp_path, "accounts", "ann", "--role", "auditor", "--role", "approver")
    _run(tmp_path, "accounts", "bob", "--disable")
    return record_in(tmp_path)


def test_what_commands_made_is_right_and_what_was_changed_in_the_database_is_found(url: str, tmp_path: Path) -> None:
    assert wrong_accounts(url) == []
    store = AccessStore(url)
    row = {"full_name": "E", "roles": "operator", "password_hash": "x", "state": "active", "changed_at": 0.0}
    with store.transaction() as connection:
        connection.execute(insert(accounts).values(name="eve", **row))
        connection.execute(update(accounts).where(accounts.c.name == "bob").values(state="active"))
    assert wrong_accounts(url) == [
        "the account bob is active with the roles operator; the recorded acts left it disabled with operator",
        "the account eve (operator) was made by no recorded act",
    ]
    told = _run(tmp_path, "record", "verify")
    assert "The account eve (operator) was made by no recorded act." in told
    with store.transaction() as connection:
        connection.execute(delete(accounts).where(accounts.c.name != "bob"))
    assert wrong_accounts(url)[1:] == ["the account ann, which was made, is missing"]
    (tmp_path / "access.sqlite3").rename(tmp_path / "elsewhere.sqlite3")
    assert wrong_accounts(url) == [], "a record that was restored has no accounts beside it"
    (tmp_path / "elsewhere.sqlite3").rename(tmp_path / "access.sqlite3")
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        connection.execute(
            "INSERT INTO events (sequence, at, kind, actor, detail) VALUES (99, 1, 'account-act', 'x', 'garbage')"
        )
    assert "An act on accounts or an account holds what no server writes" in _run(tmp_path, "record", "verify")


__all__ = ["clock"]


@pytest.mark.slow
def test_one_address_cannot_try_many_names(clock: Clock, tmp_path: Path) -> None:
    store = store_of(tmp_path)
    for number in range(100):
        count_try(store, f"name {number}", "a", clock)
    with pytest.raises(TooManyTries):
        count_try(store, "another", "a", clock)
    count_try(store, "another", "b", clock)


def test_failures_slow_down_before_they_refuse_and_a_proxy_that_is_not_declared_is_never_refused(
    clock: Clock, tmp_path: Path
) -> None:
    store = store_of(tmp_path)
    waits = [count_try(store, "ann", "a", clock).wait_seconds for _ in range(TRIES_FOR_A_NAME)]
    assert waits == pytest.approx([0, 0, 0, 0.1, 0.2])
    waits = [count_try(store, f"name {number}", "127.0.0.1", clock).wait_seconds for number in range(130)]
    assert waits[20] == 0
    assert waits[-1] == 4


@for_rows(("peer", "forwarded_for", "proxies", "address"))
def test_the_address_of_a_login_is_the_nearest_hop_that_is_no_declared_proxy(
    peer: str, forwarded_for: str, proxies: str, address: str
) -> None:
    assert address_of_client(peer, forwarded_for, networks_of(proxies)) == address
