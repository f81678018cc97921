"""The medication tables: whole, consistent with each other, and quick to ask."""

import csv
from pathlib import Path

import pytest

from fhir.terminology.medications import (
    ATC,
    CLASS_MEMBERS,
    INGREDIENT_BY_NAME,
    INGREDIENTS,
    NDC,
    RXNORM,
    Ingredient,
    atc_codes,
    ndc11,
    product_of,
    table_rows,
)
from tests.each import for_rows


def test_every_class_of_an_ingredient_is_in_the_table_of_classes() -> None:
    named = {name for row in table_rows("ingredients.csv") for name in row["classes"].split(";") if name}
    assert named <= set(CLASS_MEMBERS)
    assert all(CLASS_MEMBERS.values())


def test_every_alias_names_known_ingredients() -> None:
    known = INGREDIENT_BY_NAME
    assert [
        row
        for table in ("aliases.csv", "brand_names.csv")
        for row in table_rows(table)
        for name in row["ingredients"].split(";")
        if name and name not in known
    ] == []


def test_every_product_and_orderable_names_known_ingredients() -> None:
    known = INGREDIENTS
    for table in ("products.csv", "orderables.csv"):
        for row in table_rows(table):
            assert all(code in known for code in row["ingredients"].split(";")), row


def test_every_row_says_where_it_is_from() -> None:
    names = ("ingredients.csv", "further_ingredients.csv", "aliases.csv", "brand_names.csv")
    for table in (*names, "dose_units.csv", "allergens.csv"):
        assert all(row["source"] for row in table_rows(table)), table


def test_ingredients_have_one_code_each() -> None:
    rows = [*table_rows("ingredients.csv"), *table_rows("further_ingredients.csv")]
    assert len(INGREDIENTS) == len(INGREDIENT_BY_NAME)
    # One that a rule learns to know may stand in both for a while: the table of the rules counts.
    assert {row["rxcui"] for row in table_rows("ingredients.csv")} <= set(INGREDIENTS)
    assert {row["name"] for row in rows} == set(INGREDIENT_BY_NAME)


def test_a_code_that_stood_for_another_drug_is_corrected() -> None:
    # 1551467 is bupropion/naltrexone in RxNorm.
    assert INGREDIENT_BY_NAME["naloxegol"].rxcui == "1551777"
    assert "1551467" not in INGREDIENTS


@for_rows(("system", "code"), [(None, "6809"), ("urn:other", "6809"), (RXNORM, None), (RXNORM, "0")])
def test_a_code_without_its_system_means_nothing(system: str | None, code: str | None) -> None:
    assert product_of(system, code) is None


def test_an_ingredient_that_only_atc_has_keeps_its_code_and_an_unknown_one_has_none() -> None:
    codes = ("atc-N05AX99", "6809", "0")
    assert [atc_codes(Ingredient(code, "x")) for code in codes] == [("N05AX99",), ("A10BA02",), ()]


def test_an_atc_code_of_the_skin_group_is_local_when_the_drug_has_others() -> None:
    gel, tablet = product_of(ATC, "M02AA15"), product_of(ATC, "M01AB05")
    assert gel is not None
    assert tablet is not None
    assert (gel.systemic, tablet.systemic) == (False, True)
    only = product_of(ATC, "S01EC01")  # acetazolamide tablets have no other code
    assert only is not None
    assert only.systemic is True


@for_rows(
    ("written", "eleven"),
    [
        ("0002-8215-01", ("00002821501",)),
        ("50580-488-10", ("50580048810",)),
        ("12345-6789-1", ("12345678901",)),
        ("00002821501", ("00002821501",)),
        ("0002821501", ("00002821501",)),
        ("5114412302", ("51144012302", "51144123002")),
        ("51079-454", ("510790454",)),
        ("word", ()),
        ("٠٠٠٢-٨٢١٥-٠١", ()),
        ("123", ()),
    ],
)
def test_an_ndc_is_brought_to_eleven_digits(written: str, eleven: tuple[str, ...]) -> None:
    assert ndc11(written) == eleven


@for_rows("written", ["51079-454-20", "51079045420", "5107945420", "51079-454", "51079-0454-99"])
def test_a_package_is_known_in_every_writing_and_by_other_packages_of_its_product(written: str) -> None:
    product = product_of(NDC, written)
    assert product is not None
    assert [ingredient.name for ingredient in product.ingredients] == ["simvastatin"]


def test_a_package_of_an_unknown_product_is_not_known() -> None:
    assert product_of(NDC, "51079-9999-20") is None
    assert product_of(NDC, "08290-3065-12") is None  # of its packages one is of another strength
    assert product_of(NDC, "word") is None


INSULIN = "insulin, regular, human"


@pytest.mark.outside_data
def test_every_product_code_of_the_given_table_means_the_same_here(data_folder: Path) -> None:
    text = (data_folder / "medications" / "products.csv").read_text(encoding="utf-8")
    checked = 0
    for row in csv.DictReader(text.splitlines()):
        if row["system"].endswith(("rxnorm", "-ndc", "-gsn")) and row["ingredient_rxcuis"]:
            if row["ingredient_rxcuis"] == "253182":  # of which some are glargine, lispro and isophane by their labels
                continue
            product = product_of(row["system"], row["code"])
            assert product is not None
            assert ";".join(ingredient.rxcui for ingredient in product.ingredients) == row["ingredient_rxcuis"]
            assert product.systemic is (row["systemic"] == "yes")
            checked += 1
    assert checked > 1_400
