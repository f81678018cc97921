"""Answers one hook call in six stages: read, complete, understand, advise, hold back, write. Read this module first.

A call that came in, a call that an event made and a replay pass through the same stages: they differ in where the
request comes from (`Source`), and a replay records nothing. docs/architecture.md draws the stages with
the files behind them.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from hashlib import sha256
from itertools import count
from time import time_ns
from typing import Any, Final, Literal, Protocol

from msgspec import Struct
from msgspec.structs import replace

from cards.card import Action, Card
from cards.country_words import card_of_country, silences_of_country, text_of_country
from cards.extension import WorklistEntry
from cards.rules.engine.governance import SWITCHED_OFF
from cds_hooks.call.computing import CallUnderWay
from cds_hooks.call.dialects import shape_cards
from cds_hooks.call.hold_back.checks import Caller, CheckedCall, choose_cards, refuse_user, why_package_withheld
from cds_hooks.call.hold_back.history import PatientHistory
from cds_hooks.call.hold_back.reasons import LOOKED, SILENT_MODE, has_looked, in_words, looked_at
from cds_hooks.call.model_versions import Choose, in_use
from cds_hooks.call.prefetch.facts import keep_chart, write_facts
from cds_hooks.call.prefetch.fetch import FilledPrefetch
from cds_hooks.call.prefetch.state import (
    NO_PREFETCH,
    PrefetchState,
    has_missing_medications,
    inspect_prefetch,
    with_prefetch_note,
)
from cds_hooks.call.protocol.body import encode_response
from cds_hooks.call.protocol.originals import NOTHING_SENT, Sent
from cds_hooks.call.protocol.request import CDSRequest, EntryLimits, read_request
from cds_hooks.call.protocol.visit_memory import SentChart
from cds_hooks.call.services import Advice, Advisor, ServiceInput
from cds_hooks.call.services._model import each_once
from cds_hooks.call.services._service import no_card
from cds_hooks.call.stages import Call
from cds_hooks.errors import (
    BadRequest,
    CallTimedOut,
    HookError,
    NotAllowed,
    PreconditionFailed,
    RecordFailed,
    operation_outcome,
)
from cds_hooks.evidence.storage.decision import (
    TRIAL,
    Basis,
    Decision,
    RecordUnavailable,
    StoredChart,
    encode_basis,
    encode_inputs,
    encode_part,
    estimated_by,
    numbered_uuid,
)
from cds_hooks.people.access.links import link_cards
from cds_hooks.samples import sample_ids
from cds_hooks.telemetry.logs import log_failure
from fhir.mapping.gaps import gaps
from fhir.mapping.medications.active import unreadable_codes
from fhir.mapping.people import race_and_ethnicity, roles_of_user
from fhir.mapping.stays import care_units, named_units
from fhir.record.datatypes import plain
from fhir.record.lean_chart import encode_chart
from fhir.record.record import PatientRecord, place_in, read_record, read_resources, record_of_resources
from fhir.record.refusals import Refusal, WhyNot, WrongPatient, shorten_refusals
from fhir.record.resources import Bundle
from fhir.record.text_budget import readable_texts
from fhir.terminology.imported import in_use as tables_in_use

# A refusal names keys and ids as they came; 64 characters are the most that an id of FHIR has.
_LONGEST_REFUSAL = 400
_KEYS_OF_ROLES = ("userRoles", "userRole")
FAILED = "failed"
"""The reason code of an advisor that could not judge because of a fault, beside others that could."""
_NOT_ASKED: Final = frozenset((FAILED, SWITCHED_OFF, "required-data-missing"))
"""The reasons for which an advisor of a call judged nothing."""


class Source(Protocol):
    """Where the request and the chart of a call come from: a body, or the record."""

    def read_request(self, call: Call) -> CDSRequest:
        """Return the typed request."""

    def prefetch(self, call: Call, request: CDSRequest) -> FilledPrefetch:
        """Return the prefetch that came with the request."""

    def read_chart(
        self, call: Call, request: CDSRequest, filled: FilledPrefetch
    ) -> tuple[PatientRecord, SentChart | None]:
        """Return the patient's facts, and what is recorded of the chart."""

    def roles_of_user(self, call: Call, request: CDSRequest, filled: FilledPrefetch) -> tuple[str, ...]:
        """Return what the user works as; nothing where that is not known."""

    def originals(self, filled: FilledPrefetch, record: PatientRecord) -> Sent:
        """Return the JSON in which the client's own orders can be found."""


