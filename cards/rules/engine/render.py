"""Renders an evaluation in words: a finding with its facts and texts, or a silence with its reason."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from msgspec.structs import replace

from cards.card import Indicator
from cards.extension import MOST_FACTS, Fact
from cards.rules.engine.compile import CompiledBand, CompiledMissingData, CompiledRule, CompiledSilentWhen
from cards.rules.engine.finding import (
    DRUG_FACTS,
    Match,
    NoMatch,
    OfferedSuggestion,
    RuleFinding,
    offered_suggestions,
    reasons,
)
from cards.rules.engine.placeholders import LONGEST_WORDS, escaped, in_full, placeholder_lookup
from cards.rules.language.rule import Asks, Evidence
from cards.rules.language.trigger import AMOUNTS_OF_ADULT, ASK_PHARMACIST, Template
from cards.rules.patient.context import RuleContext
from cards.text import capitalized, escape, is_action, joined
from fhir.mapping.conditions import PROBLEMS_UNREADABLE, count_unread
from fhir.record.refusals import WhyNot
from fhir.terminology.medications import INGREDIENTS

_LONGEST_HEADLINE = 100
_DANGER = re.compile(r"(?!.*\bcannot\b)(?:(.+) \((\D[^()]*)\)|(.+ is contraindicated(?: .+)?): ([^:.]+))\.")

MISSING = "missing"
"""The band of a finding that asks for missing data."""
WITHIN_LIMITS = "within-limits"
"""The reason of a rule that looked and found nothing. Its text is only written where a reader asks for it."""
_ONE_STEP_LOWER: dict[Indicator, Indicator] = {"critical": "warning", "warning": "info", "info": "info"}


def matched_band(match: Match) -> str:
    """Return the id of the band that matched."""
    return match.says.declared.id if isinstance(match.says, CompiledBand) else MISSING


def render_finding(match: Match) -> RuleFinding:
    """Return the finding of a match with its facts; its words are written where it is shown (`RuleFinding.write`)."""
    rule, context, band = match.rule, match.context, match.says
    if isinstance(band, CompiledMissingData):
        offers = offered_suggestions(rule, band.suggestions, context, frozenset())
        return _finding(match, band.declared.indicator, band.summary, band.when.facts(context), offers)
    declared = band.declared
    assert declared.indicator != "silent"  # noqa: S101 - finding.py makes a silence of it
    facts = band.when.facts(context)
    doubts = (*context.doubts_of(facts), *context.uncertain_partners())
    unsure = bool(doubts) or context.is_unsure(band.when.uses, critical=declared.indicator == "critical")
    indicator: Indicator = _ONE_STEP_LOWER[declared.indicator] if unsure else declared.indicator
    word = placeholder_lookup(rule, band.when, tuple(facts), context)
    softening = reasons(band, context, "info")
    milder = _softening_texts(softening, word)
    lower: tuple[str, ...] = ()
    if indicator == "critical" and not milder:
        softening = reasons(band, context, "warning")
        lower = _softening_texts(softening, word)
    summary = _summary(rule, band, context, unsure)
    indicator = "info" if milder else "warning" if lower else indicator
    # Other words for values that are old or contradict ask for these values first.
    asks: Asks = "change" if summary is band.unsure_summary else declared.asks
    offers = offered_suggestions(rule, band.suggestions, context, band.when.uses)
    if milder:  # Where relief comes first, nothing is advised that takes it away.
        offers = tuple(
            replace(offer, is_recommended=offer.is_recommended and not offer.suggestion.declared.takes_draft_away)
            for offer in offers
        )
    notes = (*doubts, *milder, *lower)
    for other in match.others:
        facts = [*facts, *other.context.partner_facts()]
    forbids = declared.forbids_order and not (lower and declared.forbids is None)
    if rule.family.forbids is not None:
        forbids = rule.family.forbids(context)
    return _finding(match, indicator, summary, facts, offers, notes, is_certain=not unsure, asks=asks, forbids=forbids)


def _said_of(other: Match) -> str:
    """Return the headline for partners of another band, which is one more sentence of the card."""
    facts = tuple(other.says.when.facts(other.context))
    word = placeholder_lookup(other.rule, other.says.when, facts, other.context)
    summary = other.says.summary.for_child if other.context.is_child else other.says.summary
    return summary.fill(escaped(word)) or f"Also with {', '.join(other.context.partner_names())}."


def _softening_texts(softening: Iterable[CompiledSilentWhen], word: Callable[[str], str | None]) -> tuple[str, ...]:
    """Return why the card is milder; a reason with an unfilled name is left out."""
    return tuple(filter(None, [Template(reason.declared.text).fill(escaped(word)) for reason in softening]))


def _summary(rule: CompiledRule, band: CompiledBand, context: RuleContext, unsure: bool) -> Template:
    if band.gives_a_dose and context.is_unstable and rule.unstable_summary is not None:
        return rule.unstable_summary
    return band.unsure_summary if unsure and band.unsure_summary is not None else band.summary


def found_nothing(title: str, seen: str = "") -> str:
    """Return the sentence of a rule that looked and found nothing; `seen` are the values that it read."""
    return f"{title}: looked, no limit is reached{f' ({seen})' if seen else ''}."


def render_silence(no_match: NoMatch, unread: int, *, kidney_told: bool) -> WhyNot:
    """Return why a rule that was asked has nothing to say; a rule that read no value says it by its code alone.

    `unread` is how many problems of the chart could not be read. What a card tells of the kidney is not denied.
    """
    rule, context = no_match.rule, no_match.context
    if no_match.unknown:
        uses = frozenset().union(*(band.when.uses for band in no_match.unknown))
        reason, text = _own_gap(rule, uses, context) or context.why_unknown(uses)
        return WhyNot(rule.id, reason, f"{rule.declared.title}: {text}")
    if rule.at_selection and not context.session.signing:
        return WhyNot(rule.id, "at-selection", rule.at_selection)
    gap = rule.family.not_compared(rule.id, context) if rule.family.not_compared is not None else None
    if gap is not None:
        return WhyNot(rule.id, gap[0], f"{rule.declared.title}: {gap[1]}")
    if unread and rule.looks_for_conditions:
        text = f"{rule.declared.title}: {count_unread(unread)}; in what could be read nothing was found."
        return WhyNot(rule.id, PROBLEMS_UNREADABLE, text)
    if rule.family.nothing_found is not None:
        reason, text = rule.family.nothing_found(rule.id, context)
        return WhyNot(rule.id, reason, f"{rule.declared.title}: {text}")
    seen = ", ".join(context.estimate_phrases(rule.band_uses)) if rule.estimates and not kidney_told else ""
    return WhyNot(rule.id, WITHIN_LIMITS, found_nothing(rule.declared.title, seen) if seen else "")


def _own_gap(rule: CompiledRule, uses: frozenset[str], context: RuleContext) -> tuple[str, str] | None:
    """Why a fact is not known that only this rule's family knows about."""
    gaps = (gap(context) for use, gap in rule.family.gaps.items() if use in uses)
    return next((gap for gap in gaps if gap is not None), None)


