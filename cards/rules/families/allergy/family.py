"""Allergies: the placeholders that only these rules use."""

import re
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from cards.rules.engine.family import Family, Fill, Placeholder
from cards.rules.families.allergy.entries import (
    ALLERGY_CONDITIONS,
    CLASS_NAMES,
    LONGEST_NAME,
    LONGEST_REACTION,
    doubt_of,
    excipients_of,
    given_since,
    name_of,
    reaction_of,
    reaction_pattern,
    to_draft,
    to_its_class,
    to_what_it_holds,
)
from cards.rules.patient.context import RuleContext
from cards.text import plain
from fhir.mapping.allergies import Allergy, allergies_to_class, worst_allergy

# rules/allergy.json, rule allergy-class-betalactam, band scar.
SEVERE_DELAYED = (
    "Stevens-Johnson", "toxic epidermal necrolysis", "DRESS", "AGEP", "haemolytic anaemia", "serum sickness",
    "interstitial nephritis", "SJS", "drug reaction with eosinophilia", "acute generalized exanthematous",
    "acute generalised exanthematous", "hemolytic", "vasculitis", "jaundice", "cholesta", "hepatitis",
    "liver failure", "liver injury", "hepatic failure", "hepatotoxic",
)  # fmt: skip


# Words


def _ingredient(context: RuleContext) -> str | None:
    """Return the ingredient of the draft that the worst entry names."""
    first = worst_allergy(to_draft(context))
    if first is None:
        return None
    codes = {ingredient.rxcui for ingredient in first.allergen.ingredients}
    return next((ingredient.name for ingredient in context.medication.ingredients if ingredient.rxcui in codes), None)


Entries: TypeAlias = Callable[[RuleContext], Sequence[Allergy]]
"""Finds the entries of the allergy list that are meant, of which the worst one is named."""


def _worst(entries: Entries, write: Callable[[Allergy | None], str | None]) -> Fill:
    return lambda context: write(worst_allergy(entries(context)))


def _named(entries: Entries, write: Callable[[Allergy], str | None]) -> Fill:
    return _worst(entries, lambda allergy: write(allergy) if allergy is not None else None)


def _recorded(allergy: Allergy | None) -> str:
    """Return how an entry is called: what a drug has done by the problem list is no allergy."""
    return "reaction" if allergy is not None and allergy.is_harm else "allergy"


def _when(context: RuleContext) -> str:
    first = worst_allergy(to_draft(context))
    return f", {first.reacted.date[:4]}" if first is not None and first.reacted is not None else ""


def _since(context: RuleContext) -> str:
    tolerated = given_since(context)
    return f"It was ordered again on {tolerated.date}." if tolerated is not None else ""


def _class(name: str) -> Entries:
    return lambda context: allergies_to_class(context.session.record, name)


def _held(context: RuleContext) -> str | None:
    """Return what the worst entry to something in the product names, in the chart's words without the reaction."""
    first = worst_allergy(to_what_it_holds(context))
    if first is None:
        return None
    reaction = re.compile(rf"[\W_]+{re.escape(reaction_of(first))}\W*$", re.IGNORECASE)
    return plain(reaction.sub("", first.words), 30)


def _holds(context: RuleContext) -> str | None:
    """Return what the product is, as the row says it: "capsules with peanut oil"."""
    first = worst_allergy(to_what_it_holds(context))
    if first is None:
        return None
    classes = first.allergen.allergen_classes
    return next((row.holds for row in excipients_of(context) if row.allergen_class in classes), None)


def _scar(context: RuleContext) -> list[Allergy]:
    pattern = reaction_pattern(SEVERE_DELAYED)
    entries_of_classes = (
        allergy for name in list(CLASS_NAMES)[:2] for allergy in allergies_to_class(context.session.record, name)
    )
    return [allergy for allergy in entries_of_classes if any(pattern.search(text) for text in allergy.reactions)]


def _gap(context: RuleContext) -> tuple[str, str] | None:
    if not context.session.record.was_requested("AllergyIntolerance"):
        return "allergies-missing", "the allergy list is not known."
    return "reaction-missing", "what the reaction was is not recorded."


_CLASSES: Final = {
    "penicillin": _class("beta_lactam_penicillin_allergen"),
    "cephalosporin": _class("cephalosporin"),
    "sulfa": _class("sulfa_antibiotic_allergen"),
    "nsaid": _class("nsaid_allergen_cox1"),
}

FAMILY = Family(
    "allergy",
    placeholders={
        "ingredient": Placeholder(_ingredient, "sulfamethoxazole"),
        "recorded": Placeholder(_worst(to_draft, _recorded), "reaction"),
        "reaction": Placeholder(_worst(to_draft, reaction_of), LONGEST_REACTION),
        "when": Placeholder(_when, ", 2015"),
        "class_entry": Placeholder(_named(to_its_class, lambda allergy: plain(allergy.words, 30)), "a" * 30),
        "class_recorded": Placeholder(_worst(to_its_class, _recorded), "reaction"),
        "class_reaction": Placeholder(_worst(to_its_class, reaction_of), LONGEST_REACTION),
        "held_entry": Placeholder(_held, "a" * 30),
        "held_reaction": Placeholder(_worst(to_what_it_holds, reaction_of), LONGEST_REACTION),
        "holds": Placeholder(_holds, "products with sulfites"),
        "since": Placeholder(_since),
        "doubt": Placeholder(_worst(to_draft, doubt_of)),
        "class_doubt": Placeholder(_worst(to_its_class, doubt_of)),
        "held_doubt": Placeholder(_worst(to_what_it_holds, doubt_of)),
        **{f"{name}_doubt": Placeholder(_worst(entries, doubt_of)) for name, entries in _CLASSES.items()},
        **{
            f"{name}_reaction": Placeholder(_worst(entries, reaction_of), LONGEST_REACTION)
            for name, entries in _CLASSES.items()
        },
        **{
            f"{name}_allergen": Placeholder(_named(entries, name_of), LONGEST_NAME)
            for name, entries in _CLASSES.items()
        },
        "scar_reaction": Placeholder(_worst(_scar, reaction_of), LONGEST_REACTION),
        "scar_allergen": Placeholder(_named(_scar, name_of), LONGEST_NAME),
    },
    gaps={"allergies": _gap},
    conditions=ALLERGY_CONDITIONS,
)
