"""What an allergy's code or words mean."""

import pytest

from fhir.mapping.allergies import reaction_words
from fhir.terminology.allergens import (
    ALLERGEN_CLASSES,
    Allergen,
    allergen_of_code,
    allergen_of_harm,
    allergen_of_words,
    read_allergens,
    unclear_allergen,
)
from fhir.terminology.medications import CLASS_MEMBERS, INGREDIENTS, table_rows


def test_every_row_of_the_table_names_a_known_class_or_ingredient() -> None:
    for row in table_rows("allergens.csv"):
        if row["kind"] == "reaction":
            continue
        known = CLASS_MEMBERS if row["meaning"] == "class" else INGREDIENTS
        assert row["value"] in known, row


def test_a_class_of_allergens_has_one_row() -> None:
    names = [row["allergen_class"] for row in table_rows("allergen_classes.csv")]
    assert len(names) == len(set(names))


def test_a_named_ingredient_goes_before_the_class() -> None:
    found = allergen_of_words("Penicillin V potassium")
    assert [one.name for one in found.ingredients] == ["penicillin v"]
    assert found.classes == frozenset()


@pytest.mark.parametrize(
    ("words", "name"), [("ibuprofin", "ibuprofen"), ("amoxicilin", "amoxicillin"), ("clnidine", "clonidine")]
)
def test_a_misspelt_allergen_is_the_one_drug_that_every_near_word_names(words: str, name: str) -> None:
    assert {ingredient.name for ingredient in allergen_of_words(words).ingredients} == {name}


@pytest.mark.parametrize(("words", "is_clear"), [("Amoxicillin 1-0-1", False), ("Amoxicillin 1-0-1 - hives", True)])
def test_a_drug_with_its_times_is_clear_where_a_reaction_stands_behind_it(words: str, is_clear: bool) -> None:
    assert (unclear_allergen(words) == Allergen()) is is_clear


@pytest.mark.parametrize(("length", "is_read"), [(200, True), (201, False)])
def test_a_name_is_corrected_in_a_short_text_only(length: int, is_read: bool) -> None:
    assert (allergen_of_words(f"{'amoxicilin':<{length - 1}}.") != Allergen()) is is_read


def test_an_unknown_code_means_nothing() -> None:
    assert allergen_of_code("http://snomed.info/sct", "418689008") == Allergen()
    assert allergen_of_code(None, None) == Allergen()


@pytest.mark.parametrize("words", ["Sulfites", "sodium metabisulfite", "sulfates"])
def test_sulfites_and_sulfates_are_no_sulfonamides(words: str) -> None:
    assert allergen_of_words(words).classes == frozenset()


def test_what_is_said_of_no_allergen_takes_no_code_back() -> None:
    penicillin = (("http://snomed.info/sct", "91936005", None),)
    assert read_allergens("no known drug allergies", penicillin) != Allergen()
    assert read_allergens("keine Penicillinallergie", penicillin) == Allergen()
    assert read_allergens("keine Penicillinallergie, Penicillin: hives", penicillin) != Allergen()
    assert read_allergens("label says penicillin, patient unsure", penicillin) != Allergen()


def test_a_harm_has_the_words_of_its_cause_though_no_table_names_it() -> None:
    assert allergen_of_harm("Blorbin-induced pancreatitis") == (Allergen(), "Blorbin")
    assert allergen_of_harm("acute blorbin hepatitis due to phenytoin")[1] == "phenytoin"


def test_a_reaction_by_its_code_has_words() -> None:
    assert reaction_words("39579001") == "anaphylaxis"
    assert reaction_words("1") is None
    assert reaction_words(None) is None


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
