"""How coverage requirements are answered: orders and coverages of a call, and what is said of each pair."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any, Final

import msgspec

from cards.card import Action, Card
from cards.coverage.annotation import coverage_information, of_coverage, says_the_same, values_of, with_extension
from cards.coverage.approval import finding_of
from cards.coverage.cards import (
    ANSWER,
    DOCUMENT,
    INSURANCE,
    STEPS,
    TYPES,
    Annotated,
    answer_card,
    describe,
    document_card,
    steps_card,
)
from cards.coverage.determination import Circumstances, Determination, determine, find_payer
from cards.coverage.order import ORDER_TYPES, Json, OrderFacts, dicts, is_for_patient, misshapen, read_order
from cards.coverage.policy import Payer, Policies
from cards.coverage.questionnaire import answers_of, canonical
from cards.coverage.seen import Subject
from cards.coverage.store import policies, proposals
from cards.coverage.words import participants_of
from cards.text import plain
from cds_hooks.call.protocol.hooks import APPOINTMENT_BOOK, ORDER_DISPATCH, ORDER_SIGN
from cds_hooks.call.protocol.originals import OriginalOrders, Sent, entries_in
from cds_hooks.call.services._payer_proposals import coverage_cards, proposed
from cds_hooks.call.services._service import Advice, ServiceInput, unknown_selection
from cds_hooks.errors import BadRequest
from fhir.record.record import id_of_reference, relative_reference
from fhir.record.refusals import WhyNot

SUBJECT: Final = "coverage-requirements"
_PRIMARY: Final = frozenset({ORDER_SIGN, ORDER_DISPATCH, APPOINTMENT_BOOK})
"""The hooks at which CRD expects an answer; at the others nothing is said of documents (CRD requirement 167)."""
_CONFIGURATION: Final = "davinci-crd.configuration"
_KEPT_AS: Final = "davinci-crd-configuration"
_STATES: Final = {"california": "CA", "florida": "FL", "ohio": "OH", "pennsylvania": "PA"}
_LONGEST: Final = 80
_ENDED: Final = frozenset({"entered-in-error", "draft", "cancelled"})


def advise(call: ServiceInput) -> Advice:
    """Return what the payers of this patient answer to the orders of the call.

    Raises:
        BadRequest: The orders cannot be read, or something is about another patient.
        PayloadTooLarge: There are more orders than one call may have judged.
    """
    rules, chart = policies(), _Sent(call)
    options = _options(call)
    advice = Advice(scores={"coverage": {"policies": rules.version}})
    orders = list(_orders(call, chart, advice))
    judged = [order.reference for order in orders]
    advice.orders = {"drafts": getattr(call.request.context, "draft_orders", None), "judged": judged}
    if not orders:
        if not advice.silences:
            advice.silences.append(WhyNot(SUBJECT, "nothing-to-judge", "No order came with the call."))
        return advice
    pairs = _coverages(call, chart, rules, advice)
    if pairs:
        here = _circumstances(call, chart, rules, orders)
        for order in orders:
            _answer(call, order, pairs, here, options, advice)
    if options[INSURANCE.code] and call.request.hook in _PRIMARY and (rows := proposals()).members:
        patient = chart.find(f"Patient/{call.record.patient_id}") or {}
        advice.cards += coverage_cards(call, rows, pairs, rules.payers.values(), patient)
    return advice


class _Sent:
    """The client's own JSON of what the record does not hold."""

    def __init__(self, call: ServiceInput) -> None:
        self._sent = call.sent
        self._by_kind: dict[str, list[Json]] = {}

    def every(self, kind: str) -> list[Json]:
        """All resources of a type; the body is looked through once for it."""
        if kind not in self._by_kind:
            resources = OriginalOrders(self._sent, kind).every()
            self._by_kind[kind] = [_in_shape(resource, "prefetch") for resource in resources]
        return self._by_kind[kind]

    def find(self, reference: str) -> Json | None:
        """Return the resource of this reference."""
        resource = OriginalOrders(self._sent, reference.partition("/")[0]).original(reference)
        return _in_shape(resource, "prefetch") if resource is not None else None

    def by_reference(self, *kinds: str) -> Mapping[str, Json]:
        """All resources of these types by their references."""
        return {f"{kind}/{resource['id']}": resource for kind in kinds for resource in self.every(kind)}


