"""The PostgreSQL log: groups, and a connection that is lost."""

import asyncio

import psycopg
import pytest
from sqlalchemy import make_url

from cds_hooks.evidence.audit.verification import audit
from cds_hooks.evidence.storage.database import parse_url
from cds_hooks.evidence.storage.decision import FeedbackItem, RecordUnavailable
from cds_hooks.evidence.storage.opening import open_decision_log
from cds_hooks.evidence.storage.postgres import PostgresDecisionLog
from cds_hooks.evidence.storage.queries import store_feedback
from tests.cds_hooks.evidence.storage.samples import a_decision, append_together
from tests.recorded import list_decisions


async def test_decisions_that_come_together_are_committed_together(postgres_url: str) -> None:
    log = open_decision_log(postgres_url)
    await log.append(a_decision())
    await append_together(log, 40)
    await log.close()
    with psycopg.connect(postgres_url) as connection:
        # xmin is the transaction that wrote a row
        assert connection.execute("SELECT count(*), count(DISTINCT xmin::text) FROM decisions").fetchone() == (41, 2)


async def test_a_database_with_a_strict_default_of_its_own_loses_no_decision_of_two_writers(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        name = make_url(postgres_url).database
        connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_isolation = serializable')
    logs = [open_decision_log(postgres_url) for _ in range(2)]
    for _ in range(20):
        await asyncio.gather(*(log.append(a_decision()) for log in logs))
    await asyncio.gather(*(log.close() for log in logs))
    assert audit(postgres_url).decisions == 40


async def test_a_connection_that_ended_while_it_rested_costs_no_decision(postgres_url: str) -> None:
    log = open_decision_log(postgres_url)
    await append_together(log, 3)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE query LIKE 'INSERT%'")
        connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE query = 'COMMIT'")
    await append_together(log, 3)
    await log.close()
    found = audit(postgres_url)
    assert (found.decisions, found.newest[0], found.findings) == (6, 6, [])


async def test_a_decision_that_cannot_be_stored_leaves_nobody_waiting(postgres_url: str) -> None:
    log = open_decision_log(postgres_url)
    decision = a_decision()
    await log.append(decision)
    with pytest.raises(RecordUnavailable, match="duplicate key"):
        await log.append(decision)
    await log.append(a_decision())
    await log.close()
    assert audit(postgres_url).decisions == 2


@pytest.mark.slow
@pytest.mark.parametrize("table", ["decisions", "feedback"])
async def test_a_table_that_another_program_holds_is_waited_for_as_long_as_a_file(
    postgres_url: str, table: str
) -> None:
    log, url = open_decision_log(postgres_url), parse_url(postgres_url)
    decision = a_decision()
    await log.append(decision)
    item = FeedbackItem(decision.id, decision.service, decision.client, "overridden", "2026-01-01T00:00:00Z", 0)
    with psycopg.connect(postgres_url) as other:
        other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(RecordUnavailable, match="lock timeout"):
            store_feedback(url, [item]) if table == "feedback" else list_decisions(postgres_url)
    assert store_feedback(url, [item]) == [item]
    await log.close()


async def test_a_check_asks_the_database_itself(postgres_url: str) -> None:
    log = open_decision_log(postgres_url)
    await log.check()
    await log.close()
    away = PostgresDecisionLog(make_url("postgresql+psycopg://user:secret@127.0.0.1:1/record"))
    with pytest.raises(RecordUnavailable, match="cannot be written"):
        await away.check()


@pytest.mark.parametrize("lock", ["TABLE decisions IN ACCESS EXCLUSIVE MODE", "TABLE charts IN SHARE MODE"])
async def test_a_check_fails_while_another_program_holds_what_a_decision_is_written_to(
    postgres_url: str, lock: str
) -> None:
    log = open_decision_log(postgres_url)
    with psycopg.connect(postgres_url) as other:
        other.execute(f"LOCK {lock}")
        with pytest.raises(RecordUnavailable, match="cannot be written"):
            await log.check()
    await log.append(a_decision())
    await log.check()
    await log.close()


def test_a_server_that_is_not_there_is_said_in_one_sentence_without_the_password() -> None:
    with pytest.raises(RecordUnavailable) as raised:
        open_decision_log("postgresql://user:secret@127.0.0.1:1/record")
    assert str(raised.value).startswith("the record at postgresql+psycopg://user:***@127.0.0.1:1/record cannot be ")
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_urls_that_others_write_are_understood(postgres_url: str) -> None:
    for name in ("postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"):
        url = make_url(postgres_url).set(drivername=name)
        asyncio.run(open_decision_log(url.render_as_string(hide_password=False)).close())


def test_rows_cannot_be_truncated(postgres_url: str) -> None:
    asyncio.run(open_decision_log(postgres_url).close())
    with psycopg.connect(postgres_url) as connection, pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        connection.execute("TRUNCATE decisions")
