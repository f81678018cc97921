"""Pages for the operator: /livez, /readyz and /metrics, and who may read them."""

from collections.abc import Mapping
from hmac import compare_digest
from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.requests import HTTPConnection

from cds_hooks.errors import Forbidden
from cds_hooks.invoke import ServerComponents
from cds_hooks.logs import log
from cds_hooks.metrics import MetricsFolder
from cds_hooks.services import Service
from cds_hooks.settings import Settings
from cds_hooks.storage.decision import RecordUnavailable, plain

DRAINING: Final = "draining"
"""Member of the ASGI state: whether this process is about to end; `server.py` sets it."""

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
        self._pages = configured.shows_pages

    def may_see_metrics(self, request: HTTPConnection) -> bool:
        """Whether this request may read what was counted."""
        return self._development or self._came_to_operator(request) or self._has_token(request.headers)

    def may_see_decisions(self, request: HTTPConnection) -> bool:
        """Whether this request may read why a decision was as it was, which holds values of a patient."""
        return self._pages or self.may_see_metrics(request)

    def _came_to_operator(self, request: HTTPConnection) -> bool:
        """Whether the connection is to CDS_OPERATOR_LISTEN; the server's own socket says so, no header can."""
        if self._listen is None:
            return False
        own = request.scope.get("server")
        return own is not None and tuple(own) == self._listen

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


def health_routes(
    services: dict[str, Service], components: ServerComponents, counted: MetricsFolder, visitors: OperatorAccess
) -> APIRouter:
    """Whether the process lives, whether it can answer, and what it counted."""
    router = APIRouter()
    absent = models_out(services)

    @router.get("/livez")
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz")
    async def ready(request: Request, response: Response) -> dict[str, object]:
        # Models are loaded and the database is migrated before the first request is taken (app.py); without a record
        # every call is answered 503, and then others should take them.
        if request.scope.get("state", {}).get(DRAINING):
            response.status_code = 503
            return {"status": "this server is about to end", "services": len(services)}
        try:
            await components.decisions.check()
        except RecordUnavailable as error:
            log().error("not ready", status=503, reason=plain(str(error)))
            response.status_code = 503
            response.headers["retry-after"] = "5"
            return {"status": "the decisions cannot be recorded", "services": len(services)}
        rules = components.governance.approval_counts()
        answer: dict[str, object] = {"status": "ok", "services": len(services)}
        if absent:
            answer |= {"status": "a model cannot be served", "models_out": absent}
        return answer | ({} if rules is None else {"rules": rules})

    @router.get("/metrics")
    async def metrics(request: Request) -> Response:
        if not visitors.may_see_metrics(request):
            raise Forbidden(
                "/metrics is for the operator: ask at CDS_OPERATOR_LISTEN, or with CDS_OPERATOR_TOKEN as bearer."
            )
        return Response(counted.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router
