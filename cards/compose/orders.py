"""Composes the card of a drafted order: the order, what to do, why, and what it rests on."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from math import inf
from typing import Any, Final

from msgspec import structs

from cards.card import (
    OTHER_SOURCES,
    SEVERITY,
    SUMMARY_LIMIT,
    TOPICS,
    Action,
    Card,
    CardIdentity,
    Coding,
    Source,
    Suggestion,
)
from cards.extension import CardExtension, Fact, FindingReference
from cards.rules.engine.finding import DRUG_FACTS, OfferedSuggestion, RuleFinding
from cards.rules.patient.measurements import dated
from cards.rules.patient.orders import DraftMedication
from cards.rules.patient.session import PatientSession
from cards.suggest import OrderCheck, suggestions_for
from cards.text import actions_last, capitalized, escape, is_action, sentences
from fhir.record.refusals import WhyNot

MOST_FINDING_LINES = 3
MOST_SUGGESTIONS = 4
_ADULT_YEARS = 18
_BY_MONTHS = 24
"""Under this age in months it is told in months."""


def order_card(drafted: DraftMedication, shown: Sequence[RuleFinding], check: OrderCheck) -> tuple[Card, list[WhyNot]]:
    """Return the card of what is found about a draft, and why suggestions of it are withheld."""
    identity, withheld = CardIdentity(check.new_uuid()), list[WhyNot]()
    today = check.session.record.as_of - timedelta(days=1)
    findings = sorted(shown, key=lambda finding: _rank(finding, today.date().isoformat()))
    listed = [finding for finding in findings if not any(finding.is_implied_by(other) for other in findings)]
    first, forbidding = listed[0], [finding for finding in listed if _forbids(finding)]
    # A test before the first dose says nothing where the drug is critically forbidden: it is not given at all.
    if any(finding.indicator == "critical" for finding in forbidding):
        is_new = all(check.session.is_new_start(part, drafted) for part in drafted.medication.ingredients)
        listed = [finding for finding in listed if not _asks_for_test(finding, is_new_start=is_new)]
    suggestions: list[Suggestion] = []
    first_offer: Suggestion | None = None
    for finding in listed:
        offered, reasons = suggestions_for(_without_draft(finding, forbidding), drafted, check)
        if finding is first:
            first_offer = next((offer for offer in offered if offer.is_recommended), next(iter(offered), None))
        else:
            offered = [_as_beside_headline(suggestion, finding, first) for suggestion in offered]
        suggestions.extend(offered)
        withheld.extend(reasons)
    opening = f"**{escape(drafted.medication.words)}**{_of_child(check.session, listed)}"
    card = identity.card(
        first.indicator,
        _summary(first),
        "\n".join(_lines(_without_repeated(listed), opening, forbidding, first_offer)),
        Source(label=first.evidence[0].label, url=first.evidence[0].url, topic=TOPICS["orders"]),
        CardExtension(
            findings=tuple(FindingReference(finding.rule, finding.band) for finding in findings),
            facts=tuple(dict.fromkeys(fact for finding in findings for fact in finding.facts)),
        ),
        suggestions=_distinct(suggestions, drafted.draft.resource.get(_DRUG)),
        reasons=_override_reasons(listed),
        selection="at-most-one",
    )
    return card, withheld


_TESTS_FIRST: Final = ("pgx-test-before", "mon-before-", "mon-hepatitis-b")


def _asks_for_test(finding: RuleFinding, *, is_new_start: bool) -> bool:
    """Whether it asks for a test before the first dose, or of a new drug for what is not known; an INR stays."""
    is_of_facts = any(fact.name not in DRUG_FACTS for fact in finding.facts)
    is_gap = is_new_start and finding.indicator == "info" and not is_of_facts
    return finding.rule.startswith(_TESTS_FIRST) or (is_gap and finding.rule != "mon-warfarin-inr")


_OF_DISEASES: Final = "dz-label-"


def _without_repeated(findings: Sequence[RuleFinding]) -> list[RuleFinding]:
    """Return the findings, of several rows of the table of diseases about the same entries the first alone.

    Two rows on uncontrolled and on severe hypertension say one thing of bromocriptine in a hypertensive crisis.
    """
    kept: dict[object, RuleFinding] = {}
    for finding in findings:
        entries = frozenset(fact for fact in finding.facts if fact.name not in DRUG_FACTS)
        is_of_diseases = finding.rule.startswith(_OF_DISEASES) and bool(entries)
        kept.setdefault(entries if is_of_diseases else finding.rule, finding)
    return list(kept.values())


def _forbids(finding: RuleFinding) -> bool:
    """Whether it says for certain that the draft is not to be given, and offers nothing with which it could be."""
    if not finding.forbids or not finding.is_certain or finding.asks_if_taken:
        return False
    declared = [offer.suggestion.declared for offer in finding.suggestions]
    return any(offer.takes_draft_away for offer in declared) and not any(offer.keeps_draft for offer in declared)


def _forbidding(finding: RuleFinding, of_card: Sequence[RuleFinding]) -> list[RuleFinding]:
    """Return those that forbid the draft, so that this one advises nothing with which it would be given.

    Dabigatran is contraindicated with a mechanical valve: the warfarin beside it must stay. With an anticoagulant no
    NSAID is given: neither a proton pump inhibitor nor a short course makes it safe.
    """
    if any(other is finding for other in of_card):
        return []
    return [other for other in of_card if SEVERITY[other.indicator] >= SEVERITY[finding.indicator]]


def _without_draft(finding: RuleFinding, of_card: Sequence[RuleFinding]) -> RuleFinding:
    """Return the finding without the suggestions with which the draft would be given, where another one forbids it.

    What ends the other drug of a pair stays where that drug is the reason: then the draft can be given.
    """
    forbidding = _forbidding(finding, of_card)
    if not forbidding:
        return finding
    is_reason = all(other.partners and set(finding.partners).issuperset(other.partners) for other in forbidding)
    kept = [offer for offer in finding.suggestions if not _keeps(offer) or (is_reason and _ends_partner(offer))]
    return structs.replace(finding, suggestions=tuple(kept))


def _ends_partner(offer: OfferedSuggestion) -> bool:
    return offer.suggestion.declared.stop_partner is not None


def _keeps(offer: OfferedSuggestion) -> bool:
    """Whether it changes or adds something so that the draft can be given; a test of some days later is of that too."""
    declared = offer.suggestion.declared
    is_later = any(declared.orders[position].in_days for position in offer.orders)
    return declared.keeps_draft or (is_later and not declared.takes_draft_away)


_OF_BREATHING_AND_PULSE: Final = frozenset({"spo2", "respiratory_rate", "heart_rate"})


def _rank(finding: RuleFinding, since: str) -> tuple[int, bool, bool, bool, int, bool]:
    """By harm, then a vital sign of these hours, what forbids the draft, the rule's priority, how sure the facts are.

    Least sure is a drug that was last recorded years ago: what is known of the order itself stands before it. A result
    that another one contradicts is not: slow breathing in a disputed kidney failure stands before a laxative.
    """
    asks = bool(finding.asks_if_taken)
    is_grave = finding.indicator == "critical" or not finding.is_certain
    is_lesser = not (_forbids(finding) or (finding.forbids and is_grave) or finding.rule.startswith("preg-"))
    is_later = not any(
        fact.name in _OF_BREATHING_AND_PULSE and (fact.effective or "") >= since for fact in finding.facts
    )
    return -SEVERITY[finding.indicator], asks, is_later, is_lesser, -finding.priority, not finding.is_certain


def _override_reasons(findings: Iterable[RuleFinding]) -> tuple[Coding, ...]:
    """Return each reason once by its code, which alone comes back in feedback, in the words of the gravest finding."""
    reasons: dict[tuple[str, str], Coding] = {}
    for finding in findings:
        for reason in finding.override_reasons:
            reasons.setdefault((reason.system, reason.code), reason)
    return tuple(reasons.values())


def _summary(finding: RuleFinding) -> str:
    """Return the summary of the worst finding; the lint sees to its length, a long drug name is cut, not refused."""
    summary = finding.summary
    return summary if len(summary) <= SUMMARY_LIMIT else f"{summary[: SUMMARY_LIMIT - 1]}…"


# The detail: the order, what can happen, what to do, why, and what else it rests on, in at most eight lines

_WORD = re.compile(r"\w+")


def _lines(
    findings: Sequence[RuleFinding], opening: str, forbidding: Sequence[RuleFinding], offer: Suggestion | None
) -> Iterator[str]:
    yield opening
    first, source = findings[0], findings[0].evidence[0].label
    lines, others = _by_line(findings)
    of_the_card = (finding for finding in findings if not _is_beside(finding, first))
    notes = dict.fromkeys(note for finding in of_the_card for note in finding.notes)
    told, asked = actions_last(" ".join(note for note in notes if not _is_begun_by(note, notes)))
    facts, actions = actions_last(first.asks_if_taken if _forbidding(first, forbidding) else first.detail)
    facts, added = _beyond(facts, first.summary), list[str]()
    for finding in lines[1:]:
        is_settled, said = bool(_forbidding(finding, forbidding)), f"{first.summary} {facts} {' '.join(added)}"
        more, to_do = actions_last(finding.asks_if_taken if is_settled else finding.detail)
        more, to_do = _beyond(more, finding.summary), _beyond(to_do, f"{first.summary} {actions}")
        lead = _beyond_headline(finding, first, only_fact=is_settled)
        if _is_said(lead.replace("contraindicated", "") if first.forbids else lead, said):
            facts, actions = f"{facts} {_beyond(more, said)}", f"{actions} {to_do}"
        else:
            added += bullet(f"**{lead}** {more} {to_do}{_of_the_line([finding], first)}")
    yield from bullet(facts)
    yield from bullet(what_to_do(first.summary, f"{actions} {asked}".strip(), offer, _case(first)))
    yield from added
    if others:
        briefly = " ".join(
            f"**{_beyond_headline(finding, findings[0], only_fact=bool(_forbidding(finding, forbidding)))}**"
            for finding in others
        )
        yield f"- {briefly}{_of_the_line(others, findings[0])}"
    reasons = _charted(findings)
    why = f"Why: {'; '.join(reasons)}." if reasons else ""
    yield from bullet(f"{why} {told}" if why else f"Note: {told}" if told else "")
    labels = dict.fromkeys(
        _HOW_READ.sub("", evidence.label) for finding in (*lines, *others) for evidence in finding.evidence[:2]
    )
    if sources := [label for label in labels if _document(label) != _document(source)]:
        yield f"{OTHER_SOURCES} {'; '.join(sources)}."


def _document(label: str) -> str:
    """Return the label without its section, which names the source a second time."""
    return _HOW_READ.sub("", label).partition(" label (US), ")[0]


_HOW_READ = re.compile(r"(?:, set [0-9a-f]{8})?, read (?:in a copy )?\d{4}-\d\d-\d\d$")
"""What stands behind a label that was read; a card has it of its own source, which is looked up by it."""


def bullet(text: str) -> Iterator[str]:
    """Yield a text as a point of a list; nothing where it is empty."""
    if words := text.split():
        yield " ".join(("-", *words))


_ENDS_THE_ORDER: Final = re.compile(r"\b(?:cancel|do not (?:give|use|start)|hold it|stop it)\b", re.IGNORECASE)
_FORBIDS: Final = re.compile(r"(?:adjust a dose or monitor|avoid|do not|never)\b", re.IGNORECASE)
_HOLDS: Final = re.compile(rf"{_FORBIDS.pattern}|(?:consider )?(?:avoid|hold|not |repeat|stop|withhold)", re.IGNORECASE)
"""What a headline asks for in general; the detail or the button says what to do instead."""
_VAGUE: Final = re.compile(r"Avoid (?:it(?: if possible)?|the pair)\.|Repeat the test\.")
_NOT_GIVEN: Final = re.compile(r"Do not (?:give|use) it\.")
_BY_LABEL: Final = re.compile(r" \((?:[a-z]+ )?label\b[^)]*\)")
"""What a headline says of its source; as a step it says nothing."""
_CHOICE: Final = re.compile(r"(?:(?<=\. )|^)(?:choose|consider)\b", re.IGNORECASE)


def what_to_do(summary: str, actions: str, offer: Suggestion | None, case: str = "") -> str:
    """Return what to do: what the first button does where it is advised, and what headline and detail ask for.

    Where these ask for nothing, it is the first button, which ends the order in a `case` alone.
    """
    is_advised, takes_away = offer is not None and offer.is_recommended, offer is not None and _takes_draft_away(offer)
    actions = _BY_LABEL.sub("", actions)
    actions = _NOT_GIVEN.sub(f"{offer.label}.", actions, count=1) if offer is not None and takes_away else actions
    steps = [step for step in sentences(actions) if step and not _VAGUE.fullmatch(step)]
    if sum(_CHOICE.match(step) is not None for step in steps) > 1:
        steps = [step for step in steps if not step.startswith("Consider another drug")]
    actions = " ".join(steps)
    asked = [clause for clause in _CLAUSE.split(_BY_LABEL.sub("", summary))[1:] if is_action(clause)]
    if actions or takes_away:
        general = _HOLDS if is_advised and takes_away else _FORBIDS
        asked = [clause for clause in asked if not general.match(clause) and not _is_begun(clause, actions)]
    steps = [f"{capitalized(clause.removesuffix('.'))}." for clause in asked] + steps
    if offer is not None and is_advised and takes_away:
        steps = steps if _ENDS_THE_ORDER.search(" ".join(steps)) else [f"{offer.label}.", *steps]
    elif offer is not None and is_advised and not _names(offer, actions):
        rest = (step for step in sentences(actions) if step and not step.startswith("Correct it"))
        steps = [f"{offer.label}.", *rest]  # in place of what the headline asks for in general
    elif offer is not None and not steps:
        steps = [f"{offer.label}{case if takes_away else ''}."]
    return f"**To do:** {' '.join(steps)}" if steps else ""


def _case(finding: RuleFinding) -> str:
    """Return in which case an order is to be ended of which nothing else is said: always, where it is critical."""
    if finding.indicator == "critical":
        return ""
    names = " and ".join(dict.fromkeys(partner.medication.name for partner in finding.partners))
    return f" if {escape(names)} goes on" if names else " if this applies to the patient"


def _is_begun(clause: str, actions: str) -> bool:
    """Whether the actions ask for this already, or name the other choice that it only asks for."""
    return _is_said(clause, actions) or (_CHOICE.match(clause) is not None and _CHOICE.search(actions) is not None)


def _names(offer: Suggestion, text: str) -> bool:
    """Whether a text names the drug or the test of a button already; of a new dose, its number."""
    verb, *words = _WORD_OR_NUMBER.findall(offer.label)
    named = frozenset(_WORD_OR_NUMBER.findall(text.casefold()))
    if verb in ("Change", "Reduce") and (numbers := [word for word in words if word[0].isdigit()]):
        return numbers[0] in named
    return any(word.casefold() in named for word in words if len(word) > _SHORT_WORD or word.isupper())


_SHORT_WORD = 5
_WORD_OR_NUMBER = re.compile(r"\d[\d.,]*(?<![.,])|[^\W\d]+")
_CLAUSE = re.compile(r"[.:;] ")


def _is_begun_by(note: str, notes: Iterable[str]) -> bool:
    """Whether another note says this one and more: "… relief comes first; order another opioid before …"."""
    return any(other != note and other.startswith(note.removesuffix(".")) for other in notes)


def _is_beside(finding: RuleFinding, headline: RuleFinding) -> bool:
    return finding.indicator == "info" and headline.indicator != "info"


def _of_the_line(findings: Iterable[RuleFinding], headline: RuleFinding) -> str:
    """Return the notes of information in a card that is none: "this card is for information only" is of the line."""
    beside = (finding for finding in findings if _is_beside(finding, headline))
    notes = dict.fromkeys(note for finding in beside for note in finding.notes)
    return "".join(f" {note.replace('this card is', 'this point is')}" for note in notes)


def _beyond(text: str, said: str) -> str:
    """Return the sentences of a text that say more than what is said already."""
    return " ".join(sentence for sentence in sentences(text) if not _is_said(sentence, said))


def _is_said(sentence: str, said: str) -> bool:
    """Whether a text has all words and numbers of a sentence; that a label says so is no more."""
    return _stems(sentence) - _stems(said) <= _OF_LABELS


def _stems(text: str) -> frozenset[str]:
    words = _WORD.findall(text.casefold())
    return frozenset(word[:_STEM] for word in words if len(word) >= _STEM - 1 or word[0].isdigit())


_STEM = 5
_OF_LABELS = _stems("label section says with from this that when risk")


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


def _beyond_headline(finding: RuleFinding, headline: RuleFinding, *, only_fact: bool = False) -> str:
    """Return the summary of a line without what the headline asks for: its danger alone where `only_fact`."""
    whole = sentences(_inline(finding))
    return whole[0] if only_fact else _beyond(" ".join(whole), headline.summary) or whole[0]


def _inline(finding: RuleFinding) -> str:
    return escape(finding.summary, SUMMARY_LIMIT)


def _of_child(session: PatientSession, findings: Iterable[RuleFinding]) -> str:
    """Return the age and the weight on record of a child, by which a dose is judged; nothing for an adult."""
    ages = session.record.age_bounds()
    is_said = any("The child is " in finding.detail for finding in findings)
    if ages is None or ages[1] >= _ADULT_YEARS or is_said:
        return ""
    months = session.record.age_months()
    age = f"age {months} months" if months is not None and months < _BY_MONTHS else f"age {ages[1]}"
    if months == 0 and (born := session.record.birth_date) is not None:
        days = born.whole_days(session.record.as_of_epoch)
        age = f"age {days} day{'' if days == 1 else 's'}"
    if len(set(ages)) > 1:
        age = f"age {ages[0]} or {ages[1]}"
    return f" ({age}, {dated(session.weight)})" if session.weight is not None else f" ({age})"


_OF_ORDER: Final = frozenset({"draft", "times_per_day", "times_per_week"})
"""Facts that the reader has before him: the drug and how often it is ordered."""


def _charted(findings: Sequence[RuleFinding]) -> list[str]:
    """Return the facts of the chart behind the findings, each with its date, if no sentence has both already."""
    details = " ".join(finding.detail for finding in findings)
    summaries = " ".join(("", *(finding.summary for finding in findings)))
    facts = [fact for finding in findings for fact in finding.facts if fact.text and fact.name not in _OF_ORDER]
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


_DRUG: Final = "medicationCodeableConcept"


def _distinct(suggestions: Iterable[Suggestion], drug: object) -> list[Suggestion]:
    """Each label and each thing that is done once, at most one of them recommended.

    Another drug than that of the draft (`drug`) is offered in one dose, the least that a finding of the card allows:
    that of another one may be too high for it (acetaminophen beside phenprocoumon in kidney failure).
    """
    distinct: list[Suggestion] = []
    for suggestion in suggestions:
        done = _done(suggestion, drug)
        same = (
            place for place, kept in enumerate(distinct) if kept.label == suggestion.label or _done(kept, drug) == done
        )
        if (place := next(same, None)) is None:
            is_first = not any(kept.is_recommended for kept in distinct)
            distinct.append(structs.replace(suggestion, is_recommended=suggestion.is_recommended and is_first))
        elif _ordered(suggestion) < _ordered(distinct[place]):
            distinct[place] = structs.replace(suggestion, is_recommended=distinct[place].is_recommended)
    return distinct[:MOST_SUGGESTIONS]


def _ordered(suggestion: Suggestion) -> tuple[float, float]:
    """Return the most of a day and of one dose of what it orders; infinite where the order does not say."""
    created = (action.resource or {} for action in suggestion.actions if action.type == "create")
    dosage: dict[str, Any] = next(
        (resource["dosageInstruction"][0] for resource in created if "dosageInstruction" in resource), {}
    )
    dose: dict[str, Any] = next(iter(dosage.get("doseAndRate", ())), {})
    of_a_day = dosage.get("maxDosePerPeriod", {}).get("numerator", {})
    of_a_dose = dose.get("doseQuantity") or dose.get("doseRange", {}).get("high", {})
    return float(of_a_day.get("value", inf)), float(of_a_dose.get("value", inf))


def _done(suggestion: Suggestion, drug: object) -> list[tuple[object, ...]]:
    """Return what accepting it does, without the names of new orders and the dose of another drug."""
    done: list[tuple[object, ...]] = []
    for action in suggestion.actions:
        resource = {**(action.resource or {}), "id": None}
        if action.type == "create" and resource.get(_DRUG, drug) != drug:
            resource.pop("dosageInstruction", None)
        done.append((action.type, action.resource_id, resource))
    return done
