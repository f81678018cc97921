"""What an allergy's code or words mean: ingredients or classes of drugs (tables/allergens.csv and the drug tables)."""

import re
from collections.abc import Mapping
from functools import cache

from msgspec import Struct

from fhir.terminology.conditions import SNOMED
from fhir.terminology.medication_names import medication_of_code, read_name
from fhir.terminology.medications import Ingredient, ingredients, table_rows

_NEGATED = re.compile(r"\b(?:no known|no history|not allergic|denies|tolerates|nkda|nka)\b", re.IGNORECASE)


class Allergen(Struct, frozen=True, gc=False):
    """The drugs that an allergy is about: single ingredients and whole classes."""

    ingredients: frozenset[Ingredient] = frozenset()
    classes: frozenset[str] = frozenset()

    def __or__(self, other: "Allergen") -> "Allergen":
        """Both together."""
        return Allergen(self.ingredients | other.ingredients, self.classes | other.classes)


def allergen_of_code(system: str | None, code: str | None) -> Allergen:
    """The drugs a code stands for; an empty Allergen for food, pollen and what is not known."""
    if system == SNOMED:
        return _by_snomed().get(code or "", Allergen())
    product = medication_of_code(system, code)
    return Allergen(frozenset(product.ingredients)) if product is not None else Allergen()


def allergen_of_words(words: str) -> Allergen:
    """The drugs the words name; "no known allergies" names none.

    >>> sorted(allergen_of_words("Penicillins").classes)
    ['beta_lactam_penicillin_allergen']
    """
    if _NEGATED.search(words):
        return Allergen()
    found = frozenset(read_name(words).ingredients)
    classes = frozenset(meaning for word, meaning in _class_words() if not found and word.search(words))
    return Allergen(found, classes)


def reaction_words(code: str | None) -> str | None:
    """What a SNOMED CT code of a manifestation says, where the chart gives no words."""
    return _reactions().get(code or "")


@cache
def _reactions() -> Mapping[str, str]:
    return {row["code"]: row["value"] for row in table_rows("allergens.csv") if row["kind"] == "reaction"}


@cache
def _by_snomed() -> Mapping[str, Allergen]:
    return {row["code"]: _meaning(row) for row in table_rows("allergens.csv") if row["kind"] == "snomed"}


def _meaning(row: dict[str, str]) -> Allergen:
    if row["meaning"] == "class":
        return Allergen(classes=frozenset({row["value"]}))
    return Allergen(frozenset({ingredients()[row["value"]]}))


@cache
def _class_words() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple(
        (re.compile(rf"\b{re.escape(row['code'])}\b", re.IGNORECASE), row["value"])
        for row in table_rows("allergens.csv")
        if row["kind"] == "word"
    )
