"""The trace of one call, and the spans of its stages where OTEL_EXPORTER_OTLP_ENDPOINT names a collector.

Without that setting a call that brings no `traceparent` has no trace at all, and nothing of OpenTelemetry's SDK is
imported; its API (5 ms) with the first call that brings one. With the setting every call gets a span with the
attributes of `ATTRIBUTES` and a child for each stage. Headers are read and written by OpenTelemetry as the W3C
Recommendation says: what is malformed is ignored, and no call is refused for its trace.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from time import perf_counter, time_ns
from typing import TYPE_CHECKING, ClassVar, Final, ParamSpec, TypeVar

from cds_hooks.settings import Settings
from cds_hooks.settings.checks import address_fault, plain_http_fault
from cds_hooks.telemetry.logs import is_plain

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanContext, Tracer

    from cds_hooks.telemetry.otlp import OtlpSpans

ATTRIBUTES: Final = frozenset(
    {
        "http.request.method", "http.route", "http.response.status_code", "error.type",
        "cds.service", "cds.hook", "cds.client", "cds.decision", "cds.cards", "cds.silences", "cds.bytes",
        "cds.prefetch.given", "cds.prefetch.fetched", "cds.prefetch.missing",
    }
)  # fmt: skip
"""What a span may say: names of the configuration, ids of ours, numbers; nothing of a patient or of a caller's own."""

Headers = Iterable[tuple[bytes, bytes]]
Value = str | int
P = ParamSpec("P")
T = TypeVar("T")

_PARENT: Final = b"traceparent"
_STATE: Final = b"tracestate"
_LONGEST_STATE: Final = 512
"""Characters of `tracestate`: the Recommendation asks to hand on at least so many, and each is recorded."""


class TracingUnavailable(Exception):
    """Spans cannot be sent as the settings ask; the message is one sentence for the operator."""

    what_cannot_be_used: ClassVar[str] = "OTEL_EXPORTER_OTLP_ENDPOINT"
    exit_code: ClassVar[int] = 2


class CallTrace:
    """The trace that one call belongs to."""

    def __init__(self, received: SpanContext, tracer: Tracer | None = None) -> None:
        """`received` is the caller's place in it; without a `tracer` it is only handed on, with a span id of ours.

        The caller's `tracestate` is not given to the tracer, so that it is not sent to the collector.
        """
        from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context

        self._received = received
        self._tracer = tracer
        self._started = time_ns()
        self._clock = perf_counter()
        self.decision = ""
        """The id of the call, once its client is known."""
        trace_id, flags = received.trace_id, TraceFlags(received.trace_flags & TraceFlags.SAMPLED)
        if tracer is None:
            span_id = int.from_bytes(os.urandom(8))
            self._span: Span = NonRecordingSpan(SpanContext(trace_id, span_id, is_remote=False, trace_flags=flags))
        else:
            parent = NonRecordingSpan(SpanContext(trace_id, received.span_id, is_remote=True, trace_flags=flags))
            in_parent = set_span_in_context(parent) if received.is_valid else None
            self._span = tracer.start_span("POST", in_parent, SpanKind.SERVER, start_time=self._started)
        ours = self._span.get_span_context()
        self._sent: Final = SpanContext(
            ours.trace_id,
            ours.span_id,
            is_remote=False,
            trace_flags=TraceFlags(ours.trace_flags & TraceFlags.SAMPLED),
            trace_state=received.trace_state,
        )

    @property
    def trace_id(self) -> str:
        """For the log; empty where the SDK was switched off by OTEL_SDK_DISABLED, and the call brought none."""
        return self.recorded.get("id", "")

    def trusted(self, client: str, decision: str) -> None:
        """Note whose call it is. What nobody is trusted to have sent is not sent on: its span is never ended."""
        self.decision = decision
        self.say(client=client, decision=decision)

    @property
    def headers(self) -> dict[str, str]:
        """What requests to the FHIR server carry."""
        from opentelemetry.trace import NonRecordingSpan, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carried: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carried, set_span_in_context(NonRecordingSpan(self._sent)))
        return carried

    @property
    def recorded(self) -> dict[str, str]:
        """What the decision's basis holds: the trace, the caller's span in it and ours."""
        if not self._sent.is_valid:
            return {}
        context = {"id": f"{self._sent.trace_id:032x}", "span": f"{self._sent.span_id:016x}"}
        if self._received.is_valid:
            context["parent"] = f"{self._received.span_id:016x}"
        return context | {"state": self._sent.trace_state.to_header()} if self._sent.trace_state else context

    def stage(self, name: str, started: float, ended: float) -> None:
        """Send a stage of the call as a child of its span."""
        if self._tracer is not None:
            from opentelemetry.trace import set_span_in_context

            in_call = set_span_in_context(self._span)
            self._tracer.start_span(name, in_call, start_time=self._epoch(started)).end(self._epoch(ended))

    def timed(self, name: str, work: Callable[P, T]) -> Callable[P, T]:
        """Return the same work, sent as a stage."""
        if self._tracer is None:
            return work

        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            started = perf_counter()
            try:
                return work(*args, **kwargs)
            finally:
                self.stage(name, started, perf_counter())

        return run

    def say(self, **attributes: Value) -> None:
        """Add attributes, named with `_` for a dot and without `cds.`; others than allowed, plain ones are dropped."""
        for name, value in attributes.items():
            full = f"cds.{name.replace('_', '.')}"
            if full in ATTRIBUTES and is_plain(value):
                self._span.set_attribute(full, value)

    def count_prefetch(self, states: Iterable[str]) -> None:
        """Add how many prefetch keys came with the call, were fetched, and are missing."""
        if self._tracer is not None:
            prefetch = Counter(states)
            self.say(prefetch_given=prefetch["given"] + prefetch["null"])
            self.say(
                prefetch_fetched=prefetch["fetched"], prefetch_missing=prefetch["failed"] + prefetch["unobtainable"]
            )

    def end(self, service: str, status: int, error_type: str = "") -> None:
        """Hand over the span of a call that was answered with this status, to be sent."""
        if self._tracer is None or not self.decision:
            return
        from opentelemetry.trace import Status, StatusCode

        route = f"/cds-services/{service or '{id}'}"
        more = ({"cds.service": service} if service else {}) | ({"error.type": error_type} if error_type else {})
        self._span.update_name(f"POST {route}")
        self._span.set_attributes(
            {"http.request.method": "POST", "http.route": route, "http.response.status_code": status, **more}
        )
        if status >= 500:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()

    def _epoch(self, clock: float) -> int:
        return self._started + int((clock - self._clock) * 1e9)


