"""Renders an evaluation in words: a finding with its facts and texts, or a silence with its reason."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from operator import attrgetter
from typing import NamedTuple

from msgspec.structs import replace

from cards.card import Indicator
from cards.extension import MOST_FACTS, Fact
from cards.rules.conditions.condition import Predicate
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
from cards.rules.language.rule import Asks, Evidence, Path
from cards.rules.language.sources import harms
from cards.rules.language.trigger import AMOUNTS_OF_ADULT, ASK_PHARMACIST, NO_NUMBER, Selector, Template
from cards.rules.patient import measurements
from cards.rules.patient.context import RuleContext, meant_name
from cards.rules.patient.measurements import ESTIMATES
from cards.text import capitalized, decapitalized, escape, format_dose, format_number, is_action, plain
from fhir.mapping.conditions import PROBLEMS_UNREADABLE, count_unread
from fhir.mapping.kidney import KidneyAbsence
from fhir.record.refusals import WhyNot
from fhir.terminology.analytes import ANALYTES
from fhir.terminology.conditions import CONDITION_GROUPS
from fhir.terminology.medications import INGREDIENTS

_MOST_OTHERS = 2
_LONGEST_OTHERS = 30
_LONGEST_PROBLEM = 40
_LONGEST_ABBREVIATION = 6
_LONGEST_HEADLINE = 100
_DANGER = re.compile(r"(?!.*\bcannot\b)(.+) \((\D[^()]*)\)\.")
_OF_HISTORY = re.compile(r"^personal history of (?:\(.{1,20}\) ?)?", re.IGNORECASE)
_DETAIL = re.compile(r"(.+) (?:(?:with|without|following|due to|in|of|from|by)\b|\().*")
"""What a diagnosis says before its last detail."""
_UNSPECIFIED = re.compile(r"^(?:other and unspecified|other specified|other|unspecified) (?=\w)", re.IGNORECASE)
"""How a code begins that says of a kind of illness only that it is none of its own."""


def placeholder_lookup(
    rule: CompiledRule, when: Predicate, facts: tuple[Fact, ...], context: RuleContext
) -> Callable[[str], str | None]:
    """Return the text for each {name} of a template about the condition `when` with its facts; None if unknown."""

    texts: dict[str, str | None] = {}

    def word(name: str) -> str | None:
        if name not in texts:
            own_placeholder, common = rule.family.placeholders.get(name), COMMON_PLACEHOLDERS.get(name)
            if own_placeholder is not None:
                texts[name] = own_placeholder.fill(context)
            elif common is not None:
                texts[name] = common.fill(when, facts, context)
            else:  # a result that the condition compares, with its date and as exact as its limits
                texts[name] = next((fact.text for fact in facts if fact.name == name and fact.text), None)
        return texts[name]

    return word


def _in_full(word: Callable[[str], str | None], context: RuleContext) -> Callable[[str], str | None]:
    """Return the same texts, but with every drug of a side named: only a headline has no room for that."""

    def full(name: str) -> str | None:
        short = word(name)
        if short is None or name not in ("other", "first", "second"):
            return short
        names = context.partner_names() if name == "other" else context.side_names(("first", "second").index(name))
        return _listed(list(dict.fromkeys(names))) or short

    return full


def _age(_when: Predicate, _facts: tuple[Fact, ...], context: RuleContext) -> str | None:
    return context.age_words


def _number(
    read: Callable[[RuleContext], float | None], write: Callable[[float, Iterable[float]], str]
) -> Callable[[Predicate, tuple[Fact, ...], RuleContext], str | None]:
    def word(when: Predicate, _facts: tuple[Fact, ...], context: RuleContext) -> str | None:
        number = read(context)
        return write(number, when.limits) if number is not None else None

    return word


def _other_drugs(_when: Predicate, facts: tuple[Fact, ...], context: RuleContext) -> str | None:
    """Return the partners of a pair; else the drugs that an `active` condition found, those of long ago at the end."""
    names = context.partner_names()
    if not names:
        drugs = {fact.source: str(fact.value) for fact in facts if fact.name == "medication"}
        listed = (one for one in context.session.active if len(drugs) > 1 and one.source in drugs)
        ended = {one.source for one in listed if context.may_have_ended(one)}
        names = [drugs[source] for source in sorted(drugs, key=lambda source: source in ended)]
    return _together(list(dict.fromkeys(names)))


def _newest_problem(when: Predicate, facts: tuple[Fact, ...], context: RuleContext) -> Fact | None:
    keys = sorted(use.removeprefix("condition:") for use in when.uses if use.startswith("condition:"))
    problems = [fact for fact in facts if fact.name == "problem"] or [fact for fact in facts if fact.name in keys]
    problems = problems or [fact for key in keys for fact in context.condition_facts(key)]
    return max(problems, key=lambda fact: fact.effective or "", default=None)


def _problem(when: Predicate, facts: tuple[Fact, ...], context: RuleContext) -> str | None:
    """Return the newest problem, in the rule's words where those of the chart have no room, or the result for it."""
    newest = _newest_problem(when, facts, context)
    if newest is None or isinstance(newest.value, float):
        return newest.text if newest is not None else None
    words, group = _in_sentence(newest.hidden_meaning or newest.text), CONDITION_GROUPS.get(newest.name)
    if group is not None and words.endswith("…") and "history" not in words.lower():
        words = _in_sentence(group.meaning)
    return f"{words} ({newest.effective[:10]})" if newest.effective else words


