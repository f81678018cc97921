"""Suggestions that can be accepted: the corrected draft, its removal, another order, a test; judged before offered.

A change, a substitute or an addition goes through all rules as if it had been accepted, and so do the other drafts
beside it; it is withheld where one of them would find something that finds nothing now, where the patient is allergic
to it or takes it already. What is sent is validated as FHIR R4B: a fault that the client's draft already had does not
count, a new one does.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from cards.amend import NotChangeable, amend
from cards.card import Action, Suggestion
from cards.fhir_validity import new_faults
from cards.new_orders import lab_order, medication_order
from cards.replacements import may_wait, why_kept, why_unfit
from cards.rules.engine.finding import OfferedSuggestion, RuleFinding
from cards.rules.engine.rule_book import DraftEvaluation, RuleBook
from cards.rules.language.rule import LabOrder, NewOrder, OrderChange, SuggestionTemplate
from cards.rules.language.site import why_unavailable
from cards.rules.patient.orders import CurrentMedication, DraftMedication, DraftOrder, read_draft
from cards.rules.patient.session import PatientSession
from cards.text import decapitalized, plain
from fhir.record.datatypes import DAY_SECONDS, parse_time
from fhir.record.refusals import WhyNot
from fhir.terminology.analytes import LOINC

Json: TypeAlias = dict[str, Any]
NewUuid: TypeAlias = Callable[[], str]
FoundBands: TypeAlias = frozenset[tuple[str, str]]
FindOriginal: TypeAlias = Callable[[str], Json | None]


class OrderCheck:
    """The orders of one call: what is found about each of them, judged once, and how much their suggestions may cost.

    `original` gives the client's own JSON of an active order ('MedicationRequest/7'), None where it is not available.
    """

    def __init__(self, session: PatientSession, book: RuleBook, new_uuid: NewUuid, original: FindOriginal) -> None:
        self.session = session
        self.book = book
        self.new_uuid = new_uuid
        self.original = original
        self._evaluations: dict[int, DraftEvaluation] = {}
        # Drafts judge each other, and a client can send many: ten drafts with two substitutes each take two hundred.
        self._judgements_left = 500
        # A decision has uuids for 2,040 things in all.
        self._names_left = 1000

    def evaluate(self, drafted: DraftMedication) -> DraftEvaluation:
        """Return what is found about a draft as the drafts are now."""
        evaluation = self._evaluations.get(id(drafted))
        if evaluation is None:
            evaluation = self._evaluations[id(drafted)] = self.book.evaluate(self.session, drafted)
        return evaluation

    def name_offered(self) -> str:
        """Return the uuid of a suggestion or of an order in it; raises SuggestionWithheld where there is none left."""
        if self._names_left <= 0:
            raise SuggestionWithheld("too many drafts came together to offer more")
        self._names_left -= 1
        return self.new_uuid()

    def refuse_new(self, after: PatientSession, drafted: DraftMedication, expected: FoundBands) -> None:
        """SuggestionWithheld where a finding beside the known ones would be shown of a draft after acceptance."""
        if self._judgements_left <= 0:
            raise SuggestionWithheld("too many drafts came together to judge it beside all of them")
        self._judgements_left -= 1
        new_findings = self.book.evaluate(after, drafted).finding_keys - expected
        if new_findings:
            raise SuggestionWithheld(f"because it would get a card itself ({', '.join(min(new_findings))})")


class SuggestionWithheld(Exception):
    """A suggestion that is not offered; the message says why."""


class _Plan:
    """What the drafts are when the actions so far of a suggestion for a draft have been carried out."""

    def __init__(self, finding: RuleFinding, drafted: DraftMedication, check: OrderCheck, *, is_removed: bool) -> None:
        self.finding = finding
        self.drafted = drafted
        self.check = check
        self.session = check.session
        self.is_removed = is_removed
        self.drafts = [entry for entry in check.session.drafts if not (is_removed and entry is drafted.draft)]


def suggestions_for(
    finding: RuleFinding, drafted: DraftMedication, check: OrderCheck
) -> tuple[list[Suggestion], list[WhyNot]]:
    """Return the suggestions of a finding that are safe for this patient, and why the others are withheld."""
    offered: list[Suggestion] = []
    withheld: list[WhyNot] = []
    for declared_offer in finding.suggestions:
        offer = _without_hold(declared_offer, drafted)
        label = _label(offer, finding, is_active=check.session.active_orders)
        plan = _Plan(finding, drafted, check, is_removed=offer.suggestion.declared.takes_draft_away)
        try:
            # New orders first, removals last: a client that carries out the first action alone loses nothing. For those
            # that keep to the specification the order means nothing: all actions go together (SUG-06).
            actions = tuple(sorted(_actions(offer, label, plan), key=lambda action: _FIRST_TO_LAST.index(action.type)))
            uuid = check.name_offered()
        except SuggestionWithheld as reason:
            text = f"{label.replace(f' {_DOSE}', '')}: not offered, {reason}."
            withheld.append(WhyNot(finding.rule, "suggestion-withheld", text))
        else:
            label = label.replace(_DOSE, _dose_of(actions)) if _DOSE in label else label
            recommended = offer.is_recommended and not any(suggestion.is_recommended for suggestion in offered)
            offered.append(Suggestion(label=label, uuid=uuid, is_recommended=recommended, actions=actions))
    return offered, withheld


_FIRST_TO_LAST: Final = ("create", "update", "delete")


def _without_hold(offer: OfferedSuggestion, drafted: DraftMedication) -> OfferedSuggestion:
    """Return the tests alone where the order would be held for them and the drug is one that does not wait."""
    declared = offer.suggestion.declared
    if not declared.hold or not declared.orders or may_wait(drafted.medication):
        return offer
    orders_tests = replace(declared, hold=False, label=_order_of(declared.orders))
    return replace(offer, suggestion=replace(offer.suggestion, declared=orders_tests))


_DOSE: Final = "{dose}"
_IN_BRACKETS: Final = re.compile(r" \([^)]*\)")


def _dose_of(actions: Iterable[Action]) -> str:
    """Return what the new order says of dose and interval, for the label of a suggestion."""
    dosages = (((action.resource or {}).get("dosageInstruction") or [{}])[0] for action in actions)
    text: str = next(dosage["text"] for dosage in dosages if "text" in dosage)
    return _IN_BRACKETS.sub("", text).partition(",")[0]


def _label(offer: OfferedSuggestion, finding: RuleFinding, *, is_active: bool) -> str:
    """Return the label with the names of the other drugs of a pair; {dose} is filled when the order is written."""
    label = _declared_label(offer, is_active=is_active)
    if "{other}" not in label:
        return label
    if not is_active and all(partner.draft is not None for partner in finding.partners):  # nothing is taken yet
        label = _STOP.sub("Remove the drafted {other}", label)
    sources = {partner.source for partner in finding.partners}
    names = [str(fact.value) for fact in finding.facts if fact.name == "medication" and fact.source in sources]
    return label.replace("{other}", " and ".join(dict.fromkeys(names)))


_STOP: Final = re.compile(r"^(?:Switch: stop|Stop) \{other\}")
_AND_ORDER: Final = " and order "


def _stands_without_tests(declared: SuggestionTemplate) -> bool:
    """Whether the suggestion adds a drug and a test, and without the test, ordered already, still adds the drug."""
    return bool(declared.create and declared.orders) and _AND_ORDER in declared.label


def _declared_label(offer: OfferedSuggestion, *, is_active: bool) -> str:
    if offer.change is not None and offer.change.label is not None:
        return offer.change.label
    declared = offer.suggestion.declared
    if not offer.orders and _stands_without_tests(declared):  # the test is ordered already
        return declared.label.partition(_AND_ORDER)[0]
    if " and " in declared.label and 0 < len(offer.orders) < len(declared.orders) and not declared.takes_draft_away:
        return _order_of(declared.orders[position] for position in offer.orders)
    return declared.label_of(is_active=is_active)


def _order_of(tests: Iterable[LabOrder]) -> str:
    names = (test.name if not test.name[1:].islower() else decapitalized(test.name) for test in tests)
    return f"Order {' and '.join(names)}"


def _actions(offer: OfferedSuggestion, label: str, plan: _Plan) -> Iterator[Action]:
    declared = offer.suggestion.declared
    if declared.orders and not offer.orders and not _stands_without_tests(declared):
        raise SuggestionWithheld("the test is ordered already")
    if offer.is_of_adult:
        raise SuggestionWithheld("the dose is an adult's and the patient is a child")
    tests = [_test(offer, position, plan) for position in offer.orders]
    plan.drafts += [read_draft(test.resource) for test in tests if test.resource is not None]
    if declared.cancel:
        is_milder = declared.only_removes and plan.finding.indicator != "critical"
        if declared.only_removes:
            _check_may_go(plan, is_milder=is_milder)
        is_taken = plan.session.active_orders and plan.drafted.draft.kind == "MedicationRequest"
        if is_milder and is_taken and plan.finding.asks == "change":
            raise SuggestionWithheld("the finding asks for a change and not for an end")
        if is_taken:
            _check(why_kept("team", plan.drafted.medication, plan.session))
        yield _removal(plan)
    if declared.hold:
        yield from _on_hold(plan)
    if declared.cancel and declared.create:
        # Left running, active orders of the drug that is replaced would go on beside it.
        for medication, order in _active_orders(plan.drafted.medication.rxcuis, plan):
            yield _with_status(order, "stopped", medication, plan)
    if declared.stop_partner is not None or declared.change_partner is not None:
        for partner in plan.finding.partners:
            yield _partner_action(partner, declared, label, plan)
            if declared.stop_partner is not None and partner.draft is None:
                yield from _others_of(partner, declared.stop_partner, plan)
        if not declared.takes_draft_away and offer.change is None:
            _check_draft_stays(plan)
    if offer.change is not None and offer.change.is_of_study:
        yield from _other_study(offer.change, label, plan)
    elif offer.change is not None:
        days = None if declared.in_steps else offer.change.duration_days
        if days is not None and _is_taken_longer(plan, days):
            raise SuggestionWithheld(f"it has been taken for more than {days} days already")
        yield from _correction(offer.change, label, plan)
    if declared.create:
        yield _new_order(declared.create, plan)
    yield from tests


# FHIR R4, request-status: an active order is ended and stays on record, only a draft is deleted.
_ENDED: Final = {"MedicationRequest": ("stopped", "Stop"), "ServiceRequest": ("revoked", "Revoke")}
_NO_JSON: Final = "the order has no id by which its own JSON is found, so it cannot be given back corrected"


def _removal(plan: _Plan) -> Action:
    return _ended(plan.drafted.draft, plan.drafted.medication.plain_words, plan)


def _ended(draft: DraftOrder, words: str, plan: _Plan) -> Action:
    """Delete a draft; where the session judges active orders, the order is given back stopped or revoked."""
    if plan.session.active_orders:
        status, verb = _ENDED[draft.kind]
        ended = {**_own_json(draft, plan), "status": status}
        return Action(type="update", description=f"{verb} {words}", resource=ended)
    if draft.reference is None:
        raise SuggestionWithheld("the draft has no id by which it could be removed")
    return Action(type="delete", description=f"Remove the drafted {words}", resource_id=draft.reference)


def _check_may_go(plan: _Plan, *, is_milder: bool) -> None:
    """SuggestionWithheld where the patient goes on with the drug of the draft although the finding warns of it."""
    drug, session, partners = plan.drafted.medication, plan.session, plan.finding.partners
    if is_milder and session.active_orders:
        _check(why_kept("covered", drug, session))
    if partners:  # One of two drugs can go, however grave it is: not this one.
        beside = [partner.medication for partner in partners]
        _check(why_kept("kept", drug, session, beside))
        _check(why_kept("tapered", drug, session, beside) if session.active_orders else None)


def _check(why_not: str | None) -> None:
    if why_not is not None:
        raise SuggestionWithheld(why_not)


def _own_json(draft: DraftOrder, plan: _Plan) -> Json:
    """Return the client's JSON of the order; withheld where an active order came without it."""
    if plan.session.active_orders and not draft.resource:
        raise SuggestionWithheld(_NO_JSON)
    return draft.resource


