"""`cds-hooks score` of a table: forms in and out, and what is refused."""

import csv
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from typer.testing import CliRunner

from cds_hooks import cli
from models_onnx.batch import load
from models_onnx.batch.run import ScoringJob, score_table
from tests.each import each_row
from tests.models_onnx.invented import invented_table

PEOPLE = 300


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    """The invented table."""
    return invented_table(people=PEOPLE)


@pytest.fixture
def table(people: pd.DataFrame, tmp_path: Path) -> Path:
    """The same as a file."""
    people.to_csv(tmp_path / "rows.csv.gz", index=False)
    return tmp_path / "rows.csv.gz"


def scored(table: Path, out: Path, *options: str, given: str | bytes | None = None) -> str:
    """What the command said, after it ended well."""
    words = ["score", "mortality_5y", str(table), "--out", str(out), "--id", "participant_id", *options]
    answer = CliRunner().invoke(cli.app, words, input=given)
    assert answer.exit_code == 0, answer.output
    return answer.output


def refused(table: Path, *options: str) -> str:
    """The sentence of a command that could not be done."""
    words = ["score", "mortality_5y", str(table), "--out", str(table.with_name("x.csv")), *options]
    answer = CliRunner().invoke(cli.app, words)
    assert answer.exit_code == 2, answer.output
    return " ".join(answer.output.split())


def lines(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_has_its_line_with_the_numbers_of_the_library(
    table: Path, people: pd.DataFrame, tmp_path: Path
) -> None:
    said = scored(table, tmp_path / "s.csv", "--explain")
    known = load("mortality_5y").score(people).to_pydict()
    told = lines(tmp_path / "s.csv")
    assert [line["id"] for line in told] == people["participant_id"].tolist()
    assert [float(line["probability"] or "nan") for line in told] == pytest.approx(
        [math.nan if number is None else number for number in known["probability"]], rel=0, abs=0, nan_ok=True
    )
    assert [line["reason"] for line in told] == known["reason"]
    assert f"{PEOPLE} rows" in said
    assert "no column 'deceased'" in said


@pytest.mark.slow
def test_a_table_in_parquet_ends_with_the_sentences_of_the_command_and_nothing_else(
    table: Path, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.parquet"
    duckdb.read_csv(str(table)).write_parquet(str(rows))
    words = ["score", "mortality_5y", str(rows), "--out", str(tmp_path / "s.csv"), "--id", "participant_id"]
    done = subprocess.run([sys.executable, "-m", "cds_hooks", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "leaked" not in done.stdout + done.stderr


def test_what_cannot_be_used_is_said_in_a_sentence(table: Path, people: pd.DataFrame, tmp_path: Path) -> None:
    assert "name the one that names a row with --id" in refused(table)
    assert "view.sql is not there" in refused(table, "--view", "view.sql")
    assert "no model is called 'x'" in " ".join(
        CliRunner().invoke(cli.app, ["score", "x", str(table), "--out", str(tmp_path / "x.csv")]).output.split()
    )
    assert "is not there" in refused(tmp_path / "nothing.csv")
    short = tmp_path / "short.csv"
    short.write_text("participant_id,age_years\na,1,2\n")
    assert "NAME AS sex_male, NAME AS albumin_g_dl" in refused(short, "--id", "participant_id")
    people.to_csv(short, index=False)
    short.write_text(short.read_text() + "only,two\n")
    assert f"line {PEOPLE + 2}: cannot be read" in refused(short, "--id", "participant_id")
    table.write_bytes(table.read_bytes()[:-2000])
    assert "a packed file is complete" in refused(table, "--id", "participant_id")


def test_a_view_says_what_the_columns_of_a_table_mean(table: Path, people: pd.DataFrame, tmp_path: Path) -> None:
    scored(table, tmp_path / "plain.csv", "--explain")
    other = people.rename(columns={"participant_id": "mrn"}).assign(sex=people["sex"].str[:1].str.upper())
    other.drop(columns=["pregnant"]).to_csv(tmp_path / "other.csv", index=False)
    pregnant = ", ".join(f"'{name}'" for name in people.loc[people["pregnant"] == 1, "participant_id"]) or "NULL"
    view = tmp_path / "columns.sql"
    view.write_text(
        "SELECT * REPLACE (CASE sex WHEN 'M' THEN 'male' ELSE 'female' END AS sex) RENAME (mrn AS participant_id),\n"
        f"       mrn IN ({pregnant}) AS pregnancy\nFROM rows;\n"
    )
    scored(tmp_path / "other.csv", tmp_path / "seen.csv", "--explain", "--view", str(view))
    assert (tmp_path / "seen.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()


def test_a_column_in_two_units_is_refused(people: pd.DataFrame, tmp_path: Path) -> None:
    """Every tenth creatinine in umol/L: none of them can be in mg/dL, and a few would not give it away."""
    rows = tmp_path / "rows.csv"
    mixed = people.copy()
    mixed.loc[::10, "creatinine_mg_dl"] *= 88.4
    mixed.to_csv(rows, index=False)
    said = refused(rows, "--id", "participant_id")
    assert "values of the column creatinine_mg_dl are outside 0.1 to 20 mg/dL" in said
    assert "A column is in one unit" in said
    mixed.loc[::10, "creatinine_mg_dl"] = 9999
    mixed.to_csv(rows, index=False)
    assert "leave blank what is no value" in refused(rows, "--id", "participant_id")
    few = people.copy()
    few.loc[:2, "creatinine_mg_dl"] = 88.4
    few.to_csv(rows, index=False)
    scored(rows, tmp_path / "few.csv")
    assert all(line["reason"] for line in lines(tmp_path / "few.csv")[:3])


@pytest.mark.slow
def test_several_processes_write_the_same_bytes_as_this_one(table: Path, tmp_path: Path) -> None:
    model = load("mortality_5y")
    files = [tmp_path / name for name in ("alone.csv", "together.csv")]
    jobs = [ScoringJob(model, table, file, "participant_id", explain=True) for file in files]
    alone, together = score_table(jobs[0]), score_table(replace(jobs[1], workers=2))
    assert files[0].read_bytes() == files[1].read_bytes()
    assert alone == together


OF_A_TABLE = "--fhir reads charts: leave out ROWS and the options about its columns."


@each_row("options")
def test_each_option_of_a_table_is_refused_with_a_folder_of_charts(options: list[str], tmp_path: Path) -> None:
    words = ["score", *options, "--fhir", str(tmp_path), "--out", str(tmp_path / "x.csv")]
    done = CliRunner().invoke(cli.app, words)
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"{OF_A_TABLE}\n")


@pytest.mark.parametrize(
    ("typed", "missing"),
    [
        ("score", "missing: NAME (a model's id), ROWS (a table), --out FILE."),
        ("score mortality_5y --out x.csv", "missing: ROWS (a table)."),
        ("score --fhir charts", "missing: --out FILE."),
        ("data no-model", "no-model is not there"),
        ("data no-model x.csv", "for which 'no-model' was taken"),
    ],
)
def test_what_a_command_lacks_is_named(typed: str, missing: str) -> None:
    done = CliRunner().invoke(cli.app, typed.split())
    assert (done.exit_code, done.stdout) == (2, "")
    assert missing in " ".join(done.stderr.split())
