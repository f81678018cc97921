"""`cds-hooks services`: what it asks for, writes, says and ends with."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cds_hooks.commands import services
from cds_hooks.protocol.hooks import WrongDeclaration

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = 86_400_000_000


def _run(command: Any, *words: object) -> tuple[int, str, str]:
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, list(map(str, words)), env={"COLUMNS": "120"})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


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
