"""Checks a family's tables for what the types of rules cannot see: codes, placeholders, lengths, safety."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from cards.card import SUMMARY_LIMIT
from cards.rules.engine.compile import (
    CompiledBand,
    CompiledMissingData,
    CompiledRule,
    CompiledSuggestion,
    compile_table,
)
from cards.rules.engine.family import Family, Placeholder
from cards.rules.engine.placeholders import COMMON_PLACEHOLDERS, unknown_words
from cards.rules.language.rule import CANCEL_ORDER, Path, Product, RuleError, Sig, SuggestionTemplate
from cards.rules.language.table import read_family, table_of
from cards.rules.language.trigger import TEST, Selector, Template
from cards.rules.patient.measurements import ESTIMATES, name_of
from cards.text import unit
from fhir.terminology.analytes import ANALYTES
from fhir.terminology.conditions import CONDITION_GROUPS
from fhir.terminology.country import DEFAULT, own_country
from fhir.terminology.medication_strength import read_strengths
from fhir.terminology.medications import CLASS_MEMBERS, INGREDIENTS, ORDERABLES

# Words of a text that can be filled only where the condition is based on such a fact.
_REST_ON: Mapping[str, frozenset[str]] = {
    "egfr": frozenset({"egfr_best"}),
    "crcl": frozenset({"crcl_actual_weight", "crcl_adjusted_weight"}),
    "kidney": frozenset(ESTIMATES),
    "mg_per_kg": frozenset({"weight"}),
    "dose": frozenset({"dose", "each_dose"}),
    "each_dose": frozenset({"each_dose"}),
    "other": frozenset({"active"}),
    "problem": frozenset({"problem"}),
}
# Of a rule that any drug activates.
_LONG_DRUG = "phenoxymethylpenicillin"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a family's table: where it stands, and what is wrong in a sentence."""

    path: Path
    text: str


def lint_family(family: Family) -> list[str]:
    """Every fault of the family's files in a sentence with file, line and rule; empty when there is none."""
    try:
        written = read_family(family.name)
        return [written.describe(fault.path, fault.text) for fault in lint_table(family, written.raw)]
    except RuleError as error:
        return [error.text]


def lint_table(family: Family, raw: Mapping[str, Any]) -> list[Fault]:
    """Every fault of a table as it is written; of its form the first of each rule, as a start tells it."""
    rules = list[CompiledRule]()
    wrong = dict[Fault, None]()
    for position, rule in enumerate(raw["rules"]):
        try:
            rules += compile_table(family, table_of({**raw, "rules": [rule]}))
        except RuleError as error:
            path = ("rules", position, *error.path[2:]) if error.path[:1] == ("rules",) else error.path
            wrong[Fault(path, error.text)] = None
    faults = list(wrong) or [*_names(raw), *_unused(raw), *_codes(raw)]
    return faults or [
        Fault(("rules", position, *fault.path), fault.text)
        for position, rule in enumerate(rules)
        for fault in _rule_faults(rule)
    ]


def _names(raw: Mapping[str, Any]) -> Iterator[Fault]:
    for name, times in Counter(rule["id"] for rule in raw["rules"]).items():
        if times > 1:
            position = max(at for at, rule in enumerate(raw["rules"]) if rule["id"] == name)
            yield Fault(("rules", position), f"rule {name} stands {times} times")


def _unused(raw: Mapping[str, Any]) -> Iterator[Fault]:
    shared = raw.get("shared", {})
    used = Counter(value for _, name, value in _members(raw) if name in ("use", "named"))
    names = Counter(name for kind in shared.values() for name in kind)
    for kind, entries in shared.items():
        for name in entries:
            if names[name] > 1:
                yield Fault(("shared", kind, name), f"shared entry {name} stands {names[name]} times")
            elif not used[name] and own_country().code == DEFAULT:  # elsewhere what uses it may not hold
                yield Fault(("shared", kind, name), f"shared entry {name} is used by nobody")


