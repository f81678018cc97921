"""A failure outside the hook calls is answered in a sentence and logged without its words."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from cds_hooks.logs import configure_logs
from cds_hooks.routes.contained import contained


def test_the_words_of_a_failure_go_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    app = FastAPI()

    @app.get("/")
    async def fail() -> None:
        raise RuntimeError("secret-canary")

    async def call() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(contained(app)), base_url="http://test") as calls:
            return await calls.get("/")

    configure_logs("info")
    answer = asyncio.run(call())
    printed = capfd.readouterr()
    assert answer.status_code == 500
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert "secret-canary" not in answer.text + printed.out + printed.err
    assert "RuntimeError" in printed.err