def _in_shape(resource: Json, where: str) -> Json:
    """Return the resource; BadRequest where a member that is read of it has another JSON type than FHIR gives it."""
    if (member := misshapen(resource)) is not None:
        raise BadRequest(f"{member} does not have the JSON type that FHIR gives it; nothing was judged.", where)
    return resource


# What the client wants


def _options(call: ServiceInput) -> Mapping[str, bool]:
    """Which types of cards the client takes; what it says that is not a boolean of a known type is ignored."""
    given = _configuration(call)
    return {kind.code: given[kind.code] if isinstance(given.get(kind.code), bool) else True for kind in TYPES}


def _configuration(call: ServiceInput) -> Json:
    if _CONFIGURATION.encode() not in call.request.extension:
        # A replay has it beside the client's orders, where a call that came in has what was fetched, if anything.
        is_kept = any(_KEPT_AS.encode() in page for page in call.sent[1:])
        kept = OriginalOrders(call.sent, "Parameters").by_id(_KEPT_AS) if is_kept else None
        return (kept or {}).get("configuration") or {}
    given = msgspec.json.decode(call.request.extension)
    extension = given.get(_CONFIGURATION) if isinstance(given, dict) else None
    if not isinstance(extension, dict):
        return {}
    if isinstance(call.sent, Sent):  # what a decision is computed with is kept with its facts
        parameters = {"resourceType": "Parameters", "id": _KEPT_AS, "configuration": extension}
        call.sent.given[f"Parameters/{_KEPT_AS}"] = parameters
    return extension


# Orders


def _orders(call: ServiceInput, chart: _Sent, advice: Advice) -> Iterator[OrderFacts]:
    resources = _resources(call, chart, advice)
    call.require_at_most(resources, "context")
    sites = chart.by_reference("Location", "Organization")
    for resource in resources:
        if not is_for_patient(resource, call.record.patient_id):
            place = _place(resource, call)
            text = f"An order (`{place}`) is for another patient than context.patientId; nothing was judged."
            raise BadRequest(text, place)
        order = read_order(_as_meant(resource, chart, call), sites)
        if order is None:
            kind, identity = (
                str(resource.get("resourceType") or "A resource without a type"),
                str(resource.get("id", "")),
            )
            name = plain(f"{kind}/{identity}" if identity else f"{kind} without an id", _LONGEST)
            advice.silences.append(WhyNot(name, "not-an-order", f"{name} is not an order for which payers have rules."))
        else:
            yield msgspec.structs.replace(order, resource=resource)


def _resources(call: ServiceInput, chart: _Sent, advice: Advice) -> list[Json]:
    context: Any = call.request.context
    if hasattr(context, "draft_orders"):
        drafts = _entries(context.draft_orders, "context.draftOrders")
        if not hasattr(context, "selections"):
            return drafts
        wanted = [id_of_reference(name) for name in context.selections]
        ids = {draft.get("id") for draft in drafts}
        advice.silences += [unknown_selection(n) for n, name in enumerate(wanted) if name not in ids]
        return [draft for draft in drafts if draft.get("id") in wanted]
    if hasattr(context, "appointments"):
        return _entries(context.appointments, "context.appointments")
    if hasattr(context, "dispatched_orders"):
        dispatched = []
        references = dict.fromkeys(map(relative_reference, context.dispatched_orders))
        call.require_at_most(references, "context.dispatchedOrders")
        for reference in references:
            resource = chart.find(reference) if reference.partition("/")[0] in ORDER_TYPES else None
            if resource is not None:
                dispatched.append(resource)
            else:
                name = plain(reference, _LONGEST)
                advice.silences.append(WhyNot(name, "order-not-found", f"{name} did not come: not judged."))
        return dispatched
    visit = f"Encounter/{context.encounter_id}"
    return [
        order
        for kind in ("ServiceRequest", "DeviceRequest", "MedicationRequest")
        for order in chart.every(kind)
        if order.get("status") in ("active", "draft")
        and relative_reference(str((order.get("encounter") or {}).get("reference", ""))) == visit
    ]


