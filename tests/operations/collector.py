"""A small OpenTelemetry collector on loopback, for tests: it decodes what arrives over OTLP/HTTP."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.http_server import Asked, Reply, answering
from tests.waiting import until


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
        until(lambda: len(self.calls) >= calls)
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

    def reply(asked: Asked) -> Reply:
        if asked.method != "POST":
            collector.paths.append(f"{asked.method} {asked.path}")
            return 404, {}, b""
        collector.paths.append(asked.path)
        if collector.status == 200:
            is_packed = asked.headers.get("content-encoding") == "gzip"
            collector.bodies.append(gzip.decompress(asked.body) if is_packed else asked.body)
        return collector.status, collector.headers, b""

    with answering(reply) as base:
        collector.port = int(base.rpartition(":")[2])
        yield collector
