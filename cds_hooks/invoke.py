"""Answers one hook call: from the bytes of the request to the bytes of the response. Read this module first.

docs/architecture.md draws the same steps with the files behind them.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from itertools import count
from typing import Any

from cards.card import Card
from cards.rules.engine.finding import Silence
from cards.rules.engine.governance import SWITCHED_OFF, SuppressionCheck
from cds_hooks.access.links import link_cards
from cds_hooks.call import Again, Answer, AnsweredAgain, Call, Decided, ServerComponents, decision_of, refused
from cds_hooks.dialects import shape_cards
from cds_hooks.errors import BadRequest, CallTimedOut, PreconditionFailed, RecordFailed
from cds_hooks.hold_back.budgets import NOBODY, Audience
from cds_hooks.hold_back.patient_finding import Caller
from cds_hooks.hold_back.releases import SILENT_MODE
from cds_hooks.hold_back.suppression import Chosen
from cds_hooks.model_versions import Choose, in_use
from cds_hooks.prefetch.facts import FactsOfCall
from cds_hooks.prefetch.fetch import FilledPrefetch
from cds_hooks.prefetch.inspect import has_missing_medications, inspect_prefetch
from cds_hooks.prefetch.kept import KeptRequest, is_kept, keep_request
from cds_hooks.prefetch.state import with_prefetch_note
from cds_hooks.protocol.body import encode_response
from cds_hooks.protocol.repair import Sent
from cds_hooks.protocol.request import CDSRequest, EntryLimits, read_request, request_of_context
from cds_hooks.security import TrustedClient
from cds_hooks.services import Service, ServiceInput
from cds_hooks.services._model import Predict
from cds_hooks.services._service import no_card
from cds_hooks.storage.decision import Decision, RecordUnavailable, new_decision_id, numbered_uuid
from cds_hooks.tracing import CallTrace
from fhir.mapping.stays import care_units
from fhir.record.chart_text import plain
from fhir.record.datatypes import forget_times
from fhir.record.kept_facts import keep_facts, record_of_facts
from fhir.record.opting_out import SystemAndCode
from fhir.record.reading import read_record
from fhir.record.record import PatientRecord
from fhir.record.refusals import WrongPatient, shorten_refusals
from fhir.record.results import NotKept


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
    call = Call(body, service, client, components, decision_id or new_decision_id(), trace)
    del body
    try:
        with components.computing.call_of(client.name) as deadline:
            answer = await _answer(call)
    except PreconditionFailed as error:
        missing = Silence(error.expression or "prefetch", "required-data-missing", error.text)
        await _commit(refused(call, error, missing), components)
        raise
    except TimeoutError as error:
        if not deadline.expired:
            raise
        late = CallTimedOut(f"No answer within {components.settings.call_seconds:g} seconds: no advice is given.")
        await _commit(refused(call, late, Silence("call", "timed-out", late.text)), components)
        raise late from error
    finally:
        forget_times()
    call.stages.end("encode")

    await _commit(answer.decision, components)
    components.governance.note_shown(answer.caller, call.decision_id, answer.chosen, call.as_of.timestamp())
    call.stages.end("record")

    hook, cards, silences = answer.decision.hook, answer.chosen.cards, answer.silences
    components.metrics.answered(service.id, hook, cards, silences, call.stages.seconds)
    if trace is not None:
        trace.say(hook=hook, cards=len(cards), silences=len(silences), bytes=len(answer.decision.response))
        trace.count_prefetch(each.state for each in call.prefetch.states)
    return answer.decision.response


async def answer_again(
    again: Again, service: Service, client: TrustedClient, components: ServerComponents, predict: Predict
) -> AnsweredAgain:
    """What a call is answered, computed again as of that instant; nothing is recorded or remembered.

    Raises:
        HookError: The call is not answered any more; its text says why.
        NotKept: Something is read now that was in the chart and is not among the facts.
    """
    kept, then = again.kept, again.decision
    body = bytes(kept.body) if isinstance(kept, KeptRequest) else b""
    call = Call(body, service, client, components, then.id, None)
    call.as_of, call.again = again.as_of, again
    if isinstance(kept, KeptRequest):
        await _read(call, predict)
        templates = service.templates_for_version(client.profile.version)
        call.filled = kept.filled(call.request.prefetch, templates) or call.filled
    else:
        call.request = request_of_context(
            then.hook, then.hook_instance, kept.context, service.answers, wants_timings=kept.wants_timings
        )
        _require(call)
        call.filled = kept.filled(service.templates_read_for(client.profile.version))
    call.prefetch = call.filled.state
    decided = await _decide(call, predict)
    caller = Caller(client.name, decided.patient_id, service.id, call.request.hook)
    chosen = await components.governance.choose(caller, decided.advice.cards, audience=decided.audience)
    response, _ = _response(call, decided, chosen)
    return AnsweredAgain(response, decided.advice.scores)


async def _answer(call: Call) -> Answer:
    """The steps of a call; what is large is computed beside the event loop (cds_hooks/computing.py)."""
    computing, client = call.components.computing, call.client
    compute = computing.compute
    is_large = computing.is_large(len(call.body))
    await compute(client.name, partial(_read, call), is_large=is_large)

    if not call.is_complete:
        call.filled = await call.components.fetching.fill(
            call.request,
            call.filled.state,
            client,
            call.as_of.date(),
            client.profile.version,
            call.service.returns_resources,
            call.trace.headers if call.trace is not None else None,
        )
        call.stages.end("fetch")
    call.prefetch = prefetch = call.filled.state
    call.components.metrics.prefetched(client.name, call.service.id, prefetch.summary, prefetch.milliseconds / 1000)

    is_large = is_large or computing.is_large(call.filled.fetched_bytes, call.request.order_bytes)
    decided = await compute(client.name, partial(_decide, call), is_large=is_large, goes_on=call.is_complete)

    caller = Caller(client.name, decided.patient_id, call.service.id, call.request.hook)
    advice = decided.advice
    chosen = await call.components.governance.choose(caller, advice.cards, advice.reminders, decided.audience)
    call.stages.end("decide")
    return await compute(client.name, partial(_encode, call, decided, caller, chosen), is_large=is_large, goes_on=True)


async def _read(call: Call, _: Predict) -> None:
    """The typed request, and the state of every prefetch key."""
    service, client, limits = call.service, call.client, call.components.settings
    request = read_request(
        call.body,
        service.answers,
        client.profile.dialect.actual_hook,
        EntryLimits(limits.max_entries_per_key, limits.max_entries),
    )
    call.request = request
    _require(call)
    call.stages.end("decode")
    templates = service.templates_read_for(client.profile.version)
    state = inspect_prefetch(request.prefetch, templates, call.as_of.timestamp())
    call.filled = FilledPrefetch(request.prefetch, state)
    call.is_complete = call.off is not None or not (state.gaps or has_missing_medications(request, templates))


def _require(call: Call) -> None:
    """That this client may make this call, and that what answers it is served."""
    call.client.require(call.service.id, call.request.hook)
    if call.off is None:
        call.service.require_model()


async def _decide(call: Call, predict: Predict) -> Decided:
    """The advice of the service."""
    service, request = call.service, call.request
    call.config = call.components.in_force.digest_with(call.released)
    if call.off is not None:
        page = f"{call.components.settings.public_url}/explain/{call.decision_id}"
        return Decided(no_card(service.id, SWITCHED_OFF, call.off), request.context.patient_id, [], page, NOBODY)
    if service.needs_patient(request):
        call.prefetch.require("patient")
    record = _record_of(call)
    call.stages.end("facts")
    share = call.components.settings.keep_requests
    if share and call.again is None and is_kept(call.decision_id, share):
        call.kept = keep_request(call.body, request.prefetch, call.filled, is_complete=call.is_complete)

    # Large objects are not kept while this call waits for the database or for a model: the record holds the
    # resources now, and a service that waits releases it.
    request.prefetch.clear()
    sent = _sent(call)
    call.body = b""
    del call.filled
    service_input = _service_input(call, record, predict, sent)
    # Asked now, because a service may release the record.
    silent = _silent_mode(call, record)
    governance = call.components.governance
    budgets = governance.site.budgets
    units = governance.restraint.units_of(partial(care_units, record)) if budgets else ()
    advice = await service.decide(service_input)
    if call.released.states:
        advice.cards, withheld = call.released.without_withheld(advice.cards, call.client.name, record.patient_id)
        advice.silences += withheld
        if silent is not None and advice.cards:
            advice.cards = []
            advice.silences.append(Silence(service.id, SILENT_MODE, silent))
    if call.released.paused:
        advice.cards, withheld = call.released.without_paused(advice.cards, service.id)
        advice.silences += withheld
    audience = _audience(call, units) if advice.cards and budgets else NOBODY
    call.facts, call.given = record.kept_facts() or None, sent.given
    return Decided(advice, record.patient_id, _refusals_as_silences(record), service_input.explain_url, audience)


def _silent_mode(call: Call, record: PatientRecord) -> str | None:
    """Why this caller is shown nothing; None where cards are shown."""
    if call.released.states:
        units = partial(care_units, record)
        silent = call.released.silent_mode(call.client.name, units, call.request.context.user_id)
        if silent is not None:
            return silent
    return call.again.silent if call.again is not None else None


def _audience(call: Call, units: tuple[str, ...]) -> Audience:
    """The user, where users have a budget, and the care units that have one."""
    user = call.request.context.user_id
    if not user or not call.components.governance.restraint.asks_for_user:
        return Audience(units=units) if units else NOBODY
    return Audience(call.components.users.recorded(call.client.name, user) or user, units)


def _response(call: Call, decided: Decided, chosen: Chosen) -> tuple[bytes, list[Silence]]:
    """The response with the cards that are shown now, and every reason for silence."""
    advice = decided.advice
    silences = advice.silences + chosen.silences + decided.unread
    timings = call.stages.milliseconds if call.request.wants_timings else None
    cards = _shown(call, decided, chosen.cards)
    worklist = advice.worklist + chosen.worklist
    return encode_response(cards, call.decision_id, silences, timings, chosen.resting, worklist), silences


def _shown(call: Call, decided: Decided, cards: Sequence[Card]) -> Sequence[Card | dict[str, Any]]:
    """The cards with the links, the note on what could not be had, and the shape that this client gets."""
    client, components = call.client, call.components
    if components.changes_links or client.smart_client_id is not None:
        cards = link_cards(cards, decided.explain_url, client, call.decision_id, components.settings)
    if call.prefetch.note is not None:
        cards = with_prefetch_note(cards, call.prefetch, decided.advice.reads)
    return cards if client.profile.needs_no_shaping else shape_cards(cards, client.profile)


async def _encode(call: Call, decided: Decided, caller: Caller, chosen: Chosen, _: Predict) -> Answer:
    """The response, and the decision to be recorded."""
    response, silences = _response(call, decided, chosen)
    return Answer(decision_of(call, decided, chosen, response, silences), caller, chosen, silences)


async def _commit(decision: Decision, components: ServerComponents) -> None:
    try:
        await components.decisions.append(decision)
    except RecordUnavailable as error:
        raise RecordFailed("The decision could not be recorded, so no advice is given. Try again later.") from error


def _record_of(call: Call) -> PatientRecord:
    """The record of the patient: what came with the call, or the facts that are kept of it."""
    request, filled, again = call.request, call.filled, call.again
    flags = call.components.settings.opt_out_codes
    if again is not None and isinstance(again.kept, FactsOfCall):
        patient_id, encounter_id = request.context.patient_id, request.context.encounter_id
        if again.kept.record is None:
            raise NotKept("the chart")
        known = filled.state.known
        return record_of_facts(again.kept.record, patient_id, call.as_of, known, encounter_id, flags)
    record = _read_facts(request, filled, call.as_of, flags)
    if call.components.settings.keep_facts and again is None:
        drafts = getattr(request.context, "draft_orders", b"")
        record.keep_facts(lambda resources: keep_facts(resources, bytes(drafts)))
    return record


def _sent(call: Call) -> Sent:
    """The body and the pages, for services that return changed resources."""
    if not call.service.returns_resources:
        return Sent(())
    again = call.again
    if again is not None and isinstance(again.kept, FactsOfCall):
        return Sent(again.kept.sent)
    return Sent((call.body, *call.filled.bodies))


def _read_facts(
    request: CDSRequest, filled: FilledPrefetch, as_of: datetime, flags: frozenset[SystemAndCode]
) -> PatientRecord:
    try:
        return read_record(
            filled.values,
            request.context.patient_id,
            as_of,
            requested=filled.state.known,
            encounter_id=request.context.encounter_id,
            refusals=(*request.refusals, *filled.refusals, *filled.state.refusals),
            opt_out_flags=flags,
        )
    except WrongPatient as error:
        raise BadRequest(str(error), "prefetch") from error


def _service_input(call: Call, record: PatientRecord, predict: Predict, sent: tuple[bytes, ...]) -> ServiceInput:
    numbers = count(1)
    request, client, components, decision_id = call.request, call.client, call.components, call.decision_id
    return ServiceInput(
        request=request,
        record=record,
        card_uuid=lambda: numbered_uuid(decision_id, next(numbers)),
        thresholds=components.thresholds,
        kfre_region=components.settings.kfre_region,
        referral_risk=components.settings.referral_risk,
        max_drafts=components.settings.max_drafts,
        public_url=components.settings.public_url,
        decision_id=decision_id,
        predict=predict if call.trace is None else call.trace.timed("model", predict),
        why_withheld=components.models.why_withheld,
        choose=_chooser(call, record.patient_id),
        validations=partial(
            components.sessions.cache_of,
            client.name,
            record.patient_id,
            request.context.user_id or "",
            record.as_of_epoch,
        ),
        suppress=_policy(call, record),
        prefetch=call.prefetch,
        sent=sent,
    )


def _chooser(call: Call, patient_id: str) -> Choose:
    """What chooses among the versions of a model; without acts of release the one in use answers."""
    if not call.released.states:
        return in_use
    components = call.components
    return components.versions.chooser(call.released, call.client.name, patient_id, components.models.why_withheld)


def _policy(call: Call, record: PatientRecord) -> SuppressionCheck:
    """Which findings are shown about this patient: by the site's rules, then by the acts of release and the pauses."""
    client, patient_id, governance = call.client.name, record.patient_id, call.components.governance
    units = partial(care_units, record)
    policy = governance.suppression_policy(client, patient_id, units, record.as_of_epoch, call.answered)
    if call.released.states or call.released.paused:
        return call.released.narrow(policy, client, patient_id)
    return policy


# A refusal names keys and ids as they came; 64 characters are the most that an id of FHIR has.
_LONGEST_REFUSAL = 400


def _refusals_as_silences(record: PatientRecord) -> list[Silence]:
    refusals = record.refusals
    if not refusals:
        return []
    named = shorten_refusals(refusals)
    return [Silence(each.subject, each.reason, plain(each.text, _LONGEST_REFUSAL)) for each in named]
