"""What an allergy's code or words mean."""

import pytest

from fhir.terminology.allergens import allergen_of_code, allergen_of_words


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
