"""The lines of scores and the files they go into, word for word, also where a run goes on or is begun again."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import orjson
import pytest

from models_onnx.errors import PanelRefused
from models_onnx.panel.outputs import (
    ResumableOutput,
    csv_header,
    csv_lines,
    output_form,
    risk_assessments,
    signature_of,
    sql_types,
)

NAN = float("nan")


def _texts(*values: str) -> Any:
    return np.array(values, dtype=object)


ANSWERS: dict[str, Any] = {
    "probability": np.array([0.1 + 0.2, NAN]),
    "percentile": np.array([12.0, NAN]),
    "model": _texts("m", ""),
    "reason": _texts("", "deceased"),
    "reason_text": _texts("", 'He said "no", died'),
    "not_used": _texts("bun_mg_dl", ""),
    "base": np.array([-1.5, NAN]),
    "contribution_age": np.array([0.25, NAN]),
}


@pytest.mark.parametrize(
    ("name", "form"), [("a.csv", "csv"), ("A.CSV", "csv"), ("b.parquet", "parquet"), ("c.d.ndjson", "fhir")]
)
def test_the_end_of_a_name_says_the_form(name: str, form: str) -> None:
    assert output_form(Path(name)) == form


@pytest.mark.parametrize("name", ["a", "a.txt", "a.csv.gz", "a.json"])
def test_another_end_of_a_name_is_refused(name: str) -> None:
    with pytest.raises(PanelRefused) as problem:
        output_form(Path("folder") / name)
    assert str(problem.value) == (
        f"{name}: write to a name that ends in .csv, .parquet or .ndjson (FHIR RiskAssessment, one in a line)."
    )


def test_the_lines_of_scores_with_and_without_what_explains_them() -> None:
    plain = "id,probability,percentile,model,reason,reason_text,not_used"
    assert csv_header(()) == f"{plain}\n".encode()
    assert csv_header(("base", "contribution_age")) == f"{plain},base,contribution_age\n".encode()
    first = "p1,0.30000000000000004,12.0,m,,,bun_mg_dl"
    second = '"a,b",,,,deceased,"He said ""no"", died",'
    assert csv_lines(["p1", "a,b"], ANSWERS, ()).decode() == f"{first}\n{second}\n"
    assert csv_lines(["p1", "a,b"], ANSWERS, ("base", "contribution_age")).decode() == (
        f"{first},-1.5,0.25\n{second},,\n"
    )
    nobody = {name: values[:0] for name, values in ANSWERS.items()}
    assert csv_lines([], nobody, ("base",)) == b""
    one_row = {name: values[:1] for name, values in ANSWERS.items()}
    assert csv_lines([7], one_row, ()) == b"7,0.30000000000000004,12.0,m,,,bun_mg_dl\n"


def test_the_types_of_the_columns_for_parquet() -> None:
    assert sql_types(("base",)) == (
        "{'id': 'VARCHAR', 'probability': 'DOUBLE', 'percentile': 'DOUBLE', 'model': 'VARCHAR', 'reason': 'VARCHAR', "
        "'reason_text': 'VARCHAR', 'not_used': 'VARCHAR', 'base': 'DOUBLE'}"
    )


def test_a_signature_changes_with_each_part_and_not_with_the_order_of_names() -> None:
    path, names = Path("a"), frozenset({"x", "y"})
    before = signature_of({"a": 1, "b": names}, path)
    assert len(before) == 64
    assert before == signature_of({"b": frozenset({"y", "x"}), "a": 1}, "a")
    others = [signature_of({"a": 2, "b": names}, path), signature_of({"a": 1, "b": names - {"x"}}, path),
              signature_of({"a": 1, "b": names}, Path("b")), signature_of(path, {"a": 1, "b": names})]  # fmt: skip
    assert len({before, *others}) == 5


def test_an_output_is_complete_when_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    out = ResumableOutput(path, "s")
    assert (out.rows, out.tally) == (0, {})
    out.begin(b"head\n")
    out.tally.update({"model m": 2})
    out.add(b"a\nb\n", 2)
    assert (path.exists(), (tmp_path / "s.csv.part").read_bytes()) == (False, b"head\na\nb\n")
    state = orjson.loads((tmp_path / "s.csv.part.json").read_bytes())
    assert state == {"signature": "s", "rows": 2, "bytes": 9, "tally": {"model m": 2}}
    out.finish()
    assert [file.name for file in tmp_path.iterdir()] == ["s.csv"]
    assert path.read_bytes() == b"head\na\nb\n"


def test_an_interrupted_output_goes_on_after_the_last_whole_part(tmp_path: Path) -> None:
    path, part = tmp_path / "s.csv", tmp_path / "s.csv.part"
    begun = ResumableOutput(path, "s")
    begun.begin(b"head\n")
    begun.tally.update({"model m": 1})
    begun.add(b"a\n", 1)
    part.write_bytes(part.read_bytes() + b"half of a li")
    resumed = ResumableOutput(path, "s")
    assert (resumed.rows, resumed.tally, part.read_bytes()) == (1, {"model m": 1}, b"head\na\n")
    resumed.add(b"b\n", 1)
    resumed.finish()
    assert path.read_bytes() == b"head\na\nb\n"


def test_an_output_of_something_else_is_not_gone_on_with(tmp_path: Path) -> None:
    path, part = tmp_path / "s.csv", tmp_path / "s.csv.part"
    begun = ResumableOutput(path, "s")
    begun.begin(b"head\n")
    begun.add(b"a\n", 1)
    with pytest.raises(PanelRefused) as problem:
        ResumableOutput(path, "other")
    assert str(problem.value) == (
        f"{part} is unfinished and was begun with other rows, another model or another declaration: "
        "--restart begins again."
    )
    again = ResumableOutput(path, "other", restart=True)
    assert (again.rows, part.read_bytes(), (tmp_path / "s.csv.part.json").exists()) == (0, b"", False)
    again.add(b"x\n", 1)
    (tmp_path / "s.csv.part.json").unlink()
    assert ResumableOutput(path, "third").rows == 0, "without its state nothing is known of it"
    again = ResumableOutput(path, "third")
    again.add(b"x\n", 1)
    part.unlink()
    assert ResumableOutput(path, "fourth").rows == 0
    assert part.read_bytes() == b""


def test_an_output_that_was_begun_can_be_given_up(tmp_path: Path) -> None:
    out = ResumableOutput(tmp_path / "s.csv", "s")
    out.add(b"a\n", 1)
    out.discard()
    assert list(tmp_path.iterdir()) == []
    out.discard()
    with pytest.raises(PanelRefused) as problem:
        ResumableOutput(tmp_path / "none" / "s.csv", "s")
    assert str(problem.value) == f"The folder {tmp_path / 'none'} for the output is not there: make it first."


def test_an_output_as_parquet_has_numbers_and_texts_with_nothing_where_there_is_none(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    path = tmp_path / "it's.parquet"
    out = ResumableOutput(path, "s")
    out.begin(csv_header(("base",)))
    out.add(csv_lines(["007", "a,b"], ANSWERS, ("base",)), 2)
    out.finish(sql_types(("base",)))
    assert [file.name for file in tmp_path.iterdir()] == ["it's.parquet"]
    with duckdb.connect() as connection:
        rows = connection.read_parquet(str(path)).fetchall()
    assert rows == [
        ("007", 0.30000000000000004, 12.0, "m", None, None, "bun_mg_dl", -1.5),
        ("a,b", None, None, None, "deceased", 'He said "no", died', None, None),
    ]


def _manifest(identity: str) -> Any:
    return cast(Any, SimpleNamespace(
        id=identity, version="1", title="Death", file=SimpleNamespace(sha256="ab"),
        reference=SimpleNamespace(words="adults"), outcome=SimpleNamespace(words="died", horizon_years=5.0),
    ))  # fmt: skip


def test_risk_assessments_are_of_the_model_that_scored_and_of_the_first_where_none_did() -> None:
    answers = {
        "probability": np.array([0.25, 0.5, 0.0]),
        "percentile": np.array([50.0, 60.0, 0.0]),
        "model": _texts("m", "twin", ""),
        "reason": _texts("", "", "deceased"),
        "reason_text": _texts("", "", "The patient has died."),
    }
    lines = risk_assessments(["a", 7, "c"], answers, {"m": _manifest("m"), "twin": _manifest("twin")}, "2026-11-20")
    assessments = [orjson.loads(line) for line in lines.splitlines()]
    assert lines.endswith(b"}\n")
    assert [item["method"]["text"].split(",")[0] for item in assessments] == ["m 1", "twin 1", "m 1"]
    assert [item["subject"] for item in assessments] == [{"reference": f"Patient/{name}"} for name in ("a", "7", "c")]
    assert [item["prediction"][0].get("probabilityDecimal") for item in assessments] == [0.25, 0.5, None]
    assert [item["note"][0]["text"] for item in assessments] == [
        "Higher than 50 in 100 of adults.", "Higher than 60 in 100 of adults.", "No score (deceased).",
    ]  # fmt: skip
    assert {item["occurrenceDateTime"] for item in assessments} == {"2026-11-20"}
