"""Composes the cards of drafted orders: one card for each order, or the reason why there is none."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Final

from msgspec import Struct, structs

from cards.card import OTHER_SOURCES, SEVERITY, SUMMARY_LIMIT, TOPICS, Action, Card, Coding, Source, Suggestion
from cards.compose.high_alert import uncovered_card, uncovered_finding
from cards.extension import EXTENSION_KEY, CardExtension, Fact, FindingReference
from cards.rules.engine.finding import OfferedSuggestion, RuleFinding, merge_repeated_findings
from cards.rules.engine.governance import SuppressionCheck, suppress_nothing
from cards.rules.engine.rule_book import RuleBook, rule_book
from cards.rules.language.trigger import is_test
from cards.rules.patient.measurements import dated
from cards.rules.patient.orders import DraftMedication, DraftOrder, is_wanted_study
from cards.rules.patient.session import PatientSession
from cards.suggest import FindOriginal, OrderCheck, SuggestionContext, suggestions_for
from cards.text import escape, plain
from fhir.mapping.medications.active import held_medications
from fhir.record.record import PatientRecord
from fhir.record.refusals import WhyNot
from fhir.record.resources import ServiceRequest

MOST_FINDING_LINES = 3
MOST_SUGGESTIONS = 4
# A Medication among the drafts is part of an order, not one of its own.
_PARTS = frozenset({"Medication"})
_MOST_NAMED = 5
_ADULT_YEARS = 18
_BY_MONTHS = 24
"""Under this age in months it is told in months."""


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
    check = _Check(session, book if book is not None else rule_book(), new_uuid, original)
    silences: list[WhyNot] = []
    judgeable = (*check.session.drafted, *check.session.studies, *check.judged_stops())
    by_draft = {id(drafted.draft): drafted for drafted in judgeable}
    to_evaluate = []
    unnamed: list[RuleFinding] = []
    judged_names = frozenset(judged or ())
    for draft in check.session.drafts:
        if judged is not None and draft.name not in judged_names and not draft.is_named(judged):
            continue
        drafted = by_draft.get(id(draft))
        if drafted is None or not drafted.medication.recognised:
            silences.extend(_passed_over(draft, drafted, session))
            unnamed.extend(_uncovered(drafted) if drafted is not None else ())
        else:
            to_evaluate.append(drafted)
    if to_evaluate:
        silences.extend((*_unknown_on_list(session), *_on_hold(session)))
    shown_by_draft = [shown_findings(check.evaluate(drafted).findings, suppress, silences) for drafted in to_evaluate]
    findings, on_other_cards = merge_repeated_findings(shown_by_draft)
    silences.extend(on_other_cards)
    cards: list[Card] = []
    carded: list[DraftMedication] = []
    for drafted, card_findings in zip(to_evaluate, findings, strict=True):
        card, reasons = check.card(drafted, card_findings)
        silences.extend(reasons)
        if card is not None:
            cards.append(card)
            carded.append(drafted)
    if not active_orders:
        names = {drafted.draft.name for drafted in carded}
        uncovered = [*check.without_rule(to_evaluate, names), *unnamed]
        if uncovered and shown_findings(uncovered[:1], suppress, silences):
            cards.append(uncovered_card(uncovered, new_uuid()))
            carded.append(next(drafted for drafted in judgeable if drafted.draft.name == uncovered[0].draft_name))
    return OrderOutcome(tuple(cards), tuple(silences), tuple(carded))


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


def _passed_over(draft: DraftOrder, drafted: DraftMedication | None, session: PatientSession) -> Iterator[WhyNot]:
    name = plain(draft.name)
    if drafted is not None:
        words = drafted.medication.plain_words or "the drafted medication"
        yield WhyNot(draft.name, "not-recognised", f"Not recognized, so not checked: {words}.")
    elif draft.fault is not None:
        fault = plain(draft.fault.replace("`", "").replace("$.", ""), 120)
        yield WhyNot(draft.name, "draft-unreadable", f"{name} cannot be read ({fault}): not checked.")
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


def _uncovered(drafted: DraftMedication, *, in_pairs: bool = False) -> Iterator[RuleFinding]:
    finding = uncovered_finding(drafted, in_pairs=in_pairs)
    if finding is not None:
        yield finding


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
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        text = f"On hold, so not counted as taken: {'; '.join(names[:_MOST_NAMED])}{more}."
        yield WhyNot("medications", "on-hold", text)


class _Check(OrderCheck):
    """The orders of one call, with the card of each."""

    def judged_stops(self) -> Iterator[DraftMedication]:
        """Yield the drafts that end a drug whose end a rule is about."""
        for drafted in self.session.stopped:
            if self.book.rules_for(drafted.medication, stops=True):
                yield drafted

    def without_rule(self, drafts: Iterable[DraftMedication], names: Collection[str]) -> Iterator[RuleFinding]:
        """Yield the high-alert drugs that no rule is about, but for those with a card (`names` are those of drafts)."""
        for drafted in drafts:
            if drafted.stops or is_test(drafted.medication) or drafted.draft.name in names:
                continue
            rules = [activated.rule for activated in self.book.rules_for(drafted.medication)]
            specific = [rule for rule in rules if not rule.trigger.is_for_any]
            if not any(rule.declared.covers_use for rule in specific):
                yield from _uncovered(drafted, in_pairs=any(rule.trigger.sides for rule in specific))

    def card(self, drafted: DraftMedication, shown: Sequence[RuleFinding]) -> tuple[Card | None, list[WhyNot]]:
        silences = list(self.evaluate(drafted).silences)
        name = drafted.draft.name
        if drafted.medication.doubt:
            silences.append(WhyNot(name, "identity-in-doubt", f"{plain(name)}: {plain(drafted.medication.doubt, 200)}"))
        if drafted.dose.words_say_more:
            silences.append(WhyNot(name, "dose-in-doubt", f"{plain(name)}: {_WORDS_SAY_MORE}"))
        scope = self.book.scope_of(drafted, self.session.record, signing=self.session.signing)
        if not shown:
            if not silences and not self.evaluate(drafted).finding_keys:
                silences.append(WhyNot(name, "no-rule", f"No rule here is about {plain(drafted.medication.name)}."))
            return None, [*silences, scope]
        today = self.session.record.as_of - timedelta(days=1)
        findings = tuple(sorted(shown, key=lambda finding: _rank(finding, today.date().isoformat())))
        listed = tuple(finding for finding in findings if not any(finding.is_implied_by(other) for other in findings))
        context = SuggestionContext(self, drafted)
        uuid = self.new_uuid()
        suggestions: list[Suggestion] = []
        for finding in listed:
            offered, withheld = suggestions_for(_without_other_drug(finding, listed), context)
            if finding is not listed[0]:
                offered = [_as_beside_headline(suggestion, finding, listed[0]) for suggestion in offered]
            suggestions.extend(offered)
            silences.extend(withheld)
        card = _card(
            uuid, listed, _distinct(suggestions), f"**{_order_words(drafted)}**{_of_child(self.session, listed)}"
        )
        if len(listed) < len(findings):
            card = structs.replace(card, extension={EXTENSION_KEY: _extension(findings)})
        return card, [*silences, scope]


def _is_settled(finding: RuleFinding, others: Iterable[RuleFinding]) -> bool:
    """Whether the draft is to go for its own sake, so that nothing is advised about the pair of which this speaks.

    Dabigatran is contraindicated with a mechanical valve: the warfarin beside it must stay. Colchicine is with severe
    liver disease: no lower dose for the other drug makes it safe.
    """
    is_about_other = any(_is_of_partner(offer) for offer in finding.suggestions)
    return bool(finding.partners) and any(
        not other.partners
        and other.asks == "end"
        and SEVERITY[other.indicator] >= SEVERITY[finding.indicator]
        and any(offer.suggestion.declared.takes_draft_away for offer in other.suggestions)
        and (is_about_other or _is_contraindicated(other))
        for other in others
    )


def _is_contraindicated(finding: RuleFinding) -> bool:
    """Whether it says so of the draft alone, on a source that does."""
    if finding.partners or not finding.text.evidence:
        return False
    words = (f"{finding.text.summary} {finding.text.detail}", finding.text.evidence[0].section)
    return all("contraindicat" in text.casefold() for text in words)


def _without_other_drug(finding: RuleFinding, others: Iterable[RuleFinding]) -> RuleFinding:
    if not _is_settled(finding, others):
        return finding
    kept = tuple(offer for offer in finding.suggestions if not _is_of_partner(offer))
    return structs.replace(finding, suggestions=kept)


def _is_of_partner(offer: OfferedSuggestion) -> bool:
    declared = offer.suggestion.declared
    return declared.stop_partner is not None or declared.change_partner is not None


_OF_BREATHING_AND_PULSE: Final = frozenset({"spo2", "respiratory_rate", "heart_rate"})


def _rank(finding: RuleFinding, since: str) -> tuple[int, bool, bool, bool, bool, int]:
    """By harm, then by how sure the facts are, a vital sign of these hours, a contraindication, the rule's priority.

    Least sure is a drug that was last recorded years ago: what is known of the order itself stands before it.
    """
    asks, is_lesser = finding.text.asks_if_taken, not _is_contraindicated(finding)
    is_later = not any(
        fact.name in _OF_BREATHING_AND_PULSE and (fact.effective or "") >= since for fact in finding.facts
    )
    return -SEVERITY[finding.indicator], asks, not finding.is_certain, is_later, is_lesser, -finding.priority


def _card(uuid: str, findings: Sequence[RuleFinding], suggestions: Sequence[Suggestion], opening: str) -> Card:
    first = findings[0]
    evidence = first.text.evidence[0]
    return Card(
        uuid=uuid,
        summary=_summary(first),
        detail="\n".join(_lines(findings, opening)),
        indicator=first.indicator,
        source=Source(label=evidence.label, url=evidence.url, topic=TOPICS["orders"]),
        suggestions=tuple(suggestions),
        selection_behavior="at-most-one" if suggestions else None,
        override_reasons=_override_reasons(findings),
        extension={EXTENSION_KEY: _extension(findings)},
    )


def _override_reasons(findings: Iterable[RuleFinding]) -> tuple[Coding, ...]:
    """Return each reason once by its code, which alone comes back in feedback, in the words of the gravest finding."""
    reasons: dict[tuple[str, str], Coding] = {}
    for finding in findings:
        for reason in finding.text.override_reasons:
            reasons.setdefault((reason.system, reason.code), reason)
    return tuple(reasons.values())


def _summary(finding: RuleFinding) -> str:
    """Return the summary of the worst finding; the lint sees to its length, a long drug name is cut, not refused."""
    summary = finding.text.summary
    return summary if len(summary) <= SUMMARY_LIMIT else f"{summary[: SUMMARY_LIMIT - 1]}…"


# The detail: the order, what to do, why, and what else it rests on, in at most seven lines

_WORD = re.compile(r"\w+")


def _lines(findings: Sequence[RuleFinding], opening: str) -> Iterator[str]:
    yield opening
    source = findings[0].text.evidence[0].label
    lines, others = _by_line(findings)
    for finding in lines:
        # The card's own summary and source are not said twice.
        lead = "" if finding is findings[0] else f"**{_beyond_headline(finding, findings[0])}** "
        detail = "" if _is_settled(finding, findings) else _not_in_headline(finding)
        if words := f"{lead}{detail}{_of_the_line([finding], findings[0])}".split():
            yield " ".join(("-", *words))
    if others:
        briefly = " ".join(f"**{_beyond_headline(finding, findings[0])}**" for finding in others)
        yield f"- {briefly}{_of_the_line(others, findings[0])}"
    reasons = _charted(findings)
    why = [f"Why: {'; '.join(reasons)}."] if reasons else []
    of_the_card = (finding for finding in findings if not _is_beside(finding, findings[0]))
    notes = dict.fromkeys(note for finding in of_the_card for note in finding.text.notes)
    if texts := [*why, *(note for note in notes if not _is_begun_by(note, notes))]:
        yield f"- {' '.join(texts)}"
    labels = dict.fromkeys(evidence.label for finding in (*lines, *others) for evidence in finding.text.evidence[:2])
    if sources := [label for label in labels if label != source]:
        yield f"{OTHER_SOURCES} {'; '.join(sources)}."


def _is_begun_by(note: str, notes: Iterable[str]) -> bool:
    """Whether another note says this one and more: "… relief comes first; order another opioid before …"."""
    return any(other != note and other.startswith(note.removesuffix(".")) for other in notes)


def _is_beside(finding: RuleFinding, headline: RuleFinding) -> bool:
    return finding.indicator == "info" and headline.indicator != "info"


def _of_the_line(findings: Iterable[RuleFinding], headline: RuleFinding) -> str:
    """Return the notes of information in a card that is none: "this card is for information only" is of the line."""
    beside = (finding for finding in findings if _is_beside(finding, headline))
    notes = dict.fromkeys(note for finding in beside for note in finding.text.notes)
    return "".join(f" {note.replace('this card is', 'this point is')}" for note in notes)


def _not_in_headline(finding: RuleFinding) -> str:
    """Return the detail without its first sentence, where the headline has all of its words in their order."""
    first, _, rest_of_detail = finding.text.detail.partition(". ")
    headline = iter(_WORD.findall(_summary(finding).casefold()))
    is_in_headline = all(word in headline for word in _WORD.findall(first.casefold()))
    return rest_of_detail if is_in_headline else finding.text.detail


def _by_line(findings: Sequence[RuleFinding]) -> tuple[list[RuleFinding], list[RuleFinding]]:
    """Return the findings with a line of their own, and the others, which share one.

    Where there are more than lines, the worst of each merge group goes first.
    """
    if len(findings) <= MOST_FINDING_LINES:
        return list(findings), []
    worst_of_group: dict[str, RuleFinding] = {}
    for finding in findings:
        worst_of_group.setdefault(finding.group, finding)
    lines = list(worst_of_group.values())[:MOST_FINDING_LINES]
    return lines, [finding for finding in findings if finding not in lines]


def _beyond_headline(finding: RuleFinding, headline: RuleFinding) -> str:
    """Return the summary of a line without what the headline asks for in the same words: a card has one such dose."""
    first, *asked = _inline(finding).split(". ")
    said = _inline(headline).removesuffix(".").split(". ")[1:]
    kept = [first, *(sentence for sentence in asked if sentence.removesuffix(".") not in said)]
    return f"{'. '.join(kept).removesuffix('.')}."


def _inline(finding: RuleFinding) -> str:
    return escape(finding.text.summary, SUMMARY_LIMIT)


def _order_words(drafted: DraftMedication) -> str:
    return escape(drafted.medication.words)


def _of_child(session: PatientSession, findings: Iterable[RuleFinding]) -> str:
    """Return the age and the weight on record of a child, by which a dose is judged; nothing for an adult."""
    ages = session.record.age_bounds()
    is_said = any("The child is " in finding.text.detail for finding in findings)
    if ages is None or ages[1] >= _ADULT_YEARS or is_said:
        return ""
    months = session.record.age_months()
    age = f"age {months} months" if months is not None and months < _BY_MONTHS else f"age {ages[1]}"
    if len(set(ages)) > 1:
        age = f"age {ages[0]} or {ages[1]}"
    return f" ({age}, {dated(session.weight)})" if session.weight is not None else f" ({age})"


def _charted(findings: Sequence[RuleFinding]) -> list[str]:
    """Return the facts of the chart behind the findings, each with its date, if no sentence has both already."""
    details = " ".join(finding.text.detail for finding in findings)
    summaries = " ".join(("", *(finding.text.summary for finding in findings)))
    facts = [fact for finding in findings for fact in finding.facts if fact.text and fact.name != "draft"]
    shown = (fact for fact in _fullest(facts) if fact.is_always_shown or fact.dated_text(160) not in details)
    texts: dict[str, str] = {}
    for fact in shown:  # two facts of one entry may differ in what it was read as
        charted = fact.dated_text(160)
        texts[charted] = max(texts.get(charted, ""), fact.explained_text(160), key=len)
    return [text for charted, text in texts.items() if f" {charted}".casefold() not in summaries.casefold()]


def _fullest(facts: Iterable[Fact]) -> Iterable[Fact]:
    """One fact about each thing of the chart: of those with the same name and source the one that says most."""
    by_subject: dict[tuple[object, ...], Fact] = {}
    for fact in facts:
        key = (fact.name, fact.source or fact.text)
        fullest = by_subject.get(key)
        if fullest is None or len(fact.text) > len(fullest.text):
            by_subject[key] = fact
    return by_subject.values()


# The rest


def _as_beside_headline(suggestion: Suggestion, finding: RuleFinding, headline: RuleFinding) -> Suggestion:
    """Return a suggestion of another finding is advised only where it takes away what the headline warns of.

    That is certain only where the draft goes and nothing comes in its place: a change or a substitute was proven for
    its own finding. Nothing is advised from a finding that is milder than the headline.
    """
    fits = finding.indicator == headline.indicator and _takes_draft_away(suggestion)
    return suggestion if fits else structs.replace(suggestion, is_recommended=False)


def _takes_draft_away(suggestion: Suggestion) -> bool:
    if not suggestion.actions:
        return False
    ended = [action for action in suggestion.actions if _ends_order(action)]
    others = [action for action in suggestion.actions if not _ends_order(action)]
    kinds = {(action.resource or {}).get("resourceType") for action in others}
    return bool(ended) and "MedicationRequest" not in kinds


def _ends_order(action: Action) -> bool:
    return action.type == "delete" or (action.resource or {}).get("status") in ("on-hold", "stopped", "revoked")


def _distinct(suggestions: Iterable[Suggestion]) -> list[Suggestion]:
    """Each label and each thing that is done once, at most one of them recommended."""
    distinct: list[Suggestion] = []
    for suggestion in suggestions:
        if any(
            kept_suggestion.label == suggestion.label or _done(kept_suggestion) == _done(suggestion)
            for kept_suggestion in distinct
        ):
            continue
        if suggestion.is_recommended and any(kept_suggestion.is_recommended for kept_suggestion in distinct):
            suggestion = structs.replace(suggestion, is_recommended=False)
        distinct.append(suggestion)
    return distinct[:MOST_SUGGESTIONS]


def _done(suggestion: Suggestion) -> list[tuple[object, ...]]:
    """Return what accepting it does, without the names of new orders."""
    return [(action.type, action.resource_id, {**(action.resource or {}), "id": None}) for action in suggestion.actions]


def _extension(findings: Sequence[RuleFinding]) -> CardExtension:
    return CardExtension(
        findings=tuple(FindingReference(finding.rule, finding.band) for finding in findings),
        facts=tuple(dict.fromkeys(fact for finding in findings for fact in finding.facts)),
    )
