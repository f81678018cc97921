"""Stage 6, write: the response as this client gets it, the decision as it is recorded, and its way into the record."""

from collections.abc import Sequence
from time import time_ns
from typing import Any, Protocol

from msgspec import Struct

from cards.card import Card
from cards.rules.engine.finding import Silence
from cds_hooks.access.links import link_cards
from cds_hooks.answer.call import Call
from cds_hooks.answer.hold_back import Selected
from cds_hooks.answer.read import Received
from cds_hooks.dialects import shape_cards
from cds_hooks.errors import CallTimedOut, HookError, RecordFailed, operation_outcome
from cds_hooks.prefetch.facts import write_facts
from cds_hooks.prefetch.state import NO_PREFETCH, with_prefetch_note
from cds_hooks.protocol.body import encode_response
from cds_hooks.storage.decision import (
    Decision,
    RecordUnavailable,
    encode_basis,
    encode_inputs,
    encode_models,
    input_digest_of,
)
from fhir.mapping.medications.presence import unreadable_codes


class Answer(Struct, frozen=True):
    """The answer to a call: its decision, of which the response is a part, and the cards it shows."""

    decision: Decision
    selected: Selected


def write(call: Call, selected: Selected) -> Answer:
    """Return the response in the shape of this client, with the decision to be recorded.

    Raises:
        CardError: A card breaks the specification; it does not leave.
    """
    request = selected.advised.chart.request
    timings = call.stages.milliseconds if request.wants_timings else None
    cards = _shaped_cards(call, selected)
    response = encode_response(
        cards,
        call.decision_id,
        selected.silences,
        timings,
        selected.resting,
        selected.worklist,
        selected.system_actions,
    )
    answer = Answer(_decision(call, selected, response), selected)
    call.stages.end("encode")
    return answer


def _shaped_cards(call: Call, selected: Selected) -> Sequence[Card | dict[str, Any]]:
    """Returns the cards with the links, the note on what could not be had, and the shape that this client gets."""
    client, components, cards = call.client, call.components, selected.cards
    prefetch = selected.advised.chart.prefetch
    if components.changes_links or client.smart_client_id is not None:
        page = f"{components.settings.public_url}/explain/{call.decision_id}"
        cards = link_cards(cards, page, client, call.decision_id, components.settings)
    if prefetch.note is not None:
        cards = with_prefetch_note(cards, prefetch, selected.advised.advice.reads)
    return cards if client.profile.needs_no_shaping else shape_cards(cards, client.profile)


def _decision(call: Call, selected: Selected, response: bytes) -> Decision:
    """Returns what is recorded of an answered call."""
    components, advised = call.components, selected.advised
    chart, advice = advised.chart, advised.advice
    request = chart.request
    inputs = encode_inputs(call.as_of, advice.features, advice.orders, advice.vaccinations)
    facts = None
    if components.settings.keep_facts:
        read = chart.record.kept_facts() or None
        facts = write_facts(request, read, chart.prefetch, chart.originals.given, advice.orders, response)
    return Decision(
        id=call.decision_id,
        decided_at=time_ns() // 1000,
        hook=request.hook,
        service=call.service.id,
        hook_instance=request.hook_instance,
        client=call.client.name,
        patient=chart.record.patient_id,
        outcome="cards" if selected.cards or selected.system_actions else "silent",
        input_digest=input_digest_of(inputs),
        models=encode_models(advice.models),
        response=response,
        basis=encode_basis(
            inputs,
            advice.scores,
            selected.silences,
            call.stages.milliseconds,
            chart.prefetch.basis,
            call.trace.recorded if call.trace is not None else None,
            advised.config,
            selected.units,
            selected.withheld,
            selected.met,
            chart.groups if advice.scores is not None else (),
        ),
        user_id=components.users.recorded(call.client.name, request.context.user_id),
        facts=facts,
    )


def _refusal(call: Call, received: Received | None, error: HookError) -> Decision:
    """Returns what is recorded of a call that is answered with an error: as much as is known of it.

    `cds-hooks prefetch` shows from it what a client never sends.
    """
    if isinstance(error, CallTimedOut):
        reason = Silence("call", "timed-out", error.text)
    else:
        reason = Silence(error.expression or "prefetch", "required-data-missing", error.text)
    request = received.request if received is not None else None  # its time may be over before it was read
    prefetch = received.filled.state if received is not None else NO_PREFETCH
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
            inputs,
            None,
            [reason],
            call.stages.milliseconds,
            prefetch.basis,
            call.trace.recorded if call.trace is not None else None,
        ),
        user_id=call.components.users.recorded(
            call.client.name, request.context.user_id if request is not None else None
        ),
    )


class Sink(Protocol):
    """Takes the answer to a call, or the error in its place."""

    async def take(self, call: Call, answer: Answer) -> None:
        """Take an answer; when this returns the answer may be sent."""

    async def refuse(self, call: Call, received: Received | None, error: HookError) -> None:
        """Take the error of a call of which only so much is known."""


class Recording:
    """The sink of the calls that come in: the decision is committed, then what is shown is counted and remembered."""

    async def take(self, call: Call, answer: Answer) -> None:
        """Commit the decision; RecordFailed where that cannot be done, because without a record there is no advice."""
        await _commit(call, answer.decision)
        components, selected, trace = call.components, answer.selected, call.trace
        components.governance.note_shown(call.decision_id, selected.cards, selected.advised.checked)
        call.stages.end("record")
        hook, cards, silences = answer.decision.hook, selected.cards, selected.silences
        components.metrics.answered(call.service.id, hook, cards, silences, call.stages.seconds)
        record = selected.advised.chart.record
        components.metrics.not_understood(call.client.name, record.refusals, unreadable_codes(record))
        if trace is not None:
            trace.say(hook=hook, cards=len(cards), silences=len(silences), bytes=len(answer.decision.response))
            trace.count_prefetch(state.state for state in selected.advised.chart.prefetch.states)

    async def refuse(self, call: Call, received: Received | None, error: HookError) -> None:
        """Commit that the call was answered with an error."""
        await _commit(call, _refusal(call, received, error))


async def _commit(call: Call, decision: Decision) -> None:
    try:
        await call.components.decisions.append(decision)
    except RecordUnavailable as error:
        raise RecordFailed("The decision could not be recorded, so no advice is given. Try again later.") from error