class Received(Struct):
    """The request of a call, where its chart comes from, and what of its prefetch is there."""

    source: Source
    request: CDSRequest
    filled: FilledPrefetch
    is_complete: bool
    """Whether nothing has to be fetched."""
    no_advice: WhyNot | None = None
    """Why nothing is computed for this call; None where it is answered."""

    def release(self) -> None:
        """Give the memory of the resources back; the states of the prefetch keys stay."""
        self.request.prefetch.clear()
        self.filled = FilledPrefetch({}, self.filled.state)


class Understood(Struct, frozen=True):
    """What is known of the patient, and what of it could not be read."""

    request: CDSRequest
    """Without the resources of its prefetch: the record holds them."""
    prefetch: PrefetchState
    record: PatientRecord
    chart: SentChart | None
    """What is recorded of the chart; None where nothing was read, and in a replay."""
    originals: Sent
    """The JSON of the client's own orders, for services that return changed resources."""
    refusals: tuple[Refusal, ...] = ()
    """What was refused while the chart was read."""
    no_advice: WhyNot | None = None
    """Why nothing is computed for this call; None where it is answered."""
    groups: tuple[str, ...] = ()
    """Race and ethnicity of the patient, by which monitoring compares estimates; never an input."""
    roles: tuple[str, ...] = ()
    """What the user of the call works as, which decides which orders are offered."""

    def unread(self, advisors: Iterable[Advisor]) -> list[WhyNot]:
        """Return the gaps of what the advisors read, as reasons why something is not said about them.

        A published artifact reads codes by its own value sets: what our tables do not know is not a gap for it.
        """
        mapped = any(not advisor.knowledge for advisor in advisors)
        return [
            WhyNot(refusal.subject, refusal.reason, plain(refusal.text, _LONGEST_REFUSAL))
            for refusal in shorten_refusals(gaps(self.record) if mapped else self.record.refusals)
        ]


class Advised(Struct, frozen=True):
    """What a service advises about a patient, and what the checks are told of the call."""

    understood: Understood
    advice: Advice
    checked: CheckedCall
    config: str
    """The digest of what was in force."""


class Selected(Struct, frozen=True):
    """The cards that are shown, and why the others are not."""

    advised: Advised
    cards: Sequence[Card]
    silences: list[WhyNot]
    """Every reason why something is not said."""
    worklist: Sequence[WorklistEntry]
    units: tuple[str, ...]
    system_actions: Sequence[Action] = ()


class Answered(Struct, frozen=True):
    """The answer to a call: its decision, of which the response is a part, and the cards it shows."""

    decision: Decision
    selected: Selected


async def invoke(call: Call, body: bytes) -> Answered:
    """Answer one hook call that came in; returns when the answer, or the error in its place, is recorded.

    Raises:
        HookError: The call cannot be answered; `errors.py` maps each subclass to an HTTP status. A call that cannot be
            answered is never an empty list of cards.
    """
    received: Received | None = None
    try:
        async with CallUnderWay(call.components.computing, call.client.name, len(body)) as turn:
            received = await turn.compute(read, call, ReceivedBody(body))
            call = as_trial(call, received)
            received = await complete(call, received, turn)
            understood = await turn.compute(understand, call, received)
            advised = await turn.compute(advise, call, understood)
            cards = await choose_cards(advised.advice.cards, advised.checked)
            selected = hold_back(call, advised, cards)
            answer = await turn.compute(write, call, selected)
    except (PreconditionFailed, CallTimedOut) as error:
        await _commit(call, _refusal(call, received, error))
        raise
    await _record(call, answer)
    return answer


