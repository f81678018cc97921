"""The process of one simulation: what it is told, how often it says how far it is, and how it ends."""

import io
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from cds_hooks.pages.simulations import process
from cds_hooks.pages.simulations.runs import Run, Runs
from cds_hooks.pages.simulations.simulation import Result, Simulation
from cds_hooks.replay.candidates import NoCandidate
from cds_hooks.settings import Settings
from cds_hooks.storage.content import read_content_keys, use_content_keys
from tests.live import record_in

TRIED = Simulation("rule", "renal-metformin", "Metformin", "off", 100, days=7)
RESULT = Result(judged=3)
ID = "0b8f7a4e-0000-4000-8000-000000000001"


class Clock:
    """A clock that goes on when a test says so."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the process."""
    made = Clock()
    monkeypatch.setattr(process, "monotonic", made)
    return made


@pytest.fixture
def carried_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Callable[..., Run]:
    """Carries out a simulation whose computing is the steps given; returns its file as it is then."""
    runs = Runs(tmp_path)

    def carry_out(steps: Callable[[Any, Runs], Result], charts: Path | None = None) -> Run:
        runs.write(Run(ID, "2026-11-20T11:00:00+00:00", "account pia", TRIED))

        def computed(configured: Settings, simulation: Simulation, folder: Path | None, progress: Any) -> Result:
            assert (configured.simulations_folder, simulation, folder) == (tmp_path, TRIED, charts)
            assert runs.is_busy()  # nothing else runs meanwhile
            return steps(progress, runs)

        monkeypatch.setattr(process, "run_simulation", computed)
        process.carry_out(Settings(simulations_folder=tmp_path), ID, charts)
        assert not runs.is_busy()
        found = runs.get(ID)
        assert found is not None
        return found

    return carry_out


def test_the_result_is_kept_with_its_state(carried_out: Callable[..., Run], tmp_path: Path) -> None:
    done = carried_out(lambda _progress, _runs: RESULT, tmp_path / "charts")
    assert (done.state, done.result, done.problem) == ("done", RESULT, "")


def test_how_far_it_is_is_written_at_the_start_and_then_once_a_second(
    carried_out: Callable[..., Run], clock: Clock
) -> None:
    written: list[tuple[float, str, int, int]] = []

    def steps(progress: Any, runs: Runs) -> Result:
        for judged, at in enumerate((50.0, 50.9, 51.0, 51.5, 51.9, 52.0, 53.5, 54.4, 54.5)):
            clock.now = at
            progress(judged, 20)
            run = runs.get(ID)
            assert run is not None
            if not written or written[-1][2] != run.judged:
                written.append((at, run.state, run.judged, run.most))
        return RESULT

    assert carried_out(steps).state == "done"
    assert written == [
        (50.0, "running", 0, 20),
        (51.0, "running", 2, 20),
        (52.0, "running", 5, 20),
        (53.5, "running", 6, 20),
        (54.5, "running", 8, 20),
    ]


def test_it_ends_after_two_hours_and_not_before(carried_out: Callable[..., Run], clock: Clock) -> None:
    def until(seconds: float) -> Callable[[Any, Runs], Result]:
        def steps(progress: Any, _runs: Runs) -> Result:
            clock.now += seconds
            progress(1, 20)
            return RESULT

        return steps

    assert carried_out(until(7_200)).state == "done"
    late = carried_out(until(7_200.5))
    assert (late.state, late.problem, late.result) == (
        "failed",
        "it took more than two hours; choose fewer charts or decisions",
        None,
    )


def test_it_ends_at_the_next_chart_when_somebody_asks_it_to_stop(carried_out: Callable[..., Run]) -> None:
    def steps(progress: Any, runs: Runs) -> Result:
        progress(0, 20)
        runs.ask_to_stop(ID)
        progress(1, 20)
        raise AssertionError("it goes on")

    stopped = carried_out(steps)
    assert (stopped.state, stopped.problem, stopped.judged) == ("stopped", "", 0)


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (NoCandidate("there is no such setting."), "there is no such setting"),
        (KeyError("of Jane Doe"), "it ended with KeyError"),  # what may name a patient is not repeated
    ],
)
def test_why_it_failed_is_kept_without_anything_of_a_patient(
    carried_out: Callable[..., Run], error: Exception, problem: str
) -> None:
    def steps(_progress: Any, _runs: Runs) -> Result:
        raise error

    failed = carried_out(steps)
    assert (failed.state, failed.problem, failed.result) == ("failed", problem, None)


def test_it_waits_for_no_other_and_does_nothing_for_a_file_that_is_gone(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    configured = Settings(simulations_folder=tmp_path)
    process.carry_out(configured, ID, None)
    assert list(tmp_path.iterdir()) == []
    runs.write(Run(ID, "2026-11-20T11:00:00+00:00", "account pia", TRIED))
    with runs.alone():
        process.carry_out(configured, ID, None)
    failed = runs.get(ID)
    assert failed is not None
    assert (failed.state, failed.problem) == ("failed", "another simulation was started at the same moment")


@pytest.mark.parametrize("charts", ["charts", None])
def test_the_process_does_what_it_is_told_and_ends_with_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, charts: str | None
) -> None:
    runs = Runs(tmp_path)
    runs.write(Run(ID, "2026-11-20T11:00:00+00:00", "account pia", TRIED))
    (tmp_path / "keys").write_text("6b" * 32)
    loads = {"database_url": record_in(tmp_path), "simulations_folder": str(tmp_path)}
    loads["content_keys"] = str(tmp_path / "keys")
    reading, writing = os.pipe()
    os.write(writing, orjson.dumps({"settings": loads, "run": ID, "charts": charts}) + b"\n")
    nices: list[int] = []
    ends: list[int] = []
    stdin = io.TextIOWrapper(os.fdopen(reading, "rb"))
    monkeypatch.setattr(sys, "stdin", stdin)
    monkeypatch.setattr(os, "nice", nices.append)
    monkeypatch.setattr(os, "_exit", ends.append)
    before = set(threading.enumerate())
    try:
        process.main()
        run = runs.get(ID)
    finally:
        use_content_keys(read_content_keys(""))
        waiting = set(threading.enumerate()) - before
        assert [(thread.daemon, ends) for thread in waiting] == [(True, [])]
        os.close(writing)
        for thread in waiting:
            thread.join(30)
        stdin.close()
    assert (nices, ends) == ([19], [0])
    assert run is not None
    assert runs.get(ID) is None  # it was encrypted with the keys of the settings
    problem = "" if charts is None else "charts is not a folder"
    assert (run.state, run.problem) == ("done" if charts is None else "failed", problem)
