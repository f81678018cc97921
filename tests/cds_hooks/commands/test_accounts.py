"""`cds-hooks accounts`: what is made can log in, what is wrong is said, and the record knows who did it."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from cds_hooks.access.accounts import check_login, list_accounts
from cds_hooks.access.roles import ASSIGNABLE, ROLE_WORDS
from cds_hooks.commands import settings as command
from cds_hooks.settings import SETTINGS, Settings
from tests.cds_hooks.access.browsing import PASSWORD, entries, store_of
from tests.fhir.builders import bundle, problem
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
    made = run("Ann", "--role", "operator", "--role", "auditor", "--full-name", "Ann Lee", password=PASSWORD)
    assert made.returncode == 0, made.stderr
    assert "Pages do not ask for a login yet" in made.stdout
    store = store_of(tmp_path)
    known = check_login(store, "ann", PASSWORD)
    assert known is not None
    assert known.roles == {"operator", "auditor"}
    (listed,) = json.loads(run("--json").stdout)
    assert listed == {"name": "ann", "full_name": "Ann Lee", "roles": ["auditor", "operator"], "state": "active"}
    assert run("ann", password=OTHER).returncode == 0
    assert check_login(store, "ann", PASSWORD) is None
    assert run("ann", "--disable").returncode == 0
    assert check_login(store, "ann", OTHER) is None
    assert run("ann", "--enable").returncode == 0
    assert run("ann", "--role", "viewer").returncode == 0
    known = check_login(store, "ann", OTHER)
    assert known is not None
    assert known.roles == {"viewer"}
    acts = [detail["act"] for _, detail in entries(tmp_path, "account-act")]
    assert acts == ["add", "password", "disable", "enable", "roles"]
    assert PASSWORD not in made.stdout + made.stderr


@pytest.mark.parametrize(
    ("words", "password", "said"),
    [
        (("ann", "--role", "king"), PASSWORD, "is no role"),
        (("ann", "--role", "clinician-link"), PASSWORD, "is no role"),
        (("ann", "--role", " "), PASSWORD, "needs a role"),
        (("a b", "--role", "viewer"), PASSWORD, "letters, digits"),
        (("", "--role", "viewer"), PASSWORD, "letters, digits"),
        (("ann", "--role", "viewer"), "too short", "at least 15"),
        (("ann", "--role", "viewer"), "a" * 500, "at most 200"),
        (("ann", "--role", "viewer"), "aaaaaaaaaaaaaaaaaaaa", "repeats a few"),
        (("margaret", "--role", "viewer"), "margaret margaret", "name of the account"),
        (("nobody",), PASSWORD, "There is no account"),
        (("nobody", "--disable"), None, "There is no account"),
        (("nobody", "--enable"), None, "There is no account"),
    ],
)
def test_a_mistake_is_said_in_a_sentence(run: Run, words: tuple[str, ...], password: str | None, said: str) -> None:
    done = run(*words, password=password)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert password is None or password not in done.stderr


def test_a_name_is_taken_once_whatever_its_capitals(run: Run, tmp_path: Path) -> None:
    assert run("ann", "--role", "viewer", password=PASSWORD).returncode == 0
    assert run("ANN", "--role", "operator").stdout == "The account ANN can now log in as operator.\n"
    assert [account.name for account in list_accounts(store_of(tmp_path))] == ["ann"]


def test_a_list_without_accounts_says_how_one_is_made_and_what_roles_there_are(run: Run) -> None:
    said = run().stdout
    assert "cds-hooks accounts NAME" in said
    assert "pharmacist:" in said


def test_what_is_done_is_said_in_whole_sentences(run: Run) -> None:
    made = run("Ann", "--role", "operator", "--role", "auditor", password=PASSWORD)
    assert made.stdout == (
        "The account Ann can log in as auditor, operator.\n"
        "Pages do not ask for a login yet: set CDS_LOGIN=accounts (docs/operations/access.md).\n"
    )
    told = {
        ("--disable",): "The account ann is disabled. Its sessions have ended.\n",
        ("--enable",): "The account ann can log in again.\n",
        ("--role", "viewer"): "The account ann can now log in as viewer.\n",
    }
    assert {words: run("ann", *words).stdout for words in told} == told
    renewed = run("ann", password=OTHER)
    assert renewed.stdout == "The account ann has a new password. Its sessions have ended.\n"
    listed = run().stdout.splitlines()
    assert listed[:2] == ["ann (Ann): viewer; active", "The roles:"]
    assert [line.partition(":")[0].strip() for line in listed[2:]] == list(ASSIGNABLE)
    assert listed[2] == f"  {ASSIGNABLE[0]}: {ROLE_WORDS[ASSIGNABLE[0]]}"


def test_a_change_of_nothing_is_refused(run: Run) -> None:
    assert run("ann", "--role", "viewer", password=PASSWORD).returncode == 0
    nothing = run("ann")
    assert (nothing.returncode, nothing.stderr) == (
        2,
        "Say what to change: --role, --password, --password-stdin, --enable or --disable.\n",
    )


def test_where_the_pages_ask_for_a_login_nothing_more_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PASSWORD}\r\n"))
    environment = {
        "CDS_DATABASE_URL": record_in(tmp_path), "CDS_LOGIN": "accounts", "CDS_PUBLIC_URL": "https://cds.example",
    }  # fmt: skip
    done = run_program("accounts", "ann", "--role", "viewer", "--password-stdin", environment=environment)
    assert (done.stdout, done.stderr) == ("The account ann can log in as viewer.\n", "")
    assert check_login(store_of(tmp_path), "ann", PASSWORD) is not None


def test_a_password_is_asked_for_twice_and_is_text(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []

    def prompt(text: str, **options: bool) -> str:
        asked.append((text, options))
        return PASSWORD

    monkeypatch.setattr("typer.prompt", prompt)
    assert run("ann", "--role", "viewer").returncode == 0
    assert check_login(store_of(tmp_path), "ann", PASSWORD) is not None
    assert asked == [("Password", {"hide_input": True, "confirmation_prompt": True})]
    monkeypatch.setattr("typer.prompt", lambda *_, **__: f"{OTHER}\udcff")
    done = run("ann", "--password")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "The password is not UTF-8 text.\n")
    assert run("ann", password=OTHER).returncode == 0
    assert check_login(store_of(tmp_path), "ann", OTHER) is not None


def test_each_setting_has_its_name_and_where_it_comes_from() -> None:
    rows = command.settings_in_force(Settings(dialect="epic"))
    assert [row["name"] for row in rows] == [f"CDS_{name.upper()}" for name in SETTINGS]
    by_name = {row["name"]: (row["value"], row["from"]) for row in rows}
    assert by_name["CDS_DIALECT"] == ("epic", "environment")
    assert by_name["CDS_CALL_SECONDS"] == (20, "default")


_CHART: dict[str, Any] = bundle(
    problem("Gout", status=None, patient=None, id="1"),
    problem("Snorgling", status=None, patient=None, id="2"),
    type=None,
)


def test_a_chart_is_told_line_by_line_and_counted(tmp_path: Path) -> None:
    (tmp_path / "chart.json").write_text(json.dumps(_CHART))
    done = run_program("understand", "chart.json", folder=tmp_path)
    assert done.stdout.splitlines() == [
        "Condition/1 (Gout): gout",
        "Condition/2 (Snorgling): not understood: no code of the tables and no phrase",
        "",
        "Of 2 Condition resources 50% are understood; the commonest that are not: snorgling (1).",
    ]


def test_json_has_an_object_on_a_line_for_each_resource(tmp_path: Path) -> None:
    (tmp_path / "chart.json").write_text(json.dumps(_CHART))
    done = run_program("understand", "chart.json", "--json", folder=tmp_path)
    readings = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(reading["resource"], reading["groups"]) for reading in readings] == [
        ("Condition/1", ["gout"]),
        ("Condition/2", []),
    ]
    assert {"allergen_classes", "vaccine_families", "drugs", "assertion", "understood"} <= set(readings[0])


def test_the_share_that_is_understood_is_printed_for_each_source_of_a_corpus(tmp_path: Path) -> None:
    chart = {**_CHART, "entry": _CHART["entry"][:1]}
    for source, content in (("us", _CHART), ("uk", chart)):
        (tmp_path / "corpus" / source).mkdir(parents=True)
        (tmp_path / "corpus" / source / "chart.json").write_text(json.dumps(content))
    (tmp_path / "corpus" / "index.json").write_text("[]")
    done = run_program("understand", "corpus", folder=tmp_path)
    assert done.stderr.strip() == "Left out: index.json holds no FHIR resource."
    lines = done.stdout.splitlines()
    assert lines[1:] == [
        "us: 1 of 2 resources are understood (50%): Condition 1 of 2.",
        "uk: 1 of 1 resources are understood (100%): Condition 1 of 1.",
    ]


def test_what_holds_no_resource_that_is_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(
        '{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Basic"}}]}'
    )
    done = run_program("understand", "other.json", folder=tmp_path)
    nothing = "There is no resource of a kind that is read.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", nothing)
    (tmp_path / "index.json").write_text("[]")
    done = run_program("understand", "index.json", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "index.json holds no FHIR resource.\n")


def test_lines_of_ndjson_and_of_the_input_are_resources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [entry["resource"] for entry in _CHART["entry"]]
    lines = "".join(f"{json.dumps(entry)}\n" for entry in entries)
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "Condition.ndjson").write_text(lines)
    done = run_program("understand", "charts", folder=tmp_path)
    counts = "Of 2 Condition resources 50% are understood; the commonest that are not: snorgling (1).\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, counts, "")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    done = run_program("understand", "-", folder=tmp_path)
    assert [json.loads(line)["understood"] for line in done.stdout.splitlines()] == [True, False]