def _members(value: Any, path: Path = ()) -> Iterator[tuple[Path, str, Any]]:
    """Every member of every object, however deep: the path of its value, its name, its value."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, dict | list):
                yield from _members(inner, (*path, name))
            yield (*path, name), name, inner if not isinstance(inner, list) else tuple(map(str, inner))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _members(inner, (*path, position))


def _codes(raw: Mapping[str, Any]) -> Iterator[Fault]:
    """Names and codes that the project's tables do not know, or know otherwise."""
    for path, drug in _drugs(raw):
        # A product without a strength has the same two members as an ingredient.
        entry = INGREDIENTS.get(drug["rxcui"]) or ORDERABLES.get(drug["rxcui"])
        if entry is None or entry.name != drug["name"]:
            statement = f"our table says {entry.name if entry else 'nothing'}"
            yield Fault(path, f"ingredient {drug['rxcui']} {drug['name']}: {statement}")
    classes = ("medication_classes.csv", CLASS_MEMBERS)
    groups, analytes = ("condition_groups.csv", CONDITION_GROUPS), ("analytes.csv", ANALYTES)
    closed: dict[str, tuple[str, Collection[str]]] = {
        **dict.fromkeys(("classes", "exclude_classes", "class", "to_class"), classes),
        "condition_any": groups,
        **dict.fromkeys(("lab", "lab_missing"), analytes),
    }
    for path, member, value in _members(raw):
        if member in closed:
            table, names = closed[member]
            for name in value if isinstance(value, tuple) else (value,):
                if name not in names:
                    yield Fault(path, f"{member}: {_not_in(table, str(name), names)}")


def _not_in(table: str, name: str, names: Collection[str]) -> str:
    """Return which table has no such name, and the similar names that it has."""
    near = get_close_matches(name, names, n=3)
    advice = f"did you mean {' or '.join(near)}?" if near else "the first column has those there are"
    return f"fhir/terminology/tables/{table} has no {name!r}; {advice}"


def _drugs(value: Any, path: Path = ()) -> Iterator[tuple[Path, Mapping[str, str]]]:
    if isinstance(value, dict):
        if set(value) == {"rxcui", "name"}:
            yield path, value
        for name, inner in value.items():
            yield from _drugs(inner, (*path, name))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _drugs(inner, (*path, position))


# One rule


def _rule_faults(rule: CompiledRule) -> Iterator[Fault]:
    bands = {band.declared.id for band in rule.bands}
    # A band may stand once for each indicator: what decides between them is in the condition.
    times = Counter((band.declared.id, band.declared.indicator) for band in rule.bands)
    for position, quiet in enumerate(rule.declared.silent_when):
        if not set(quiet.except_bands) <= bands:
            text = f"silent_when {quiet.code}: except_bands names a band that does not exist"
            yield Fault(("silent_when", position), text)
        yield from (Fault(("silent_when", position), text) for text in unknown_words(rule, Template(quiet.text)))
    for position, band in enumerate(rule.bands):
        path = ("bands", position)
        stands = times[band.declared.id, band.declared.indicator]
        if stands > 1:
            yield Fault(path, f"band {band.declared.id} stands {stands} times")
        if not set(band.declared.cites) <= set(range(len(rule.declared.evidence))):
            yield Fault(path, "cites a position that the evidence does not have")
        texts = (
            *_text_faults(rule, band),
            *_safety_faults(band),
            *_advice_faults(band, rule),
        )
        yield from (Fault(path, text) for text in texts)
        yield from _suggestion_faults(band.suggestions, path)
    for position, entry in enumerate(rule.missing):
        path = ("missing_data", position)
        yield from (Fault(path, text) for text in _missing_text_faults(rule, entry))
        yield from _suggestion_faults(entry.suggestions, path)


# No result's or concentration's unit, and none for each kilogram.
_AMOUNT: Final = re.compile(r"\d[\d,.]* (?:mg|mcg|micrograms?|g|units?)\b(?! ?/ ?(?:kg|d?L|mL|mmol))")


