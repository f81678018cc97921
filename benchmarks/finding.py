"""Measures finding and reading decisions of a large record, as the pages and the commands do it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from statistics import median
from time import perf_counter

import httpx
from sqlalchemy import select

from benchmarks.million import RARE
from cds_hooks.app import create_app
from cds_hooks.monitor.book import CountBook
from cds_hooks.settings import Settings
from cds_hooks.storage.queries import DecisionFilter, find_places, read_rows
from cds_hooks.storage.tables import decisions

_PAGE_MS, _COMMAND_MS = 50.0, 1000.0
_FORM = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}


def measured(what: str, how: Callable[[], object], most_ms: float, times: int = 15) -> bool:
    """Prints the median of so many runs after the first, by the clock and of the processor; whether it is in bounds.

    The bound is for the processor's time, children's included: what the clock shows beyond it is other work.
    """
    how()
    clock, processor = [], []
    for _ in range(times):
        started, before = perf_counter(), _processor_ms()
        how()
        clock.append(1000 * (perf_counter() - started))
        processor.append(_processor_ms() - before)
    middle = median(processor)
    print(f"{what:56} {middle:7.1f} ms of processor, {median(clock):8.1f} ms by the clock (bound {most_ms:g} ms)")
    return middle <= most_ms


def _processor_ms() -> float:
    return 1000 * sum(times.ru_utime + times.ru_stime for times in map(getrusage, (RUSAGE_SELF, RUSAGE_CHILDREN)))


def measure(url: str, folder: Path) -> bool:
    """Prints a line for each page and command; whether all are within their bounds."""
    counts = folder / url.partition(":")[0] / "var" / "monitor.sqlite3"
    counts.parent.mkdir(parents=True, exist_ok=True)
    started = perf_counter()
    counted = CountBook(counts).read(url)
    print(f"{counted:,} decisions counted in {perf_counter() - started:,.0f} s")
    kept = [_pages(url, counts), _commands(url, counts)]
    return all(kept)


def _pages(url: str, counts: Path) -> bool:
    """Server time of the pages, in process."""
    newest = next(find_places(url, DecisionFilter()))
    number = newest.sequence - 700_000 if newest.sequence > 700_000 else 1
    wanted = (decisions.c.id, decisions.c.patient, decisions.c.hook_instance, decisions.c.decided_at)
    (old,) = read_rows(
        url, select(*wanted).where(decisions.c.sequence >= number).order_by(decisions.c.sequence).limit(1)
    )
    day = f"{old.decided_at // 86_400_000_000 * 86_400}"
    loop = asyncio.new_event_loop()
    app = create_app(Settings(database_url=url, counts_file=counts))
    calls = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost", timeout=600)

    def page(path: str, **form: str) -> Callable[[], object]:
        def ask() -> None:
            sent = calls.post(path, data=form, headers=_FORM) if form else calls.get(path)
            answer = loop.run_until_complete(sent)
            if answer.status_code != 200:
                raise SystemExit(f"{path}: {answer.status_code}")

        return ask

    since = datetime.fromtimestamp(int(day), UTC).date().isoformat()
    pages = {
        "/decisions, the newest": page("/decisions"),
        "/decisions by patient": page("/decisions", patient=old.patient),
        "/decisions by hook instance": page("/decisions", hook_instance=old.hook_instance),
        "/decisions of a day": page("/decisions", since=since, until=since),
        "/decisions of a service, a day": page("/decisions", service="order-safety", since=since, until=since),
        "/decisions that failed, of a client": page("/decisions", outcome="error", client="east"),
        "/decisions by a rule that speaks often": page("/decisions", rule="renal-invented-3"),
        "/decisions by a rule that spoke once": page("/decisions", rule=RARE),
        "/decisions by a reason of another service": page(
            "/decisions", service="order-safety", outcome="error", reason="said-once"
        ),
        "/decisions/ID": page(f"/decisions/{old.id}"),
        "/ops, a week": page("/ops"),
    }
    kept = [measured(what, how, _PAGE_MS) for what, how in pages.items()]
    loop.run_until_complete(calls.aclose())
    return all(kept)


def _commands(url: str, counts: Path) -> bool:
    """Commands, each a process of its own."""
    environment = os.environ | {"CDS_DATABASE_URL": url}
    newest = next(find_places(url, DecisionFilter())).decision
    oldest = list(islice(find_places(url, DecisionFilter(patient=newest.patient)), 100))[-1].decision

    def command(*arguments: str) -> Callable[[], object]:
        line = [sys.executable, "-m", "cds_hooks", "decisions", *arguments]
        return lambda: subprocess.run(line, check=True, capture_output=True, env=environment, cwd=counts.parents[1])

    commands = {
        "decisions list": command("list"),
        "decisions list --patient": command("list", "--patient", newest.patient),
        "decisions list --rule, one that spoke once": command("list", "--rule", RARE),
        "decisions list --service --outcome error": command("list", "--service", "order-safety", "--outcome", "error"),
        "decisions list --until, a month ago": command("list", "--until", "2026-10-21"),
        "decisions find, a hook instance": command("find", oldest.hook_instance),
        "decisions find, a card": command("find", oldest.id),
    }
    kept = [measured(f"cds-hooks {what}", how, _COMMAND_MS, 5) for what, how in commands.items()]
    return all(kept)
