"""The address and the instant that the kit's commands take from the environment, and how they end with a sentence."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cds_hooks.kit import main
from cds_hooks.kit.commands import check
from cds_hooks.kit.commands.options import clock, server_url, stop


def test_another_scheme_ends_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        server_url("ftp://cds.example")
    assert ended.value.exit_code == 2
    said = "ftp://cds.example is not an http or https address; write for example http://127.0.0.1:8085\n"
    assert capsys.readouterr() == ("", said)


def test_a_command_ends_with_its_sentence_and_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        stop("It ends.", code=1)
    assert (ended.value.exit_code, capsys.readouterr()) == (1, ("", "It ends.\n"))


def test_the_instant_is_that_of_the_setting_or_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CDS_AS_OF", "2026-11-20T09:00:00+02:00")
    assert clock().isoformat() == "2026-11-20T09:00:00+02:00"
    monkeypatch.setenv("CDS_AS_OF", "2026-11-20T09:00:00")
    assert clock() == datetime(2026, 11, 20, 9, tzinfo=UTC)
    monkeypatch.setenv("CDS_AS_OF", "")
    assert abs(datetime.now(UTC) - clock()) < timedelta(minutes=1)
    monkeypatch.setenv("CDS_AS_OF", "today")
    with pytest.raises(typer.Exit):
        clock()
    assert capsys.readouterr().err == "CDS_AS_OF is today, which is no ISO instant such as 2026-11-20T09:00:00Z\n"


def test_the_program_of_the_kit_prints_its_version_and_has_four_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "version", lambda name: f"1.2 of {name}")
    answer = CliRunner().invoke(main.app, ["--version"])
    assert (answer.exit_code, answer.output) == (0, "cds-hooks-kit 1.2 of cds-hooks-kit\n")
    assert [command.name for command in main.app.registered_commands] == ["check", "call", "fhir-server", "samples"]


def test_a_run_that_is_interrupted_before_discovery_ends_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "run_checks", interrupted)
    answer = CliRunner().invoke(main.app, ["check", "http://127.0.0.1:9"])
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert answer.stderr.strip().endswith("interrupted before discovery was read: nothing is known")


@pytest.mark.parametrize(("seconds", "printed"), [(4.9, 0), (5.0, 3)])
def test_beside_a_terminal_a_line_is_printed_every_five_seconds(
    seconds: float, printed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    def run(target: object, checks: object, progress: Any, limit: object) -> None:
        for number in range(1, 4):
            now[0] += seconds if number == 1 or seconds == 5.0 else 0.0
            progress(f"step {number}", number, 3)
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "monotonic", lambda: now[0])
    monkeypatch.setattr(check, "run_checks", run)
    answer = CliRunner().invoke(main.app, ["check", "http://127.0.0.1:9"])
    lines = [line for line in answer.stderr.splitlines() if line.startswith(("1/3", "2/3", "3/3"))]
    assert lines == [f"{number}/3 step {number}" for number in range(1, printed + 1)]
