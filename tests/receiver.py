"""A server that takes what is posted to it, for tests of notices, events and seals that are sent to others."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Receiver:
    """Answers with the next of `answers`, then with `status`, and keeps what it took: that has a status below 300."""

    def __init__(self) -> None:
        self.status = 204
        self.answers: list[int] = []
        self.posts: list[tuple[dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = outer.answers.pop(0) if outer.answers else outer.status
                if status < 300:
                    outer.posts.append((dict(self.headers), body))
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/notices"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def taken(self) -> list[Any]:
        """What it took, as JSON."""
        return [json.loads(body) for _, body in self.posts]

    def close(self) -> None:
        """Ends the server; nobody listens there any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver until the block ends."""
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()
