"""The trace of a call: what is handed on and recorded of it, and the span that a collector gets."""

from typing import Any, cast

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracer, SpanKind, StatusCode

from cds_hooks.tracing import CallTrace, Tracing

TRACE, SPAN = "a" * 32, "b" * 16
RECEIVED = [(b"traceparent", f"00-{TRACE}-{SPAN}-01".encode()), (b"tracestate", b"vendor=1")]
DECISION = "0190a1b2-0000-7000-8000-000000000000"


class Collected:
    """Spans as `OtlpSpans` makes them, kept in memory."""

    def __init__(self, **options: Any) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(**options)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = provider.get_tracer("test")
        self.is_closed = False

    @property
    def spans(self) -> Any:
        return self._exporter.get_finished_spans()

    def close(self) -> None:
        self.is_closed = True


def begun(collected: Any, headers: list[tuple[bytes, bytes]]) -> CallTrace:
    trace = Tracing(collected).begin(headers)
    assert trace is not None
    return trace


def test_of_the_flags_only_whether_it_is_sampled_is_handed_on() -> None:
    for received, sent in (("00", "00"), ("01", "01"), ("02", "00"), ("03", "01"), ("ff", "01")):
        trace = begun(None, [(b"traceparent", f"00-{TRACE}-{SPAN}-{received}".encode())])
        assert trace.headers["traceparent"][-2:] == sent


async def test_a_span_has_what_is_allowed_and_is_sent_once_the_call_is_trusted() -> None:
    collected = Collected()
    trace = begun(collected, RECEIVED)
    trace.end("s", 200)
    assert collected.spans == (), "nobody is trusted to have sent it"
    trace.trusted("ehr", DECISION)
    trace.say(cards=2, unknown="x", prefetch_given=1)
    trace.count_prefetch(["given", "null", "fetched", "failed", "unobtainable", "other"])

    async def work(value: int) -> int:
        return value

    assert await trace.timed("model", work)(7) == 7
    trace.stage("read", 0.0, 1.0)
    trace.end("planning", 503, "CallTimedOut")
    model, read, whole = collected.spans
    assert [(span.name, span.kind) for span in (model, read)] == [
        ("model", SpanKind.INTERNAL),
        ("read", SpanKind.INTERNAL),
    ]
    assert {(span.parent.span_id, span.context.trace_id) for span in (model, read)} == {
        (whole.context.span_id, int(TRACE, 16))
    }
    assert read.end_time - read.start_time == 1_000_000_000
    assert (whole.name, whole.kind, whole.status.status_code) == (
        "POST /cds-services/planning",
        SpanKind.SERVER,
        StatusCode.ERROR,
    )
    assert (whole.parent.span_id, whole.parent.trace_state) == (int(SPAN, 16), {})
    assert dict(whole.attributes) == {
        "cds.client": "ehr", "cds.decision": DECISION, "cds.cards": 2, "cds.prefetch.given": 2,
        "cds.prefetch.fetched": 1, "cds.prefetch.missing": 2, "cds.service": "planning", "http.request.method": "POST",
        "http.route": "/cds-services/planning", "http.response.status_code": 503, "error.type": "CallTimedOut",
    }  # fmt: skip
    assert trace.headers["tracestate"] == "vendor=1"
    assert trace.recorded["span"] == f"{whole.context.span_id:016x}"


def test_a_call_without_a_trace_begins_one_and_one_that_is_not_sampled_is_not_sent() -> None:
    collected = Collected()
    trace = begun(collected, [])
    trace.trusted("ehr", DECISION)
    trace.end("", 499)
    (whole,) = collected.spans
    assert (whole.parent, whole.name, whole.status.status_code) == (None, "POST /cds-services/{id}", StatusCode.UNSET)
    assert set(trace.recorded) == {"id", "span"}
    silent = Collected(sampler=ALWAYS_OFF)
    off = begun(silent, [])
    off.trusted("ehr", DECISION)
    off.end("s", 200)
    assert off.headers["traceparent"][-2:] == "00"
    assert silent.spans == ()


def test_a_tracer_that_is_switched_off_leaves_a_call_without_a_trace() -> None:
    off = Collected()
    off.tracer = cast("Any", NoOpTracer())
    trace = begun(off, [])
    assert (trace.recorded, trace.headers, trace.trace_id) == ({}, {}, "")
    tracing = Tracing(cast("Any", off))
    tracing.close()
    assert off.is_closed
