"""`cds-hooks monitor` over a record: what it prints, its JSON, the days it takes and what it refuses."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cds_hooks import cli
from cds_hooks.storage import Decision
from tests.cds_hooks.storage.samples import a_decision, store

NOTHING = (
    "0 figures: no calls were recorded in these days and the days before, and no outcomes were reported of estimates "
    "whose horizon and label lag have passed (cds-hooks outcomes; --label-days looks further back, --until at "
    "other days)."
)


def _at(day: str, **changes: str) -> Decision:
    moment = datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=UTC)
    return a_decision(decided_at=int(moment.timestamp() * 1e6), **changes)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A record with calls of two clients, before and within the week that ends on 20 November 2026."""
    address = f"sqlite:///{tmp_path / 'record.sqlite3'}"
    days = ("2026-11-02", "2026-11-16", "2026-11-20")
    store(address, *(_at(day, client=client) for day in days for client in ("a", "b")))
    return address


def _output(url: str, *options: str) -> tuple[int, str, str]:
    words = ["monitor", "--database", url, *options]
    done = CliRunner().invoke(cli.app, words, env={"COLUMNS": "100"})
    return done.exit_code, " ".join(done.stdout.split()), done.stderr.strip()


def test_few_calls_are_insufficient_and_nothing_is_listed(url: str) -> None:
    code, shown, errors = _output(url, "--until", "2026-11-20", "--json")
    assert (code, errors) == (0, "")
    document = json.loads(shown)
    figures = document.pop("figures")
    assert document == {"until": "2026-11-20", "incidents": [], "paused": [], "rolled_back": []}
    calls = [figure for figure in figures if (figure["family"], figure["subject"]) == ("feed", "calls")]
    assert [(figure["client"], figure["state"]) for figure in calls] == [("a", "insufficient"), ("b", "insufficient")]
    count = len(figures)
    summary = "0 to act on, 0 to watch, {} good, {} insufficient (too few were counted to know)."
    good = sum(figure["state"] == "good" for figure in figures)
    text = f"{count} figures: {summary.format(good, count - good)}"
    assert _output(url, "--until", "2026-11-20") == (0, text, "")


def test_a_client_and_a_service_narrow_the_figures(url: str) -> None:
    for options, clients in (
        (("--client", "a"), {"a"}),
        (("--service", "planning"), {"a", "b"}),
        (("--client", "b", "--service", "planning"), {"b"}),
        (("--client", "c"), set()),
        (("--service", "another"), set()),
    ):
        _, shown, _ = _output(url, "--until", "2026-11-20", "--json", *options)
        assert {figure["client"] for figure in json.loads(shown)["figures"]} == clients, options


def test_days_without_calls_say_what_it_takes(url: str) -> None:
    assert _output(url, "--until", "2020-11-20") == (0, NOTHING, "")
    assert _output(url, "--until", "2026-12-25", "--days", "3", "--before", "20") == (0, NOTHING, "")
    assert _output(url, "--until", "2026-12-25", "--days", "3", "--before", "34")[1] != NOTHING, "from 19 November on"


def test_what_cannot_be_used_ends_with_2(url: str, tmp_path: Path) -> None:
    wrong = "--until soon: write a date as 2026-11-20, or 2026-11-20T14:00."
    code, shown, errors = _output(url, "--until", "soon")
    assert (code, shown, errors.splitlines()[-1]) == (2, "", wrong)
    code, shown, errors = _output(f"sqlite:///{tmp_path / 'none.sqlite3'}", "--until", "2026-11-20")
    assert (code, shown) == (2, "")
    assert errors.splitlines()[-1].lower().startswith("there is no record at ")
