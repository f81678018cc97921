"""Measures feeds beside hook calls on a real server: `python -m benchmarks.events --seconds 20 --patients 1000000`.

How many HL7 v2 messages a second are parsed, mapped and committed; the time from a message to the decision that
it causes, at 100 messages a second, each of another patient; the latency of hook calls without and with these messages;
resident memory with a file of facts about so many patients.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, time
from typing import Any, Final

import httpx
import numpy as np

from benchmarks.charts import load_patients
from benchmarks.connection import ChangingRequest
from benchmarks.servers import Server, free_port, running
from benchmarks.subject import discover, find_subjects
from cds_hooks.events.inbox import Inbox
from cds_hooks.events.mllp import framed

_HOOKS_A_SECOND: Final = 40
_EVENTS_A_SECOND: Final = 100
_CONNECTIONS: Final = 8
_DECLARED: Final = """
database = "{folder}/events.sqlite3"
complete = ["Patient", "Condition", "MedicationRequest", "AllergyIntolerance", "Procedure", "Observation", "Encounter"]
[feed.lab]
kind = "mllp"
listen = "127.0.0.1:{port}"
authority = "SOUTH"
[effect.kidney]
services = ["nephrology-referral"]
quiet_seconds = 0.1
"""
_SERVICE: Final = "planning-conversation"


def _message(number: int, patient: int) -> bytes:
    now = datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000")
    lines = (
        rf"MSH|^~\&|LAB|SOUTH|CDS|SOUTH|{now}||ORU^R01^ORU_R01|m{number}|P|2.5.1",
        f"PID|1||b{patient}^^^SOUTH^MR||SAMPLE^SAM||19500102|M",
        f"OBR|1|P{number}|F{number}|2160-0^Creatinine^LN|||{now}|||||||||||||||{now}|||F",
        f"OBX|1|NM|2160-0^Creatinine^LN||{1 + number % 30 / 10}|mg/dL|||||F|||{now}",
    )
    return framed("\r".join([*lines, ""]).encode())


async def _burst(port: int, count: int) -> float:
    """Return how many messages a second are acknowledged when they come as fast as they are taken."""

    async def send(first: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        numbers = range(first, count, _CONNECTIONS)
        for number in numbers:
            writer.write(_message(number, number % 5000))
            await writer.drain()
        for _ in numbers:
            await reader.readuntil(b"\x1c\r")
        writer.close()

    started = perf_counter()
    await asyncio.gather(*(send(first) for first in range(_CONNECTIONS)))
    return count / (perf_counter() - started)


async def _steady(port: int, seconds: float) -> dict[str, float]:
    """Send messages at a steady rate, each of another patient; return when each patient's was sent."""
    sent: dict[str, float] = {}
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    started = perf_counter()
    for number in range(int(seconds * _EVENTS_A_SECOND)):
        await asyncio.sleep(max(0.0, started + number / _EVENTS_A_SECOND - perf_counter()))
        sent[f"b{1_000_000 + number}"] = time()
        writer.write(_message(1_000_000 + number, 1_000_000 + number))
    for _ in sent:
        await reader.readuntil(b"\x1c\r")
    writer.close()
    return sent


async def _hooks(server: Server, body: bytes, seconds: float) -> list[float]:
    """Return the milliseconds of hook calls at a steady rate, each from when it was due."""
    request = ChangingRequest(body)
    took: list[float] = []

    async def call(due: float) -> None:
        answer = await http.post(f"http://127.0.0.1:{server.port}/cds-services/{_SERVICE}", content=request.next())
        answer.raise_for_status()
        took.append((perf_counter() - due) * 1000)

    headers = {"content-type": "application/json"}
    async with httpx.AsyncClient(headers=headers, timeout=30, trust_env=False) as http, asyncio.TaskGroup() as calls:
        started = perf_counter()
        for number in range(int(seconds * _HOOKS_A_SECOND)):
            due = started + number / _HOOKS_A_SECOND
            await asyncio.sleep(max(0.0, due - perf_counter()))
            calls.create_task(call(due))
    return took


def _waits(folder: Path, sent: dict[str, float]) -> list[float]:
    """Return the seconds from the sending of each patient's message to its decision."""
    with closing(sqlite3.connect(folder / "events.sqlite3")) as connection:
        rows = connection.execute("SELECT subject, at FROM outbox WHERE type = 'decision-made'").fetchall()
    return [at - sent[subject] for subject, at in rows if subject in sent]


def _fill(folder: Path, patients: int) -> None:
    """Put one fact about each of so many other patients into the file."""
    Inbox(folder / "events.sqlite3").close()
    row = "INSERT INTO facts (patient, type, id, codes, at, rank, current, status, inbox, content)"
    with closing(sqlite3.connect(folder / "events.sqlite3")) as connection:
        connection.executemany(
            f"{row} VALUES (?, 'Observation', ?, '2160-0', 0, 1, 1, 'final', 0, x'7b7d')",
            ((f"k{number}", f"k{number}") for number in range(patients)),
        )
        connection.commit()


def measure(folder: Path, seconds: float, patients: int) -> dict[str, Any]:
    """Return the figures, by name."""
    port = free_port()
    (folder / "events.toml").write_text(_DECLARED.format(folder=folder, port=port), encoding="utf-8")
    _fill(folder, patients)
    command = [sys.executable, "-m", "cds_hooks", "serve", "--port", "{port}"]
    environment = {"CDS_DATABASE_URL": f"sqlite:///{folder}/decisions.sqlite3"}
    with running("server", command, folder, None, CDS_EVENTS_FILE=str(folder / "events.toml"), **environment) as server:
        (entry,) = discover(server.call_json, [_SERVICE])
        body = find_subjects(entry, server.call_json, list(load_patients(datetime.now(UTC))))[0].body(
            server.call_json, 68
        )
        asyncio.run(_hooks(server, body or b"", 2))
        alone = asyncio.run(_hooks(server, body or b"", seconds))

        async def both() -> tuple[dict[str, float], list[float]]:
            return await asyncio.gather(_steady(port, seconds), _hooks(server, body or b"", seconds))

        sent, beside = asyncio.run(both())
        memory = server.resident_mb()[0]
        end = perf_counter() + 20
        while len(waits := _waits(folder, sent)) < len(sent) and perf_counter() < end:
            asyncio.run(asyncio.sleep(0.5))
        rate = asyncio.run(_burst(port, int(seconds * 1000)))
    quantiles = {"p50": 50, "p99": 99}
    return {
        "messages_a_second": round(rate),
        "event_to_decision_seconds": {
            name: round(float(np.percentile(waits, at)), 2) for name, at in quantiles.items()
        },
        "decided": f"{len(waits)} of {len(sent)}",
        "hooks_alone_ms": {name: round(float(np.percentile(alone, at)), 1) for name, at in quantiles.items()},
        "hooks_beside_ms": {name: round(float(np.percentile(beside, at)), 1) for name, at in quantiles.items()},
        "known_patients": patients,
        "resident_mb": round(memory),
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--patients", type=int, default=0)
    given = parser.parse_args()
    with TemporaryDirectory(prefix="cds-events-") as folder:
        print(json.dumps(measure(Path(folder), given.seconds, given.patients), indent=2))


if __name__ == "__main__":
    main()
