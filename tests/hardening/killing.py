"""Kills the server under load, many times, and looks for every answered decision in the record."""

from __future__ import annotations

import json
import random
import sqlite3
import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Thread
from time import monotonic, sleep

from benchmarks.connection import ChangingRequest
from benchmarks.servers import DidNotStart, running, service_command
from cards.extension import EXTENSION_KEY
from tests.waiting import MOST_SECONDS

_CONNECTIONS = 8
_LONGEST_WAIT_SECONDS = 0.5


@dataclass
class KillResult:
    """One kill after another: how many calls had been answered each time, and which of them are not in the record."""

    answered: list[int] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@dataclass
class Answers:
    """The decisions of the answers that came whole before the kill, and how often another status came."""

    decisions: list[str] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)


def kill_many_times(times: int, path: str, body: bytes, least_answered: int) -> KillResult:
    """Each time a fresh database, at least `least_answered` answered calls, and `kill -9` at a random moment after.

    A server that does not start ends it, as a fault beside what was found so far.
    """
    result = KillResult()
    for number in range(times):
        with tempfile.TemporaryDirectory(prefix="cds-kill-", ignore_cleanup_errors=True) as folder:
            try:
                answers = _kill_once(Path(folder), path, body, least_answered)
            except DidNotStart as error:
                result.faults.append(f"kill {number + 1}: {error}")
                return result
            recorded = recorded_decisions(Path(folder) / "decisions.sqlite3")
        result.answered.append(len(answers.decisions))
        result.lost += [decision for decision in answers.decisions if decision not in recorded]
        result.faults += faults_of(number, answers, least_answered)
    return result


def _kill_once(folder: Path, path: str, body: bytes, least_answered: int) -> Answers:
    database = f"sqlite:///{folder / 'decisions.sqlite3'}"
    with running("service", service_command(), folder, None, CDS_DATABASE_URL=database) as server:
        answers = Answers()
        clients = [Thread(target=_call_on, args=(server.port, path, body, answers)) for _ in range(_CONNECTIONS)]
        for client in clients:
            client.start()
        until = monotonic() + MOST_SECONDS
        while len(answers.decisions) < least_answered and monotonic() < until:
            sleep(0.01)
        sleep(random.uniform(0.0, _LONGEST_WAIT_SECONDS))
        server.kill()
        for client in clients:
            client.join()
        return answers


def _call_on(port: int, path: str, body: bytes, answers: Answers) -> None:
    """Call again and again, each time about another patient, until the connection breaks."""
    request = ChangingRequest(body)
    with closing(HTTPConnection("127.0.0.1", port, timeout=MOST_SECONDS)) as connection:
        while True:
            try:
                connection.request("POST", path, request.next(), {"Content-Type": "application/json"})
                response = connection.getresponse()
                content = response.read()
            except (OSError, HTTPException):  # what a kill does
                return
            if response.status == 200:
                answers.decisions.append(json.loads(content)["extension"][EXTENSION_KEY]["decision"])
            else:
                answers.errors[f"status {response.status}"] += 1


def faults_of(number: int, answers: Answers, least_answered: int) -> list[str]:
    """What makes a kill worthless as a test."""
    faults = [f"kill {number + 1}: {text} ({count} times)" for text, count in answers.errors.items()]
    if len(answers.decisions) < least_answered:
        faults.append(f"kill {number + 1}: only {len(answers.decisions)} calls were answered before it")
    if len(set(answers.decisions)) < len(answers.decisions):
        faults.append(f"kill {number + 1}: two answers carried the same decision id")
    return faults


def recorded_decisions(database: Path) -> set[str]:
    """The ids in the record, read with nothing but SQLite, as after a crash: the write-ahead log is recovered."""
    with closing(sqlite3.connect(database)) as connection:
        return {identifier for (identifier,) in connection.execute("SELECT id FROM decisions")}
