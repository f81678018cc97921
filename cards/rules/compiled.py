"""Rules made ready: every condition a closure, every text a template, once at the start."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cards.card import Coding
from cards.rules.family import Family
from cards.rules.predicate import Predicate
from cards.rules.predicates import RuleError, compile_predicate
from cards.rules.rule import (
    Band,
    LabOrder,
    MissingData,
    Rule,
    SilentWhen,
    SuggestionTemplate,
    Table,
    read_table,
)
from cards.rules.selector import Selector
from cards.rules.template import Template

# The project's own code system for the reasons that a clinician may give: a name, nothing is served there.
OVERRIDE_SYSTEM = "https://cds-hooks-onnx.org/override-reasons"


@dataclass(frozen=True, slots=True)
class CompiledOrder:
    """A test to order with its condition."""

    declared: LabOrder
    only_if: Predicate | None


@dataclass(frozen=True, slots=True)
class CompiledSuggestion:
    """A suggestion with its conditions."""

    declared: SuggestionTemplate
    only_if: Predicate | None
    recommended: Predicate
    orders: tuple[CompiledOrder, ...]


@dataclass(frozen=True, slots=True)
class CompiledBand:
    """One band with its texts."""

    declared: Band
    when: Predicate
    summary: Template
    unsure_summary: Template | None
    detail: Template
    suggestions: tuple[CompiledSuggestion, ...]

    @property
    def tells_a_dose(self) -> bool:
        """Whether it asks for a dose that is derived from an estimate."""
        return any(one.declared.from_estimate and one.declared.change is not None for one in self.suggestions)


@dataclass(frozen=True, slots=True)
class CompiledQuiet:
    """A reason to keep quiet that has a condition."""

    declared: SilentWhen
    when: Predicate


@dataclass(frozen=True, slots=True)
class CompiledMissing:
    """What is said when data are missing."""

    declared: MissingData
    when: Predicate
    bands: frozenset[str]
    summary: Template
    detail: Template
    suggestions: tuple[CompiledSuggestion, ...]


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule ready to judge an order."""

    declared: Rule
    family: Family
    trigger: Selector
    bands: tuple[CompiledBand, ...]
    quiet: tuple[CompiledQuiet, ...]
    missing: tuple[CompiledMissing, ...]
    questions: tuple[tuple[str, Predicate], ...]
    when_unsure: CompiledSuggestion | None
    unstable_summary: Template | None
    override_reasons: tuple[Coding, ...]
    band_uses: frozenset[str]
    uses: frozenset[str]

    @property
    def id(self) -> str:
        """The rule's id."""
        return self.declared.id


def compile_family(family: Family) -> list[CompiledRule]:
    """Every rule of the family's table, compiled; refuses a rule with a word that is not known."""
    return compile_table(family, read_table(family.name))


def compile_table(family: Family, table: Table) -> list[CompiledRule]:
    """Every rule of a table, compiled; refuses a rule with a word that is not known."""
    return [_rule(family, table, rule) for rule in table.rules]


def _rule(family: Family, table: Table, rule: Rule) -> CompiledRule:
    try:
        return _compiled(family, table, rule)
    except (ValueError, KeyError) as error:
        raise RuleError(f"{rule.id}: {error}") from error


def _compiled(family: Family, table: Table, rule: Rule) -> CompiledRule:
    bands = tuple(_band(band) for band in rule.bands)
    missing = tuple(_missing(entry, rule) for entry in rule.missing_data)
    quiet = tuple(CompiledQuiet(one, compile_predicate(one.when)) for one in rule.silent_when if one.when is not None)
    questions = tuple((one.text, compile_predicate(one.when)) for one in rule.questions)
    suggestions = [one for band in bands for one in band.suggestions]
    suggestions += [one for entry in missing for one in entry.suggestions]
    predicates = [band.when for band in bands] + [entry.when for entry in missing] + [one.when for one in quiet]
    predicates += [predicate for _, predicate in questions]
    predicates += [predicate for one in suggestions for predicate in _suggestion_predicates(one)]
    return CompiledRule(
        rule,
        family,
        _trigger(rule),
        bands,
        quiet,
        missing,
        questions,
        _suggestion(table.when_unsure) if table.when_unsure is not None else None,
        Template(table.unstable_summary) if table.unstable_summary is not None else None,
        tuple(Coding(system=OVERRIDE_SYSTEM, code=one.code, display=one.display) for one in table.override_reasons),
        frozenset().union(*(band.when.uses for band in bands)),
        frozenset().union(*(predicate.uses for predicate in predicates)),
    )


def _trigger(rule: Rule) -> Selector:
    ingredients = frozenset(drug.rxcui for drug in rule.trigger.ingredients)
    classes = frozenset(rule.trigger.classes)
    if not ingredients and not classes:
        raise RuleError("a trigger without ingredients and classes wakes nothing")
    return Selector(ingredients, classes)


def _band(band: Band) -> CompiledBand:
    return CompiledBand(
        band,
        compile_predicate(band.when),
        Template(band.summary),
        Template(band.unsure_summary) if band.unsure_summary is not None else None,
        Template(band.detail),
        tuple(_suggestion(one) for one in band.suggestions),
    )


def _missing(entry: MissingData, rule: Rule) -> CompiledMissing:
    critical = frozenset(band.id for band in rule.bands if band.indicator == "critical")
    named = frozenset(entry.bands)
    bands = critical if named == {"critical"} else named
    if not bands <= {band.id for band in rule.bands}:
        raise RuleError(f"{entry.id}: a band of {sorted(named)} does not exist")
    return CompiledMissing(
        entry,
        compile_predicate(entry.when),
        bands,
        Template(entry.summary),
        Template(entry.detail),
        tuple(_suggestion(one) for one in entry.suggestions),
    )


def _suggestion(declared: SuggestionTemplate) -> CompiledSuggestion:
    recommended = declared.recommended
    return CompiledSuggestion(
        declared,
        _optional(declared.only_if),
        compile_predicate({"always": recommended} if isinstance(recommended, bool) else recommended),
        tuple(CompiledOrder(order, _optional(order.only_if)) for order in declared.orders),
    )


def _optional(spec: Any) -> Predicate | None:
    return None if spec is None else compile_predicate(spec)


def _suggestion_predicates(suggestion: CompiledSuggestion) -> list[Predicate]:
    conditions = (suggestion.only_if, *(order.only_if for order in suggestion.orders))
    return [suggestion.recommended, *(one for one in conditions if one is not None)]


def index(
    rules: list[CompiledRule],
) -> tuple[Mapping[str, tuple[CompiledRule, ...]], Mapping[str, tuple[CompiledRule, ...]]]:
    """The rules by ingredient and by class, so that a draft meets only its own."""
    by_ingredient: dict[str, tuple[CompiledRule, ...]] = {}
    by_class: dict[str, tuple[CompiledRule, ...]] = {}
    for rule in rules:
        for rxcui in rule.trigger.ingredients:
            by_ingredient[rxcui] = (*by_ingredient.get(rxcui, ()), rule)
        for name in rule.trigger.classes:
            by_class[name] = (*by_class.get(name, ()), rule)
    return by_ingredient, by_class
