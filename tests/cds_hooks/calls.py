"""Calls for tests: the app in process, and hook requests built from sample patients."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson

from cds_hooks.app import create_app
from cds_hooks.kit.samples import load_draft, load_patient
from cds_hooks.kit.simulator.chart import Chart, resources_of
from cds_hooks.kit.simulator.request import build_request, drafts_for
from cds_hooks.services import find_services
from cds_hooks.settings import Settings
from tests.live import record_in

PLANNING = "planning-conversation"
ORDERS = "order-safety"


@asynccontextmanager
async def client(folder: Path, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a fresh app whose record is in `folder`."""
    configured = Settings(database_url=record_in(folder), **settings)
    transport = httpx.ASGITransport(app=create_app(configured), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as calls:
        yield calls


def request_for(service: str, hook: str, sample: str, as_of: datetime, draft: str | None = None) -> dict[str, Any]:
    """The request a client would send for a sample patient, built from the service's own templates."""
    request: dict[str, Any] = orjson.loads(_written_request(service, hook, sample, as_of, draft))
    return request | {"hookInstance": str(uuid4())}


@cache
def _written_request(service: str, hook: str, sample: str, as_of: datetime, draft: str | None) -> bytes:
    """Built once: some ten thousand tests' calls are of the same thousand requests, of 9 ms each."""
    entry = next(each for each in find_services()[service].discovery() if each["hook"] == hook)
    chart = _chart(sample, as_of)
    drafts = drafts_for(chart, resources_of(load_draft(draft, as_of))) if draft else []
    return orjson.dumps(build_request(entry, chart, drafts))


@cache
def _chart(sample: str, as_of: datetime) -> Chart:
    return Chart(resources_of(load_patient(sample, as_of)))


def ours(answer: httpx.Response) -> dict[str, Any]:
    """What the response says beyond the protocol."""
    extension: dict[str, Any] = answer.json()["extension"]["org.cds-hooks-onnx"]
    return extension
