"""`cds-hooks score` of a table: forms in and out, and what is refused."""

import csv
import io
import json
import math
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pandas as pd
import pytest
from typer.testing import CliRunner

from cds_hooks import cli
from cds_hooks.commands import score, understand
from cds_hooks.commands.score import ScoreOptions, _declared, _pair, _pairs, _show
from models_onnx.batch import TableDeclaration, load
from models_onnx.batch.run import ScoringJob, ScoringResult, score_table
from models_onnx.errors import BatchRefused
from tests.each import for_rows
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
    assert "No column 'deceased'" in said


def test_csv_and_ndjson_give_the_same_file(table: Path, people: pd.DataFrame, tmp_path: Path) -> None:
    scored(table, tmp_path / "csv.csv")
    rows = tmp_path / "rows.ndjson"
    rows.write_text(people.to_json(orient="records", lines=True))
    scored(rows, tmp_path / "ndjson.csv")
    assert (tmp_path / "csv.csv").read_bytes() == (tmp_path / "ndjson.csv").read_bytes()


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
    assert "say by --id which names a row" in refused(table)
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
    assert f"line {PEOPLE + 2}: cannot be read" in refused(short, "--id", "participant_id")
    table.write_bytes(table.read_bytes()[:-2000])
    assert "a packed file is complete" in refused(table, "--id", "participant_id")


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


def test_several_processes_write_the_same_bytes_as_this_one(table: Path, tmp_path: Path) -> None:
    model = load("mortality_5y")
    files = [tmp_path / name for name in ("alone.csv", "together.csv")]
    jobs = [ScoringJob(model, table, file, "participant_id", explain=True) for file in files]
    alone, together = score_table(jobs[0]), score_table(replace(jobs[1], workers=2))
    assert files[0].read_bytes() == files[1].read_bytes()
    assert alone == together


# `cds-hooks score`: what is scored by which model of which folder, with which options, and what is refused.
RESULT = ScoringResult(rows=2, scored=Counter({"m": 2}))


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What was scored; `withheld` says why the model shows no cards here."""
    there = SimpleNamespace(jobs=[], loaded=[], of_charts=[], asked=[], withheld=None, model_state="validated")

    def score_table(job: ScoringJob, done: Any) -> ScoringResult:
        done(1)
        there.jobs.append(job)
        return RESULT

    def load(*given: Any) -> Any:
        there.loaded.append(given)
        return SimpleNamespace(model="the model")

    monkeypatch.setattr(score, "settings", lambda: there)
    monkeypatch.setattr(score, "own_keys", lambda _: "keys")
    monkeypatch.setattr(score, "folder_of", lambda name, _: Path(f"folder of {name}"))
    monkeypatch.setattr(score, "load", load)
    monkeypatch.setattr(score, "why_withheld", lambda *given: there.asked.append(given) or there.withheld)
    monkeypatch.setattr(score, "moment", lambda: "now")
    monkeypatch.setattr(score, "score_table", score_table)
    monkeypatch.setattr(score, "score_charts", lambda *given: there.of_charts.append(given))
    return there


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli.app, ["score", *words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_a_table_is_scored_by_the_model_of_the_site_or_of_the_folder_that_is_named(site: Any) -> None:
    said = "2 rows: out.csv\n  scored by m: 2\n"
    assert run("m", "rows.csv", "--out", "out.csv") == (0, said, "")
    code, shown, _ = run("m", "rows.csv", "--out", "out.csv", "--folder", "own", "--json")
    assert (code, json.loads(shown)["scored"]) == (0, {"m": 2})
    assert site.loaded == [("m", Path("folder of m"), "keys"), ("m", Path("own"), "keys")]
    assert site.of_charts == []


def test_a_model_that_shows_no_cards_here_is_scored_and_that_is_said(site: Any) -> None:
    site.withheld = "it is a draft"
    assert run("m", "rows.csv", "--out", "out.csv")[2] == (
        "This server would show no card of this model: it is a draft.\n"
    )
    assert site.asked == [("the model",)]


def test_charts_are_scored_by_what_is_named(site: Any) -> None:
    words = ("--fhir", "export", "--out", "out.csv")
    assert run(*words) == (0, "", "")
    more = ("--as-of", "2026-11-20", "--only", "a", "--only", "b", "--workers", "8", "--json")
    assert run("m", *words, *more)[0] == 0
    fhir, out = Path("export"), Path("out.csv")
    assert site.of_charts == [
        (fhir, None, out, (), 1, False),
        (fhir, "2026-11-20", out, ("a", "b", "m"), 8, True),
    ]
    assert site.jobs == []


@pytest.mark.parametrize("words", [(), ("m",)])
def test_a_model_and_a_table_are_named_or_a_folder(site: Any, words: tuple[str, ...]) -> None:
    name = "Name a model and a table, or a folder of FHIR by --fhir.\n"
    assert run(*words, "--out", "out.csv") == (2, "", name)


def test_what_is_declared_goes_with_the_job(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def job(*members: Any) -> Any:
        given.append(members)
        return members

    monkeypatch.setattr(score, "ScoringJob", job)
    run("m", "rows.csv", "--out", "out.csv")
    more = ("--id", "mrn", "--unit", "bun=mmol/L", "--explain", "--from", "csv", "--workers", "3")
    run("m", "rows", "--out", "o.ndjson", *more)
    model = SimpleNamespace(model="the model")
    assert [members[3:] for members in given] == [
        (None, TableDeclaration(), False, None, "now", 1),
        ("mrn", TableDeclaration(units={"bun": "mmol/L"}), True, "csv", "now", 3),
    ]
    assert [members[0] for members in given] == [model, model]
    assert [str(members[1]) for members in given] == ["rows.csv", "rows"]
    assert [members[2] for members in given] == [Path("out.csv"), Path("o.ndjson")]


# Charts as they stood on a day, and what the commands say of a folder.
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noon of 20 November 2026."""
    monkeypatch.setattr(score, "settings", lambda: SimpleNamespace(as_of=NOW))


