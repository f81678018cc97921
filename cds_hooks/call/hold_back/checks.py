"""Decides what of a call is shown, and gives the first reason against every other finding, card and suggestion.

`check_findings` and `choose_cards` ask in this order: is it released? was it answered or shown lately, and is no worse?
was it accepted a moment ago? do more important cards leave it room? has the budget room? does the user's role order it?
Findings of medication rules are asked about while a service decides, before a card is composed. A guide to a question
of your own: docs/adding/hold-back-check.md.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from cards.card import SEVERITY, Action, Card, Indicator, Suggestion
from cards.extension import WorklistEntry
from cards.rules.engine.finding import RuleFinding
from cards.rules.engine.governance import (
    ACKNOWLEDGED,
    SHADOW,
    SWITCHED_OFF,
    SiteRules,
    SuppressionCheck,
    all_rule_versions,
    drafts_of,
    finding_key,
)
from cards.text import plain
from cds_hooks.call.hold_back.budgets import Budgets
from cds_hooks.call.hold_back.history import (
    ACCEPTED,
    SHOWN,
    TEST_DAYS,
    PatientHistory,
    plain_words,
    words_of,
)
from cds_hooks.call.hold_back.reasons import (
    BUDGET,
    FROM_EVENT,
    LOOP_GUARD,
    NOT_FOR_THIS_ROLE,
    NOT_FOR_THIS_USER,
    SHOWN_BEFORE,
    SILENT_MODE,
    WORKLIST,
)
from cds_hooks.call.hold_back.released import KNOWLEDGE, Released, words_name
from cds_hooks.call.hold_back.visit import MOST_CARDS, CardNotes, VisitRank, by_harm, choose_for_visit
from cds_hooks.call.protocol.hooks import PATIENT_VIEW
from cds_hooks.settings.packages import PACKAGE, rule_of_package
from fhir.record.refusals import WhyNot
from models_onnx.declarations import origin_of
from models_onnx.packages import packages

OVERRIDDEN_BEFORE: Final = "Overridden by a colleague"
"""How the sentence on a card begins that tells of a colleague's answer."""
_LONGEST_REASON: Final = 120
_NO_CLINICIANS: Final = frozenset({"patient", "relatedperson"})
_DAY_SECONDS: Final = 86_400.0
_ORDERS: Final = {"MedicationRequest": "medications", "ServiceRequest": "services"}
"""What a resource is an order of; a vaccine is ordered by a ServiceRequest, too."""
_IN_WORDS: Final = {"services": "tests and referrals"}
_CVX: Final = "http://hl7.org/fhir/sid/cvx"


class Caller(Struct, frozen=True, gc=False):
    """Who is shown cards about whom, by which service at which hook of the library."""

    client: str
    patient: str
    service: str
    hook: str


