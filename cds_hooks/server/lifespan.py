"""What the server does beside its calls from its start to its end, and what it says to its log at the start."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from importlib import import_module
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from msgspec import Struct
from starlette.applications import Starlette

from cards.coverage.store import policies
from cards.fhir_validity import load_fhir_models
from cds_hooks.call.components import ServerComponents
from cds_hooks.call.configuration import InForce, service_approval_counts
from cds_hooks.call.hold_back.restraint import Restraint
from cds_hooks.call.security.trust import Trust
from cds_hooks.call.services import Service
from cds_hooks.evidence.decision_views.follow import Follower
from cds_hooks.evidence.monitor.verifying import keep_verifying
from cds_hooks.evidence.storage.database import kept_connections
from cds_hooks.evidence.storage.decision import RecordUnavailable, plain
from cds_hooks.evidence.storage.queries import newest_number
from cds_hooks.people.governance.acts import READ_SECONDS, keep_reading
from cds_hooks.people.governance.approvals import ApprovalBook
from cds_hooks.people.governance.releases import Releases
from cds_hooks.people.governance.terminology import index_in_force, keep_in_force, use_terminology
from cds_hooks.server.edge import EdgeLimits
from cds_hooks.server.memory import settle_memory
from cds_hooks.server.stores import Stores
from cds_hooks.settings.checks import Networks
from cds_hooks.telemetry.logs import failure_place, log
from cds_hooks.telemetry.metrics import Metrics, MetricsFolder
from fhir.terminology.allergens import unclear_allergen
from fhir.terminology.phrases import groups_in_words

if TYPE_CHECKING:
    from cds_hooks.add_ons.events.runner import Events
    from cds_hooks.evidence.audit.seals import Sealing

_SECONDS_BEFORE_THE_REST = 1.0
_RECORDING_SECONDS = 2.0
_THREADS = 32
_LAG_SECONDS = 0.1
_AGAIN_SECONDS = 1.0
_LOG_EVERY_SECONDS = 10.0
_READING_SECONDS = 5.0
"""So long the first call waits for what was shown before; of a larger record the rest is read beside the calls."""
_LOOK_SECONDS = 0.02
_APPROVAL_SECONDS = 2.0
_LARGEST_SITE = {4: 8, 6: 32}
"""The prefix of the largest network of one site, by version of IP: 10.0.0.0/8, and what a provider of addresses has."""


class Lifespan(Struct, frozen=True):
    """The parts that are opened, kept up to date and closed with the server."""

    components: ServerComponents
    services: dict[str, Service]
    approvals: ApprovalBook | None
    trust: Trust
    edge: EdgeLimits
    counted: MetricsFolder
    sealing: "Sealing | None"
    follower: Follower
    events: "Events | None"
    stores: Stores
    make_pages: Callable[[], Coroutine[None, None, object]]

    @asynccontextmanager
    async def run(self, _: Starlette) -> AsyncIterator[dict[str, object]]:
        """Read the record before the first call, keep everything up to date meanwhile, and close it at the end."""
        settle_memory()
        # asyncio's own has six threads on two processors: a database that hangs would hold them all
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="beside"))
        url = self.components.settings.database_url
        with kept_connections(url):
            for service in self.services.values():
                for model in service.absent_models:
                    log().error("model cannot be served", service=service.id, reason=f"{model.name}: {model.kind}")
            _say_wide_proxies(self.components.settings.proxy_networks)
            with suppress(RecordUnavailable):  # the record says so itself, to every call
                if self.approvals is not None:
                    await asyncio.to_thread(self.approvals.read)
                await asyncio.to_thread(self.components.releases.read, url)
            wanted = index_in_force(self.components.settings, self.components.releases.current)
            if wanted is not None:
                use_terminology(wanted)
            _say_not_approved(self.components.restraint, self.approvals, self.components.releases, self.services)
            self.components.restraint.histories.views = self.follower.views
            beside = [self._keep_at(work) for work in self._beside_the_calls(url)]
            await asyncio.to_thread(self.components.in_force.start)
            beside.append(self._keep_at(partial(_keep_recording, self.components.in_force, url)))
            beside.append(asyncio.create_task(_load_the_rest(self.make_pages)))
            with suppress(RecordUnavailable, TimeoutError):
                async with asyncio.timeout(_READING_SECONDS):
                    await _views_have(self.follower, await asyncio.to_thread(newest_number, url))
            yield {"services": len(self.services)}
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            # decisions of the last seconds name it
            await asyncio.to_thread(self.components.in_force.record, url)
        await self._close()

    def _keep_at(self, work: "_Work") -> asyncio.Task[None]:
        return asyncio.create_task(keep_at(work, self.components.metrics))

    def _beside_the_calls(self, url: str) -> Iterator["_Work"]:
        yield partial(_measure_lag, self.components.metrics)
        yield self.counted.keep_writing
        yield self.edge.keep_sweeping
        yield self.stores.keep_looking
        yield self.components.visits.keep_sweeping
        yield self.follower.keep_following
        yield partial(keep_verifying, self.components.settings, self.follower.views)
        if self.approvals is not None:
            yield partial(keep_reading, self.approvals.read, _APPROVAL_SECONDS)
        if self.sealing is not None:
            yield self.sealing.keep_sealing
        yield partial(keep_reading, partial(self.components.releases.read, url), READ_SECONDS)
        yield partial(
            keep_in_force, self.components.settings, self.components.releases, self.components.computing.between_calls
        )
        yield self.trust.keep_looking
        yield self.components.restraint.keep_looking
        if self.events is not None:
            yield self.events.keep_running
            yield self.events.keep_counting

    async def _close(self) -> None:
        await self.components.restraint.budgets.aclose()
        if self.events is not None:
            self.events.close()
        self.components.computing.close()
        await self.components.decisions.close()
        await self.trust.aclose()
        await asyncio.to_thread(self.components.tracing.close)


_Work = Callable[[], Coroutine[None, None, None]]


async def _views_have(follower: Follower, newest: int) -> None:
    """Return when the views have what is on record up to this number, whichever process takes it."""
    while not await asyncio.to_thread(follower.has_taken, newest):
        await asyncio.sleep(_LOOK_SECONDS)


async def keep_at(work: _Work, metrics: Metrics) -> None:
    """Do the work until it is canceled or at its end; a fault is counted, and it begins again a second later.

    Without this an unexpected fault would end the reading of acts for good, and a rule that is switched off went on.
    Where the record cannot be read its own alert may be silent, as decisions are still written: this one is not.
    """
    logged_at = -inf
    while True:
        try:
            return await work()
        except Exception as error:
            if monotonic() - logged_at >= _LOG_EVERY_SECONDS:
                while isinstance(error, ExceptionGroup):  # of a task group: what failed is inside
                    error = error.exceptions[0]
                reason = {"reason": plain(str(error))} if isinstance(error, RecordUnavailable) else {}
                kind, more = type(error).__name__, failure_place(error) | reason
                log().error("work beside the calls failed and begins again", error_type=kind, **more)
                logged_at = monotonic()
            metrics.count("cds_work_failures")
            metrics.work_failed_at = monotonic()
        await asyncio.sleep(_AGAIN_SECONDS)


async def _measure_lag(metrics: Metrics) -> None:
    """Count how late the event loop is, until canceled: what stops it makes every call and every probe wait."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _LAG_SECONDS
        await asyncio.sleep(_LAG_SECONDS)
        metrics.took("cds_loop_lag_seconds", "", max(0.0, loop.time() - due))


