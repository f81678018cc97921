"""Pages for the operator: /livez, /readyz and /metrics, and who may read them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from hmac import compare_digest
from ipaddress import ip_address
from typing import Final

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cds_hooks.answer.call import ServerComponents
from cds_hooks.errors import Forbidden
from cds_hooks.logs import log
from cds_hooks.metrics import MetricsFolder
from cds_hooks.routes.entrance import HostCheck
from cds_hooks.services import Service
from cds_hooks.settings import Settings
from cds_hooks.storage.decision import RecordUnavailable, plain
from cds_hooks.web.visiting import visiting

DRAINING: Final = "draining"
"""Member of the ASGI state: whether this process is about to end; `server.py` sets it."""

ADMITTED: Final = "cds_hooks.admitted"
"""Member of the ASGI scope: whether the gate (gate.py) has decided that this page is for who asks."""

_BEARER: Final = "bearer "


class OperatorAccess:
    """The rule for /metrics and the pages of single decisions.

    In the development profile, which listens on this machine only, everyone may. With a trust file: the holder of
    CDS_OPERATOR_TOKEN, whoever asks at the address of CDS_OPERATOR_LISTEN, and for the pages everyone where
    CDS_EXPLAIN_PAGES says that the site stands in front of them with an access control of its own. That a connection
    comes from this machine proves nothing: a proxy on it need add no header.
    """

    def __init__(self, configured: Settings) -> None:
        token = configured.operator_token
        self._token = token.get_secret_value().encode() if token is not None else None
        self._development = configured.trust_file is None
        self._listen = configured.operator_address
        self._hosts = HostCheck(configured.public_url)
        self._needs_login = configured.login != "none"
        self._pages = configured.shows_pages and not self._needs_login

    def may_see_metrics(self, request: HTTPConnection) -> bool:
        """Whether this request may read what was counted, and open the other pages of the operator.

        Where pages need a login the gate has decided that, by the roles of who has logged in.
        """
        if self._needs_login:
            return bool(request.scope.get(ADMITTED))
        return self._development or self.is_machine(request)

    def is_machine(self, request: HTTPConnection) -> bool:
        """Whether this request has the operator's token or came to the operator's own address."""
        return self._came_to_operator(request) or self._has_token(request.headers)

    def may_see_decisions(self, request: HTTPConnection) -> bool:
        """Whether this request may read why decisions were as they were, which holds values of patients."""
        return self._pages or self.may_see_metrics(request)

    def may_ask_why(self, request: HTTPConnection) -> bool:
        """Whether this request may ask for one decision: of a session for one patient the page looks whose it is."""
        return visiting().visitor is not None or self.may_see_decisions(request)

    def _came_to_operator(self, request: HTTPConnection) -> bool:
        """Whether the connection is to CDS_OPERATOR_LISTEN; the server's own socket says so, no header can.

        On loopback a browser could have been brought there by the name of another site (routes/entrance.py).
        """
        own = request.scope.get("server")
        if self._listen is None or own is None:
            return False
        host, port = self._listen
        if port is None:
            return tuple(own) == self._listen
        address = ip_address(host)
        if own[1] != port or not (address.is_unspecified or own[0] == host):
            return False
        named = request.scope["headers"]
        return not address.is_loopback or self._hosts.allows(dict(named).get(b"host", b"localhost"))

    def _has_token(self, headers: Mapping[str, str]) -> bool:
        given = headers.get("authorization", "")
        if self._token is None or given[: len(_BEARER)].lower() != _BEARER:
            return False
        return compare_digest(given[len(_BEARER) :].strip().encode(), self._token)


def models_out(services: Mapping[str, Service]) -> list[dict[str, object]]:
    """The models whose files cannot be served, each with the reason and what its services answer."""
    return [
        {
            "model": model.name,
            "service": service.id,
            "reason": model.reason,
            "answers": "503" if model is service.models[0] else "without this model",
        }
        for service in services.values()
        for model in service.absent_models
    ]


def _one_at_a_time(check: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """Those who ask while it is being checked get what that check finds: many who ask cost what one does."""
    running: asyncio.Future[None] | None = None

    async def shared() -> None:
        nonlocal running
        if running is None or running.done():
            running = asyncio.ensure_future(check())
        await asyncio.shield(running)

    return shared


def health_routes(
    services: dict[str, Service], components: ServerComponents, counted: MetricsFolder, visitors: OperatorAccess
) -> list[Route]:
    """Whether the process lives, whether it can answer, and what it counted."""
    absent = models_out(services)
    check = _one_at_a_time(components.decisions.check)

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        # Models are loaded and the database is migrated before the first request is taken (app.py); without a record
        # every call is answered 503, and then others should take them.
        if request.scope.get("state", {}).get(DRAINING):
            return JSONResponse({"status": "this server is about to end", "services": len(services)}, 503)
        try:
            await check()
        except RecordUnavailable as error:
            log().error("not ready", status=503, reason=plain(error.cause))
            away = {"status": "the decisions cannot be recorded", "services": len(services)}
            return JSONResponse(away, 503, {"retry-after": "5"})
        rules = components.governance.approval_counts()
        answer: dict[str, object] = {"status": "ok", "services": len(services)}
        if absent:
            answer |= {"status": "a model cannot be served", "models_out": absent}
        return JSONResponse(answer | ({} if rules is None else {"rules": rules}))

    async def metrics(request: Request) -> Response:
        if not visitors.may_see_metrics(request):
            raise Forbidden(
                "/metrics is for the operator: ask at CDS_OPERATOR_LISTEN, or with CDS_OPERATOR_TOKEN as bearer."
            )
        return Response(counted.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return [Route("/livez", live), Route("/readyz", ready), Route("/metrics", metrics)]