def _finding(
    match: Match,
    indicator: Indicator,
    summary: Template,
    facts_of_match: Iterable[Fact],
    offers: tuple[OfferedSuggestion, ...],
    notes: tuple[str, ...] = (),
    *,
    is_certain: bool = True,
    asks: Asks = "end",
    forbids: bool = False,
) -> RuleFinding:
    rule, context = match.rule, match.context
    facts = tuple(dict.fromkeys((context.drafted_fact(), *context.partner_facts(), *facts_of_match)))
    return RuleFinding(
        rule=rule.id,
        band=matched_band(match),
        indicator=indicator,
        is_certain=is_certain,
        priority=rule.declared.priority,
        write=partial(_with_words, match, summary, facts, notes),
        override_reasons=rule.override_reasons,
        facts=facts if len(facts) <= MOST_FACTS else tuple(_with_count_of_others(facts)),
        suggestions=offers,
        partners=context.partners,
        family=rule.family.name,
        yields_to=rule.declared.yields_to,
        asks=rule.family.asks(context) if rule.family.asks is not None else asks,
        forbids=forbids,
    )


def _with_words(
    match: Match, summary: Template, facts: tuple[Fact, ...], notes: tuple[str, ...], finding: RuleFinding
) -> RuleFinding:
    rule, context, says = match.rule, match.context, match.says
    word = placeholder_lookup(rule, says.when, facts, context)
    # A text with an unfilled name is never sent; the title has none.
    full = in_full(word, context)
    of_adult = summary, says.detail
    summary, template = (summary.for_child, says.detail.for_child) if context.is_child else of_adult
    headline, moved = _headline(summary, full)
    if not headline or len(headline) > _LONGEST_HEADLINE:
        headline, moved = _headline(summary, word)
    headline = headline or f"{rule.declared.title}: check this order."
    filled = template.fill(escaped(full))
    detail = rule.declared.title if filled is None else filled
    detail = f"{escape(moved, LONGEST_WORDS)} {detail}" if moved and moved not in detail else detail
    if (summary, template) != of_adult:
        detail = f"{detail if template.text else ''} {AMOUNTS_OF_ADULT}".strip()
        headline, detail = (
            (headline, f"{detail} {ASK_PHARMACIST}")
            if summary is of_adult[0]
            else (f"{headline} {ASK_PHARMACIST}", detail)
        )
    of_others = " ".join(dict.fromkeys(map(_said_of, match.others)))
    names = context.partner_names()
    if len(names) > 1 and len({name.casefold() in headline.casefold() for name in names}) > 1:  # it names some of them
        about = escape(joined(names), LONGEST_WORDS)
        detail = detail if about in detail else f"This is about {about}. {detail}"
    question = escape(context.asks_if_taken(facts), LONGEST_WORDS)
    if question:
        detail = f"{detail} {question}" if len(context.partners) > 1 else f"{question} {detail}"
    questions = [asked for asked, when in rule.questions if when.test(context) is True]
    running = context.running_note() if finding.indicator != "info" and not rule.trigger.same_ingredient else None
    allergens = _named_allergens(f"{headline} {detail}", context, facts)
    return replace(
        finding,
        summary=headline,
        detail=f"{of_others} {detail}".strip(),
        of_others=of_others,
        notes=(*context.notes(says.when.uses), *notes, *questions, *([running] if running else ()), *allergens),
        evidence=_evidence(rule, says.declared.cites if isinstance(says, CompiledBand) else (), context),
        # Another partner that is taken today is reason enough for the finding.
        asks_if_taken="" if len(context.partners) > 1 and not context.is_doubtful_partner else question,
    )


