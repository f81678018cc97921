"""What an allergy's code or words mean."""

import pytest

from fhir.terminology.allergens import (
    ALLERGEN_CLASSES,
    allergen_of_code,
    allergen_of_words,
)
from fhir.terminology.medications import CLASS_MEMBERS, INGREDIENTS, table_rows


def test_every_row_of_the_table_names_a_known_class_or_ingredient() -> None:
    for row in table_rows("allergens.csv"):
        if row["kind"] == "reaction":
            continue
        known = CLASS_MEMBERS if row["meaning"] == "class" else INGREDIENTS
        assert row["value"] in known, row


@pytest.mark.parametrize(
    ("words", "name"), [("ibuprofin", "ibuprofen"), ("amoxicilin", "amoxicillin"), ("clnidine", "clonidine")]
)
def test_a_misspelt_allergen_is_the_one_drug_that_every_near_word_names(words: str, name: str) -> None:
    assert {ingredient.name for ingredient in allergen_of_words(words).ingredients} == {name}


@pytest.mark.parametrize("words", ["Sulfites", "sodium metabisulfite", "sulfates"])
def test_sulfites_and_sulfates_are_no_sulfonamides(words: str) -> None:
    assert allergen_of_words(words).classes == frozenset()


def test_a_brand_names_its_drug_and_not_the_whole_class() -> None:
    allergen = allergen_of_words("Levaquin")
    assert {ingredient.name for ingredient in allergen.ingredients} == {"levofloxacin"}
    assert allergen.classes == allergen.named_classes == frozenset()


def test_the_code_of_an_allergy_to_aspirin_is_aspirin_alone() -> None:
    allergen = allergen_of_code("http://snomed.info/sct", "293586001")
    assert {ingredient.name for ingredient in allergen.ingredients} == {"aspirin"}
    assert allergen.classes == frozenset()


def test_every_class_has_a_source_and_members_that_are_known() -> None:
    for name, allergen_class in ALLERGEN_CLASSES.items():
        assert allergen_class.same_class in ("yes", "no", "ask", "severe", "held"), name
        assert allergen_class.source or not allergen_class.cross_reaction, name
        assert allergen_class.members <= set(INGREDIENTS), name
        assert allergen_class.medication_classes <= set(CLASS_MEMBERS), name