def _on_hold(plan: _Plan) -> Iterator[Action]:
    """Yield the draft with the status on-hold: nothing is given until somebody releases it, and nothing is lost.

    Withheld where a rule is against the pause: baclofen that is taken for long is not interrupted.
    """
    draft = plan.drafted.draft
    original = _own_json(draft, plan)
    on_hold = {**original, "status": "on-hold"}
    _check_valid(on_hold, original)
    held = read_draft(on_hold, full_url=draft.full_url, position=draft.position)
    after = plan.session.with_drafts([*(entry for entry in plan.drafts if entry is not draft), held])
    for drafted in after.stopped:
        if drafted.draft is held:
            plan.check.refuse_new(after, drafted, plan.check.evaluate(plan.drafted).finding_keys)
    yield from _in_place(on_hold, f"Hold {plan.drafted.medication.plain_words}", plan)


def _in_place(changed: Json, description: str, plan: _Plan) -> Iterator[Action]:
    """Yield an update of a draft that has its own id, else its removal and the changed order in its place."""
    draft = plan.drafted.draft
    if draft.reference == f"{draft.kind}/{changed.get('id')}":
        yield Action(type="update", description=description, resource=changed)
    else:
        yield _removal(plan)
        yield Action(type="create", description=description, resource={**changed, "id": plan.check.name_offered()})


