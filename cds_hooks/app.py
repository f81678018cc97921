"""Builds the server from its settings: services, models, record, routes and middleware, each once."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from time import time

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from cds_hooks.answer.call import ServerComponents
from cds_hooks.audit.seals import Sealing
from cds_hooks.computing import Computing
from cds_hooks.configuration import InForce, content_in_force, served_versions
from cds_hooks.edge import EdgeLimits, connections_within
from cds_hooks.errors import HookError
from cds_hooks.hold_back.acts import Key
from cds_hooks.hold_back.approvals import ApprovalBook, ModelApprovals
from cds_hooks.hold_back.auto_pause import Pausing
from cds_hooks.hold_back.claims import WorkerClaims, claims_between_workers
from cds_hooks.hold_back.governance import Governance
from cds_hooks.hold_back.releases import Releases
from cds_hooks.lifespan import Lifespan
from cds_hooks.logs import configure_logs
from cds_hooks.metrics import Metrics, MetricsFolder
from cds_hooks.model_versions import ModelVersions
from cds_hooks.pages.late import LatePages
from cds_hooks.prefetch.fetch import PrefetchFetcher
from cds_hooks.routes.entrance import Entrance, HostCheck, RelativeRedirects
from cds_hooks.routes.failures import answer_hook_error, answer_http_error, contain_failures
from cds_hooks.routes.feedback import protocol_routes
from cds_hooks.routes.health import health_routes
from cds_hooks.routes.hooks import HookRoute, RequestLimits
from cds_hooks.routes.outcomes import outcome_routes
from cds_hooks.security import RegistrableNames, Trust, open_trust
from cds_hooks.security.client import development_client
from cds_hooks.services import Service, by_address, services_for, versions_for
from cds_hooks.services._model import Predictor
from cds_hooks.settings import Settings, settings
from cds_hooks.storage.content import open_user_names, use_site_keys
from cds_hooks.storage.decision import new_decision_id
from cds_hooks.storage.opening import open_decision_log
from cds_hooks.tracing import open_tracing
from cds_hooks.trusted_models import AbsentModel

_YEAR_DAYS = 365.25


def create_app(configured: Settings | None = None) -> ASGIApp:
    """The server as an ASGI app: services found, models loaded, the record open, before the first call is taken."""
    configured = configured or settings()
    configure_logs(configured.log_level)
    use_site_keys(configured)
    services = services_for(configured)
    addresses = by_address(services)
    versions = versions_for(configured, services)
    trust = _open_trust(configured, services)
    approvals = None if trust.development else ApprovalBook(configured.database_url, configured.people_file)
    claims = claims_between_workers(configured)
    served = served_versions(services, versions)
    components = _components(configured, services, trust, approvals, claims, versions, served)
    sealing = Sealing(configured)
    counted = _counted(components, services, sealing)
    trust.outbound.count_with(components.metrics.outbound)
    edge = _edge(configured, components.metrics)
    pausing = Pausing(configured, components.governance.acceptance, components.releases)
    lifespan = Lifespan(components, services, approvals, trust, edge, counted, sealing, pausing, claims)
    intake = RequestLimits(configured.max_body_bytes, configured.body_seconds)

    routes = [
        *protocol_routes(services, addresses, components, intake, trust),
        *outcome_routes(services, components, intake, trust),
        *health_routes(services, components),
    ]
    application = Starlette(routes=routes, lifespan=lifespan.run)

    def make_pages() -> ASGIApp:
        from cds_hooks.pages.application import page_application
        from cds_hooks.pages.server import PageServer

        return page_application(
            PageServer(configured, services, components, approvals, served, trust, counted, lambda: server)
        )

    application.router.default = LatePages(make_pages)
    application.add_middleware(RelativeRedirects)
    application.add_exception_handler(HookError, answer_hook_error(components.metrics))
    application.add_exception_handler(HTTPException, answer_http_error)

    # Nothing that fails in there comes out in words.
    guarded = contain_failures(application)

    # From the inside out.
    hooks: ASGIApp = HookRoute(guarded, addresses, components, intake, trust)
    hosts = HostCheck(configured.public_url) if trust.development else None
    server = Entrance(hooks, _for_browsers(hooks, configured, trust), guarded, edge, hosts)
    return server


def _open_trust(configured: Settings, services: Mapping[str, Service]) -> Trust:
    hook_names = {hook for service in services.values() for hook in service.answers}
    return open_trust(
        configured.trust_file,
        configured.public_url,
        configured.database_url,
        known=RegistrableNames(services, hook_names),
        development=development_client(configured),
    )


def _components(
    configured: Settings,
    services: dict[str, Service],
    trust: Trust,
    approvals: ApprovalBook | None,
    claims: WorkerClaims | None,
    versions: ModelVersions,
    served: Mapping[Key, str],
) -> ServerComponents:
    """What every call uses."""
    releases = Releases((lambda: approvals.people) if approvals is not None else None, served)
    governance = Governance(
        configured.rules_file,
        needs_approval=not trust.development,
        approvals=approvals,
        now=_clock_of(configured),
        rest_days=configured.shown_rest_days,
        claims=claims,
        horizons=_horizon_days(services),
        resumed=lambda: releases.resumed,
    )
    return ServerComponents(
        configured,
        open_decision_log(configured.database_url),
        Metrics(),
        Computing(configured.call_seconds),
        Predictor().predict,
        PrefetchFetcher(trust, configured.fetch_milliseconds),
        governance,
        ModelApprovals(configured.model_state, approvals, lambda: (configured.as_of or datetime.now(UTC)).date()),
        InForce(lambda: content_in_force(configured, services, versions, governance.site), governance),
        releases,
        versions,
        open_user_names(configured.record_user, configured.user_keys),
        open_tracing(configured),
    )


def _counted(components: ServerComponents, services: Mapping[str, Service], sealing: Sealing) -> MetricsFolder:
    """The page of the metrics, which asks the parts of this worker when it is made."""
    metrics = components.metrics
    metrics.record_failures = lambda: components.decisions.health.failures
    metrics.models_out = [absent_model.name for service in services.values() for absent_model in service.absent_models]
    metrics.paused = lambda: list(components.releases.current.paused)
    metrics.seal_failures = lambda: sealing.failures
    metrics.sealed_at = lambda: sealing.sealed_at
    return MetricsFolder(metrics, components.settings.metrics_dir)


def _edge(configured: Settings, metrics: Metrics) -> EdgeLimits:
    return EdgeLimits(
        connections_within(configured.connections),
        configured.head_seconds,
        configured.answer_seconds,
        metrics.edge_refused,
        accepted=metrics.connection_accepted,
        new_id=new_decision_id,
    )


def _for_browsers(hooks: ASGIApp, configured: Settings, trust: Trust) -> ASGIApp:
    """CDS Hooks 2.0.1 asks for CORS so that clients in a browser can call; no cookies are used."""
    return CORSMiddleware(
        hooks,
        allow_origins=configured.origins if trust.development else trust.origins,
        allow_origin_regex=configured.origin_pattern if trust.development else None,
        allow_methods=("GET", "POST"),
        allow_headers=("authorization", "content-type"),
        max_age=600,
    )


def _clock_of(configured: Settings) -> Callable[[], float]:
    """Epoch seconds by the clock that calls are answered by."""
    as_of = configured.as_of
    return time if as_of is None else as_of.timestamp


def _horizon_days(services: dict[str, Service]) -> dict[str, float]:
    """Over how many days each model looks ahead, by its id."""
    loaded = (model for service in services.values() for model in service.models if not isinstance(model, AbsentModel))
    outcomes = {model.manifest.id: model.manifest.outcome for model in loaded}
    return {name: outcome.horizon_days or outcome.horizon_years * _YEAR_DAYS for name, outcome in outcomes.items()}