class CheckedCall(Struct):
    """What is asked about one call; `released` and `site` are the acts and the rules file of its beginning.

    `as_of` is in epoch seconds. `units` gives the patient's care units, `named_units` has their names, which are
    recorded. `silent` says why this caller is shown nothing. `notes` has what advisors say of their cards, by uuid.
    `user` gives the user as it is recorded, or as the call names it where users are not recorded; `roles` is what the
    user works as, if that is known. `packages` are those from outside with a part in the call. `from_event`: an event
    made the call, and nobody is shown its cards. A trial takes no place of a budget. `recall` gives the patient's
    history.
    """

    caller: Caller
    as_of: float
    released: Released = field(default_factory=Released)
    site: SiteRules = field(default_factory=SiteRules)
    units: Callable[[], Collection[str]] = tuple
    silent: str | None = None
    notes: dict[str, CardNotes] = field(default_factory=dict)
    withheld: dict[str, WhyNot] = field(default_factory=dict)
    """Why something is not shown: by the uuid of a card or suggestion, or the key of a finding that was answered."""
    worklist: list[WorklistEntry] = field(default_factory=list)
    """What is kept for another moment in place of a card."""
    user: Callable[[], str] = str
    colleague_answers: dict[str, str] = field(default_factory=dict)
    """What a card says of a colleague's answer: by the rule of a critical finding, or by the uuid of a card."""
    packages: tuple[str, ...] = ()
    from_event: bool = False
    named_units: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    is_trial: bool = False
    needs_approval: bool = False
    """Whether a rule shows its findings only in a version that two people have approved."""
    budgets: Budgets = field(default_factory=Budgets)
    recall: Callable[[], PatientHistory] = PatientHistory

    def add_cards(
        self,
        advisor: str,
        rank: VisitRank,
        cards: Iterable[Card],
        notes: Mapping[str, CardNotes],
        packages: tuple[str, ...],
        words: str = "",
    ) -> None:
        """Take what is known of an advisor's cards; `rank` is theirs where they have no other.

        `words` is the digest of what the site declares of the advisor.
        """
        self.packages = tuple(dict.fromkeys((*self.packages, *packages)))
        for card in cards:
            noted = notes.get(card.uuid, CardNotes())
            rank_of_card = rank if noted.rank is None else noted.rank
            self.notes[card.uuid] = replace(noted, advisor=advisor, packages=packages, rank=rank_of_card, words=words)

    def notes_of(self, card: Card) -> CardNotes:
        """Return what its advisor says of a card."""
        return self.notes.get(card.uuid) or CardNotes(advisor=self.caller.service)

    def subject_of(self, card: Card) -> str:
        """Return what a reason against a card is about: its finding about the patient, its first rule, its advisor."""
        finding, rules = card.own_extension.finding, card.own_extension.findings
        if finding is not None and finding.subject:
            return finding.subject
        return rules[0].rule if rules else self.notes_of(card).advisor

    def without(self, cards: Sequence[Card], reasons: Iterable[WhyNot | None]) -> list[Card]:
        """Return the cards against which there is no reason; the reasons against the others are kept."""
        shown: list[Card] = []
        for card, reason in zip(cards, reasons, strict=True):
            if reason is None:
                shown.append(card)
            else:
                self.withheld[card.uuid] = reason
        return shown

    def is_own(self, answered_by: str) -> bool:
        """Return whether the user of this call gave an answer; False where that is not known."""
        return bool(answered_by) and answered_by == self.user()

    def tell_of_colleague(self, about: str, at: float, reason: str) -> None:
        """Note for the reader that a colleague overrode the same critical finding."""
        moment = datetime.fromtimestamp(at, UTC)
        is_today = moment.date() == datetime.fromtimestamp(self.as_of, UTC).date()
        day = "" if is_today else f" on {moment.date().isoformat()}"
        words = plain(reason or "no reason", _LONGEST_REASON)
        self.colleague_answers[about] = f"{OVERRIDDEN_BEFORE}{day} at {moment:%H:%M} UTC: {words}."

    @property
    def recorded_units(self) -> tuple[str, ...]:
        """The patient's care units by their names, and by those under which one has a budget."""
        budgeted = {name for budget in self.site.budgets if budget.of == "unit" for name in budget.names}
        return tuple(sorted({*self.named_units, *(budgeted.intersection(self.units()) if budgeted else ())}))


def refuse_user(service: str, user_id: str | None) -> WhyNot | None:
    """Return why a service says nothing to this user (CDS Hooks 2.0, userId); None where the user may be a clinician.

    >>> refuse_user("planning", "https://ehr.example/fhir/RelatedPerson/7").reason
    'not-for-this-user'
    >>> refuse_user("planning", "Practitioner/Patient")
    """
    types = map(str.strip, (user_id or "").casefold().split("/")[:-1])
    if _NO_CLINICIANS.isdisjoint(types):
        return None
    text = "The user of this call is the patient or a related person; this service is written for clinicians."
    return WhyNot(service, NOT_FOR_THIS_USER, text)


def check_findings(call: CheckedCall) -> SuppressionCheck:
    """Return what gives the first reason why a finding of a medication rule is not shown in this call."""
    return lambda finding: (
        why_not_released(finding.rule, call, finding.band, finding.indicator) or _why_answered(finding, call)
    )


