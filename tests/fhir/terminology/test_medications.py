"""Every product code of the given table means the same here."""

import csv
from pathlib import Path

import pytest

from fhir.terminology.medications import product_of


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
