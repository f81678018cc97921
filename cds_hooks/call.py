"""One hook call, what is known of it so far, and what is recorded of it; `invoke.py` has the steps that find it out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter, time_ns
from typing import Any, NamedTuple

from msgspec import Raw

from cards.rules.engine.finding import Finding, Silence
from cards.rules.engine.governance import MetFinding
from cds_hooks.computing import Computing
from cds_hooks.configuration import InForce
from cds_hooks.errors import HookError, operation_outcome
from cds_hooks.hold_back.approvals import ModelApprovals
from cds_hooks.hold_back.budgets import Audience
from cds_hooks.hold_back.governance import Governance
from cds_hooks.hold_back.patient_finding import Caller
from cds_hooks.hold_back.releases import Releases
from cds_hooks.hold_back.suppression import Chosen
from cds_hooks.metrics import Metrics
from cds_hooks.model_versions import ModelVersions
from cds_hooks.prefetch.facts import FactsOfCall, write_facts
from cds_hooks.prefetch.fetch import FilledPrefetch, PrefetchFetcher
from cds_hooks.prefetch.kept import KeptRequest
from cds_hooks.prefetch.state import NO_PREFETCH
from cds_hooks.protocol.request import CDSRequest
from cds_hooks.security import TrustedClient
from cds_hooks.services import Advice, Service, ValidationSessions
from cds_hooks.services._model import SiteThresholds, site_thresholds
from cds_hooks.settings import Settings
from cds_hooks.storage.content import UserNames
from cds_hooks.storage.decision import (
    Decision,
    DecisionLog,
    encode_basis,
    encode_inputs,
    encode_models,
    input_digest_of,
)
from cds_hooks.tracing import CallTrace, Tracing


@dataclass(frozen=True, slots=True)
class ServerComponents:
    """The parts of the server that every call uses; `app.py` puts them together once."""

    settings: Settings
    decisions: DecisionLog
    metrics: Metrics
    computing: Computing
    fetching: PrefetchFetcher
    governance: Governance
    sessions: ValidationSessions
    models: ModelApprovals
    in_force: InForce
    releases: Releases
    versions: ModelVersions
    users: UserNames = field(default_factory=lambda: UserNames("none"))
    tracing: Tracing = field(default_factory=Tracing)
    thresholds: SiteThresholds = field(init=False)
    """How high an estimate has to be for a card at this site."""
    changes_links: bool = field(init=False)
    """Whether the links of cards to their decision are not sent as they are (cds_hooks/access/links.py)."""

    def __post_init__(self) -> None:
        configured = self.settings
        object.__setattr__(self, "thresholds", site_thresholds(configured))
        object.__setattr__(
            self, "changes_links", bool(configured.explain_link_minutes) or not configured.links_to_pages
        )


class Again(NamedTuple):
    """A call that is answered again: its request where that was kept, else the facts that its answer read.

    `silent` is why its user was shown nothing then; who it was is not among the facts.
    """

    decision: Decision
    kept: KeptRequest | FactsOfCall
    as_of: datetime
    silent: str | None = None


class Stages:
    """How long each stage of one call took."""

    __slots__ = ("_last", "_trace", "seconds")

    def __init__(self, trace: CallTrace | None) -> None:
        self.seconds: dict[str, float] = {}
        self._trace = trace
        self._last = perf_counter()

    def end(self, name: str) -> None:
        now = perf_counter()
        self.seconds[name] = now - self._last
        if self._trace is not None:
            self._trace.stage(name, self._last, now)
        self._last = now

    @property
    def trace_recorded(self) -> dict[str, str] | None:
        """What of the trace goes into the record."""
        return self._trace.recorded if self._trace is not None else None

    @property
    def milliseconds(self) -> dict[str, float]:
        """Rounded to microseconds."""
        return {name: round(seconds * 1000, 3) for name, seconds in self.seconds.items()}


class Decided(NamedTuple):
    """What a service advises about a patient, and what of the chart could not be read."""

    advice: Advice
    patient_id: str
    unread: list[Silence]
    explain_url: str
    audience: Audience


class Answer(NamedTuple):
    """What is recorded of an answered call, and what is counted and remembered."""

    decision: Decision
    caller: Caller
    chosen: Chosen
    silences: Sequence[Silence]


class AnsweredAgain(NamedTuple):
    """What a call is answered now: the body of the response, and what a decision would record as its scores."""

    response: bytes
    scores: Mapping[str, Any] | None


class Call:
    """One call: what came, and what is known of it so far."""

    request: CDSRequest
    filled: FilledPrefetch
    is_complete: bool
    """Whether nothing has to be fetched."""

    def __init__(
        self,
        body: bytes,
        service: Service,
        client: TrustedClient,
        components: ServerComponents,
        decision_id: str,
        trace: CallTrace | None,
    ) -> None:
        self.body = body
        self.service = service
        self.client = client
        self.components = components
        self.decision_id = decision_id
        self.as_of = components.settings.as_of or datetime.now(UTC)
        self.prefetch = NO_PREFETCH
        self.kept: Raw | None = None
        self.facts: bytes | None = None
        """What of the chart was read, where facts are kept."""
        self.given: Mapping[str, Any] = {}
        """The client's own JSON of the orders that were asked for, by Type/id."""
        self.answered: list[tuple[Finding, Silence]] = []
        """The findings that are not shown because they were answered before."""
        self.again: Again | None = None
        """What is answered again; None for a call that came in."""
        self.released = components.releases.current
        """What may show cards, to the end of this call; the digest of what is in force with it is recorded."""
        self.off = self.released.why_off(service.id, client.name) if self.released.states else None
        self.config = ""
        self.trace = trace
        self.stages = Stages(trace)


