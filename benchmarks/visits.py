"""A visit: an EHR opens a chart, asks what discovery lists for it, selects five orders and signs them.

After it a study is dispatched and the patient is discharged.
"""

import gc
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import accumulate, count
from statistics import median
from time import process_time
from typing import Any

import orjson
from rich.table import Column, Table

from benchmarks import bare
from benchmarks.charts import Patient, load_patients
from benchmarks.connection import NUMBER_MARK, with_marked_ids, without_limits
from benchmarks.in_process import InProcess, service_in_process
from benchmarks.subject import discover
from cds_hooks.tools.kit.simulator.chart import Chart, ChartError
from cds_hooks.tools.kit.simulator.request import build_request, drafts_for

SIZES_KB = (68, 160, 700)
_SELECTS = 5
_OPENING = "patient-view"
HOOKS_OF_A_VISIT = (_OPENING, *["order-select"] * _SELECTS, "order-sign")
_LATER = ("order-dispatch", "encounter-discharge")
_STUDY: dict[str, Any] = {
    "resourceType": "ServiceRequest",
    "id": "head",
    "status": "draft",
    "intent": "order",
    "code": {"text": "CT head without contrast"},
    "reasonCode": [{"text": "Headache"}],
}
_STAY: dict[str, Any] = {
    "resourceType": "Encounter",
    "id": "stay",
    "status": "in-progress",
    "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
    "period": {"start": "2026-01-05T08:00:00Z"},
}
MARK = f"--{NUMBER_MARK}".encode()

Json = dict[str, Any]
Calls = list[tuple[str, bytes]]
"""Path and body of each call, with `MARK` behind every id of the patient."""


def visit_times(visits: int) -> Table:
    """Of each call the ratio to the bare handler, cold and in the visit, by size; then of the opening and the visit.

    The visit ends with the signature: what is called after it is not in its sum.

    Each is interleaved with the bare handler, which is sent the same bodies.
    """
    with service_in_process() as service:
        entries = discover(service.call_json)
        opening = sum(entry["hook"] == _OPENING for entry in entries)
        calls = [(calls_of_a_visit(entries, size), calls_after_it(entries, size), size) for size in SIZES_KB]
        figures = [_measure(service, [*visit, *later], size, visits) for visit, later, size in calls]
        return _table(figures, opening, len(calls[0][0]))


def _measure(service: InProcess, calls: Calls, size_kb: int, visits: int) -> dict[str, Any]:
    """Of each call the median when nobody asked about the patient before, and as a call of a visit."""
    handler = InProcess(bare.app)
    milliseconds: dict[str, list[list[float]]] = defaultdict(list)
    numbers = count()
    for number in range(visits + 1):
        visit = next(numbers)
        for kind, bodies in (
            ("cold", [(path, body.replace(MARK, b"--%07d" % next(numbers))) for path, body in calls]),
            ("visit", [(path, body.replace(MARK, b"--%07d" % visit)) for path, body in calls]),
        ):
            times = take_times(service, bodies), take_times(handler, [(bare.PATH, body) for _, body in bodies])
            if number:  # the first one only warms up
                milliseconds[kind].append(times[0])
                milliseconds[f"bare {kind}"].append(times[1])
    handler.close()
    medians = {
        kind: [round(median(times), 3) for times in zip(*runs, strict=True)] for kind, runs in milliseconds.items()
    }
    sent = sum(len(body) for _, body in calls) / 1000
    return {"chart_kb": size_kb, "paths": [path for path, _ in calls], "sent_kb": round(sent), **medians}


def take_times(app: InProcess, bodies: Calls) -> list[float]:
    """Return the milliseconds of processor time of each call."""
    gc.collect()
    times = []
    for path, body in bodies:
        begun = process_time()
        app.call("POST", path, body)
        times.append(1000 * (process_time() - begun))
    return times


def calls_of_a_visit(entries: list[Json], size_kb: int) -> Calls:
    """Return the calls of a visit about a chart of this size to the services that discovery lists."""
    patient, drafts = _patient_and_drafts()
    chart = cut_chart(patient, size_kb)
    opening = bodies_of(entries, _OPENING, chart, drafts[:1])
    selects: Calls = []
    for number in range(1, _SELECTS + 1):  # each after one more order
        ordered = drafts[:number]
        *_, select = bodies_of(entries, "order-select", chart, ordered)
        selects.append(select)
    *_, signature = bodies_of(entries, "order-sign", chart, ordered)
    return [*opening, *selects, signature]


def calls_after_it(entries: list[Json], size_kb: int) -> Calls:
    """Return the dispatch of a study and the discharge of the same patient."""
    patient, _ = _patient_and_drafts()
    subject = {"reference": f"Patient/{patient.resources[0]['id']}"}
    whole = cut_chart(patient, size_kb)
    chart = Chart([*whole.resources, _STAY | {"subject": subject}])
    return [call for hook in _LATER for call in bodies_of(entries, hook, chart, [_STUDY | {"subject": subject}])]


def _patient_and_drafts() -> tuple[Patient, list[Json]]:
    """Return the patient with the smallest chart of those who have drafts, and the first draft of each of them."""
    patients = [patient for patient in load_patients(datetime.now(UTC)) if patient.drafts]
    return min(patients, key=lambda patient: len(patient.resources)), [patient.drafts[0] for patient in patients]


def cut_chart(patient: Patient, size_kb: int) -> Chart:
    """Return the patient's own resources with as much history as there is room for."""
    whole = [*patient.resources, *next(patient.fillers())]
    sizes = accumulate(len(orjson.dumps(resource)) for resource in whole)
    return Chart([resource for resource, size in zip(whole, sizes, strict=True) if size < 1000 * size_kb])


def bodies_of(entries: list[Json], hook: str, chart: Chart, ordered: list[Json]) -> Iterator[tuple[str, bytes]]:
    """Yield path and body of each service at the hook that can be called with these orders; the last is selected."""
    for entry in entries:
        if entry["hook"] == hook:
            try:
                request = build_request(without_limits(entry), chart, drafts_for(chart, ordered))
            except ChartError:
                continue
            if "selections" in request["context"]:
                request["context"]["selections"] = request["context"]["selections"][-1:]
            yield f"/cds-services/{entry['id']}", with_marked_ids(request)


def _table(figures: list[dict[str, Any]], opening: int, visit: int) -> Table:
    columns = [
        Column(f"{of_size['chart_kb']} KB, {of_size['sent_kb']} KB sent", justify="right") for of_size in figures
    ]
    title = "Bare handler to service, processor time: cold | in a visit (ms of the service, cold | in a visit)"
    rows = Table("call of the visit", *columns, title=title)
    for position, path in enumerate(figures[0]["paths"]):
        name = f"{position + 1} {path.rpartition('/')[2]}"
        rows.add_row(name, *(_ratios(of_size, slice(position, position + 1)) for of_size in figures))
    rows.add_section()
    rows.add_row("the opening", *(_ratios(of_size, slice(opening)) for of_size in figures))
    rows.add_row("the visit", *(_ratios(of_size, slice(visit)) for of_size in figures))
    return rows


def _ratios(figures: dict[str, Any], calls: slice) -> str:
    cold, visit, bare_cold, bare_visit = (
        sum(figures[kind][calls]) for kind in ("cold", "visit", "bare cold", "bare visit")
    )
    return f"{bare_cold / cold:.2f} | {bare_visit / visit:.2f} ({cold:.2f} | {visit:.2f})"
