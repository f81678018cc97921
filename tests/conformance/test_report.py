"""Every row is tested or stated, and no row is invented."""

import json
from pathlib import Path

import pytest

from tests.conformance.rows import NUMBERED, binding, exists, shown, stated


def test_every_row_that_binds_a_service_is_tested_or_there_is_a_reason() -> None:
    assert binding()
    assert [name for name in binding() if name not in shown() and not stated().get(name, "").strip()] == []


def test_no_test_and_no_reason_is_for_a_row_that_does_not_exist() -> None:
    assert [name for name in (*shown(), *stated()) if not exists(name)] == []


def test_a_reason_is_for_a_row_without_a_test() -> None:
    assert set(stated()) & set(shown()) == set()
    assert set(stated()) <= set(binding())


@pytest.mark.outside_data
def test_the_rows_are_those_of_the_checklist(spec_folder: Path) -> None:
    rows = json.loads((spec_folder / "cds-hooks-checklist.json").read_text())["rows"]
    assert {row["id"] for row in rows if row["binds"] in ("S", "both")} == set(binding())
    assert all(exists(row["id"]) for row in rows)
    assert sum(not row["id"].startswith("HK-") for row in rows) == sum(NUMBERED.values())
