"""How the time of a call grows with each list and each text: 1, 2, 4 and 8 times as much of it, the rest the same.

A list is 250 to 2,000 resources of one kind, or 25 to 200 drafts. A text is every text of ten resources of one kind, of
250 to 2,000 characters, which is the longest that is read. Bodies over 1 MB take longer for a byte, and 2,000
resources are often the first that are: what seems to grow faster is measured again with 4,000 and 8,000.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import chain, cycle, islice
from math import log2
from time import process_time
from typing import Any

import orjson
from rich.table import Table

from benchmarks.bodies import build_body, with_marked_ids
from benchmarks.charts import Patient, load_patients
from benchmarks.connection import ChangingRequest
from benchmarks.in_process import InProcess, service_in_process
from benchmarks.subject import WrongAnswer, discover, find_subjects
from cds_hooks.kit.simulator.chart import move_dates

COUNTS = (250, 500, 1000, 2000)
_OF_DRAFTS = (25, 50, 100, 200)
"""The server judges 200 orders at most."""
_LINEAR_UP_TO = 1.3
"""n log n grows from 1,000 to 2,000 as n to the power of 1.1; the rest is for what a busy machine adds."""
_TOO_SMALL_MS = 1.0
_TEXTS = frozenset({"text", "display", "conclusion", "comment", "patientInstruction", "valueString", "div"})
"""The members that hold words."""
_FILLER = "one tablet by mouth with food -- see note, "
_WITH_TEXTS = 10
_LONGEST_CALL_SECONDS = 3.0
_PER_DAY = 10
_WITH_BROKEN_PARTS = "messy-record"
"""A sample whose broken resources send the whole body to the careful second reader: that is another question."""

Resource = dict[str, Any]
Row = dict[str, Any]


def measure_growth(services: Iterable[str] = (), advance: Callable[[str], None] = lambda _: None) -> list[Row]:
    """One row for each service, hook and kind: milliseconds by count, and the exponent; `advance` is told of each."""
    patients = list(load_patients(datetime.now(UTC)))
    models = _models(patients)
    rows: list[Row] = []
    with service_in_process() as service:
        for entry in discover(service.call_json, services):
            subject = find_subjects(entry, service.call_json, [patient for patient in patients if patient.is_sample])[0]
            base = orjson.loads(build_body(entry, subject.patients[0]))
            for kind, grown in _kinds(entry, base, models):
                advance(f"{entry['id']} ({entry['hook']}): {kind}")
                rows.append(
                    _grown(service, subject.path, entry, kind, grown, COUNTS if kind != "draft" else _OF_DRAFTS)
                )
    return rows


def _models(patients: list[Patient]) -> dict[str, list[Resource]]:
    """What the samples hold of every type: what is repeated."""
    models: dict[str, list[Resource]] = {}
    for patient in patients:
        if patient.is_sample and not patient.origin.endswith(_WITH_BROKEN_PARTS):
            for resource in chain(patient.resources, patient.drafts):
                kind = "draft" if resource.get("status") == "draft" else resource["resourceType"]
                models.setdefault(kind, []).append(resource)
    return models


Grown = Callable[[int], bytes]


def _kinds(entry: dict[str, Any], base: dict[str, Any], models: dict[str, list[Resource]]) -> list[tuple[str, Grown]]:
    kinds: list[tuple[str, Grown]] = []
    keys: dict[str, str] = {}
    for key, query in entry["prefetch"].items():
        keys.setdefault(query.partition("?")[0], key)
    for kind, key in keys.items():
        if kind in models and kind != "Patient" and "/" not in kind:
            kinds.append((kind, _more_in_prefetch(base, key, models[kind])))
            kinds.append((f"texts of {kind}", _longer_texts(base, key, models[kind])))
    if "Observation" in keys:
        unreadable = [_in_furlongs(model) for model in models["Observation"] if "valueQuantity" in model]
        kinds.append(("Observation of a wrong unit", _more_in_prefetch(base, keys["Observation"], unreadable)))
    if "draftOrders" in base["context"]:
        kinds.append(("draft", _more_drafts(base, models["draft"])))
    return kinds


def _in_furlongs(resource: Resource) -> Resource:
    return {**resource, "valueQuantity": {"value": resource["valueQuantity"].get("value"), "unit": "furlong"}}


def _more_in_prefetch(base: dict[str, Any], key: str, models: list[Resource]) -> Grown:
    def grown(count: int) -> bytes:
        entries = _entries(base, models, count)
        bundle = {"resourceType": "Bundle", "type": "searchset", "total": count, "entry": entries}
        return _encoded({**base, "prefetch": {**base["prefetch"], key: bundle}})

    return grown


def _longer_texts(base: dict[str, Any], key: str, models: list[Resource]) -> Grown:
    def grown(characters: int) -> bytes:
        long_models = [_with_long_texts(model, characters) for model in models]
        return _more_in_prefetch(base, key, long_models)(_WITH_TEXTS)

    return grown


def _with_long_texts(value: Any, characters: int, name: str = "") -> Any:
    """The resource with every text in it so long."""
    if isinstance(value, dict):
        return {member: _with_long_texts(element, characters, member) for member, element in value.items()}
    if isinstance(value, list):
        return [_with_long_texts(element, characters, name) for element in value]
    if name not in _TEXTS or not isinstance(value, str):
        return value
    return f"{value}, {_FILLER * (characters // len(_FILLER) + 1)}"[:characters].strip()


def _more_drafts(base: dict[str, Any], models: list[Resource]) -> Grown:
    def grown(count: int) -> bytes:
        entries = _entries(base, models, count)
        drafts = {"resourceType": "Bundle", "type": "collection", "entry": entries}
        context = {**base["context"], "draftOrders": drafts}
        if "selections" in context:
            names = [f"{entry['resource']['resourceType']}/{entry['resource']['id']}" for entry in entries]
            context["selections"] = names
        return _encoded({**base, "context": context})

    return grown


def _entries(base: dict[str, Any], models: list[Resource], count: int) -> list[Resource]:
    """So many resources of this patient: the models over and over, each time on another day."""
    subject = {"reference": f"Patient/{base['context']['patientId']}"}
    entries = []
    for number, model in enumerate(islice(cycle(models), count)):
        resource = {**move_dates(model, -(number // _PER_DAY)), "id": f"grown-{number}"}
        entries.append({"resource": resource | {name: subject for name in ("subject", "patient") if name in resource}})
    return entries


def _encoded(request: dict[str, Any]) -> bytes:
    return orjson.dumps(with_marked_ids(request))


def _grown(
    service: InProcess, path: str, entry: dict[str, Any], kind: str, grown: Grown, counts: tuple[int, ...]
) -> Row:
    times, refused = _times(service, path, grown, counts)
    power = exponent(times)
    if power is not None and power > _LINEAR_UP_TO:
        more, refused = _times(service, path, grown, [2 * counts[-1], 4 * counts[-1]])
        times |= more
        power = exponent(times)
    return {
        "service": entry["id"],
        "hook": entry["hook"],
        "kind": kind,
        "milliseconds": times,
        "exponent": power,
        "worse_than_n_log_n": power is not None and power > _LINEAR_UP_TO,
        "refused": refused,
    }


def _times(service: InProcess, path: str, grown: Grown, counts: Iterable[int]) -> tuple[dict[int, float], str]:
    """Milliseconds by count, and with which words the first of the counts that was refused was refused."""
    times: dict[int, float] = {}
    for count in counts:
        try:
            times[count] = _milliseconds(service, path, grown(count))
        except WrongAnswer as error:
            return times, str(error).partition(" was ")[2].partition(":")[0]
        if times[count] > 1000 * _LONGEST_CALL_SECONDS:
            break
    return times, ""


def exponent(times: dict[int, float]) -> float | None:
    """The power of n by the last two steps, each of which doubles n; None where they are too small to be compared."""
    if len(times) < 3:
        return None
    first, second, last = list(times.values())[-3:]
    return log2((last - second) / (second - first)) if min(last - second, second - first) > _TOO_SMALL_MS else None


def _milliseconds(service: InProcess, path: str, body: bytes) -> float:
    """Processor time of one call: the best of some."""
    request = ChangingRequest(body)
    seconds: list[float] = []
    while len(seconds) < 2 or (len(seconds) < 8 and sum(seconds) < 0.5):
        sent = request.next()
        started = process_time()
        service.call("POST", path, sent)
        seconds.append(process_time() - started)
        if seconds[0] > _LONGEST_CALL_SECONDS:
            break
    return 1000 * min(seconds)


def table(rows: list[Row]) -> Table:
    """Milliseconds by count."""
    counts = sorted({count for row in rows for count in row["milliseconds"]})
    growth_table = Table(
        "service (hook)",
        "kind",
        *(f"{count:,}" for count in counts),
        "exponent",
        title="Growth: processor ms of a call",
    )
    for row in rows:
        times = (f"{row['milliseconds'][count]:,.1f}" if count in row["milliseconds"] else "" for count in counts)
        power = "" if row["exponent"] is None else f"{row['exponent']:.2f}"
        remark = f"{power} [red]WORSE than n log n[/red]" if row["worse_than_n_log_n"] else power
        growth_table.add_row(
            f"{row['service']} ({row['hook']})", row["kind"], *times, f"{remark} {row['refused']}".strip()
        )
    return growth_table
