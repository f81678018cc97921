"""`cds-hooks score` of a table: forms in and out, a run that was interrupted, and what serves alone is enough."""

import csv
import gzip
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fhir.resources.R4B.riskassessment import RiskAssessment
from typer.testing import CliRunner

from cds_hooks import cli
from models_onnx.errors import PanelRefused
from models_onnx.panel import TableDeclaration, load
from models_onnx.panel.frames import PanelModel
from models_onnx.panel.run import ScoringJob, score_table
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
    known = load("mortality_5y").score(people)
    told = lines(tmp_path / "s.csv")
    assert [line["id"] for line in told] == people["participant_id"].tolist()
    assert [float(line["probability"] or "nan") for line in told] == pytest.approx(
        known["probability"].tolist(), rel=0, abs=0, nan_ok=True
    )
    assert [line["reason"] for line in told] == known["reason"].tolist()
    assert f"{PEOPLE} rows" in said
    assert "No column 'deceased'" in said


def test_csv_ndjson_and_standard_input_give_the_same_file(table: Path, people: pd.DataFrame, tmp_path: Path) -> None:
    scored(table, tmp_path / "csv.csv")
    rows = tmp_path / "rows.ndjson"
    rows.write_text(people.to_json(orient="records", lines=True))
    scored(rows, tmp_path / "ndjson.csv")
    scored(Path("-"), tmp_path / "stdin.csv", "--from", "csv", given=gzip.decompress(table.read_bytes()))
    assert (tmp_path / "csv.csv").read_bytes() == (tmp_path / "ndjson.csv").read_bytes()
    assert (tmp_path / "csv.csv").read_bytes() == (tmp_path / "stdin.csv").read_bytes()


def test_parquet_comes_in_and_goes_out(table: Path, people: pd.DataFrame, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="the extra panel (DuckDB) is not installed")
    scored(table, tmp_path / "csv.csv", "--explain")
    rows = tmp_path / "rows.parquet"
    duckdb.read_csv(str(table)).write_parquet(str(rows))
    scored(rows, tmp_path / "parquet.csv", "--explain")
    assert (tmp_path / "csv.csv").read_bytes() == (tmp_path / "parquet.csv").read_bytes()
    scored(rows, tmp_path / "s.parquet", "--explain")
    found = duckdb.read_parquet(str(tmp_path / "s.parquet")).project("id, probability, reason").fetchall()
    told = lines(tmp_path / "csv.csv")
    assert [(key, number) for key, number, _ in found] == [
        (line["id"], float(line["probability"]) if line["probability"] else None) for line in told
    ]