_DRUG: Final = "medicationCodeableConcept"


def _correction(change: OrderChange, label: str, plan: _Plan) -> Iterator[Action]:
    """Yield the corrected order in the place of the draft."""
    original = _own_json(plan.drafted.draft, plan)
    corrected = _amended(plan.drafted, change, plan)
    _check_valid(corrected, original)
    if change.product is not None and corrected.get(_DRUG) != original.get(_DRUG):
        _check(why_unavailable(change.product.rxcui))
    product = _check_accepted(corrected, plan, change)
    dose = f", {change.sig.text}" if change.sig is not None and change.sig.text not in label else ""
    yield from _in_place(corrected, f"{label}: {product.medication.plain_words}{dose}", plan)


def _is_taken_longer(plan: _Plan, days: int) -> bool:
    """Whether the drug was ordered longer ago than a limit of its course: a course that is over cannot be limited."""
    session, drafted = plan.session, plan.drafted
    written = parse_time(drafted.order.authoredOn) if session.active_orders and drafted.order.authoredOn else None
    if written is not None and session.record.as_of_epoch - written.instant > days * DAY_SECONDS:
        return True
    is_taken = not any(session.is_new_start(part, drafted) for part in drafted.medication.ingredients)
    return is_taken and session.is_recent_start(drafted.medication, days) is False


