"""Reads tables in parts: CSV and NDJSON (gzip too) and standard input with nothing installed, Parquet by DuckDB.

A part has at most 20,000 rows, so memory does not grow with the table.
"""

import csv
import gzip
import io
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias, cast

import orjson
from msgspec import Struct

from models_onnx.errors import PanelRefused
from models_onnx.panel.frames import AT_ONCE

Part: TypeAlias = dict[str, list[Any]]
Form: TypeAlias = Literal["csv", "tsv", "ndjson", "parquet"]

_SUFFIXES: dict[str, Form] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
}
_LONGEST_FIELD = 1_000_000
_UNREADABLE = (csv.Error, UnicodeError, EOFError, zlib.error, OSError)


def form_of(path: Path) -> Form:
    """The form of a table by the end of its name; PanelRefused for another one."""
    suffixes = [each.lower() for each in path.suffixes if each.lower() != ".gz"]
    found = _SUFFIXES.get(suffixes[-1]) if suffixes else None
    if found is None:
        raise PanelRefused(f"{path.name} ends in none of {', '.join(_SUFFIXES)}, so its form is not known.")
    return found


class TableReader(Struct, frozen=True):
    """A table that was opened: the names of its columns, and its rows in parts, of which each column is a list."""

    columns: tuple[str, ...]
    _rows: Iterator[Any]
    _form: Form

    def parts(self, wanted: Sequence[str]) -> Iterator[Part]:
        """The wanted columns of the rows, at most 20,000 rows at a time; read once."""
        while taken := list(islice(self._rows, AT_ONCE)):
            if self._form == "ndjson":
                yield {name: [row.get(name) for row in taken] for name in wanted}
            else:
                places = {name: self.columns.index(name) for name in wanted}
                yield {name: [row[place] for row in taken] for name, place in places.items()}


@contextmanager
def open_table(path: Path, form: Form | None = None) -> Iterator[TableReader]:
    """The table in this file, or on standard input where it is called `-`, whose form has to be said.

    Raises:
        PanelRefused: the file is not there, has no rows or another form than it is said to have.
    """
    if str(path) == "-":
        if form is None or form == "parquet":
            raise PanelRefused("Standard input has no name: say its form with --from csv or --from ndjson.")
        with _stream(sys.stdin.buffer, form, "standard input") as table:
            yield table
        return
    if not path.is_file():
        raise PanelRefused(f"{path} is not there.")
    form = form or form_of(path)
    if form == "parquet":
        with duckdb_connection() as connection:
            yield _of_parquet(connection, path)
        return
    with path.open("rb") as file, _stream(_unpacked(file), form, path.name) as table:
        yield table


@contextmanager
def _stream(stream: IO[bytes], form: Form, name: str) -> Iterator[TableReader]:
    if form == "ndjson":
        yield _of_ndjson(stream, name)
        return
    # It closes nothing: what opened the stream does.
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    try:
        yield _of_text(text, form, name)
    finally:
        text.detach()


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    """The file, unpacked where it begins as gzip does, whatever its name says."""
    begins = file.read(2)
    file.seek(0)
    return cast(IO[bytes], gzip.GzipFile(fileobj=file)) if begins == b"\x1f\x8b" else file


def _of_text(text: io.TextIOWrapper, form: Form, name: str) -> TableReader:
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(text, delimiter="\t" if form == "tsv" else ",")
    try:
        header = next(reader, None)
    except _UNREADABLE as error:
        raise PanelRefused(f"{name} cannot be read as text in UTF-8, packed with gzip or not.") from error
    if not header:
        raise PanelRefused(f"{name} has no header, so nothing says what its columns are.")
    columns = tuple(column.strip() for column in header)
    if len(columns) == 1 and any(sign in columns[0] for sign in ";\t|"):
        raise PanelRefused(f"{name} has one column, {columns[0][:40]!r}: separate its columns by commas.")
    return TableReader(columns, _complete(reader, len(columns), name), "csv")


def _complete(reader: Any, columns: int, name: str) -> Iterator[list[str]]:
    try:
        for row in reader:
            if len(row) == columns:
                yield row
            elif row:
                raise PanelRefused(f"{name}, line {reader.line_num}: {len(row)} fields where the header has {columns}.")
    except _UNREADABLE as error:
        raise PanelRefused(
            f"{name} cannot be read after line {reader.line_num}: it breaks off or is no CSV."
        ) from error


def _of_ndjson(stream: IO[bytes], name: str) -> TableReader:
    rows = _objects(stream, name)
    first = list(islice(rows, AT_ONCE))
    if not first:
        raise PanelRefused(f"{name} has no rows.")
    columns = tuple(dict.fromkeys(key for row in first for key in row))
    return TableReader(columns, chain(first, rows), "ndjson")


def _objects(stream: IO[bytes], name: str) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(_lines(stream, name), 1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise PanelRefused(f"{name}, line {number}: not JSON.") from error
        if not isinstance(row, dict):
            raise PanelRefused(f"{name}, line {number}: no object with the values of one row.")
        yield row


def _lines(stream: IO[bytes], name: str) -> Iterator[bytes]:
    try:
        yield from stream
    except _UNREADABLE as error:
        raise PanelRefused(f"{name} breaks off: it cannot be unpacked to its end.") from error


def duckdb_connection() -> Any:
    """A connection to an empty database in memory; PanelRefused names the extra where DuckDB is not installed."""
    try:
        import duckdb
    except ModuleNotFoundError as error:
        raise PanelRefused("This needs DuckDB, which is not installed: pip install cds-hooks-onnx[panel].") from error
    return duckdb.connect()


def _of_parquet(connection: Any, path: Path) -> TableReader:
    try:
        found = connection.execute("SELECT * FROM read_parquet(?)", [str(path)])
    except Exception as error:  # DuckDB's errors have no common class that can be named without importing it
        raise PanelRefused(f"{path.name} cannot be read as Parquet.") from error
    columns = tuple(column[0] for column in found.description)

    def rows() -> Iterator[Any]:
        while taken := found.fetchmany(AT_ONCE):
            yield from taken

    return TableReader(columns, rows(), "parquet")