def read(call: Call, source: Source) -> Received:
    """Return the typed request with the state of every prefetch key.

    Raises:
        BadRequest, PayloadTooLarge: The body is not what the hook prescribes.
        NotAllowed: The client is not registered for the service or the hook.
    """
    request = source.read_request(call)
    call.client.require(call.service.names, request.hook)
    if not call.advisors(request.hook):
        raise NotAllowed("This client is not registered for an advisor that answers this hook.")
    no_advice = _why_no_advice(call, request)
    call.stages.end("decode")
    filled = source.prefetch(call, request)
    templates = call.service.templates_read_for(call.client.profile.version)
    is_complete = no_advice is not None or not (filled.state.gaps or has_missing_medications(request, templates))
    return Received(source, request, filled, is_complete, no_advice)


def as_trial(call: Call, received: Received) -> Call:
    """Return the call as a trial where it is about a sample patient, which comes here from anywhere.

    With a trust file the patients are a hospital's, whatever their ids are: there only /try sends trials.
    """
    is_sample = call.components.settings.trust_file is None and received.request.context.patient_id in sample_ids()
    return replace(call, is_trial=True) if is_sample and not call.is_trial else call


def _why_no_advice(call: Call, request: CDSRequest) -> WhyNot | None:
    why_off = call.released.why_off(call.service.id, call.client.name)
    if why_off is not None:
        return WhyNot(call.service.id, SWITCHED_OFF, why_off)
    return refuse_user(call.service.id, request.context.user_id)


async def complete(call: Call, received: Received, turn: CallUnderWay) -> Received:
    """Return the request with everything that could be had in time.

    What cannot be had is not an error: the state of its key has the reason.
    """
    if not received.is_complete:
        version = call.client.profile.version
        filled = await call.components.fetching.fill(
            received.request,
            received.filled.state,
            call.client,
            call.as_of.date(),
            version,
            call.service.returns_resources,
            call.trace.headers if call.trace is not None else None,
        )
        received = replace(received, filled=filled)
        turn.has_waited()
        call.stages.end("fetch")
    turn.weigh(received.filled.fetched_bytes, received.request.order_bytes)
    prefetch = received.filled.state
    if not call.is_trial:
        call.components.metrics.prefetched(
            call.client.name,
            call.service.id,
            prefetch.summary,
            prefetch.milliseconds / 1000,
            is_unanswered=bool(prefetch.milliseconds) and prefetch.is_unanswered,
        )
    return received


def understand(call: Call, received: Received) -> Understood:
    """Return the facts about the patient; where there will be no advice nothing is read.

    Raises:
        BadRequest: A resource is about another patient than the call.
        PreconditionFailed: The service needs the Patient, who is neither in the prefetch nor to be had.
    """
    request, filled, source = received.request, received.filled, received.source
    if received.no_advice is not None:
        nothing = read_record({}, request.context.patient_id, call.as_of)
        return Understood(request, filled.state, nothing, None, NOTHING_SENT, no_advice=received.no_advice)
    if call.service.needs_patient(request):
        filled.state.require("patient")
    record, chart = source.read_chart(call, request, filled)
    refusals = tuple(record.resources.refusals)
    groups = race_and_ethnicity(record)
    roles = source.roles_of_user(call, request, filled)
    call.stages.end("facts")
    originals = source.originals(filled, record) if call.service.returns_resources else NOTHING_SENT
    # A large chart is not kept while this call waits for the database or for a model: the record holds the resources
    # now, and a service that waits releases it.
    received.release()
    return Understood(request, filled.state, record, chart, originals, refusals, None, groups, roles)


def advise(call: Call, understood: Understood) -> Advised:
    """Return what the advisors of the service find; where none is asked the reason only.

    Raises:
        HookError: No advisor of the service can judge what it was sent.
    """
    config = call.components.in_force.digest_with(call.released)
    checked = checked_call(call, understood)
    if understood.no_advice is not None:
        silence = understood.no_advice
        return Advised(understood, no_card(silence.subject, silence.reason, silence.text), checked, config)
    service_input, advice_by_advisor = _service_input(call, understood, checked), dict[str, Advice]()
    failures: dict[str, Exception] = {}
    for advisor in call.advisors(understood.request.hook):
        try:
            advice = _find(call, advisor, service_input)
            advice_by_advisor[advisor.id] = _in_words_of_country(advice, partial(_log_failed, call, advisor.id))
        except Exception as error:
            failures[advisor.id] = error
            advice_by_advisor[advisor.id] = _not_judged(advisor, error)
        advice = advice_by_advisor[advisor.id]
        its_packages = advisor.packages_with(call.client.profile.dialect.id, advice.features)
        checked.add_cards(advisor.id, advisor.rank, advice.cards, advice.notes, its_packages, advisor.words_digest)
    if len(failures) == len(advice_by_advisor):  # nothing was judged, which is not an answer
        raise next(iter(failures.values()))
    for name, failure in failures.items():
        if not isinstance(failure, HookError):
            _log_failed(call, name, failure)
    advice = Advice.joined(advice_by_advisor)
    return Advised(understood, advice, checked, config)


