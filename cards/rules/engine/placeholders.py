"""Fills the {names} of a rule's texts: the drugs, the problem and its date, doses, kidney function, what is lacking."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import TypeAlias

from cards.extension import Fact
from cards.rules.conditions.condition import Predicate
from cards.rules.engine.compile import CompiledRule
from cards.rules.engine.family import Placeholder
from cards.rules.language.rule import Path
from cards.rules.language.sources import harms
from cards.rules.language.trigger import NO_NUMBER, Selector, Template
from cards.rules.patient import measurements
from cards.rules.patient.context import RuleContext, meant_name
from cards.rules.patient.measurements import ESTIMATES
from cards.text import capitalized, decapitalized, escape, first_few, format_dose, format_number, joined, plain
from fhir.mapping.kidney import KidneyAbsence
from fhir.terminology.analytes import ANALYTES
from fhir.terminology.conditions import CONDITION_GROUPS

Fill: TypeAlias = Callable[[Predicate, tuple[Fact, ...], RuleContext], str | None]
"""Fills one {name} by a condition, its facts and the context; None if unknown."""

_MOST_OTHERS = 2
_LONGEST_OTHERS = 30
_LONGEST_PROBLEM = 40
_LONGEST_ABBREVIATION = 6
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


def in_full(word: Callable[[str], str | None], context: RuleContext) -> Callable[[str], str | None]:
    """Return the same texts, but with every drug of a side named: only a headline has no room for that."""

    def full(name: str) -> str | None:
        short = word(name)
        if short is None or name not in ("other", "first", "second"):
            return short
        names = context.partner_names() if name == "other" else context.side_names(("first", "second").index(name))
        return joined(list(dict.fromkeys(names))) or short

    return full


def _number(read: Callable[[RuleContext], float | None], write: Callable[[float, Iterable[float]], str]) -> Fill:
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


def _and_more(names: list[str]) -> str:
    return first_few([plain(names[0], _LONGEST_OTHERS), *names[1:]], 1)


def _estimate(prefix: str) -> Fill:
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


COMMON_PLACEHOLDERS: Mapping[str, Placeholder[Fill]] = {
    "drug": Placeholder(lambda _when, _facts, context: context.ingredient.name),
    "Drug": Placeholder(lambda _when, _facts, context: capitalized(context.ingredient.name)),
    "age": Placeholder(lambda _when, _facts, context: context.age_words, "100"),
    "dose": Placeholder(_number(attrgetter("daily_dose_mg"), format_dose), "2,550"),
    "first_dose": Placeholder(_number(attrgetter("first_daily_mg"), format_dose), "2,550"),
    "each_dose": Placeholder(_number(attrgetter("dose_mg"), format_dose), "2,550"),
    "mg_per_kg": Placeholder(_number(attrgetter("dose_mg_per_kg_per_day"), format_number), "100.55"),
    "other": Placeholder(_other_drugs, "ketoconazole and itraconazole"),
    "problem": Placeholder(_problem, f"{'x' * _LONGEST_PROBLEM} (2026-11-20)"),
    "since": Placeholder(_since, ""),
    "first": Placeholder(lambda _when, _facts, context: _together(context.side_names(0)), "acetaminophen"),
    "second": Placeholder(lambda _when, _facts, context: _together(context.side_names(1)), "acetaminophen"),
    "egfr": Placeholder(_estimate("egfr"), "eGFR 29.96 mL/min (old, disputed) on 2026-11-20"),
    "crcl": Placeholder(_estimate("crcl"), "CrCl 29.96 mL/min (disputed) on 2026-11-20"),
    "kidney": Placeholder(_estimate(""), "CrCl 29.96 mL/min (disputed) on 2026-11-20"),
    "kidney_gap": Placeholder(_kidney_gap, "kidney function cannot be estimated without the age"),
    "kidney_history": Placeholder(_kidney_history),
    "harm": Placeholder(_harm, ""),
    "relief": Placeholder(_relief),
    "palliative": Placeholder(_palliative),
    "usable": Placeholder(_usable, "usable "),
    "Use_vka": Placeholder(_use_vka, "Keep acenocoumarol"),
    "child": Placeholder(lambda _when, _facts, context: context.child_words),
}
"""The words of every family; the longest of {drug} depends on the rule's trigger."""


def unknown_words(rule: CompiledRule, template: Template) -> Iterator[str]:
    """Yield what is wrong with the names in a text: that no fact fills one."""
    known = (COMMON_PLACEHOLDERS, rule.family.placeholders, ANALYTES)
    for name in template.names:
        if not any(name in words for words in known):
            common = ", ".join((*COMMON_PLACEHOLDERS, *rule.family.placeholders))
            yield f"no fact fills {{{name}}}; known are {common} and the names of results, as potassium"


def unknown_words_of(rule: CompiledRule) -> Iterator[tuple[Path, str]]:
    """Yield the same of the texts of a rule, each with the path of its part."""
    for part, said in (("bands", rule.bands), ("missing_data", rule.missing)):
        for position, entry in enumerate(said):
            for name in ("summary", "unsure_summary", "detail"):
                if (template := getattr(entry, name, None)) is not None:
                    yield from (((part, position, name), text) for text in unknown_words(rule, template))


LONGEST_WORDS = 600


def escaped(word: Callable[[str], str | None]) -> Callable[[str], str | None]:
    """Return the same texts for a detail, which is Markdown: an allergy "[x](http://…)" must not become a link."""

    def safe(name: str) -> str | None:
        text = word(name)
        return escape(text, LONGEST_WORDS) if text else text

    return safe
