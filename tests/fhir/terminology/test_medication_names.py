"""Names of medications: brands, salts, combinations, local forms, and things that only carry a drug's name."""

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir.terminology.medication_names import read_name
from fhir.terminology.medication_strength import Strength, read_strengths
from fhir.terminology.medications import rxnorm_names, table_rows
from tests.each import for_rows, some_of

# No time limit: the first example loads the tables, and the machine may be busy.
CALM = settings(deadline=None)


def _names(words: str) -> list[str]:
    return [ingredient.name for ingredient in read_name(words).ingredients]


@for_rows("words")
def test_a_local_form_is_not_systemic(words: str) -> None:
    reading = read_name(words)
    assert reading.ingredients
    assert reading.systemic is False


@for_rows(("words", "milligrams"))
def test_a_strength_belongs_to_its_ingredient_or_to_none(words: str, milligrams: list[float | None]) -> None:
    assert [one.milligrams if one else None for one in read_name(words).strengths] == milligrams


def test_a_brand_means_what_its_table_says() -> None:
    aliases = {re.sub(r"\W+", " ", row["text"]) for row in table_rows("aliases.csv")}
    for row in table_rows("brand_names.csv"):
        if re.sub(r"\W+", " ", row["text"]) not in aliases:
            assert set(_names(row["text"])) == set(row["ingredients"].split(";")), row


@pytest.mark.sampled
def test_every_name_in_the_rxnorm_table_is_recognised() -> None:
    assert [name for _, name in some_of(rxnorm_names(), 5) if not read_name(name).ingredients] == []


@CALM
@given(st.text(max_size=80))
def test_any_text_can_be_read(words: str) -> None:
    reading = read_name(words)
    assert len(reading.strengths) == len(reading.ingredients)


TENOFOVIR = {"300195": "117466", "1721603": "117466"}
# Where we read more, or better, than the given table: the table follows "vitamin D" and "flush", and has no Donnatal.
BETTER = {
    "ergocalciferol (vitamin D2)", "budesonide [Pulmicort Flexhaler]", "Pulmicort Flexhaler", "Niacin Flush Free",
    "moxifloxacin [Vigamox]", "D5 1/4NS", "D5W", "Donnatal", "0.9% NaCl (EXCEL/ViaFLO BAG)", "Dextran 40 in NaCl",
    "zoster vaccine live (PF) [Zostavax (PF)]", "Zostavax (PF)", "budesonide-formoterol [Symbicort]", "Rena-Vite",
    "fluticasone [Flonase Allergy Relief]", "fluticasone [Flonase]", "calcium carbonate-vit D3-min",
}  # fmt: skip


@pytest.mark.outside_data
def test_every_name_of_the_sample_charts_is_read_as_in_the_given_table(data_folder: Path) -> None:
    text = (data_folder / "medications" / "products.csv").read_text(encoding="utf-8")
    of_rules = {row["rxcui"] for row in table_rows("ingredients.csv")}
    checked = 0
    for row in csv.DictReader(text.splitlines()):
        words = row["display"] or row["code"]
        if words in BETTER:
            continue
        reading = read_name(words)
        given = set(filter(None, row["ingredient_rxcuis"].split(";")))
        if given == {"253182"}:  # every insulin of no known kind was read as the regular one
            continue
        # The given table knows only the ingredients of rules, and tenofovir without its two forms.
        read = {TENOFOVIR.get(one.rxcui, one.rxcui) for one in reading.ingredients}
        assert read & of_rules == given, words
        if given and given == {one.rxcui for one in reading.ingredients}:
            assert reading.systemic is (row["systemic"] == "yes"), words
        checked += 1
    assert checked > 2_500


@for_rows(("written", "names"))
def test_names_as_they_are_written_in_life(written: str, names: list[str]) -> None:
    assert [one.name for one in read_name(written).ingredients] == names


# Strengths are read as written, and never converted into what they are not.


@for_rows(
    ("words", "expected"),
    [
        ("500 MG", Strength(500.0, "mg")),
        ("500mg", Strength(500.0, "mg")),
        ("1,000 mg", Strength(1000.0, "mg")),
        ("0.5 g", Strength(500.0, "mg")),
        ("125 mcg", Strength(0.125, "mg")),
        (".25 mg", Strength(0.25, "mg")),
        ("10 MG/ML", Strength(10.0, "mg", "mL")),
        ("250 mg/5 mL", Strength(50.0, "mg", "mL")),
        ("2 g / 100 mL", Strength(20.0, "mg", "mL")),
        ("0.05 MG/HR", Strength(0.05, "mg", "h")),
        ("25 mcg/hr", Strength(0.025, "mg", "h")),
        ("0.09 MG/ACTUAT", Strength(0.09, "mg", "actuation")),
        ("0.01 MG/MG", Strength(0.01, "mg", "mg")),
        ("100 UNITS/ML", Strength(100.0, "unit", "mL")),
        ("20 mEq", Strength(20.0, "meq")),
        ("2.5%", Strength(2.5, "%")),
        ("4% Saft", Strength(40.0, "mg", "mL")),
        ("2,4 % suspension buvable", Strength(24.0, "mg", "mL")),
    ],
)
def test_a_strength_is_read(words: str, expected: Strength) -> None:
    assert read_strengths(words) == [expected]


@for_rows("words", ["24 HR", "10 ML", "70-30", "3350", "no. 3", "q6h", "B12", "10 mL Vial", "0 MG"])
def test_what_is_no_strength_is_not_read_as_one(words: str) -> None:
    assert read_strengths(words) == []
