"""Alive and ready are two things: without a record no call can be answered."""

import asyncio
from pathlib import Path

from tests.cds_hooks.calls import client


def test_a_server_whose_record_is_away_lives_and_is_not_ready(tmp_path: Path) -> None:
    async def probes() -> list[int]:
        async with client(tmp_path) as calls:
            before = await calls.get("/readyz")
            (tmp_path / "decisions.sqlite3").rename(tmp_path / "elsewhere")
            after = [await calls.get(path) for path in ("/readyz", "/livez")]
            assert "recorded" in after[0].text
            return [answer.status_code for answer in (before, *after)]

    assert asyncio.run(probes()) == [200, 503, 200]
