"""GET /cds-services and POST /cds-services/{id}/feedback."""

import asyncio
from time import time_ns

from fastapi import APIRouter, Request, Response

from cds_hooks.errors import NotFound, RecordFailed
from cds_hooks.invoke import Parts
from cds_hooks.protocol.feedback import read_feedback
from cds_hooks.protocol.matching import decisions_named, match_feedback
from cds_hooks.routes.intake import Intake
from cds_hooks.security import Trust
from cds_hooks.service import Service
from cds_hooks.storage.identifiers import decision_of
from cds_hooks.storage.log import RecordUnavailable
from cds_hooks.storage.reading import get_decisions


def protocol_routes(services: dict[str, Service], parts: Parts, intake: Intake, trust: Trust) -> APIRouter:
    """Discovery of these services, and feedback on their cards."""
    router = APIRouter()

    @router.get("/cds-services")
    async def discovery(request: Request) -> dict[str, object]:
        client = await trust.client_of(request.scope["headers"], request.scope["path"])
        listed = [service for service in services.values() if client.may_call(service.id)]
        return {"services": [entry for service in listed for entry in service.discovery(client.profile)]}

    @router.post("/cds-services/{service_id}/feedback")
    async def feedback(service_id: str, request: Request) -> Response:
        client = await trust.client_of(request.scope["headers"], request.scope["path"])
        if service_id not in services:
            raise NotFound("There is no service of this id; GET /cds-services lists those there are.")
        client.require(service_id)
        intake.enter(client.name, min(client.budgets.concurrency, parts.settings.concurrent_calls))
        try:
            body = await intake.body(request.scope["headers"], request.receive)
        finally:
            intake.leave(client.name)
        old_forms = client.profile.version in ("1.0", "1.1")
        items = read_feedback(body, service_id, client.name, _now(parts), old_forms=old_forms)
        try:
            url = parts.settings.database_url
            decisions = await asyncio.to_thread(get_decisions, url, decisions_named(items))
            matched = match_feedback(items, decisions)
            new = await parts.decisions.append_feedback(matched.items)
        except RecordUnavailable as error:
            raise RecordFailed("The feedback could not be stored. Send it again later.") from error
        for item in new:
            parts.metrics.feedback(service_id, item.outcome)
            parts.governance.remember(decisions[decision_of(item.card) or ""], item)
        for reason in matched.unmatched:
            parts.metrics.unmatched_feedback(service_id, reason)
        return Response(b"{}", media_type="application/json")

    return router


def _now(parts: Parts) -> int:
    """Microseconds since 1970 by the clock that calls are answered by."""
    as_of = parts.settings.as_of
    return time_ns() // 1000 if as_of is None else int(as_of.timestamp() * 1e6)
