"""The trace of one call, and the spans of its stages where CDS_OTLP_ENDPOINT names a collector.

Without that setting a call that brings no `traceparent` has no trace at all, and nothing of OpenTelemetry's SDK is
imported. With it every call gets a span with the attributes of `ATTRIBUTES` and a child for each stage.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from time import perf_counter, time_ns
from typing import Final, ParamSpec, Protocol, TypeVar

from cds_hooks.logs import is_plain
from cds_hooks.settings import Settings
from cds_hooks.trace_context import Headers, TraceContext, read_trace_context

ATTRIBUTES: Final = frozenset(
    {
        "http.request.method", "http.route", "http.response.status_code", "error.type",
        "cds.service", "cds.hook", "cds.client", "cds.decision", "cds.cards", "cds.silences", "cds.bytes",
        "cds.prefetch.given", "cds.prefetch.fetched", "cds.prefetch.missing",
    }
)  # fmt: skip
"""What a span may say: names of the configuration, ids of ours, numbers; nothing of a patient or of a caller's own."""

Value = str | int
P = ParamSpec("P")
T = TypeVar("T")


class CallSpan(Protocol):
    """The span of one call while it is answered (`otlp.py`)."""

    context: TraceContext | None

    def end(self, name: str, attributes: dict[str, Value], stages: list[tuple[str, int, int]], *, failed: bool) -> None:
        """Hands the span and its stages over to be sent; times are nanoseconds since 1970-01-01 UTC."""


class SpanSource(Protocol):
    """Makes spans and sends them (`otlp.py`)."""

    def begin(self, received: TraceContext | None, started: int) -> CallSpan: ...

    def close(self) -> None: ...


class TracingUnavailable(Exception):
    """Spans cannot be sent as the settings ask; the message is one sentence for the operator."""


class CallTrace:
    """The trace that one call belongs to."""

    def __init__(self, received: TraceContext | None, spans: SpanSource | None) -> None:
        """Without `spans` there is a `received`, and it is only handed on."""
        self._received = received
        self._started = time_ns()
        self._clock = perf_counter()
        self._stages: list[tuple[str, int, int]] = []
        self._attributes: dict[str, Value] = {}
        self.decision = ""
        """The id of the call, once its client is known."""
        self._span = spans.begin(received, self._started) if spans is not None else None
        ours = self._span.context if self._span is not None else None
        self._sent = ours or (received.child() if received is not None else None)

    @property
    def trace_id(self) -> str:
        """For the log."""
        return self._sent.trace_id if self._sent is not None else ""

    def trusted(self, client: str, decision: str) -> None:
        """The call is of this client. What nobody is trusted to have sent is not sent on: its span is never ended."""
        self.decision = decision
        self.say(client=client, decision=decision)

    @property
    def headers(self) -> dict[str, str]:
        """What requests to the FHIR server carry."""
        return self._sent.headers if self._sent is not None else {}

    @property
    def recorded(self) -> dict[str, str]:
        """What the decision's basis holds: the trace, the caller's span in it and ours."""
        if self._sent is None:
            return {}
        context = {"id": self._sent.trace_id, "span": self._sent.span_id}
        if self._received is not None:
            context["parent"] = self._received.span_id
        return context | {"state": self._sent.state} if self._sent.state else context

    def stage(self, name: str, started: float, ended: float) -> None:
        """Remembers a stage of the call."""
        if self._span is not None:
            self._stages.append((name, self._epoch(started), self._epoch(ended)))

    def timed(self, name: str, work: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        """Returns the same work, remembered as a stage."""
        if self._span is None:
            return work

        async def run(*args: P.args, **kwargs: P.kwargs) -> T:
            started = perf_counter()
            try:
                return await work(*args, **kwargs)
            finally:
                self.stage(name, started, perf_counter())

        return run

    def say(self, **attributes: Value) -> None:
        """Adds attributes, named with `_` for a dot and without `cds.`; others than allowed, plain ones are dropped."""
        for name, value in attributes.items():
            full = f"cds.{name.replace('_', '.')}"
            if full in ATTRIBUTES and is_plain(value):
                self._attributes[full] = value

    def count_prefetch(self, states: Iterable[str]) -> None:
        """Adds how many prefetch keys came with the call, were fetched, and are missing."""
        if self._span is not None:
            prefetch = Counter(states)
            self.say(prefetch_given=prefetch["given"] + prefetch["null"])
            self.say(
                prefetch_fetched=prefetch["fetched"], prefetch_missing=prefetch["failed"] + prefetch["unobtainable"]
            )

    def end(self, service: str, status: int, error_type: str = "") -> None:
        """The call was answered with this status."""
        if self._span is None or not self.decision:
            return
        route = f"/cds-services/{service or '{id}'}"
        self._attributes |= {"http.request.method": "POST", "http.route": route, "http.response.status_code": status}
        if service:
            self.say(service=service)
        if error_type:
            self._attributes["error.type"] = error_type
        self._span.end(f"POST {route}", self._attributes, self._stages, failed=status >= 500)

    def _epoch(self, clock: float) -> int:
        return self._started + int((clock - self._clock) * 1e9)


class Tracing:
    """Gives each call its trace."""

    def __init__(self, spans: SpanSource | None = None) -> None:
        """Without `spans` the traces that calls bring are handed on, and nothing is sent."""
        self._spans = spans
        self.sends: Final = spans is not None
        """Whether every call gets a trace, also one that names none."""

    def begin(self, headers: Headers) -> CallTrace | None:
        """The trace of a call with these headers; None where there is nothing to hand on and nothing to send."""
        received = read_trace_context(headers)
        if received is None and self._spans is None:
            return None
        return CallTrace(received, self._spans)

    def close(self) -> None:
        """Sends what is waiting, for two seconds at most."""
        if self._spans is not None:
            self._spans.close()


def open_tracing(configured: Settings) -> Tracing:
    """Returns the tracing that the settings ask for.

    Raises:
        TracingUnavailable: CDS_OTLP_ENDPOINT is set and the packages of the extra `otlp` are not installed.
    """
    if configured.otlp_endpoint is None:
        return Tracing()
    try:
        from cds_hooks.otlp import OtlpSpans
    except ImportError as error:
        raise TracingUnavailable(
            "CDS_OTLP_ENDPOINT is set, and the packages that send traces are not installed: install the extra, "
            "pip install 'cds-hooks-onnx[otlp]'"
        ) from error
    return Tracing(OtlpSpans(configured.otlp_endpoint))
