"""Sends the calls of the corpus to a server over HTTP and keeps each answer without what differs from run to run."""

from __future__ import annotations

import gzip
import http.client
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Json = dict[str, Any]

TIMEOUT_SECONDS = 120.0
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class Step:
    """One POST: the path and the body.

    `{{card}}`, `{{suggestion}}` and `{{reason}}` in a body stand for the uuid of the first card of the answer before,
    of its first suggestion, and for its first override reason.
    """

    path: str
    body: str


@dataclass(frozen=True)
class Call:
    """One call of the corpus, or several in a row that belong together."""

    id: str
    kind: str
    steps: tuple[Step, ...]

    def as_line(self) -> str:
        """Return the call as one line of JSON."""
        return json.dumps({"id": self.id, "kind": self.kind, "steps": [[step.path, step.body] for step in self.steps]})


@dataclass(frozen=True)
class Answer:
    """What came back for one call: status and normalised body of each step."""

    id: str
    kind: str
    service: str
    statuses: list[int]
    bodies: list[Any]

    def as_line(self) -> str:
        """Return the answer as one line of JSON."""
        return json.dumps(self.__dict__, ensure_ascii=False, sort_keys=True)


def read_calls(path: Path) -> Iterator[Call]:
    """Yield the calls of a file that `write_calls` wrote."""
    with gzip.open(path, "rt") as lines:
        for line in lines:
            call = json.loads(line)
            yield Call(call["id"], call["kind"], tuple(Step(*step) for step in call["steps"]))


def read_answers(path: Path) -> Iterator[Answer]:
    """Yield the answers of a file that `write` wrote."""
    with path.open() as lines:
        for line in lines:
            yield Answer(**json.loads(line))


class Client:
    """One connection to the server, opened again where the server closed it."""

    def __init__(self, url: str) -> None:
        self._address = url.rstrip("/")
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_SECONDS)

    def send(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        """Status and body of one request."""
        try:
            return self._send(method, path, body)
        except (http.client.HTTPException, ConnectionError):
            self._connection.close()
            return self._send(method, path, body)

    def _send(self, method: str, path: str, body: str | None) -> tuple[int, bytes]:
        content = None if body is None else body.encode()
        self._connection.request(method, path, content, {"Content-Type": "application/json"} if content else {})
        response = self._connection.getresponse()
        return response.status, response.read()

    def answer(self, call: Call) -> Answer:
        """Send the steps of a call one after another; what they were answered."""
        statuses, bodies = [], []
        last: Any = None
        for step in call.steps:
            body = _filled(step.body, last)
            status, content = self.send("POST", step.path, body)
            last = _parsed(content)
            statuses.append(status)
            bodies.append(normalised(last, body, self._address))
        return Answer(call.id, call.kind, call.steps[0].path.split("/")[2], statuses, bodies)


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return content.decode(errors="replace")


def _filled(body: str, last: Any) -> str:
    if "{{" not in body:
        return body
    card = (last.get("cards") or [{}])[0] if isinstance(last, dict) else {}
    suggestion = (card.get("suggestions") or [{}])[0]
    reason = (card.get("overrideReasons") or [{}])[0]
    body = body.replace("{{card}}", card.get("uuid", "none")).replace("{{suggestion}}", suggestion.get("uuid", "none"))
    return body.replace('"{{reason}}"', json.dumps(reason))


def normalised(answer: Any, request: str, address: str) -> Any:
    """Return the answer without timings, the server's address and every UUID that was not in the request."""

    if isinstance(answer, dict):
        for extension in (answer.get("extension") or {}).values():
            if isinstance(extension, dict):
                extension.pop("timings", None)
    text = json.dumps(answer).replace(address, "<server>")
    return json.loads(_UUID.sub(lambda match: match[0] if match[0] in request else "<id>", text))
