"""How many of our files and functions the answers to sample calls pass through: what a newcomer has to read to follow.

Each service is called at each of its hooks about the first sample patient that it has a card for. A call is traced
after two others like it, as in a server that runs: what is read once (tables, rules) is not counted, and neither is a
generated or imported function; comprehensions and lambdas are. Each service has a server of its own, because one that
has seen slow calls computes the next ones on a thread, where nothing is traced.
"""

import sys
from datetime import UTC, datetime
from types import FrameType

from rich.table import Column, Table

from benchmarks.bodies import with_marked_ids
from benchmarks.charts import ROOT
from benchmarks.connection import ChangingRequest
from benchmarks.in_process import InProcess, service_in_process
from cds_hooks.package_tests.contracts import requests_of
from cds_hooks.services import find_services

OURS = tuple(f"{ROOT / floor}/" for floor in ("cds_hooks", "cards", "models_onnx", "fhir"))


def touched_files() -> Table:
    """Of each call the number of files and functions, and of those that every call passes through."""
    calls: dict[str, set[tuple[str, str]]] = {}
    for declared in find_services().values():
        for hook in declared.hooks:
            with service_in_process() as service:
                for request in requests_of(declared.id, hook, datetime.now(UTC)):
                    path, body = f"/cds-services/{declared.id}", with_marked_ids(request)
                    if service.call_json("POST", path, body)["cards"]:
                        calls[f"{declared.id} ({hook})"] = functions_of(service, path, body)
                        break
    calls = {"in every call": set.intersection(*calls.values()), **calls}
    columns = [Column(name, justify="right") for name in ("files", "functions", "of these unnamed")]
    rows = Table("call", *columns, title="Our files and functions in one answer")
    for name, functions in calls.items():
        unnamed = [function for _, function in functions if function.endswith(">")]
        rows.add_row(name, *map(str, (len({file for file, _ in functions}), len(functions), len(unnamed))))
    return rows


def functions_of(service: InProcess, path: str, body: bytes) -> set[tuple[str, str]]:
    """Return the functions that a call enters; two like it were answered before."""
    request = ChangingRequest(body)
    for _ in range(2):
        service.call("POST", path, request.next())
    functions, sent = set[tuple[str, str]](), request.next()

    def enter(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(OURS):
            functions.add((frame.f_code.co_filename, frame.f_code.co_qualname))

    sys.setprofile(enter)
    try:
        service.call("POST", path, sent)
    finally:
        sys.setprofile(None)
    return functions
