"""Allergies: the placeholders that only these rules use."""

import re
from collections.abc import Callable, Sequence

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


def _recorded(of: Callable[[RuleContext], Sequence[Allergy]]) -> Fill:
    """Return how the worst entry is named: what a drug has done by the problem list is called no allergy."""

    def words(context: RuleContext) -> str:
        first = worst_allergy(of(context))
        return "reaction" if first is not None and first.is_harm else "allergy"

    return words


def _draft_reaction(context: RuleContext) -> str:
    return reaction_of(worst_allergy(to_draft(context)))


def _when(context: RuleContext) -> str:
    first = worst_allergy(to_draft(context))
    return f", {first.reacted.date[:4]}" if first is not None and first.reacted is not None else ""


def _since(context: RuleContext) -> str:
    tolerated = given_since(context)
    return f"It was ordered again on {tolerated.date}." if tolerated is not None else ""


def _of_class(name: str) -> Fill:
    return lambda context: reaction_of(worst_allergy(allergies_to_class(context.session.record, name)))


def _class_doubt(name: str) -> Fill:
    return lambda context: doubt_of(worst_allergy(allergies_to_class(context.session.record, name)))


def _its_class(context: RuleContext) -> str | None:
    """Return what the worst entry to a class of the draft names, in the chart's words."""
    first = worst_allergy(to_its_class(context))
    return plain(first.words, 30) if first is not None else None


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


def _scar(context: RuleContext) -> Allergy | None:
    pattern = reaction_pattern(SEVERE_DELAYED)
    entries_of_classes = (
        allergy for name in list(CLASS_NAMES)[:2] for allergy in allergies_to_class(context.session.record, name)
    )
    return worst_allergy(
        allergy for allergy in entries_of_classes if any(pattern.search(text) for text in allergy.reactions)
    )


def _scar_allergen(context: RuleContext) -> str | None:
    first = _scar(context)
    return name_of(first) if first is not None else None


def _class_allergen(name: str) -> Fill:
    def word(context: RuleContext) -> str | None:
        first = worst_allergy(allergies_to_class(context.session.record, name))
        return name_of(first) if first is not None else None

    return word


def _gap(context: RuleContext) -> tuple[str, str] | None:
    if not context.session.record.was_requested("AllergyIntolerance"):
        return "allergies-missing", "the allergy list is not known."
    return "reaction-missing", "what the reaction was is not recorded."


FAMILY = Family(
    "allergy",
    placeholders={
        "ingredient": Placeholder(_ingredient, "sulfamethoxazole"),
        "recorded": Placeholder(_recorded(to_draft), "reaction"),
        "reaction": Placeholder(_draft_reaction, LONGEST_REACTION),
        "when": Placeholder(_when, ", 2015"),
        "class_entry": Placeholder(_its_class, "a" * 30),
        "class_recorded": Placeholder(_recorded(to_its_class), "reaction"),
        "class_reaction": Placeholder(
            lambda context: reaction_of(worst_allergy(to_its_class(context))), LONGEST_REACTION
        ),
        "held_entry": Placeholder(_held, "a" * 30),
        "held_reaction": Placeholder(
            lambda context: reaction_of(worst_allergy(to_what_it_holds(context))), LONGEST_REACTION
        ),
        "holds": Placeholder(_holds, "products with sulfites"),
        "since": Placeholder(_since),
        "doubt": Placeholder(lambda context: doubt_of(worst_allergy(to_draft(context)))),
        "class_doubt": Placeholder(lambda context: doubt_of(worst_allergy(to_its_class(context)))),
        "held_doubt": Placeholder(lambda context: doubt_of(worst_allergy(to_what_it_holds(context)))),
        "penicillin_doubt": Placeholder(_class_doubt("beta_lactam_penicillin_allergen")),
        "cephalosporin_doubt": Placeholder(_class_doubt("cephalosporin")),
        "sulfa_doubt": Placeholder(_class_doubt("sulfa_antibiotic_allergen")),
        "nsaid_doubt": Placeholder(_class_doubt("nsaid_allergen_cox1")),
        "penicillin_reaction": Placeholder(_of_class("beta_lactam_penicillin_allergen"), LONGEST_REACTION),
        "cephalosporin_reaction": Placeholder(_of_class("cephalosporin"), LONGEST_REACTION),
        "sulfa_reaction": Placeholder(_of_class("sulfa_antibiotic_allergen"), LONGEST_REACTION),
        "nsaid_reaction": Placeholder(_of_class("nsaid_allergen_cox1"), LONGEST_REACTION),
        "penicillin_allergen": Placeholder(_class_allergen("beta_lactam_penicillin_allergen"), LONGEST_NAME),
        "cephalosporin_allergen": Placeholder(_class_allergen("cephalosporin"), LONGEST_NAME),
        "scar_reaction": Placeholder(lambda context: reaction_of(_scar(context)), LONGEST_REACTION),
        "scar_allergen": Placeholder(_scar_allergen, LONGEST_NAME),
    },
    gaps={"allergies": _gap},
    conditions=ALLERGY_CONDITIONS,
)
