"""A language model that plays what a test tells it to: an OpenAI-compatible server on loopback."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.http_server import Asked, Reply, answering

MODEL = "played-1"


class Stub:
    """What the server answers next, and what it was sent."""

    def __init__(self) -> None:
        self.sentences: list[dict[str, Any]] = []
        self.content: str | None = None
        self.raw: bytes | None = None
        self.status, self.model, self.delay = 200, MODEL, 0.0
        self.headers: dict[str, str] = {}
        self.sent: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.tokens: list[str] = []
        self.address = ""

    def body(self) -> bytes:
        """The bytes of the next answer."""
        if self.raw is not None:
            return self.raw
        content = self.content if self.content is not None else json.dumps({"sentences": self.sentences})
        choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
        return json.dumps({"id": "x", "object": "chat.completion", "model": self.model, "choices": [choice]}).encode()

    def entries(self) -> list[dict[str, str]]:
        """The entries of the chart that it was sent last."""
        message: str = self.sent[-1]["messages"][1]["content"]
        entries: list[dict[str, str]] = json.loads(message)["entries"]
        return entries


@contextmanager
def playing() -> Iterator[Stub]:
    """Runs the server while the block runs."""
    stub = Stub()

    def reply(asked: Asked) -> Reply:
        stub.paths.append(asked.path)
        stub.tokens.append(asked.headers.get("authorization", ""))
        stub.sent.append(json.loads(asked.body))
        time.sleep(stub.delay)
        return stub.status, {"content-type": "application/json", **stub.headers}, stub.body()

    with answering(reply) as base:
        stub.address = f"{base}/v1"
        yield stub
