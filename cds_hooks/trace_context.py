"""Trace context of a call: the headers `traceparent` and `tracestate` (W3C Trace Context, Recommendation of 2021).

What is malformed is ignored, as the Recommendation asks: no call is refused for its trace.
"""

import os
import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

Headers = Iterable[tuple[bytes, bytes]]

TRACE_HEADER: Final = b"traceparent"

_PARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MEMBER: Final = re.compile(
    r"([a-z0-9][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MOST_MEMBERS: Final = 32
_MOST_CHARACTERS: Final = 512
"""Of `tracestate`: the Recommendation asks to hand on at least so many."""
_SAMPLED: Final = 1


class TraceContext(Struct, frozen=True):
    """A place in a trace: all of it comes from outside, and is of a form that can hold no words but in `state`."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits: the caller's span where the context was received, ours where it is sent."""
    sampled: bool
    state: str = ""
    """`tracestate`: other tracing systems' own values, handed on to the FHIR server and to nobody else."""

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request that belongs to this place."""
        parent = {"traceparent": f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"}
        return parent | {"tracestate": self.state} if self.state else parent

    def child(self) -> "TraceContext":
        """Returns a new span of the same trace."""
        return TraceContext(self.trace_id, os.urandom(8).hex(), self.sampled, self.state)


def read_trace_context(headers: Headers) -> TraceContext | None:
    """Returns the trace that a request belongs to; None where it names none, or none that can be read."""
    parent, states = None, []
    for name, value in headers:
        if name == TRACE_HEADER:
            if parent is not None:  # two of them: nobody can say which is meant
                return None
            parent = value
        elif name == b"tracestate":
            states.append(value)
    if parent is None:
        return None
    match = _PARENT.fullmatch(parent.strip(b" \t"))
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == b"ff" or (version == b"00" and more is not None) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    sampled = bool(int(flags, 16) & _SAMPLED)
    return TraceContext(trace_id.decode(), span_id.decode(), sampled, _read_state(states) if states else "")


def _read_state(values: list[bytes]) -> str:
    """The members of all `tracestate` headers together; empty where one of them is malformed or they are too many."""
    text = b",".join(values).decode("latin-1")
    members = [member for part in text.split(",") if (member := part.strip(" \t"))]
    keys = {member.partition("=")[0] for member in members}
    if len(members) > _MOST_MEMBERS or len(keys) < len(members) or not all(map(_MEMBER.fullmatch, members)):
        return ""
    state = ",".join(members)
    return state if len(state) <= _MOST_CHARACTERS else ""
