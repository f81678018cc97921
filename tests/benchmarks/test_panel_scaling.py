"""The measurement of panels on one core and on two: its steps are kept, compared, and left over without time."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from time import sleep

import pytest
import typer
from typer.testing import CliRunner

import benchmarks.panel.scaling as program
from benchmarks.panel import paths
from benchmarks.subject import WrongAnswer

PATIENTS = 40


def _run(folder: Path, *words: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(program.main)
    done = CliRunner().invoke(app, ["--folder", str(folder), "--patients", str(PATIENTS), *words])
    return done.exit_code, done.output


def test_what_is_expected_is_said_without_writing_a_patient(tmp_path: Path) -> None:
    code, output = _run(tmp_path, "--expect")
    assert code == 0, output
    assert "command line, 1 process on 1 core" in output
    assert "together" in output
    assert not (tmp_path / "export").exists()


def test_steps_without_time_are_left_over_and_named(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    code, output = _run(tmp_path, "--minutes", "0", "--json", str(figures))
    assert code == 3, output
    assert "command line, 1 process on 1 core: left over" in output
    found = json.loads(figures.read_text())
    assert found["steps"] == {}
    assert "server, 1 process" in found["left_over"]


def test_measurements_of_other_patients_are_not_mixed_with_these(tmp_path: Path) -> None:
    (tmp_path / "steps.json").write_text(json.dumps({"command line, 1 process on 1 core": {"patients": 7}}))
    code, output = _run(tmp_path, "--minutes", "1")
    assert code == 2
    assert "name another folder" in " ".join(output.split())
    assert not (tmp_path / "export").exists()


def test_a_command_that_is_given_up_takes_what_it_started_with_it(tmp_path: Path) -> None:
    """As when the time of a run is over while Spark is still at work."""
    mark = tmp_path / "pid"
    words = ["sh", "-c", f"sleep 60 & echo $! > {mark}; wait"]

    class Over(Exception):
        pass

    def end(_number: int, _frame: object) -> None:
        raise Over

    def give_up() -> None:
        if _comes_true(lambda: mark.exists() and mark.read_text().endswith("\n")):
            os.kill(os.getpid(), signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, end)
    try:
        Thread(target=give_up).start()
        with pytest.raises(Over):
            paths.run_command(words, tmp_path / "log")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert _comes_true(lambda: _has_ended(mark.read_text().strip()))


def _comes_true(asked: Callable[[], bool]) -> bool:
    """Whether it is so within half a minute; a process ends a little after it was told to."""
    for _ in range(3000):
        if asked():
            return True
        sleep(0.01)
    return False


def _has_ended(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.slow
def test_each_step_is_measured_once_and_a_patient_who_differs_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "ENGINES", ())
    figures = tmp_path / "figures.json"
    code, output = _run(tmp_path, "--minutes", "5", "--json", str(figures))
    assert code == 0, output
    first = json.loads(figures.read_text())["steps"]
    assert set(first) == {
        "command line, 1 process on 1 core",
        "command line, 2 processes on 2 cores",
        "server, 1 process",
    }
    assert all(each["differ"] == 0 and each["patients_a_second"] > 0 for each in first.values())

    # One line of one patient is changed, and the second step forgotten: it alone is measured again, and differs.
    known = tmp_path / "charts.csv"
    lines = known.read_text().splitlines()
    lines[5] = lines[5] + "x"
    known.write_text("\n".join(lines) + "\n")
    kept = {name: each for name, each in first.items() if "2 processes" not in name}
    (tmp_path / "steps.json").write_text(json.dumps(kept))
    code, output = _run(tmp_path, "--minutes", "5", "--json", str(figures))
    assert code == 1, output
    second = json.loads(figures.read_text())["steps"]
    assert {name: second[name] for name in kept} == kept
    changed = second["command line, 2 processes on 2 cores"]
    assert changed["differ"] == 1
    assert changed["first"] == [lines[5].split(",")[0]]


def test_a_command_that_fails_says_what_it_printed_last(tmp_path: Path) -> None:
    with pytest.raises(WrongAnswer, match="no such patient"):
        paths.run_command(["sh", "-c", "echo no such patient >&2; exit 4"], tmp_path / "log")
