"""`cds-hooks events`: the feeds and what waits, from a terminal."""

import json
from datetime import UTC, datetime
from pathlib import Path
from time import time

import pytest

from cds_hooks.commands import events
from cds_hooks.events.inbox import Inbox
from tests.cds_hooks.pages.test_every_page import declared_feed
from tests.program import run_program


def test_feeds_and_receivers_are_listed_and_what_is_not_there_is_said(tmp_path: Path) -> None:
    path = declared_feed(tmp_path)
    feeds = {"CDS_EVENTS_FILE": str(path), "CDS_DATABASE_URL": "sqlite:///record.sqlite3"}

    def run(*words: str) -> tuple[int, str, str]:
        done = run_program("events", *words, folder=tmp_path, environment=feeds)
        return done.returncode, done.stdout, done.stderr

    (state,) = json.loads(run("--json")[1])
    assert (state["feed"], state["dead"]) == ("lab", 1)
    newest = datetime.fromtimestamp(state["newest"], UTC).isoformat(timespec="seconds") if state["newest"] else "never"
    line = f"lab: newest message {newest}, {state['messages']} messages, 1 dead letters\n"
    assert run() == (0, line, "")
    assert run("--unmerge", "MRN0999") == (1, "", "MRN0999 is not merged into another number.\n")
    (tmp_path / "secret").write_bytes(b"s" * 32)
    lines = '[webhook.care]\nurl = "http://127.0.0.1:9/"\nsecret_file = "secret"\n'
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{lines}", encoding="utf-8")
    waiting = "care: 0 events wait and 0 are set aside; 0 were given up\n"
    assert run() == (0, line + waiting, "")
    (tmp_path / "events.sqlite3").unlink()
    there = f"{tmp_path / 'events.sqlite3'} is not there yet; a server makes it when it starts.\n"
    for words in ((), ("--unmerge", "MRN1")):
        code, shown, errors = run(*words)
        assert (code, shown) == (1, "")
        assert errors in (there, f"{there[:1].upper()}{there[1:]}")


def test_a_site_without_feeds_is_told_how_they_are_declared(tmp_path: Path) -> None:
    nothing = run_program("events", folder=tmp_path)
    assert nothing.returncode == 1
    assert nothing.stderr == "CDS_EVENTS_FILE is not set, so there are no feeds.\n"


def test_a_merge_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undone: list[str] = []

    def unmerge(_: Inbox, merged: str, now: float) -> bool:
        assert abs(now - time()) < 600
        undone.append(merged)
        return True

    monkeypatch.setattr(Inbox, "unmerge", unmerge)
    feeds = {"CDS_EVENTS_FILE": str(declared_feed(tmp_path)), "CDS_DATABASE_URL": "sqlite:///record.sqlite3"}
    done = run_program("events", "--unmerge", "MRN0999", folder=tmp_path, environment=feeds)
    assert (done.returncode, done.stdout, done.stderr) == (0, "MRN0999 stands for itself again.\n", "")
    assert undone == ["MRN0999"]


def test_an_instant_is_utc_to_the_second() -> None:
    assert events._moment(1_795_165_200.9) == "2026-11-20T09:00:00+00:00"
