"""Faults that reading a file of rules would hide are named with file and line."""

from pathlib import Path

import pytest

from cards.casebook.rule_files import file_faults
from tests.each import rows_of


def _files(folder: Path, **texts: str) -> list[str]:
    (folder / "age").mkdir()
    for name, text in texts.items():
        (folder / "age" / f"{name}.json").write_text(text)
    return file_faults(folder)


def test_the_files_of_the_project_have_none() -> None:
    assert file_faults() == []


def test_a_folder_whose_family_is_not_declared_is_not_passed_over(tmp_path: Path) -> None:
    (fault,) = _files(tmp_path, one='{"id": "one"}', two='{"id": "two"}')
    assert fault.startswith("cards/rules/families/age: the folder has no family.json, so its files (2) are not read")


@pytest.mark.parametrize(
    ("text", "said"),
    rows_of(__file__, "a_fault_is_named_with_its_line"),
)
def test_a_fault_is_named_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    assert _files(tmp_path, family="{}", one=text) == [f"cards/rules/families/age/one.json, {said}"]


def test_a_folder_without_rules_and_a_file_beside_the_folders_have_no_fault(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "table.csv").write_text("x")
    assert file_faults(tmp_path) == []
