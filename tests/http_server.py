"""A real HTTP server on loopback whose answers a test gives."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass(frozen=True)
class Asked:
    """One request; the names of its headers are in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


Reply = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body; the length is added, unless the headers say how the body is sent."""


@contextmanager
def answering(answer: Callable[[Asked], Reply]) -> Iterator[str]:
    """The address of a server that answers every request so, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body go out at once, without waiting for an acknowledgement

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            names = {name.lower(): value for name, value in self.headers.items()}
            status, headers, content = answer(Asked(self.command, self.path, names, body))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "transfer-encoding" not in headers:
                self.send_header("content-length", str(len(content)))
            with suppress(OSError):  # whoever asked may have gone
                self.end_headers()
                self.wfile.write(content if self.command != "HEAD" else b"")

        do_GET = do_POST = do_OPTIONS = do_HEAD = do_PUT = do_DELETE = do_PATCH = _answer

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
