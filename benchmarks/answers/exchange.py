"""Sends the calls of the corpus to a server over HTTP and keeps each answer without what differs from run to run."""

import gzip
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from cds_hooks.kit.simulator.request import CardOutcome, build_feedback

Json = dict[str, Any]

CLOCK: Final = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TIMEOUT_SECONDS = 120.0
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


class Step(msgspec.Struct, frozen=True, array_like=True):
    """One POST: the path and the body; of feedback what becomes of the cards of the answer before."""

    path: str
    body: str


class Call(msgspec.Struct, frozen=True):
    """One call of the corpus, or several in a row that belong together."""

    id: str
    kind: str
    steps: tuple[Step, ...]


class Answer(msgspec.Struct, frozen=True):
    """What came back for one call: status and normalised body of each step."""

    id: str
    kind: str
    service: str
    statuses: list[int]
    bodies: list[Any]


def read_calls(path: Path) -> Iterator[Call]:
    """Yield the calls of a gzipped file."""
    with gzip.open(path) as lines:
        yield from map(msgspec.json.Decoder(Call).decode, lines)


def read_answers(path: Path) -> Iterator[Answer]:
    """Yield the answers of a file that `write` wrote."""
    with path.open("rb") as lines:
        yield from map(msgspec.json.Decoder(Answer).decode, lines)


class Client:
    """One connection to the server."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"
        self._client = httpx.Client(base_url=self._address, timeout=TIMEOUT_SECONDS, trust_env=False)

    def answer(self, call: Call) -> Answer:
        """Send the steps of a call one after another; what they were answered."""
        statuses, bodies = [], []
        last: Any = None
        for step in call.steps:
            body = step.body
            if step.path.endswith("/feedback"):
                body = json.dumps(build_feedback(last if isinstance(last, dict) else {}, CardOutcome(body), CLOCK))
            response = self._client.post(step.path, content=body, headers={"Content-Type": "application/json"})
            last = _parsed(response.content)
            statuses.append(response.status_code)
            bodies.append(normalised(last, body, self._address))
        return Answer(call.id, call.kind, call.steps[0].path.split("/")[2], statuses, bodies)


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return content.decode(errors="replace")


def normalised(answer: Any, request: str, address: str) -> Any:
    """Return the answer without timings, the server's address and every UUID that was not in the request."""

    if isinstance(answer, dict):
        for extension in (answer.get("extension") or {}).values():
            if isinstance(extension, dict):
                extension.pop("timings", None)
    text = json.dumps(answer).replace(address, "<server>")
    return json.loads(_UUID.sub(lambda match: match[0] if match[0] in request else "<id>", text))
