"""`cds-hooks accounts`: what is made can log in, what is wrong is said, and the record knows who did it."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from cds_hooks.access.accounts import check_login
from cds_hooks.access.roles import ASSIGNABLE, ROLE_WORDS
from cds_hooks.hold_back.people import Person, add_person
from models_onnx.artifact.keys import local_signer
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


def test_what_is_done_is_said_in_whole_sentences(run: Run) -> None:
    made = run("add", "Ann", "--role", "operator", "--role", "auditor", password=PASSWORD)
    assert made.stdout == (
        "The account Ann can log in as auditor, operator.\n"
        "Pages do not ask for a login yet: set CDS_LOGIN=accounts (docs/operations/access.md).\n"
    )
    told = {
        ("--disable",): "The account ann is disabled. Its sessions have ended.\n",
        ("--enable",): "The account ann can log in again.\n",
        ("--role", "viewer"): "The account ann can now log in as viewer.\n",
        ("--no-second-factor",): "The account ann has no second factor. Its sessions have ended.\n",
    }
    assert {words: run("change", "ann", *words).stdout for words in told} == told
    renewed = run("change", "ann", password=OTHER)
    assert renewed.stdout == "The account ann has a new password. Its sessions have ended.\n"
    listed = run("list").stdout.splitlines()
    assert listed[:2] == ["ann (Ann): viewer; active", "The roles:"]
    assert [line.partition(":")[0].strip() for line in listed[2:]] == list(ASSIGNABLE)
    assert listed[2] == f"  {ASSIGNABLE[0]}: {ROLE_WORDS[ASSIGNABLE[0]]}"


def test_a_second_factor_is_shown_once_and_recorded(run: Run, tmp_path: Path) -> None:
    assert run("add", "Ann", "--role", "viewer", password=PASSWORD).returncode == 0
    lines = run("change", "ANN", "--second-factor").stdout.splitlines()
    assert lines[0] == ("Give this to the person of the account ANN, for an authenticator app; it is not shown again:")
    assert lines[1].startswith("otpauth://totp/")
    assert ":ann?" in lines[1].replace("%3A", ":")
    assert lines[2:] == ["The account ANN has a second factor. Its sessions have ended."]
    assert run("change", "ann", "--no-second-factor").returncode == 0
    acts = [(detail["account"], detail["act"]) for _, detail in entries(tmp_path, "account-act")]
    assert acts == [("ann", "add"), ("ann", "second-factor"), ("ann", "no-second-factor")]


def test_a_change_of_nothing_and_a_key_without_people_are_refused(run: Run, tmp_path: Path) -> None:
    nothing = run("change", "ann")
    assert (nothing.returncode, nothing.stderr) == (
        2,
        "Say what to change: --role, --password, --password-stdin, --second-factor, --enable or --disable.\n",
    )
    key = ("--key", str(tmp_path / "ann.pem"))
    signed = run("add", "ann", "--role", "viewer", *key, password=PASSWORD)
    assert (signed.returncode, signed.stderr) == (
        1,
        "--key signs for a person of the file of people, which CDS_PEOPLE_FILE names.\n",
    )


def test_where_the_pages_ask_for_a_login_nothing_more_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PASSWORD}\r\n"))
    environment = {
        "CDS_DATABASE_URL": record_in(tmp_path), "CDS_LOGIN": "accounts", "CDS_PUBLIC_URL": "https://cds.example",
    }  # fmt: skip
    done = run_program("accounts", "add", "ann", "--role", "viewer", "--password-stdin", environment=environment)
    assert (done.stdout, done.stderr) == ("The account ann can log in as viewer.\n", "")
    assert check_login(store_of(tmp_path), "ann", PASSWORD) is not None


def test_a_password_is_asked_for_twice_and_is_text(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []

    def prompt(text: str, **options: bool) -> str:
        asked.append((text, options))
        return PASSWORD

    monkeypatch.setattr("typer.prompt", prompt)
    assert run("add", "ann", "--role", "viewer").returncode == 0
    assert check_login(store_of(tmp_path), "ann", PASSWORD) is not None
    assert asked == [("Password", {"hide_input": True, "confirmation_prompt": True})]
    monkeypatch.setattr("typer.prompt", lambda *_, **__: f"{OTHER}\udcff")
    done = run("change", "ann", "--password")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "The password is not UTF-8 text.\n")
    assert run("change", "ann", password=OTHER).returncode == 0
    assert check_login(store_of(tmp_path), "ann", OTHER) is not None


def test_roles_are_granted_by_a_person_of_the_site_for_the_holder_of_the_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = record_in(tmp_path)
    people, key = tmp_path / "people.toml", tmp_path / "bob.pem"
    add_person(people, Person("Bob", "physician", local_signer(key, "Bob")[0].public))
    environment = {"CDS_DATABASE_URL": url, "CDS_PEOPLE_FILE": str(people)}

    def do(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PASSWORD}\n"))
        done = run_program("accounts", *words, environment=environment)
        return done.returncode, done.stderr

    add = ("add", "Ann", "--role", "viewer", "--full-name", " Ann Lee ", "--password-stdin")
    needed = "CDS_PEOPLE_FILE names who grants roles: one of these people signs with --key.\n"
    assert do(*add) == (1, needed)
    assert do(*add, "--key", str(key)) == (0, "")
    assert do("add", "cid", "--role", "viewer", "--password-stdin", "--key", str(key)) == (0, "")
    assert do("change", "ANN", "--role", "auditor", "--key", str(key)) == (0, "")
    acts = [detail for _, detail in entries(tmp_path, "account-act")]
    assert [(act["account"], act["act"], act["roles"], "grant" in act) for act in acts] == [
        ("ann", "add", ["viewer"], True), ("cid", "add", ["viewer"], True), ("ann", "roles", ["auditor"], True),
    ]  # fmt: skip
    holders = [next(part["holder"] for part in act["grant"].values() if isinstance(part, dict)) for act in acts]
    assert holders == ["Ann Lee", "cid", "Ann Lee"]
