"""Addresses of sources are addresses of the web by their type: a file with another one is not read."""

import csv
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from cards.preventive.knowledge import PREVENTIVE, PreventiveService
from cards.rules.engine.rule_book import whole_book
from cards.rules.language.rule import RuleError
from cards.rules.language.table import read_family, table_of
from tests.conftest import ROOT
from tests.each import for_rows
from tests.tables.product import product_tables

NO_ADDRESSES = ["javascript:alert(1)", "data:text/html,x", "//evil.example", "https://a b", 'https://a"onclick="x', ""]


@for_rows("url", NO_ADDRESSES)
def test_a_rule_whose_evidence_has_no_web_address_is_not_read(url: str) -> None:
    raw: Any = json.loads(json.dumps(read_family("renal").raw))
    raw["rules"][0]["evidence"][0]["url"] = url
    with pytest.raises(RuleError) as refused:
        table_of(raw)
    assert refused.value.path == ("rules", 0, "evidence", 0, "url")


@for_rows("url", NO_ADDRESSES)
def test_a_preventive_service_with_no_web_address_is_not_read(url: str) -> None:
    service = msgspec.to_builtins(PREVENTIVE.services[0]) | {"url": url}
    with pytest.raises(msgspec.ValidationError, match="url"):
        msgspec.convert(service, PreventiveService)


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