@pytest.mark.parametrize(
    ("day", "moment", "is_past"),
    [
        (None, NOW, False),
        ("2026-11-19", datetime(2026, 11, 19, 23, 59, 59, tzinfo=UTC), True),
        ("2026-11-20", datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC), False),
        ("2026-11-21", datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC), False),
    ],
)
def test_a_day_is_read_at_its_end(now: None, day: str | None, moment: datetime, is_past: bool) -> None:
    assert score.moment_of(day) == (moment, is_past)


@pytest.mark.parametrize(("day", "words"), [("2026-11-22", "is in the future"), ("today", "'today' is not a date")])
def test_a_day_to_come_and_a_word_are_refused(now: None, day: str, words: str) -> None:
    with pytest.raises(BatchRefused, match=words):
        score.moment_of(day)


def test_a_chart_loses_what_is_dated_later() -> None:
    patient = b'{"resourceType":"Patient","id":"p"}'
    lines = [
        patient, b'{"resourceType":"Observation","id":"o1","effectiveDateTime":"2020-01-01"}',
        b'{"resourceType":"Observation","id":"o2","effectiveDateTime":"2020-01-03"}', b"no JSON", b"[1]",
    ]  # fmt: skip
    assert len(score.as_it_stood(lines, datetime(2020, 1, 4, tzinfo=UTC))) == 5
    before = score.as_it_stood(lines, datetime(2020, 1, 2, tzinfo=UTC))
    assert [json.loads(line).get("id") for line in before[:-2]] == ["p", "o1"]
    assert before[-2:] == [b"no JSON", b"[1]"]
    at_its_end = score.as_it_stood(lines, datetime(2020, 1, 1, 23, 59, 59, tzinfo=UTC))
    assert at_its_end == before, "a result of the day itself stays, whatever is later"


def result(**changes: Any) -> Any:
    """What became of a folder."""
    read = {"used": 1200, "resources": 1500, "without_patient": 0, "unreadable": 0, "two_persons": 0}
    read |= {"unreadable_in": "a.ndjson"} | {name: changes.pop(name) for name in list(changes) if name in read}
    plain = {"patients": 1100, "counted": {"m": 1000}, "resources": SimpleNamespace(**read)}
    return SimpleNamespace(**plain | changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"without_patient": 1}, ["1 resources name no patient of the folder: not used."]),
        ({"unreadable": 2}, ["2 lines or files are no FHIR: not used. The first is in a.ndjson."]),
        ({"two_persons": 3}, ["3 patients have Patient resources that differ in birth date or sex, as if they were "
                                  "two people: not scored."]),
    ],
)  # fmt: skip
def test_what_was_read_and_what_was_not_is_said(
    changes: dict[str, Any], words: list[str], capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    score._show_charts(result(**changes), Path("out.csv"))
    said = capsys.readouterr()
    assert said.err.splitlines() == words
    assert said.out.splitlines() == ["1,100 patients, 1,200 of 1,500 resources read: out.csv", "  m: 1,000"]


def reading(kind: str, words: str, is_understood: bool) -> Any:
    """A resource as it was read."""
    return SimpleNamespace(kind=kind, words=words, understood=is_understood)


def test_the_share_that_is_understood_is_said_by_kind_and_by_source() -> None:
    read = [
        ("a", reading("Condition", "Gout", True)),
        ("a", reading("Condition", "Odd <b>thing", False)),
        ("b", reading("Condition", "odd <b>thing", False)),
        ("", reading("Allergy", "Nuts", True)),
        ("b", reading("Condition", "", False)),
    ]
    counts = list(understand._counts([item for _, item in read]))
    assert counts[0].startswith("Of 4 Condition resources 25% are understood; the commonest that are not: odd")
    assert counts[0].endswith("(2).")
    assert counts[1] == "Of 1 Allergy resources 100% are understood."
    assert list(understand._shares(read)) == [
        "b: 0 of 2 resources are understood (0%): Condition 0 of 2.",
        "a: 1 of 2 resources are understood (50%): Condition 1 of 2.",
        "in the folder itself: 1 of 1 resources are understood (100%): Allergy 1 of 1.",
    ]
    assert list(understand._shares(read[:2])) == []


def test_resources_come_from_lines_of_the_input_and_out_of_bundles(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = {"resourceType": "Bundle", "entry": [{"resource": {"id": "1"}}, {"fullUrl": "x"}]}
    lines = b'\n \n{"resourceType":"Condition"}\n' + json.dumps(bundle).encode() + b'\n{"resourceType":"Bundle"}\n'
    monkeypatch.setattr(understand, "sys", SimpleNamespace(stdin=SimpleNamespace(buffer=io.BytesIO(lines))))
    assert list(understand._resources("-")) == [("", {"resourceType": "Condition"}), ("", {"id": "1"}), ("", {})]


OF_A_TABLE = "ROWS and what is said about its columns is of a table: leave it out with --fhir."
WRITTEN_RESULT, OUT = ScoringResult(), Path("scores.csv")


def _said(result: ScoringResult, capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    _show(result, Path("scores.csv"))
    printed = capsys.readouterr()
    return printed.out.splitlines(), printed.err.splitlines()


def test_of_a_table_without_anything_strange_the_rows_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert _said(WRITTEN_RESULT, capsys) == (["0 rows: scores.csv"], [])


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


@for_rows("text", ["bun", "=mmol/L", "bun=", " =x", "bun= ", ""])
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
