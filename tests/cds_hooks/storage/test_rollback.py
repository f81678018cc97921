"""Rollback of an upgrade: a record that a newer version changed is refused, and the backup from before it serves on."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from cds_hooks.audit.transfer import back_up, restore
from cds_hooks.audit.verification import audit
from cds_hooks.storage.database import engine_for, parse_url
from cds_hooks.storage.decision import RecordUnavailable
from cds_hooks.storage.opening import open_decision_log
from cds_hooks.storage.queries import get_decision, list_decisions
from tests.cds_hooks.storage.samples import a_decision
from tests.program import run_program


def record_some(url: str, count: int) -> list[str]:
    async def run() -> list[str]:
        log = open_decision_log(url)
        decisions = [a_decision() for _ in range(count)]
        for decision in decisions:
            await log.append(decision)
        await log.close()
        return [decision.id for decision in decisions]

    return asyncio.run(run())


def upgrade_by_a_newer_version(url: str) -> None:
    """What a later version's migration would do: a column that this one does not know, and its own number."""
    with engine_for(parse_url(url)).begin() as connection:
        connection.execute(text("ALTER TABLE decisions ADD COLUMN of_later TEXT"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0999'"))


def test_an_upgrade_is_rolled_back_by_the_backup_from_before_it(url: str, sqlite_url: str, tmp_path: Path) -> None:
    ids = record_some(url, 3)
    backup = tmp_path / "before.ndjson.xz"
    assert back_up(url, backup) == 3
    upgrade_by_a_newer_version(url)

    with pytest.raises(RecordUnavailable, match=r"schema '0999', which is newer than .*restore the backup") as refused:
        open_decision_log(url)
    assert "/install.md" in str(refused.value)
    with pytest.raises(RecordUnavailable, match="is newer than"):
        back_up(url, tmp_path / "never.ndjson.xz")
    assert not (tmp_path / "never.ndjson.xz").exists()

    restored = f"sqlite:///{tmp_path}/restored.sqlite3"
    assert restore(backup, restored) == 3
    after = record_some(restored, 1)
    assert {decision.id for decision in list_decisions(restored)} == {*ids, *after}
    assert get_decision(restored, ids[0]) == get_decision(url, ids[0])
    found = audit(restored)
    assert (found.decisions, found.findings) == (4, [])


def test_the_program_says_so_in_a_sentence(sqlite_url: str, tmp_path: Path) -> None:
    record_some(sqlite_url, 1)
    back_up(sqlite_url, tmp_path / "before")
    upgrade_by_a_newer_version(sqlite_url)
    for words in (
        ("record", "backup", str(tmp_path / "after")),
        ("record", "backup", "--restore", str(tmp_path / "before")),
    ):
        done = run_program(*words, environment={"CDS_DATABASE_URL": sqlite_url})
        assert done.returncode == 1
        assert "is newer than" in done.stderr
        assert "Traceback" not in done.stderr
