"""Conditions on the allergy list: which entries are meant, how severe they are, what was given since."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from cards.extension import Fact
from cards.rules.conditions.condition import (
    BOOLEAN,
    MEDICATION_LISTS,
    TEXT,
    TEXTS,
    Condition,
    Predicate,
    Spec,
    Truth,
    members,
    no_facts,
    only,
)
from cards.rules.conditions.words.patient import ALLERGIES
from cards.rules.language.rule import RuleError
from cards.rules.patient.context import RuleContext
from cards.text import decapitalized, plain
from fhir.mapping.allergies import Allergy, allergies_to_class, allergies_to_ingredient, worst_allergy
from fhir.mapping.medications.active import last_order_after
from fhir.record.datatypes import FhirTime

_LONGEST_REACTION, _LONGEST_NAME = 40, 30
LONGEST_REACTION, LONGEST_NAME = "r" * _LONGEST_REACTION, "a" * _LONGEST_NAME
"""The longest that a reaction and the name of an allergen become."""
_MEMBERS = ("to_draft", "to_class", "to_ingredient", "grade", "reaction_any", "allergic", "other_ingredient", "worst")
_NOT_RECORDED = "reaction not recorded"


# Which entries are meant


def to_draft(context: RuleContext) -> Sequence[Allergy]:
    """The entries about an ingredient of the draft."""
    known, drafted = context.session.allergies_by_ingredient, context.medication.rxcuis
    if known.keys().isdisjoint(drafted):
        return ()
    if len(drafted) == 1:
        return known[drafted[0]]
    found = (one for rxcui in drafted for one in known.get(rxcui, ()))
    return list({one.source: one for one in found}.values())


def _entries(wanted: Mapping[str, Any]) -> Callable[[RuleContext], Sequence[Allergy]]:
    if wanted.get("to_draft"):
        return to_draft
    if "to_class" in wanted:
        name = str(wanted["to_class"])
        return lambda context: allergies_to_class(context.session.record, name)
    if "to_ingredient" in wanted:
        rxcui = str(wanted["to_ingredient"]["rxcui"])
        return lambda context: allergies_to_ingredient(context.session.record, rxcui)
    raise RuleError(f"reacts: {dict(wanted)!r} names nothing to react to")


def _is_of_another(one: Allergy, context: RuleContext) -> bool:
    """Whether the entry means more than the drafted ingredient itself."""
    own = set(context.medication.rxcuis)
    return bool(one.allergen.classes) or not own.issuperset(each.rxcui for each in one.allergen.ingredients)


def reaction_pattern(words: Iterable[str]) -> re.Pattern[str]:
    """Any of the words; an abbreviation in capitals as a whole word."""
    parts = (rf"\b{re.escape(word)}\b" if word.isupper() else re.escape(word) for word in words)
    return re.compile("|".join(parts), re.IGNORECASE)


def _reacts(spec: Spec) -> Predicate:
    wanted = only(only(spec, "reacts")["reacts"], *_MEMBERS)
    entries = _entries(wanted)
    grades = frozenset(wanted.get("grade", ()))
    pattern = reaction_pattern(wanted["reaction_any"]) if "reaction_any" in wanted else None

    def meant(listed: Sequence[Allergy], context: RuleContext) -> Sequence[Allergy]:
        return [
            one
            for one in listed
            if not (grades and one.grade not in grades)
            and not (wanted.get("allergic") and one.is_no_allergy)
            and not (wanted.get("other_ingredient") and not _is_of_another(one, context))
        ]

    def matching(found: Sequence[Allergy]) -> Sequence[Allergy]:
        if found and pattern is not None:
            found = [one for one in found if any(pattern.search(text) for text in one.reactions)]
        if "worst" in wanted:
            first = worst_allergy(found)
            return [first] if first is not None and first.severity == wanted["worst"] else []
        return found

    def test(context: RuleContext) -> Truth:
        listed = entries(context)
        if not listed:  # as in most charts
            return False if context.session.knows_allergies else None
        found = meant(listed, context)
        if matching(found):
            return True
        if not context.session.knows_allergies:
            return None
        is_open = pattern is not None and any(not one.reactions and not one.is_no_allergy for one in found)
        return None if is_open else False

    def facts(context: RuleContext) -> list[Fact]:
        return [_fact(one) for one in matching(meant(entries(context), context))]

    return Predicate(test, facts, frozenset({"allergies"}))


def _fact(one: Allergy) -> Fact:
    date = one.recorded.text if one.recorded is not None else None
    return Fact(
        "allergy", plain(f"{one.words}: {reaction_of(one)}", 80), name_of(one), effective=date, source=one.source
    )


def _rash_only(spec: Spec) -> Predicate:
    name = str(only(only(spec, "rash_only")["rash_only"], "to_class")["to_class"])

    def test(context: RuleContext) -> Truth:
        seen = [one for one in allergies_to_class(context.session.record, name) if one.reactions]
        return bool(seen) and all(one.is_rash_only or one.is_no_allergy for one in seen)

    return Predicate(test, no_facts, frozenset({"allergies"}))


def _low_criticality(spec: Spec) -> Predicate:
    name = str(only(only(spec, "low_criticality")["low_criticality"], "to_class")["to_class"])

    def test(context: RuleContext) -> Truth:
        found = allergies_to_class(context.session.record, name)
        return bool(found) and all(one.criticality == "low" or one.is_intolerance for one in found)

    return Predicate(test, no_facts, frozenset({"allergies"}))


def _reaction_unknown(spec: Spec) -> Predicate:
    name = str(only(only(spec, "reaction_unknown")["reaction_unknown"], "to_class")["to_class"])

    def test(context: RuleContext) -> Truth:
        found = allergies_to_class(context.session.record, name)
        return any(not one.reactions and not one.is_no_allergy for one in found)

    def facts(context: RuleContext) -> list[Fact]:
        found = allergies_to_class(context.session.record, name)
        return [_fact(one) for one in found if not one.reactions and not one.is_no_allergy]

    return Predicate(test, facts, frozenset({"allergies"}))


def given_since(context: RuleContext) -> FhirTime | None:
    """When the drafted ingredient was last ordered and taken after the newest entry about it was made."""
    dated = [one for one in to_draft(context) if one.recorded is not None]
    newest = max((one.recorded for one in dated if one.recorded is not None), key=lambda one: one.instant, default=None)
    if newest is None or len(dated) < len(to_draft(context)):
        return None
    meant = {each.rxcui for one in dated for each in one.allergen.ingredients} & set(context.medication.rxcuis)
    times = [last_order_after(context.session.record, rxcui, newest) for rxcui in meant]
    return max((time for time in times if time is not None), key=lambda one: one.instant, default=None)


def _tolerated_since(spec: Spec) -> Predicate:
    wanted = only(spec, "tolerated_since")["tolerated_since"]
    uses = frozenset({"allergies", "history"})
    return Predicate(lambda context: (given_since(context) is not None) is wanted, no_facts, uses)


# In words


def reaction_of(one: Allergy | None) -> str:
    """The reaction as it stands in the middle of a sentence, or that none is recorded."""
    if one is None or not one.reactions:
        return _NOT_RECORDED
    said = plain(one.reactions[0], _LONGEST_REACTION)
    # "Anaphylaxis" in the middle of a sentence, but "SJS" and "Stevens-Johnson".
    is_name = said[:2].isupper() or said.startswith(("Stevens", "Lyell"))
    return said if is_name else decapitalized(said)


# What a class of allergens is called in a sentence.
CLASS_NAMES = {
    "beta_lactam_penicillin_allergen": "penicillin",
    "cephalosporin": "cephalosporins",
    "sulfa_antibiotic_allergen": "sulfonamide antibiotics",
    "nsaid_allergen_cox1": "aspirin/NSAID",
}


def name_of(one: Allergy) -> str:
    """What the entry is about: its ingredients and classes by name."""
    names = sorted({each.name for each in one.allergen.ingredients})
    names += [CLASS_NAMES.get(name, name.replace("_", " ")) for name in sorted(one.allergen.classes)]
    return plain("/".join(names[:2]), _LONGEST_NAME)


_TO_CLASS = members(("to_class",), to_class=TEXT)
_REACTS = members(
    to_draft={"const": True},
    to_class=TEXT,
    to_ingredient={"$ref": "#/$defs/drug"},
    grade={"type": "array", "items": {"enum": ["severe", "mild", "unknown"]}, "minItems": 1},
    reaction_any=TEXTS,
    allergic={"const": True},
    other_ingredient={"const": True},
    worst={"enum": ["critical", "warning", "info"]},
)


def _wording(spec: Spec) -> str:
    wanted = spec["reacts"]
    to = wanted.get("to_class") or wanted.get("to_ingredient", {}).get("name") or "the drafted ingredient"
    said = f"allergy to {to}"
    if "grade" in wanted:
        said += f" ({' or '.join(wanted['grade'])})"
    if "reaction_any" in wanted:
        said += f" with {', '.join(wanted['reaction_any'])}"
    if "worst" in wanted:
        said += f", {wanted['worst']} at worst"
    return said + (", of another drug" if "other_ingredient" in wanted else "")


ALLERGY_CONDITIONS = (
    Condition(
        "reacts",
        "an entry of the allergy list `to_draft` (the drafted ingredients), `to_class` or `to_ingredient` is there, "
        "narrowed by `grade`, `reaction_any` (words), `allergic`, `other_ingredient`, or by how severe its `worst` is",
        _reacts,
        _REACTS,
        _wording,
        ALLERGIES,
    ),
    Condition(
        "rash_only",
        "of the entries `to_class`, every recorded reaction is hives, a rash or itching",
        _rash_only,
        _TO_CLASS,
        lambda _spec: "nothing but hives, a rash or itching was seen",
        ALLERGIES,
    ),
    Condition(
        "low_criticality",
        "all entries `to_class` are of low criticality or intolerances",
        _low_criticality,
        _TO_CLASS,
        lambda _spec: "of low criticality, or an intolerance",
        ALLERGIES,
    ),
    Condition(
        "reaction_unknown",
        "an entry `to_class` has no recorded reaction",
        _reaction_unknown,
        _TO_CLASS,
        lambda _spec: "the reaction is not recorded",
        ALLERGIES,
    ),
    Condition(
        "tolerated_since",
        "the drafted ingredient was ordered again after the newest entry about it was made",
        _tolerated_since,
        BOOLEAN,
        lambda _spec: "ordered again after the entry was made",
        ALLERGIES | MEDICATION_LISTS,
    ),
)
