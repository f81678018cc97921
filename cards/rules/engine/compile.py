"""Compiles rules: every condition becomes a closure, every text a template.

A rule is checked by compiling it, when the rules are prepared (prepared.py); a server compiles it again when a drug
first activates it, and knows of the others only what a start needs.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, reduce
from math import inf
from operator import or_
from sys import intern
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import force_setattr

from cards.card import OVERRIDE_SYSTEM, Coding
from cards.rules.conditions.condition import NO_NEEDS, DataNeeds, Predicate
from cards.rules.conditions.words.patient import SIGNING
from cards.rules.engine.family import Family
from cards.rules.language.rule import (
    Band,
    LabOrder,
    MissingData,
    Question,
    Rule,
    RuleError,
    RuleTable,
    SilentWhen,
    SuggestionTemplate,
    within,
)
from cards.rules.language.site import site_folders
from cards.rules.language.sources import in_force
from cards.rules.language.table import read_family, read_table
from cards.rules.language.trigger import CompiledTrigger, Template, is_test
from cards.rules.patient.measurements import ESTIMATES
from fhir.mapping.declined import OPEN_DAYS
from fhir.mapping.medications.identity import MedicationIdentity
from fhir.terminology.analytes import ANALYTE_BY_LOINC, ANALYTES
from fhir.terminology.medications import classes_of
from fhir.terminology.package_tables import shared


class CompiledOrder(Struct, frozen=True):
    """A test to order with its condition."""

    declared: LabOrder
    only_if: Predicate | None
    codes: frozenset[str]
    """Its own code, the other codes of the same analyte, the panels that hold it: any of them answers it."""
    days: float
    """How old an order may be that answers it: as old as the result that is missing."""


class CompiledSuggestion(Struct, frozen=True):
    """A suggestion with its conditions."""

    declared: SuggestionTemplate
    only_if: Predicate | None
    recommended: Predicate
    orders: tuple[CompiledOrder, ...]
    writes_amount: bool = False
    """Whether it writes an amount of its own."""


class CompiledSilentWhen(Struct, frozen=True):
    """A reason to stay silent that has a condition."""

    declared: SilentWhen
    when: Predicate


class CompiledBand(Struct, frozen=True):
    """One band with its texts."""

    declared: Band
    when: Predicate
    summary: Template
    unsure_summary: Template | None
    detail: Template
    suggestions: tuple[CompiledSuggestion, ...]
    gives_a_dose: bool
    """Whether it asks for a dose that is derived from an estimate."""
    answering: tuple[CompiledSuggestion, ...]
    """Those of its suggestions of which other orders can be the answer."""
    silencing: tuple[CompiledSilentWhen, ...]
    """The reasons of its rule to stay silent that are meant for it."""
    softening: tuple[CompiledSilentWhen, ...]
    """The reasons of its rule to say less that are meant for it."""
    speaks_alone: bool
    """Whether it can say something of a drug beside which nothing else is taken or drafted."""


class CompiledMissingData(Struct, frozen=True):
    """The finding that asks for missing data."""

    declared: MissingData
    when: Predicate
    bands: frozenset[str]
    summary: Template
    detail: Template
    suggestions: tuple[CompiledSuggestion, ...]
    answering: tuple[CompiledSuggestion, ...]


class CompiledRule(Struct, frozen=True):
    """A rule ready to judge an order; `id` is that of the declared rule."""

    id: str
    declared: Rule
    family: Family
    trigger: CompiledTrigger
    bands: tuple[CompiledBand, ...]
    quiet: tuple[CompiledSilentWhen, ...]
    missing: tuple[CompiledMissingData, ...]
    questions: tuple[tuple[str, Predicate], ...]
    when_unsure: CompiledSuggestion | None
    unstable_summary: Template | None
    override_reasons: tuple[Coding, ...]
    band_uses: frozenset[str]
    looks_for_conditions: bool
    needs: DataNeeds
    estimates: tuple[str, ...]
    at_selection: str
    """What is said before the order is signed, where some of its bands wait for that; else empty."""


class RuleOutline(Struct, frozen=True):
    """What a start needs of a rule that is not compiled yet: the data that it reads, and the drugs that activate it."""

    id: str
    needs: DataNeeds
    keys: frozenset[str]
    """The ingredients, classes and tests of its selectors."""
    is_for_any: bool
    is_for_tests: bool

    def __post_init__(self) -> None:
        force_setattr(self, "keys", shared(frozenset(map(intern, self.keys))))  # as read, each has texts of its own

    @classmethod
    def of(cls, rule: CompiledRule) -> "RuleOutline":
        """Return what a start needs of a compiled rule."""
        selectors = tuple(rule.trigger.selectors())
        keys = frozenset().union(*(selector.keyed for selector in selectors))
        is_for_any = any(selector.any_drug for selector in selectors)
        return cls(rule.id, rule.needs, keys, is_for_any, rule.trigger.is_for_tests)


class LateRule:
    """A rule that is compiled when a drug first activates it."""

    def __init__(self, family: str, outline: RuleOutline, compile_rule: Callable[[], CompiledRule]) -> None:
        self.family = family
        self.outline = outline
        self._compile = compile_rule

    @cached_property
    def compiled(self) -> CompiledRule:
        """The rule ready to judge an order."""
        return self._compile()


def compile_family(family: Family) -> list[CompiledRule]:
    """Every rule of the family that is in force, compiled: what is based on leads alone waits.

    Raises:
        RuleError: a rule cannot be used; the message names file, line, rule and what is wrong.
    """
    table = read_table(family.name)
    rules = table.rules if family.name in site_folders() else map(in_force, table.rules)
    try:
        return compile_table(family, table, rules)
    except RuleError as error:
        raise RuleError(read_family(family.name).describe(error.path, error.text)) from error


def compile_table(family: Family, table: RuleTable, rules: Iterable[Rule | None] | None = None) -> list[CompiledRule]:
    """Every rule of a table, compiled, those too that wait, or each of `rules` that is there under its position.

    RuleError with the path of the part that is wrong.
    """
    compiler = RuleCompiler(family, table)
    compiled = []
    for position, rule in enumerate(table.rules if rules is None else rules):
        if rule is not None:
            with within("rules", position):
                compiled.append(compiler.compile(rule))
    return compiled


class RuleCompiler:
    """Compiles the rules of one family, with what its table says for all of them."""

    def __init__(self, family: Family, table: RuleTable) -> None:
        self._family = family
        self._unsure: CompiledSuggestion | None = None
        if table.when_unsure is not None:
            with within("when_unsure"):
                self._unsure = _suggestion(table.when_unsure, {}, family)
        self._unstable_summary = Template(table.unstable_summary) if table.unstable_summary is not None else None
        self._reasons = tuple(
            Coding(system=OVERRIDE_SYSTEM, code=reason.code, display=reason.display)
            for reason in table.override_reasons
        )

    def compile(self, rule: Rule) -> CompiledRule:
        """Return the compiled rule. RuleError with the path of the part that cannot be used."""
        family = self._family
        silent = tuple(_silent(entry, position, family) for position, entry in enumerate(rule.silent_when))
        quiet = tuple(entry for entry in silent if entry is not None)
        bands = tuple(_band(band, position, family, quiet) for position, band in enumerate(rule.bands))
        missing = tuple(_missing(entry, position, rule, family) for position, entry in enumerate(rule.missing_data))
        questions = tuple(_question(question, position, family) for position, question in enumerate(rule.questions))
        suggestions = [suggestion for band in bands for suggestion in band.suggestions]
        suggestions += [suggestion for entry in missing for suggestion in entry.suggestions]
        predicates = [band.when for band in bands] + [entry.when for entry in missing] + [entry.when for entry in quiet]
        predicates += [predicate for _, predicate in questions]
        predicates += [predicate for suggestion in suggestions for predicate in _suggestion_predicates(suggestion)]
        with within("trigger"):
            trigger = CompiledTrigger.read(rule.trigger)
        return CompiledRule(
            id=rule.id,
            declared=rule,
            family=family,
            trigger=trigger,
            bands=bands,
            quiet=quiet,
            missing=missing,
            questions=questions,
            when_unsure=self._unsure,
            unstable_summary=self._unstable_summary,
            override_reasons=self._reasons,
            band_uses=(uses := shared(frozenset().union(*(band.when.uses for band in bands)))),
            looks_for_conditions=any(use.startswith("condition:") for use in uses),
            needs=reduce(or_, (predicate.needs for predicate in predicates), NO_NEEDS),
            estimates=tuple(name for name in ESTIMATES if any(name in band.when.uses for band in bands)),
            at_selection=_at_selection(rule, bands),
        )


def _at_selection(rule: Rule, bands: tuple[CompiledBand, ...]) -> str:
    """Return what a rule says of which all or some bands are checked only when the order is signed."""
    waiting = [band for band in bands if SIGNING in band.when.uses and band.declared.indicator != "silent"]
    if not waiting:
        return ""
    when_checked = "checked" if len(waiting) == len(bands) else "partly checked now; the rest is checked"
    return f"{rule.title}: {when_checked} when the order is signed."


# Words that are true only where something else is taken or drafted.
_OF_ANOTHER: Final = frozenset({"active", "another", "partner_on"})


def _needs_another(when: Any) -> bool:
    """Whether a condition, as a rule declares it, is true only beside another drug."""
    if "any" in when:
        return all(map(_needs_another, when["any"]))
    return any(map(_needs_another, when.get("all", ()))) or not _OF_ANOTHER.isdisjoint(when)


def _band(band: Band, position: int, family: Family, quiet: tuple[CompiledSilentWhen, ...]) -> CompiledBand:
    with within("bands", position):
        with within("when"):
            when = family.vocabulary.compile(band.when)
        suggestions = _suggestions(band.suggestions, band.when, family)
        _refuse_unsaid(band, suggestions, family)
        meant = [entry for entry in quiet if band.id not in entry.declared.except_bands]
        return CompiledBand(
            band,
            when,
            Template(band.summary),
            Template(band.unsure_summary) if band.unsure_summary is not None else None,
            Template(band.detail),
            suggestions,
            any(
                suggestion.declared.from_estimate and suggestion.declared.change is not None
                for suggestion in suggestions
            ),
            _answering(suggestions),
            tuple(entry for entry in meant if entry.declared.instead == "silence"),
            tuple(entry for entry in meant if entry.declared.instead != "silence"),
            band.indicator != "silent" and not _needs_another(band.when),
        )


def _refuse_unsaid(band: Band, suggestions: tuple[CompiledSuggestion, ...], family: Family) -> None:
    """A warning that offers to cancel the order, and nothing with which it is given, says whether it forbids the order.

    A hospital's own warnings forbid only where they say so.
    """
    is_said = band.forbids is not None or family.forbids is not None or family.name in site_folders()
    if is_said or band.indicator != "warning" or band.asks != "end":
        return
    kept = any(suggestion.declared.keeps_draft and suggestion.only_if is None for suggestion in suggestions)
    if not kept and any(suggestion.declared.takes_draft_away for suggestion in suggestions):
        raise RuleError(
            '`forbids` is missing: say "yes" where the source says not to give the order as it is written, else "no"; '
            "of a row in its column `forbids`",
            ("forbids",),
        )


def _missing(entry: MissingData, position: int, rule: Rule, family: Family) -> CompiledMissingData:
    critical = frozenset(band.id for band in rule.bands if band.indicator == "critical")
    band_ids = frozenset(entry.bands)
    bands = critical if band_ids == {"critical"} else band_ids
    unknown = sorted(bands - {band.id for band in rule.bands})
    with within("missing_data", position):
        if unknown:
            raise RuleError(f"a band of {', '.join(unknown)} does not exist", ("bands",))
        with within("when"):
            when = family.vocabulary.compile(entry.when)
        texts = Template(entry.summary), Template(entry.detail)
        suggestions = _suggestions(entry.suggestions, entry.when, family)
        return CompiledMissingData(entry, when, bands, *texts, suggestions, _answering(suggestions))


def _silent(entry: SilentWhen, position: int, family: Family) -> CompiledSilentWhen | None:
    """None for an entry that says in words what the bands do."""
    if entry.when is None:
        return None
    with within("silent_when", position, "when"):
        return CompiledSilentWhen(entry, family.vocabulary.compile(entry.when))


def _question(question: Question, position: int, family: Family) -> tuple[str, Predicate]:
    with within("questions", position, "when"):
        return question.text, family.vocabulary.compile(question.when)


def _suggestions(declared: Iterable[SuggestionTemplate], when: Any, family: Family) -> tuple[CompiledSuggestion, ...]:
    compiled = []
    for position, template in enumerate(declared):
        with within("suggestions", position):
            compiled.append(_suggestion(template, when, family))
    return tuple(compiled)


def _answering(suggestions: Iterable[CompiledSuggestion]) -> tuple[CompiledSuggestion, ...]:
    return tuple(suggestion for suggestion in suggestions if suggestion.declared.answers)


def _suggestion(declared: SuggestionTemplate, when: Any, family: Family) -> CompiledSuggestion:
    recommended, sigs = declared.recommended, [new.sig for new in declared.create]
    for change in (declared.change, declared.change_partner):
        if change is not None and change.computed is not None and change.computed not in family.changes:
            raise RuleError(f"the family {family.name} has no change called {change.computed!r}", ("change",))
        sigs += [change.sig] if change is not None and change.sig is not None else []
    fixed = {"always" if recommended is True else "never": True}
    return CompiledSuggestion(
        declared,
        _optional(declared.only_if, family),
        family.vocabulary.compile(fixed if isinstance(recommended, bool) else recommended),
        tuple(_order(order, when, family) for order in declared.orders),
        any(sig.dose_mg is not None for sig in sigs),
    )


def _order(order: LabOrder, when: Any, family: Family) -> CompiledOrder:
    analyte = ANALYTE_BY_LOINC.get(order.loinc)
    same = ANALYTES[analyte.key].loinc if analyte is not None else ()
    missing = dict(_missing_results(order.only_if or {})) or dict(_missing_results(when))
    codes, days = frozenset({order.loinc, *same, *order.answered_by}), max(missing.values(), default=OPEN_DAYS)
    return CompiledOrder(order, _optional(order.only_if, family), codes, days)


def _missing_results(when: Any) -> Iterator[tuple[str, float]]:
    """Yield the results that a condition, as a rule declares it, finds missing, with the days within which it looks."""
    for part in (*when.get("any", ()), *when.get("all", ())):
        yield from _missing_results(part)
    if "lab_missing" in when:
        yield when["lab_missing"], when.get("max_age_days", inf)


def _optional(spec: Any, family: Family) -> Predicate | None:
    return None if spec is None else family.vocabulary.compile(spec)


def _suggestion_predicates(suggestion: CompiledSuggestion) -> list[Predicate]:
    conditions = (suggestion.only_if, *(order.only_if for order in suggestion.orders))
    return [suggestion.recommended, *(condition for condition in conditions if condition is not None)]


class RuleIndex:
    """The rules by the ingredients and classes that activate them, so that a draft is evaluated only by its own."""

    def __init__(self, rules: Iterable[LateRule]) -> None:
        by_key: dict[str, list[LateRule]] = {}
        self._for_any: list[LateRule] = []
        for rule in rules:
            for key in rule.outline.keys:
                by_key.setdefault(key, []).append(rule)
            if rule.outline.is_for_any:
                self._for_any.append(rule)
        self._by_key = by_key

    def of(self, medication: MedicationIdentity) -> Iterator[CompiledRule]:
        """Yield the rules that name an ingredient or a class of the medication, each once."""
        keys = (
            key
            for ingredient in medication.ingredients
            for key in (ingredient.rxcui, *sorted(classes_of((ingredient,))))
        )
        by_key = (rule for key in keys for rule in self._by_key.get(key, ()))
        for_any = () if is_test(medication) else self._for_any
        for rule in {rule.outline.id: rule for rule in (*by_key, *for_any)}.values():
            yield rule.compiled
