"""Addresses of sources are addresses of the web by their type: a file with another one is not read."""

import csv
import re
from collections.abc import Iterator

from cards.rules.engine.rule_book import whole_book
from tests.conftest import ROOT
from tests.tables.product import product_tables


def test_every_address_of_a_rule_or_a_table_is_of_the_web() -> None:
    addresses = [evidence.url for rule in whole_book().rules for evidence in rule.declared.evidence if evidence.url]
    addresses += list(_addresses_of_tables())
    assert len(addresses) > 100
    assert [address for address in addresses if not re.fullmatch(r"https?://[\w.-]+(/[^\s\"'<>\\]*)?", address)] == []


def _addresses_of_tables() -> Iterator[str]:
    for table in product_tables():
        if table.endswith(".csv"):
            with (ROOT / table).open(encoding="utf-8", newline="") as text:
                yield from (row["url"] for row in csv.DictReader(text) if row.get("url"))
