"""What one client costs another: times of B's small calls alone and beside what A does.

A sends the largest bodies, middling ones, or calls whose FHIR server stalls. Two clients of a trust file, one server
process, loopback: `python -m benchmarks.neighbours`.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import selectors
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from typing import Annotated, Any
from uuid import uuid4

import orjson
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.servers import running, service_command
from cds_hooks.kit.simulator.signing import SigningKey, new_key, sign_token

PATH = "/cds-services/order-safety"
_PATIENT = {"resourceType": "Patient", "id": "p", "gender": "male", "birthDate": "1950-03-04"}
_DRUGS = ("197806", "197517", "198334", "861007", "1364445", "314229", "198051", "1049221", "312938", "309112")
_A_CONNECTIONS = 4
_B_PER_SECOND = 20.0
_STALLED_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: 100000\r\n\r\n"

Json = dict[str, Any]


def body_of(
    drafts: int, medications: int = 0, conditions: int = 0, results: int = 0, fhir_server: str | None = None
) -> bytes:
    """An order-sign call of that size. With `fhir_server` its prefetch is to be read from there."""
    days = [(datetime.now(UTC) - timedelta(days=n)).strftime("%Y-%m-%dT08:00:00Z") for n in range(400)]
    request: Json = {
        "hook": "order-sign",
        "hookInstance": str(uuid4()),
        "context": {
            "userId": "Practitioner/u",
            "patientId": "p",
            "draftOrders": _bundle(
                _order(f"draft-{n}", _DRUGS[n % len(_DRUGS)], "draft", days[0]) for n in range(drafts)
            ),
        },
    }
    if fhir_server is not None:
        token = {"access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": "user/*.read", "subject": "s"}
        return orjson.dumps({**request, "fhirServer": fhir_server, "fhirAuthorization": token})
    orders = (_order(f"m{n}", _DRUGS[n % len(_DRUGS)], "active", days[n % 400]) for n in range(medications))
    problems = (_problem(f"c{n}", days[n % 400]) for n in range(conditions))
    labs = (_result(f"o{n}", days[n % 400]) for n in range(results))
    prefetch = {"patient": _PATIENT, "medications": _bundle(orders), "conditions": _bundle(problems)}
    others = {"labs": _bundle(labs), "allergies": None, "statements": None}
    return orjson.dumps({**request, "prefetch": prefetch | others})


def _bundle(resources: Iterator[Json]) -> Json:
    entries = [{"resource": each} for each in resources]
    return {"resourceType": "Bundle", "type": "searchset", "entry": entries}


def _order(identity: str, rxcui: str, status: str, day: str) -> Json:
    coding = {"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": rxcui}
    return {
        "resourceType": "MedicationRequest",
        "id": identity,
        "status": status,
        "intent": "order",
        "subject": {"reference": "Patient/p"},
        "authoredOn": day,
        "medicationCodeableConcept": {"coding": [coding]},
        "dosageInstruction": [{"text": "1 tablet twice daily"}],
    }


def _problem(identity: str, day: str) -> Json:
    active = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}
    coding = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": ("I10", "I50.9", "N18.4", "K74.60")[len(day) % 4]}
    subject = {"reference": "Patient/p"}
    problem = {"resourceType": "Condition", "id": identity, "clinicalStatus": active, "code": {"coding": [coding]}}
    return problem | {"subject": subject, "onsetDateTime": day}


def _result(identity: str, day: str) -> Json:
    code = {"coding": [{"system": "http://loinc.org", "code": "2160-0"}]}
    quantity = {"value": 1.3, "unit": "mg/dL", "code": "mg/dL", "system": "http://unitsofmeasure.org"}
    result = {"resourceType": "Observation", "id": identity, "status": "final", "code": code, "valueQuantity": quantity}
    return result | {"subject": {"reference": "Patient/p"}, "effectiveDateTime": day}


# The site: two clients


def write_site(folder: Path, stalled: str) -> tuple[SigningKey, SigningKey, Path]:
    """The keys of the clients A, whose FHIR server is `stalled`, and B, and the trust file that names both."""
    keys = [new_key(f"https://{name}.example", "EdDSA") for name in ("a", "b")]
    text = "version = 1\n"
    for name, key in zip(("a", "b"), keys, strict=True):
        (folder / f"{name}.json").write_text(json.dumps(key.key_set()))
        text += f'[[client]]\nname = "{name}"\nissuers = ["https://{name}.example"]\nalgorithms = ["EdDSA"]\n'
        text += f'jwks_file = "{name}.json"\n' + (f'fhir = ["{stalled}"]\n' if name == "a" else "")
    file = folder / "trust.toml"
    file.write_text(text)
    return keys[0], keys[1], file


@contextmanager
def stalled_fhir_server() -> Iterator[str]:
    """The address of a server that sends headers and then nothing, to everyone; a process of its own, away from B."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    process = multiprocessing.get_context("fork").Process(target=_stall, args=(listening,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/fhir"
    finally:
        process.terminate()
        process.join()
        listening.close()