def _text_faults(rule: CompiledRule, band: CompiledBand) -> Iterator[str]:
    unstable = rule.unstable_summary if band.gives_a_dose else None
    summaries = [template for template in (band.summary, band.unsure_summary, unstable) if template is not None]
    for template in (*summaries, band.detail):
        yield from unknown_words(rule, template)
        for name in template.names:
            rests_on = _rests_on(rule, name)
            if rests_on and not rests_on & (band.when.uses | _of_rule(rule)):
                yield f"{{{name}}} is said, but the condition has no such fact"
    for template in summaries:
        yield from _too_long(rule, template)
    if not band.declared.for_every_age:
        yield from _adult_amounts(band, *summaries, band.detail)


def _adult_amounts(says: CompiledBand | CompiledMissingData, *templates: Template) -> Iterator[str]:
    """Yield what a child's card would say of an adult's amounts; a condition that asks for the age knows whose."""
    for template in templates if "age" not in says.when.uses else ():
        if amount := _AMOUNT.search(template.for_child.text):
            yield f"a child's card says {amount[0]!r}: put it in [brackets], or say `for_every_age`"


def _rests_on(rule: CompiledRule, name: str) -> frozenset[str]:
    """Return the facts of which a condition must have one for this word to be filled; a result stands for itself."""
    is_result = name in ANALYTES and name not in _placeholders(rule)
    return frozenset({f"lab:{name}"}) if is_result else _REST_ON.get(name, frozenset())


def _of_rule(rule: CompiledRule) -> frozenset[str]:
    return frozenset({"active"} if rule.trigger.sides else ()) | ({"problem"} if rule.looks_for_conditions else set())


def _missing_text_faults(rule: CompiledRule, entry: CompiledMissingData) -> Iterator[str]:
    for template in (entry.summary, entry.detail):
        yield from unknown_words(rule, template)
    yield from _too_long(rule, entry.summary)
    yield from _adult_amounts(entry, entry.summary, entry.detail)


def _placeholders(rule: CompiledRule) -> Mapping[str, Placeholder[Any]]:
    return {**COMMON_PLACEHOLDERS, **rule.family.placeholders}


def _too_long(rule: CompiledRule, template: Template) -> Iterator[str]:
    names = [name for selector in rule.trigger.selectors() for name in _selected_names(selector)]
    drug = max(names or [_LONG_DRUG], key=len)
    results = {name: ANALYTES[name] for name in template.names if name in ANALYTES}
    longest = {
        **{name: f"{name_of(name)} 120.55 {unit(result.unit)} on 2026-11-20" for name, result in results.items()},
        **{name: word.longest for name, word in _placeholders(rule).items() if word.longest is not None},
        **_longest_of_sides(rule),
        "drug": drug,
        "Drug": drug.capitalize(),
    }
    filled = template.fill(longest.get)
    if filled is None:
        yield f"the longest of {', '.join(set(template.names) - set(longest))} is not known"
    elif len(filled) > SUMMARY_LIMIT:
        yield f"the summary can have {len(filled)} characters: {filled}"


def _selected_names(selector: Selector) -> list[str]:
    of_classes = (code for name in selector.classes for code in CLASS_MEMBERS[name])
    codes = (code for code in (*selector.ingredients, *of_classes) if not code.startswith(TEST))
    return [INGREDIENTS[code].name for code in codes]


def _longest_of_sides(rule: CompiledRule) -> dict[str, str]:
    """Return what {first} and {second} become: the longest name of either side."""
    names = [
        max((name for selector in side for name in _selected_names(selector)), key=len) for side in rule.trigger.sides
    ]
    return {word: f"{name} and 1 more" for word, name in zip(("first", "second"), names, strict=False)}


def _safety_faults(band: CompiledBand) -> Iterator[str]:
    on_estimate = bool(set(ESTIMATES) & band.when.uses)
    if band.declared.indicator == "critical" and on_estimate and band.unsure_summary is None:
        yield "a critical band on an estimate needs an unsure_summary"
    for suggestion in band.suggestions:
        change = suggestion.declared.change
        gives_a_dose = change is not None and (change.computed is not None or _says_a_dose(change.sig))
        if on_estimate and gives_a_dose and not suggestion.declared.from_estimate:
            yield f"{suggestion.declared.label} changes a dose by an estimate: from_estimate must say so"


def _says_a_dose(sig: Sig | None) -> bool:
    return sig is not None and (sig.dose_mg is not None or sig.dose_share is not None)