_WHEN: Final = ("occurrenceDateTime", "occurrencePeriod", "occurrenceTiming")


def _other_study(change: OrderChange, label: str, plan: _Plan) -> Iterator[Action]:
    """Yield the draft for another study or test or for another day; everything else in it stays."""
    draft = plan.drafted.draft
    original = _own_json(draft, plan)
    changed = {name: value for name, value in original.items() if change.occurrence is None or name not in _WHEN}
    if change.test is not None:
        coding = {"system": LOINC, "code": change.test.loinc, "display": change.test.name}
        changed["code"] = {"coding": [coding], "text": change.test.name}
    if change.occurrence is not None:
        changed["occurrenceDateTime"] = change.occurrence
    _check_valid(changed, original)
    accepted = read_draft(changed, full_url=draft.full_url, position=draft.position)
    after = plan.session.with_drafts([accepted if entry is draft else entry for entry in plan.drafts])
    before = frozenset(band for band in plan.check.evaluate(plan.drafted).finding_keys if band[0] != plan.finding.rule)
    for study in after.studies:
        if study.draft is accepted:
            plan.check.refuse_new(after, study, before)
    study_name = change.test.name if change.test is not None else plan.drafted.medication.words
    yield from _in_place(changed, f"{label}: {plain(study_name)}", plan)


def _amended(drafted: DraftMedication, change: OrderChange, plan: _Plan) -> Json:
    try:
        return amend(drafted, change, plan.session.record.as_of)
    except NotChangeable as error:
        raise SuggestionWithheld(str(error)) from error


def _others_of(partner: CurrentMedication, status: str, plan: _Plan) -> Iterator[Action]:
    """Further active orders of the partner's drug: of one drug a finding names one order only."""
    drug = partner.medication
    for medication, original in _active_orders(drug.rxcuis, plan):
        other = medication.medication
        if medication is not partner and (other.rxcuis, other.systemic) == (drug.rxcuis, drug.systemic):
            yield _with_status(original, status, medication, plan)