class Tracing:
    """Gives each call its trace."""

    def __init__(self, spans: OtlpSpans | None = None) -> None:
        """Without `spans` the traces that calls bring are handed on, and nothing is sent."""
        self._spans = spans

    def begin(self, headers: Headers) -> CallTrace | None:
        """Return the trace of a call with these headers; None where there is nothing to hand on and nothing to send."""
        if self._spans is None and _PARENT not in dict(headers):
            return None
        received = read_trace(headers)
        if self._spans is None and not received.is_valid:
            return None
        return CallTrace(received, self._spans.tracer if self._spans is not None else None)

    def close(self) -> None:
        """Send what is waiting, for two seconds at most."""
        if self._spans is not None:
            self._spans.close()


def read_trace(headers: Headers) -> SpanContext:
    """Return the place in a trace that a request belongs to; one that is not valid where it names none."""
    from opentelemetry.trace import INVALID_SPAN_CONTEXT, get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carried: dict[str, list[str]] = {}
    for name, value in headers:
        if name in (_PARENT, _STATE):
            carried.setdefault(name.decode(), []).append(value.decode("latin-1"))
    if len(carried.get("traceparent", ())) != 1:  # of two nobody can say which is meant
        return INVALID_SPAN_CONTEXT
    if len(",".join(carried.get("tracestate", ()))) > _LONGEST_STATE:
        del carried["tracestate"]
    return get_current_span(TraceContextTextMapPropagator().extract(carried)).get_span_context()


def open_tracing(configured: Settings) -> Tracing:
    """Return the tracing that the settings ask for.

    Raises:
        TracingUnavailable: OTEL_EXPORTER_OTLP_ENDPOINT is no safe address, or the packages of the extra `otlp` are not
            installed.
    """
    address = configured.otlp_endpoint
    if address is None:
        return Tracing()
    if fault := address_fault(address) or plain_http_fault(address):
        raise TracingUnavailable(f"{fault}; write it as https://host.example.org/path")
    try:
        from cds_hooks.telemetry.otlp import OtlpSpans
    except ImportError as error:
        raise TracingUnavailable(
            "the packages that send traces are not installed: install the extra, pip install 'cds-hooks-onnx[otlp]'"
        ) from error
    return Tracing(OtlpSpans(address))
