"""Rules made ready: every condition a closure, every text a template, once at the start."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cards.card import Coding
from cards.rules.family import Family
from cards.rules.kidney import ESTIMATES
from cards.rules.predicate import Predicate
from cards.rules.predicates import NO_WORDS, Own, compile_predicate
from cards.rules.rule import (
    Band,
    LabOrder,
    MissingData,
    Rule,
    RuleError,
    SilentWhen,
    SuggestionTemplate,
    Table,
    read_table,
)
from cards.rules.template import Template
from cards.rules.trigger import CompiledTrigger
from fhir.mapping.medications import Identity
from fhir.terminology.analytes import ANALYTE_BY_LOINC, ANALYTES
from fhir.terminology.medications import classes_of

# The project's own code system for the reasons that a clinician may give: a name, nothing is served there.
OVERRIDE_SYSTEM = "https://cds-hooks-onnx.org/override-reasons"


@dataclass(frozen=True, slots=True)
class CompiledOrder:
    """A test to order with its condition."""

    declared: LabOrder
    only_if: Predicate | None
    codes: frozenset[str]
    """Its own code, the other codes of the same analyte, the panels that hold it: any of them answers it."""


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
    trigger: CompiledTrigger
    bands: tuple[CompiledBand, ...]
    quiet: tuple[CompiledQuiet, ...]
    missing: tuple[CompiledMissing, ...]
    questions: tuple[tuple[str, Predicate], ...]
    when_unsure: CompiledSuggestion | None
    unstable_summary: Template | None
    override_reasons: tuple[Coding, ...]
    band_uses: frozenset[str]
    uses: frozenset[str]
    estimates: tuple[str, ...]

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
    own = family.conditions
    bands = tuple(_band(band, own) for band in rule.bands)
    missing = tuple(_missing(entry, rule, own) for entry in rule.missing_data)
    quiet = tuple(
        CompiledQuiet(one, compile_predicate(one.when, own)) for one in rule.silent_when if one.when is not None
    )
    questions = tuple((one.text, compile_predicate(one.when, own)) for one in rule.questions)
    suggestions = [one for band in bands for one in band.suggestions]
    suggestions += [one for entry in missing for one in entry.suggestions]
    predicates = [band.when for band in bands] + [entry.when for entry in missing] + [one.when for one in quiet]
    predicates += [predicate for _, predicate in questions]
    predicates += [predicate for one in suggestions for predicate in _suggestion_predicates(one)]
    return CompiledRule(
        rule,
        family,
        CompiledTrigger.read(rule.trigger),
        bands,
        quiet,
        missing,
        questions,
        _suggestion(table.when_unsure, own) if table.when_unsure is not None else None,
        Template(table.unstable_summary) if table.unstable_summary is not None else None,
        tuple(Coding(system=OVERRIDE_SYSTEM, code=one.code, display=one.display) for one in table.override_reasons),
        frozenset().union(*(band.when.uses for band in bands)),
        frozenset().union(*(predicate.uses for predicate in predicates), _uses_of(rule)),
        tuple(name for name in ESTIMATES if any(name in band.when.uses for band in bands)),
    )


def _uses_of(rule: Rule) -> frozenset[str]:
    return frozenset({"active", "history"}) if rule.trigger.pair else frozenset()


def _band(band: Band, own: Own) -> CompiledBand:
    return CompiledBand(
        band,
        compile_predicate(band.when, own),
        Template(band.summary),
        Template(band.unsure_summary) if band.unsure_summary is not None else None,
        Template(band.detail),
        tuple(_suggestion(one, own) for one in band.suggestions),
    )


def _missing(entry: MissingData, rule: Rule, own: Own) -> CompiledMissing:
    critical = frozenset(band.id for band in rule.bands if band.indicator == "critical")
    named = frozenset(entry.bands)
    bands = critical if named == {"critical"} else named
    if not bands <= {band.id for band in rule.bands}:
        raise RuleError(f"{entry.id}: a band of {sorted(named)} does not exist")
    return CompiledMissing(
        entry,
        compile_predicate(entry.when, own),
        bands,
        Template(entry.summary),
        Template(entry.detail),
        tuple(_suggestion(one, own) for one in entry.suggestions),
    )


def _suggestion(declared: SuggestionTemplate, own: Own) -> CompiledSuggestion:
    recommended = declared.recommended
    return CompiledSuggestion(
        declared,
        _optional(declared.only_if, own),
        compile_predicate({"always": recommended} if isinstance(recommended, bool) else recommended, own),
        tuple(
            CompiledOrder(order, _optional(order.only_if, own), _codes_that_answer(order)) for order in declared.orders
        ),
    )


def _codes_that_answer(order: LabOrder) -> frozenset[str]:
    analyte = ANALYTE_BY_LOINC.get(order.loinc)
    same = ANALYTES[analyte.key].loinc if analyte is not None else ()
    return frozenset({order.loinc, *same, *order.answered_by})


def _optional(spec: Any, own: Own = NO_WORDS) -> Predicate | None:
    return None if spec is None else compile_predicate(spec, own)


def _suggestion_predicates(suggestion: CompiledSuggestion) -> list[Predicate]:
    conditions = (suggestion.only_if, *(order.only_if for order in suggestion.orders))
    return [suggestion.recommended, *(one for one in conditions if one is not None)]


class Index:
    """The rules by what wakes them, so that a draft meets only its own."""

    def __init__(self, rules: Iterable[CompiledRule]) -> None:
        self._by_key: dict[str, tuple[CompiledRule, ...]] = {}
        self._for_any: tuple[CompiledRule, ...] = ()
        for rule in rules:
            selectors = tuple(rule.trigger.selectors())
            for key in sorted(frozenset().union(*(one.keyed for one in selectors))):
                self._by_key[key] = (*self._by_key.get(key, ()), rule)
            if any(one.any_drug for one in selectors):
                self._for_any = (*self._for_any, rule)

    def of(self, medication: Identity) -> Iterator[CompiledRule]:
        """The rules that name an ingredient or a class of the medication, each once."""
        keys = (key for one in medication.ingredients for key in (one.rxcui, *sorted(classes_of((one,)))))
        named = (rule for key in keys for rule in self._by_key.get(key, ()))
        yield from {rule.id: rule for rule in (*named, *self._for_any)}.values()
