"""`cds-hooks events`: the feeds and their dead letters from a terminal."""

import json
from datetime import UTC, datetime
from pathlib import Path
from time import time

import pytest

from cds_hooks.commands import events
from cds_hooks.events import rescoring
from cds_hooks.events.inbox import Inbox
from tests.cds_hooks.events.messages import result
from tests.cds_hooks.pages.test_every_page import _declared
from tests.program import run_program


def test_a_dead_letter_is_listed_mended_and_taken_in(tmp_path: Path) -> None:
    feeds = {"CDS_EVENTS_FILE": str(_declared(tmp_path)), "CDS_DATABASE_URL": "sqlite:///record.sqlite3"}
    shown = run_program("events", "--json", folder=tmp_path, environment=feeds)
    assert [(state["feed"], state["dead"]) for state in json.loads(shown.stdout)] == [("lab", 1)], shown.stderr
    dead = run_program("events", "--dead", "--json", folder=tmp_path, environment=feeds)
    assert [letter["sequence"] for letter in json.loads(dead.stdout)] == [1], dead.stderr
    assert "SAMPLE" not in dead.stdout, "the list has no content of a message"
    as_it_came = run_program("events", "--replay", "1", folder=tmp_path, environment=feeds)
    assert as_it_came.returncode == 1
    assert "It cannot be read" in as_it_came.stderr
    (tmp_path / "mended.hl7").write_bytes(result("1", "4.4"))
    mended = run_program("events", "--replay", "1", "--file", "mended.hl7", folder=tmp_path, environment=feeds)
    assert mended.stdout == "Dead letter 1 was taken in.\n", mended.stderr


def test_a_dead_letter_is_dropped_and_what_is_not_there_is_said(tmp_path: Path) -> None:
    feeds = {"CDS_EVENTS_FILE": str(_declared(tmp_path)), "CDS_DATABASE_URL": "sqlite:///record.sqlite3"}
    dropped = run_program("events", "--drop", "1", folder=tmp_path, environment=feeds)
    assert dropped.stdout == "Dead letter 1 was dropped.\n", dropped.stderr
    for words, sentence in ((("--drop", "7"), "There is no dead letter 7"), (("--unmerge", "MRN0999"), "MRN0999")):
        refused = run_program("events", *words, folder=tmp_path, environment=feeds)
        assert refused.returncode == 1
        assert sentence in refused.stderr


def test_feeds_and_dead_letters_are_listed_in_words(tmp_path: Path) -> None:
    feeds = {"CDS_EVENTS_FILE": str(_declared(tmp_path)), "CDS_DATABASE_URL": "sqlite:///record.sqlite3"}

    def run(*words: str) -> tuple[int, str, str]:
        done = run_program("events", *words, folder=tmp_path, environment=feeds)
        return done.returncode, done.stdout, done.stderr

    state = json.loads(run("--json")[1])[0]
    newest = datetime.fromtimestamp(state["newest"], UTC).isoformat(timespec="seconds") if state["newest"] else "never"
    line = f"lab: newest message {newest}, {state['messages']} messages, 1 dead letters\n"
    assert run() == (0, line, "")
    letter = json.loads(run("--dead", "--json")[1])[0]
    came = datetime.fromtimestamp(letter["received_at"], UTC).isoformat(timespec="seconds")
    row = f"1  {came}  lab  {letter['type']}  {letter['reason']}\n"
    assert run("--dead") == (0, row, "")
    code, whole, _ = run("--letter", "1")
    assert (code, whole.startswith(row), "\nPID|" in whole, "\r" in whole) == (0, True, True, False)
    assert json.loads(run("--letter", "1", "--json")[1]) == [letter]
    assert run("--letter", "7") == (
        1,
        "",
        "There is no dead letter 7; cds-hooks events --dead lists them.\n",
    )
    assert run("--unmerge", "MRN0999") == (1, "", "MRN0999 is not merged into another number.\n")
    lines = '[webhook.care]\nurl = "http://127.0.0.1:9/"\nsecret_file = "secret"\n'
    (tmp_path / "secret").write_bytes(b"s" * 32)
    path = Path(feeds["CDS_EVENTS_FILE"])
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{lines}", encoding="utf-8")
    assert run("--resend", "care") == (0, "0 events are sent to care again.\n", "")
    unknown = "Other is no receiver here; cds-hooks events lists them.\n"
    assert run("--resend", "other")[::2] == (1, unknown)
    assert run("--drop", "1") == (0, "Dead letter 1 was dropped.\n", "")
    assert (run("--dead"), run("--dead", "--json")[1]) == ((0, "", ""), "[]\n")


def test_one_thing_is_mended_at_a_time(tmp_path: Path) -> None:
    done = run_program("events", "--drop", "1", "--unmerge", "MRN0999", folder=tmp_path)
    assert (done.returncode, done.stderr) == (2, "Give one of --replay, --drop, --unmerge and --resend.\n")


def test_a_site_without_feeds_is_told_how_they_are_declared(tmp_path: Path) -> None:
    nothing = run_program("events", folder=tmp_path)
    assert nothing.returncode == 1
    assert nothing.stderr == "CDS_EVENTS_FILE is not set, so there are no feeds.\n"


def test_what_no_server_made_and_what_is_no_message_of_hl7_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _declared(tmp_path)
    feeds = {"CDS_EVENTS_FILE": str(path), "CDS_DATABASE_URL": "sqlite:///record.sqlite3"}
    monkeypatch.setattr(rescoring, "V2Feed", int)
    done = run_program("events", "--replay", "1", folder=tmp_path, environment=feeds)
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        "It cannot be read: Only messages of HL7 v2 feeds can be taken in again.\n",
    )
    (tmp_path / "events.sqlite3").unlink()
    there = f"{tmp_path / 'events.sqlite3'} is not there yet; a server makes it when it starts.\n"
    for words in ((), ("--dead",), ("--drop", "1"), ("--unmerge", "MRN1")):
        done = run_program("events", *words, folder=tmp_path, environment=feeds)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr in (there, f"{there[:1].upper()}{there[1:]}")


def test_a_merge_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undone: list[str] = []

    def unmerge(_: Inbox, merged: str, now: float) -> bool:
        assert abs(now - time()) < 600
        undone.append(merged)
        return True

    monkeypatch.setattr(Inbox, "unmerge", unmerge)
    feeds = {"CDS_EVENTS_FILE": str(_declared(tmp_path)), "CDS_DATABASE_URL": "sqlite:///record.sqlite3"}
    done = run_program("events", "--unmerge", "MRN0999", folder=tmp_path, environment=feeds)
    assert (done.returncode, done.stdout, done.stderr) == (0, "MRN0999 stands for itself again.\n", "")
    assert undone == ["MRN0999"]


def test_an_instant_is_utc_to_the_second() -> None:
    assert events._moment(1_795_165_200.9) == "2026-11-20T09:00:00+00:00"
