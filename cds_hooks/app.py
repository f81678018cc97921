"""Builds the server from its settings: services, models, record, routes and middleware, each once.

Keeps the memory that calls need over and over, instead of asking the kernel for it again at each large call.
"""

import cds_hooks.without_rich  # noqa: F401  # isort: skip  # before anything that loads httpx or structlog

import asyncio
import ctypes
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from importlib import import_module
from time import time

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from cards.validation_cache import load_fhir_models
from cds_hooks.access.sessions import Lifetimes, Sessions
from cds_hooks.access.store import AccessStore
from cds_hooks.approvals import ApprovalBook, ModelApprovals
from cds_hooks.audit.seals import Sealing
from cds_hooks.call import ServerComponents
from cds_hooks.computing import Computing
from cds_hooks.edge import EdgeLimits, connections_within
from cds_hooks.errors import HookError
from cds_hooks.governance import Governance
from cds_hooks.governance.one_card import claims_between_workers
from cds_hooks.governance.pausing import Pausing
from cds_hooks.governance.releases import Releases
from cds_hooks.in_force import InForce, content_in_force, served_versions
from cds_hooks.late_pages import LatePages, PageNeeds
from cds_hooks.logs import configure_logs, log
from cds_hooks.metrics import Metrics, MetricsFolder
from cds_hooks.prefetch.fetch import PrefetchFetcher
from cds_hooks.routes.entrance import Entrance, HostCheck, RelativeRedirects
from cds_hooks.routes.failures import answer_hook_error, contain_failures
from cds_hooks.routes.feedback import protocol_routes
from cds_hooks.routes.gate import Gate
from cds_hooks.routes.hooks import HookRoute, RequestLimits
from cds_hooks.routes.operations import OperatorAccess, health_routes
from cds_hooks.routes.outcomes import outcome_routes
from cds_hooks.routes.page_answers import answer_http_error
from cds_hooks.security import RegistrableNames, open_trust
from cds_hooks.security.client import development_client
from cds_hooks.services import Service, ValidationSessions, by_address, services_for, versions_for
from cds_hooks.services._model import Predictor
from cds_hooks.settings import Settings, settings
from cds_hooks.storage.content import open_user_names, use_site_keys
from cds_hooks.storage.database import kept_connections
from cds_hooks.storage.decision import RecordUnavailable, new_decision_id
from cds_hooks.storage.opening import open_decision_log
from cds_hooks.tracing import open_tracing
from cds_hooks.trusted_models import AbsentModel
from cds_hooks.web.numbers import format_time
from cds_hooks.web.site import Site

# mallopt(3): free memory at the end of the heap above the first is given back to the kernel; blocks above the second
# are mapped and unmapped each by itself (32 MiB is the most that glibc allows).
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_MOST_FREE_BYTES = 64 * 1024 * 1024
_MOST_IN_HEAP_BYTES = 32 * 1024 * 1024
_OBJECTS_BEFORE_COLLECTION = 20_000


