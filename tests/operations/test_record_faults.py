"""The record cannot be written: what the caller, /readyz, the log and the metrics say."""

import asyncio
import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.logs import configure_logs
from cds_hooks.storage import sqlite as sqlite_log
from cds_hooks.storage.decision import RecordHealth, RecordUnavailable
from cds_hooks.storage.opening import open_decision_log
from tests.cds_hooks.calls import PLANNING, client, request_for
from tests.cds_hooks.storage.samples import a_decision
from tests.live import record_in


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_a_locked_record_is_said_by_readyz_the_answer_the_log_and_the_metrics(
    tmp_path: Path, as_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_log, "LOCK_WAIT_SECONDS", 0.05)
    monkeypatch.setattr(sqlite_log, "_PROBE_WAIT_SECONDS", 0.05)
    written = io.StringIO()
    body = request_for(PLANNING, "patient-view", "planning-talk", as_of)
    async with client(tmp_path, as_of=as_of) as calls:
        configure_logs("info", written)
        with closing(sqlite3.connect(tmp_path / "decisions.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            refused = await calls.post(f"/cds-services/{PLANNING}", json=body)
            ready = await calls.get("/readyz")
            metrics = (await calls.get("/metrics")).text
            other.execute("ROLLBACK")
        answered = await calls.post(f"/cds-services/{PLANNING}", json=body)
        again = await calls.get("/readyz")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    assert refused.json()["id"] == refused.headers["x-call-id"]
    assert (ready.status_code, ready.headers["retry-after"]) == (503, "5")
    assert "cds_record_failures_total 2.0" in metrics
    assert "process_open_fds" in metrics
    assert (answered.status_code, again.status_code) == (200, 200)
    said = lines(written)
    causes = [line["reason"] for line in said if line["event"] == "record cannot be written"]
    assert len(causes) == 1
    assert "database is locked" in causes[0]
    assert any(line["event"] == "record can be written again" for line in said)
    refusal = next(line for line in said if line["event"] == "call refused")
    assert refusal["decision"]


async def test_the_probe_writes_and_notices_a_file_that_may_only_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_log, "_PROBE_WAIT_SECONDS", 60.0)  # for a lock, which this is not
    log = open_decision_log(record_in(tmp_path))
    await log.check()
    log._connection.execute("PRAGMA query_only=ON")  # type: ignore[attr-defined] # as after a remount
    log._probed_at = None  # type: ignore[attr-defined] # as a second later
    with pytest.raises(RecordUnavailable, match="readonly"):
        async with asyncio.timeout(5):
            await log.check()
    await log.close()


async def test_a_full_disk_is_noticed_before_a_decision_meets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [sqlite_log._LEAST_FREE_BYTES, 4096]
    monkeypatch.setattr(sqlite_log, "_free_bytes", lambda _: free.pop(0))
    log = open_decision_log(record_in(tmp_path))
    await log.check()
    await log.check()
    log._probed_at -= 2.0  # type: ignore[attr-defined] # as two seconds later
    with pytest.raises(RecordUnavailable, match=r"No space left|disk is full"):
        await log.check()
    await log.close()


async def test_a_decision_that_failed_keeps_the_server_unready_even_where_the_probe_succeeds(tmp_path: Path) -> None:
    log = open_decision_log(record_in(tmp_path))
    log.health.failed("database or disk is full")
    with pytest.raises(RecordUnavailable, match="full"):
        await log.check()
    await log.append(a_decision())
    await log.check()
    await log.close()


def test_the_cause_is_logged_at_once_and_then_every_ten_seconds() -> None:
    now, written = 0.0, io.StringIO()
    configure_logs("info", written)
    health = RecordHealth("the record", lambda: now)
    for second in range(25):
        now = float(second)
        health.failed("disk is 'full'", 10)
    assert [(line["reason"], line["count"]) for line in lines(written)] == [
        ("disk is full", 10),
        ("disk is full", 110),
        ("disk is full", 210),
    ]
