"""Checks the drafted orders of a call: one card for each order, or the reason why there is none."""

from collections.abc import Callable, Collection, Iterable, Iterator

from msgspec import Struct

from cards.card import Card
from cards.compose.high_alert import uncovered_card, uncovered_findings
from cards.compose.orders import order_card
from cards.new_problems import NewProblems
from cards.rules.engine.compile import CompiledBand, CompiledRule
from cards.rules.engine.finding import RuleFinding, merge_repeated_findings
from cards.rules.engine.governance import SuppressionCheck, suppress_nothing
from cards.rules.engine.rule_book import RuleBook, rule_book
from cards.rules.language.trigger import is_test
from cards.rules.patient.orders import DraftMedication, DraftOrder, is_wanted_study, unread_order
from cards.rules.patient.session import PatientSession
from cards.suggest import FindOriginal, OrderCheck
from cards.text import first_few, plain
from fhir.mapping.medications.active import held_medications
from fhir.record.record import PatientRecord
from fhir.record.refusals import WhyNot
from fhir.record.resources import ServiceRequest

# A Medication among the drafts is part of an order, not one of its own.
_PARTS = frozenset({"Medication"})
_ORDER = "MedicationRequest"
_MOST_NAMED = 5


class OrderOutcome(Struct, frozen=True):
    """The result of checking the drafts: at most one card for each draft, and a reason for everything not shown.

    One card more names the high-alert drugs that no rule is about, under the name of the first of them.

    `drafts` are those that the cards are about, in the order of the cards.
    """

    cards: tuple[Card, ...]
    silences: tuple[WhyNot, ...]
    drafts: tuple[DraftMedication, ...] = ()


def check_orders(
    record: PatientRecord,
    drafts: Iterable[DraftOrder],
    judged: Collection[str] | None,
    new_uuid: Callable[[], str],
    book: RuleBook | None = None,
    original: FindOriginal = lambda _reference: None,
    suppress: SuppressionCheck = suppress_nothing,
    *,
    signing: bool = False,
    active_orders: bool = False,
) -> OrderOutcome:
    """Return the cards for the drafts named in `judged` (None: for all); the other drafts count as active orders.

    `original` gives the client's own JSON of an active order, for suggestions that stop or change it. `suppress` says
    why a finding is not shown here; it is evaluated all the same, so that no suggestion can go against it.

    `signing`: nothing more will be entered, so that what is missing is asked for and not waited for.

    `active_orders`: the drafts are orders that are active already, as at discharge.

    What is found about two drafts together stands on one card: on the draft that the rule can do most about. High-alert
    drugs that no rule is about are named on one card more.
    """
    session = PatientSession(record, drafts, signing=signing, active_orders=active_orders)
    check = OrderCheck(session, book if book is not None else rule_book(), new_uuid, original)
    silences: list[WhyNot] = []
    stops = (drafted for drafted in session.stopped if check.book.rules_for(drafted.medication, stops=True))
    unread = (unread_order(draft) for draft in session.drafts if draft.fault is not None and draft.kind == _ORDER)
    judgeable = (*session.drafted, *session.studies, *stops, *unread)
    by_draft = {id(drafted.draft): drafted for drafted in judgeable}
    to_evaluate = []
    unnamed: list[RuleFinding] = []
    judged_names = frozenset(judged or ())
    for draft in session.drafts:
        if judged is not None and draft.name not in judged_names and not draft.is_named(judged):
            continue
        drafted = by_draft.get(id(draft))
        if drafted is None or draft.fault is not None or not drafted.medication.recognised:
            silences.extend(_passed_over(draft, drafted, session))
            unnamed.extend(uncovered_findings(drafted) if drafted is not None else ())
        else:
            to_evaluate.append(drafted)
    if to_evaluate:
        silences.extend((*_unknown_on_list(session), *_on_hold(session)))
    new_problems = NewProblems(check) if active_orders else None
    shown_by_draft = []
    for drafted in to_evaluate:
        found = check.evaluate(drafted).findings
        later = new_problems.findings(drafted, found, _warns) if new_problems is not None else []
        shown_by_draft.append(shown_findings((*found, *later), suppress, silences))
    findings, on_other_cards = merge_repeated_findings(shown_by_draft)
    silences.extend(on_other_cards)
    cards: list[Card] = []
    carded: list[DraftMedication] = []
    for drafted, card_findings in zip(to_evaluate, findings, strict=True):
        of_draft = _doubts(drafted, check)
        if card_findings:
            card, withheld = order_card(drafted, [each.write(each) for each in card_findings], check)
            cards.append(card)
            carded.append(drafted)
            of_draft += withheld
        elif not of_draft and not check.evaluate(drafted).finding_keys:
            text = f"No rule here is about {plain(drafted.medication.name)}."
            of_draft.append(WhyNot(drafted.draft.name, "no-rule", text))
        silences.extend((*of_draft, check.book.scope_of(drafted, record, signing=signing)))
    if not active_orders:
        names = {drafted.draft.name for drafted in carded}
        uncovered = [*_without_rule(to_evaluate, names, check.book), *unnamed]
        if uncovered and shown_findings(uncovered[:1], suppress, silences):
            cards.append(uncovered_card(uncovered, new_uuid()))
            carded.append(next(drafted for drafted in judgeable if drafted.draft.name == uncovered[0].draft_name))
    return OrderOutcome(tuple(cards), tuple(silences), tuple(carded))


