"""What is wrong with a family's table that neither its schema nor its types can see: codes, words, lengths, safety."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator

from cards.card import SUMMARY_LIMIT
from cards.rules.compiled import CompiledBand, CompiledMissing, CompiledRule, CompiledSuggestion, compile_table
from cards.rules.family import Family
from cards.rules.kidney import ESTIMATES
from cards.rules.rule import Product, Sig, raw_table, table_of
from cards.rules.selector import Selector
from cards.rules.template import Template
from cards.rules.words import COMMON_LONGEST, COMMON_WORDS
from fhir.terminology.analytes import ANALYTES
from fhir.terminology.conditions import condition_keys
from fhir.terminology.medication_strength import read_strengths
from fhir.terminology.medications import class_members, ingredients, orderables

# Words of a text that can be filled only where the condition rests on such a fact.
_REST_ON: Mapping[str, frozenset[str]] = {
    "egfr": frozenset({"egfr_best"}),
    "crcl": frozenset({"crcl_actual_weight", "crcl_adjusted_weight"}),
    "kidney": frozenset(ESTIMATES),
    "dose": frozenset({"dose", "each_dose"}),
    "other": frozenset({"active"}),
}
# Of a rule that any drug wakes.
_LONG_DRUG = "phenoxymethylpenicillin"


def lint_family(family: Family) -> list[str]:
    """Every fault of the family's table, each with the rule it is in; empty when there is none."""
    return lint_table(family, raw_table(family.name))


def lint_table(family: Family, raw: Mapping[str, Any]) -> list[str]:
    """Every fault of a table as it is written."""
    errors = _schema(family).iter_errors(raw)
    faults = [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]
    if faults:
        return faults
    rules = compile_table(family, table_of(raw))
    faults = [*_unique("rule", (rule.id for rule in rules)), *_unused(raw), *_codes(raw)]
    return faults or [f"{rule.id}: {fault}" for rule in rules for fault in _rule_faults(rule)]


def _schema(family: Family) -> Draft202012Validator:
    schema = json.loads((files("cards.rules") / "rule.schema.json").read_text(encoding="utf-8"))
    predicate = schema["$defs"]["predicate"]
    # A family's own word goes before a common one of that name.
    kept = [one for one in predicate["oneOf"] if not set(one["required"]) & set(family.conditions)]
    predicate["oneOf"] = [*kept, *(one.schema_of(word) for word, one in family.conditions.items())]
    return Draft202012Validator(schema)


def _unique(kind: str, names: Iterable[str]) -> Iterator[str]:
    for name, times in Counter(names).items():
        if times > 1:
            yield f"{kind} {name} stands {times} times"


def _unused(raw: Mapping[str, Any]) -> Iterator[str]:
    shared = raw.get("shared", {})
    used = Counter(value for name, value in _members(raw) if name in ("use", "named"))
    names = [name for kind in shared.values() for name in kind]
    yield from _unique("shared entry", names)
    for name in names:
        if not used[name]:
            yield f"shared entry {name} is used by nobody"


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    """Every member of every object, however deep."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, dict | list):
                yield from _members(inner)
            yield name, inner if not isinstance(inner, list) else tuple(map(str, inner))
    elif isinstance(value, list):
        for inner in value:
            yield from _members(inner)


def _codes(raw: Mapping[str, Any]) -> Iterator[str]:
    """Names and codes that the project's tables do not know, or know otherwise."""
    for drug in _drugs(raw):
        # A product without a strength has the same two members as an ingredient.
        known = ingredients().get(drug["rxcui"]) or orderables().get(drug["rxcui"])
        if known is None or known.name != drug["name"]:
            yield f"ingredient {drug['rxcui']} {drug['name']}: our table says {known.name if known else 'nothing'}"
    closed = {
        "classes": class_members(),
        "exclude_classes": class_members(),
        "condition_any": condition_keys(),
        "lab": ANALYTES,
        "lab_missing": ANALYTES,
        "class": class_members(),
        "to_class": class_members(),
    }
    for member, value in _members(raw):
        if member in closed:
            for name in value if isinstance(value, tuple) else (value,):
                if name not in closed[member]:
                    yield f"{member}: {name} is in no table"


def _drugs(value: Any) -> Iterator[Mapping[str, str]]:
    if isinstance(value, dict):
        if set(value) == {"rxcui", "name"}:
            yield value
        for inner in value.values():
            yield from _drugs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _drugs(inner)


# One rule


def _rule_faults(rule: CompiledRule) -> Iterator[str]:
    yield from _unique("band", (band.declared.id for band in rule.bands))
    bands = {band.declared.id for band in rule.bands}
    for quiet in rule.declared.silent_when:
        if not set(quiet.except_bands) <= bands:
            yield f"silent_when {quiet.code}: except_bands names a band that does not exist"
    for band in rule.bands:
        if not set(band.declared.cites) <= set(range(len(rule.declared.evidence))):
            yield f"{band.declared.id}: cites a position that the evidence does not have"
        for fault in (*_text_faults(rule, band), *_safety_faults(band), *_suggestion_faults(band.suggestions)):
            yield f"{band.declared.id}: {fault}"
    for entry in rule.missing:
        for fault in (*_missing_text_faults(rule, entry), *_suggestion_faults(entry.suggestions)):
            yield f"{entry.declared.id}: {fault}"