def _find(call: Call, advisor: Advisor, service_input: ServiceInput) -> Advice:
    why_off = call.released.why_off(advisor.id, call.client.name)
    if why_off is not None:
        return no_card(advisor.id, SWITCHED_OFF, why_off)
    advisor.require_model()
    for key in advisor.needs.required if advisor.requires_at_once else ():
        service_input.prefetch.require(key)
    silence = advisor.reason_against(service_input.record)
    return advisor.find(service_input) if silence is None else Advice(silences=[silence])


def _log_failed(call: Call, advisor: str, failure: Exception) -> None:
    log_failure("advisor failed", failure, call.decision_id, advisor)


def _in_words_of_country(advice: Advice, log: Callable[[Exception], None]) -> Advice:
    for notes in advice.notes.values():
        notes.shorten = partial(_shorten_for_country, notes.shorten, log) if notes.shorten is not None else None
    return replace(advice, cards=[card_of_country(card) for card in advice.cards])


def _shorten_for_country(shorten: Callable[[], Card | None], log: Callable[[Exception], None]) -> Card | None:
    """Return the form of fewer words; where it cannot be written the longer one stands, and the log says so."""
    try:
        brief = shorten()
    except Exception as error:
        log(error)
        return None
    return card_of_country(brief) if brief is not None else None


def _not_judged(advisor: Advisor, error: Exception) -> Advice:
    """Return the silence of an advisor that could not judge: it costs the others nothing."""
    if isinstance(error, PreconditionFailed):
        return no_card(advisor.id, "required-data-missing", error.text)
    if isinstance(error, HookError):
        return no_card(advisor.id, FAILED, error.text)
    text = f"{advisor.title}: this was not judged, because the server failed; its log has the place."
    return no_card(advisor.id, FAILED, text)


def checked_call(call: Call, understood: Understood) -> CheckedCall:
    """Return what the checks are told of this call, as far as it follows from the chart."""
    record, user, components = understood.record, understood.request.context.user_id or "", call.components
    site, units = components.restraint.site, partial(care_units, record)
    silent = call.released.silent_mode(call.client.name, units, user)

    def recorded_user() -> str:
        return components.users.recorded(call.client.name, user) or user

    return CheckedCall(
        Caller(call.client.name, record.patient_id, call.service.id, call.service.moment(understood.request.hook)),
        call.as_of.timestamp(),
        call.released,
        site,
        units,
        silent if silent is not None else call.silent_user,
        user=recorded_user,
        from_event=call.from_event,
        named_units=named_units(record),
        is_trial=call.is_trial,
        roles=understood.roles,
        needs_approval=components.restraint.needs_approval,
        budgets=components.restraint.budgets,
        recall=PatientHistory
        if call.is_trial
        else cache(partial(components.restraint.histories.of_patient, call.client.name, record.patient_id)),
    )


def choose_versions(call: Call, patient_id: str) -> Choose:
    """Return what chooses among the versions of a model; without acts of release the one in use answers."""
    if not call.released.states:
        return in_use
    components = call.components
    return components.versions.chooser(call.released, call.client.name, patient_id, components.models.why_withheld)


