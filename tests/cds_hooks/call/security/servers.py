"""Real servers on loopback for tests: a FHIR server, a key server, and a canary that only counts who comes."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


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

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body go out at once, without waiting for an acknowledgement

        def do_GET(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            self.rfile.read(length)
            seen.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
            status, headers, body = answer(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "transfer-encoding" not in headers:
                self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    seen.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()


def fhir(path: str) -> tuple[int, dict[str, str], bytes]:
    """A FHIR server that redirects to wherever `/r4/redirect?to=` says."""
    target = parse_qs(urlsplit(path).query).get("to")
    if target:
        return 302, {"location": target[0]}, b""
    return 200, {"content-type": "application/fhir+json"}, json.dumps({"resourceType": "Patient", "id": "1"}).encode()