def _text_faults(rule: CompiledRule, band: CompiledBand) -> Iterator[str]:
    unstable = rule.unstable_summary if band.tells_a_dose else None
    summaries = [one for one in (band.summary, band.unsure_summary, unstable) if one is not None]
    for template in (*summaries, band.detail):
        yield from _unknown_words(rule, template)
        for name in template.names:
            if name in _REST_ON and not _REST_ON[name] & (band.when.uses | _of_pair(rule)):
                yield f"{{{name}}} is said, but the condition rests on no such fact"
    for template in summaries:
        yield from _too_long(rule, template)


def _of_pair(rule: CompiledRule) -> frozenset[str]:
    return frozenset({"active"}) if rule.trigger.sides else frozenset()


def _missing_text_faults(rule: CompiledRule, entry: CompiledMissing) -> Iterator[str]:
    for template in (entry.summary, entry.detail):
        yield from _unknown_words(rule, template)
    yield from _too_long(rule, entry.summary)


def _unknown_words(rule: CompiledRule, template: Template) -> Iterator[str]:
    for name in template.names:
        if name not in COMMON_WORDS and name not in rule.family.words:
            yield f"no fact fills {{{name}}}"


def _too_long(rule: CompiledRule, template: Template) -> Iterator[str]:
    drug = max(_drug_names(rule), key=len)
    longest = {
        **COMMON_LONGEST,
        **_longest_of_sides(rule),
        **rule.family.longest,
        "drug": drug,
        "Drug": drug.capitalize(),
    }
    filled = template.fill(longest.get)
    if filled is None:
        yield f"the longest of {', '.join(set(template.names) - set(longest))} is not known"
    elif len(filled) > SUMMARY_LIMIT:
        yield f"the summary can have {len(filled)} characters: {filled}"


def _drug_names(rule: CompiledRule) -> list[str]:
    return [name for one in rule.trigger.selectors() for name in _selected_names(one)] or [_LONG_DRUG]


def _selected_names(selector: Selector) -> list[str]:
    of_classes = (code for name in selector.classes for code in class_members()[name])
    return [ingredients()[code].name for code in (*selector.ingredients, *of_classes)]


def _longest_of_sides(rule: CompiledRule) -> dict[str, str]:
    """What {first} and {second} become: the longest name of either side."""
    names = [max((name for one in side for name in _selected_names(one)), key=len) for side in rule.trigger.sides]
    return {word: f"{name} and 1 more" for word, name in zip(("first", "second"), names, strict=False)}


def _safety_faults(band: CompiledBand) -> Iterator[str]:
    on_estimate = bool(set(ESTIMATES) & band.when.uses)
    if band.declared.indicator == "critical" and on_estimate and band.unsure_summary is None:
        yield "a critical band on an estimate needs an unsure_summary"
    for suggestion in band.suggestions:
        change = suggestion.declared.change
        tells = change is not None and (change.computed is not None or _says_a_dose(change.sig))
        if on_estimate and tells and not suggestion.declared.from_estimate:
            yield f"{suggestion.declared.id} changes a dose by an estimate: from_estimate must say so"


def _says_a_dose(sig: Sig | None) -> bool:
    return sig is not None and (sig.dose_mg is not None or sig.dose_share is not None)


def _suggestion_faults(suggestions: Iterable[CompiledSuggestion]) -> Iterator[str]:
    offered = tuple(suggestions)
    if sum(one.declared.recommended is True and one.only_if is None for one in offered) > 1:
        yield "two suggestions are always recommended"
    for suggestion in offered:
        declared = suggestion.declared
        of_partner = declared.stop_partner is not None or declared.change_partner is not None
        if not (declared.cancel or declared.change or declared.create or declared.orders or of_partner):
            yield f"{declared.id} does nothing"
        if of_partner and declared.recommended is not False:
            yield f"{declared.id} is about another order: it is never recommended"
        changes = [one for one in (declared.change, declared.change_partner) if one is not None]
        changed = [product for one in changes for product in (one.product, *one.products_if_split)]
        for product in (*changed, *(order.product for order in declared.create)):
            if product is not None:
                yield from _product_faults(product)


def _product_faults(product: Product) -> Iterator[str]:
    known = orderables().get(product.rxcui)
    if known is None and product.source is None and product.strength_mg is not None:
        yield f"product {product.rxcui} is not in orderables.csv and names no source"
    if known is not None and known.name != product.name:
        yield f"product {product.rxcui} is called {known.name}, not {product.name}"
    stated = [strength.milligrams for strength in read_strengths(product.name)]
    if product.strength_mg is None:
        known_drug = ingredients().get(product.rxcui)
        if known is None and (known_drug is None or known_drug.name != product.name):
            yield f"product {product.rxcui} {product.name} is no ingredient of our table and says no strength"
    elif stated != [product.strength_mg]:
        yield f"product {product.name}: strength {product.strength_mg:g} mg is not what its name says"