def _service_input(call: Call, understood: Understood, checked: CheckedCall) -> ServiceInput:
    numbers = count(1)
    request, record, components = understood.request, understood.record, call.components
    configured, decision_id = components.settings, call.decision_id
    return ServiceInput(
        request=request,
        record=record,
        card_uuid=lambda: numbered_uuid(decision_id, next(numbers)),
        moment=call.service.moment(request.hook),
        thresholds=components.thresholds,
        kfre_region=configured.kfre_region,
        max_drafts=configured.max_drafts,
        public_url=configured.public_url,
        decision_id=decision_id,
        predict=each_once(call.predict),
        why_withheld=components.models.why_withheld,
        is_preview=configured.trust_file is None,
        choose=choose_versions(call, record.patient_id),
        why_not_released=lambda kind, name: checked.released.why_withheld(
            kind, name, checked.caller.client, checked.caller.patient
        ),
        suppress=components.restraint.check_findings(checked),
        prefetch=understood.prefetch,
        takes_system_actions=call.client.profile.takes_system_actions,
        sent=understood.originals,
    )


def hold_back(call: Call, advised: Advised, cards: Sequence[Card]) -> Selected:
    """Return the cards that are shown now, with a reason for each that is not."""
    advice, checked = advised.advice, advised.checked
    unread = advised.understood.unread(call.service.advisors)
    call.stages.end("decide")
    reasons = [reason for reason in dict.fromkeys(checked.withheld.values()) if reason not in advice.silences]
    silences = advice.silences + reasons + unread
    actions = advice.system_actions
    if actions and checked.silent is not None:
        silences = [*silences, WhyNot("systemActions", SILENT_MODE, checked.silent)]
        actions = []
    elif actions and (withheld := why_package_withheld(checked)) is not None:
        silences, actions = [*silences, withheld], []
    return Selected(
        advised=advised,
        cards=cards,
        silences=silences,
        worklist=advice.worklist + checked.worklist,
        units=checked.recorded_units,
        system_actions=actions,
    )


def write(call: Call, selected: Selected) -> Answered:
    """Return the response in the shape of this client, with the decision to be recorded.

    Raises:
        CardError: A card breaks the specification; it does not leave.
    """
    request = selected.advised.understood.request
    timings = call.stages.milliseconds if request.wants_timings else None
    cards = _shaped_cards(call, selected)
    silences = silences_of_country(selected.silences)
    is_first_version = request.extension_version == 1
    open_silences = [silence for silence in silences if silence.reason not in LOOKED and not has_looked(silence)]
    response = encode_response(
        cards,
        call.decision_id,
        in_words(silences) if is_first_version else open_silences,
        timings,
        selected.worklist,
        selected.system_actions,
        None if is_first_version else _looked(call, selected),
    )
    answer = Answered(_decision(call, selected, response), selected)
    call.stages.end("encode")
    return answer


def _looked(call: Call, selected: Selected) -> str:
    """Return what this call looked at; "" where nothing was."""
    understood = selected.advised.understood
    if understood.no_advice is not None:
        return ""
    not_asked = {silence.subject for silence in selected.silences if silence.reason in _NOT_ASKED}
    advisors = (advisor.id for advisor in call.advisors(understood.request.hook) if advisor.id not in not_asked)
    return text_of_country(looked_at(selected.silences, advisors))


def _shaped_cards(call: Call, selected: Selected) -> Sequence[Card | dict[str, Any]]:
    """Return the cards with the links, the note on what could not be had, and the shape that this client gets."""
    client, configured = call.client, call.components.settings
    prefetch = selected.advised.understood.prefetch
    page = f"{configured.public_url}/explain/{call.decision_id}"
    cards = link_cards(selected.cards, page, client, call.decision_id, configured)
    if prefetch.note is not None:
        notes = selected.advised.checked.notes.items()
        reads = {uuid: of_card.reads for uuid, of_card in notes if of_card.reads is not None}
        cards = with_prefetch_note(cards, prefetch, reads)
    return cards if client.profile.needs_no_shaping else shape_cards(cards, client.profile)


