"""`cds-hooks decisions` in its corners: one of many reasons, what was held back, values without a figure."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from cds_hooks.commands import decisions
from cds_hooks.commands.decisions import app
from cds_hooks.hold_back.checks import HeldBack
from cds_hooks.storage import Decision
from tests.cds_hooks.storage.samples import a_decision, store
from tests.each import for_rows


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(words), env={"COLUMNS": "100"})
    return done.exit_code, done.stdout, done.stderr.lstrip()  # the progress leaves an empty line


@pytest.fixture
def record(tmp_path: Path) -> tuple[str, Decision]:
    """A record with one decision of a hospital; its address and the decision."""
    url = f"sqlite:///{tmp_path / 'record.sqlite3'}"
    (decision,) = store(url, a_decision())
    return url, decision


@for_rows(
    ("cards", "silence", "words"),
    [
        (["One", "Two"], [("m", "c", "Why.")], "One\nTwo"),
        ([], [], "silent: no reason was recorded"),
        ([], [("m", "c", "Why.")], "silent: Why."),
        ([], [("m", "c", "Why."), ("n", "d", "Also.")], "silent: Why. (and 1 more)"),
        ([], [("m", "c", "Why."), ("n", "d", "Also."), ("o", "e", "Too.")], "silent: Why. (and 2 more)"),
    ],
)
def test_what_was_said_is_the_cards_or_the_first_reason(
    cards: list[str], silence: list[tuple[str, str, str]], words: str
) -> None:
    entries = [{"subject": subject, "reason": code, "text": text} for subject, code, text in silence]
    summary = {"cards": cards, "silence": entries}
    assert decisions._outcome_text(summary) == words
    held = "\n".join(f"{code}: {text}" for _, code, text in silence if code in ("d", "e"))
    assert decisions._withheld({"d", "e"}, summary) == held


def test_a_decision_without_cards_and_with_the_call_of_a_user_is_whole() -> None:
    decision = a_decision(
        id="i", decided_at=1_795_165_200_000_000, user_id="u", hook_instance="h", models=b"[]",
        response=b'{"cards":null}', outcome="error",
        basis=b'{"silence":[["m","c","Why."]],"trace":{"id":"t1"}}',
    )  # fmt: skip
    summary = {
        "id": "i", "decided_at": "2026-11-20T09:00:00+00:00", "hook": "patient-view", "service": "planning",
        "hook_instance": "h", "client": "a hospital", "patient": decision.patient, "user": "u", "outcome": "error",
        "input_digest": "ab" * 32, "models": [], "cards": [],
        "silence": [{"subject": "m", "reason": "c", "text": "Why."}],
    }  # fmt: skip
    assert decisions._summary(decision) == summary
    whole = decisions._everything(decision, [])
    basis = {"silence": [["m", "c", "Why."]], "trace": {"id": "t1"}}
    assert whole == {
        **summary, "response": {"cards": None}, "basis": basis, "feedback": [], "history": (), "held_back": [],
    }  # fmt: skip
    stream = StringIO()
    decisions._draw(Console(file=stream, width=100), whole)
    lines = [line.rstrip() for line in stream.getvalue().splitlines() if line.strip()]
    assert lines[7:10] == ["user           u", f"input_digest   {'ab' * 32}", "trace          t1"]
    assert lines[10].startswith("Refused, nothing was looked at")
    assert lines[-1] == "Milliseconds:"


def test_only_the_last_column_of_a_table_goes_on_in_the_next_line() -> None:
    assert [column.no_wrap for column in decisions._table("id", "hook", "cards").columns] == [True, True, False]


def test_what_was_held_back_is_said_with_who_and_since(
    record: tuple[str, Decision], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, decision = record
    rows = [
        HeldBack("r", "switched-off", "It is off.", "State", "2026-11-20", "Ann (pharmacist)", "Switch it on"),
        HeldBack("s", "budget", "Too many.", "Budget", "", "", "The next day"),
    ]
    monkeypatch.setattr(decisions, "_held_back", lambda *_: rows)
    code, shown, _ = run("show", decision.id, "--database", url)
    words = " ".join(shown.split())
    assert code == 0
    assert (
        "Held back, r (switched-off). State: It is off. By Ann (pharmacist), since 2026-11-20. It would be shown "
        "again: Switch it on"
    ) in words
    assert "Held back, s (budget). Budget: Too many. It would be shown again: The next day" in words
    document = json.loads(run("show", decision.id, "--json", "--database", url)[1])["held_back"]
    assert [(row["subject"], row["by"], row["since"]) for row in document] == [
        ("r", "Ann (pharmacist)", "2026-11-20"), ("s", "", ""),
    ]  # fmt: skip


def test_a_user_is_looked_for_at_a_client(record: tuple[str, Decision], monkeypatch: pytest.MonkeyPatch) -> None:
    url, _ = record
    asked: list[Any] = []

    def possible_users(*given: str) -> list[str]:
        asked.append(given)
        return []

    monkeypatch.setattr(decisions, "possible_users", possible_users)
    run("list", "--user", "Practitioner/1", "--database", url)
    run("list", "--user", "Practitioner/1", "--client", "a hospital", "--database", url)
    assert asked == [("anonymous", "Practitioner/1"), ("a hospital", "Practitioner/1")]
