"""Hook calls that name a FHIR server, to an app in process whose connections are closed at the end."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from cds_hooks.server.app import create_app
from cds_hooks.settings import Settings
from tests.cds_hooks.calls import ours
from tests.constants import settings_with
from tests.live import record_in

TOKEN = "canary-token-5b1e90"  # noqa: S105 - a test's own
T = TypeVar("T")
Request = dict[str, Any]


@asynccontextmanager
async def app_client(folder: Path, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a fresh app that is started and stopped as a server does it; its record is in `folder`."""
    async with started_client(settings_with(database_url=record_in(folder), **settings)) as calls:
        yield calls


@asynccontextmanager
async def started_client(configured: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """The same with these settings."""
    app = create_app(configured)
    to_app: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    from_app: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()

    async def send(message: Mapping[str, Any]) -> None:
        await from_app.put(message)

    async def live() -> None:
        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, to_app.get, send)

    lifespan = asyncio.create_task(live())
    await to_app.put({"type": "lifespan.startup"})
    assert (await from_app.get())["type"] == "lifespan.startup.complete"
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=180) as calls:
        yield calls
    await to_app.put({"type": "lifespan.shutdown"})
    assert (await from_app.get())["type"] == "lifespan.shutdown.complete"
    await lifespan


def with_app(folder: Path, use: Callable[[httpx.AsyncClient], Awaitable[T]], **settings: Any) -> T:
    """What `use` gives, with a fresh app."""

    async def run() -> T:
        async with app_client(folder, **settings) as calls:
            return await use(calls)

    return asyncio.run(run())


def post(folder: Path, service: str, request: Request, **settings: Any) -> httpx.Response:
    """The answer of a fresh app to one call; a second for fetching unless the settings say otherwise."""
    settings = {"fetch_milliseconds": 10_000} | settings
    return with_app(folder, lambda calls: calls.post(f"/cds-services/{service}", json=request), **settings)


def at_server(request: Request, base: str, token: str | None = TOKEN, **authorization: Any) -> Request:
    """The request with `fhirServer` and, unless the token is None, `fhirAuthorization`."""
    if token is None:
        return request | {"fhirServer": base}
    granted = {
        "access_token": token, "token_type": "Bearer", "expires_in": 300, "scope": "patient/*.read",
        "subject": "service",
    }  # fmt: skip
    return request | {"fhirServer": base, "fhirAuthorization": granted | authorization}


def without(request: Request, *keys: str) -> Request:
    """The request without these prefetch keys; without any key named: without prefetch."""
    if not keys:
        return {name: value for name, value in request.items() if name != "prefetch"}
    return request | {"prefetch": {key: value for key, value in request["prefetch"].items() if key not in keys}}


def silences(answer: httpx.Response) -> dict[str, str]:
    """Reasons for silence by subject."""
    return {each["subject"]: each["reason"] for each in ours(answer).get("silence", [])}


def facts_of(answer: httpx.Response) -> Any:
    """The cards without what is new in every call: uuids and addresses of pages."""
    text = json.dumps(answer.json()["cards"])
    decision = ours(answer)["decision"]
    cards = json.loads(text.replace(decision, "decision"))
    return json.loads(json.dumps(cards, default=str), object_hook=_without_uuids)


def _without_uuids(value: dict[str, Any]) -> dict[str, Any]:
    return {name: member for name, member in value.items() if name not in ("uuid", "id", "resourceId")}
