"""The SQLite log: groups, other writers, failing disks, the write-ahead log."""

import asyncio
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from cds_hooks.evidence.audit.verification import audit
from cds_hooks.evidence.storage import sqlite
from cds_hooks.evidence.storage.decision import DecisionLog, RecordUnavailable
from cds_hooks.evidence.storage.opening import open_decision_log
from cds_hooks.evidence.storage.queries import read_rows
from cds_hooks.evidence.storage.tables import decisions
from tests.cds_hooks.evidence.storage.samples import a_decision, append_together
from tests.each import for_rows
from tests.waiting import until_async

_ROOT = Path(__file__).resolve().parents[4]


def _open(url: str) -> sqlite.SqliteDecisionLog:
    log = open_decision_log(url)
    assert isinstance(log, sqlite.SqliteDecisionLog)
    return log


def _file(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


async def _fails(log: DecisionLog, match: str) -> None:
    with pytest.raises(RecordUnavailable, match=match) as raised:
        await append_together(log, 3, patient="a-patients-name")
    assert "a-patients-name" not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_what_was_acknowledged_before_the_disk_was_full_is_there(sqlite_url: str) -> None:
    """The operating system refuses to let the files grow, in the midst of the load."""
    asyncio.run(_open(sqlite_url).close())
    writer = subprocess.run(
        [sys.executable, "-m", "tests.cds_hooks.evidence.storage.writer", sqlite_url, "0"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000)),
    )
    assert writer.returncode == 3
    assert f"the record at {_file(sqlite_url)} cannot be written: " in writer.stderr
    acknowledged = [line for line in writer.stdout.splitlines() if " " not in line]  # the rest is the log
    assert len(acknowledged) > 16
    assert set(acknowledged) <= {row.id for row in read_rows(sqlite_url, select(decisions.c.id))}
    assert audit(sqlite_url).findings == []


async def test_a_file_that_was_moved_away_under_the_server_is_said(sqlite_url: str) -> None:
    log = _open(sqlite_url)
    await append_together(log, 2)
    await log.check()
    _file(sqlite_url).rename(_file(sqlite_url).with_suffix(".old"))
    await _fails(log, "No such file")
    with pytest.raises(RecordUnavailable, match="No such file"):
        await log.check()
    _file(sqlite_url).touch()
    await _fails(log, "replaced while the server ran")
    await log.close()


async def test_a_decision_that_cannot_be_stored_leaves_nobody_waiting(sqlite_url: str) -> None:
    log = _open(sqlite_url)
    decision = a_decision()
    await log.append(decision)
    with pytest.raises(RecordUnavailable, match="UNIQUE"):
        await log.append(decision)
    with pytest.raises(RecordUnavailable, match="surrogates"):
        await log.append(a_decision(hook_instance="\ud800"))
    await log.append(a_decision())
    await log.close()
    found = audit(sqlite_url)
    assert (found.decisions, found.findings) == (2, [])


@for_rows(("url", "sentence"))
def test_a_record_that_cannot_be_opened_is_said_in_one_sentence(url: str, sentence: str) -> None:
    with pytest.raises(RecordUnavailable) as raised:
        open_decision_log(url)
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, but long enough to look at" * 30)
    with pytest.raises(RecordUnavailable, match="file is not a database"):
        open_decision_log(f"sqlite:///{tmp_path}/notes.txt")


async def test_the_write_ahead_log_of_a_few_large_answers_is_copied_into_the_file(sqlite_url: str) -> None:
    log, size = _open(sqlite_url), 2_000_000
    for _ in range(20):
        await log.append(a_decision(response=os.urandom(size)))
    await until_async(lambda: _file(sqlite_url).stat().st_size > 15 * size)
    await log.close()


async def test_only_the_servers_own_user_can_read_the_record(sqlite_url: str) -> None:
    log = _open(sqlite_url)
    await log.append(a_decision())
    files = sorted(_file(sqlite_url).parent.iterdir())
    assert [file.name for file in files] == [f"decisions.sqlite3{end}" for end in ("", "-shm", "-wal")]
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)
    await log.close()