def _warns(_rule: CompiledRule, band: CompiledBand) -> bool:
    return band.declared.indicator in ("warning", "critical")


def shown_findings(
    findings: Iterable[RuleFinding], suppress: SuppressionCheck, silences: list[WhyNot]
) -> tuple[RuleFinding, ...]:
    """Return the findings that are shown; the reasons against the others are added to the silences."""
    shown_list = []
    for finding in findings:
        why_not = suppress(finding)
        if why_not is None:
            shown_list.append(finding)
        else:
            silences.append(why_not)
    return tuple(shown_list)


_WORDS_SAY_MORE = (
    "The words contradict the structured dose: they say more a day. Which of the two is intended is not known; limits "
    "were checked with the higher."
)


def _doubts(drafted: DraftMedication, check: OrderCheck) -> list[WhyNot]:
    """Return why rules say nothing about a draft, and what is in doubt about it."""
    doubts, name = [*check.evaluate(drafted).silences], drafted.draft.name
    if drafted.medication.doubt:
        text = f"{plain(name)}: {plain(drafted.medication.doubt, 200)}"
        doubts.append(WhyNot(name, "identity-in-doubt", text))
    if drafted.dose.words_say_more:
        doubts.append(WhyNot(name, "dose-in-doubt", f"{plain(name)}: {_WORDS_SAY_MORE}"))
    return doubts


def _without_rule(drafts: Iterable[DraftMedication], names: Collection[str], book: RuleBook) -> Iterator[RuleFinding]:
    """Yield the high-alert drugs that no rule is about, but for those with a card (`names` are those of drafts)."""
    for drafted in drafts:
        if drafted.stops or is_test(drafted.medication) or drafted.draft.name in names:
            continue
        rules = [activated.rule for activated in book.rules_for(drafted.medication)]
        specific = [rule for rule in rules if not rule.trigger.is_for_any]
        if not any(rule.declared.covers_use for rule in specific):
            about = {rule.family.name for rule in specific}
            yield from uncovered_findings(drafted, about, in_pairs=any(rule.trigger.sides for rule in specific))


def _passed_over(draft: DraftOrder, drafted: DraftMedication | None, session: PatientSession) -> Iterator[WhyNot]:
    name = plain(draft.name)
    if draft.fault is not None:
        fault = plain(draft.fault.replace("`", "").replace("$.", ""), 120)
        yield WhyNot(draft.name, "draft-unreadable", f"{name} cannot be read ({fault}): not checked.")
    elif drafted is not None:
        words = drafted.medication.plain_words or "the drafted medication"
        yield WhyNot(draft.name, "not-recognised", f"Not recognized, so not checked: {words}.")
    elif draft.order is not None:
        text = f"{name} is not to be given (its status or doNotPerform)"
        if session.knows_medications and session.is_listed(draft.order):
            yield WhyNot(draft.name, "not-to-be-given", f"{text}: not checked.")
        elif session.knows_medications:
            text = f"{text} and is not on the medication list: whether it ends a treatment was not judged."
            yield WhyNot(draft.name, "not-to-be-given", text)
        else:
            text = f"{text}; the medication list is not known: whether it ends a treatment was not judged."
            yield WhyNot(draft.name, "medications-unknown", text)
    elif isinstance(draft.read, ServiceRequest):
        if is_wanted_study(draft):
            words = plain(draft.read.code.words, 80) if draft.read.code is not None else ""
            text = "Not recognized as an order of imaging or a test that a rule is about, so not checked"
            yield WhyNot(draft.name, "not-recognised", f"{text}: {words or name}.")
        else:
            text = f"{name} is not to be done (its status or doNotPerform): not checked."
            yield WhyNot(draft.name, "not-to-be-given", text)
    elif draft.kind not in _PARTS:
        kind = f"a {plain(draft.kind)}" if draft.kind else "a resource without a type"
        yield WhyNot(draft.name, "not-a-medication", f"{name} is {kind} and not a medication order: not checked.")


def _unknown_on_list(session: PatientSession) -> Iterator[WhyNot]:
    """Yield what the patient takes and no table knows: no draft was checked against it."""
    words = {medication.medication.plain_words for medication in session.active if not medication.medication.recognised}
    names = sorted(words - {""})
    if words:
        more = len(words) - len(names[:_MOST_NAMED])
        listed_names = "; ".join(names[:_MOST_NAMED]) or "a medication without a name"
        also = f" and {more} more" if more and names else ""
        text = f"On the medication list, not recognized, so nothing was checked against it: {listed_names}{also}."
        yield WhyNot("medications", "not-recognised", text)


def _on_hold(session: PatientSession) -> Iterator[WhyNot]:
    """Yield what is on hold, and so is not counted as taken."""
    names = list(dict.fromkeys(plain(medication.name, 60) for medication in held_medications(session.record)))
    if names:
        text = f"On hold, so not counted as taken: {first_few(names, _MOST_NAMED, '; ')}."
        yield WhyNot("medications", "on-hold", text)
