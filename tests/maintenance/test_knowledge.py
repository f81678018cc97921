"""`python -m maintenance.knowledge`: what a release changes is printed before it is written, and cases are counted."""

from pathlib import Path

import pytest

from maintenance.knowledge import main, print_changes


def test_a_change_is_printed_line_by_line_and_written_where_that_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text("one\ntwo\nthree\n")
    texts = {"a.json": "one\n2\nthree\n", "b.json": "new\n"}
    lines = [
        "--- a.json now", "+++ a.json 4.64", "@@ -2 +2 @@", "-two", "+2",
        "--- b.json now", "+++ b.json 4.64", "@@ -0,0 +1 @@", "+new",
    ]  # fmt: skip
    print_changes(texts, tmp_path, "4.64", write=False)
    assert capsys.readouterr().out.splitlines() == lines
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json"]
    print_changes(texts, tmp_path, "4.64", write=True)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == texts


def test_a_release_that_is_not_whole_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["genes", str(tmp_path), "--version", "2026-08-13"]) == 1
    assert capsys.readouterr().err.startswith(f"{tmp_path.name} is not a whole release: ")
