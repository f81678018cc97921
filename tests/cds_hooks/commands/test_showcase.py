"""What `cds-hooks run` and `cds-hooks samples` show, asked of fakes."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from typer.testing import CliRunner

from cds_hooks.commands import showcase
from cds_hooks.kit.commands.samples import samples
from cds_hooks.kit.samples import SHOWCASE_DRAFT, SHOWCASE_PATIENT, list_samples


def test_two_calls_are_shown_when_the_server_is_ready_though_each_ends_its_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[Any] = []

    def call(*arguments: Any, **options: Any) -> None:
        calls.append((arguments, options))
        raise typer.Exit(1)

    monkeypatch.setattr(showcase, "call", call)
    monkeypatch.setattr(showcase, "_wait_until_ready", lambda address: calls.append(address))
    showcase.show("http://x")
    ordered_for = next(s.id for s in list_samples() if SHOWCASE_DRAFT in [order.draft for order in s.orders])
    assert calls == [
        "http://x",
        ((Path(f"sample:{SHOWCASE_PATIENT}"),), {"url": "http://x"}),
        ((Path(f"sample:{ordered_for}"),), {"url": "http://x", "draft": [Path(f"sample:{SHOWCASE_DRAFT}")]}),
    ]
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("Serving on http://x (development profile")
    assert last.startswith("Try it yourself: http://x/try.")


def test_the_server_is_asked_until_it_is_ready_and_for_a_minute_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Any] = [httpx.ConnectError("refused"), httpx.Response(503), httpx.Response(200), httpx.Response(200)]
    asked, clock = [], [100.0]

    def get(url: str, timeout: float) -> httpx.Response:
        asked.append((url, timeout))
        clock[0] += 1.0
        answer = answers.pop(0) if answers else httpx.Response(503)
        if isinstance(answer, Exception):
            raise answer
        return answer

    slept: list[float] = []
    monkeypatch.setattr(httpx, "get", get)
    monkeypatch.setattr(showcase, "monotonic", lambda: clock[0])
    monkeypatch.setattr(showcase, "sleep", slept.append)
    showcase._wait_until_ready("http://x")
    assert (asked, slept) == ([("http://x/readyz", 1)] * 3, [0.05])
    answers.clear()
    asked.clear()
    showcase._wait_until_ready("http://x")
    assert len(asked) == 60


def _samples(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(samples)
    return CliRunner().invoke(app, list(arguments))


def test_samples_are_listed_printed_and_missed_by_name() -> None:
    bundle = json.loads(_samples("healthy-adult").stdout)
    assert bundle["resourceType"] == "Bundle"
    listed = json.loads(_samples("--json").stdout)
    assert [item["id"] for item in listed] == [sample.id for sample in list_samples()]
    table = _samples().stdout
    assert "Sample patients" in table
    assert "healthy-adult" in table
    missed = _samples("nobody")
    assert (missed.exit_code, missed.stdout) == (2, "")
    assert "there is no sample nobody; see: cds-hooks samples" in missed.stderr
