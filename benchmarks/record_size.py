"""`python -m benchmarks.record_size RECORD [URL]`: bytes that a decision takes at rest, index and pages included.

The decisions of RECORD, an SQLite record, are written again with new ids until there are 10,000, as by a server that
answers eight callers: into a new SQLite file, or into the PostgreSQL database of URL.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import sys
import tempfile
from contextlib import closing
from itertools import cycle, islice

from msgspec import structs
from sqlalchemy import text

from cds_hooks.storage import Decision, new_decision_id, open_decision_log
from cds_hooks.storage.content import read_content_keys, use_content_keys
from cds_hooks.storage.database import engine_for, parse_url, sqlite_file
from cds_hooks.storage.queries import list_decisions

_DECISIONS = 10_000
_CALLERS = 8
_DAYS = 365
_TABLE_SIZE = "SELECT pg_total_relation_size('decisions')"


async def _write(url: str, decisions: list[Decision]) -> None:
    log = open_decision_log(url)
    queue = islice(cycle(decisions), _DECISIONS)

    async def caller() -> None:
        for decision in queue:
            await log.append(structs.replace(decision, id=new_decision_id()))

    await asyncio.gather(*(caller() for _ in range(_CALLERS)))
    await log.close()


def _bytes(url: str) -> int:
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(sqlite_file(parsed))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return sqlite_file(parsed).stat().st_size
    with engine_for(parsed).connect() as opened:
        return int(opened.execute(text(_TABLE_SIZE)).scalar_one())


def main(record: str, url: str | None = None) -> None:
    """Prints bytes a decision, plain and encrypted, and the gigabytes of a year."""
    decisions = list_decisions(f"sqlite:///{record}", limit=_DECISIONS)
    for name, keys in (("plain", ""), ("encrypted", secrets.token_hex(32))):
        use_content_keys(read_content_keys(keys))
        with tempfile.TemporaryDirectory() as folder:
            target = url or f"sqlite:///{folder}/decisions.sqlite3"
            before = _bytes(target) if url else 0
            asyncio.run(_write(target, decisions))
            each = (_bytes(target) - before) / _DECISIONS
        year = ", ".join(
            f"{calls:,} calls a day {each * calls * _DAYS / 1e9:.1f} GB" for calls in (1_000, 10_000, 100_000)
        )
        print(f"{name}: {each:,.0f} bytes a decision; a year of {year}")


if __name__ == "__main__":
    main(*sys.argv[1:])
