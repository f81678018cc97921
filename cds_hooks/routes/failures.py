"""Errors as HTTP answers: an OperationOutcome for the caller, the place of the failure for the operator.

The words of an exception may hold what a client sent (those of a database hold its parameters), so they go nowhere. The
operator's log gets the kind of the exception, and the module, function and line of our own innermost frame; the caller
gets the id under which the log has them.
"""

import re
from collections.abc import Awaitable, Callable
from traceback import walk_tb
from types import CodeType
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cds_hooks.edge import EdgeLimits
from cds_hooks.errors import CALL_ID, BodyTooLarge, HookError, MethodNotAllowed, NotFound, Untrusted, operation_outcome
from cds_hooks.logs import log
from cds_hooks.metrics import Metrics
from cds_hooks.routes.refusals import UnreadRefusal
from cds_hooks.storage.decision import new_decision_id

_FLOORS: Final = frozenset({"cds_hooks", "cards", "models_onnx", "fhir"})
_NOT_PLAIN: Final = re.compile(r"[^A-Za-z0-9_.]")


def failure_place(error: BaseException) -> dict[str, str | int]:
    """Return module, function and line of the innermost frame of our own code; empty where the error has none.

    Nothing of a patient is in it: all three are names and numbers of the source code.
    """
    location: dict[str, str | int] = {}
    for frame, line in walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] in _FLOORS:
            location = {"module": module, "function": _name_of(frame.f_code), "line": line}
    return location


def _name_of(code: CodeType) -> str:
    # "Service.decide.<locals>.<lambda>": the log takes plain words only
    return _NOT_PLAIN.sub("", code.co_qualname)


def log_failure(event: str, error: BaseException, decision: str, service: str = "", **more: str) -> None:
    """One line of the operational log about an exception that nobody foresaw; `more` are other fields of the log."""
    location = failure_place(error)
    kind = type(error).__name__
    log().error(event, service=service, status=500, decision=decision, error_type=kind, **location, **more)


def failure_outcome(decision: str) -> bytes:
    """Return the body of a 500: that nothing was answered, and the id under which the operator finds the place."""
    return operation_outcome(
        HookError(f"The server failed and gave no answer. The operator's log has the place under the id {decision}.")
    )


class ContainedApp:
    """An app that never raises while it answers a request: every failure is answered and logged with its place."""

    def __init__(self, app: Starlette, edge: EdgeLimits | None = None) -> None:
        """`edge` is for the protocol of the server (cds_hooks/edge.py), which finds it here."""
        app.add_exception_handler(Exception, _answer_failure)
        self._app = app
        self.edge = edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            if scope["type"] == "lifespan":  # a server that cannot start says why
                raise
            if not getattr(error, _LOGGED, False):
                log_failure("request failed", error, new_decision_id())


_LOGGED: Final = "_cds_hooks_logged"


async def _answer_failure(_: Request, error: Exception) -> Response:
    identifier = new_decision_id()
    log_failure("request failed", error, identifier)
    # Starlette raises the error again after this answer, for servers that print it.
    setattr(error, _LOGGED, True)
    headers = {CALL_ID.decode(): identifier}
    return Response(failure_outcome(identifier), 500, headers, media_type="application/json")


def answer_hook_error(metrics: Metrics) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Return the handler that turns a HookError into its status and OperationOutcome."""

    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, HookError)  # noqa: S101 - registered for this class
        call_id = new_decision_id()
        reason, client = type(error).__name__, getattr(request.state, "client", "")  # noted by the route
        if isinstance(error, Untrusted):
            metrics.untrusted(error.reason)
            reason, client = error.reason, error.client
        elif client:
            metrics.refused_client(client, "", "", reason)
        log().info("call refused", status=error.status, reason=reason, client=client, decision=call_id)
        if isinstance(error, BodyTooLarge):
            return UnreadRefusal(error, call_id)
        headers = {name.decode(): value.decode() for name, value in (*error.headers, (CALL_ID, call_id.encode()))}
        return Response(operation_outcome(error, call_id), error.status, headers, media_type="application/json")

    return answer


def http_error_outcome(error: HTTPException) -> Response:
    """Return the answer to a program that asked for an address, or with a method, that does not exist."""
    hook_error: HookError = NotFound("There is nothing at this address; GET /cds-services lists the services.")
    if error.status_code == MethodNotAllowed.status:
        hook_error = MethodNotAllowed("This address does not answer that method.")
    call_id = new_decision_id()
    log().info("call refused", status=hook_error.status, reason=type(hook_error).__name__, decision=call_id)
    headers = {**(error.headers or {}), CALL_ID.decode(): call_id}
    return Response(operation_outcome(hook_error, call_id), hook_error.status, headers, media_type="application/json")


async def answer_http_error(_: Request, error: Exception) -> Response:
    """Return the handler for methods that a route does not answer."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    return http_error_outcome(error)
