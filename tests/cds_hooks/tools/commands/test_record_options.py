"""Legal holds and retention as people type them: what is held, who said why, and what leaves the record."""

import json
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cds_hooks.evidence.audit.holds import holds
from cds_hooks.tools.commands.record import app
from tests.cds_hooks.evidence.storage.samples import a_decision, store
from tests.each import each_row

DAY = 86_400_000_000
FIRST = 1_700_000_000_000_000
"""2023-11-14, 22:13:20 UTC."""


def _id(number: int) -> str:
    return f"01a20df3-8b61-7403-8cec-{number:08}0000"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A record of four decisions, a day between them, about two patients; each was answered."""
    address = f"sqlite:///{tmp_path / 'record.sqlite3'}"
    rows = [
        a_decision(
            id=_id(number), decided_at=FIRST + number * DAY, patient=f"p{number % 2}", hook_instance=f"h{number}"
        )
        for number in range(4)
    ]
    store(address, *rows, answered=True)
    return address


def _output(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.stdout, done.stderr


def test_a_hold_is_made_listed_and_ended(url: str) -> None:
    database = ("--database", url)
    assert _output("hold", *database)[:2] == (0, "No hold is in force.\n")
    made = _output("hold", "--patient", "p1", "--why", "a request", "--by", "Ann", *database)
    (item,) = holds(url)
    assert (made[0], item.id in made[1]) == (0, True)
    listed = _output("hold", *database)[1]
    assert all(words in listed for words in (item.id, "patient p1", "by Ann", "a request"))
    (shown,) = json.loads(_output("hold", "--json", *database)[1])
    assert datetime.fromisoformat(shown.pop("at")) == item.at
    assert shown == {"id": item.id, "by": "patient", "value": "p1", "why": "a request", "actor": "Ann"}
    assert _output("hold", "--end", item.id, "--why", "over", *database)[0] == 0
    assert holds(url) == []


@each_row("options")
def test_a_hold_is_on_one_subject_and_says_why(url: str, options: list[str]) -> None:
    code, shown, fault = _output("hold", *options, "--database", url)
    assert (code, shown, "--why" in fault) == (2, "", True)
    assert holds(url) == []
