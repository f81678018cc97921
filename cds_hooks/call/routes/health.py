"""The addresses /livez and /readyz: whether the process lives, and whether it can answer."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from time import time
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cards.dated import ending
from cds_hooks.call.components import ServerComponents
from cds_hooks.call.configuration import service_approval_counts
from cds_hooks.call.security.trust import Trust
from cds_hooks.call.services import Advisor, Service
from cds_hooks.call.trusted_models import AbsentModel
from cds_hooks.errors import ReplayStoreFailed
from cds_hooks.evidence.storage.database import database_error_reason
from cds_hooks.evidence.storage.decision import RecordUnavailable, plain
from cds_hooks.telemetry.logs import log
from cds_hooks.telemetry.metrics import MetricsFolder
from cds_hooks.telemetry.metrics.counts import minutes_of, silent_fhir_servers

RECORD_AWAY: Final = "the decisions cannot be recorded"
_NO_ANSWER: Final = "no answer in time"
DRAINING: Final = "draining"
"""Member of the ASGI state: whether this process is about to end; `server.py` sets it."""


def models_out(services: Mapping[str, Service]) -> list[dict[str, object]]:
    """Return the models whose files cannot be served, each with the reason and what its services answer."""
    return [
        {
            "model": model.name,
            "service": service.id,
            "reason": model.reason,
            "answers": _answers_without(model, advisor, service),
        }
        for service in services.values()
        for advisor in service.advisors
        for model in advisor.absent_models
    ]


def _answers_without(model: AbsentModel, advisor: Advisor, service: Service) -> str:
    if model is not advisor.models[0]:
        return "without this model"
    return "503" if len(service.advisors) == 1 else f"without {advisor.id}"


def _one_at_a_time(check: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """Return those who ask while it is being checked get what that check finds: many who ask cost what one does."""
    running: asyncio.Future[None] | None = None

    async def shared() -> None:
        nonlocal running
        if running is None or running.done():
            running = asyncio.ensure_future(check())
        await asyncio.shield(running)

    return shared


async def why_not_ready(
    check: Callable[[], Awaitable[None]], check_tokens: Callable[[], Awaitable[None]], seconds: float | None = None
) -> tuple[str, ...]:
    """Return why no call can be answered, each reason in words; of several faults none hides another.

    The checks are of the record and of the used tokens, and are made at the same time. A store that does not answer
    within so many `seconds` cannot be used.
    """
    reasons = await asyncio.gather(_why_no_record(check, seconds), _why_no_tokens(check_tokens, seconds))
    return tuple(filter(None, reasons))


async def _why_no_record(check: Callable[[], Awaitable[None]], seconds: float | None) -> str:
    try:
        await asyncio.wait_for(check(), seconds)
    except (RecordUnavailable, TimeoutError) as error:
        cause = error.cause if isinstance(error, RecordUnavailable) else _NO_ANSWER
        log().error("not ready", status=503, reason=plain(cause))
        return RECORD_AWAY
    return ""


async def _why_no_tokens(check: Callable[[], Awaitable[None]], seconds: float | None) -> str:
    try:
        await asyncio.wait_for(check(), seconds)
    except (ReplayStoreFailed, TimeoutError) as error:
        cause = database_error_reason(error.__cause__) if isinstance(error.__cause__, Exception) else _NO_ANSWER
        log().error("not ready", status=503, reason=plain(f"used tokens cannot be stored: {cause}"))
        return "the tokens of calls cannot be checked"
    return ""


def health_routes(
    services: dict[str, Service], components: ServerComponents, trust: Trust, counted: MetricsFolder
) -> list[Route]:
    """Return the routes of both."""
    absent = models_out(services)
    check, check_tokens = _one_at_a_time(components.decisions.check), _one_at_a_time(trust.check)

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        # Models are loaded and the record is opened before the first request is taken (app.py); without a record
        # every call is answered 503, and then others should take them.
        if request.scope.get("state", {}).get(DRAINING):
            return JSONResponse({"status": "this server is about to end", "services": len(services)}, 503)
        reasons = await why_not_ready(check, check_tokens)
        faults, is_ready = [*reasons], not reasons
        answer: dict[str, object] = {"services": len(services)}
        if absent:
            faults.append("a model cannot be served")
            answer["models_out"] = absent
        if trust.state is not None and trust.state.problems:
            faults.append("the trust file has mistakes")
            answer["trust_file"] = trust.state.sentence
        if out := [sentence for _, sentence in components.metrics.stores_out()]:
            faults.append("a store or a file cannot be used")
            answer["stores_out"] = out
        if silent := silent_fhir_servers(minutes_of(counted.snapshots().values()), time()):
            faults.append(f"clients whose FHIR server does not answer: {len(silent)}")
        answer = {"status": "; ".join(faults) or "ok", **answer}
        if not is_ready:
            return JSONResponse(answer, 503, {"retry-after": "5"})
        rules = components.restraint.approval_counts()
        today = (components.settings.as_of or datetime.now(UTC)).date()
        if tables := ending(today):
            answer["tables_to_read"] = [table.sentence(today) for table in tables]
        declared = service_approval_counts(services, components.restraint)
        counts = {"rules": rules, "declared_services": declared}
        return JSONResponse(answer | {name: count for name, count in counts.items() if count is not None})

    return [Route("/livez", live), Route("/readyz", ready)]
