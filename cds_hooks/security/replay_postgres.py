"""Remembers used tokens in PostgreSQL, for servers on several machines that share one decision record."""

import asyncio
from typing import Final

import psycopg
from sqlalchemy import URL

from cds_hooks.errors import ReplayStoreFailed
from cds_hooks.security.replay import token_id

_LOCK: Final = 0x6364_735F_746F_6B65  # "cds_toke": one name for all that make the same table
_SET_UP: Final = (
    "CREATE TABLE IF NOT EXISTS used_tokens (id bytea PRIMARY KEY, expires bigint NOT NULL)",
    "CREATE INDEX IF NOT EXISTS used_tokens_expires ON used_tokens (expires)",
)
_INSERT: Final = (
    "INSERT INTO used_tokens SELECT * FROM unnest(%s::bytea[], %s::bigint[]) ON CONFLICT DO NOTHING RETURNING id"
)
_FORGET: Final = (
    "DELETE FROM used_tokens WHERE id IN (SELECT id FROM used_tokens WHERE expires < %s ORDER BY expires LIMIT 4000)"
)
_INSERTS_PER_FORGETTING: Final = 1000
_WAIT_SECONDS: Final = 5

Waiting = list[tuple[bytes, int, "asyncio.Future[bool]"]]


class PostgresReplayStore:
    """A `ReplayStore` over one connection; tokens that arrive during a round trip go together in the next."""

    def __init__(self, url: URL) -> None:
        """The connection is opened, and the table made, by the first token."""
        self._address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._waiting: Waiting = []
        self._writer: asyncio.Task[None] | None = None
        self._connection: psycopg.AsyncConnection | None = None
        self._inserts = 0
        self._now = 0.0

    async def first_use(self, iss: str, jti: str, expires: float, now: float) -> bool:
        """True once for each pair, on whichever machine."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((token_id(iss, jti), int(expires) + 1, future))
        self._now = now
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        return await future

    async def aclose(self) -> None:
        """Answers those who wait and closes the connection."""
        if self._writer is not None:
            await self._writer
        await self._disconnect()

    async def _write(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            try:
                async with asyncio.timeout(_WAIT_SECONDS):
                    new = await self._insert(group)
            # whatever it was, nobody may be left waiting, and who cannot be checked is not let in
            except Exception as error:
                await self._disconnect()
                _refuse(group, error)
            else:
                _answer(group, new)
        self._writer = None

    async def _insert(self, group: Waiting) -> set[bytes]:
        connection = self._connection or await self._connect()
        ids, expiries = [each[0] for each in group], [each[1] for each in group]
        new = {bytes(row[0]) for row in await (await connection.execute(_INSERT, (ids, expiries))).fetchall()}
        self._inserts += len(new)
        if self._inserts >= _INSERTS_PER_FORGETTING:
            self._inserts = 0
            await connection.execute(_FORGET, (int(self._now),))
        return new

    async def _connect(self) -> psycopg.AsyncConnection:
        connection = await psycopg.AsyncConnection.connect(self._address, autocommit=True)
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            for statement in _SET_UP:
                await connection.execute(statement)
        self._connection = connection
        return connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _answer(group: Waiting, new: set[bytes]) -> None:
    """The first of those who brought the same token gets it; `new` are the ids that were not there before."""
    for token, _, future in group:
        if not future.done():  # else its caller went away
            future.set_result(token in new)
        new.discard(token)


def _refuse(group: Waiting, error: Exception) -> None:
    for _, _, future in group:
        if not future.done():
            failure = ReplayStoreFailed("The server cannot check the call's token. Try again later.")
            failure.__cause__ = error
            future.set_exception(failure)
