"""The decision log in PostgreSQL: one connection per process; what arrives during a commit goes into the next one."""

import asyncio
from collections.abc import Sequence

import msgspec
import psycopg
from sqlalchemy import URL, insert
from sqlalchemy.dialects.postgresql import psycopg as psycopg_dialect

from cds_hooks.storage.chain import Chain
from cds_hooks.storage.decision import Decision, FeedbackItem
from cds_hooks.storage.feedback import store_feedback
from cds_hooks.storage.log import RecordUnavailable
from cds_hooks.storage.tables import decisions

_COLUMNS = [column.name for column in decisions.columns if column.name != "sequence"]
_DIALECT = psycopg_dialect.dialect(paramstyle="format")  # type: ignore[no-untyped-call]
_INSERT = str(insert(decisions).inline().compile(dialect=_DIALECT, column_keys=_COLUMNS))
_NEWEST_HASH = "SELECT hash FROM decisions ORDER BY sequence DESC LIMIT 1"

_Waiting = list[tuple[Decision, asyncio.Future[None]]]


class PostgresDecisionLog:
    """A `DecisionLog` over one psycopg connection, opened again after it was lost."""

    def __init__(self, url: URL) -> None:
        """The database is migrated; the connection is opened by the first append."""
        self._url = url
        self._address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._waiting: _Waiting = []
        self._writer: asyncio.Task[None] | None = None
        self._connection: psycopg.AsyncConnection | None = None
        self._chain = Chain(None)

    async def append(self, decision: Decision) -> None:
        """Returns when the decision is committed; RecordUnavailable when it could not be."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((_storable(decision), future))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        await future

    async def append_feedback(self, items: Sequence[FeedbackItem]) -> int:
        """Stores all items or none, and says how many were new."""
        return await asyncio.to_thread(store_feedback, self._url, items)

    async def close(self) -> None:
        """Commits what is waiting and closes the connection."""
        if self._writer is not None:
            await self._writer
        if self._connection is not None:
            await self._connection.close()

    async def _write(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            failure = await self._commit([decision for decision, _ in group])
            for _, future in group:
                if future.done():  # its caller went away; the decision is in the record all the same
                    continue
                if failure is None:
                    future.set_result(None)
                else:
                    future.set_exception(failure)
        self._writer = None

    async def _commit(self, group: list[Decision]) -> RecordUnavailable | None:
        try:
            connection = await self._open()
            rows = self._chain.link(group)
            async with connection.transaction(), connection.cursor() as cursor:
                await cursor.executemany(_INSERT, rows)
        except (psycopg.Error, OSError) as error:
            # whether the commit arrived is uncertain, so neither this connection nor its chain goes on
            await self._give_up()
            return RecordUnavailable(f"the record in PostgreSQL cannot be written: {type(error).__name__}")
        self._chain.moved_to(rows)
        return None

    async def _open(self) -> psycopg.AsyncConnection:
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(self._address, autocommit=True, connect_timeout=5)
            cursor = await self._connection.execute(_NEWEST_HASH)
            newest = await cursor.fetchone()
            self._chain = Chain(bytes(newest[0]) if newest else None)
        return self._connection

    async def _give_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _storable(decision: Decision) -> Decision:
    """PostgreSQL's text has no NUL, which JSON's has; a client that sends one gets U+FFFD into the record."""
    named = (decision.hook, decision.service, decision.hook_instance, decision.client, decision.patient)
    if not any("\0" in text for text in named):
        return decision
    hook, service, hook_instance, client, patient = (text.replace("\0", "\N{REPLACEMENT CHARACTER}") for text in named)
    return msgspec.structs.replace(
        decision, hook=hook, service=service, hook_instance=hook_instance, client=client, patient=patient
    )
