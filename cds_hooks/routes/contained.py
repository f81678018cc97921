"""The last net under everything but hook calls: a failure is answered in a sentence, and its words go nowhere.

The words of an exception may hold what a client sent (those of a database hold its parameters), and a server would
print them with the traceback. The operator's log gets the kind of the exception.
"""

from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from cds_hooks.errors import HookError, operation_outcome
from cds_hooks.logs import log


def contained(app: FastAPI) -> ASGIApp:
    """The app, never raising while it answers a request."""
    app.add_exception_handler(Exception, _failed)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except Exception as error:
            if scope["type"] == "lifespan":  # a server that cannot start says why
                raise
            log().error("request failed", status=500, error_type=type(error).__name__)

    return answer


async def _failed(_: Request, __: Exception) -> Response:
    failure = HookError("The server failed to answer this. The operator's log says where.")
    return Response(operation_outcome(failure), status_code=500, media_type="application/json")
