"""GET /cds-services and POST /cds-services/{id}/feedback."""

from time import time_ns

from fastapi import APIRouter, Request, Response

from cds_hooks.errors import NotFound, RecordFailed
from cds_hooks.invoke import Parts
from cds_hooks.protocol.feedback import read_feedback
from cds_hooks.routes.intake import Intake
from cds_hooks.service import Service
from cds_hooks.storage.log import RecordUnavailable


def protocol_routes(services: dict[str, Service], parts: Parts, intake: Intake) -> APIRouter:
    """Discovery of these services, and feedback on their cards."""
    router = APIRouter()

    @router.get("/cds-services")
    async def discovery() -> dict[str, object]:
        return {"services": [entry for service in services.values() for entry in service.discovery(parts.client)]}

    @router.post("/cds-services/{service_id}/feedback")
    async def feedback(service_id: str, request: Request) -> Response:
        if service_id not in services:
            raise NotFound("There is no service of this id; GET /cds-services lists those there are.")
        body = await intake.body(request.scope["headers"], request.receive)
        items = read_feedback(body, service_id, parts.client.name, time_ns() // 1000)
        try:
            await parts.decisions.append_feedback(items)
        except RecordUnavailable as error:
            raise RecordFailed("The feedback could not be stored. Send it again later.") from error
        for item in items:
            parts.metrics.feedback(service_id, item.outcome)
        return Response(status_code=200)

    return router
