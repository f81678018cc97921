"""Kills the server under load, many times, and looks for every answered decision in the record."""

from __future__ import annotations

import random
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep

from benchmarks.load import LOST, Cores, Order, RunningLoad, Tally
from benchmarks.servers import DidNotStart, running, service_command

_LOAD_SECONDS = 60.0  # never reached: the kill ends the load
_LONGEST_WAIT_SECONDS = 0.5


@dataclass
class KillResult:
    """One kill after another: how many calls had been answered each time, and which of them are not in the record."""

    answered: list[int] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def kill_many_times(times: int, path: str, body: str, least_answered: int, cores: Cores) -> KillResult:
    """Each time a fresh database, at least `least_answered` answered calls, and `kill -9` at a random moment after.

    A server that does not start ends it, as a fault beside what was found so far.
    """
    result = KillResult()
    for number in range(times):
        with tempfile.TemporaryDirectory(prefix="cds-kill-", ignore_cleanup_errors=True) as folder:
            try:
                tally = _kill_once(Path(folder), path, body, least_answered, cores)
            except DidNotStart as error:
                result.faults.append(f"kill {number + 1}: {error}")
                return result
            recorded = recorded_decisions(Path(folder) / "decisions.sqlite3")
        result.answered.append(len(tally.decisions))
        result.lost += [decision for decision in tally.decisions if decision not in recorded]
        result.faults += faults_of(number, tally, least_answered)
    return result


def _kill_once(folder: Path, path: str, body: str, least_answered: int, cores: Cores) -> Tally:
    database = f"sqlite:///{folder / 'decisions.sqlite3'}"
    command = service_command()
    with running("service", command, folder, cores.server, CDS_DATABASE_URL=database) as server:
        order = Order(
            port=server.port,
            path=path,
            body=body,
            seconds=_LOAD_SECONDS,
            warm_up_seconds=0.0,
            core=cores.generator,
            keep_decisions=True,
            announce_after=least_answered,
        )
        load = RunningLoad(order)
        load.wait_for_answers()
        sleep(random.uniform(0.0, _LONGEST_WAIT_SECONDS))
        server.kill()
        return load.tally()


def faults_of(number: int, tally: Tally, least_answered: int) -> list[str]:
    """What makes a kill worthless as a test; broken connections are what a kill does."""
    wrong = {text: count for text, count in tally.errors.items() if not text.startswith(LOST)}
    faults = [f"kill {number + 1}: {text} ({count} times)" for text, count in wrong.items()]
    if len(tally.decisions) < least_answered:
        faults.append(f"kill {number + 1}: only {len(tally.decisions)} calls were answered before it")
    if len(set(tally.decisions)) < len(tally.decisions):
        faults.append(f"kill {number + 1}: two answers carried the same decision id")
    return faults


def recorded_decisions(database: Path) -> set[str]:
    """The ids in the record, read with nothing but SQLite, as after a crash: the write-ahead log is recovered."""
    with closing(sqlite3.connect(database)) as connection:
        return {identifier for (identifier,) in connection.execute("SELECT id FROM decisions")}
