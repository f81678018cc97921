"""`cds-hooks accounts`: what is made can log in, what is wrong is said, and the record knows who did it."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from cds_hooks.access.accounts import check_login
from tests.cds_hooks.access.browsing import PASSWORD, entries, store_of
from tests.live import record_in
from tests.program import run_program

OTHER = "another few words of mine"
Run = Callable[..., "CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command on a record of its own, with a line on its standard input."""

    def typed(*words: str, password: str | None = None) -> CompletedProcess[str]:
        more = ["--password-stdin"] if password is not None else []
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{password or ''}\n"))
        return run_program("accounts", *words, *more, environment={"CDS_DATABASE_URL": record_in(tmp_path)})

    return typed


def test_an_account_goes_through_its_life(run: Run, tmp_path: Path) -> None:
    made = run("add", "Ann", "--role", "operator", "--role", "auditor", "--full-name", "Ann Lee", password=PASSWORD)
    assert made.returncode == 0, made.stderr
    assert "Pages do not ask for a login yet" in made.stdout
    store = store_of(tmp_path)
    known = check_login(store, "ann", PASSWORD)
    assert known is not None
    assert known.roles == {"operator", "auditor"}
    (listed,) = json.loads(run("list", "--json").stdout)
    assert listed == {"name": "ann", "full_name": "Ann Lee", "roles": ["auditor", "operator"], "state": "active"}
    assert run("change", "ann", password=OTHER).returncode == 0
    assert check_login(store, "ann", PASSWORD) is None
    assert run("change", "ann", "--disable").returncode == 0
    assert check_login(store, "ann", OTHER) is None
    assert run("change", "ann", "--enable").returncode == 0
    assert run("change", "ann", "--role", "viewer").returncode == 0
    known = check_login(store, "ann", OTHER)
    assert known is not None
    assert known.roles == {"viewer"}
    acts = [detail["act"] for _, detail in entries(tmp_path, "account-act")]
    assert acts == ["add", "password", "disable", "enable", "roles"]
    assert PASSWORD not in made.stdout + made.stderr


@pytest.mark.parametrize(
    ("words", "password", "said"),
    [
        (("add", "ann", "--role", "king"), PASSWORD, "is no role"),
        (("add", "ann", "--role", "clinician-link"), PASSWORD, "is no role"),
        (("add", "ann", "--role", " "), PASSWORD, "needs a role"),
        (("add", "a b", "--role", "viewer"), PASSWORD, "letters, digits"),
        (("add", "", "--role", "viewer"), PASSWORD, "letters, digits"),
        (("add", "ann", "--role", "viewer"), "too short", "at least 15"),
        (("add", "ann", "--role", "viewer"), "a" * 500, "at most 200"),
        (("add", "ann", "--role", "viewer"), "aaaaaaaaaaaaaaaaaaaa", "repeats a few"),
        (("add", "margaret", "--role", "viewer"), "margaret margaret", "name of the account"),
        (("change", "nobody"), PASSWORD, "There is no account"),
        (("change", "nobody", "--disable"), None, "There is no account"),
        (("change", "nobody", "--enable"), None, "There is no account"),
        (("change", "nobody", "--role", "viewer"), None, "There is no account"),
    ],
)
def test_a_mistake_is_said_in_a_sentence(run: Run, words: tuple[str, ...], password: str | None, said: str) -> None:
    done = run(*words, password=password)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert password is None or password not in done.stderr


def test_a_name_is_taken_once_whatever_its_capitals(run: Run) -> None:
    assert run("add", "ann", "--role", "viewer", password=PASSWORD).returncode == 0
    again = run("add", "ANN", "--role", "operator", password=PASSWORD)
    assert again.returncode == 1
    assert "already" in again.stderr


def test_a_list_without_accounts_says_how_one_is_made_and_what_roles_there_are(run: Run) -> None:
    said = run("list").stdout
    assert "cds-hooks accounts add" in said
    assert "pharmacist:" in said
