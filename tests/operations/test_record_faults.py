"""The record cannot be written: what the caller, /readyz, the log and the metrics say."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.logs import configure_logs
from cds_hooks.storage.decision import RecordHealth, RecordUnavailable
from cds_hooks.storage.opening import open_decision_log
from tests.cds_hooks.storage.samples import a_decision
from tests.live import record_in


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


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
