"""Tables of our packages: whole rows, and equal cells once."""

from pathlib import Path

import pytest

from fhir.terminology import package_tables
from fhir.terminology.package_tables import package_rows, shared


def test_equal_cells_and_sets_are_one_object() -> None:
    rows = package_rows("fhir.terminology", "tables/studies.csv")
    texts = [text for row in rows for text in row.values()]
    assert len({id(text) for text in texts}) == len(set(texts)) < len(texts) / 2
    assert shared(frozenset(texts)) is shared(frozenset(texts))


def test_a_row_that_is_too_short_is_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(package_tables, "files", lambda _: tmp_path)
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3\n", encoding="utf-8")
    with pytest.raises(ValueError, match="shorter"):
        package_rows("somewhere", "t.csv")
