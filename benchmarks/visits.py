"""A visit: an EHR opens a chart, asks nine services about it, selects five orders and signs them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from statistics import median
from time import process_time
from typing import Any

import orjson
from rich.table import Table

from benchmarks import bare
from benchmarks.bodies import with_marked_ids, without_limits
from benchmarks.charts import Patient, load_patients
from benchmarks.connection import NUMBER_MARK
from benchmarks.in_process import InProcess, service_in_process
from benchmarks.subject import discover
from cds_hooks.kit.simulator.chart import Chart, ChartError
from cds_hooks.kit.simulator.request import build_request

SIZES_KB = (68, 160, 700)
_VIEWS, _SELECTS = 9, 5
_MARK = f"--{NUMBER_MARK}".encode()

Calls = list[tuple[str, bytes]]
"""Path and body of each call, with `_MARK` behind every id of the patient."""


def measure_visits(visits: int) -> list[dict[str, Any]]:
    """For each size of chart milliseconds of processor time of a visit, each visit about another patient.

    Each is interleaved with the bare handler, which is sent the same bodies.
    """
    with service_in_process() as service:
        patients = [patient for patient in load_patients(datetime.now(UTC)) if patient.is_sample and patient.drafts]
        patient = min(patients, key=lambda patient: len(patient.resources))
        entries = discover(service.call_json)
        return [_measure(service, _calls_of_a_visit(entries, patient, size), size, visits) for size in SIZES_KB]


def _measure(service: InProcess, calls: Calls, size_kb: int, visits: int) -> dict[str, Any]:
    handler = InProcess(bare.app)
    milliseconds: dict[str, list[float]] = {"service": [], "first": [], "bare": []}
    for number in range(visits + 1):
        bodies = [(path, body.replace(_MARK, b"--%07d" % number)) for path, body in calls]
        of_service = _take_times(service, bodies)
        of_bare = _take_times(handler, [(bare.PATH, body) for _, body in bodies])
        if number:  # the first one only warms up
            milliseconds["service"].append(sum(of_service))
            milliseconds["first"].append(of_service[0])
            milliseconds["bare"].append(sum(of_bare))
    handler.close()
    figures = {name: round(median(values), 2) for name, values in milliseconds.items()}
    sent = sum(len(body) for _, body in calls) / 1000
    return {"chart_kb": size_kb, "calls": len(calls), "sent_kb": round(sent), **figures}


def _take_times(app: InProcess, bodies: Calls) -> list[float]:
    gc.collect()
    times = []
    for path, body in bodies:
        begun = process_time()
        app.call("POST", path, body)
        times.append(1000 * (process_time() - begun))
    return times


def _calls_of_a_visit(entries: list[dict[str, Any]], patient: Patient, size_kb: int) -> Calls:
    chart = [*patient.resources, *_newest(patient, 1000 * size_kb - len(orjson.dumps(patient.resources)))]
    views = islice(_bodies(entries, "patient-view", patient, chart), _VIEWS)
    selects = list(_bodies(entries, "order-select", patient, chart))
    signs = list(_bodies(entries, "order-sign", patient, chart))
    return [*views, *(selects * _SELECTS)[:_SELECTS], signs[0]]


def _newest(patient: Patient, room: int) -> Iterator[dict[str, Any]]:
    for resource in next(patient.fillers()):
        room -= len(orjson.dumps(resource))
        if room < 0:
            return
        yield resource


def _bodies(
    entries: list[dict[str, Any]], hook: str, patient: Patient, chart: list[dict[str, Any]]
) -> Iterator[tuple[str, bytes]]:
    for entry in entries:
        if entry["hook"] == hook:
            try:
                request = with_marked_ids(build_request(without_limits(entry), Chart(chart), patient.drafts))
            except ChartError:
                continue
            yield f"/cds-services/{entry['id']}", orjson.dumps(request)


def table(figures: list[dict[str, Any]]) -> Table:
    """Of each size what a visit takes, and how that is to the bare handler."""
    rows = Table(title="A visit: nine views, five selections and a signature with one chart; ms of processor time")
    for name in ("chart", "sent", "service", "bare handler", "ratio", "its first call"):
        rows.add_column(name, justify="right")
    for line in figures:
        ratio = line["bare"] / line["service"]
        cells = (f"{line['service']:.1f}", f"{line['bare']:.1f}", f"{ratio:.2f}", f"{line['first']:.2f}")
        rows.add_row(f"{line['chart_kb']} KB", f"{line['sent_kb']} KB", *cells)
    return rows
