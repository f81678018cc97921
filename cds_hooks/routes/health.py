"""/livez, /readyz and /metrics."""

from fastapi import APIRouter, Response

from cds_hooks.invoke import Parts
from cds_hooks.service import Service


def health_routes(services: dict[str, Service], parts: Parts) -> APIRouter:
    """Whether the process lives, whether it can answer, and what it counted."""
    router = APIRouter()

    @router.get("/livez")
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz")
    async def ready() -> dict[str, object]:
        # Models are loaded and the database is migrated before the first request is taken (app.py).
        return {"status": "ok", "services": len(services)}

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(parts.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router
