"""Judging one drafted medication: which of its rules speaks, and why the others keep quiet.

A draft meets only the rules of its ingredients and classes. Bands are read from top to bottom and the first true one
wins; unknown never fires. A value that is too old is still looked at: what fires on it comes one step lower and says
so, and where nothing fires on it it counts as unknown.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from importlib.resources import files

from msgspec import Struct

from cards.card import Indicator
from cards.rules.chart import Chart
from cards.rules.compiled import (
    CompiledBand,
    CompiledMissing,
    CompiledRule,
    compile_family,
    index,
)
from cards.rules.drafted import Drafted
from cards.rules.family import Family
from cards.rules.finding import Finding, Offer, Silence
from cards.rules.needs import needs_of
from cards.rules.offers import is_answered, offers_of
from cards.rules.predicate import Predicate
from cards.rules.situation import Situation
from cards.rules.template import Template
from cards.rules.words import word_of
from fhir.mapping.medications import Identity
from fhir.terminology.medications import Ingredient, classes_of

MISSING = "missing"
"""The band of a finding that asks for missing data."""

# A client can send any mixture; only so many are remembered.
_MOST_REMEMBERED = 4096
_ONE_STEP_LOWER: dict[Indicator, Indicator] = {"critical": "warning", "warning": "info", "info": "info"}


class Judgement(Struct, frozen=True):
    """What the rules of one draft came to."""

    findings: tuple[Finding, ...]
    silences: tuple[Silence, ...]


class RuleBook:
    """All rules, indexed by ingredient and class."""

    def __init__(self, rules: Iterable[CompiledRule]) -> None:
        self.rules = tuple(rules)
        self._by_ingredient, self._by_class = index(list(self.rules))
        self.needs = needs_of(frozenset().union(*(rule.uses for rule in self.rules)))

        self._awake: dict[tuple[str, ...], tuple[tuple[CompiledRule, Ingredient], ...]] = {}

    def rules_for(self, medication: Identity) -> tuple[tuple[CompiledRule, Ingredient], ...]:
        """The rules that a medication wakes, each once, with the first of its ingredients that does."""
        known = self._awake.get(medication.rxcuis)
        if known is None:
            known = tuple(self._find(medication))
            if len(self._awake) < _MOST_REMEMBERED:
                self._awake[medication.rxcuis] = known
        return known

    def _find(self, medication: Identity) -> Iterator[tuple[CompiledRule, Ingredient]]:
        found: set[str] = set()
        for ingredient in medication.ingredients:
            names = sorted(classes_of((ingredient,)))
            of_classes = (rule for name in names for rule in self._by_class.get(name, ()))
            for rule in (*self._by_ingredient.get(ingredient.rxcui, ()), *of_classes):
                if rule.id not in found:
                    found.add(rule.id)
                    yield rule, ingredient

    def judge(self, chart: Chart, drafted: Drafted) -> Judgement:
        """What every rule of this draft says or why it does not."""
        answers = [
            _judge(rule, Situation(chart, drafted, ingredient))
            for rule, ingredient in self.rules_for(drafted.medication)
        ]
        return Judgement(
            tuple(answer for answer in answers if isinstance(answer, Finding)),
            tuple(answer for answer in answers if isinstance(answer, Silence)),
        )


def families() -> list[Family]:
    """Every family: a table in this folder and the module of the same name beside it."""
    names = sorted(
        entry.name.removesuffix(".json")
        for entry in files("cards.rules").iterdir()
        if entry.name.endswith(".json") and not entry.name.endswith(".schema.json")
    )
    found = [import_module(f"cards.rules.{name}").FAMILY for name in names]
    return [family for family in found if isinstance(family, Family)]


@cache
def rule_book() -> RuleBook:
    """The rules of every family, read and compiled once."""
    return RuleBook(rule for family in families() for rule in compile_family(family))


def _judge(rule: CompiledRule, situation: Situation) -> Finding | Silence:
    if situation.medication.systemic is False:
        return Silence(rule.id, "local-form", f"{rule.declared.title}: a local form does not wake this rule.")
    for band in rule.bands:
        if band.when.test(situation) is True:
            return _speak(rule, band, situation)
    strict = situation.with_fresh_values_only()
    undecided = [band for band in rule.bands if band.when.test(strict) is None]
    unknown = [band for band in undecided if _quiet(rule, band, strict) is None]
    if undecided and not unknown:
        return _quiet(rule, undecided[0], strict) or _unspoken(rule, unknown, strict)
    for entry in rule.missing:
        if entry.when.test(strict) is True and any(band.declared.id in entry.bands for band in unknown):
            return _ask(rule, entry, strict)
    return _unspoken(rule, unknown, strict)


def _quiet(rule: CompiledRule, band: CompiledBand, situation: Situation) -> Silence | None:
    """The reason for which the rule keeps quiet about this band."""
    for quiet in rule.quiet:
        if band.declared.id not in quiet.declared.except_bands and quiet.when.test(situation) is True:
            code = quiet.declared.code.replace("_", "-")
            return Silence(rule.id, code, f"{rule.declared.title}: {quiet.declared.text}")
    return None


def _speak(rule: CompiledRule, band: CompiledBand, situation: Situation) -> Finding | Silence:
    quiet = _quiet(rule, band, situation)
    if quiet is not None:
        return quiet
    if band.declared.indicator == "silent":
        return Silence(rule.id, band.declared.id.replace("_", "-"), f"{rule.declared.title}: {band.declared.detail}")
    if is_answered(band.suggestions, situation):
        return _answered(rule)
    unsure = situation.is_unsure(band.when.uses, critical=band.declared.indicator == "critical")
    indicator = _ONE_STEP_LOWER[band.declared.indicator] if unsure else band.declared.indicator
    summary = _summary(rule, band, situation, unsure)
    text = _Text(band.declared.id, indicator, band.when, summary, band.detail, not unsure, band.declared.cites)
    offers = offers_of(rule, band.suggestions, situation, situation.is_doubtful(band.when.uses))
    return _finding(rule, text, offers, situation)


def _summary(rule: CompiledRule, band: CompiledBand, situation: Situation, unsure: bool) -> Template:
    if band.tells_a_dose and situation.gives_no_dose and rule.unstable_summary is not None:
        return rule.unstable_summary
    return band.unsure_summary if unsure and band.unsure_summary is not None else band.summary


def _ask(rule: CompiledRule, entry: CompiledMissing, situation: Situation) -> Finding | Silence:
    if is_answered(entry.suggestions, situation):
        return _answered(rule)
    text = _Text(MISSING, "info", entry.when, entry.summary, entry.detail, is_certain=True, cites=())
    offers = offers_of(rule, entry.suggestions, situation, doubtful=False)
    return _finding(rule, text, offers, situation)


def _answered(rule: CompiledRule) -> Silence:
    return Silence(rule.id, "already-ordered", f"{rule.declared.title}: the test it asks for is already ordered.")


def _unspoken(rule: CompiledRule, unknown: list[CompiledBand], situation: Situation) -> Silence:
    if not unknown:
        seen = ", ".join(situation.estimate_phrases(rule.band_uses))
        return Silence(
            rule.id,
            "within-limits",
            f"{rule.declared.title}: looked, no limit is reached{f' ({seen})' if seen else ''}.",
        )
    reason, text = situation.why_unknown(frozenset().union(*(band.when.uses for band in unknown)))
    return Silence(rule.id, reason, f"{rule.declared.title}: {text}")


class _Text(Struct, frozen=True):
    """What is to be said, how loudly, and the condition whose facts fill it."""

    band: str
    indicator: Indicator
    when: Predicate
    summary: Template
    detail: Template
    is_certain: bool
    cites: tuple[int, ...]


def _finding(rule: CompiledRule, text: _Text, offers: tuple[Offer, ...], situation: Situation) -> Finding:
    facts = tuple(dict.fromkeys([situation.drafted_fact(), *text.when.facts(situation)]))
    word = word_of(rule, text.when, facts, situation)
    asked = [question for question, when in rule.questions if when.test(situation) is True]
    running = situation.running_note() if text.indicator != "info" else None
    declared = rule.declared
    return Finding(
        rule=rule.id,
        band=text.band,
        indicator=text.indicator,
        is_certain=text.is_certain,
        # A text with an unfilled name is never sent; the title has none.
        summary=text.summary.fill(word) or f"{declared.title}: please check this order.",
        detail=text.detail.fill(word) or declared.title,
        priority=declared.priority,
        facts=facts,
        notes=(*situation.notes(text.when.uses), *asked, *([running] if running else ())),
        suggestions=offers,
        evidence=tuple(declared.evidence[position] for position in text.cites) or declared.evidence,
        override_reasons=rule.override_reasons,
    )
