"""Every table of the product is confirmed row by row, and compared with something that is not itself."""

import csv
import re

from tests.conftest import ROOT
from tests.tables.ledger import CONFIRMED, NO_TABLES, changes, digest, ledger_of, product_tables

COMPARED = ROOT / "tests" / "tables" / "compared.csv"


def _compared() -> dict[str, dict[str, str]]:
    with COMPARED.open(encoding="utf-8", newline="") as text:
        return {row["table"]: row for row in csv.DictReader(text)}


def test_every_row_is_one_that_a_person_confirmed() -> None:
    faults, compared = [], _compared()
    for table in product_tables():
        unconfirmed, gone = changes(table)
        against = compared[table]["against"] if table in compared else "its source"
        faults += [
            f"{table}: this row was not confirmed: {row[:300]}\n   compare it with {against}" for row in unconfirmed
        ]
        if gone > 0:
            faults.append(f"{table}: {gone} rows that were confirmed are gone or changed")
    assert not faults, (
        "\n".join(faults[:30])
        + "\nCompare each with its source, add the second reading that tests/tables/README.md names,"
        + " then run: .venv/bin/python -m tests.tables --write"
    )


def test_every_table_names_what_it_is_compared_with_and_the_test_that_does_it() -> None:
    tables, compared = set(product_tables()), _compared()
    assert tables - set(compared) == set(), (
        f"add a line to {COMPARED.relative_to(ROOT)}: tests/tables/README.md says how"
    )
    assert set(compared) - tables == set(), f"{COMPARED.relative_to(ROOT)} names tables that are gone"
    for table, row in compared.items():
        file, _, function = row["test"].partition("::")
        assert row["against"], table
        assert (ROOT / file).is_file(), f"{table}: {file} is not there"
        assert not function or f"def {function}(" in (ROOT / file).read_text(encoding="utf-8"), (
            f"{table}: {row['test']}"
        )


def test_no_ledger_is_left_of_a_table_that_is_gone() -> None:
    assert set(CONFIRMED.iterdir()) == {ledger_of(table) for table in product_tables()}


def test_what_is_no_table_is_tested_elsewhere() -> None:
    """The reasons name test files and folders that are there."""
    for pattern, reason in NO_TABLES.items():
        for path in re.findall(r"tests/[\w/.]+", reason):
            assert (ROOT / path).exists(), f"{pattern}: {path}"


def test_a_change_of_any_cell_is_a_change_of_the_row() -> None:
    assert digest("drug=warfarin, factor=1") != digest("drug=warfarin, factor=10")