def _headline(summary: Template, word: Callable[[str], str | None]) -> tuple[str, str]:
    """Return the summary, and what of it has no room and goes to the detail.

    The date of a problem stands once, and is left out where only that leaves room for the danger.
    """
    headline, since = summary.fill(word) or "", word("since") if "since" in summary.names else None
    short, moved = _in_room(headline)
    if since and (headline.count(since) > 1 or len(short) > _LONGEST_HEADLINE or (moved and not is_action(moved))):
        short, moved = _in_room(summary.fill(lambda name: "" if name == "since" else word(name)) or "")
    return short, moved


def _in_room(headline: str) -> tuple[str, str]:
    """Return a headline with at most 100 characters and the rest: its last instruction, then its danger."""
    subject, _, danger = headline.removesuffix(".").rpartition(": ")
    if " is contraindicated" in subject and danger in subject:  # "with complete heart block: complete heart block"
        headline = f"{subject}."
    if len(headline) <= _LONGEST_HEADLINE:
        return headline, ""
    first, _, last = headline.rpartition(". ")
    if first and is_action(last):
        short, moved = _in_room(f"{first}.")
        return short, f"{moved} {last}".strip()
    match = _DANGER.fullmatch(headline)
    rest, danger = (match[1] or match[3], match[2] or match[4]) if match is not None else ("", "label")
    if danger == "label":
        return headline, ""
    danger = danger.removeprefix("risk of ").removesuffix(" risk")
    return f"{rest}.", "The label has a boxed warning." if danger == "boxed warning" else f"Risk: {danger}."


def _named_allergens(text: str, context: RuleContext, facts: Iterable[Fact]) -> list[str]:
    """Return a sentence for each drug that the text names, mostly as another choice, and that the patient reacts to."""
    names = [INGREDIENTS[rxcui].name for rxcui in context.session.allergies_by_ingredient if rxcui in INGREDIENTS]
    if not names:
        return []
    told = " ".join(fact.text for fact in facts).lower()
    return [
        f"An allergy or intolerance to {name} is on the record."
        for name in dict.fromkeys(names)
        if name not in told and re.search(rf"\b{re.escape(name)}\b", text, re.IGNORECASE)
    ]


def _with_count_of_others(facts: Iterable[Fact]) -> Iterator[Fact]:
    """Yield the first `MOST_FACTS` facts of each name and how many more there are; all drugs, which rules go by."""
    by_name: dict[str, list[Fact]] = {}
    for fact in facts:
        by_name.setdefault(fact.name, []).append(fact)
    for name, of_name in by_name.items():
        more = 0 if name in DRUG_FACTS else len(of_name) - MOST_FACTS
        yield from of_name[:MOST_FACTS] if more > 0 else of_name
        if more > 0:
            yield Fact(f"more_{name}", f"{more} more of this kind", value=float(more))


def _evidence(rule: CompiledRule, cites: tuple[int, ...], context: RuleContext) -> tuple[Evidence, ...]:
    """Give what the finding is based on: a table's row that decided, else what the band cites, else all of the rule's.

    Of labels that were read for the rule, those of other drugs are left out; where that of the drug or its partner is
    among them, no other label is cited.
    """
    of_row = rule.family.evidence.get(rule.id)
    declared = rule.declared.evidence
    row_evidence = of_row(context) if of_row is not None else ()
    if row_evidence:
        return row_evidence
    cited = [declared[position] for position in cites] or declared
    drugs = (context.medication, *(partner.medication for partner in context.partners))
    quoted = [(source.rxcui, source) for source in cited if source.rxcui is not None]
    read = tuple(dict.fromkeys(source for drug in drugs for rxcui, source in quoted if drug.has(rxcui)))
    label = f"{capitalized(context.ingredient.name)} label (US)"
    others = tuple(
        replace(source, label=_OF_EACH_DRUG.sub(lambda _: label, source.label))  # a chart's name may hold a backslash
        for source in cited
        if source.rxcui is None and not (read and source.basis == "label")
    )
    return (*read, *others) or declared


_OF_EACH_DRUG = re.compile(r"^Labels?(?: of these drugs)? \(US\)")
"""How a row about many drugs cites the label of each; a card cites that of its drug."""
