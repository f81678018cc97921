"""Builds the server from its settings: services, models, record, routes and middleware, each once."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from cds_hooks.call.components import ServerComponents, open_components
from cds_hooks.call.configuration import prompt_versions, served_versions, service_approval_counts
from cds_hooks.call.dialects import find_dialects
from cds_hooks.call.routes.coverage import coverage_routes
from cds_hooks.call.routes.entrance import (
    BodyReader,
    CallBudgets,
    ContainedApp,
    InParts,
    KnownHosts,
    ProtocolCors,
    RelativeRedirects,
    ReportIntake,
    answer_hook_error,
    answer_http_error,
)
from cds_hooks.call.routes.feedback import outcome_routes, protocol_routes
from cds_hooks.call.routes.health import health_routes
from cds_hooks.call.routes.hooks import HookRoute
from cds_hooks.call.routes.summaries import summary_routes
from cds_hooks.call.security import open_trust
from cds_hooks.call.security.certificates import authorities_of, ending_certificate
from cds_hooks.call.security.trust import RegistrableNames, Trust, development_client
from cds_hooks.call.services import Service, by_address, every_service, services_for, versions_for
from cds_hooks.errors import HookError
from cds_hooks.evidence.record_views import open_follower
from cds_hooks.evidence.storage.content import use_site_keys
from cds_hooks.evidence.storage.decision import new_decision_id
from cds_hooks.people.governance.approvals import ApprovalBook, approvals_of
from cds_hooks.people.governance.terminology import index_in_force
from cds_hooks.server.edge import EdgeLimits, connections_within
from cds_hooks.server.lifespan import Lifespan
from cds_hooks.server.stores import Stores
from cds_hooks.settings import Settings, settings
from cds_hooks.settings.packages import use_packages, use_rules_of_site
from cds_hooks.telemetry.logs import configure_logs
from cds_hooks.telemetry.metrics import MetricsFolder
from fhir.terminology.country import use_country
from models_onnx.equations.declaration import find_equations
from models_onnx.packages import packages

if TYPE_CHECKING:
    from cds_hooks.add_ons.events.runner import Events
    from cds_hooks.evidence.audit.seals import Sealing


def create_app(configured: Settings | None = None) -> ASGIApp:
    """Return the server as an ASGI app: services found, models loaded, record open before the first call is taken."""
    configured = configured or settings()
    configure_logs(configured.log_level)
    use_site_keys(configured)
    use_country(configured.country)
    use_rules_of_site(configured.site_rules)
    use_packages(configured.package_names)
    _refuse_wrong_parts()
    services = services_for(configured)
    addresses = by_address(services)
    versions = versions_for(configured, services)
    trust = _open_trust(configured, services)
    approvals = None if trust.development else approvals_of(configured)
    served = served_versions(services, versions)
    components = open_components(configured, services, trust, approvals, versions, served)
    sealing = _sealing(configured)
    counted = _counted(components, services, sealing, approvals, trust)
    trust.count_outbound_with(partial(components.metrics.count, "cds_outbound"))
    edge = EdgeLimits(
        connections_within(configured.connections),
        configured.head_seconds,
        configured.answer_seconds,
        partial(components.metrics.count, "cds_edge_refused"),
        accepted=partial(components.metrics.count, "cds_connections"),
        new_id=new_decision_id,
    )
    follower = open_follower(configured)
    events = _events(configured, components, services, trust)
    seals_fail = lambda: sealing is not None and sealing.is_failing  # noqa: E731
    index = lambda: index_in_force(configured, components.releases.current)  # noqa: E731
    followed = {
        "CDS_RULES_FILE": lambda: components.restraint.refused,
        "key-sets": lambda: trust.key_set_fault,
        "authorities": lambda: ending_certificate(authorities_of(trust.clients)),
        "acts": lambda: components.releases.lost,
    }
    stores = Stores(configured, components.metrics, seals_fail, events, index, followed)
    components.metrics.stores_out = lambda: stores.out

    def pages() -> ASGIApp:
        """Import the pages and put them together."""
        from cds_hooks.people.pages.application import page_application
        from cds_hooks.people.pages.server import PageServer
        from cds_hooks.people.web.site import templates

        templates()  # loads their library
        with_prompts = {**served, **prompt_versions(configured)}
        parts = (configured, services, components, approvals, with_prompts, trust, counted)
        return page_application(PageServer(*parts, app=lambda: server))

    late = LatePages(pages)
    of_server = (components, services, approvals, trust, edge, counted, sealing, follower, events, stores)
    lifespan = Lifespan(*of_server, late.made)
    budgets, bodies = CallBudgets(), BodyReader(configured.max_body_bytes, configured.body_seconds)
    intake = ReportIntake(configured, trust, budgets, bodies)
    routes = [
        Route("/cds-services/{service_id}", HookRoute(addresses, components, trust, budgets, bodies)),
        *protocol_routes(services, by_address(every_service(services)), components, intake),
        *coverage_routes(components, intake),
        *outcome_routes(services, components, intake),
        *(summary_routes(configured, intake) if configured.text_file is not None else ()),
        *health_routes(services, components, trust, counted),
        *(events.routes(bodies) if events is not None else ()),
    ]
    handlers = {HookError: answer_hook_error(components.metrics), HTTPException: answer_http_error}
    application = Starlette(
        routes=routes, middleware=_middleware(configured, trust), exception_handlers=handlers, lifespan=lifespan.run
    )

    application.router.redirect_slashes = False  # the pages have redirects of their own
    application.router.default = RelativeRedirects(InParts(late))
    server = ContainedApp(application, components.metrics, edge)
    return server


def _refuse_wrong_parts() -> None:
    """DeclarationError where a part of a package from outside cannot be used, also one that is only loaded later."""
    if packages():
        from cds_hooks.people.pages.doors import all_doors

        find_equations()
        find_dialects()
        all_doors()


def _open_trust(configured: Settings, services: Mapping[str, Service]) -> Trust:
    hook_names = {hook for service in services.values() for hook in service.answers}
    return open_trust(
        configured.trust_file,
        configured.public_url,
        configured.database_url,
        registrable=RegistrableNames(every_service(services), hook_names),
        development=development_client(configured),
    )


def _events(
    configured: Settings, components: ServerComponents, services: Mapping[str, Service], trust: Trust
) -> "Events | None":
    """Return the feeds that the site declares; nothing of them is imported where it declares none."""
    if configured.events_file is None:
        return None
    from cds_hooks.add_ons.events.runner import Events

    return Events(configured, components, every_service(services), trust)


def _sealing(configured: Settings) -> "Sealing | None":
    """Return what seals the record; nothing of it is imported where the site has no key for it."""
    if configured.seal_key is None:
        return None
    from cds_hooks.evidence.audit.seals import Sealing

    return Sealing(configured)


def _in_force(
    components: ServerComponents, services: Mapping[str, Service], approvals: ApprovalBook | None
) -> list[tuple[str, int]]:
    """Return what people have signed, as the gauge `cds_in_force` has it."""
    rules, declared = components.restraint.approval_counts(), service_approval_counts(services, components.restraint)
    kinds = (("rules", rules), ("services", declared))
    counts = [(f"{kind}-{name.replace('_', '-')}", n) for kind, of in kinds if of is not None for name, n in of.items()]
    switches = sum(state.state in ("off", "shadow") for state in components.releases.current.states.values())
    pending = len(components.releases.waiting_for_second()) if approvals is not None else 0
    return [*counts, ("switches", switches), ("pending", pending)]


def _counted(
    components: ServerComponents,
    services: Mapping[str, Service],
    sealing: "Sealing | None",
    approvals: ApprovalBook | None,
    trust: Trust,
) -> MetricsFolder:
    """Return the page of the metrics, which asks the parts of this worker when it is made."""
    metrics = components.metrics
    metrics.record_failures = lambda: components.decisions.health.failures
    metrics.models_out = [absent_model.name for service in services.values() for absent_model in service.absent_models]
    metrics.trust_refused_at = lambda: trust.state.refused_at if trust.state is not None else 0.0
    metrics.in_force = lambda: _in_force(components, services, approvals)
    if sealing is not None:
        metrics.seal_failures = lambda: sealing.failures
        metrics.sealed_at = lambda: sealing.sealed_at
        metrics.record_cut = lambda: sealing.cut
    return MetricsFolder(metrics, components.settings.metrics_dir)


def _middleware(configured: Settings, trust: Trust) -> list[Middleware]:
    """Return what each request passes, from the outside in.

    CDS Hooks 2.0.1 asks for CORS so that clients in a browser can call; no cookies are used.
    """
    cors = Middleware(
        ProtocolCors,
        allow_origins=configured.origins if trust.development else trust.origins,
        allow_origin_regex=configured.origin_pattern if trust.development else None,
        allow_methods=("GET", "POST"),
        allow_headers=("authorization", "content-type"),
        max_age=600,
    )
    hosts = [Middleware(KnownHosts, public_url=configured.public_url)] if trust.development else []
    return [*hosts, cors]


class LatePages:
    """Passes each request on to the pages, which are made soon after the start or by the first request."""

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        """`make` imports and makes the pages; it is called once, in a thread."""
        self._make = make
        self._pages: ASGIApp | None = None
        self._making = asyncio.Lock()

    async def made(self) -> ASGIApp:
        """Return the pages."""
        async with self._making:
            if self._pages is None:
                self._pages = await asyncio.to_thread(self._make)
            return self._pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self.made())(scope, receive, send)
