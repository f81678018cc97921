"""What the decision record alone costs: `python -m benchmarks.record` prints processor time and wall time per decision.

Callers in one event loop append prepared decisions and each waits for its commit; all threads count.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from time import perf_counter, process_time

import uvloop

from cds_hooks.storage import Decision, new_decision_id, open_decision_log

_DECISIONS = 8000
_ROUNDS = 5
_SIZES = {"silent, 1.7 KB": (420, 1230), "2.5 KB": (1500, 900), "with a card, 8 KB": (5700, 2290)}
"""Bytes of response and basis."""


def prepare(response: int, basis: int) -> list[Decision]:
    """Decisions whose parts have these sizes."""
    return [
        Decision(
            id=new_decision_id(),
            decided_at=1_795_165_200_000_000,
            hook="patient-view",
            service="planning-conversation",
            hook_instance="d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
            client="anonymous",
            patient="patient-1",
            outcome="cards",
            input_digest="ab" * 32,
            models=b'[{"id":"mortality_5y","version":"1.0.0","sha256":"' + b"c" * 64 + b'"}]',
            response=b"r" * response,
            basis=b"b" * basis,
        )
        for _ in range(_DECISIONS)
    ]


async def measure(url: str, callers: int, decisions: list[Decision]) -> tuple[float, float]:
    """Microseconds per decision: of the processor, and by the clock."""
    log = open_decision_log(url)
    queue = iter(decisions)

    async def call() -> None:
        for decision in queue:
            await log.append(decision)

    cpu, clock = process_time(), perf_counter()
    await asyncio.gather(*(call() for _ in range(callers)))
    cpu, clock = process_time() - cpu, perf_counter() - clock
    await log.close()
    return cpu / len(decisions) * 1e6, clock / len(decisions) * 1e6


def main() -> None:
    """In a new SQLite file each time, or in the database whose URL is the first argument."""
    for name, sizes in _SIZES.items():
        for callers in (1, 8, 16, 32):
            runs = []
            for _ in range(_ROUNDS):
                with tempfile.TemporaryDirectory() as folder:
                    url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{folder}/decisions.sqlite3"
                    runs.append(uvloop.run(measure(url, callers, prepare(*sizes))))
            cpu, clock = min(runs)
            print(f"{name:18} {callers:3} callers: {cpu:6.1f} µs of processor, {clock:6.1f} µs by the clock")


if __name__ == "__main__":
    main()