async def choose_cards(cards: Sequence[Card], call: CheckedCall) -> list[Card]:
    """Return the cards to show now; `call` takes in why the others are not shown, and what is kept for the worklist.

    At an opening that card comes first whose miss does the most harm.
    """
    shown = _choose(cards, call) if cards else []
    shown = await _choose_within_budgets(shown, call)
    return [_with_offers(card, call) for card in shown]


def choose_again(cards: Sequence[Card], call: CheckedCall) -> list[Card]:
    """Return the cards of a replay, which asks only what decides the same again whatever was shown since."""
    return [_with_offers(card, call) for card in _choose(cards, call, is_replay=True)]


def _choose(cards: Sequence[Card], call: CheckedCall, *, is_replay: bool = False) -> list[Card]:
    is_opening = call.caller.hook == PATIENT_VIEW
    shown = by_harm(cards, call.notes_of) if is_opening else list(cards)
    shown = call.without(shown, [_why_card_not_released(card, call) for card in shown])
    if not is_replay:
        remembered = (
            _why_shown_before(card, call) or _why_of_event(card, call) or _why_accepted(card, call) for card in shown
        )
        shown = call.without(shown, remembered)
        shown = _choose_at_opening(shown, call) if is_opening else _choose_follow_up(shown, call)
    return shown


def why_not_released(rule: str, call: CheckedCall, band: str, indicator: Indicator = "info") -> WhyNot | None:
    """Return why the rule shows nothing here: its state of release, a switch of the rules file, or no approval.

    A switch can be about milder bands alone. Behind a trust file a rule shows findings only in an approved version.
    """
    caller, version = call.caller, all_rule_versions().get(rule)
    silence = call.released.why_withheld("rule", rule, caller.client, caller.patient)
    if silence is not None:
        return silence
    for switch in call.site.switches.get(rule, ()):
        if switch.holds_for(caller.client, call.units()) and switch.silences(band, indicator):
            return _about_rule(rule, SWITCHED_OFF, f"this site has switched it off: {switch.note}")
    if version is None or not call.needs_approval or call.site.is_approved(rule, version.digest):
        return None  # what is not a rule needs no approval: that a drug is not covered
    was = call.site.approvals.get(rule)
    why = "only another version of it is approved here" if was else "it is not approved here"
    return _about_rule(rule, SHADOW, f"its card ({band}, {indicator}) is not shown: {why}.")


def why_package_withheld(call: CheckedCall, names: Iterable[str] | None = None) -> WhyNot | None:
    """Return why nothing of these packages reaches the client, unless given of all that have a part in the call."""
    rules = map(rule_of_package, call.packages if names is None else names)
    return next(filter(None, (why_not_released(rule, call, PACKAGE) for rule in rules)), None)


def _why_card_not_released(card: Card, call: CheckedCall) -> WhyNot | None:
    """Return why the model, the equation or a package behind the card, or the caller, is shown nothing."""
    names, model = call.notes_of(card).packages, (card.own_extension.model or {}).get("id", "")
    if model and packages() and (origin := origin_of("models_onnx.equations.published", model)) and origin.package:
        names = (*names, origin.package.name)
    if (silence := why_package_withheld(call, names)) is not None:
        return silence
    caller = call.caller
    for kind in ("model", "equation", KNOWLEDGE):
        if (silence := call.released.why_withheld(kind, model, caller.client, caller.patient)) is not None:
            return silence
    if (silence := _why_words_withheld(card, call)) is not None:
        return silence
    return WhyNot(caller.service, SILENT_MODE, call.silent) if call.silent is not None else None


def _why_words_withheld(card: Card, call: CheckedCall) -> WhyNot | None:
    """Return that two people have not approved what the site declares of this service, behind a trust file."""
    advisor, words = call.notes_of(card).advisor, call.notes_of(card).words
    if not words or not call.needs_approval or call.site.is_approved(words_name(advisor, words), words):
        return None
    text = f"{advisor}: its card is not shown: two people have not approved its words as they are now (/rules)."
    return WhyNot(advisor, SHADOW, text)


