"""Calls at a fixed rate about ever new patients: how many are answered, how long they wait, what each costs.

`python -m benchmarks.rate [--rate 200] [--seconds 20] [--workers 1] [--json]`: one worker has a core of its own where
cores can be pinned; several have all cores, and the generator of the load takes its part of one. A request is due at
its time whether or not earlier ones were answered, has a connection of its own, and its time begins when it is due.
/livez is asked beside them. A rate above what the server can do shows what a burst leaves to probes.
"""

import asyncio
import os
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import cycle, islice
from time import monotonic, process_time
from typing import Annotated, Any

import orjson
import typer
import uvloop

from benchmarks.charts import load_patients
from benchmarks.connection import ChangingRequest, request_bytes
from benchmarks.servers import Server, running_service, share_out_cores
from benchmarks.subject import discover
from benchmarks.visits import HOOKS_OF_A_VISIT, bodies_of, cut_chart
from cds_hooks.server.memory import no_collection

_SHAPES = 12
_MOST_DRAFTS = 5
_PROBES_PER_SECOND = 20.0
_MOST_SECONDS = 30.0
_VALUE = re.compile(rb'("valueQuantity":\{"value":\d+\.\d*)\d')
_CHANGING_DIGIT = b"\x03"  # never stands in JSON
Times = list[tuple[str, float]]
"""Status and milliseconds of each request."""


def requests_of(entries: list[dict[str, Any]], size_kb: int) -> Iterator[bytes]:
    """Yield requests, each about another patient: twelve charts at the hooks of a visit, with one to five drafts.

    Ids, times and the last digits of results change from request to request.
    """
    patients = [patient for patient in load_patients(datetime.now(UTC)) if patient.drafts]
    drafts = [patient.drafts[0] for patient in patients]
    shapes = []
    for number, patient, hook in zip(range(_SHAPES), patients, cycle(HOOKS_OF_A_VISIT), strict=False):
        ordered = [drafts[(number + position) % len(drafts)] for position in range(1 + number % _MOST_DRAFTS)]
        *_, (path, body) = bodies_of(entries, hook, cut_chart(patient, size_kb), ordered)
        shapes.append(ChangingRequest(request_bytes(path, _VALUE.sub(rb"\1" + _CHANGING_DIGIT, body))))
    for number, shape in enumerate(cycle(shapes)):
        request = shape.next().replace(_CHANGING_DIGIT, b"%d" % (number % 10))
        yield request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


async def _ask(port: int, request: bytes, due: float) -> tuple[str, float]:
    try:
        async with asyncio.timeout(_MOST_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            status = (await reader.read())[9:12].decode() or "closed"
            writer.close()
    except (OSError, TimeoutError) as error:
        status = type(error).__name__
    return status, 1000 * (monotonic() - due)


async def _send(port: int, requests: Iterator[bytes], rate: float, seconds: float) -> tuple[list[float], Times]:
    """Return by how many milliseconds each request left late, and what became of it."""
    late, sent, begun = [], [], monotonic()
    for number in range(round(rate * seconds)):
        due = begun + number / rate
        if (wait := due - monotonic()) > 0:
            await asyncio.sleep(wait)
        late.append(1000 * (monotonic() - due))
        sent.append(asyncio.create_task(_ask(port, next(requests), due)))
    return late, await asyncio.gather(*sent)


async def measure(server: Server, requests: Iterator[bytes], rate: float, seconds: float) -> dict[str, Any]:
    """Return the figures of one run."""
    for request in islice(requests, 2 * _SHAPES):  # the first of each kind compiles its rules
        await _ask(server.port, request, monotonic())
    probe = cycle([b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"])
    begun, used, own = monotonic(), server.cpu_seconds(), process_time()
    (late, calls), (_, probes) = await asyncio.gather(
        _send(server.port, requests, rate, seconds), _send(server.port, probe, _PROBES_PER_SECOND, seconds)
    )
    took, own = monotonic() - begun, process_time() - own
    of_calls, of_views = (now - before for now, before in zip(server.cpu_seconds(), used, strict=True))
    times = sorted(milliseconds for status, milliseconds in calls if status == "200")
    return {
        "calls": len(calls),
        "answered": len(times),
        "refused": Counter(status for status, _ in calls if status != "200"),
        "p50_ms": _at(times, 0.5),
        "p99_ms": _at(times, 0.99),
        "longest_ms": _at(times, 1.0),
        "processor_ms_a_call": round(1000 * of_calls / max(1, len(times)), 2),
        "views_ms_a_call": round(1000 * of_views / max(1, len(times)), 2),  # a process of its own follows the record
        "share_of_a_core": round((of_calls + of_views) / took, 2),
        "livez_p99_ms": _at(sorted(milliseconds for _, milliseconds in probes), 0.99),
        "generator_late_p99_ms": _at(sorted(late), 0.99),
        "generator_share_of_a_core": round(own / took, 2),
    }


def _at(ordered: list[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1) if ordered else float("nan")


def main(
    rate: Annotated[float, typer.Option(help="Calls a second.")] = 200,
    seconds: Annotated[float, typer.Option(help="How long.")] = 20,
    size: Annotated[int, typer.Option(help="Size of each chart in KB.")] = 68,
    workers: Annotated[int, typer.Option(min=1, help="Server processes.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Start a server and print what became of the calls."""
    cores = share_out_cores()
    with running_service(cores.server if workers == 1 else None, workers) as server:
        if cores.generator is not None:
            os.sched_setaffinity(0, {cores.generator})
        requests = requests_of(discover(server.call_json), size)
        with no_collection():  # one of the generator took up to 0.4 s, and the calls that were due came all at once
            figures = uvloop.run(measure(server, requests, rate, seconds))
    if as_json:
        print(orjson.dumps(figures).decode())
        return
    for name, figure in figures.items():
        print(f"{name.replace('_', ' ')}: {figure}")


if __name__ == "__main__":
    typer.run(main)
