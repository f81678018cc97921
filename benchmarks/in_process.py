"""The service's ASGI app in this process, called without a socket: for processor times that nothing else is part of."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.connection import ChangingRequest
from benchmarks.subject import WrongAnswer
from cds_hooks.server.app import create_app
from cds_hooks.settings import Settings


class InProcess:
    """The service's ASGI app, called without a socket."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.loop = asyncio.new_event_loop()

    def call(self, method: str, path: str, body: bytes | None = None, status: int = 200) -> bytes:
        """Return the body of the answer; WrongAnswer when it has another status."""
        return self.loop.run_until_complete(self.request(method, path, body or b"", status))

    def close(self) -> None:
        """No calls after this."""
        self.loop.close()

    def call_json(self, method: str, path: str, body: bytes | None = None) -> Any:
        """Return the JSON of the answer; each call is about another patient, whom no other service has shown a card."""
        return json.loads(self.call(method, path, body and ChangingRequest(body).next()))

    async def request(self, method: str, path: str, body: bytes, status: int = 200) -> bytes:
        """Return the body of the answer, in a loop of the caller's; WrongAnswer when it has another status."""
        sent: list[Any] = []
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        scope = {"type": "http", "method": method, "path": path, "headers": headers, "query_string": b""}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        answer = b"".join(message.get("body", b"") for message in sent)
        if sent[0]["status"] != status:
            raise WrongAnswer(f"{method} {path} was answered {sent[0]['status']}: {answer[:500].decode()}")
        return answer


@contextmanager
def service_in_process(**more: Any) -> Iterator[InProcess]:
    """Yield the service with its decisions committed into a new SQLite file; `more` are other settings."""
    with TemporaryDirectory(prefix="cds-in-process-") as folder:
        database = f"sqlite:///{Path(folder) / 'decisions.sqlite3'}"
        service = InProcess(create_app(Settings(database_url=database, **more)))
        try:
            yield service
        finally:
            service.close()
