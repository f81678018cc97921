"""/livez, /readyz and /metrics."""

from fastapi import APIRouter, Request, Response

from cds_hooks.errors import Forbidden
from cds_hooks.invoke import Parts
from cds_hooks.logs import log
from cds_hooks.metrics_folder import MetricsFolder
from cds_hooks.routes.visitors import Visitors
from cds_hooks.service import Service
from cds_hooks.storage.log import RecordUnavailable


def health_routes(services: dict[str, Service], parts: Parts, counted: MetricsFolder, visitors: Visitors) -> APIRouter:
    """Whether the process lives, whether it can answer, and what it counted."""
    router = APIRouter()

    @router.get("/livez")
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz")
    async def ready(response: Response) -> dict[str, object]:
        # Models are loaded and the database is migrated before the first request is taken (app.py); without a record
        # every call is answered 503, and then others should take them.
        try:
            await parts.decisions.check()
        except RecordUnavailable:
            log().error("record away", status=503)
            response.status_code = 503
            return {"status": "the decisions cannot be recorded", "services": len(services)}
        return {"status": "ok", "services": len(services)}

    @router.get("/metrics")
    async def metrics(request: Request) -> Response:
        if not visitors.may_see_metrics(request):
            raise Forbidden(
                "/metrics is for the operator: ask from this machine, or with CDS_OPERATOR_TOKEN as bearer."
            )
        return Response(counted.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router
