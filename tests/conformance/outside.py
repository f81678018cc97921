"""The server as its clients meet it: calls to the whole app, in process, and what may be said of every answer."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import httpx

from tests.cds_hooks.call.prefetch.fetch_calls import app_client

Json: TypeAlias = Any
SERVICES = "/cds-services"


class Outside:
    """A started server and a client of it; all calls run in one event loop."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        """`settings` are those of the server, whose record is in `folder`."""
        self.folder = folder
        self._loop = asyncio.new_event_loop()
        self._manager = app_client(folder, **settings)
        try:
            self._client = self._loop.run_until_complete(self._manager.__aenter__())
        except BaseException:
            self._loop.close()  # a server that does not start leaves nothing to close later
            raise

    def close(self) -> None:
        """Stops the server."""
        self._loop.run_until_complete(self._manager.__aexit__(None, None, None))
        self._loop.close()

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Any request."""
        return self._loop.run_until_complete(self._client.request(method, path, **options))

    def discovery(self, **options: Any) -> Json:
        """The entries of discovery."""
        return strict(self.request("GET", SERVICES, **options).content)["services"]

    def call(self, service: str, body: Json, **options: Any) -> httpx.Response:
        """The answer to a hook call; `body` as JSON, or bytes as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json"} | options.pop("headers", {})
        return self.request("POST", f"{SERVICES}/{service}", content=content, headers=headers, **options)

    def feedback(self, service: str, *items: Json, **options: Any) -> httpx.Response:
        """The answer to feedback with these items."""
        return self.call(f"{service}/feedback", {"feedback": list(items)}, **options)


def strict(body: bytes) -> Json:
    """The JSON of RFC 8259: no comments, no trailing commas, no NaN, no member twice, UTF-8."""
    return json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse)


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    assert len(dict(pairs)) == len(pairs), "a member stands twice"
    return dict(pairs)


def _refuse(name: str) -> float:
    raise AssertionError(f"{name} is not JSON")


def walk(document: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every value with its path: `cards[0].source.label`."""
    yield path, document
    if isinstance(document, dict):
        for name, value in document.items():
            yield from walk(value, f"{path}.{name}" if path else name)
    elif isinstance(document, list):
        for number, value in enumerate(document):
            yield from walk(value, f"{path}[{number}]")


def paths_where(document: Json, is_wrong: Callable[[Json], bool]) -> list[str]:
    """Where a document holds what it should not."""
    return [path for path, value in walk(document) if is_wrong(value)]


def outcome_of(answer: httpx.Response) -> Json:
    """The first issue of an error's OperationOutcome."""
    document = strict(answer.content)
    assert document["resourceType"] == "OperationOutcome"
    assert answer.headers["content-type"] == "application/json"
    issue = document["issue"][0]
    assert issue["severity"] in ("fatal", "error")
    assert issue["code"]
    assert "Traceback" not in answer.text
    return issue