@pytest.mark.slow
def test_a_table_in_parquet_ends_with_the_sentences_of_the_command_and_nothing_else(
    table: Path, tmp_path: Path
) -> None:
    duckdb = pytest.importorskip("duckdb", reason="the extra panel (DuckDB) is not installed")
    rows = tmp_path / "rows.parquet"
    duckdb.read_csv(str(table)).write_parquet(str(rows))
    words = ["score", "mortality_5y", str(rows), "--out", str(tmp_path / "s.csv"), "--id", "participant_id"]
    done = subprocess.run([sys.executable, "-m", "cds_hooks", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "leaked" not in done.stdout + done.stderr


def test_risk_assessments_are_valid_fhir_and_say_why_there_is_no_score(table: Path, tmp_path: Path) -> None:
    scored(table, tmp_path / "risk.ndjson")
    found = [json.loads(line) for line in (tmp_path / "risk.ndjson").read_text().splitlines()]
    assert len(found) == PEOPLE
    for each in found:
        RiskAssessment.model_validate(each)
        assert ("probabilityDecimal" in each["prediction"][0]) != ("rationale" in each["prediction"][0])
    assert found[0]["subject"] == {"reference": "Patient/invented-0"}
    probabilities = [each["prediction"][0].get("probabilityDecimal") for each in found]
    scored(table, tmp_path / "s.csv")
    assert probabilities == [
        float(line["probability"]) if line["probability"] else None for line in lines(tmp_path / "s.csv")
    ]


def test_a_run_that_was_interrupted_goes_on_and_gives_the_same_file(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored(table, tmp_path / "whole.csv")
    out = tmp_path / "parts.csv"
    job = ScoringJob(load("mortality_5y"), table, out, "participant_id")
    monkeypatch.setattr("models_onnx.panel.tables.AT_ONCE", 70)

    def stops(done: int) -> None:
        if done >= 140:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_table(job, stops)
    assert not out.exists()
    with (tmp_path / "parts.csv.part").open("ab") as file:
        file.write(b"half of a li")
    other = ScoringJob(job.model, table, out, "participant_id", TableDeclaration(without=frozenset({"rdw_pct"})))
    with pytest.raises(PanelRefused, match=r"rdw_pct|another declaration"):
        score_table(other)
    result = score_table(job)
    assert (result.resumed_at, result.rows) == (140, PEOPLE)
    assert sum(result.scored.values()) + sum(result.not_scored.values()) == PEOPLE
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert [path.name for path in tmp_path.iterdir() if "part" in path.suffix] == []


def test_an_unfinished_output_of_another_declaration_is_not_gone_on_with(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, model = tmp_path / "s.csv", load("mortality_5y")

    def stops(_done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_table(ScoringJob(model, table, out, "participant_id"), stops)
    explained = ScoringJob(model, table, out, "participant_id", explain=True)
    with pytest.raises(PanelRefused, match="--restart"):
        score_table(explained)
    assert score_table(ScoringJob(model, table, out, "participant_id", explain=True, restart=True)).rows == PEOPLE


def test_parts_are_read_one_at_a_time(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held at once is one part, however long the table is."""
    monkeypatch.setattr("models_onnx.panel.tables.AT_ONCE", 50)
    sizes: list[int] = []
    answers = PanelModel.answers

    def seen(model: PanelModel, plan: Any, part: Any) -> Any:
        sizes.append(len(part["age_years"]))
        return answers(model, plan, part)

    monkeypatch.setattr(PanelModel, "answers", seen)
    score_table(ScoringJob(load("mortality_5y"), table, tmp_path / "s.csv", "participant_id"))
    assert sizes == [50] * (PEOPLE // 50)


def test_what_cannot_be_used_is_said_in_a_sentence(table: Path, people: pd.DataFrame, tmp_path: Path) -> None:
    assert "say by --id which column names a row" in refused(table)
    assert "--unit: 'bun' has not the form NAME=VALUE" in refused(table, "--id", "participant_id", "--unit", "bun")
    assert "is given twice" in refused(table, "--id", "participant_id", "--unit", "bun=mg/dL", "--unit", "bun=mmol/L")
    assert "no artifact is called 'x'" in " ".join(
        CliRunner().invoke(cli.app, ["score", "x", str(table), "--out", str(tmp_path / "x.csv")]).output.split()
    )
    assert "is not there" in refused(tmp_path / "nothing.csv")
    short = tmp_path / "short.csv"
    short.write_text("participant_id,age_years\na,1,2\n")
    assert "--column sex_male=NAME" in refused(short, "--id", "participant_id")
    people.to_csv(short, index=False)
    short.write_text(short.read_text() + "only,two\n")
    assert f"line {PEOPLE + 2}: 2 fields where the header has" in refused(short, "--id", "participant_id")
    table.write_bytes(table.read_bytes()[:-2000])
    assert "breaks off" in refused(table, "--id", "participant_id")


def test_ids_that_stand_twice_or_not_at_all_are_said(people: pd.DataFrame, tmp_path: Path) -> None:
    """A table may have two rows of one patient, and each is scored; a RiskAssessment needs to say whom it is about."""
    rows = tmp_path / "rows.csv"
    named = people.assign(participant_id=["same", "same", "same", "", " ", *people["participant_id"][5:]])
    named.to_csv(rows, index=False)
    said = scored(rows, tmp_path / "s.csv")
    assert "2 rows have an id that a row before has too" in said
    assert "2 rows have no id." in said
    assert len(lines(tmp_path / "s.csv")) == PEOPLE
    words = ["score", "mortality_5y", str(rows), "--out", str(tmp_path / "s.ndjson"), "--id", "participant_id"]
    answer = CliRunner().invoke(cli.app, words)
    assert (answer.exit_code, "Row 4 has no id" in answer.output) == (2, True)


def test_the_count_of_ids_knows_the_rows_before_an_interruption(
    people: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tmp_path / "rows.csv"
    people.assign(participant_id=["same", *people["participant_id"][1:-1], "same"]).to_csv(rows, index=False)
    monkeypatch.setattr("models_onnx.panel.tables.AT_ONCE", 100)
    job = ScoringJob(load("mortality_5y"), rows, tmp_path / "s.csv", "participant_id")

    def stops(done: int) -> None:
        if done >= 200:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_table(job, stops)
    result = score_table(job)
    assert (result.resumed_at, result.rows, result.repeated) == (200, PEOPLE, 1)


def test_a_column_in_two_units_is_refused(people: pd.DataFrame, tmp_path: Path) -> None:
    """Every tenth creatinine in umol/L: none of them can be in mg/dL, and a few would not give it away."""
    rows = tmp_path / "rows.csv"
    mixed = people.copy()
    mixed.loc[::10, "creatinine_mg_dl"] *= 88.4
    mixed.to_csv(rows, index=False)
    said = refused(rows, "--id", "participant_id")
    assert "creatinine_mg_dl (creatinine) seems to be in two units" in said
    assert "umol/L" in said
    few = people.copy()
    few.loc[:2, "creatinine_mg_dl"] = 88.4
    few.to_csv(rows, index=False)
    scored(rows, tmp_path / "few.csv")
    assert all(line["reason"] for line in lines(tmp_path / "few.csv")[:3])


def test_a_code_for_missing_is_not_taken_for_a_second_unit(people: pd.DataFrame, tmp_path: Path) -> None:
    """9999 instead of a creatinine fits umol/L; the rows that have it get no score, and the others do."""
    coded = people.copy()
    coded.loc[::10, "creatinine_mg_dl"] = 9999
    coded.to_csv(tmp_path / "rows.csv", index=False)
    scored(tmp_path / "rows.csv", tmp_path / "scores.csv")
    reasons = {line["reason"] for line in lines(tmp_path / "scores.csv")[::10]}
    assert "" not in reasons
    coded.loc[::10, "creatinine_mg_dl"] = 113.1
    coded.to_csv(tmp_path / "rows.csv", index=False)
    assert "Most are 113.1: leave it blank if it is no value." in refused(
        tmp_path / "rows.csv", "--id", "participant_id"
    )


def test_the_folder_of_the_output_has_to_be_there(table: Path, tmp_path: Path) -> None:
    words = ["score", "mortality_5y", str(table), "--out", str(tmp_path / "no" / "s.csv"), "--id", "participant_id"]
    answer = CliRunner().invoke(cli.app, words)
    assert (answer.exit_code, "is not there: make it first" in " ".join(answer.output.split())) == (2, True)


def test_the_table_itself_is_never_written_over(table: Path, tmp_path: Path) -> None:
    plain = tmp_path / "rows.csv"
    plain.write_bytes(gzip.decompress(table.read_bytes()))
    before = plain.read_bytes()
    words = ["score", "mortality_5y", str(plain), "--out", str(plain), "--id", "participant_id"]
    answer = CliRunner().invoke(cli.app, words)
    assert (answer.exit_code, plain.read_bytes()) == (2, before)


@pytest.mark.slow
def test_what_serves_is_enough(table: Path, tmp_path: Path) -> None:
    """A process in which neither pandas nor scikit-learn can be imported scores the table."""
    blocked = ("pandas", "sklearn", "scipy", "skl2onnx", "onnx", "duckdb", "pyarrow", "polars")
    program = (
        f"import sys\nfor name in {blocked!r}:\n    sys.modules[name] = None\nfrom cds_hooks.cli import main\nmain()\n"
    )

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False, cwd=tmp_path
        )

    done = run("score", "mortality_5y", str(table), "--out", "s.csv", "--id", "participant_id")
    assert done.returncode == 0, done.stderr
    assert len(lines(tmp_path / "s.csv")) == PEOPLE


def test_several_processes_write_the_same_bytes_as_this_one(table: Path, tmp_path: Path) -> None:
    model = load("mortality_5y")
    files = [tmp_path / name for name in ("alone.csv", "together.csv")]
    jobs = [ScoringJob(model, table, file, "participant_id", explain=True) for file in files]
    alone, together = score_table(jobs[0]), score_table(replace(jobs[1], workers=2))
    assert files[0].read_bytes() == files[1].read_bytes()
    assert alone == together
