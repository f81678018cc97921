"""The files of simulations: what is read of them and when, what is deleted, and the process that is started for one."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from threading import enumerate as all_threads
from typing import Any

import pytest

from cds_hooks.pages.simulations import runs as module
from cds_hooks.pages.simulations.runs import Busy, Run, Runs
from cds_hooks.pages.simulations.simulation import Simulation
from cds_hooks.settings import Settings
from tests.cds_hooks.logged import capture_logs

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TRIED = Simulation("rule", "renal-metformin", "Metformin", "off", 100, days=7)


@pytest.fixture(autouse=True)
def at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of the simulations stands at noon."""
    monkeypatch.setattr(module, "time", NOW.timestamp)


def run_of(number: int, at: str, state: Any = "done") -> Run:
    """A simulation with an id of its own."""
    return Run(f"0b8f7a4e-0000-4000-8000-{number:012}", at, "account pia", TRIED, state)


def state_of(runs: Runs, run: Run) -> str:
    """The state that is read of a simulation."""
    found = runs.get(run.id)
    assert found is not None
    return found.state


def test_the_newest_is_first_and_what_is_no_simulation_is_left_out(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    assert runs.all() == []
    assert Runs(tmp_path / "none").all() == []
    several = [run_of(1, "2026-11-18T00:00:00+00:00"), run_of(2, "2026-11-20T00:00:00+00:00")]
    several.append(run_of(3, "2026-11-19T00:00:00+00:00"))
    for run in several:
        runs.write(run)
    (tmp_path / f"{several[0].id[:-1]}9.simulation").write_text("{")
    (tmp_path / "notes.simulation").write_text("{}")
    with capture_logs() as lines:
        assert runs.all() == [several[1], several[2], several[0]]
    (line,) = [line for line in lines if "simulation" in line["event"]]
    assert (line["event"], line["error_type"]) == ("result of a simulation cannot be read", "DecodeError")
    assert runs.get("0b8f7a4e-0000-4000-8000-000000000099") is None


@pytest.mark.parametrize(
    ("state", "at", "shown"),
    [
        ("waiting", "2026-11-20T11:58:00.001+00:00", "waiting"),  # a process has two minutes to start
        ("waiting", "2026-11-20T11:58:00+00:00", "stopped"),
        ("running", "2026-11-20T11:59:59+00:00", "stopped"),
        ("failed", "2026-11-20T11:00:00+00:00", "failed"),
        ("done", "2026-11-20T11:00:00+00:00", "done"),
    ],
)
def test_without_a_process_one_that_has_not_ended_is_shown_as_stopped(
    tmp_path: Path, state: str, at: str, shown: str
) -> None:
    runs, run = Runs(tmp_path), run_of(1, at, state)
    runs.write(run)
    assert state_of(runs, run) == shown
    with runs.alone():
        assert state_of(runs, run) == state


def test_one_that_ends_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    run = run_of(1, "2026-11-20T11:00:00+00:00", "running")

    class Ending(Runs):
        def is_busy(self) -> bool:
            self.write(run_of(1, run.at, "done"))
            return False

    class Vanishing(Runs):
        def is_busy(self) -> bool:
            (tmp_path / f"{run.id}.simulation").unlink()
            return False

    Runs(tmp_path).write(run)
    assert Ending(tmp_path).get(run.id) == run_of(1, run.at, "done")
    Runs(tmp_path).write(run)
    assert Vanishing(tmp_path).get(run.id) is None


def test_a_file_is_its_owners_alone_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    runs, run = Runs(tmp_path), run_of(1, "2026-11-20T11:00:00+00:00")
    (tmp_path / f"{run.id}.{os.getpid()}").write_text("of a writing that was broken off, and longer" * 99)
    runs.write(run)
    (file,) = tmp_path.iterdir()
    assert (file.name, runs.get(run.id)) == (f"{run.id}.simulation", run)
    runs.write(run)
    assert file.stat().st_mode & 0o777 == 0o600


def test_only_a_simulation_that_is_there_is_asked_to_stop(tmp_path: Path) -> None:
    runs, run = Runs(tmp_path), run_of(1, "2026-11-20T11:00:00+00:00")
    for wrong in ("../x", run.id):
        runs.ask_to_stop(wrong)
    assert list(tmp_path.iterdir()) == []
    runs.write(run)
    assert not runs.is_asked_to_stop(run.id)
    runs.ask_to_stop(run.id)
    assert runs.is_asked_to_stop(run.id)
    assert (tmp_path / f"{run.id}.stop").stat().st_mode & 0o777 == 0o600


def test_nothing_runs_where_there_is_no_folder_and_one_at_a_time_where_there_is(tmp_path: Path) -> None:
    nowhere, runs = Runs(tmp_path / "none"), Runs(tmp_path)
    with nowhere.alone():
        assert (nowhere.is_busy(), runs.is_busy()) == (False, False)
    with runs.alone():
        assert Runs(tmp_path).is_busy()
        with pytest.raises(Busy):
            runs.start(Settings(), TRIED, "account pia", None)
    assert not runs.is_busy()


def order_in(folder: Path) -> dict[str, Any]:
    """What the process was told, when it has ended."""
    for thread in all_threads():
        if thread.name == "simulation":
            assert thread.daemon  # it never keeps the server from ending
            thread.join(30)
            assert not thread.is_alive()
    order: dict[str, Any] = json.loads((folder / "order").read_text())
    return order


def test_a_process_is_started_with_the_settings_on_its_input_alone(
    started: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDS_PUBLIC_URL", "https://cds.example.org")
    monkeypatch.setenv("TZ", "UTC")
    folder = started / "below" / "kept"
    configured = Settings(operator_token="t" * 40, simulations_folder=folder, as_of=NOW)  # type: ignore[arg-type]
    run = Runs(folder).start(configured, TRIED, "account pia", started / "charts")
    order = order_in(started)
    assert (started / "arguments").read_text().split() == ["-m", "cds_hooks.pages.simulations.process"]
    environment = (started / "environment").read_text().splitlines()
    assert [line for line in environment if line.startswith("CDS_")] == []
    assert "TZ=UTC" in environment
    assert (order["run"], order["charts"]) == (run.id, str(started / "charts"))
    assert order["settings"]["operator_token"] == "t" * 40
    assert "trust_file" not in order["settings"]  # it is not set
    assert Settings(**order["settings"]) == configured
    assert Runs(folder).get(run.id) == run
    assert (run.by, run.simulation, run.state, run.judged, run.most) == ("account pia", TRIED, "waiting", 0, 0)
    assert abs(datetime.fromisoformat(run.at) - datetime.now(UTC)).total_seconds() < 60
    assert len(run.at) == len("2026-11-20T12:00:00+00:00")
    assert folder.stat().st_mode & 0o777 == 0o700
    Runs(folder).start(configured, TRIED, "account pia", None)
    assert order_in(started)["charts"] is None


def test_when_one_starts_those_after_four_weeks_and_those_after_a_hundred_are_deleted(started: Path) -> None:
    folder = started / "kept"
    folder.mkdir()
    runs = Runs(folder)

    def kept() -> set[int]:
        return {int(path.stem[-6:]) for path in folder.glob("*.s*") if path.stem.startswith("0b8f")}

    def put(number: int, days: float) -> None:
        run = run_of(number, "2026-11-20T11:00:00+00:00")
        runs.write(run)
        runs.ask_to_stop(run.id)
        file = folder / f"{run.id}.simulation"
        os.utime(file, (file.stat().st_mtime, NOW.timestamp() - days * 86_400))

    put(1, 28)
    put(2, 28.001)
    put(3, 1)
    runs.start(Settings(simulations_folder=folder), TRIED, "x", None)
    order_in(started)
    assert kept() == {1, 3}
    for path in folder.glob("*.s*"):
        path.unlink()
    for number in range(101):
        put(number, (101 - number) / 100)
    runs.start(Settings(simulations_folder=folder), TRIED, "x", None)
    order_in(started)
    assert kept() == set(range(1, 101))
