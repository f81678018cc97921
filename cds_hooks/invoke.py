"""The data's way: from the bytes of a hook call to the bytes of its answer. Read this first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from time import perf_counter, time_ns

from msgspec import structs

from cards.card import Card
from cards.rules.finding import Silence
from cds_hooks.dialects import shape_cards
from cds_hooks.errors import BadRequest, PreconditionFailed, RecordFailed, operation_outcome
from cds_hooks.fetching import Fetching, Filled, refers_elsewhere
from cds_hooks.governance import Governance
from cds_hooks.metrics import Metrics
from cds_hooks.predictor import Predictor
from cds_hooks.prefetch import Brought, noted, what_was_brought
from cds_hooks.protocol.request import CDSRequest, read_request
from cds_hooks.protocol.response import encode_response
from cds_hooks.reuse import Reuse
from cds_hooks.security import TrustedClient
from cds_hooks.service import Service, Situation
from cds_hooks.settings import Settings
from cds_hooks.storage.basis import digest, encode_basis, encode_models, inputs_of
from cds_hooks.storage.decision import Decision
from cds_hooks.storage.identifiers import new_decision_id, numbered_uuid
from cds_hooks.storage.log import DecisionLog, RecordUnavailable
from fhir.mapping.stay import care_units
from fhir.record.errors import WrongPatient
from fhir.record.record import PatientRecord, read_record


@dataclass(frozen=True, slots=True)
class Parts:
    """What a call needs beside its own bytes; put together once in app.py."""

    settings: Settings
    decisions: DecisionLog
    metrics: Metrics
    predictor: Predictor
    fetching: Fetching
    governance: Governance
    reuse: Reuse


async def invoke(body: bytes, service: Service, client: TrustedClient, parts: Parts) -> bytes:
    """The response body of one hook call, its decision committed before it is returned.

    Raises a HookError (errors.py says which becomes which HTTP status) when the call cannot be answered; an
    unanswerable call is never an empty list of cards.
    """
    stages = _Stages()
    as_of = parts.settings.as_of or datetime.now(UTC)
    decision_id = new_decision_id()

    request = read_request(body, service.answers, client.profile.dialect.hook_meant)
    client.require(service.id, request.hook)
    stages.end("decode")

    templates = service.asks(client.profile.version)
    filled = Filled(request.prefetch, what_was_brought(request.prefetch, templates, as_of.timestamp()))
    if filled.brought.gaps or refers_elsewhere(request, templates):
        filled = await parts.fetching.fill(
            request, filled.brought, client, as_of.date(), client.profile.version, service.gives_back
        )
        stages.end("fetch")
    brought = filled.brought
    parts.metrics.prefetched(client.name, service.id, brought.summary, brought.milliseconds / 1000)
    try:
        if service.needs_patient(request):
            brought.require("patient")
        record = _read_facts(request, filled, as_of)
        stages.end("facts")

        # What is large is not kept while the call waits for others, here and at the record: the record has the
        # resources now, and a service that waits lets it go.
        request.prefetch.clear()
        sent = (body, *filled.bodies) if service.gives_back else ()
        del body, filled
        situation = _situation(request, record, brought, decision_id, client, parts, sent)
        advice = await service.decide(situation)
    except PreconditionFailed as error:
        await _record_what_lacked(error, as_of, decision_id, request, service, client, brought, stages, parts)
        raise
    silences = advice.silences + _refusals_as_silences(record)
    stages.end("decide")

    timings = stages.milliseconds if request.wants_timings else None
    said = advice.cards if parts.settings.shows_pages else _without_link(advice.cards, situation.explain_url)
    cards = shape_cards(noted(said, brought), client.profile)
    response = encode_response(cards, decision_id, silences, timings)
    inputs = inputs_of(as_of, advice.features, advice.orders)
    decision = Decision(
        id=decision_id,
        decided_at=time_ns() // 1000,
        hook=request.hook,
        service=service.id,
        hook_instance=request.hook_instance,
        client=client.name,
        patient=record.patient_id,
        outcome="cards" if advice.cards else "silent",
        input_digest=digest(inputs),
        models=encode_models(advice.models),
        response=response,
        basis=encode_basis(inputs, advice.scores, silences, stages.milliseconds, brought.basis),
    )
    hook = request.hook
    del request, record, sent, situation
    stages.end("encode")

    await _commit(decision, parts)
    stages.end("record")

    parts.metrics.answered(service.id, hook, advice.cards, silences, stages.seconds)
    return response


async def _commit(decision: Decision, parts: Parts) -> None:
    try:
        await parts.decisions.append(decision)
    except RecordUnavailable as error:
        raise RecordFailed("The decision could not be recorded, so no advice is given. Try again later.") from error


async def _record_what_lacked(
    error: PreconditionFailed,
    as_of: datetime,
    decision_id: str,
    request: CDSRequest,
    service: Service,
    client: TrustedClient,
    brought: Brought,
    stages: "_Stages",
    parts: Parts,
) -> None:
    """Required data that is not there is on record too: what a client never sends is seen in `prefetch stats`."""
    inputs = inputs_of(as_of, None, None)
    lacked = [Silence(error.expression or "prefetch", "required-data-missing", error.text)]
    refusal = Decision(
        id=decision_id,
        decided_at=time_ns() // 1000,
        hook=request.hook,
        service=service.id,
        hook_instance=request.hook_instance,
        client=client.name,
        patient=request.context.patient_id,
        outcome="error",
        input_digest=digest(inputs),
        models=encode_models(()),
        response=operation_outcome(error),
        basis=encode_basis(inputs, None, lacked, stages.milliseconds, brought.basis),
    )
    await _commit(refusal, parts)


def _read_facts(request: CDSRequest, filled: Filled, as_of: datetime) -> PatientRecord:
    try:
        record = read_record(filled.values, request.context.patient_id, as_of)
    except WrongPatient as error:
        raise BadRequest(str(error), "prefetch") from error
    record.known = filled.brought.known
    record.refusals.extend(request.refusals)
    record.refusals.extend(filled.refusals)
    record.refusals.extend(filled.brought.refusals)
    return record


def _without_link(cards: Sequence[Card], url: str) -> list[Card]:
    """No link to a page that the reader may not open."""
    return [structs.replace(card, links=tuple(link for link in card.links if link.url != url)) for card in cards]


def _situation(
    request: CDSRequest,
    record: PatientRecord,
    brought: Brought,
    decision_id: str,
    client: TrustedClient,
    parts: Parts,
    sent: tuple[bytes, ...],
) -> Situation:
    numbers = count(1)
    return Situation(
        request=request,
        record=record,
        card_uuid=lambda: numbered_uuid(decision_id, next(numbers)),
        alert_share=parts.settings.alert_share,
        kfre_region=parts.settings.kfre_region,
        referral_risk=parts.settings.referral_risk,
        public_url=parts.settings.public_url,
        decision_id=decision_id,
        predict=parts.predictor.predict,
        proofs=parts.reuse.proofs(client.name, record.patient_id, request.context.user_id or "", record.as_of_epoch),
        quiet=parts.governance.hearing(client.name, record.patient_id, lambda: care_units(record), record.as_of_epoch),
        prefetch=brought,
        sent=sent,
    )


def _refusals_as_silences(record: PatientRecord) -> list[Silence]:
    return [Silence(refusal.subject, refusal.reason, refusal.text) for refusal in record.refusals]


class _Stages:
    """How long each stage of one call took."""

    __slots__ = ("_last", "seconds")

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = perf_counter()

    def end(self, name: str) -> None:
        now = perf_counter()
        self.seconds[name] = now - self._last
        self._last = now

    @property
    def milliseconds(self) -> dict[str, float]:
        """Rounded to microseconds."""
        return {name: round(seconds * 1000, 3) for name, seconds in self.seconds.items()}
