"""Spans to an OpenTelemetry collector: OTLP over HTTP, with the SDK's batches and queue. Imported only where it is on.

What leaves is bounded here: the exporter follows no redirect, takes no proxy and no password from the environment, and
does not read the body of an answer. The queue drops spans when it is full; no call waits for it.
"""

from importlib.metadata import version as installed_version
from threading import Lock, Thread
from time import monotonic
from typing import Final

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from cds_hooks.telemetry.logs import log

_PATH: Final = "/v1/traces"
_SEND_SECONDS: Final = 3.0
_CLOSE_SECONDS: Final = 2.0
_MOST_WAITING: Final = 16_384
_MOST_AT_ONCE: Final = 512
_SAY_AGAIN_SECONDS: Final = 60.0


class OtlpSpans:
    """Sends the spans of its `tracer` in batches from a thread of its own."""

    def __init__(self, endpoint: str) -> None:
        """`endpoint` is the collector's address; the path `/v1/traces` is added where it has not got it."""
        address = endpoint if endpoint.endswith(_PATH) else endpoint.rstrip("/") + _PATH
        exporter = _Reporting(OTLPSpanExporter(endpoint=address, timeout=_SEND_SECONDS, session=_session()))
        self._processor = BatchSpanProcessor(
            exporter, max_queue_size=_MOST_WAITING, max_export_batch_size=_MOST_AT_ONCE, schedule_delay_millis=1000
        )
        # Resource.create would add what the environment and the machine say of themselves
        resource = Resource({"service.name": "cds-hooks", "service.version": installed_version("cds-hooks-onnx")})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(self._processor)
        self.tracer: Final = provider.get_tracer("cds_hooks")

    def close(self) -> None:
        """Send what is waiting, for two seconds at most."""
        # the SDK itself would wait for half a minute
        closing = Thread(target=self._processor.shutdown, daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.stream = True
    session.hooks["response"].append(_look_at_head_only)
    return session


def _look_at_head_only(answer: requests.Response, *_: object, **__: object) -> None:
    answer.close()  # what the collector writes is not read, however much it is
    if 300 <= answer.status_code < 400:  # the exporter would count it as sent
        raise requests.TooManyRedirects("the collector answers with a redirect")


class _Reporting(SpanExporter):
    """Says in the log that spans cannot be sent, at once and then every minute, and that they can be again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost = 0
        self._said_at = -_SAY_AGAIN_SECONDS
        self._lock = Lock()

    def export(self, spans: tuple[ReadableSpan, ...]) -> SpanExportResult:  # type: ignore[override]
        """Send the spans."""
        result = self._exporter.export(spans)
        with self._lock:
            if result is SpanExportResult.SUCCESS:
                if self._lost:
                    log().info("traces can be sent again", count=self._lost)
                self._lost, self._said_at = 0, -_SAY_AGAIN_SECONDS
            else:
                self._lost += len(spans)
                if monotonic() - self._said_at >= _SAY_AGAIN_SECONDS:
                    self._said_at = monotonic()
                    log().error("traces cannot be sent", count=self._lost)
        return result

    def shutdown(self) -> None:
        """End the exporter."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here."""
        return self._exporter.force_flush(timeout_millis)
