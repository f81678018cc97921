"""`python -m maintenance.knowledge`: what a release changes is printed before it is written, and cases are counted."""

import json
from pathlib import Path

import pytest

from maintenance.knowledge import main, print_changes

CASE = {
    "id": "own-1", "title": "a newborn without doses", "birth_date": "2025-11-10", "gender": "F", "observations": [],
    "assessment_date": "2025-11-10", "vaccine_group": "HepB", "doses": [],
    "expected": {"series_status": "Not complete", "forecast_dose": "1", "earliest": "2025-11-10",
                 "recommended": "2025-11-10", "past_due": ""},
}  # fmt: skip


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


def test_cases_are_counted_by_antigen_and_each_difference_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = CASE | {"id": "own-2", "expected": {**CASE["expected"], "forecast_dose": "2"}}  # type: ignore[dict-item]
    file = tmp_path / "cases.jsonl"
    file.write_text(json.dumps(CASE))
    assert main(["cases", str(file)]) == 0
    assert capsys.readouterr().out == "HepB: 1 of 1\n1 of 1 cases are right.\n"
    file.write_text(f"{json.dumps(CASE)}\n{json.dumps(wrong)}\n")
    assert main(["cases", str(file)]) == 1
    said = "HepB: 1 of 2\nown-2 HepB: forecast_dose 1 (expected 2)\n1 of 2 cases are right.\n"
    assert capsys.readouterr().out == said


def test_our_codes_that_no_free_set_of_snomed_names_are_listed_with_what_they_mean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ips.txt").write_text("72892002\tNormal pregnancy\n387207008\n1")
    assert main(["snomed", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    rows = printed.out.splitlines()
    assert rows[0] == "table,meaning,source,code"
    assert any(row.startswith("condition_codes.csv,pregnancy,") and row.endswith(",77386006") for row in rows)
    assert not any(row.endswith((",72892002", ",387207008")) for row in rows)
    left, shipped = (int(number) for number in printed.err.split(" codes ")[0].split(" of "))
    assert shipped - left == 2
    (tmp_path / "ips.txt").write_text("no codes")
    assert main(["snomed", str(tmp_path / "ips.txt")]) == 1
