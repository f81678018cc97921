"""`cds-hooks worklist` and `services`: what each asks for, writes, says and ends with."""

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cds_hooks.commands import services, worklist
from cds_hooks.protocol.hooks import WrongDeclaration
from cds_hooks.storage.decision import RecordUnavailable

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = 86_400_000_000


def _run(command: Any, *words: object) -> tuple[int, str, str]:
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, list(map(str, words)), env={"COLUMNS": "120"})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


# The worklist


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the worklist was made from; `entries` and `as_of` are what there is."""
    there: dict[str, Any] = {
        "entries": SimpleNamespace(rows=["r"] * 1200, others=1300, answered=1400), "as_of": NOW, "made": []
    }  # fmt: skip

    def make(*given: Any) -> Any:
        there["made"].append(given)
        return there["entries"]

    monkeypatch.setattr(worklist, "settings", lambda: SimpleNamespace(as_of=there["as_of"]))
    monkeypatch.setattr(worklist, "record_url", lambda database: f"url of {database}")
    monkeypatch.setattr(
        worklist, "open_follower", lambda _, url: SimpleNamespace(views=f"views of {url}", catch_up=lambda: None)
    )
    monkeypatch.setattr(worklist, "read_worklist", make)
    monkeypatch.setattr(worklist, "note_export", lambda *noted: there.setdefault("noted", []).append(noted))
    monkeypatch.setattr(worklist, "worklist_csv", lambda entries: f"csv of {len(entries.rows)}")
    monkeypatch.setattr(worklist, "worklist_bundle", lambda entries, now: f"bundle of {len(entries.rows)} at {now}")
    return there


def test_a_worklist_is_written_in_the_form_of_its_name(asked: dict[str, Any], tmp_path: Path) -> None:
    csv, bundle = tmp_path / "list.csv", tmp_path / "list.json"
    said = (
        f"1,200 patients, 1,300 more beyond the capacity: {csv}\n1,400 findings rest because their card was answered.\n"
    )
    assert _run(worklist.worklist, "--out", csv) == (0, said, "")
    asked["entries"].answered = 0
    said = f"1,200 patients, 1,300 more beyond the capacity: {bundle}\n"
    words = ("--capacity", 20, "--days", 2, "--client", "a", "--database", "d")
    assert _run(worklist.worklist, "--out", bundle, *words) == (0, said, "")
    assert (csv.read_text(), bundle.read_text()) == ("csv of 1200", f"bundle of 1200 at {NOW}")
    assert asked["made"] == [("views of url of None", NOW, 50, 90, None), ("views of url of d", NOW, 20, 2, "a")]
    assert asked["noted"] == [("url of None", "worklist"), ("url of d", "worklist")]
    asked["as_of"] = None
    began = datetime.now(UTC)
    assert _run(worklist.worklist, "--out", csv)[0] == 0
    assert began <= asked["made"][-1][1] <= datetime.now(UTC)


def test_another_form_and_a_record_that_is_not_there_are_said(
    asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = "list.txt: write to a name that ends in .csv or .json (FHIR List and Task).\n"
    assert _run(worklist.worklist, "--out", tmp_path / "list.txt") == (2, "", form)

    def unavailable(*_: Any) -> None:
        raise RecordUnavailable("There is no record")

    monkeypatch.setattr(worklist, "read_worklist", unavailable)
    assert _run(worklist.worklist, "--out", tmp_path / "list.csv") == (1, "", "There is no record\n")
    assert list(tmp_path.iterdir()) == []


# Services


def test_services_are_listed_by_hook_with_the_keys_of_their_prefetch(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [
        {"id": "planning", "hook": "patient-view", "title": "A talk", "prefetch": {"patient": "q", "labs": "q"}},
        {"id": "orders", "hook": "order-sign", "title": "Orders", "prefetch": {}},
    ]
    service = SimpleNamespace(discovery=lambda: entries)
    monkeypatch.setattr(services, "services_for", lambda _: {"a": service})
    code, shown, errors = _run(services.services)
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if line.startswith("│")]
    assert (code, cells, errors) == (
        0, [["planning", "patient-view", "A talk", "patient, labs"], ["orders", "order-sign", "Orders", ""]], "",
    )  # fmt: skip
    code, shown, errors = _run(services.services, "--json")
    assert (code, json.loads(shown), errors) == (0, {"services": entries}, "")

    def wrong(_: Any) -> None:
        raise WrongDeclaration("hooks.toml: no name")

    monkeypatch.setattr(services, "services_for", wrong)
    assert _run(services.services) == (1, "", "hooks.toml: no name.\n")
