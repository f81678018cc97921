"""The composition root: settings → parts → the ASGI app. The middleware list is the onion."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from cards.suggest import prepare as prepare_suggestions
from cds_hooks.dialects import DEVELOPMENT, profile_for
from cds_hooks.errors import HookError, MethodNotAllowed, NotFound, operation_outcome
from cds_hooks.fetching import Fetching
from cds_hooks.governance import Governance
from cds_hooks.invoke import Parts
from cds_hooks.logs import configure_logs, log
from cds_hooks.metrics import Metrics
from cds_hooks.metrics_folder import MetricsFolder
from cds_hooks.predictor import Predictor
from cds_hooks.reuse import Reuse
from cds_hooks.routes.contained import contained
from cds_hooks.routes.health import health_routes
from cds_hooks.routes.hooks import HookRoute
from cds_hooks.routes.intake import Intake
from cds_hooks.routes.pages import page_routes
from cds_hooks.routes.protocol import protocol_routes
from cds_hooks.routes.visitors import Visitors
from cds_hooks.security import ANONYMOUS, Known, TrustedClient, Untrusted, open_trust
from cds_hooks.service import services_with
from cds_hooks.settings import Settings, settings
from cds_hooks.storage.log import RecordUnavailable
from cds_hooks.storage.opening import open_decision_log


def create_app(configured: Settings | None = None) -> ASGIApp:
    """The server as an ASGI app: services found, models loaded, the record open, before the first call is taken."""
    configured = configured or settings()
    configure_logs(configured.log_level)
    services = services_with(configured.hooks_file)
    hook_names = {hook for service in services.values() for hook in service.answers}
    trust = open_trust(
        configured.trust_file,
        configured.public_url,
        configured.database_url,
        known=Known(services, hook_names),
        development=_development_client(configured),
    )
    parts = Parts(
        configured,
        open_decision_log(configured.database_url),
        Metrics(),
        Predictor(),
        Fetching(trust, configured.fetch_milliseconds),
        Governance(configured.rules_file, needs_approval=not trust.development),
        Reuse(),
    )
    visitors = Visitors(configured)
    counted = MetricsFolder(parts.metrics, configured.metrics_dir)
    intake = Intake(configured.max_body_bytes, configured.body_seconds)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        log().info("serving", services=len(services))
        prepare_suggestions()  # fhir.resources loads now and not with the first corrected draft
        # What was made so far lives as long as the process; the collector need not walk it again and again.
        gc.collect()
        gc.freeze()
        with suppress(RecordUnavailable):  # the record says so itself, to every call
            await asyncio.to_thread(parts.governance.read_answers, configured.database_url)
        beside = [asyncio.create_task(counted.keep_writing())]
        beside.append(asyncio.create_task(parts.governance.keep_reading(configured.database_url)))
        yield
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await parts.decisions.close()
        await trust.aclose()

    rest = FastAPI(title="CDS Hooks server", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    rest.include_router(protocol_routes(services, parts, intake, trust))
    rest.include_router(health_routes(services, parts, counted, visitors))
    rest.include_router(page_routes(configured, services, parts.governance, visitors))
    rest.add_exception_handler(HookError, _hook_error(parts.metrics))
    rest.add_exception_handler(HTTPException, _http_error)

    # Nothing that fails in there comes out in words.
    others = contained(rest)

    # From the inside out. CDS Hooks 2.0.1 asks for CORS so that clients in a browser can call; no cookies are used.
    hooks: ASGIApp = HookRoute(others, services, parts, intake, trust)
    protocol: ASGIApp = CORSMiddleware(
        hooks,
        allow_origins=configured.origins if trust.development else trust.origins,
        allow_methods=("GET", "POST"),
        allow_headers=("authorization", "content-type"),
        max_age=600,
    )
    return _Split(hooks, protocol, others)


def _development_client(configured: Settings) -> TrustedClient:
    profile = profile_for(
        DEVELOPMENT.name,
        configured.dialect,
        version=configured.protocol_version,
        link_hosts=configured.hosts,
        action_selection_behavior=configured.action_selection_behavior,
    )
    return replace(ANONYMOUS, profile=profile)


class _Split:
    """Calls of the protocol apart from everything else, and those from browsers through CORS.

    Other origins have no business on the pages, and a call without an origin needs no headers for one.
    """

    def __init__(self, hooks: ASGIApp, browsers: ASGIApp, rest: ASGIApp) -> None:
        self.hooks = hooks
        self.browsers = browsers
        self.rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self.rest
        if scope.get("path", "").startswith("/cds-services"):
            app = self.browsers if b"origin" in dict(scope["headers"]) else self.hooks
        await app(scope, receive, send)


def _hook_error(metrics: Metrics) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(_: Request, error: Exception) -> Response:
        assert isinstance(error, HookError)  # noqa: S101 - registered for this class
        if isinstance(error, Untrusted):
            metrics.untrusted(error.reason)
            log().info("call refused", status=error.status, reason=error.reason, client=error.client)
        headers = {name.decode(): value.decode() for name, value in error.headers}
        return Response(operation_outcome(error), error.status, headers, media_type="application/json")

    return answer


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    if error.status_code == MethodNotAllowed.status:
        known: HookError = MethodNotAllowed("This address does not answer that method.")
    else:
        known = NotFound("There is nothing at this address; GET /cds-services lists the services.")
    return Response(operation_outcome(known), known.status, error.headers, media_type="application/json")