def decision_of(call: Call, decided: Decided, chosen: Chosen, response: bytes, silences: Sequence[Silence]) -> Decision:
    """What is recorded of an answered call; `silences` are all reasons why something is not said."""
    components, request, advice = call.components, call.request, decided.advice
    inputs = encode_inputs(call.as_of, advice.features, advice.orders, advice.vaccinations)
    keeps_facts = components.settings.keep_facts
    return Decision(
        id=call.decision_id,
        decided_at=time_ns() // 1000,
        hook=request.hook,
        service=call.service.id,
        hook_instance=request.hook_instance,
        client=call.client.name,
        patient=decided.patient_id,
        outcome="cards" if chosen.cards else "silent",
        input_digest=input_digest_of(inputs),
        models=encode_models(advice.models),
        response=response,
        basis=encode_basis(
            inputs,
            advice.scores,
            silences,
            call.stages.milliseconds,
            call.prefetch.basis,
            call.stages.trace_recorded,
            call.config,
            call.kept,
            decided.audience.units,
            {uuid: len(advice.silences) + place for uuid, place in chosen.withheld.items()},
            _met(call.answered, silences) if call.answered else (),
        ),
        user_id=components.users.recorded(call.client.name, request.context.user_id),
        facts=write_facts(request, call.facts, call.prefetch, call.given, advice.orders, response)
        if keeps_facts
        else None,
    )


def _met(answered: Sequence[tuple[Finding, Silence]], silences: Sequence[Silence]) -> list[MetFinding]:
    """The answered findings with the places of their silences."""
    places = {id(silence): place for place, silence in enumerate(silences)}
    return [MetFinding.of(finding, places[id(silence)]) for finding, silence in answered if id(silence) in places]


def refused(call: Call, error: HookError, reason: Silence) -> Decision:
    """What is recorded of a call that is answered with an error: as much as is known of it.

    `cds-hooks prefetch stats` shows from it what a client never sends.
    """
    request: CDSRequest | None = getattr(call, "request", None)  # None: its time was over before it was read
    inputs = encode_inputs(call.as_of, None, None)
    return Decision(
        id=call.decision_id,
        decided_at=time_ns() // 1000,
        hook=request.hook if request is not None else "",
        service=call.service.id,
        hook_instance=request.hook_instance if request is not None else "",
        client=call.client.name,
        patient=request.context.patient_id if request is not None else "",
        outcome="error",
        input_digest=input_digest_of(inputs),
        models=encode_models(()),
        response=operation_outcome(error, call.decision_id),
        basis=encode_basis(
            inputs, None, [reason], call.stages.milliseconds, call.prefetch.basis, call.stages.trace_recorded
        ),
        user_id=call.components.users.recorded(
            call.client.name, request.context.user_id if request is not None else None
        ),
    )
