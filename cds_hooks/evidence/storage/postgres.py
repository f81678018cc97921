"""The decision log in PostgreSQL, with one connection per process.

Decisions that arrive during a commit are committed together in the next one.
"""

import asyncio
from typing import Any

import psycopg
from msgspec.structs import astuple
from sqlalchemy import URL, insert
from sqlalchemy.dialects.postgresql import psycopg as psycopg_dialect

from cds_hooks.evidence.storage.chain import NEWEST_LINK, ONE_WRITER, as_stored, linked, values_of_decision
from cds_hooks.evidence.storage.database import BOUND_WAITS, database_error_reason
from cds_hooks.evidence.storage.decision import (
    Decision,
    RecordHealth,
    StoredChart,
    WaitingDecisions,
    answer_all,
    without_nul,
)
from cds_hooks.evidence.storage.outage import KeptConnection, Outage, within
from cds_hooks.evidence.storage.tables import chain, decisions

_DIALECT = psycopg_dialect.dialect(paramstyle="format")  # type: ignore[no-untyped-call] # SQLAlchemy types no dialect
_INSERT, _INSERT_LINK = (
    str(insert(table).inline().compile(dialect=_DIALECT, column_keys=table.columns.keys()))
    for table in (decisions, chain)
)
_INSERT_CHART = "INSERT INTO charts (hash, content) VALUES (%s, %s) ON CONFLICT DO NOTHING"
_WAIT_SECONDS = 5
_CHECK_SECONDS = 1.5
_PROBES = (
    ONE_WRITER,
    NEWEST_LINK,
    # no row, but the locks that a row needs: a program that holds a table stops all writers, and no reading of another
    "INSERT INTO charts SELECT * FROM charts WHERE false",
    "INSERT INTO decisions SELECT * FROM decisions WHERE false",
    "INSERT INTO chain SELECT * FROM chain WHERE false",
    # a committed message in the write-ahead log: it fails on a standby or a full disk, and it adds no row
    "SELECT pg_logical_emit_message(true, 'cds-hooks', 'ready')",
)


class PostgresDecisionLog:
    """A `DecisionLog` over one psycopg connection, which is opened again after it was lost."""

    def __init__(self, url: URL) -> None:
        """Name a database that exists and has the tables; the connection is opened by the first append."""
        self.health = RecordHealth("the record in PostgreSQL")
        self._waiting: WaitingDecisions = []
        self._charts: dict[bytes, tuple[Any, ...]] = {}
        self._writer: asyncio.Task[None] | None = None
        self._writing = KeptConnection(url, _prepare)
        self._probing = KeptConnection(url, _prepare)
        self._outage = Outage(self._probe)
        self._cause = ""

    async def append(self, decision: Decision, chart: StoredChart | None = None) -> None:
        """Return when decision and chart are committed.

        Raises:
            RecordUnavailable: They could not be; at once where the database did not answer the one before.
        """
        if self._outage.is_on:
            self.health.failed(self._cause)
            raise self.health.refusal(self._cause)
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((as_stored(without_nul(decision)), future))
        if chart is not None:
            self._charts[chart.hash] = astuple(chart)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        await future

    async def check(self) -> None:
        """Check over a kept connection that the database can be read and written; the writer's is not used.

        Raises:
            RecordUnavailable: it cannot.
        """
        if self._outage.is_on:
            raise self.health.refusal(self._cause)
        try:
            await within(_CHECK_SECONDS, self._probe())
        except (psycopg.Error, OSError) as error:
            cause = database_error_reason(error)
            self.health.failed(cause)
            raise self.health.refusal(cause) from error
        if (recent := self.health.recent_failure) is not None:
            raise self.health.refusal(recent)

    async def _probe(self) -> None:
        async with self._probing.use() as connection:
            for statement in _PROBES:
                await connection.execute(statement)

    async def close(self) -> None:
        """Commit the waiting decisions and close the connections."""
        self._outage.end()
        if self._writer is not None:
            await self._writer
        await self._writing.aclose()
        await self._probing.aclose()

    async def _write(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            charts, self._charts = self._charts, {}
            cause = None
            try:
                await within(_WAIT_SECONDS, self._commit([decision for decision, _ in group], charts))
            # every waiting caller gets an answer: after an unforeseen failure the decision is not on record either
            except Exception as error:
                cause = database_error_reason(error)
                if isinstance(error, TimeoutError):
                    self._cause = cause
                    self._outage.begin()
                    group, self._waiting, self._charts = [*group, *self._waiting], [], {}
            # the callers are answered first, so that no failure of the next steps leaves them waiting
            answer_all(group, None if cause is None else self.health.refusal(cause))
            if cause is None:
                self.health.succeeded()
                continue
            self.health.failed(cause, len(group))
        self._writer = None

    async def _commit(self, group: list[Decision], charts: dict[bytes, tuple[Any, ...]]) -> None:
        async with self._writing.use() as connection, connection.transaction(), connection.cursor() as cursor:
            if charts:
                await cursor.executemany(
                    _INSERT_CHART, [charts[name] for name in sorted(charts)]
                )  # in one order, or two writers deadlock
            await cursor.execute(ONE_WRITER)
            newest = await (await cursor.execute(NEWEST_LINK)).fetchone()
            rows, links = linked(newest, decisions.name, map(values_of_decision, group))
            await cursor.executemany(_INSERT, rows)
            await cursor.executemany(_INSERT_LINK, links)


async def _prepare(connection: psycopg.AsyncConnection) -> None:
    await connection.set_isolation_level(psycopg.IsolationLevel.READ_COMMITTED)
    await connection.execute(BOUND_WAITS)