def _why_answered(finding: RuleFinding, call: CheckedCall) -> WhyNot | None:
    """Return why the finding is not shown again: a clinician overrode it. It is noted in `call.withheld`.

    A critical finding rests only for the user who overrode it, and for that draft; the next reader is told.
    """
    for override in (event for event in call.recall().events if event.answers(finding)):
        days = call.site.days_of(all_rule_versions()[finding.rule].rule, finding.indicator)
        if not 0 <= call.as_of - override.at <= days * _DAY_SECONDS:
            continue
        if finding.indicator == "critical":
            if not call.is_own(override.by):
                call.tell_of_colleague(finding.rule, override.at, override.reason)
                continue
            if not drafts_of(finding.facts) <= override.drafts:
                continue
        lately = "the last day" if days == 1 else f"the last {days} days"
        text = f"it was answered with “{override.reason}” in {lately}, and its facts have not become worse."
        silence = _about_rule(finding.rule, ACKNOWLEDGED, text)
        call.withheld[finding_key(finding)] = silence
        return silence
    return None


def _about_rule(rule: str, reason: str, text: str) -> WhyNot:
    version = all_rule_versions().get(rule)
    title = version.rule.title if version is not None else "A high-alert drug that no rule is about"
    return WhyNot(rule, reason, f"{title}: {text}")


