"""A server that takes what is posted to it, for tests of notices, events and seals that are sent to others."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.http_server import Asked, Reply, answering


class Receiver:
    """Answers with the next of `answers`, then with `status`, and keeps what it took: that has a status below 300."""

    def __init__(self) -> None:
        self.status = 204
        self.answers: list[int] = []
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    def reply(self, asked: Asked) -> Reply:
        """Takes what is posted, or refuses it."""
        status = self.answers.pop(0) if self.answers else self.status
        if status < 300:
            self.posts.append((dict(asked.headers), asked.body))
        return status, {}, b""

    @property
    def taken(self) -> list[Any]:
        """What it took, as JSON."""
        return [json.loads(body) for _, body in self.posts]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver until the block ends."""
    receiver = Receiver()
    with answering(receiver.reply) as base:
        receiver.url = f"{base}/notices"
        yield receiver
