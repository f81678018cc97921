"""The trace of a call: what is handed on and recorded of it, and the span that a collector gets."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import requests
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracer, SpanKind, StatusCode

from cds_hooks import otlp
from cds_hooks.otlp import OtlpSpans, _look_at_head_only, _Reporting, _session
from cds_hooks.tracing import CallTrace, Tracing
from tests.cds_hooks.logged import capture_logs
from tests.each import for_rows

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


def test_without_a_collector_a_trace_is_handed_on_with_a_span_id_of_our_own_and_nothing_is_timed() -> None:
    assert Tracing().begin([]) is None
    assert Tracing().begin([(b"traceparent", b"x")]) is None
    trace = begun(None, RECEIVED)
    ours = trace.recorded["span"]
    assert trace.trace_id == TRACE
    assert ours != SPAN
    assert trace.recorded == {"id": TRACE, "span": ours, "parent": SPAN, "state": "vendor=1"}
    assert trace.headers == {"traceparent": f"00-{TRACE}-{ours}-01", "tracestate": "vendor=1"}

    async def work() -> int:
        return 1

    assert trace.timed("model", work) is work
    trace.stage("a", 0.0, 1.0)
    trace.count_prefetch(["given"])
    assert (trace._stages, trace._attributes) == ([], {})
    trace.trusted("ehr", DECISION)
    trace.end("s", 200)


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


def test_spans_that_are_lost_are_said_at_once_then_every_minute_and_that_they_can_be_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, results = [1000.0], iter("FFFFSSF")
    monkeypatch.setattr(otlp, "monotonic", lambda: now[0])
    success, failure = SpanExportResult.SUCCESS, SpanExportResult.FAILURE
    calls: list[Any] = []
    exporter = SimpleNamespace(
        export=lambda _: success if next(results) == "S" else failure,
        shutdown=lambda: calls.append("shutdown"),
        force_flush=lambda milliseconds: milliseconds == 7,
    )
    reporting, three = _Reporting(cast("Any", exporter)), cast("Any", (1, 2, 3))
    with capture_logs() as lines:
        sent = []
        for seconds in (0.0, 59.9, 0.1, 1.0, 0.0, 0.0, 0.0):
            now[0] += seconds
            sent.append(reporting.export(three))
    assert sent == [failure] * 4 + [success] * 2 + [failure]
    assert [(line["level"], line["event"], line["count"]) for line in lines] == [
        ("error", "traces cannot be sent", 3),
        ("error", "traces cannot be sent", 9),
        ("info", "traces can be sent again", 12),
        ("error", "traces cannot be sent", 3),
    ]
    assert [reporting.force_flush(milliseconds) for milliseconds in (7, 8)] == [True, False]
    reporting.shutdown()
    assert calls == ["shutdown"]


@for_rows(("status", "is_redirect"), [(299, False), (300, True), (399, True), (400, False)])
def test_a_collector_that_answers_with_a_redirect_has_not_taken_the_spans(status: int, *, is_redirect: bool) -> None:
    closed: list[int] = []
    answer = cast("Any", SimpleNamespace(status_code=status, close=lambda: closed.append(1)))
    if is_redirect:
        with pytest.raises(requests.TooManyRedirects, match="the collector answers with a redirect"):
            _look_at_head_only(answer)
    else:
        _look_at_head_only(answer)
    assert closed == [1]
    session = _session()
    assert (session.trust_env, session.stream) == (False, True)
    assert _look_at_head_only in session.hooks["response"]


def test_spans_go_to_the_path_of_the_collector() -> None:
    for endpoint in ("http://127.0.0.1:9", "http://127.0.0.1:9/", "http://127.0.0.1:9/v1/traces"):
        spans = OtlpSpans(endpoint)
        exporter: Any = cast("Any", spans)._processor._batch_processor._exporter._exporter
        assert exporter._endpoint == "http://127.0.0.1:9/v1/traces"
        spans.close()