def _why_shown_before(card: Card, call: CheckedCall) -> WhyNot | None:
    """Return why the card is suppressed: the same finding was shown or answered, and it is no worse."""
    finding, is_critical = card.own_extension.finding, card.indicator == "critical"
    if finding is None:
        return None
    suppressed = call.recall().suppression(finding, call.as_of, is_critical=is_critical)
    if suppressed is None:
        return None
    before, end = suppressed
    if is_critical and not call.is_own(before.by):
        if before.how != ACCEPTED:
            call.tell_of_colleague(card.uuid, before.at, before.reason)
        return None
    since, until = (datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds") for at in (before.at, end))
    how = f"answered on {since[:10]} ({before.how})"
    if before.how == SHOWN and finding.repeat == "one-test":
        return _kept_for_worklist(card, call, f"it was offered on {since[:10]} (once in {TEST_DAYS} days)")
    if before.how == SHOWN:
        how = f"shown on {since[:10]} and not answered"
        call.worklist.append(
            WorklistEntry(test=card.summary, purpose=finding.subject, because=SHOWN, since=since, until=until)
        )
    text = f"Found again, not shown: {card.summary} It was {how} and is not worse; shown again after {until[:10]}."
    return WhyNot(finding.subject, SHOWN_BEFORE, text)


def _why_of_event(card: Card, call: CheckedCall) -> WhyNot | None:
    """Return that nobody has a chart open where an event made the call; what the card says goes to the worklist."""
    if not call.from_event:
        return None
    call.worklist.append(_entry(card, call, FROM_EVENT))
    text = f"On the worklist, because an event and no call made it: {card.summary}"
    return WhyNot(call.subject_of(card), FROM_EVENT, text)


def _why_accepted(card: Card, call: CheckedCall) -> WhyNot | None:
    """Return why a card with the same findings on an order that was just accepted is not shown again.

    Accepting a suggestion places or changes an order, and the client then calls the next hook with it ("alert loop":
    accepting fired order-sign, which alerted again). So for an hour after it, about the same patient of the same
    client, a card with the same findings on that order, or on the draft it came from, is held back, and so is a
    suggestion that would change or remove that order or add the same. Critical cards are shown, with all suggestions.
    """
    findings, finding = frozenset(card.own_extension.findings), card.own_extension.finding
    if card.indicator == "critical" or not findings or (finding is not None and finding.is_list):
        return None
    for answer, accepted in call.recall().accepted_lately(call.as_of):
        if findings <= answer.bands and _draft(card) & (accepted.orders | answer.drafts):
            text = f"Accepted a moment ago (“{accepted.label}”), so not shown again: {card.summary}"
            return WhyNot(call.subject_of(card), LOOP_GUARD, text)
    return None


def _draft(card: Card) -> frozenset[str]:
    """Return words and reference of the order that a card is about."""
    facts = card.own_extension.facts
    words = (plain_words(fact.text) for fact in facts if fact.name == "draft")
    return drafts_of(facts).union(filter(None, words))


def _choose_follow_up(cards: Sequence[Card], call: CheckedCall) -> list[Card]:
    """Return the cards with the first follow-up alone: a discharge is told one figure."""
    findings = ((card, card.own_extension.finding) for card in cards)
    follow_ups = [card for card, finding in findings if finding is not None and finding.repeat == "one-follow-up"]
    text = "One card for each discharge: another one is shown."
    further = {card.uuid: WhyNot(call.subject_of(card), SHOWN_BEFORE, text) for card in follow_ups[1:]}
    return call.without(cards, [further.get(card.uuid) for card in cards])


def _choose_at_opening(cards: Sequence[Card], call: CheckedCall) -> list[Card]:
    """Return the cards, or their brief forms, without those that wait because more important ones are shown.

    A service that is called beside others shows what they have left of three cards in this visit, as the history of the
    last minutes says.
    """
    findings = [card.own_extension.finding for card in cards]
    abouts = {finding.about for finding in findings if finding is not None}
    most = max(0, MOST_CARDS - call.recall().others_recently(call.caller.service, abouts, call.as_of))
    shown = choose_for_visit(cards, call.notes_of, most)
    because = "more important cards are shown at this opening"
    call.without(cards, [None if card.uuid in shown else _kept_for_worklist(card, call, because) for card in cards])
    forms = list(shown.values())
    return call.without(forms, [_why_told_by_drug(card, forms) for card in forms])


def _why_told_by_drug(card: Card, shown: Iterable[Card]) -> WhyNot | None:
    """Return that the card of a drug beside it tells each of its abnormal results, and is as severe.

    A result that is only a reason for the other card, as a weak heart for a danger of the rhythm, is not told by it.
    """
    sources = _sources(card)
    values = {fact.value for fact in card.own_extension.facts}
    if not card.own_extension.results or not all(source.startswith("Observation/") for source in sources):
        return None
    for other in shown:
        headlines = " ".join((other.summary, *_BOLD.findall(other.detail or "")))
        told = {float(number.replace(",", "")) for number in _NUMBER.findall(headlines)}
        is_told = other.own_extension.findings and sources <= _sources(other) and values <= told
        if is_told and SEVERITY[other.indicator] >= SEVERITY[card.indicator]:
            return WhyNot("abnormal-results", SHOWN_BEFORE, f"{card.summary} Said on the card: {other.summary}")
    return None


_NUMBER: Final = re.compile(r"(?<![\d.-])\d[\d,]*(?:\.\d+)?(?![\d.-])")
_BOLD: Final = re.compile(r"\*\*([^*]+)\*\*")


def _sources(card: Card) -> set[str]:
    return {fact.source or "" for fact in card.own_extension.facts}


def _kept_for_worklist(card: Card, call: CheckedCall, because: str) -> WhyNot:
    """Keep what the card says for the worklist, and return why."""
    entry = _entry(card, call, "offered-before")
    call.worklist.append(entry)
    text = f"{entry.test.rstrip('.')}: kept for the worklist, because {because}."
    return WhyNot(call.subject_of(card), WORKLIST, text)


def _entry(card: Card, call: CheckedCall, because: str) -> WorklistEntry:
    """Return what the card says for the worklist: its reminder, or its headline."""
    reminder = call.notes_of(card).reminder
    headline = WorklistEntry(test=card.summary, purpose=call.subject_of(card), because="")
    return replace(reminder or headline, because=because)


async def _choose_within_budgets(cards: Sequence[Card], call: CheckedCall) -> list[Card]:
    """Return the cards for which the budgets have a place, the most severe first; one that is shown takes places."""
    budgets = call.site.budgets
    counted = [card for card in cards if budgets and card.indicator != "critical"]
    reasons: dict[str, WhyNot] = {}
    for place, card in enumerate(sorted(counted, key=lambda card: -SEVERITY[card.indicator])):
        in_call, client = place - len(reasons), call.caller.client
        budget = await call.budgets.exhausted(budgets, client, call.user, call.units, in_call, is_trial=call.is_trial)
        if budget is not None:
            text = f"Beyond the budget of {budget.words} ({budget.note}), so not shown: {card.summary}"
            reasons[card.uuid] = WhyNot(call.subject_of(card), BUDGET, text)
    return call.without(cards, [reasons.get(card.uuid) for card in cards])


def _with_offers(card: Card, call: CheckedCall) -> Card:
    """Return the card with the suggestions that are offered now, and with what else its reader is told."""
    reasons = {
        offer.uuid: reason
        for offer in card.suggestions
        if (reason := _why_undone(offer, card, call) or _why_not_ordered(offer, call))
    }
    call.withheld |= reasons
    sentences = [reason.text for reason in reasons.values() if reason.reason == NOT_FOR_THIS_ROLE]
    if card.indicator == "critical":
        keys = (card.uuid, *(finding.rule for finding in card.own_extension.findings))
        sentences += [call.colleague_answers[key] for key in keys if key in call.colleague_answers]
    return without_suggestions(with_sentences(card, dict.fromkeys(sentences)), reasons)


def _why_undone(suggestion: Suggestion, card: Card, call: CheckedCall) -> WhyNot | None:
    """Return why a suggestion is not offered: it is the opposite of one that was just accepted, or the same."""
    accepted_lately = call.recall().accepted_lately(call.as_of) if card.indicator != "critical" else []
    for _, accepted in accepted_lately:
        changes = any(action.type in ("update", "delete") for action in suggestion.actions)
        created = (action.resource for action in suggestion.actions if action.type == "create")
        text = ""
        if changes and _draft(card) & accepted.orders:
            text = f"is not offered: it would change what was just accepted (“{accepted.label}”)."
        elif not accepted.orders.isdisjoint(word for resource in created for word in words_of(resource)):
            text = "is not offered again: it was just accepted."
        if text:
            return WhyNot(call.subject_of(card), LOOP_GUARD, f"“{suggestion.label}” {text}")
    return None


def _why_not_ordered(suggestion: Suggestion, call: CheckedCall) -> WhyNot | None:
    """Return why the orders of a suggestion are not offered: the user's role does not order them at this site.

    Whoever has one role that orders, or a role that is not known, is offered everything.
    """
    allowed = call.site.may_order(call.roles)
    if allowed is None:
        return None
    if kinds := sorted({kind for action in suggestion.actions if (kind := _ordered_kind(action))} - allowed):
        roles, orders = " and ".join(call.roles), " and ".join(_IN_WORDS.get(kind, kind) for kind in kinds)
        text = f"Tell the prescriber: at this site the role {roles} does not order {orders}."
        return WhyNot(call.caller.service, NOT_FOR_THIS_ROLE, text)
    return None


def _ordered_kind(action: Action) -> str:
    """Return what kind of order an action places, changes or ends; "" where it is none."""
    if action.resource is None:
        return _ORDERS.get((action.resource_id or "").partition("/")[0], "")
    concept = action.resource.get("code") or action.resource.get("medicationCodeableConcept") or {}
    is_vaccine = any(coding.get("system") == _CVX for coding in concept.get("coding", ()))
    if is_vaccine or " vaccine" in concept.get("text", ""):
        return "vaccines"
    return _ORDERS.get(action.resource.get("resourceType", ""), "")


def with_sentences(card: Card, sentences: Iterable[str]) -> Card:
    """Return the card with these sentences at the end of its detail."""
    return replace(card, detail="\n\n".join(filter(None, (card.detail, *sentences)))) if sentences else card


def without_suggestions(card: Card, uuids: Collection[str]) -> Card:
    """Return the card without these of its suggestions; without any it has no selection behavior either (CARD-13)."""
    if not uuids:
        return card
    offered = tuple(suggestion for suggestion in card.suggestions if suggestion.uuid not in uuids)
    return replace(card, suggestions=offered, selection_behavior=card.selection_behavior if offered else None)
