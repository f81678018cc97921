"""What an allergy's code or words mean."""

import pytest

from fhir.mapping.allergies import Allergen, allergen_of_code, allergen_of_words, reaction_words
from fhir.terminology.medications import CLASS_MEMBERS, INGREDIENTS, table_rows


def test_every_row_of_the_table_names_a_known_class_or_ingredient() -> None:
    for row in table_rows("allergens.csv"):
        if row["kind"] == "reaction":
            continue
        known = CLASS_MEMBERS if row["meaning"] == "class" else INGREDIENTS
        assert row["value"] in known, row


@pytest.mark.parametrize(
    ("words", "classes"),
    [
        ("Sulfa drugs", {"sulfa_antibiotic_allergen"}),
        ("NSAIDs", {"nsaid_allergen_cox1"}),
        ("Cephalosporins", {"cephalosporin"}),
        ("penicillin and sulfa", {"beta_lactam_penicillin_allergen", "sulfa_antibiotic_allergen"}),
        ("latex", set()),
        ("denies penicillin allergy", set()),
    ],
)
def test_words_name_classes(words: str, classes: set[str]) -> None:
    assert allergen_of_words(words).classes == classes


def test_a_named_ingredient_goes_before_the_class() -> None:
    found = allergen_of_words("Penicillin V potassium")
    assert [one.name for one in found.ingredients] == ["penicillin v"]
    assert found.classes == frozenset()


def test_an_unknown_code_means_nothing() -> None:
    assert allergen_of_code("http://snomed.info/sct", "418689008") == Allergen()
    assert allergen_of_code(None, None) == Allergen()


@pytest.mark.parametrize("words", ["Sulfites", "sodium metabisulfite", "sulfates"])
def test_sulfites_and_sulfates_are_no_sulfonamides(words: str) -> None:
    assert allergen_of_words(words).classes == frozenset()


def test_a_reaction_by_its_code_has_words() -> None:
    assert reaction_words("39579001") == "anaphylaxis"
    assert reaction_words("1") is None
    assert reaction_words(None) is None
