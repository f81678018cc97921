"""What it costs a call to keep its facts: the service in process, with CDS_KEEP_FACTS and without, in turn.

    python -m benchmarks.keeping [SERVICE…]

For each service a body of 68 KB that has a card. Two instances of the service answer it alternately, eight calls in
flight as under load, each committing its decisions into an SQLite file of its own. Of each the least processor time of
all rounds is printed, because everything else that the machine does can only add to it.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from time import process_time
from typing import Final

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.charts import load_patients
from benchmarks.connection import ChangingRequest
from benchmarks.in_process import InProcess, service_in_process
from benchmarks.subject import Subject, discover, find_subjects

SERVICES: Final = ("planning-conversation", "order-safety-sign", "medication-review")
_SIZE_KB, _ROUNDS, _TOGETHER, _TIMES = 68, 200, 8, 2


def main(services: list[str]) -> None:
    """Prints the processor time of a call of each service without facts and with them."""
    patients = list(load_patients(datetime.now(UTC)))
    console = Console()
    table = Table("service, hook", "body", "without facts", "with facts", "more")
    with service_in_process(keep_facts=False) as without, service_in_process(keep_facts=True) as with_facts:
        for entry in discover(without.call_json, services):
            subject = next(each for each in find_subjects(entry, without.call_json, patients) if each.outcome == "card")
            body = subject.body(without.call_json, _SIZE_KB)
            if body is None:
                console.print(f"{subject.name}: no body of {_SIZE_KB} KB")
                continue
            off, on = _in_turn(subject, body, without, with_facts)
            share = f"{100 * (on / off - 1):.1f} %"
            table.add_row(subject.name, f"{len(body) / 1000:.0f} KB", f"{off:,.0f} µs", f"{on:,.0f} µs", share)
    console.print(table)


def _in_turn(subject: Subject, body: bytes, *services: InProcess) -> list[float]:
    """Microseconds of processor time of one call, by service: the least of all rounds."""
    best = [float("inf")] * len(services)
    requests = [[ChangingRequest(body) for _ in range(_TOGETHER)] for _ in services]
    for _ in track(range(_ROUNDS), description=subject.name, transient=True):
        for place, service in enumerate(services):
            before = process_time()
            for _ in range(_TIMES):
                service.many(subject.path, requests[place])
            best[place] = min(best[place], 1e6 * (process_time() - before) / _TOGETHER / _TIMES)
    return best


if __name__ == "__main__":
    main(sys.argv[1:] or list(SERVICES))
