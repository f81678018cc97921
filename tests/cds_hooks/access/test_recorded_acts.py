"""Accounts are compared with the acts of the record: rows that somebody put in or changed in the database are found."""

from io import StringIO
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, update

from cds_hooks.access.recorded_acts import wrong_accounts
from cds_hooks.access.store import AccessStore, accounts
from tests.live import record_in
from tests.program import run_program


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


def test_without_accounts_nothing_is_wrong(tmp_path: Path) -> None:
    assert wrong_accounts(record_in(tmp_path)) == []
