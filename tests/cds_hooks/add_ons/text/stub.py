"""A language model that plays what a test tells it to: an OpenAI-compatible server on loopback."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

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

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            stub.paths.append(self.path)
            stub.tokens.append(self.headers.get("authorization", ""))
            stub.sent.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            time.sleep(stub.delay)
            body = stub.body()
            self.send_response(stub.status)
            for name, value in {"content-type": "application/json", **stub.headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    stub.address = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
