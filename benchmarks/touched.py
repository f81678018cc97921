"""How many of our files and functions the answers to sample calls pass through: what a newcomer has to read to follow.

Each service is called at each of its hooks about the first sample patient that it has a card for. A call is traced
after two others like it, as in a server that runs: what is read once (tables, rules) is not counted, and neither is a
generated or imported function. Each service has a server of its own, because one that has seen slow calls computes the
next ones on a thread, where nothing is traced.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from rich.table import Column, Table

from benchmarks.bodies import with_marked_ids
from benchmarks.charts import ROOT
from benchmarks.connection import ChangingRequest
from benchmarks.in_process import InProcess, service_in_process
from cds_hooks.kit.samples import list_samples
from cds_hooks.kit.simulator.chart import ChartError
from cds_hooks.package_tests.calls import request_for
from cds_hooks.services import find_services

FLOORS = ("cds_hooks", "cards", "models_onnx", "fhir")


def touched_files() -> Table:
    """Of each call the number of files and functions, and of those that every call passes through."""
    calls: dict[str, set[tuple[str, str]]] = {}
    for declared in find_services().values():
        for hook in declared.hooks:
            with service_in_process() as service:
                for request in _requests(declared.id, hook, datetime.now(UTC)):
                    path, body = f"/cds-services/{declared.id}", with_marked_ids(request)
                    if service.call_json("POST", path, body)["cards"]:
                        calls[f"{declared.id} ({hook})"] = functions_of(service, path, body)
                        break
    calls = {"in every call": set.intersection(*calls.values()), **calls}
    columns = [Column(name, justify="right") for name in ("files", "functions")]
    rows = Table("call", *columns, title="Our files and functions in one answer")
    for name, functions in calls.items():
        rows.add_row(name, str(len({file for file, _ in functions})), str(len(functions)))
    return rows


def _requests(service: str, hook: str, now: datetime) -> Iterator[dict[str, Any]]:
    for sample in list_samples():
        for draft in [*(order.draft for order in sample.orders), None]:
            with suppress(ChartError):
                yield request_for(service, hook, sample.id, now, draft)


def functions_of(service: InProcess, path: str, body: bytes) -> set[tuple[str, str]]:
    """Return the functions that a call enters; two like it were answered before."""
    request = ChangingRequest(body)
    for _ in range(2):
        service.call("POST", path, request.next())
    functions: set[tuple[str, str]] = set()
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


def _function_of_ours(frame: FrameType) -> tuple[str, str] | None:
    """Return the file, below the root of the project, and the name of a function of the four packages."""
    file = Path(frame.f_code.co_filename)
    if not file.is_relative_to(ROOT) or file.relative_to(ROOT).parts[0] not in FLOORS:
        return None
    return str(file.relative_to(ROOT)), frame.f_code.co_qualname
