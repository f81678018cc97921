"""The trace of one call: read from its headers (W3C Trace Context), recorded, logged and handed on to FHIR servers.

OpenTelemetry's API reads and writes the headers: what is malformed is ignored, and no call is refused for its trace. It
is imported (5 ms) with the first call that brings a `traceparent`; a call without one has no trace.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

Headers = Iterable[tuple[bytes, bytes]]

_PARENT: Final = b"traceparent"
_STATE: Final = b"tracestate"
_LONGEST_STATE: Final = 512
"""Characters of `tracestate`: the Recommendation asks to hand on at least so many, and each is recorded."""


class CallTrace:
    """The trace that one call belongs to, with a span id of ours in it."""

    def __init__(self, received: SpanContext) -> None:
        """`received` is the caller's place in the trace."""
        from opentelemetry.trace import SpanContext, TraceFlags

        self._received = received
        self._sent: Final = SpanContext(
            received.trace_id,
            int.from_bytes(os.urandom(8)),
            is_remote=False,
            trace_flags=TraceFlags(received.trace_flags & TraceFlags.SAMPLED),
            trace_state=received.trace_state,
        )

    @property
    def trace_id(self) -> str:
        """For the log."""
        return f"{self._sent.trace_id:032x}"

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
        span, parent = f"{self._sent.span_id:016x}", f"{self._received.span_id:016x}"
        context = {"id": self.trace_id, "span": span, "parent": parent}
        return context | {"state": self._sent.trace_state.to_header()} if self._sent.trace_state else context


def trace_of(headers: Headers) -> CallTrace | None:
    """Return the trace that a request belongs to; None where it names none that is valid."""
    if _PARENT not in dict(headers):
        return None
    received = read_trace(headers)
    return CallTrace(received) if received.is_valid else None


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
