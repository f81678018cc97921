"""Alive and ready are two things: without a record no call can be answered."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.in_process import service_in_process
from cds_hooks.errors import ReplayStoreFailed
from cds_hooks.security.trust import DevelopmentTrust
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


def test_readiness_names_the_tables_that_have_ended(tmp_path: Path) -> None:
    async def probe(as_of: datetime) -> dict[str, Any]:
        (tmp_path / as_of.isoformat()).mkdir()
        async with client(tmp_path / as_of.isoformat(), as_of=as_of) as calls:
            ready = await calls.get("/readyz")
            assert ready.status_code == 200
            answer: dict[str, Any] = ready.json()
            return answer

    ended = asyncio.run(probe(datetime(2026, 11, 22, tzinfo=UTC)))
    assert any(text.startswith("Influenza vaccine") for text in ended["tables_to_read"])
    assert "tables_to_read" not in asyncio.run(probe(datetime(2025, 12, 1, tzinfo=UTC)))


def test_a_store_of_used_tokens_that_cannot_be_written_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(_self: object) -> None:
        raise ReplayStoreFailed("The server cannot check the call's token.")

    monkeypatch.setattr(DevelopmentTrust, "check", fails)
    with service_in_process() as server:
        answer = server.call("GET", "/readyz", status=503)
    assert b"the tokens of calls cannot be checked" in answer
