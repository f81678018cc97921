"""Refusals of calls and reports: what is sent, what is logged, and what is read on of a body that was not wanted."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cds_hooks.errors import CALL_ID, BodyTooLarge, HookError, operation_outcome
from cds_hooks.logs import log
from cds_hooks.routes.bodies import JSON
from cds_hooks.tracing import CallTrace


def log_refusal(
    service: str,
    status: int,
    reason: str,
    call_id: str,
    client: str = "",
    trace: CallTrace | None = None,
    hook: str = "",
) -> None:
    """One line of the operational log about a call that is answered with an error."""
    log().info(
        "call refused",
        service=service,
        status=status,
        reason=reason,
        decision=call_id,
        client=client,
        hook=hook,
        **trace_fields(trace),
    )


def trace_fields(trace: CallTrace | None) -> dict[str, str]:
    """Return what a line of the log says of the trace that a call belongs to."""
    return {"trace": trace.trace_id} if trace is not None else {}


async def send_refusal(send: Send, error: HookError, call_id: str, unread: Receive | None = None) -> None:
    """Send the response to a call that is not answered, with the id under which the operator's log has it.

    What of the body is `unread` is read and thrown away before the connection closes, up to bounds of time and bytes:
    who still sends into a closed connection, as a proxy does, sees that it was reset and not the answer.
    """
    headers = [*error.headers, (CALL_ID, call_id.encode())]
    await send_json(send, error.status, operation_outcome(error, call_id), headers, ends=unread is None)
    if unread is not None:
        await _read_on(unread)
        await send({"type": "http.response.body", "body": b""})


_MOST_UNREAD: Final = 32 * 1024 * 1024
_UNREAD_SECONDS: Final = 5.0


async def _read_on(receive: Receive) -> None:
    remaining = _MOST_UNREAD
    with suppress(TimeoutError):
        async with asyncio.timeout(_UNREAD_SECONDS):
            while remaining > 0:
                message = await receive()
                if not message.get("more_body", False):  # the end, also that of the connection
                    return
                remaining -= len(message["body"])


async def send_json(
    send: Send, status: int, body: bytes, more: Iterable[tuple[bytes, bytes]] = (), *, ends: bool = True
) -> None:
    """One JSON response with `more` headers; where it does not end with it, an empty part of the body has to follow."""
    headers = [(b"content-type", JSON), (b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store"), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": not ends})


class UnreadRefusal(Response):
    """The refusal of a body that is still on its way, which is read on (`send_refusal`)."""

    def __init__(self, error: BodyTooLarge, call_id: str) -> None:
        super().__init__(status_code=error.status)
        self._error = error
        self._call_id = call_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        await send_refusal(send, self._error, self._call_id, receive)