MOST_ENDED: Final = 12
"""So many active orders of one drug are ended together with a suggestion; a chart with more is for a person."""


def _active_orders(rxcuis: tuple[str, ...], plan: _Plan) -> Iterator[tuple[CurrentMedication, Json]]:
    """Yield what is active beside the draft and has one of these ingredients, with its order, where that came."""
    count = 0
    for medication in plan.session.medications_beside(plan.drafted, rxcuis):
        original = plan.check.original(medication.source) if medication.draft is None else None
        if original is not None and original.get("resourceType") == "MedicationRequest":
            count += 1
            if count > MOST_ENDED:
                raise SuggestionWithheld(f"more than {MOST_ENDED} active orders of the drug would have to be ended")
            yield medication, original


def _with_status(original: Json, status: str, medication: CurrentMedication, plan: _Plan) -> Action:
    after = {**original, "status": status}
    _check_valid(after, original)
    plan.drafts.append(read_draft(after))
    verb = "Stop" if status == "stopped" else "Hold"
    return Action(type="update", description=f"{verb} the active {medication.medication.plain_words}", resource=after)


def _partner_action(partner: CurrentMedication, declared: SuggestionTemplate, label: str, plan: _Plan) -> Action:
    """Return the order on the other side of the pair stopped or changed: the whole resource as its owner wrote it."""
    change = declared.change_partner
    if partner.draft is not None and change is None:
        action = _ended(partner.draft, partner.medication.plain_words, plan)
        plan.drafts.remove(partner.draft)
        return action
    if partner.ended is not None:  # it may still act, but there is nothing left to stop or to change
        raise SuggestionWithheld(f"the other drug ended on {partner.ended.date}")
    if declared.stop_partner == "stopped" and partner.draft is None:
        _check(why_kept("team", partner.medication, plan.session))
    own_json = _own_json(partner.draft, plan) if partner.draft is not None else None
    original = own_json if own_json is not None else plan.check.original(partner.source)
    if original is None or original.get("resourceType") != "MedicationRequest":
        raise SuggestionWithheld("because the call did not send the whole other order")
    plan.drafts = [draft for draft in plan.drafts if draft is not partner.draft]
    if change is None:
        return _with_status(original, declared.stop_partner or "stopped", partner, plan)
    before = read_draft(original)
    if before.order is None:
        raise SuggestionWithheld("the other order cannot be read")
    after = _amended(DraftMedication(before, before.order, plan.session.medications), change, plan)
    _check_valid(after, original)
    changed = read_draft(after)
    _check_partner(before, changed, plan)
    plan.drafts.append(changed)
    return Action(type="update", description=f"{label}: {partner.medication.plain_words}", resource=after)


def _new_order(alternatives: tuple[NewOrder, ...], plan: _Plan) -> Action:
    """Return the first alternative that no rule objects to, in place of the draft or beside it."""
    reasons = []
    for alternative in alternatives:
        if (absent := why_unavailable(alternative.product.rxcui)) is not None:
            reasons.append(absent)
            continue
        resource = medication_order(
            alternative, plan.drafted.draft, plan.session.record.patient_id, identity=plan.check.name_offered()
        )
        try:
            _check_valid(resource, {})
            _check_fits(_check_accepted(resource, plan), plan)
        except SuggestionWithheld as reason:
            reasons.append(str(reason))
        else:
            description = f"Order {alternative.product.name}, {alternative.sig.text}"
            return Action(type="create", description=description, resource=resource)
    raise SuggestionWithheld(reasons[0])


def _test(offer: OfferedSuggestion, position: int, plan: _Plan) -> Action:
    declared = offer.suggestion.orders[position].declared
    record = plan.session.record
    resource = lab_order(
        declared, plan.drafted.draft, record.patient_id, identity=plan.check.name_offered(), as_of=record.as_of
    )
    _check_valid(resource, {})
    when = f" in {declared.in_days} days" if declared.in_days else ""
    return Action(type="create", description=f"Order {declared.name}{when}", resource=resource)


# Is it safe


