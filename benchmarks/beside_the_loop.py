"""What a thread costs a large call: the same calls computed on the event loop and on a thread beside it, in turn.

    python -m benchmarks.beside_the_loop [SERVICE…]

For each service, with a card and without: a body of 683 KB, eight calls in flight, one process. Of each way the least
processor time of all rounds is printed. docs/decisions/0009-large-calls.md says what was made of it.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from time import process_time
from typing import Final
from unittest.mock import patch

from rich.console import Console
from rich.table import Table

from benchmarks.charts import load_patients
from benchmarks.connection import ChangingRequest
from benchmarks.in_process import InProcess, service_in_process
from benchmarks.subject import Subject, discover, find_subjects
from cds_hooks.computing import Computing

_SIZE_KB, _ROUNDS, _TOGETHER = 683, 7, 8


def main(services: list[str]) -> None:
    """Prints the processor time of a call of each service on the loop and on a thread."""
    patients = list(load_patients(datetime.now(UTC)))
    table = Table("service, hook, outcome", "on the loop", "on a thread", "thread / loop")
    with service_in_process() as service:
        for entry in discover(service.call_json, services):
            for subject in find_subjects(entry, service.call_json, patients):
                body = subject.body(service.call_json, _SIZE_KB)
                if body is not None:
                    loop, thread = _in_turn(service, subject, body)
                    table.add_row(subject.name, f"{loop:,.0f} µs", f"{thread:,.0f} µs", f"{thread / loop:.2f}")
    Console().print(table)


def _in_turn(service: InProcess, subject: Subject, body: bytes) -> tuple[float, float]:
    """Microseconds of processor time of one call on the loop, and on a thread."""
    best: Final = {False: float("inf"), True: float("inf")}
    requests = [ChangingRequest(body) for _ in range(_TOGETHER)]
    for _ in range(_ROUNDS):
        for is_large in best:
            with patch.object(Computing, "is_large", return_value=is_large):
                before = process_time()
                service.many(subject.path, requests)
                best[is_large] = min(best[is_large], 1e6 * (process_time() - before) / _TOGETHER)
    return best[False], best[True]


if __name__ == "__main__":
    main(sys.argv[1:])