def settle_memory() -> None:
    """Called once, when everything that lives as long as the process is there.

    What was made so far is left out of garbage collection for good. What of it is garbage stays too: collecting it
    first takes 0.2 s, and it is little. Freed memory up to 64 MiB is kept: without that a call of 683 KB has 50 to 200
    page faults, which are 5 to 8 % of its time (docs/decisions/0006).

    All threads share one heap: of their own ones each keeps what it freed, 3 MB together soon after the start.

    A call leaves no cycles, so the collector looks seldom: with Python's 700 objects it walked through the calls that
    were under way, for 3 to 4 % of the time, half a millisecond each time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # there is none without glibc
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _MOST_FREE_BYTES)
        mallopt(_MMAP_THRESHOLD, _MOST_IN_HEAP_BYTES)
        mallopt(_ARENA_MAX, 1)
    gc.freeze()
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)
    gc.enable()


_SECONDS_BEFORE_THE_REST = 1.0
_RECORDING_SECONDS = 2.0
_YEAR_DAYS = 365.25
_READING_SECONDS = 5.0
"""So long the first call waits for what was shown before; of a larger record the rest is read beside the calls."""


def create_app(configured: Settings | None = None) -> ASGIApp:
    """The server as an ASGI app: services found, models loaded, the record open, before the first call is taken."""
    configured = configured or settings()
    configure_logs(configured.log_level)
    use_site_keys(configured)
    services = services_for(configured)
    addresses = by_address(services)
    versions = versions_for(configured, services)
    hook_names = {hook for service in services.values() for hook in service.answers}
    trust = open_trust(
        configured.trust_file,
        configured.public_url,
        configured.database_url,
        known=RegistrableNames(services, hook_names),
        development=development_client(configured),
    )
    approvals = None if trust.development else ApprovalBook(configured.database_url, configured.people_file)
    claims = claims_between_workers(configured)
    served = served_versions(services, versions)
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
    components = ServerComponents(
        configured,
        open_decision_log(configured.database_url),
        Metrics(),
        Computing(Predictor().predict, configured.call_seconds),
        PrefetchFetcher(trust, configured.fetch_milliseconds),
        governance,
        ValidationSessions(),
        ModelApprovals(configured.model_state, approvals, lambda: (configured.as_of or datetime.now(UTC)).date()),
        InForce(lambda: content_in_force(configured, services, versions, governance.site), governance),
        releases,
        versions,
        open_user_names(configured.record_user, configured.user_keys),
        open_tracing(configured),
    )
    trust.outbound.count_with(components.metrics.outbound)
    edge = EdgeLimits(
        connections_within(configured.connections),
        configured.head_seconds,
        configured.answer_seconds,
        components.metrics.edge_refused,
        accepted=components.metrics.connection_accepted,
        new_id=new_decision_id,
    )
    sealing = Sealing(configured)
    pausing = Pausing(configured, governance.acceptance, releases)
    visitors = OperatorAccess(configured)
    store = AccessStore(configured.database_url)
    lifetimes = Lifetimes(60 * configured.login_idle_minutes, 3600 * configured.login_hours)
    sessions = Sessions(store, lifetimes, secure=configured.public_url.startswith("https:"))
    clock = format_time(configured.as_of) if configured.as_of else ""
    site = Site(configured.trust_file is None, configured.alert_share, clock=clock)
    components.metrics.record_failures = lambda: components.decisions.health.failures
    components.metrics.models_out = [each.name for one in services.values() for each in one.absent_models]
    components.metrics.paused = lambda: list(releases.current.paused)
    components.metrics.seal_failures = lambda: sealing.failures
    components.metrics.sealed_at = lambda: sealing.sealed_at
    counted = MetricsFolder(components.metrics, configured.metrics_dir)
    intake = RequestLimits(configured.max_body_bytes, configured.body_seconds)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, object]]:
        settle_memory()
        kept = ExitStack()
        kept.enter_context(kept_connections(configured.database_url))
        _say_models_out(services)
        with suppress(RecordUnavailable):  # the record says so itself, to every call
            await asyncio.to_thread(components.governance.read_answers, configured.database_url)
            await asyncio.to_thread(components.releases.read, configured.database_url)
        _say_not_approved(components.governance, approvals, components.releases)
        beside = [asyncio.create_task(counted.keep_writing()), asyncio.create_task(edge.keep_sweeping())]
        beside.append(asyncio.create_task(components.governance.keep_reading(configured.database_url)))
        beside.append(asyncio.create_task(sealing.keep_sealing()))
        beside.append(asyncio.create_task(components.releases.keep_reading(configured.database_url)))
        beside.append(asyncio.create_task(trust.keep_looking()))
        beside.append(asyncio.create_task(pausing.keep_looking()))
        await asyncio.to_thread(components.in_force.start)
        beside.append(asyncio.create_task(_keep_recording(components.in_force, configured.database_url)))
        beside.append(asyncio.create_task(_load_the_rest()))
        await components.governance.wait_until_read(_READING_SECONDS)
        yield {"services": len(services)}
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        kept.close()
        if claims is not None:
            await claims.aclose()
        components.computing.close()
        await components.decisions.close()
        await trust.aclose()
        await asyncio.to_thread(components.tracing.close)

    routes = [
        *protocol_routes(services, addresses, components, intake, trust),
        *outcome_routes(services, components, intake, trust),
        *health_routes(services, components, counted, visitors),
    ]
    rest = Starlette(routes=routes, lifespan=lifespan)
    around = PageNeeds(
        configured,
        services,
        components,
        visitors,
        site,
        approvals,
        served,
        trust,
        store,
        sessions,
        counted,
        lambda: whole,
    )
    rest.router.default = LatePages(around)
    rest.add_middleware(RelativeRedirects)
    rest.add_exception_handler(HookError, answer_hook_error(components.metrics))
    rest.add_exception_handler(HTTPException, answer_http_error(site))

    # Nothing that fails in there comes out in words.
    others = contain_failures(rest)

    # From the inside out. CDS Hooks 2.0.1 asks for CORS so that clients in a browser can call; no cookies are used.
    hooks: ASGIApp = HookRoute(others, addresses, components, intake, trust)
    protocol: ASGIApp = CORSMiddleware(
        hooks,
        allow_origins=configured.origins if trust.development else trust.origins,
        allow_origin_regex=configured.origin_pattern if trust.development else None,
        allow_methods=("GET", "POST"),
        allow_headers=("authorization", "content-type"),
        max_age=600,
    )
    pages = Gate(others, configured, sessions, visitors, site)
    whole = Entrance(hooks, protocol, pages, edge, HostCheck(configured.public_url) if trust.development else None)
    return whole


async def _keep_recording(in_force: InForce, url: str) -> None:
    """What is in force goes into the record when it changes, until cancelled."""
    while True:
        await asyncio.to_thread(in_force.record, url)
        await asyncio.sleep(_RECORDING_SECONDS)


async def _load_the_rest() -> None:
    """Loads what not every call needs, soon after the start: no first answer waits for it.

    The models that suggestions are checked with take 0.1 to 0.3 s, what reads from FHIR servers 0.1 s. A call that
    needs one of them before loads it itself.
    """
    await asyncio.sleep(_SECONDS_BEFORE_THE_REST)
    await asyncio.to_thread(import_module, "cds_hooks.services._vaccines")
    await asyncio.to_thread(load_fhir_models)
    await asyncio.to_thread(_prepare_connections)
    gc.freeze()  # as settle_memory: they live as long as the process


def _prepare_connections() -> None:
    from cds_hooks.security.connections import prepare_connections

    prepare_connections()


def _say_models_out(services: dict[str, Service]) -> None:
    for service in services.values():
        for model in service.absent_models:
            log().error("model cannot be served", service=service.id, reason=f"{model.name}: {model.kind}")


def _say_not_approved(governance: Governance, approvals: ApprovalBook | None, releases: Releases) -> None:
    rules = governance.approval_counts()
    if rules is not None and rules["not_approved"]:
        log().warning("rules are not approved and run in shadow", count=rules["not_approved"], reason="not-approved")
    if approvals is None:
        return
    if releases.refused:
        log().error("acts in the record do not count", count=len(releases.refused))
    if not approvals.asks_people:
        log().warning("nobody can approve: CDS_PEOPLE_FILE is not set", reason="no-people")
    if approvals.refused:
        log().error("approvals in the record do not count", count=len(approvals.refused))


def _clock_of(configured: Settings) -> Callable[[], float]:
    """Epoch seconds by the clock that calls are answered by."""
    as_of = configured.as_of
    return time if as_of is None else as_of.timestamp


def _horizon_days(services: dict[str, Service]) -> dict[str, float]:
    """Over how many days each model looks ahead, by its id."""
    loaded = (model for one in services.values() for model in one.models if not isinstance(model, AbsentModel))
    outcomes = {model.manifest.id: model.manifest.outcome for model in loaded}
    return {name: each.horizon_days or each.horizon_years * _YEAR_DAYS for name, each in outcomes.items()}