def _since(when: Predicate, facts: tuple[Fact, ...], context: RuleContext) -> str:
    """Return the date of the problem behind a headline, or nothing where a result stands for it."""
    newest = _newest_problem(when, facts, context)
    if newest is None or isinstance(newest.value, float) or not newest.effective:
        return ""
    return f" ({newest.effective[:10]})"


def _in_sentence(words: str) -> str:
    """ "Acute kidney failure, unspecified" within a sentence: what the code adds after a comma is left out.

    Of a longer one the first words stay, up to one that adds a detail: "traumatic hemorrhage of left cerebrum with
    loss of consciousness" is "traumatic hemorrhage"; the whole stands in the reasons.
    """
    first = _UNSPECIFIED.sub("", words.partition(",")[0].strip(), count=1)
    first = _OF_HISTORY.sub("History of ", first, count=1)
    while len(first) > _LONGEST_PROBLEM and (detail := _DETAIL.fullmatch(first)) and "istory" not in detail[1]:
        first = detail[1]
    text = plain(first, _LONGEST_PROBLEM)
    if text.isupper() and len(text) > _LONGEST_ABBREVIATION:
        return text.lower()
    is_word = text[1:2].islower() and "'" not in text and "-" not in text
    return decapitalized(text) if is_word else text


def _together(names: list[str]) -> str | None:
    if not names:
        return None
    joined = " and ".join(names)
    return joined if len(names) <= _MOST_OTHERS and len(joined) <= _LONGEST_OTHERS else _and_more(names)


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _and_more(names: list[str]) -> str:
    first = plain(names[0], _LONGEST_OTHERS)
    return first if len(names) == 1 else f"{first} and {len(names) - 1} more"


def _side(position: int) -> Callable[[Predicate, tuple[Fact, ...], RuleContext], str | None]:
    def word(_when: Predicate, _facts: tuple[Fact, ...], context: RuleContext) -> str | None:
        return _together(context.side_names(position))

    return word


def _estimate(prefix: str) -> Callable[[Predicate, tuple[Fact, ...], RuleContext], str | None]:
    def word(when: Predicate, _facts: tuple[Fact, ...], context: RuleContext) -> str | None:
        for name in ESTIMATES:
            if name.startswith(prefix) and name in when.uses:
                estimate = context.estimate(name)
                if estimate is None:
                    return None
                text = measurements.phrase(estimate, when.limits)
                return f"{text}{NO_NUMBER}" if estimate.is_diagnosis or estimate.method == "dialysis" else text
        return None

    return word


def _kidney_gap(_when: Predicate, _facts: tuple[Fact, ...], context: RuleContext) -> str:
    if not _asked_for_results(context):
        return "kidney function did not come with this call"
    if context.is_kidney_value_wanted():
        function = context.session.kidney("egfr_best")
        usable = "usable " if isinstance(function, KidneyAbsence) and function.refused else ""
        return f"no {usable}kidney function result in the last {context.session.kidney_window}"
    return "kidney function cannot be estimated without the age"


def _asked_for_results(context: RuleContext) -> bool:
    return any(context.session.record.was_requested(analyte) for analyte in ("creatinine", "egfr"))


def _kidney_history(_when: Predicate, _facts: tuple[Fact, ...], context: RuleContext) -> str:
    """Return what there is in place of a usable value: an old one, one that was refused, nothing."""
    estimate = context.session.kidney("egfr_best")
    if not isinstance(estimate, KidneyAbsence) or not _asked_for_results(context):
        return ""
    if estimate.old is not None:
        return f"Last value: {measurements.phrase(estimate.old)}."
    return plain(estimate.text, 200)