def _place(resource: Json, call: ServiceInput) -> str:
    """Say where an order stands in the call, without its id: that may name a patient."""
    context: Any = call.request.context
    for name, field in (("draftOrders", "draft_orders"), ("appointments", "appointments")):
        if hasattr(context, field):
            entries = entries_in(getattr(context, field), f"context.{name}")
            resources = [entry.get("resource") if isinstance(entry, dict) else None for entry in entries]
            return f"context.{name}.entry[{resources.index(resource)}]"
    if hasattr(context, "dispatched_orders"):
        named = f"{resource.get('resourceType')}/{resource.get('id')}"
        references = [*map(relative_reference, context.dispatched_orders)]
        return f"context.dispatchedOrders{f'[{references.index(named)}]' if named in references else ''}"
    return "context.encounterId"


def _entries(raw: bytes, where: str) -> list[Json]:
    resources = [entry.get("resource") for entry in entries_in(raw, where) if isinstance(entry, dict)]
    return [_in_shape(resource, where) for resource in resources if isinstance(resource, dict)]


def _as_meant(resource: Json, chart: _Sent, call: ServiceInput) -> Json:
    """Return an appointment without a code as its order says it, a dispatched order with who performs it."""
    performer = getattr(call.request.context, "performer", None)
    if isinstance(performer, str) and performer:
        return {**resource, "performer": [{"reference": performer}]}
    if resource.get("resourceType") != "Appointment" or resource.get("serviceType"):
        return resource
    for entry in resource.get("basedOn") or ():
        order = chart.find(relative_reference(str(entry.get("reference", "")))) if isinstance(entry, dict) else None
        if order is not None and isinstance(order.get("code"), dict):
            return {**resource, "serviceType": [order["code"]]}
    return resource


# Coverages


def _coverages(call: ServiceInput, chart: _Sent, rules: Policies, advice: Advice) -> list[tuple[Json, Payer]]:
    """Return the coverages of the patient whose payers have rules here, and reasons for the others."""
    pairs, organizations = [], chart.by_reference("Organization")
    coverages = [entry for entry in chart.every("Coverage") if entry.get("status") not in _ENDED]
    if not coverages:
        is_known = call.record.was_requested("Coverage")
        text = "The patient has no coverage on record." if is_known else "The coverage of the patient did not come."
        advice.silences.append(WhyNot(SUBJECT, "no-coverage" if is_known else "coverage-missing", text))
    for coverage in coverages:
        beneficiary = relative_reference(str((coverage.get("beneficiary") or {}).get("reference", "")))
        if beneficiary.startswith("Patient/") and beneficiary != f"Patient/{call.record.patient_id}":
            raise BadRequest("A Coverage is of another patient than context.patientId; nothing was judged.", "prefetch")
        payer = find_payer(coverage, rules, organizations)
        if payer is not None:
            pairs.append((coverage, payer))
            continue
        names = [str(entry.get("display")) for entry in coverage.get("payor") or () if entry.get("display")]
        name = plain(names[0] if names else "this payer", _LONGEST)
        reference = plain(f"Coverage/{coverage['id']}", _LONGEST)
        advice.silences.append(WhyNot(reference, "no-rules-for-payer", f"There are no rules of {name} here."))
    return pairs


def _circumstances(call: ServiceInput, chart: _Sent, rules: Policies, orders: Iterable[OrderFacts]) -> Circumstances:
    record = call.record
    participants = participants_of(chart.every("Encounter"))
    subject = Subject(record, record.as_of.date(), None, participants)
    together = {order.reference: frozenset(code for _, code in order.codes) for order in orders}
    answers = answers_of(chart.every("QuestionnaireResponse"), rules, record.patient_id)
    state = _state(chart, record.patient_id)
    return Circumstances(rules, subject, state, chart.every("ClaimResponse"), answers, together)


def _state(chart: _Sent, patient_id: str) -> str | None:
    patient = chart.find(f"Patient/{patient_id}") or {}
    addresses = [entry for entry in patient.get("address") or () if isinstance(entry, dict) and entry.get("state")]
    addresses.sort(key=lambda entry: (entry.get("use") == "old", entry.get("use") != "home"))
    if not addresses:
        return None
    state = str(addresses[0]["state"]).strip()
    return state.upper() if len(state) == 2 else _STATES.get(state.lower(), state)


# Answers


