"""Reads tables in parts: CSV and NDJSON (gzip too) and standard input with nothing installed, Parquet by DuckDB.

A part has at most 20,000 rows, so memory does not grow with the table.
"""

import csv
import gzip
import io
import json
import re
import sys
import zlib
from codecs import BOM_UTF8
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
_GLOB_SIGN = re.compile(r"([*?\[])")


def form_of(path: Path) -> Form:
    """Returns the form of a table by the end of its name; PanelRefused for another one."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    form = _SUFFIXES.get(suffixes[-1]) if suffixes else None
    if form is None:
        raise PanelRefused(f"{path.name} ends in none of {', '.join(_SUFFIXES)}, so its form is not known.")
    return form


class TableReader(Struct, frozen=True):
    """A table that was opened: the names of its columns, and its rows in parts, of which each column is a list."""

    columns: tuple[str, ...]
    _rows: Iterator[Any]
    _form: Form

    def parts(self, wanted: Sequence[str], would_matter: frozenset[str] = frozenset()) -> Iterator[Part]:
        """Yields the wanted columns of the rows, at most 20,000 rows at a time; read once.

        Raises:
            PanelRefused: a later row of NDJSON has a name that would have mattered and that no row of the first 20,000
                has, by which the columns are known.
        """
        would_matter -= set(self.columns)
        while rows := list(islice(self._rows, AT_ONCE)):
            if self._form == "ndjson":
                if late := sorted(would_matter.intersection(set().union(*rows))):
                    raise PanelRefused(
                        f"{late[0]!r} comes only after the first {AT_ONCE:,} rows, by which the columns are known: "
                        "write it in the first row too, as null where nothing is known."
                    )
                yield {name: [row.get(name) for row in rows] for name in wanted}
            else:
                places = {name: self.columns.index(name) for name in wanted}
                yield {name: [row[index] for row in rows] for name, index in places.items()}


@contextmanager
def open_table(path: Path, form: Form | None = None) -> Iterator[TableReader]:
    """Yields the table in this file, or on standard input where it is called `-`, whose form has to be said.

    Raises:
        PanelRefused: the file is not there, has no rows or another form than it is said to have.
    """
    if str(path) == "-":
        if form is None or form == "parquet":
            raise PanelRefused("Standard input has no name: say its form with --from csv or --from ndjson.")
        given = io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer))
        try:
            with _stream(_unpacked(given, given.peek(2)[:2]), form, "standard input") as table:
                yield table
        finally:
            given.detach()  # it would close standard input
        return
    if not path.is_file():
        raise PanelRefused(f"{path} is not there.")
    form = form or form_of(path)
    if form == "parquet":
        with duckdb_connection() as connection:
            yield _of_parquet(connection, path)
        return
    with path.open("rb") as file, _stream(_unpacked(file, file.peek(2)[:2]), form, path.name) as table:
        yield table


@contextmanager
def _stream(stream: IO[bytes], form: Form, name: str) -> Iterator[TableReader]:
    if form == "ndjson":
        yield _of_ndjson(stream, name)
        return
    # It closes nothing: what opened the stream does.
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    limit_before = csv.field_size_limit(_LONGEST_FIELD)  # of the whole process
    try:
        yield _of_text(text, form, name)
    finally:
        csv.field_size_limit(limit_before)
        text.detach()


def _unpacked(file: IO[bytes], begins: bytes) -> IO[bytes]:
    """Returns the file, unpacked where it begins as gzip does, whatever its name says."""
    return cast(IO[bytes], gzip.GzipFile(fileobj=file)) if begins == b"\x1f\x8b" else file


def _of_text(text: io.TextIOWrapper, form: Form, name: str) -> TableReader:
    reader = csv.reader(text, delimiter="\t" if form == "tsv" else ",")
    try:
        header = next(reader, None)
    except _UNREADABLE as error:
        raise PanelRefused(
            f"{name} cannot be read as text in UTF-8, packed with gzip or not: save it as CSV in UTF-8."
        ) from error
    if not header:
        raise PanelRefused(f"{name} has no header, so nothing says what its columns are.")
    columns = tuple(column.strip() for column in header)
    if columns[0][:1] in ("{", "["):
        raise PanelRefused(f"{name} begins as JSON does: with one object on each line it is read by --from ndjson.")
    if len(columns) == 1 and any(sign in columns[0] for sign in ";\t|"):
        raise PanelRefused(f"{name} has one column, {columns[0][:40]!r}: separate its columns by commas.")
    return TableReader(columns, _complete(reader, len(columns), name), "csv")


def _complete(reader: Any, columns: int, name: str) -> Iterator[list[str]]:
    before = reader.line_num
    try:
        for row in reader:
            if len(row) == columns:
                yield row
            elif row:
                raise PanelRefused(_wrong_row(name, before + 1, reader.line_num, len(row), columns))
            before = reader.line_num
    except UnicodeError as error:
        raise PanelRefused(
            f"{name} is not in UTF-8 somewhere after line {reader.line_num}: save the whole file in UTF-8."
        ) from error
    except _UNREADABLE as error:
        raise PanelRefused(
            f"{name} cannot be read after line {reader.line_num}: it breaks off or is no CSV."
        ) from error


def _wrong_row(name: str, first: int, last: int, fields: int, columns: int) -> str:
    if last > first:
        return (
            f"{name}, lines {first} to {last} are read as one row of {fields} fields, where the header has {columns}: "
            f'a quotation mark (") that opens in line {first} is not closed there.'
        )
    return f"{name}, line {last}: {fields} fields where the header has {columns}."


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
            row = orjson.loads(line.removeprefix(BOM_UTF8) if number == 1 else line)
        except orjson.JSONDecodeError as error:
            raise PanelRefused(
                f"{name}, line {number}: not JSON. NDJSON has one whole object on each line, in UTF-8, and null where "
                "a value is missing (NaN is not JSON)."
            ) from error
        if not isinstance(row, dict):
            raise PanelRefused(
                f"{name}, line {number}: no object with the values of one row. NDJSON has one object on each line, "
                "without a list around them."
            )
        if line.count(b":") > len(row) and (twice := _named_twice(line)):
            raise PanelRefused(
                f"{name}, line {number}: {twice[:40]!r} is there twice, so which value counts is not known."
            )
        yield row


def _named_twice(line: bytes) -> str:
    """Returns a name that an object of the line has twice; empty where there is none."""
    twice: list[str] = []

    def once(members: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in members]
        twice.extend(name for name in names if names.count(name) > 1)
        return dict(members)

    json.loads(line.decode("utf-8-sig"), object_pairs_hook=once)
    return twice[0] if twice else ""


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
        # The file of this very name: not those that its signs stand for, and no columns from the names of its folders.
        name = _GLOB_SIGN.sub(r"[\1]", str(path))
        execute = connection.execute("SELECT * FROM read_parquet(?, hive_partitioning = false)", [name])
    except Exception as error:  # DuckDB's errors have no common class that can be named without importing it
        raise PanelRefused(f"{path.name} cannot be read as Parquet.") from error
    columns = tuple(column[0] for column in execute.description)

    def rows() -> Iterator[Any]:
        while fetchmany := execute.fetchmany(AT_ONCE):
            yield from fetchmany

    return TableReader(columns, rows(), "parquet")
