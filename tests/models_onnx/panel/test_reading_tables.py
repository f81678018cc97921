"""Which form a table has, how its rows and columns are read, and each sentence of a table that is refused."""

import gzip
import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from models_onnx.errors import PanelRefused
from models_onnx.panel.tables import Form, Part, form_of, open_table

PACKED = gzip.compress(b'{"a": 1}\n' * 9, mtime=0)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.csv", "csv"), ("a.CSV", "csv"), ("a.csv.gz", "csv"), ("a.tsv", "tsv"), ("a.ndjson", "ndjson"),
        ("a.jsonl.GZ", "ndjson"), ("a.b.parquet", "parquet"), ("a.csv.ndjson", "ndjson"),
    ],
)  # fmt: skip
def test_the_form_is_told_by_the_end_of_the_name(name: str, form: Form) -> None:
    assert form_of(Path("folder") / name) == form


@pytest.mark.parametrize("name", ["a", "a.gz", "a.txt", "a.csv.xlsx"])
def test_another_end_is_refused_with_the_ends_that_are_known(name: str) -> None:
    with pytest.raises(PanelRefused) as refused:
        form_of(Path("folder") / name)
    assert str(refused.value) == (
        f"{name} ends in none of .csv, .tsv, .ndjson, .jsonl, .parquet, so its form is not known."
    )


def read(path: Path, *wanted: str, form: Form | None = None) -> tuple[tuple[str, ...], list[Part]]:
    """The columns of a table, and its parts."""
    with open_table(path, form) as table:
        return table.columns, list(table.parts(wanted))


@pytest.mark.parametrize(
    ("name", "content", "columns", "part"),
    [
        ("a.csv", b" b ,a\n1,\n\n2,x y\n", ("b", "a"), {"a": ["", "x y"], "b": ["1", "2"]}),
        ("a.csv", b'a,b\n"1,5","x\ny"\n', ("a", "b"), {"a": ["1,5"], "b": ["x\ny"]}),
        ("a.tsv", b"a\tb\n1,5\t2\n", ("a", "b"), {"a": ["1,5"], "b": ["2"]}),
        ("a.csv", b"a\tb,c\n1,2\n", ("a\tb", "c"), {"c": ["2"], "a\tb": ["1"]}),
        ("a.ndjson", b'{"b": 1}\n\n {"a": null, "b": 2.5} \n', ("b", "a"), {"a": [None, None], "b": [1, 2.5]}),
        ("a.jsonl", b'{"a": "x:y", "b": {"c": 1, "d": {"c": 2}}}', ("a", "b"), {"a": ["x:y"], "b": [
            {"c": 1, "d": {"c": 2}}]}),
    ],
)  # fmt: skip
def test_rows_are_read_by_the_names_of_their_columns(
    tmp_path: Path, name: str, content: bytes, columns: tuple[str, ...], part: Part
) -> None:
    for packed in (content, gzip.compress(content)):
        (tmp_path / name).write_bytes(packed)
        assert read(tmp_path / name, *part) == (columns, [part])


def test_a_form_that_is_said_counts_more_than_the_name(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b'{"a": 1}\n')
    assert read(tmp_path / "a.txt", "a", form="ndjson") == (("a",), [{"a": [1]}])


def test_parts_have_at_most_20000_rows(tmp_path: Path) -> None:
    for name, lines in (
        ("a.csv", ["a", *map(str, range(20_001))]),
        ("a.jsonl", [f'{{"a": {n}}}' for n in range(20_001)]),
    ):
        (tmp_path / name).write_text("\n".join(lines))
        _, parts = read(tmp_path / name, "a")
        assert [(len(part["a"]), int(part["a"][0])) for part in parts] == [(20_000, 0), (1, 20_000)]


