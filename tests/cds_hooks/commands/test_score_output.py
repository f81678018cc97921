"""What `cds-hooks score` says of a table beside its file, and which options it refuses, word for word."""

from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cds_hooks import cli
from cds_hooks.commands.score.main import ScoreOptions, _declared, _pair, _pairs, _show
from models_onnx.batch.run import ScoringResult
from models_onnx.errors import BatchRefused

OF_A_TABLE = "ROWS and what is said about its columns is of a table: leave it out with --fhir."
RESULT, OUT = ScoringResult(), Path("scores.csv")


def _said(result: ScoringResult, capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    _show(result, Path("scores.csv"))
    printed = capsys.readouterr()
    return printed.out.splitlines(), printed.err.splitlines()


def test_of_a_table_without_anything_strange_the_rows_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert _said(RESULT, capsys) == (["0 rows: scores.csv"], [])


def test_what_is_strange_is_said_beside_the_counts(capsys: pytest.CaptureFixture[str]) -> None:
    result = ScoringResult(
        rows=12_000,
        scored=Counter({"mortality_5y 2.1.0": 10_500, "twin": 1}),
        not_scored=Counter({"too-few-inputs": 1_499}),
        not_used=2_345,
        unsaid=("pregnancy", "dialysis"),
    )
    assert _said(result, capsys) == (
        ["12,000 rows: scores.csv", "  scored by mortality_5y 2.1.0: 10,500", "  scored by twin: 1",
         "  no score, too-few-inputs: 1,499"],
        ["No column 'pregnancy' says who is: the services leave them out, here everybody is scored.",
         "No column 'dialysis' says who is: the services leave them out, here everybody is scored.",
         "In 2,345 rows a value is not an exact number; not_used names the input."],
    )  # fmt: skip


@pytest.mark.parametrize("text", ["bun", "=mmol/L", "bun=", " =x", "bun= ", ""])
def test_a_pair_has_both_sides(text: str) -> None:
    with pytest.raises(BatchRefused) as refused:
        _pair("--unit", text, "=")
    assert str(refused.value) == f"--unit: {text!r} has not the form NAME=VALUE."


def test_a_value_may_have_the_sign_in_it_and_a_name_stands_once() -> None:
    assert _pair("--column", "a=b=c", "=") == ("a", "b=c")
    assert _pairs("--column", None) == {}
    assert _pairs("--column", ["a=x", "b=x"]) == {"a": "x", "b": "x"}
    with pytest.raises(BatchRefused) as refused:
        _pairs("--column", ["b=1", "a=1", "b=2", "a=1"])
    assert str(refused.value) == "--column is given twice for 'a'."
    with pytest.raises(BatchRefused) as refused:
        _declared(ScoreOptions(OUT, values=["sex=M"]))
    assert str(refused.value) == "--values: 'M' has not the form NAME:VALUE."


@pytest.mark.parametrize(
    "options",
    [
        ["mortality_5y", "rows.csv"],
        ["--id", "mrn"],
        ["--column", "a=b"],
        ["--unit", "a=b"],
        ["--values", "a=b:c"],
        ["--without", "a"],
        ["--none-has", "a"],
        ["--exclude", "a"],
        ["--from", "csv"],
    ],
)
def test_each_option_of_a_table_is_refused_with_a_folder_of_charts(options: list[str], tmp_path: Path) -> None:
    words = ["score", *options, "--fhir", str(tmp_path), "--out", str(tmp_path / "x.csv")]
    done = CliRunner().invoke(cli.app, words)
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"{OF_A_TABLE}\n")


@pytest.mark.parametrize("options", [[], ["mortality_5y"]])
def test_a_model_and_a_table_belong_together(options: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.app, ["score", *options, "--out", str(tmp_path / "x.csv")])
    words = "Name a model and a table, or a folder of FHIR by --fhir.\n"
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", words)
