"""How many decisions a core computes again in a second: their scores alone, and whole calls from the facts kept.

    python -m benchmarks.replaying [CALLS]

The record is made first: so many calls (2,000) of each service below about the sample patients that it has a card for,
each about another patient at another time. Reading the record is part of the time; the start of Python is not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.bodies import build_body
from benchmarks.charts import load_patients
from benchmarks.connection import ChangingRequest
from benchmarks.in_process import InProcess
from benchmarks.subject import discover, find_subjects
from cds_hooks.app import create_app
from cds_hooks.replay import Replayer, open_site
from cds_hooks.settings import Settings
from cds_hooks.storage.queries import DecisionFilter, find_decisions

SERVICES: Final = ("planning-conversation", "order-safety-sign", "medication-review")
_RECORDED: Final = {"order-safety-sign": "order-safety"}
"""A service with several hooks is called by another id than it is recorded under."""
_CALLS, _TOGETHER, _ROUNDS = 2_000, 8, 3


def main(calls: int) -> None:
    """Prints the decisions a second of processor time, by service and way, and whether all came out the same."""
    table = Table("service", "way", "decisions", "the same", "a second of processor time")
    with TemporaryDirectory(prefix="cds-replaying-") as folder:
        configured = Settings(database_url=f"sqlite:///{Path(folder) / 'decisions.sqlite3'}", log_level="error")
        for name in SERVICES:
            _answer(configured, name, calls)
        site = open_site(configured)
        for name, whole in ((SERVICES[0], False), *((name, True) for name in SERVICES)):
            rows = [_replayed(configured.database_url, site, name, whole=whole) for _ in range(_ROUNDS)]
            number, same, _ = rows[0]
            way = "whole call" if whole else "--scores"
            table.add_row(name, way, f"{number:,}", f"{same:,}", f"{number / min(took for *_, took in rows):,.0f}")
    Console().print(table)


def _answer(configured: Settings, name: str, calls: int) -> None:
    service = InProcess(create_app(configured))
    (entry, *_) = discover(service.call_json, [name])
    samples = [each for each in load_patients(datetime.now(UTC)) if each.is_sample]
    subject = next(each for each in find_subjects(entry, service.call_json, samples) if each.outcome == "card")
    bodies = [ChangingRequest(build_body(entry, patient, (), 0)) for patient in subject.patients]
    turn = count()
    for _ in range(calls // _TOGETHER):
        service.many(subject.path, [bodies[next(turn) % len(bodies)] for _ in range(_TOGETHER)])
    service.close()


def _replayed(url: str, site: Any, name: str, *, whole: bool) -> tuple[int, int, float]:
    """How many decisions were computed again, how many of them the same, and in how many seconds of the processor."""
    timed: Callable[[], float] = process_time
    before = timed()
    wanted = DecisionFilter(service=_RECORDED.get(name, name))
    found = list(Replayer(site, url, whole=whole).verdicts(find_decisions(url, wanted)))
    took = timed() - before
    return len(found), sum(each.outcome == "same" for each in found), took


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else _CALLS)
