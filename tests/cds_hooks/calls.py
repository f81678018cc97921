"""Calls for tests: the app in process, and hook requests built from sample patients."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.constants import settings_with
from tests.contracts.contracts import counted as counted
from tests.contracts.contracts import counted_request_for as counted_request_for
from tests.contracts.contracts import open_client
from tests.contracts.contracts import request_for as request_for
from tests.live import record_in

PLANNING = "planning-conversation"
ORDERS = "order-safety"


@asynccontextmanager
async def client(folder: Path, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a fresh app whose record is in `folder`."""
    async with open_client(settings_with(database_url=record_in(folder), **settings)) as calls:
        yield calls


def ours(answer: httpx.Response) -> dict[str, Any]:
    """What the response says beyond the protocol."""
    extension: dict[str, Any] = answer.json()["extension"]["org.cds-hooks-onnx"]
    return extension