async def _keep_recording(in_force: InForce, url: str) -> None:
    """Record what is in force when it changes, until canceled."""
    while True:
        await asyncio.to_thread(in_force.record, url)
        await asyncio.sleep(_RECORDING_SECONDS)


async def _load_the_rest(make_pages: Callable[[], Coroutine[None, None, object]]) -> None:
    """Load what not every call needs, soon after the start: no first answer waits for it, and no later one is stopped.

    The models that suggestions are checked with take 0.1 to 0.3 s, the phrases for conditions 0.3 s, what reads from
    FHIR servers 0.1, the spelling of allergens 0.05, the answers of payers 0.04, and the pages, of which /metrics is
    one, 0.3. A call that needs one of them before loads it itself, and meanwhile the event loop stands still.
    """
    await asyncio.sleep(_SECONDS_BEFORE_THE_REST)
    phrases, spelling = partial(groups_in_words, "pain"), partial(unclear_allergen, "pain")
    for load in (load_fhir_models, phrases, spelling, _prepare_connections, _prepare_payers):
        with _said("a part cannot be loaded"):
            await asyncio.to_thread(load)
    with _said("the pages cannot be made"):
        await make_pages()
    gc.freeze()  # as settle_memory: they live as long as the process


@contextmanager
def _said(event: str) -> Iterator[None]:
    """Log a fault and go on: whoever opens what is broken is told so, and the operator at the start."""
    try:
        yield
    except Exception as error:
        log().error(event, error_type=type(error).__name__, **failure_place(error))


def _prepare_connections() -> None:
    from cds_hooks.call.security.outbound import prepare_connections

    prepare_connections()


def _prepare_payers() -> None:
    import_module("cds_hooks.call.services._coverage")
    policies()


def _say_wide_proxies(networks: Networks) -> None:
    for network in networks:
        if network.prefixlen < _LARGEST_SITE[network.version]:
            log().warning("anybody can be a trusted proxy", reason=str(network))


def _say_not_approved(
    restraint: Restraint, approvals: ApprovalBook | None, releases: Releases, services: Mapping[str, Service]
) -> None:
    rules = restraint.approval_counts()
    if rules is not None and rules["not_approved"]:
        log().warning("rules are not approved and run in shadow", count=rules["not_approved"], reason="not-approved")
    if approvals is None:
        return
    declared = service_approval_counts(services, restraint)
    if declared is not None and (waiting := declared["not_approved"]):
        log().warning("services show no cards until their words are approved", count=waiting, reason="not-approved")
    if releases.refused:
        log().error("acts in the record do not count", count=len(releases.refused))
    if not approvals.people_log_in:
        log().warning("nobody can approve: CDS_LOGIN is not set", reason="no-login")
    if approvals.refused:
        log().error("approvals in the record do not count", count=len(approvals.refused))
