"""Real servers on loopback for tests: a FHIR server, a key server, and a canary that only counts who comes."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

from tests import http_server
from tests.http_server import Asked, Reply


class Canary:
    """Listens on every address of this machine, IPv4 and IPv6, and counts the connections."""

    def __init__(self) -> None:
        self.connections = 0
        self._listening = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()

    def close(self) -> None:
        self._listening.close()


class Seen:
    """What a server was asked: method, path and headers of each request."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.port = 0

    @property
    def paths(self) -> list[str]:
        return [path for _, path, _ in self.requests]

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"


Answer = Callable[[str], tuple[int, dict[str, str], bytes]]
"""Status, headers and body for a path."""


@contextmanager
def answering(answer: Answer) -> Iterator[Seen]:
    """A server that answers as it is told, until the block ends."""
    seen = Seen()

    def reply(asked: Asked) -> Reply:
        seen.requests.append((asked.method, asked.path, dict(asked.headers)))
        return answer(asked.path)

    with http_server.answering(reply) as base:
        seen.port = int(base.rpartition(":")[2])
        yield seen


def fhir(path: str) -> tuple[int, dict[str, str], bytes]:
    """A FHIR server that redirects to wherever `/r4/redirect?to=` says."""
    target = parse_qs(urlsplit(path).query).get("to")
    if target:
        return 302, {"location": target[0]}, b""
    return 200, {"content-type": "application/fhir+json"}, json.dumps({"resourceType": "Patient", "id": "1"}).encode()