def _suggestion_faults(suggestions: Iterable[CompiledSuggestion], path: Path) -> Iterator[Fault]:
    offered = tuple(suggestions)
    if sum(suggestion.declared.recommended is True and suggestion.only_if is None for suggestion in offered) > 1:
        yield Fault(path, "two suggestions are always recommended")
    for position, suggestion in enumerate(offered):
        for text in _faults_of_suggestion(suggestion.declared):
            yield Fault((*path, "suggestions", position), text)


def _faults_of_suggestion(declared: SuggestionTemplate) -> Iterator[str]:
    of_partner = declared.stop_partner is not None or declared.change_partner is not None
    if not (declared.acts_on_hazard or declared.orders):
        yield f"{declared.label} does nothing"
    yield from _label_faults(declared)
    yield from _active_label_faults(declared)
    if of_partner and declared.recommended is not False:
        yield f"{declared.label} is about another order: it is never recommended"
    changes = [change for change in (declared.change, declared.change_partner) if change is not None]
    changed = [product for change in changes for product in (change.product, *change.products_if_split)]
    for product in (*changed, *(order.product for order in declared.create)):
        if product is not None:
            yield from _product_faults(product)


def _label_faults(declared: SuggestionTemplate) -> Iterator[str]:
    """Yield what a label says must be what is done: "Hold" keeps the order, "Cancel" removes it."""
    changes_start = declared.change is not None and declared.change.start_in_hours is not None
    holds = declared.hold or declared.stop_partner == "on-hold" or changes_start
    if declared.label.startswith("Hold") and not holds:
        yield f"{declared.label}: the label says to hold, but nothing is put on hold"
    if declared.hold and not declared.label.startswith("Hold"):
        yield f'{declared.label}: the label of a suggestion with `hold` begins with "Hold"'
    if declared.hold and (declared.cancel or declared.change is not None):
        yield f"{declared.label} both holds the draft and removes or changes it"
    if declared.label.startswith("Cancel") and not declared.cancel:
        yield f"{declared.label}: the label says to cancel, but the order stays"


def _active_label_faults(declared: SuggestionTemplate) -> Iterator[str]:
    """Yield a fault where the label that stops an active order is neither the usual one nor in the rule."""
    if declared.active_label is None and declared.only_removes and declared.label != CANCEL_ORDER:
        yield f"{declared.label}: `active_label` is missing, its label where the order is active already (at discharge)"
    if declared.active_label is not None and not declared.cancel:
        yield f"{declared.label}: only a suggestion with `cancel` has an `active_label`"
    if "cancel" in (declared.active_label or "").lower():
        yield f"{declared.label}: an order that is active already is stopped, not cancelled (`active_label`)"


_ASKS_FOR_TESTS = frozenset({"monitoring"})


def _advice_faults(band: CompiledBand, rule: CompiledRule) -> Iterator[str]:
    """On a warning, what is advised must take the hazard away; a test does so only where its absence is the hazard."""
    asks = rule.family.name in _ASKS_FOR_TESTS
    if band.declared.indicator not in ("warning", "critical") or asks:
        return
    for suggestion in band.suggestions:
        declared = suggestion.declared
        if declared.recommended is not False and not declared.acts_on_hazard:
            yield f"{declared.label} is advised, but a test alone leaves the hazard of this {band.declared.indicator}"


def _product_faults(product: Product) -> Iterator[str]:
    orderable = ORDERABLES.get(product.rxcui)
    if orderable is None and product.source is None and product.strength_mg is not None:
        yield f"product {product.rxcui} is not in orderables.csv and names no source"
    if orderable is not None and orderable.name != product.name:
        yield f"product {product.rxcui} is called {orderable.name}, not {product.name}"
    stated = [strength.milligrams for strength in read_strengths(product.name)]
    if product.strength_mg is None:
        known_drug = INGREDIENTS.get(product.rxcui)
        if orderable is None and (known_drug is None or known_drug.name != product.name):
            yield f"product {product.rxcui} {product.name} is not an ingredient of our table and has no strength"
    elif stated != [product.strength_mg]:
        yield f"product {product.name}: strength {product.strength_mg:g} mg is not what its name says"
