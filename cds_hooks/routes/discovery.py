"""GET /cds-services and POST /cds-services/{id}/feedback."""

import asyncio
from time import time_ns

from fastapi import APIRouter, Request, Response

from cds_hooks.errors import NotFound, RecordFailed
from cds_hooks.invoke import ServerComponents
from cds_hooks.protocol.feedback import decision_ids_of, match_feedback, read_feedback
from cds_hooks.routes.hooks import RequestLimits
from cds_hooks.security import Trust
from cds_hooks.services import Service, by_address
from cds_hooks.storage.decision import RecordUnavailable, decision_of
from cds_hooks.storage.queries import get_decisions


def protocol_routes(
    services: dict[str, Service], components: ServerComponents, intake: RequestLimits, trust: Trust
) -> APIRouter:
    """Discovery of these services, and feedback on their cards."""
    addresses = by_address(services)
    router = APIRouter()  # routes/openapi.py describes these

    @router.get("/cds-services", include_in_schema=False)
    async def discovery(request: Request) -> dict[str, object]:
        client = await trust.client_of(request.scope["headers"], request.scope["path"])
        listed = [service for service in services.values() if client.may_call(service.id)]
        return {"services": [entry for service in listed for entry in service.discovery(client.profile)]}

    @router.post("/cds-services/{service_id}/feedback", include_in_schema=False)
    async def feedback(service_id: str, request: Request) -> Response:
        client = await trust.client_of(request.scope["headers"], request.scope["path"])
        if service_id not in addresses:
            raise NotFound("There is no service of this id; GET /cds-services lists those there are.")
        service_id = addresses[service_id].id
        client.require(service_id)
        budgets, configured = client.budgets, components.settings
        intake.enter(
            client.name,
            min(budgets.concurrency, configured.concurrent_calls),
            min(budgets.calls_per_second, configured.calls_per_second),
        )
        try:
            body = await intake.body(request.scope["headers"], request.receive)
        finally:
            intake.leave(client.name)
        old_forms = client.profile.version in ("1.0", "1.1")
        items = read_feedback(body, service_id, client.name, _now(components), old_forms=old_forms)
        try:
            url = components.settings.database_url
            decisions = await asyncio.to_thread(get_decisions, url, decision_ids_of(items))
            matched = match_feedback(items, decisions)
            new = await components.decisions.append_feedback(matched.items)
        except RecordUnavailable as error:
            raise RecordFailed("The feedback could not be stored. Send it again later.") from error
        for item in new:
            components.metrics.feedback(service_id, item.outcome)
            components.governance.remember(decisions[decision_of(item.card) or ""], item)
        for reason in matched.unmatched:
            components.metrics.unmatched_feedback(service_id, reason)
        return Response(b"{}", media_type="application/json")

    return router


def _now(components: ServerComponents) -> int:
    """Microseconds since 1970 by the clock that calls are answered by."""
    as_of = components.settings.as_of
    return time_ns() // 1000 if as_of is None else int(as_of.timestamp() * 1e6)
