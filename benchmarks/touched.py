"""How many of our files and functions the answers to sample calls pass through: what a newcomer has to read to follow.

Each service is called at each of its hooks about the first sample patient that it has a card for. A call is traced
after two others like it, as in a server that runs: what is read once (tables, rules) is not counted, and neither is a
generated or imported function. Each service has a server of its own, because one that has seen slow calls computes the
next ones on a thread, where nothing is traced.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from rich.table import Table

import cds_hooks
from benchmarks.bodies import build_body
from benchmarks.charts import Patient, load_patients
from benchmarks.connection import ChangingRequest
from benchmarks.in_process import InProcess, service_in_process
from benchmarks.subject import WrongAnswer, discover
from cds_hooks.kit.simulator.chart import ChartError

FLOORS = ("cds_hooks", "cards", "models_onnx", "fhir")
_ROOT = Path(cds_hooks.__file__).parents[1]


class Function(NamedTuple):
    """A function by its file, below the root of the project, and its name."""

    file: str
    name: str


def measure_touched() -> dict[str, Any]:
    """Files and functions of each call, and those that every call passes through, by file."""
    patients = [patient for patient in load_patients(datetime.now(UTC)) if patient.is_sample]
    calls: dict[str, set[Function]] = {}
    with service_in_process() as service:
        entries = discover(service.call_json)
    for entry in entries:
        with service_in_process() as service:
            body = next(_bodies_with_card(service, entry, patients), None)
            if body is not None:
                calls[f"{entry['id']} ({entry['hook']})"] = functions_of(service, f"/cds-services/{entry['id']}", body)
    common = set.intersection(*calls.values())
    return {
        "calls": {
            name: {"files": len({function.file for function in functions}), "functions": len(functions)}
            for name, functions in calls.items()
        },
        "common_functions_by_file": dict(sorted(Counter(function.file for function in common).items())),
    }


def _bodies_with_card(service: InProcess, entry: dict[str, Any], patients: list[Patient]) -> Iterator[bytes]:
    for patient in patients:
        try:
            body = build_body(entry, patient)
            if service.call_json("POST", f"/cds-services/{entry['id']}", body)["cards"]:
                yield body
        except (ChartError, WrongAnswer):
            continue


def functions_of(service: InProcess, path: str, body: bytes) -> set[Function]:
    """Return the functions that a call enters; two like it were answered before."""
    request = ChangingRequest(body)
    for _ in range(2):
        service.call("POST", path, request.next())
    functions: set[Function] = set()
    sent = request.next()

    def enter(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and (function := _function_of_ours(frame)) is not None:
            functions.add(function)

    sys.setprofile(enter)
    try:
        service.call("POST", path, sent)
    finally:
        sys.setprofile(None)
    return functions


def _function_of_ours(frame: FrameType) -> Function | None:
    file = Path(frame.f_code.co_filename)
    if not file.is_relative_to(_ROOT) or file.relative_to(_ROOT).parts[0] not in FLOORS:
        return None
    return Function(str(file.relative_to(_ROOT)), frame.f_code.co_qualname)


def table(figures: dict[str, Any]) -> Table:
    """Of each call the number of files and functions."""
    common = figures["common_functions_by_file"]
    title = f"Our files and functions in one answer; {len(common)} and {sum(common.values())} of them in every answer"
    rows = Table("call", title=title)
    rows.add_column("files", justify="right")
    rows.add_column("functions", justify="right")
    for name, counts in figures["calls"].items():
        rows.add_row(name, str(counts["files"]), str(counts["functions"]))
    return rows
