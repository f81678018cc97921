"""`cds-hooks knowledge`: what a release changes is printed before it is written, and cases are counted."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cds_hooks.commands import knowledge

CASE: dict[str, Any] = {
    "id": "c1",
    "birth_date": "2025-01-01",
    "assessment_date": "2025-01-02",
    "vaccine_group": "HepB",
    "gender": "F",
    "expected": {"series_status": "Not Complete", "forecast_dose": "1", "earliest": "01/01/2025", "recommended": "x"},
}


def run(*words: str) -> Result:
    return CliRunner().invoke(knowledge.app, list(words))


def test_a_change_is_printed_line_by_line_and_written_where_that_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text("one\ntwo\nthree\n")
    texts = {"a.json": "one\n2\nthree\n", "b.json": "new\n"}
    knowledge._import(texts, tmp_path, "4.64", False)
    lines = [
        "--- a.json now", "+++ a.json 4.64", "@@ -2 +2 @@", "-two", "+2",
        "--- b.json now", "+++ b.json 4.64", "@@ -0,0 +1 @@", "+new",
    ]  # fmt: skip
    assert capsys.readouterr().out.splitlines() == lines
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json"]
    knowledge._import(texts, tmp_path, "4.64", True)
    assert capsys.readouterr().out.splitlines() == lines
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == texts
    knowledge._import(texts, tmp_path, "4.64", True)
    assert capsys.readouterr().out == ""


def test_a_release_that_is_not_whole_is_said(tmp_path: Path) -> None:
    done = run("genes", str(tmp_path), "--version", "2026-08-13")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"{tmp_path.name} is not a whole release of the tables: ")
    assert done.stderr.endswith(" is missing.\n")


def test_cases_are_counted_by_antigen_and_each_difference_is_named(tmp_path: Path) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_text(json.dumps(CASE) + "\n")
    report = json.loads(run("vaccine-cases", str(file), "--json").stdout)
    assert (report["right"], report["total"]) == (0, 1)
    (difference,) = report["differences"]
    answered = difference["answered"]
    right = CASE | {"expected": {name: answered[name] for name in CASE["expected"]}}
    wrong = CASE | {"id": "c2", "expected": {**answered, "forecast_dose": "7"}}
    file.write_text(f"{json.dumps(right)}\n{json.dumps(wrong)}\n")
    done = run("vaccine-cases", str(file))
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[-2:] == [
        f"c2 {difference['antigen']}: forecast_dose {answered['forecast_dose']} (expected 7)",
        "1 of 2 cases are right.",
    ]
    assert [cell.strip() for cell in lines[1].split("┃")[1:-1]] == ["antigen", "right", "total"]
    assert [cell.strip() for cell in lines[3].split("│")[1:-1]] == [difference["antigen"], "1", "2"]
    file.write_text(f"{json.dumps(right)}\n")
    assert run("vaccine-cases", str(file)).exit_code == 0
    file.write_text("")
    assert run("vaccine-cases", str(file)).exit_code == 1


def test_a_file_without_cases_is_said(tmp_path: Path) -> None:
    file = tmp_path / "cases.jsonl"
    for content in (b"{}\n", b"no\n", b"\xff\n"):
        file.write_bytes(content)
        done = run("vaccine-cases", str(file))
        assert done.exit_code == 2
        assert done.stderr.startswith("cases.jsonl is not a file of cases, one JSON object per line: ")


def test_a_release_is_imported_into_its_package_and_what_is_left_out_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported: list[Any] = []
    monkeypatch.setattr(
        knowledge, "_import", lambda texts, target, *more: imported.append((texts, target.parts[-2:], *more))
    )
    monkeypatch.setattr(knowledge, "import_genes", lambda *given: (given, ["drug a", "drug b"]))
    monkeypatch.setattr(knowledge, "import_vaccines", lambda *given: given)
    done = run("genes", str(tmp_path), "--version", "2026-08-13")
    assert (done.exit_code, done.stderr) == (0, "Left out: drug a.\nLeft out: drug b.\n")
    assert run("genes", str(tmp_path), "--version", "2026-08-13", "--write").exit_code == 0
    words = ("--version", "4.64", "--date", "2025-11-10", "--source", "CDC")
    assert run("vaccines", str(tmp_path), *words).exit_code == 0
    assert run("vaccines", str(tmp_path), *words, "--write").exit_code == 0
    genes, vaccines = (tmp_path, "2026-08-13"), (tmp_path, "4.64", "2025-11-10", "CDC")
    assert imported == [
        (genes, ("families", "genes"), "2026-08-13", False),
        (genes, ("families", "genes"), "2026-08-13", True),
        (vaccines, ("vaccines", "data"), "4.64", False),
        (vaccines, ("vaccines", "data"), "4.64", True),
    ]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "x", "actions.csv"), "actions.csv is missing"),
        (OSError("the disk"), "the disk is missing"),
        (KeyError("rxcui"), "the column 'rxcui' is missing"),
    ],
)
def test_what_a_release_lacks_is_named(
    error: Exception, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(knowledge, "import_genes", fail)
    done = run("genes", str(tmp_path), "--version", "2026-08-13")
    said = f"{tmp_path.name} is not a whole release of the tables: {words}.\n"
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", said)