def _decision(call: Call, selected: Selected, response: bytes) -> Decision:
    """Return what is recorded of an answered call."""
    components, advised = call.components, selected.advised
    understood, advice = advised.understood, advised.advice
    request = understood.request
    inputs = encode_inputs(understood.record.as_of, advice.features, advice.orders, advice.vaccinations)
    chart, facts = understood.chart, None
    if components.settings.keep_facts:
        given = understood.originals.given
        facts = write_facts(
            request, understood.refusals, understood.prefetch, given, advice.orders, response, understood.roles
        )
    is_recorded = chart is not None and chart.row is not None
    basis = Basis(
        timings=call.stages.milliseconds,
        config=advised.config,
        moment=call.service.like.get(request.hook, ""),
        units=selected.units,
        withheld={key: selected.silences.index(reason) for key, reason in advised.checked.withheld.items()} or None,
        groups=(understood.groups or ()) if advice.scores is not None else (),
        chart=chart.hash.hex() if chart is not None and not is_recorded else "",
        trace=call.trace.recorded if call.trace is not None else None,
        prefetch=understood.prefetch.basis,
        scores=advice.scores,
        silence=[(silence.subject, silence.reason, silence.text) for silence in selected.silences] or (),
    )
    outcome: Literal["cards", "silent"] = "cards" if selected.cards or selected.system_actions else "silent"
    recorded_chart = chart.hash if chart is not None and is_recorded else None
    return _recorded(call, request, outcome, inputs, basis, response, advice.models, facts, recorded_chart)


def _recorded(
    call: Call,
    request: CDSRequest | None,
    outcome: Literal["cards", "silent", "error"],
    inputs: bytes,
    basis: Basis,
    response: bytes,
    models: Sequence[dict[str, str]] = (),
    facts: bytes | None = None,
    chart: bytes | None = None,
) -> Decision:
    user = request.context.user_id if request is not None else None
    return Decision(
        id=call.decision_id,
        decided_at=time_ns() // 1000,
        hook=request.hook if request is not None else "",
        service=call.service.id,
        hook_instance=request.hook_instance if request is not None else "",
        client=f"{TRIAL}{call.client.name}" if call.is_trial else call.client.name,
        patient=request.context.patient_id if request is not None else "",
        outcome=outcome,
        input_digest=sha256(inputs).hexdigest(),
        models=encode_part(models),
        response=response,
        basis=encode_basis(inputs, basis),
        user_id=call.components.users.recorded(call.client.name, user),
        estimated_by=estimated_by(basis.scores),
        facts=facts,
        chart=chart,
    )