_COMFORT = Selector(
    frozenset({"5093", "6915", "8704", "8745"}), frozenset({"opioid", "benzodiazepine", "antiemetic_5ht3"})
)
"""What is given for comfort: opioids, benzodiazepines, antiemetics (metoclopramide, prochlorperazine, promethazine too)
and haloperidol."""


def _relief(_when: Predicate, _facts: tuple[Fact, ...], context: RuleContext) -> str:
    """What follows from palliative care: relief where the order is for comfort, which digoxin or potassium is not."""
    return ": relief comes first" if _COMFORT.matches(context.medication) else ": weigh this against comfort"


def _palliative(_when: Predicate, _facts: tuple[Fact, ...], context: RuleContext) -> str:
    """Return that palliative care is on record, with the entry and its date."""
    entry = next((fact for fact in context.condition_facts("palliative_or_hospice") if fact.text), None)
    words = f" ({', '.join(filter(None, (plain(entry.text, 80), (entry.effective or '')[:10])))})" if entry else ""
    return f"Palliative or hospice care is on record{words}"


_VKA = Selector(classes=frozenset({"vka"}))


def _use_vka(_when: Predicate, _facts: tuple[Fact, ...], context: RuleContext) -> str:
    """Return "Use warfarin", or to keep the vitamin K antagonist that is taken already."""
    listed = (one for one in context.current_medications(_VKA) if not context.may_have_ended(one))
    return next((f"Keep {meant_name(_VKA, one)}" for one in listed), "Use warfarin")


def _harm(_when: Predicate, _facts: tuple[Fact, ...], context: RuleContext) -> str:
    """Return in brackets what too much of the drug does, where its table says it and the drug reaches the blood."""
    harm = harms().get(context.ingredient.rxcui) if context.medication.systemic is not False else None
    return f" ({harm})" if harm else ""


def _usable(when: Predicate, _facts: tuple[Fact, ...], context: RuleContext) -> str:
    """ "usable " where a result of the tests in question came and was refused, so that it is not said to be absent."""
    tests = (use.removeprefix("lab:") for use in when.uses if use.startswith("lab:"))
    return "usable " if any(context.session.record.lookup(test).refused for test in tests) else ""


class CommonPlaceholder(NamedTuple):
    """What fills a {name} of every family by a condition and its facts, and the longest text, for the lint."""

    fill: Callable[[Predicate, tuple[Fact, ...], RuleContext], str | None]
    longest: str | None = None


COMMON_PLACEHOLDERS: Mapping[str, CommonPlaceholder] = {
    "drug": CommonPlaceholder(lambda _when, _facts, context: context.ingredient.name),
    "Drug": CommonPlaceholder(lambda _when, _facts, context: capitalized(context.ingredient.name)),
    "age": CommonPlaceholder(_age, "100"),
    "dose": CommonPlaceholder(_number(attrgetter("daily_dose_mg"), format_dose), "2,550"),
    "first_dose": CommonPlaceholder(_number(attrgetter("first_daily_mg"), format_dose), "2,550"),
    "each_dose": CommonPlaceholder(_number(attrgetter("dose_mg"), format_dose), "2,550"),
    "mg_per_kg": CommonPlaceholder(_number(attrgetter("dose_mg_per_kg_per_day"), format_number), "100.55"),
    "other": CommonPlaceholder(_other_drugs, "ketoconazole and itraconazole"),
    "problem": CommonPlaceholder(_problem, f"{'x' * _LONGEST_PROBLEM} (2026-11-20)"),
    "since": CommonPlaceholder(_since, ""),
    "first": CommonPlaceholder(_side(0), "acetaminophen"),
    "second": CommonPlaceholder(_side(1), "acetaminophen"),
    "egfr": CommonPlaceholder(_estimate("egfr"), "eGFR 29.96 mL/min (old, disputed) on 2026-11-20"),
    "crcl": CommonPlaceholder(_estimate("crcl"), "CrCl 29.96 mL/min (disputed) on 2026-11-20"),
    "kidney": CommonPlaceholder(_estimate(""), "CrCl 29.96 mL/min (disputed) on 2026-11-20"),
    "kidney_gap": CommonPlaceholder(_kidney_gap, "kidney function cannot be estimated without the age"),
    "kidney_history": CommonPlaceholder(_kidney_history),
    "harm": CommonPlaceholder(_harm, ""),
    "relief": CommonPlaceholder(_relief),
    "palliative": CommonPlaceholder(_palliative),
    "usable": CommonPlaceholder(_usable, "usable "),
    "Use_vka": CommonPlaceholder(_use_vka, "Keep acenocoumarol"),
    "child": CommonPlaceholder(lambda _when, _facts, context: context.child_words),
}
"""The words of every family; the longest of {drug} depends on the rule's trigger."""