def _answer(
    call: ServiceInput,
    order: OrderFacts,
    pairs: Iterable[tuple[Json, Payer]],
    here: Circumstances,
    options: Mapping[str, bool],
    advice: Advice,
) -> None:
    updated, annotated = order.resource, []
    for coverage, payer in pairs:
        reference = f"Coverage/{coverage['id']}"
        if order.insurance and reference not in order.insurance:
            continue
        answer = determine(order, coverage, payer, here)
        if answer is None:
            advice.silences.append(_no_rule(order, payer))
            continue
        if (silence := _not_in_use(call, answer, here.policies)) is not None:
            advice.silences.append(silence)
            continue
        answer = _for_hook(answer, call.request.hook)
        extension = _extension(call, order, answer, here)
        earlier = of_coverage(order.resource, reference)
        if earlier and says_the_same(extension, earlier[-1]):
            advice.silences.append(_unchanged(order, earlier[-1]))
            continue
        updated = with_extension(updated, extension, earlier)
        annotated.append(answer)
    words = _words_of(order)
    notes = [Annotated(answer, updated, words) for answer in annotated]
    if notes and options[ANSWER.code] and call.takes_system_actions:
        text = "; ".join(f"{answer.payer.name}: {describe(answer)}" for answer in annotated)
        advice.system_actions.append(Action(type="update", description=f"Notes on the order: {text}", resource=updated))
    ordered = frozenset[str]().union(*here.together.values())
    for note in notes:
        advice.cards += _cards(call, note, options)
        if call.request.hook in _PRIMARY:
            advice.cards += proposed(call, note, proposals(), ordered, options, _base(call))


def _not_in_use(call: ServiceInput, answer: Determination, rules: Policies) -> WhyNot | None:
    """Why a policy of the payer's own is not in use at this site: switched off, or not approved in this version."""
    if answer.policy is None or answer.payer.id not in rules.own_payers:
        return None
    return call.suppress(finding_of(answer.policy))


def _cards(call: ServiceInput, note: Annotated, options: Mapping[str, bool]) -> Iterator[Card]:
    if options[ANSWER.code] and not call.takes_system_actions:
        yield answer_card(note, call.card_identity())
    if call.request.hook not in _PRIMARY:
        return
    steps = steps_card(note, call.card_identity()) if options[STEPS.code] else None
    if steps is not None:
        yield steps
    is_worth_reading = note.answer.doc_needed is not None or note.answer.covered == "not-covered"
    document = document_card(note, call.card_identity()) if options[DOCUMENT.code] and is_worth_reading else None
    if document is not None:
        yield document


def _for_hook(answer: Determination, hook: str) -> Determination:
    """At hooks early in the work nothing is said of documents, which come later."""
    if hook in _PRIMARY:
        return answer
    return msgspec.structs.replace(answer, doc_needed=None, doc_purpose=None)


def _extension(call: ServiceInput, order: OrderFacts, answer: Determination, here: Circumstances) -> Json:
    today = here.subject.day
    day: date = order.days[0] if order.days else today
    form = None
    if answer.criteria is not None and any(criterion.question for criterion in answer.missing):
        form = canonical(_base(call), answer.payer, answer.criteria)
    return coverage_information(answer, call.card_uuid(), today, day, form)


def _base(call: ServiceInput) -> str:
    """Return the address below which the forms of this server stand."""
    return f"{call.public_url}/cds-services/{SUBJECT}"


def _no_rule(order: OrderFacts, payer: Payer) -> WhyNot:
    name = plain(order.reference, _LONGEST)
    codes = ", ".join(code for _, code in order.codes) or "an order without a billing code"
    return WhyNot(name, "no-rules-for-code", f"{payer.name} has no rule here for {plain(codes, _LONGEST)}.")


def _unchanged(order: OrderFacts, earlier: Json) -> WhyNot:
    values = values_of(earlier)
    name = plain(order.reference, _LONGEST)
    identity = plain(str((values.get("coverage-assertion-id") or ["?"])[0]), _LONGEST)
    return WhyNot(name, "unchanged", f"The answer {identity} on the order still holds: nothing is new.")


def _words_of(order: OrderFacts) -> str:
    resource = order.resource
    concept = resource.get("code") or resource.get("codeCodeableConcept") or resource.get("medicationCodeableConcept")
    concept = concept if isinstance(concept, dict) else {}
    texts = [concept.get("text"), *(coding.get("display") for coding in dicts(concept.get("coding")))]
    codes = ", ".join(code for _, code in order.codes)
    return plain(next((text for text in texts if isinstance(text, str) and text.strip()), codes or order.reference), 60)