class ReceivedBody:
    """A call that came in: everything is in the bytes of its body, or is fetched for it."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def read_request(self, call: Call) -> CDSRequest:
        """Return the request that the body is; see `protocol/request.py` for what it raises."""
        limits = call.components.settings
        return read_request(
            self._body,
            call.service.answers,
            call.client.profile.dialect.actual_hook,
            EntryLimits(limits.max_entries_per_key, limits.max_entries),
            partial(call.components.visits.of_patient, call.client.name),
        )

    def prefetch(self, call: Call, request: CDSRequest) -> FilledPrefetch:
        """Return the prefetch of the body."""
        templates = call.service.templates_read_for(call.client.profile.version).for_user(request.context.user_id or "")
        read = request.read
        if read is None or read.state is None or read.state[0] is not templates:
            state = inspect_prefetch(request.prefetch, templates, call.as_of.timestamp())
            if read is None:
                return FilledPrefetch(request.prefetch, state)
            read.state = templates, state
        return FilledPrefetch(request.prefetch, read.state[1])

    def read_chart(self, call: Call, request: CDSRequest, filled: FilledPrefetch) -> tuple[PatientRecord, SentChart]:
        """Return the facts of the resources; BadRequest where one of them is about another patient."""
        settings, patient_id = call.components.settings, request.context.patient_id
        read = request.read
        prefetch = read if read is not None and read.is_kept and read.has_all(filled.values) else None
        chart = prefetch.chart if prefetch is not None else None
        if chart is None:
            chart = self._read(request, filled, keeps=settings.keep_facts)
            if prefetch is not None:
                prefetch.chart = chart
        resources = chart.resources.with_refusals(
            (*request.refusals, *filled.refusals, *chart.refusals, *filled.state.refusals)
        )
        requested, encounter = filled.state.looked_up, request.context.encounter_id
        read_with = (requested, encounter, tuple(resources.refusals), call.as_of.date(), tables_in_use())
        kept_with, record = chart.record or (None, None)
        if record is None or kept_with != read_with:
            opted_out = settings.opt_out_codes
            record = record_of_resources(resources, patient_id, call.as_of, requested, encounter, opted_out)
            record = filled.state.known_in(record)
            chart.record = read_with, record
        return record, chart

    @staticmethod
    def _read(request: CDSRequest, filled: FilledPrefetch, *, keeps: bool) -> SentChart:
        patient_id = request.context.patient_id
        try:
            resources = read_resources(filled.values, patient_id)
            chart = encode_chart(resources, patient_id)
            values, refusals = readable_texts(filled.values, chart)
            if refusals:
                resources = read_resources(values, patient_id)
                chart = encode_chart(resources, patient_id)
        except WrongPatient as error:
            key, entry = place_in(filled.values, error.resource) or ("", None)
            if key not in {state.template.key for state in filled.state.states}:  # a client's own key may say anything
                raise BadRequest(str(error), "prefetch") from error
            place = f"prefetch.{key}" if entry is None else f"prefetch.{key}.entry[{entry}]"
            raise BadRequest(error.at(place), f"prefetch.{key}") from error
        if not keeps:
            return SentChart(resources, refusals, sha256(chart).digest(), None)
        row = keep_chart(chart)
        return SentChart(resources, refusals, row.hash, row)

    def roles_of_user(self, call: Call, request: CDSRequest, filled: FilledPrefetch) -> tuple[str, ...]:
        """Return what the PractitionerRoles of the prefetch say; every key is read of a client with own names."""
        if "PractitionerRole" not in filled.state.looked_up:
            return ()
        values = [filled.values[key] for key in _KEYS_OF_ROLES if key in filled.values] or filled.values.values()
        entries = [entry.resource for value in values if isinstance(value, Bundle) for entry in value.entry]
        return roles_of_user([*entries, *values], request.context.user_id or "", call.as_of)

    def originals(self, filled: FilledPrefetch, record: PatientRecord) -> Sent:
        """Return the body and the pages that were fetched."""
        return Sent((self._body, *filled.bodies), () if filled.bodies else record.resources.kinds)


async def _record(call: Call, answer: Answered) -> None:
    """Commit the decision, then count and remember what is shown.

    RecordFailed where it cannot be committed, because without a record there is no advice.
    """
    chart = answer.selected.advised.understood.chart
    await _commit(call, answer.decision, chart.row if chart is not None and not chart.is_committed else None)
    if chart is not None:
        chart.is_committed = True
    components, selected, trace = call.components, answer.selected, call.trace
    if not call.is_trial:
        components.restraint.note_shown(selected.cards, selected.advised.checked)
    call.stages.end("record")
    hook, cards, silences = answer.decision.hook, selected.cards, selected.silences
    if not call.is_trial:
        found_by = {uuid: notes.advisor for uuid, notes in selected.advised.checked.notes.items()}
        components.metrics.answered(call.service.id, hook, cards, silences, call.stages.seconds, found_by)
        record = selected.advised.understood.record
        components.metrics.not_understood(call.client.name, gaps(record), unreadable_codes(record))
    if trace is not None:
        trace.say(hook=hook, cards=len(cards), silences=len(silences), bytes=len(answer.decision.response))
        trace.count_prefetch(state.state for state in selected.advised.understood.prefetch.states)


def _refusal(call: Call, received: Received | None, error: HookError) -> Decision:
    """Return what is recorded of a call that is answered with an error: as much as is known of it.

    `cds-hooks settings --prefetch-rates` counts it.
    """
    if isinstance(error, CallTimedOut):
        reason = WhyNot("call", "timed-out", error.text)
    else:
        reason = WhyNot(error.expression or "prefetch", "required-data-missing", error.text)
    request = received.request if received is not None else None  # its time may be over before it was read
    prefetch = received.filled.state if received is not None else NO_PREFETCH
    basis = Basis(
        timings=call.stages.milliseconds,
        trace=call.trace.recorded if call.trace is not None else None,
        prefetch=prefetch.basis,
        silence=[(reason.subject, reason.reason, reason.text)],
    )
    inputs, response = encode_inputs(call.as_of, None, None), operation_outcome(error, call.decision_id)
    return _recorded(call, request, "error", inputs, basis, response)


async def _commit(call: Call, decision: Decision, chart: StoredChart | None = None) -> None:
    try:
        await call.components.decisions.append(decision, chart)
    except RecordUnavailable as error:
        raise RecordFailed("The decision could not be recorded, so no advice is given. Try again later.") from error
