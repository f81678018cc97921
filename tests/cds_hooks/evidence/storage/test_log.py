"""What every decision log promises, in SQLite and in PostgreSQL."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import pytest
from sqlalchemy import select

from cds_hooks.evidence.audit.verification import audit
from cds_hooks.evidence.storage.opening import open_decision_log
from cds_hooks.evidence.storage.queries import get_decision, read_rows
from cds_hooks.evidence.storage.tables import decisions
from tests.cds_hooks.evidence.storage.samples import a_decision

_ROOT = Path(__file__).resolve().parents[4]


def _ids(url: str) -> list[str]:
    return [row.id for row in read_rows(url, select(decisions.c.id).order_by(decisions.c.sequence))]


@contextmanager
def _writer(url: str, count: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.cds_hooks.evidence.storage.writer", url, str(count)]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


async def test_closing_waits_for_what_was_not_committed_yet(url: str) -> None:
    log = open_decision_log(url)
    given = [a_decision() for _ in range(5)]
    appended = [asyncio.create_task(log.append(decision)) for decision in given]
    await asyncio.sleep(0)  # each has begun, none has been written
    await log.close()
    assert all(task.done() for task in appended)
    answered = [decision.id for decision in given]
    assert answered == _ids(url)


async def test_a_caller_that_goes_away_takes_nobody_with_it(url: str) -> None:
    log = open_decision_log(url)
    gone, stays = a_decision(), a_decision()
    leaving = asyncio.create_task(log.append(gone))
    staying = asyncio.create_task(log.append(stays))
    await asyncio.sleep(0)
    leaving.cancel()
    await staying
    await log.close()
    assert get_decision(url, stays.id) == stays
    assert audit(url).findings == []


async def test_what_a_client_sends_into_the_text_columns_is_kept(url: str) -> None:
    log = open_decision_log(url)
    decision = a_decision(hook_instance="'; DROP TABLE decisions; --\n\x1f", patient="Ω≥\U0001f9ec", client="")
    await log.append(decision)
    assert get_decision(url, decision.id) == decision
    await log.append(a_decision(patient="with\0nul"))
    await log.close()
    assert audit(url).findings == []


@pytest.mark.slow
def test_several_processes_that_start_together_lose_nothing_and_their_chain_holds(url: str) -> None:
    with _writer(url, 200) as first, _writer(url, 200) as second, _writer(url, 200) as third:
        printed = [process.communicate()[0].split() for process in (first, second, third)]
    assert [len(ids) for ids in printed] == [200, 200, 200]
    assert sorted(chain.from_iterable(printed)) == sorted(_ids(url))
    found = audit(url)
    assert (found.findings, found.newest[0]) == ([], 600)


@pytest.mark.slow
def test_kill_9_under_load_loses_nothing_that_was_acknowledged(url: str) -> None:
    with _writer(url, 0) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().strip() for _ in range(1500)]
        os.kill(process.pid, signal.SIGKILL)
        # what it had acknowledged before it died is still in the pipe; a line it did not finish was never said
        acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
    assert set(acknowledged) <= set(_ids(url))
    assert audit(url).findings == []


async def test_a_record_goes_on_after_a_crash_after_its_newest_row(url: str) -> None:
    with _writer(url, 0) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    log = open_decision_log(url)
    await log.append(a_decision())
    await log.close()
    found = audit(url)
    assert (found.findings, found.newest[0]) == ([], found.decisions)
