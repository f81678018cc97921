"""`python -m cds_hooks.kit fhir-server` in this process: what it serves, what it prints, and what ends it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cds_hooks.kit import main
from cds_hooks.kit.commands import check, fhir_server
from cds_hooks.kit.commands.options import clock, server_url, stop
from cds_hooks.kit.main import app
from cds_hooks.kit.simulator.fhir_server import Behaviour, FhirServer, LoggedRequest, RequestLog


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A patient with one stay."""
    stay = {"resourceType": "Encounter", "id": "e", "period": {"start": "2026-01-01"}}
    entries = [{"resource": resource} for resource in ({"resourceType": "Patient", "id": "p"}, stay)]
    path = tmp_path / "chart.json"
    path.write_text(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}))
    return path


def test_the_charts_are_served_as_the_options_say(chart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Any] = []

    @contextmanager
    def serving(resources: Any, behaviour: Behaviour, log: RequestLog, *, port: int) -> Iterator[FhirServer]:
        served.append(([resource["id"] for resource in resources], behaviour, port))
        log.add(LoggedRequest("GET", "/fhir/Patient", "_id=p", "", True, 200))
        log.add(LoggedRequest("POST", "/fhir/Patient/_search", "", "_id=p", False, 401))
        yield FhirServer("http://127.0.0.1:4711/fhir", resources, behaviour)

    class Interrupted:
        """Interrupted as soon as somebody waits."""

        def wait(self) -> None:
            """As Ctrl-C does."""
            raise KeyboardInterrupt

    monkeypatch.setattr(fhir_server, "serving_fhir", serving)
    monkeypatch.setattr(fhir_server, "Event", Interrupted)
    words = ["--port", "5", "--token", "t", "--page-size", "7", "--mode", "503", "--delay-ms", "1500", "--browsers"]
    done = CliRunner().invoke(app, ["fhir-server", str(chart), *words, "--retry-after", "3", "--failures", "2"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "200 GET /fhir/Patient?_id=p",
        "401 POST /fhir/Patient/_search [_id=p]",
        "FHIR server on http://127.0.0.1:4711/fhir: 1 patients, 2 resources, mode 503. Stop with Ctrl-C.",
    ]
    assert served == [(["p", "e"], Behaviour("503", "t", 7, 1.5, 3, 2, browsers=True), 5)]
    CliRunner().invoke(app, ["fhir-server", str(chart), str(chart)])
    assert served[1] == (["p", "e"] * 2, Behaviour(delay_seconds=0.2), 8090)


def test_a_chart_that_is_none_and_a_port_in_use_are_said(
    chart: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = CliRunner().invoke(app, ["fhir-server", str(tmp_path / "none.json")])
    assert done.exit_code == 2
    assert "none.json" in done.stderr

    def in_use(*_: Any, **__: Any) -> Any:
        raise OSError(98, "Address already in use")

    monkeypatch.setattr(fhir_server, "serving_fhir", in_use)
    done = CliRunner().invoke(app, ["fhir-server", str(chart), "--port", "80"])
    assert (done.exit_code, done.stderr) == (
        1,
        "Port 80 cannot be used (Address already in use); choose another with --port.\n",
    )


def test_dates_are_moved_where_that_is_wanted(chart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_AS_OF", "2026-02-01T09:00:00Z")
    starts = [
        resource["period"]["start"]
        for shift in (False, True)
        for resource in fhir_server._open_chart(chart, shift).resources
        if resource["resourceType"] == "Encounter"
    ]
    assert starts == ["2026-01-01", "2026-02-01"]


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
