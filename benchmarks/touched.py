"""How many of our files and functions one order-sign answer passes through: what a newcomer has to read to follow it.

The sample patient's drafted metformin is answered with one card. The call is traced after two others like it, as in a
server that runs: what is read once (tables, rules) is not counted, and neither is a generated or imported function.
"""

from __future__ import annotations

import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import orjson
from rich.table import Table

import cds_hooks
from benchmarks.bodies import with_marked_ids
from benchmarks.connection import ChangingRequest
from benchmarks.in_process import InProcess, service_in_process
from benchmarks.subject import WrongAnswer, discover
from cds_hooks.kit.samples import SHOWCASE_DRAFT
from cds_hooks.kit.simulator.chart import open_chart, open_drafts
from cds_hooks.kit.simulator.request import build_request, drafts_for

FLOORS = ("cds_hooks", "cards", "models_onnx", "fhir")
_PATIENT = "ckd4-metformin"
_ROOT = Path(cds_hooks.__file__).parents[1]


class Function(NamedTuple):
    """A function by its file, below the root of the project, and its name."""

    file: str
    name: str


def measure_touched() -> dict[str, Any]:
    """Files and functions of one warm order-sign answer with one card, by floor and by file."""
    with service_in_process() as service:
        path, request = _order_sign(service)
        for _ in range(2):
            service.call("POST", path, request.next())
        touched, answer = _traced(service, path, request.next())
    summaries = [card["summary"] for card in orjson.loads(answer)["cards"]]
    if len(summaries) != 1:
        raise WrongAnswer(f"the sample's order was answered with {len(summaries)} cards in place of one: {summaries}")
    files = Counter(function.file for function in touched)
    return {
        "files": len(files),
        "functions": len(touched),
        "by_floor": {floor: sum(file.startswith(f"{floor}/") for file in files) for floor in FLOORS},
        "functions_by_file": dict(sorted(files.items())),
    }


def _order_sign(service: InProcess) -> tuple[str, ChangingRequest]:
    entry = next(entry for entry in discover(service.call_json) if entry["hook"] == "order-sign")
    now = datetime.now(UTC)
    chart = open_chart(Path(f"sample:{_PATIENT}"), now)
    request = build_request(entry, chart, drafts_for(chart, open_drafts(Path(f"sample:{SHOWCASE_DRAFT}"), now)))
    return f"/cds-services/{entry['id']}", ChangingRequest(orjson.dumps(with_marked_ids(request)))


def _traced(service: InProcess, path: str, body: bytes) -> tuple[set[Function], bytes]:
    """The functions that the call enters, and its answer."""
    touched: set[Function] = set()

    def enter(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and (function := _own_function(frame)) is not None:
            touched.add(function)

    sys.setprofile(enter)
    try:
        return touched, service.call("POST", path, body)
    finally:
        sys.setprofile(None)


def _own_function(frame: FrameType) -> Function | None:
    file = Path(frame.f_code.co_filename)
    if not file.is_relative_to(_ROOT) or file.relative_to(_ROOT).parts[0] not in FLOORS:
        return None
    return Function(str(file.relative_to(_ROOT)), frame.f_code.co_qualname)


def table(figures: dict[str, Any]) -> Table:
    """The files with the number of functions that were entered in each."""
    title = f"One order-sign answer: {figures['files']} of our files, {figures['functions']} functions"
    files = Table("file", title=title)
    files.add_column("functions", justify="right")
    for file, count in figures["functions_by_file"].items():
        files.add_row(file, str(count))
    return files