def unknown_words(rule: CompiledRule, template: Template) -> Iterator[str]:
    """Yield what is wrong with the names in a text: that no fact fills one."""
    known = (COMMON_PLACEHOLDERS, rule.family.placeholders, ANALYTES)
    for name in template.names:
        if not any(name in words for words in known):
            yield f"no fact fills {{{name}}}"


def unknown_words_of(rule: CompiledRule) -> Iterator[tuple[Path, str]]:
    """Yield the same of the texts of a rule, each with the path of its part."""
    for part, said in (("bands", rule.bands), ("missing_data", rule.missing)):
        for position, entry in enumerate(said):
            for name in ("summary", "unsure_summary", "detail"):
                if (template := getattr(entry, name, None)) is not None:
                    yield from (((part, position, name), text) for text in unknown_words(rule, template))


_LONGEST_WORDS = 600


def _escaped(word: Callable[[str], str | None]) -> Callable[[str], str | None]:
    """Return the same texts for a detail, which is Markdown: an allergy "[x](http://…)" must not become a link."""

    def safe(name: str) -> str | None:
        text = word(name)
        return escape(text, _LONGEST_WORDS) if text else text

    return safe


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
        notes = (*notes, _said_of(other))
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
    return summary.fill(_escaped(word)) or f"Also with {', '.join(other.context.partner_names())}."


def _softening_texts(softening: Iterable[CompiledSilentWhen], word: Callable[[str], str | None]) -> tuple[str, ...]:
    """Return why the card is milder; a reason with an unfilled name is left out."""
    texts = (Template(reason.declared.text).fill(_escaped(word)) for reason in softening)
    return tuple(text for text in texts if text)


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
    full = _in_full(word, context)
    of_adult = summary, says.detail
    summary, template = (summary.for_child, says.detail.for_child) if context.is_child else of_adult
    headline, moved = _headline(summary, full)
    if not headline or len(headline) > _LONGEST_HEADLINE:
        headline, moved = _headline(summary, word)
    headline = headline or f"{rule.declared.title}: check this order."
    detail = template.fill(_escaped(full)) or rule.declared.title
    detail = f"{escape(moved, _LONGEST_WORDS)} {detail}" if moved and moved not in detail else detail
    if (summary, template) != of_adult:
        detail = f"{detail if template.text else ''} {AMOUNTS_OF_ADULT}".strip()
        headline, detail = (
            (headline, f"{detail} {ASK_PHARMACIST}")
            if summary is of_adult[0]
            else (f"{headline} {ASK_PHARMACIST}", detail)
        )
    names = context.partner_names()
    if len(names) > 1 and len({name.casefold() in headline.casefold() for name in names}) > 1:  # it names some of them
        about = escape(_listed(names), _LONGEST_WORDS)
        detail = detail if about in detail else f"This is about {about}. {detail}"
    question = escape(context.asks_if_taken(facts), _LONGEST_WORDS)
    if question:
        detail = f"{detail} {question}" if len(context.partners) > 1 else f"{question} {detail}"
    questions = [asked for asked, when in rule.questions if when.test(context) is True]
    running = context.running_note() if finding.indicator != "info" and not rule.trigger.same_ingredient else None
    allergens = _named_allergens(f"{headline} {detail}", context, facts)
    return replace(
        finding,
        summary=headline,
        detail=detail,
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
    """Return a headline with at most 100 characters and the rest: its last instruction, else its danger in brackets."""
    if len(headline) <= _LONGEST_HEADLINE:
        return headline, ""
    first, _, last = headline.rpartition(". ")
    if first and is_action(last):
        return f"{first}.", last
    danger = _DANGER.fullmatch(headline)
    if danger is None or danger[2] == "label":
        return headline, ""
    moved = "The label has a boxed warning." if danger[2] == "boxed warning" else f"Risk: {danger[2]}."
    return f"{danger[1]}.", moved


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
