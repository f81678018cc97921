"""The medication tables: whole, consistent with each other, and quick to ask."""

import csv
from pathlib import Path

import pytest

from fhir.terminology.medications import (
    CLASS_MEMBERS,
    INGREDIENT_BY_NAME,
    INGREDIENTS,
    product_of,
    table_rows,
)


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


def test_ingredients_have_one_code_each() -> None:
    rows = [*table_rows("ingredients.csv"), *table_rows("further_ingredients.csv")]
    assert len(INGREDIENTS) == len(INGREDIENT_BY_NAME)
    # One that a rule learns to know may stand in both for a while: the table of the rules counts.
    assert {row["rxcui"] for row in table_rows("ingredients.csv")} <= set(INGREDIENTS)
    assert {row["name"] for row in rows} == set(INGREDIENT_BY_NAME)


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
