"""Somebody who can write to the database changes the record: verification says where."""

import asyncio
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import text

from cds_hooks.evidence.audit.verification import audit
from cds_hooks.evidence.storage.database import engine_for, parse_url
from cds_hooks.evidence.storage.decision import Decision
from cds_hooks.evidence.storage.opening import open_decision_log
from tests.cds_hooks.evidence.storage.samples import a_decision, append_together, store
from tests.each import each_row


@pytest.fixture
def stored(url: str) -> list[Decision]:
    """Three decisions of each of two processes, one after the other."""
    return _write(url, 3) + _write(url, 3)


def _write(url: str, many: int) -> list[Decision]:
    async def scenario() -> list[Decision]:
        log = open_decision_log(url)
        decisions = await append_together(log, many)
        await log.close()
        return decisions

    return asyncio.run(scenario())


def _tamper(url: str, *statements: str) -> None:
    """As somebody would who owns the database: the triggers go first."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        off = [
            f"DROP TRIGGER {table}_refuse_{verb}" for table in ("decisions", "chain") for verb in ("update", "delete")
        ]
    else:
        off = [f"DROP TRIGGER {table}_refuse ON {table}" for table in ("decisions", "chain")]
        off.append("DROP TRIGGER decisions_refuse_row ON decisions")
    with engine_for(parsed).begin() as connection:
        for statement in [*off, *statements]:
            connection.execute(text(statement))


@each_row(("change", "fault"))
def test_the_first_row_that_is_not_as_its_chain_says_is_named(
    url: str, stored: list[Decision], change: str, fault: str
) -> None:
    _tamper(url, change)
    finding = audit(url).findings[0]
    assert fault in finding
    assert any(decision.id in finding for decision in stored) is ("," in fault)


def test_rows_that_no_server_writes_are_findings(sqlite_url: str) -> None:
    progress: list[int] = []
    first, second = store(sqlite_url, a_decision(), a_decision(), answered=True)
    assert audit(sqlite_url, on_progress=progress.append).findings == []
    assert progress == []
    unread = "holds what no server writes there: not all of its rows were compared"
    for statement, finding in (
        ("UPDATE feedback SET client = 'x' WHERE sequence = 2",
         ["row 2 of feedback is not as it was written: its content was changed"]),
        ("INSERT INTO charts (hash, content) VALUES (zeroblob(32), x'7b7d')",
         [f"chart {'00' * 32} is not as it was written"]),
        ("UPDATE decisions SET chart = zeroblob(31) WHERE sequence = 1",
         [missing := f"the chart of decision {first.id} is missing"]),
        ("UPDATE decisions SET basis = 5.5 WHERE sequence = 3",
         [f"decision {second.id}, row 3 of decisions, is not as it was written: its content was changed"]),
        ("UPDATE charts SET content = 5.5", [missing, f"a row of charts {unread}"]),
        ("UPDATE decisions SET service = CAST(x'ff' AS TEXT)", [missing, f"a row of decisions {unread}"]),
        ("INSERT INTO removals (first_number, last_number, run) VALUES (3, 'x', 'r')",
         [missing, f"a row of removals {unread}"]),
        ("INSERT INTO events (sequence, at, kind, actor, detail) VALUES (1, 1, 'retention', 'x', 'garbage')",
         [missing, f"a row of events {unread}", "row 1 of events is not in the chain: no server wrote it"]),
    ):  # fmt: skip
        with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as connection:
            for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                connection.execute(f"DROP TRIGGER {trigger}")
            connection.execute(statement)
            connection.commit()
        found = audit(sqlite_url).findings
        assert set(finding) <= set(found), found
