"""A small OpenTelemetry collector on loopback, for tests: it decodes what arrives over OTLP/HTTP."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic, sleep
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Collector:
    """What arrived: the bodies as they came, and the spans in them."""

    port: int = 0
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    """What it answers."""
    bodies: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(body) for body in list(self.bodies)]

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def calls(self) -> list[Span]:
        """The spans of whole calls, in the order in which they ended."""
        return [span for span in self.spans if span.kind == Span.SPAN_KIND_SERVER]

    def wait_for(self, calls: int) -> list[Span]:
        """The spans of so many calls, as soon as they are there."""
        end = monotonic() + 20
        while len(self.calls) < calls:
            assert monotonic() < end, f"{len(self.calls)} of {calls} calls arrived"
            sleep(0.05)
        return self.calls

    def stages_of(self, call: Span) -> list[str]:
        """The names of the call's stages, in the order of their beginning."""
        stages = [span for span in self.spans if span.parent_span_id == call.span_id]
        return [span.name for span in sorted(stages, key=lambda span: span.start_time_unix_nano)]


def attributes(span: Span) -> dict[str, Any]:
    """The span's attributes as Python values."""
    return {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in span.attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector until the block ends."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.paths.append(self.path)
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if collector.status == 200:
                collector.bodies.append(body)
            self.send_response(collector.status)
            for name, value in collector.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            collector.paths.append(f"GET {self.path}")
            self.send_error(404)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
