"""What `cds-hooks serve --show` and `cds-hooks samples` show, asked of fakes."""

import json
from typing import Any

import httpx
import pytest
import typer
from typer.testing import CliRunner

from cds_hooks.commands import showcase
from cds_hooks.kit.commands.fhir_server import samples
from cds_hooks.kit.samples import SHOWCASE_DRAFT, SHOWCASE_PATIENT, list_samples


def test_the_cards_come_first_and_the_services_without_one_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[Any] = []

    def call_sample(*arguments: str) -> list[str]:
        calls.append(arguments)
        return ["quiet", f"silent-{len(calls)}"]

    monkeypatch.setattr(showcase, "call_sample", call_sample)
    monkeypatch.setattr(showcase, "_wait_until_ready", lambda address: calls.append(address))
    showcase.show("http://x")
    ordered_for = next(s.id for s in list_samples() if SHOWCASE_DRAFT in [order.draft for order in s.orders])
    assert calls == [
        "http://x", ("http://x", SHOWCASE_PATIENT), ("http://x", ordered_for, SHOWCASE_DRAFT)]  # fmt: skip
    first, quiet, last = capsys.readouterr().out.splitlines()
    assert first.startswith("Serving on http://x (development profile")
    assert quiet == "No card from 4 other services (quiet, silent-2, quiet, silent-3); cds-hooks call says why."
    assert last.startswith("Try it yourself: http://x/try.")


def test_a_server_that_does_not_answer_the_samples_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(showcase, "_wait_until_ready", lambda _: None)
    showcase.show("http://127.0.0.1:9")
    assert "The samples were not answered" in capsys.readouterr().err


def test_a_real_server_shows_the_two_cards_and_names_the_others(
    server_here: str, capsys: pytest.CaptureFixture[str]
) -> None:
    showcase.show(server_here)
    said = capsys.readouterr().out
    assert said.index("Planning ahead") < said.index("Metformin is contraindicated") < said.index("No card from")
    (quiet,) = [line for line in said.splitlines() if line.startswith("No card from")]
    assert "vaccines-due" in quiet
    assert "outside-population" not in said


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
    assert SHOWCASE_DRAFT in table
    missed = _samples("nobody")
    assert (missed.exit_code, missed.stdout) == (2, "")
    assert "there is no sample nobody; see: cds-hooks samples" in missed.stderr
