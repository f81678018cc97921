"""`cds-hooks decisions` over a record on disk."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from cds_hooks.commands.decisions import app
from cds_hooks.commands.record import app as record
from cds_hooks.storage import Decision, card_uuid, new_decision_id, open_decision_log
from tests.cds_hooks.storage.samples import store

_CARD = {
    "summary": "About 48 in 100", "indicator": "info", "detail": "**Why**", "source": {"label": "A model"},
    "suggestions": [{"label": "Order a conversation", "actions": [{"type": "create", "description": "A draft"}]}],
}  # fmt: skip
_BASIS = {
    "as_of": "2026-11-20T09:00:00+00:00",
    "features": {"albumin_g_dl": [2.9, "2026-11-19T08:10:00+00:00", "Observation/albumin-1"]},
    "missing": {"rdw_pct": "absent"},
    "scores": {"probability": 0.479, "contributions": {"albumin_g_dl": 1.3981}},
    "silence": [["Observation/7", "implausible", "Diastolic pressure 879 is outside the plausible range: not used."]],
    "timings": {"decode": 0.122, "facts": 0.042},
}


def _decision(outcome: Any, cards: list[dict[str, Any]], basis: dict[str, Any]) -> Decision:
    return Decision(
        id=new_decision_id(),
        decided_at=1_795_165_200_250_000,
        hook="patient-view",
        service="planning" if cards else "order-safety",
        hook_instance="d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        client="a hospital",
        patient="patient-1",
        outcome=outcome,
        input_digest="ab" * 32,
        models=b'[{"id":"mortality_5y","version":"1.0.0","sha256":"cafe"}]',
        response=json.dumps({"cards": cards}).encode(),
        basis=json.dumps(basis).encode(),
    )


_ID = new_decision_id()
_SPOKEN = msgspec.structs.replace(_decision("cards", [_CARD | {"uuid": card_uuid(_ID, 1)}], _BASIS), id=_ID)
_SILENT = _decision("silent", [], {"silence": [["m", "too-few-inputs", "5 of 11 [labs]."], ["x", "y", "Another."]]})


@pytest.fixture
def database(tmp_path: Path) -> str:
    """A record of one decision with a card, then one without."""
    url = f"sqlite:///{tmp_path}/decisions.sqlite3"

    async def write() -> None:
        log = open_decision_log(url)
        await log.append(_SPOKEN)
        await log.append(_SILENT)
        await log.close()

    asyncio.run(write())
    return url


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(record if arguments[0] == "verify" else app, arguments, env={"COLUMNS": "80"})


def _json(*arguments: str) -> Any:
    result = _run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_list_shows_the_newest_first_with_what_was_said(database: str) -> None:
    output = _run("list", "--database", database).stdout
    assert output.index(_SILENT.id) < output.index(_SPOKEN.id)
    assert "About 48 in 100" in output
    assert "silent: 5 of 11 [labs]. (and 1" in output
    assert "2026-11-20 09:00:00 planning" in output


def test_list_can_be_narrowed(database: str) -> None:
    assert [each["id"] for each in _json("list", "--database", database)] == [_SILENT.id, _SPOKEN.id]
    assert [each["id"] for each in _json("list", "--database", database, "--limit", "1")] == [_SILENT.id]
    assert [each["id"] for each in _json("list", "--database", database, "--service", "planning")] == [_SPOKEN.id]
    assert [each["id"] for each in _json("list", "--database", database, "--outcome", "silent")] == [_SILENT.id]
    assert "No decision" in _run("list", "--database", database, "--service", "no-such").stdout


def test_show_draws_cards_inputs_silences_and_timings(database: str) -> None:
    result = _run("show", _SPOKEN.id, "--database", database)
    assert result.exit_code == 0
    for part in (
        "ⓘ info",
        "About 48 in 100",
        "[ Order a conversation ]",
        "Observation/albumin-1",
        "+1.3981",
        "rdw_pct",
        "implausible",
        "mortality_5y 1.0.0",
        "decode 0.122",
    ):
        assert part in result.stdout


def test_show_finds_a_decision_by_the_uuid_of_its_card(database: str) -> None:
    assert _json("show", card_uuid(_SPOKEN.id, 1), "--database", database)["id"] == _SPOKEN.id


def test_show_says_that_there_is_no_such_decision(database: str) -> None:
    for unknown in ("nonsense", new_decision_id()):
        result = _run("show", unknown, "--database", database)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"There is no decision {unknown} in the record")


def test_verify_prints_how_far_each_chain_goes(database: str) -> None:
    result = _run("verify", "--database", database)
    assert result.exit_code == 0
    assert "The record is as it was written: 2 decisions" in result.stdout
    [chain] = _json("verify", "--database", database)["chains"]
    assert chain["decisions"] == 2
    assert f"chain {chain['chain']}: 2 rows, up to {chain['hash']}" in result.stdout


def test_verify_fails_and_names_the_row_that_was_changed(database: str) -> None:
    with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("DROP TRIGGER decisions_refuse_update")
        connection.execute("UPDATE decisions SET patient = 'another' WHERE id = ?", [_SILENT.id])
    result = _run("verify", "--database", database)
    assert result.exit_code == 1
    assert f"ecision {_SILENT.id}, row 2 of chain" in result.stdout
    assert "is not as it was written: its content was changed" in result.stdout


@pytest.fixture
def answered(tmp_path: Path) -> str:
    """The same record, with feedback on each first card."""
    url = f"sqlite:///{tmp_path}/answered.sqlite3"
    store(url, _SPOKEN, _SILENT, answered=True)
    return url


def _lines(*arguments: str) -> list[str]:
    """What is printed, without the blanks at the ends and the empty lines."""
    return [line.rstrip() for line in _run(*arguments).stdout.splitlines() if line.strip(" ─")]


def test_a_decision_is_drawn_whole(answered: str) -> None:
    assert _lines("show", _SPOKEN.id, "--database", answered) == [
        f"id             {_SPOKEN.id}",
        "decided_at     2026-11-20T09:00:00.250000+00:00",
        "hook           patient-view",
        "service        planning",
        "hook_instance  d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "client         a hospital",
        "patient        patient-1",
        "user",
        f"input_digest   {'ab' * 32}",
        "model          mortality_5y 1.0.0, sha256 cafe",
        "as_of          2026-11-20T09:00:00+00:00",
        "probability    0.479",
        "  input          value     contribution   dated        from",
        "  albumin_g_dl   2.9       +1.3981        2026-11-19   Observation/albumin-1",
        "  rdw_pct        missing                               absent",
        "Answer: 1 card",
        "╭─ ⓘ info ─────────────────────────────────────────────────────────────────────╮",
        "│ About 48 in 100                                                              │",
        "│ Why                                                                          │",
        "│ [ Order a conversation ]                                                     │",
        "│     create: A draft                                                          │",
        "│ Source: A model                                                              │",
        "╰──────────────────────────────────────────────────────────────────────────────╯",
        "  ○ Observation/7 · implausible: Diastolic pressure 879 is outside the plausible",
        "range: not used.",
        "Milliseconds: decode 0.122, facts 0.042",
        "About 48 in 100: Not followed (contraindicated) on 2026-11-20",
        "In their own words: Already discussed",
    ]


def test_a_list_is_drawn_whole_for_a_call_a_card_or_everything(answered: str) -> None:
    head = "  decision                               what was said"
    silent = [f"  {_SILENT.id}   silent: 5 of 11 [labs]. (and 1 more)", "  2026-11-20 09:00:00 order-safety"]
    spoken = [f"  {_SPOKEN.id}   About 48 in 100", "  2026-11-20 09:00:00 planning"]
    assert _lines("list", "--database", answered) == [head, *silent, *spoken]
    assert _lines("list", f" {_SPOKEN.hook_instance} ", "--database", answered) == [head, *silent, *spoken]
    of_card = _lines("list", card_uuid(_SPOKEN.id, 1), "--database", answered)
    assert [line.split()[-1] for line in of_card] == [line.split()[-1] for line in (head, *spoken)]
    nothing = _run("list", "nothing", "--database", answered)
    assert (nothing.exit_code, nothing.stdout) == (1, "No decision in the record is like that.\n")
    assert _lines("list", "--silent", "--database", answered) == ["No decision in the record is like that."]
    assert [row["id"] for row in _json("list", _SPOKEN.id, "--database", answered)] == [_SPOKEN.id]


def test_a_decision_is_listed_by_patient_client_and_time(answered: str) -> None:
    both, neither = [_SILENT.id, _SPOKEN.id], list[str]()
    for words, ids in (
        (("--patient", "Patient/patient-1"), both),
        (("--patient", "patient-2"), neither),
        (("--client", "a hospital"), both),
        (("--client", "another"), neither),
        (("--since", "2026-11-20T09:00:00"), both),
        (("--since", "2026-11-20T09:00:01"), neither),
        (("--until", "2026-11-20T09:00:01"), both),
        (("--until", "2026-11-20T09:00:00"), neither),
        (("--user", "Practitioner/1"), neither),
    ):
        assert [row["id"] for row in _json("list", *words, "--database", answered)] == ids, words