NOT_JSON = "NDJSON has one whole object on each line, in UTF-8, and null where a value is missing (NaN is not JSON)."
NO_OBJECT = "NDJSON has one object on each line, without a list around them."


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", b"", "a.csv has no header, so nothing says what its columns are."),
        ("a.csv", b"\n1,2\n", "a.csv has no header, so nothing says what its columns are."),
        ("a.csv", b"id;age\n1;2\n", "a.csv has one column, 'id;age': separate its columns by commas."),
        ("a.csv", b"id\tage\n1\t2\n", r"a.csv has one column, 'id\tage': separate its columns by commas."),
        ("a.csv", b"id|" + b"x" * 50, f"a.csv has one column, 'id|{'x' * 37}': separate its columns by commas."),
        ("a.csv", b'["a"]\n', "a.csv begins as JSON does: with one object on each line it is read by --from ndjson."),
        ("a.csv", b'{"a": 1}', "a.csv begins as JSON does: with one object on each line it is read by --from ndjson."),
        ("a.csv", b"a,b\n1,2\n1\n", "a.csv, line 3: 1 fields where the header has 2."),
        ("a.csv", b"a,b\n\n1,2,3\n", "a.csv, line 3: 3 fields where the header has 2."),
        ("a.csv", b'a,b\n1,2\n"1,2\n3,4\n', "a.csv, lines 3 to 4 are read as one row of 1 fields, where the header "
         'has 2: a quotation mark (") that opens in line 3 is not closed there.'),
        ("a.csv", b"\xff\xfea\x00", "a.csv cannot be read as text in UTF-8, packed with gzip or not: save it as CSV in "
         "UTF-8."),
        ("a.csv", b"a,b\n1,2\n" + b"x" * 1_000_001, "a.csv cannot be read after line 3: it breaks off or is no CSV."),
        ("a.csv", b"a,b\n" + b"1,2\n" * 5000 + b"\xff,1\n", "a.csv is not in UTF-8 somewhere after line "),
        ("a.ndjson", b"\n", "a.ndjson has no rows."),
        ("a.ndjson", b'{"a": 1}\n{"a": NaN}\n', f"a.ndjson, line 2: not JSON. {NOT_JSON}"),
        ("a.ndjson", b'{"a": 1}\n[1]\n', f"a.ndjson, line 2: no object with the values of one row. {NO_OBJECT}"),
        ("a.ndjson", b'{"a": 1, "b": 2, "a": 3}', "a.ndjson, line 1: 'a' is there twice, so which value counts is not "
         "known."),
        ("a.ndjson", b'{"a": {"c": 1, "c": 2}}', "a.ndjson, line 1: 'c' is there twice, so which value counts is not "
         "known."),
        ("a.ndjson", PACKED[:-9], "a.ndjson breaks off: it cannot be unpacked to its end."),
        ("a.parquet", b"PAR", "a.parquet cannot be read as Parquet."),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_read_is_refused_in_a_sentence(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    if name.endswith(".parquet"):
        pytest.importorskip("duckdb", reason="duckdb is not installed")
    with pytest.raises(PanelRefused) as refused:
        read(tmp_path / name)
    told = str(refused.value)
    assert told == sentence or (sentence.endswith("line ") and told.startswith(sentence))


def test_a_table_that_is_not_there_is_said(tmp_path: Path) -> None:
    for path in (tmp_path / "a.csv", tmp_path):
        with pytest.raises(PanelRefused) as refused:
            read(path)
        assert str(refused.value) == f"{path} is not there."


@pytest.mark.parametrize("form", [None, "parquet"])
def test_standard_input_needs_a_form_that_can_be_read_in_parts(form: Any) -> None:
    with pytest.raises(PanelRefused) as refused:
        read(Path("-"), form=form)
    assert str(refused.value) == "Standard input has no name: say its form with --from csv or --from ndjson."


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input_is_read_and_stays_open(pack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given = io.BytesIO(pack(b"a\n1\n"))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=given))
    assert read(Path("-"), "a", form="csv") == (("a",), [{"a": ["1"]}])
    assert not given.closed
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"")))
    with pytest.raises(PanelRefused, match=r"^standard input has no rows\.$"):
        read(Path("-"), form="ndjson")


def test_a_name_that_would_matter_may_not_begin_late(tmp_path: Path) -> None:
    lines = ['{"a": 1}'] * 20_000 + ['{"a": 1, "zebra": 2, "deceased": 1, "b": 3}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    with open_table(tmp_path / "a.jsonl") as table, pytest.raises(PanelRefused) as refused:
        list(table.parts(("a",), frozenset({"a", "zebra", "deceased"})))
    assert str(refused.value) == (
        "'deceased' comes only after the first 20,000 rows, by which the columns are known: write it in the first row "
        "too, as null where nothing is known."
    )


def test_parquet_without_duckdb_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(PanelRefused) as refused:
        read(tmp_path / "a.parquet")
    assert str(refused.value) == "This needs DuckDB, which is not installed: pip install cds-hooks-onnx[panel]."
