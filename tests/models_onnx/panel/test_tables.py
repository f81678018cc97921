"""Tables as other programs write them are read as they are, or refused in a sentence that says what to do."""

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models_onnx.errors import PanelRefused
from models_onnx.panel import PanelModel, TableDeclaration, load
from models_onnx.panel.run import ScoringJob, ScoringResult, score_table
from models_onnx.panel.tables import open_table
from tests.models_onnx.workbench.training.data.test_study_inputs import typical

BOM = b"\xef\xbb\xbf"


@pytest.fixture(scope="module")
def panel() -> PanelModel:
    """The committed model with its twin."""
    return load("mortality_5y")


def people(count: int = 3, **other: Any) -> list[dict[str, Any]]:
    """So many typical people with ids of their own, some columns changed."""
    return [{"id": f"p{number}", **typical(), **other} for number in range(count)]


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    """The rows under a header."""
    lines = [",".join(rows[0]), *(",".join("" if v is None else str(v) for v in row.values()) for row in rows)]
    return ("\n".join(lines) + "\n").encode()


def as_ndjson(rows: list[dict[str, Any]]) -> bytes:
    """One object on each line."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def scored(panel: PanelModel, folder: Path, name: str, content: bytes, **other: Any) -> tuple[ScoringResult, str]:
    """What the table of this content gives, and the scores as they were written."""
    (folder / name).write_bytes(content)
    result = score_table(ScoringJob(panel, folder / name, folder / "scores.csv", restart=True, **other))
    return result, (folder / "scores.csv").read_text()


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.csv", lambda: BOM + as_csv(people())),
        ("a.csv", lambda: gzip.compress(as_csv(people()))),
        ("a.csv.gz", lambda: as_csv(people())),
        ("a.csv", lambda: as_csv(people()).replace(b"\n", b"\r\n\r\n")),
        ("a.ndjson", lambda: as_ndjson(people())),
        ("a.ndjson", lambda: BOM + as_ndjson(people()).replace(b"\n", b"\r\n\n")),
        ("a.ndjson.gz", lambda: gzip.compress(BOM + as_ndjson(people()))),
    ],
)
def test_marks_line_ends_and_packing_change_no_score(
    panel: PanelModel, tmp_path: Path, name: str, write: Callable[[], bytes]
) -> None:
    _, plain = scored(panel, tmp_path, "plain.csv", as_csv(people()))
    assert plain.count("mortality_5y") == 3
    assert scored(panel, tmp_path, name, write())[1] == plain


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", as_csv(people()).decode().encode("utf-16"), "save it as CSV in UTF-8"),
        ("a.csv", as_csv(people(300)) + "Zoë".encode("latin1") + b"," * 17 + b"\n", "save the whole file in UTF-8"),
        ("a.csv", as_csv(people()).replace(b"\np0,", b'\n"p0,'), r"lines 2 to 4 .* quotation mark .* opens in line 2"),
        ("a.csv", as_csv(people()) + b"p9,1\n", "line 5: 2 fields where"),
        ("a.csv", as_ndjson(people()), "--from ndjson"),
        ("a.ndjson", json.dumps(people()).encode(), "without a list around them"),
        ("a.ndjson", json.dumps(people(), indent=1).encode(), "one whole object on each line"),
        ("a.ndjson", as_ndjson(people(bun_mg_dl=float("nan"))), "null where a value is missing"),
        ("a.ndjson", as_ndjson(people()).replace(b"}", b', "age_years": 20}'), "line 1: 'age_years' is there twice"),
        ("a.ndjson", as_ndjson(people(creatinine_mg_dl=True)), "3 values that are no numbers"),
        ("a.ndjson", as_ndjson([row | {"id": {"value": 1}} for row in people()]), "a text or a number names a row"),
        ("a.csv", as_csv(people(deceased="2020-02-03")), "holds dates.*write 1 where there is a date"),
    ],
)
def test_what_cannot_be_read_is_said_with_what_to_do(
    panel: PanelModel, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    with pytest.raises(PanelRefused, match=said):
        scored(panel, tmp_path, name, content)


def test_a_time_with_colons_is_no_name_that_is_there_twice(panel: PanelModel, tmp_path: Path) -> None:
    result, _ = scored(panel, tmp_path, "a.ndjson", as_ndjson(people(drawn="2026-11-20T10:00:00", of={"a": 1})))
    assert result.scored == {"mortality_5y": 3}


def test_a_table_without_a_header_shows_nobodys_values(panel: PanelModel, tmp_path: Path) -> None:
    with pytest.raises(PanelRefused, match="first line seems to hold values") as refused:
        scored(panel, tmp_path, "a.csv", as_csv(people()).partition(b"\n")[2])
    assert "p0" not in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "declared"),
    [("deceased", TableDeclaration()), ("pregnant", TableDeclaration(none_has=frozenset({"pregnancy"})))],
)
def test_a_column_that_leaves_people_out_cannot_begin_late_in_ndjson(
    panel: PanelModel, tmp_path: Path, name: str, declared: TableDeclaration
) -> None:
    """Many programs write only what is there: then a name that is true of few comes after the first 20,000 rows."""
    rows = [{key: value for key, value in row.items() if key != "pregnant"} for row in people(20_001)]
    if not declared.none_has:
        rows = [row | {"pregnant": False} for row in rows]
    rows[-1][name] = True
    with pytest.raises(PanelRefused, match=f"'{name}' comes only after the first 20,000 rows"):
        scored(panel, tmp_path, "a.ndjson", as_ndjson(rows), declared=declared)
    del rows[-1][name]
    rows[-1]["ward"] = "4B"
    rows[-1]["pregnant" if not declared.none_has else "x"] = False
    assert scored(panel, tmp_path, "a.ndjson", as_ndjson(rows), declared=declared)[0].rows == 20_001


def test_parquet_is_read_from_the_file_of_that_very_name(tmp_path: Path) -> None:
    """Not from those that its signs stand for, and without columns that the names of its folders say."""
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    folder = tmp_path / "sex=male"
    folder.mkdir()
    for name, value in (("[ab]*?.parquet", 1), ("a.parquet", 2), ("b.parquet", 3)):
        # Under a plain name first: DuckDB must not be trusted with the other one here.
        duckdb.sql(f"COPY (SELECT {value} AS id) TO '{folder}/plain.parquet' (FORMAT parquet)")
        (folder / "plain.parquet").rename(folder / name)
    with open_table(folder / "[ab]*?.parquet") as table:
        assert (table.columns, list(table.parts(("id",)))) == (("id",), [{"id": [1]}])


@pytest.mark.parametrize("sql", ["true", "'1.0'::BLOB"])
def test_yes_and_bytes_of_parquet_are_no_laboratory_values(panel: PanelModel, tmp_path: Path, sql: str) -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    (tmp_path / "a.csv").write_bytes(as_csv(people()))
    # A path of the test and our own words.
    query = f"SELECT * REPLACE ({sql} AS creatinine_mg_dl) FROM '{tmp_path}/a.csv'"  # noqa: S608
    duckdb.sql(f"COPY ({query}) TO '{tmp_path}/a.parquet' (FORMAT parquet)")
    with pytest.raises(PanelRefused, match="3 values that are no numbers"):
        score_table(ScoringJob(panel, tmp_path / "a.parquet", tmp_path / "s.csv"))


def test_a_long_field_is_read_and_the_limit_of_the_process_is_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"patient,note\np1,{'x' * 200_000}\n")
    before = csv.field_size_limit()
    with open_table(tmp_path / "a.csv") as table:
        (part,) = table.parts(["note"])
        assert [len(note) for note in part["note"]] == [200_000]
    assert csv.field_size_limit() == before < 200_000