def _check_accepted(resource: Json, plan: _Plan, change: OrderChange | None = None) -> DraftMedication:
    """Return the order as it would be judged after acceptance: the draft with this change, else another order.

    Withheld where a rule would find something that finds nothing now, about it or about another draft beside it; where
    it is another drug, or a dose that we write, also where a warning about it would stay.
    """
    draft = plan.drafted.draft
    in_place = change is not None
    full_url = draft.full_url if in_place else None
    accepted = read_draft(resource, full_url=full_url, position=draft.position)
    drafts = [accepted if in_place and entry is draft else entry for entry in plan.drafts]
    after = plan.session.with_drafts(drafts if in_place else [*drafts, accepted])
    drafted = next((medication for medication in after.drafted if medication.draft is accepted), None)
    if drafted is None or not drafted.medication.recognised:
        raise SuggestionWithheld("it cannot be judged")
    other_drug = drafted.medication.rxcuis != plan.drafted.medication.rxcuis
    new_dose = change is None or change.writes_dose
    known_bands: FoundBands = frozenset()
    if in_place or plan.is_removed:
        evaluation = plan.check.evaluate(plan.drafted)
        known_bands = evaluation.tolerated(plan.finding.rule, other_drug=other_drug, new_dose=new_dose)
    plan.check.refuse_new(after, drafted, known_bands)
    if change is not None and not change.raises:
        _check_no_more(drafted, plan.drafted)
    if other_drug:
        _check_beside(after, drafted, plan)
    return drafted


_MORE: Final = 1.001


def _check_no_more(corrected: DraftMedication, drafted: DraftMedication) -> None:
    """Refuse a correction for safety that gives more a day than what was ordered."""
    for amount in corrected.dose.per_day:
        ordered = drafted.dose.daily(amount.rxcui)
        if ordered is not None and amount.high > ordered.high * _MORE:
            raise SuggestionWithheld("it would give more a day than was ordered")


def _check_draft_stays(plan: _Plan) -> None:
    """Refuse to end the other drug where the draft or the patient would be worse off.

    A stopped opioid takes the tolerance away; clozapine that is stopped at once brings a psychosis back.
    """
    after = plan.session.with_drafts(plan.drafts)
    drafted = next((medication for medication in after.drafted if medication.draft is plan.drafted.draft), None)
    if drafted is not None:
        plan.check.refuse_new(after, drafted, plan.check.evaluate(plan.drafted).finding_keys)
        _check_beside(after, drafted, plan)


def _check_partner(before: DraftOrder, changed: DraftOrder, plan: _Plan) -> None:
    """Refuse a change of the order on the other side by which that would be worse off."""
    as_it_is, as_changed = (plan.session.with_drafts([*plan.drafts, draft]) for draft in (before, changed))
    old = next((medication for medication in as_it_is.drafted if medication.draft is before), None)
    new = next((medication for medication in as_changed.drafted if medication.draft is changed), None)
    if old is None or new is None:
        raise SuggestionWithheld("the other order cannot be judged")
    known_bands = plan.check.book.evaluate(as_it_is, old).tolerated(plan.finding.rule, new_dose=True)
    plan.check.refuse_new(as_changed, new, known_bands)
    _check_no_more(new, old)


def _check_beside(after: PatientSession, accepted: DraftMedication, plan: _Plan) -> None:
    """No other draft may be worse off with another drug beside it."""
    before = {id(medication.draft): medication for medication in plan.session.drafted}
    for drafted in after.stopped:
        if drafted is not accepted and drafted.medication.recognised:
            drafted_before = before.get(id(drafted.draft))
            known_bands = plan.check.evaluate(drafted_before).finding_keys if drafted_before else frozenset()
            plan.check.refuse_new(after, drafted, known_bands)


def _check_fits(substitute: DraftMedication, plan: _Plan) -> None:
    """Allergy, duplication and what a drug is not for, whatever rules there are."""
    medication = substitute.medication
    if plan.session.is_allergic_to(medication):
        raise SuggestionWithheld(f"an allergy to {medication.name} or its class is on the list")
    if plan.session.medications_beside(plan.drafted, medication.rxcuis):
        raise SuggestionWithheld(f"{medication.name} is on the list already")
    _check(why_unfit(medication, plan.session, plan.drafted))


# Is it valid


def _check_valid(resource: Json, original: Json) -> None:
    new = new_faults(resource, original)
    if new:
        raise SuggestionWithheld(f"the order would not be valid FHIR at {', '.join(sorted(path for path, _ in new))}")