def _stall(listening: socket.socket) -> None:
    """Sends headers to each connection, and closes it when the other side has."""
    with selectors.DefaultSelector() as selector:
        selector.register(listening, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                connection = key.fileobj
                if connection is listening:
                    accepted, _ = listening.accept()
                    selector.register(accepted, selectors.EVENT_READ)
                    accepted.sendall(_STALLED_HEAD)
                elif isinstance(connection, socket.socket) and not _received(connection):
                    selector.unregister(connection)
                    connection.close()


def _received(connection: socket.socket) -> bytes:
    with suppress(ConnectionError):
        return connection.recv(65_536)
    return b""


# The calls


def call(connection: http.client.HTTPConnection, key: SigningKey, body: bytes) -> int:
    """The status of one signed call."""
    url = f"http://127.0.0.1:{connection.port}{PATH}"
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {sign_token(key, url)}"}
    connection.request("POST", PATH, body, headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def _flood(port: int, key: SigningKey, body: bytes, ended: Event, answered: Any) -> None:
    """A: sends the body again and again over some connections, without pause."""
    counted: Counter[int] = Counter()

    def send() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        while not ended.is_set():
            try:
                counted[call(connection, key, body)] += 1
            except (OSError, http.client.HTTPException):
                counted[0] += 1
                connection.close()

    threads = [threading.Thread(target=send, daemon=True) for _ in range(_A_CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answered.put(dict(counted))


def _small_calls(port: int, key: SigningKey, body: bytes, seconds: float) -> tuple[list[float], Counter[int]]:
    """B: milliseconds of each call, one after the other, and how many had which status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    taken: list[float] = []
    statuses: Counter[int] = Counter()
    due = perf_counter()
    end = due + seconds
    while due < end:
        sleep(max(0.0, due - perf_counter()))
        sent = perf_counter()
        statuses[call(connection, key, body)] += 1
        taken.append((perf_counter() - sent) * 1000)
        due = max(due + 1 / _B_PER_SECOND, sent)
    connection.close()
    return taken, statuses


def measure(
    seconds: float, server_program: str | None = None
) -> Iterator[tuple[str, list[float], Counter[int], dict[int, int], float]]:
    """For each thing that A does: its name, B's times and statuses, A's statuses, and the server's processor time."""
    small = body_of(1, 10, 10, 30)
    with TemporaryDirectory(prefix="cds-neighbours-") as folder, stalled_fhir_server() as stalled:
        a, b, file = write_site(Path(folder), stalled)
        command = service_command(1)
        command[0] = server_program or command[0]
        with running("neighbours", command, Path(folder), None, CDS_TRUST_FILE=str(file)) as server:
            _small_calls(server.port, b, small, 2.0)
            largest = body_of(200, 5000, 10_000, 10_000)
            medium = body_of(10, 100, 100, 400)
            for name, body in (
                ("nothing", b""),
                (f"bodies of {len(largest) / 1e6:.1f} MB", largest),
                (f"bodies of {len(medium) / 1e3:.0f} KB", medium),
                ("calls whose FHIR server stalls", body_of(1, fhir_server=stalled)),
                ("nothing, again", b""),  # what else the machine did meanwhile
            ):
                used = server.cpu_seconds()
                beside = _beside(server.port, a, body, b, small, seconds)
                yield name, *beside, server.cpu_seconds() - used


def _beside(
    port: int, a: SigningKey, body: bytes, b: SigningKey, small: bytes, seconds: float
) -> tuple[list[float], Counter[int], dict[int, int]]:
    if not body:
        return *_small_calls(port, b, small, seconds), {}
    context = multiprocessing.get_context("spawn")
    ended, answered = context.Event(), context.Queue()
    flood = context.Process(target=_flood, args=(port, a, body, ended, answered))
    flood.start()
    sleep(3.0)
    try:
        taken, statuses = _small_calls(port, b, small, seconds)
    finally:
        ended.set()
    counted: dict[int, int] = answered.get(timeout=600)
    flood.join()
    return taken, statuses, counted


def main(
    seconds: Annotated[float, typer.Option(help="Length of each part.")] = 10.0,
    program: Annotated[str | None, typer.Option(help="Another cds-hooks program: that of an older commit.")] = None,
) -> None:
    """Prints the times of B's calls."""
    shown = Table(
        "A sends", "B: p50 ms", "p90", "p99", "worst", "B answered", "A answered", "server's CPU s",
        title="One client beside another",
    )  # fmt: skip
    for name, taken, statuses, counted, used in measure(seconds, program):
        points = quantiles(taken, n=100)
        times = (f"{value:.1f}" for value in (points[49], points[89], points[98], max(taken)))
        shown.add_row(name, *times, str(dict(statuses)), str(counted or ""), f"{used:.1f}")
    Console(width=150).print(shown)


if __name__ == "__main__":
    typer.run(main)
