"""How many decisions a core computes again in a second: whole calls from the facts kept, and model scores alone.

    python -m benchmarks.replaying [ROUNDS]

The record is made first: an afternoon of mixed traffic. Each of the sample charts is opened ROUNDS times (6), and each
time every service that discovery lists is called about it, with the orders of its story; each time it is another
patient at another time. Reading the record is part of the time; the start of Python is not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Final

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.bodies import build_body
from benchmarks.charts import load_patients
from benchmarks.connection import ChangingRequest
from benchmarks.in_process import InProcess
from benchmarks.subject import discover
from cds_hooks.app import create_app
from cds_hooks.kit.simulator.chart import ChartError
from cds_hooks.replay import Replayer, Site, Verdict, open_site
from cds_hooks.settings import Settings
from cds_hooks.storage.queries import DecisionFilter, find_decisions

_OF_A_MODEL: Final = "planning-conversation"
_OPENED, _TOGETHER, _ROUNDS = 6, 8, 3


def main(opened: int) -> None:
    """Prints the decisions a second of processor time, by service and by outcome, and whether all came out the same."""
    table = Table("decisions of", "number", "with a card", "the same", "a second of processor time")
    with TemporaryDirectory(prefix="cds-replaying-") as folder:
        configured = Settings(database_url=f"sqlite:///{Path(folder) / 'decisions.sqlite3'}", log_level="error")
        url = configured.database_url
        _answer(configured, opened)
        site = open_site(configured)
        services = sorted({decision.service for decision in find_decisions(url, DecisionFilter())})
        wanted = {name: DecisionFilter(service=name) for name in services}
        wanted |= {"silent": DecisionFilter(outcome="silent"), "with a card": DecisionFilter(outcome="cards")}
        for name, which in wanted.items():
            table.add_row(*_row(url, site, name, which))
        table.add_section()
        table.add_row(*_row(url, site, "all", DecisionFilter()))
        table.add_row(*_row(url, site, f"{_OF_A_MODEL}, --scores", wanted[_OF_A_MODEL], whole_calls=False))
    Console().print(table)


def _answer(configured: Settings, opened: int) -> None:
    service = InProcess(create_app(configured))
    calls = list(_calls(service))
    for _ in track(range(opened), description="Recording", transient=True):
        for path, requests in calls:
            for start in range(0, len(requests), _TOGETHER):
                service.many(path, requests[start : start + _TOGETHER])
    service.close()


def _calls(service: InProcess) -> Iterator[tuple[str, list[ChangingRequest]]]:
    """Of each service that discovery lists the calls about every sample chart that has what it is about."""
    samples = [patient for patient in load_patients(datetime.now(UTC)) if patient.is_sample]
    for entry in discover(service.call_json):
        requests = []
        for patient in samples:
            try:
                requests.append(ChangingRequest(build_body(entry, patient, (), 0)))
            except ChartError:
                continue
        yield f"/cds-services/{entry['id']}", requests


def _row(url: str, site: Site, name: str, which: DecisionFilter, *, whole_calls: bool = True) -> tuple[str, ...]:
    took, verdicts = min(
        (_replayed(url, site, which, whole_calls=whole_calls) for _ in range(_ROUNDS)),
        key=lambda measurement: measurement[0],
    )
    cards = sum(decision.outcome == "cards" for decision in find_decisions(url, which))
    same = sum(verdict.outcome == "same" for verdict in verdicts)
    return name, f"{len(verdicts):,}", f"{cards:,}", f"{same:,}", f"{len(verdicts) / took:,.0f}"


def _replayed(url: str, site: Site, which: DecisionFilter, *, whole_calls: bool) -> tuple[float, list[Verdict]]:
    """In how many seconds of the processor which decisions were computed again, and what came of it."""
    before = process_time()
    verdicts = list(Replayer(site, url, whole=whole_calls).verdicts(find_decisions(url, which)))
    return process_time() - before, verdicts


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else _OPENED)
