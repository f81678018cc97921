"""Answers one hook call: from the bytes of the request to the bytes of the response. Read this module first.

docs/architecture.md draws the same steps with the files behind them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from time import perf_counter, time_ns

from msgspec import structs

from cards.card import Card
from cards.rules.engine.finding import Silence
from cds_hooks.approvals import ModelApprovals
from cds_hooks.dialects import shape_cards
from cds_hooks.errors import BadRequest, PreconditionFailed, RecordFailed, operation_outcome
from cds_hooks.governance import Caller, Governance
from cds_hooks.metrics import Metrics
from cds_hooks.prefetch import PrefetchState, inspect_prefetch, with_prefetch_note
from cds_hooks.prefetch.fetch import FilledPrefetch, PrefetchFetcher
from cds_hooks.prefetch.inspect import has_missing_medications
from cds_hooks.protocol.body import encode_response
from cds_hooks.protocol.request import CDSRequest, read_request
from cds_hooks.security import TrustedClient
from cds_hooks.services import Service, ServiceInput, ValidationSessions
from cds_hooks.services._model import Predictor
from cds_hooks.settings import Settings
from cds_hooks.storage.content import UserNames
from cds_hooks.storage.decision import (
    Decision,
    DecisionLog,
    RecordUnavailable,
    encode_basis,
    encode_models,
    input_digest_of,
    inputs_of,
    new_decision_id,
    numbered_uuid,
)
from cds_hooks.tracing import CallTrace, Tracing
from fhir.mapping.stays import care_units
from fhir.record.measurement import WrongPatient, shorten_refusals
from fhir.record.reading import read_record
from fhir.record.record import PatientRecord


@dataclass(frozen=True, slots=True)
class ServerComponents:
    """The parts of the server that every call uses; `app.py` puts them together once."""

    settings: Settings
    decisions: DecisionLog
    metrics: Metrics
    predictor: Predictor
    fetching: PrefetchFetcher
    governance: Governance
    sessions: ValidationSessions
    models: ModelApprovals
    users: UserNames = field(default_factory=lambda: UserNames("none"))
    tracing: Tracing = field(default_factory=Tracing)


async def invoke(
    body: bytes,
    service: Service,
    client: TrustedClient,
    components: ServerComponents,
    decision_id: str | None = None,
    trace: CallTrace | None = None,
) -> bytes:
    """Answer one hook call and commit its decision before the response body is returned.

    `decision_id` is the id under which the call is recorded and a failure is logged; a new one where none is given.
    `trace` is the trace that the call belongs to, if any.

    Raises:
        HookError: The call cannot be answered; `errors.py` maps each subclass to an HTTP status. A call that cannot be
            answered is never an empty list of cards.
    """
    stages = _Stages(trace)
    as_of = components.settings.as_of or datetime.now(UTC)
    decision_id = decision_id or new_decision_id()

    request = read_request(body, service.answers, client.profile.dialect.actual_hook)
    client.require(service.id, request.hook)
    service.require_model()
    stages.end("decode")

    templates = service.templates_for_version(client.profile.version)
    filled = FilledPrefetch(request.prefetch, inspect_prefetch(request.prefetch, templates, as_of.timestamp()))
    if filled.state.gaps or has_missing_medications(request, templates):
        filled = await components.fetching.fill(
            request,
            filled.state,
            client,
            as_of.date(),
            client.profile.version,
            service.returns_resources,
            trace.headers if trace is not None else None,
        )
        stages.end("fetch")
    prefetch = filled.state
    components.metrics.prefetched(client.name, service.id, prefetch.summary, prefetch.milliseconds / 1000)
    try:
        if service.needs_patient(request):
            prefetch.require("patient")
        record = _read_facts(request, filled, as_of)
        stages.end("facts")

        # Large objects are not kept while this call waits for the database or for a model: the record holds the
        # resources now, and a service that waits releases it.
        request.prefetch.clear()
        sent = (body, *filled.bodies) if service.returns_resources else ()
        del body, filled
        service_input = _service_input(request, record, prefetch, decision_id, client, components, sent, trace)
        advice = await service.decide(service_input)
    except PreconditionFailed as error:
        await _record_missing_data(error, as_of, decision_id, request, service, client, prefetch, stages, components)
        raise
    said_once = components.governance.said_once
    caller = Caller(client.name, record.patient_id, service.id, request.hook)
    chosen = await said_once.choose(caller, advice.cards)
    advice.cards = chosen.cards
    silences = advice.silences + chosen.silences + _refusals_as_silences(record)
    stages.end("decide")

    timings = stages.milliseconds if request.wants_timings else None
    allowed = components.settings.shows_pages
    cards = advice.cards if allowed else _without_link(advice.cards, service_input.explain_url)
    shaped = shape_cards(with_prefetch_note(cards, prefetch), client.profile)
    worklist = advice.worklist + chosen.worklist
    response = encode_response(shaped, decision_id, silences, timings, chosen.resting, worklist)
    inputs = inputs_of(as_of, advice.features, advice.orders, advice.vaccinations)
    decision = Decision(
        id=decision_id,
        decided_at=time_ns() // 1000,
        hook=request.hook,
        service=service.id,
        hook_instance=request.hook_instance,
        client=client.name,
        patient=record.patient_id,
        outcome="cards" if advice.cards else "silent",
        input_digest=input_digest_of(inputs),
        models=encode_models(advice.models),
        response=response,
        basis=encode_basis(inputs, advice.scores, silences, stages.milliseconds, prefetch.basis, stages.trace_recorded),
        user_id=components.users.recorded(client.name, request.context.user_id),
    )
    hook = request.hook
    del request, record, sent, service_input
    stages.end("encode")

    await _commit(decision, components)
    said_once.note_shown(caller, decision_id, advice.cards, as_of.timestamp())
    stages.end("record")

    components.metrics.answered(service.id, hook, advice.cards, silences, stages.seconds)
    if trace is not None:
        trace.say(hook=hook, cards=len(advice.cards), silences=len(silences), bytes=len(response))
        trace.count_prefetch(each.state for each in prefetch.states)
    return response


async def _commit(decision: Decision, components: ServerComponents) -> None:
    try:
        await components.decisions.append(decision)
    except RecordUnavailable as error:
        raise RecordFailed("The decision could not be recorded, so no advice is given. Try again later.") from error


async def _record_missing_data(
    error: PreconditionFailed,
    as_of: datetime,
    decision_id: str,
    request: CDSRequest,
    service: Service,
    client: TrustedClient,
    prefetch: PrefetchState,
    stages: "_Stages",
    components: ServerComponents,
) -> None:
    """Record a call that lacked required data, so that `cds-hooks prefetch stats` shows what a client never sends."""
    inputs = inputs_of(as_of, None, None)
    missing = [Silence(error.expression or "prefetch", "required-data-missing", error.text)]
    refusal = Decision(
        id=decision_id,
        decided_at=time_ns() // 1000,
        hook=request.hook,
        service=service.id,
        hook_instance=request.hook_instance,
        client=client.name,
        patient=request.context.patient_id,
        outcome="error",
        input_digest=input_digest_of(inputs),
        models=encode_models(()),
        response=operation_outcome(error, decision_id),
        basis=encode_basis(inputs, None, missing, stages.milliseconds, prefetch.basis, stages.trace_recorded),
        user_id=components.users.recorded(client.name, request.context.user_id),
    )
    await _commit(refusal, components)


def _read_facts(request: CDSRequest, filled: FilledPrefetch, as_of: datetime) -> PatientRecord:
    try:
        return read_record(
            filled.values,
            request.context.patient_id,
            as_of,
            requested=filled.state.known,
            encounter_id=request.context.encounter_id,
            refusals=(*request.refusals, *filled.refusals, *filled.state.refusals),
        )
    except WrongPatient as error:
        raise BadRequest(str(error), "prefetch") from error


def _without_link(cards: Sequence[Card], url: str) -> list[Card]:
    """The cards without links to this page, which the reader may not open."""
    return [structs.replace(card, links=tuple(link for link in card.links if link.url != url)) for card in cards]


def _service_input(
    request: CDSRequest,
    record: PatientRecord,
    prefetch: PrefetchState,
    decision_id: str,
    client: TrustedClient,
    components: ServerComponents,
    sent: tuple[bytes, ...],
    trace: CallTrace | None,
) -> ServiceInput:
    numbers = count(1)
    return ServiceInput(
        request=request,
        record=record,
        card_uuid=lambda: numbered_uuid(decision_id, next(numbers)),
        alert_share=components.settings.alert_share,
        kfre_region=components.settings.kfre_region,
        referral_risk=components.settings.referral_risk,
        public_url=components.settings.public_url,
        decision_id=decision_id,
        predict=components.predictor.predict if trace is None else trace.timed("model", components.predictor.predict),
        why_withheld=components.models.why_withheld,
        validation_cache=components.sessions.cache_of(
            client.name, record.patient_id, request.context.user_id or "", record.as_of_epoch
        ),
        suppress=components.governance.suppression_policy(
            client.name, record.patient_id, lambda: care_units(record), record.as_of_epoch
        ),
        prefetch=prefetch,
        sent=sent,
    )


def _refusals_as_silences(record: PatientRecord) -> list[Silence]:
    refusals = shorten_refusals(record.refusals)
    return [Silence(refusal.subject, refusal.reason, refusal.text) for refusal in refusals]


class _Stages:
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
