"""/livez, /readyz and /metrics."""

from fastapi import APIRouter, Response

from cds_hooks.invoke import Parts
from cds_hooks.logs import log
from cds_hooks.service import Service
from cds_hooks.storage.log import RecordUnavailable


def health_routes(services: dict[str, Service], parts: Parts) -> APIRouter:
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
    async def metrics() -> Response:
        return Response(parts.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router
