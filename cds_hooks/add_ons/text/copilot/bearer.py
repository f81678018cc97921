"""The door of the copilot's interface over HTTP: nobody comes in without the token of the process."""

import hmac
from time import monotonic

from anyio import to_thread
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from cds_hooks.add_ons.text.copilot.tools import COPILOT_EVENT
from cds_hooks.evidence.storage.entries import add_event


class NeedsToken:
    """Lets requests with the token through and answers 401 to all others, of which the record has one a second."""

    def __init__(self, app: ASGIApp, token: str, database_url: str) -> None:
        """`app` answers those who have the token."""
        self._app = app
        self._wanted = f"Bearer {token}".encode()
        self._database_url = database_url
        self._recorded_at = -1.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope.get("headers") or ()).get(b"authorization", b"")
        if scope["type"] == "lifespan" or hmac.compare_digest(given, self._wanted):
            await self._app(scope, receive, send)
            return
        if monotonic() - self._recorded_at >= 1:
            self._recorded_at = monotonic()
            detail = {"tool": "", "status": "refused", "client": ""}
            await to_thread.run_sync(add_event, self._database_url, COPILOT_EVENT, "copilot without a token", detail)
        headers = {"www-authenticate": "Bearer"}
        await PlainTextResponse("This server asks for its bearer token.", 401, headers)(scope, receive, send)
