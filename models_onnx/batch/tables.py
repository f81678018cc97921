"""Reads tables by DuckDB: CSV and TSV (gzip too) and Parquet, as Arrow batches in the order of the file.

CSV is read as texts, which `columns.py` judges; a batch has at most 20,000 rows, so memory does not grow
with the table. A view, a SELECT from `rows`, says what the columns of a table mean: other names, codings, units by a
function of each measured input (`bun_mg_dl(urea, 'mmol/L')`), and NULL or false for what the table does not have. What
DuckDB says of a fault shows the line, which may hold a person: only its number is repeated.
"""

import csv
import gzip
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from fhir.mapping.features.catalog import FEATURES
from fhir.terminology.analytes import Conversion
from fhir.terminology.plain_file import LongLine, bounded_lines, is_packed, unreadable
from models_onnx.batch.columns import ROWS_AT_ONCE, arrow
from models_onnx.batch.plan import view_with
from models_onnx.errors import BatchRefused

Source: TypeAlias = tuple[str, list[Any], tuple[str, ...]]
"""What is selected from, with its parameters, and its columns."""

_FORMS = (".csv", ".tsv", ".parquet")
_GLOB_SIGN = re.compile(r"([*?\[])")
_LINE = re.compile(r"[Ll]ine:? (\d+)")
_LONGEST_LINE = 2_000_000
_NUMBERS = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL.*)")
_NO_VALUES = re.compile(r".*(\[\d*\]|STRUCT|MAP|UNION|BLOB|BIT).*")


def _database() -> Any:
    """Return a connection to a database in memory, with bounded memory.

    Raises:
        BatchRefused: DuckDB or pyarrow is not installed; the sentence names the extra.
    """
    try:
        import duckdb
    except ModuleNotFoundError as error:
        raise BatchRefused("This needs DuckDB, which is not installed: pip install cds-hooks-onnx[batch].") from error
    arrow()
    settings = {"threads": 1, "memory_limit": "200MB", "preserve_insertion_order": True}
    return duckdb.connect(config=settings)


@contextmanager
def _faults_of(name: str) -> Iterator[None]:
    """Turn what DuckDB says of a file into BatchRefused with the number of the line, and nothing of its content."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        line = _LINE.search(str(error))
        where = f"{name}, line {line[1]}" if line is not None else name
        raise BatchRefused(
            f"{where}: cannot be read. A table is in UTF-8, with one header and as many fields in each line; a packed "
            "file is complete. In a view, TRY_CAST leaves blank what is no number."
        ) from error


class Table:
    """A table that was opened: the names of its columns, and its rows."""

    def __init__(self, name: str, connection: Any, source: Source) -> None:
        self.name, self._connection = name, connection
        self._from, self._parameters, self.columns = source

    def batches(self, wanted: Sequence[str]) -> Iterator[Any]:
        """Yield the wanted columns as Arrow batches in the order of the rows."""
        chosen = ", ".join(f"{self._value(name)} AS {_quoted(name)}" for name in wanted)
        with _faults_of(self.name):
            yield from self._select(chosen).to_arrow_reader(ROWS_AT_ONCE)

    def _select(self, chosen: str) -> Any:
        return self._connection.sql(f"SELECT {chosen} FROM {self._from}", params=self._parameters)  # noqa: S608 - quoted

    def _value(self, name: str) -> str:
        (kind,) = self._select(_quoted(name)).types
        if _NO_VALUES.fullmatch(str(kind)):
            raise BatchRefused(f"The column {name} holds lists, structures or bytes, not values.")
        return f"CAST({_quoted(name)} AS {'DOUBLE' if _NUMBERS.fullmatch(str(kind)) else 'VARCHAR'})"


@contextmanager
def open_table(path: Path, view: str = "", features: Sequence[str] = ()) -> Iterator[Table]:
    """Yield the table in this file, as the view shows it where there is one; it has the units of these features.

    Raises:
        BatchRefused: the file is not there, has no rows or another form than its name says, or the view is wrong.
    """
    if not path.is_file():
        raise BatchRefused(f"{unreadable(path)}.")
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    if not suffixes or suffixes[-1] not in _FORMS:
        raise BatchRefused(f"{path.name} must end in one of {', '.join(_FORMS)}.")
    form = suffixes[-1]
    with _database() as connection, _faults_of(path.name):
        source = _parquet(connection, path) if form == ".parquet" else _text(path, form)
    with _database() as connection:
        yield Table(path.name, connection, _viewed(connection, source, view, features, path) if view else source)


def viewed(table: Any, view: str, features: Sequence[str]) -> Any:
    """Return what a view makes of an Arrow table, a frame of pandas or polars, or columns by name.

    Raises:
        BatchRefused: the view is wrong.
    """
    rows = arrow().table(table)
    with _database() as connection:
        connection.register("given_rows", rows)
        source = _viewed(connection, ("given_rows", [], tuple(rows.schema.names)), view, features)
        with _faults_of("the table"):
            return connection.sql(f"SELECT * FROM {source[0]}").to_arrow_table()  # noqa: S608 - the user's own


def _viewed(connection: Any, source: Source, view: str, features: Sequence[str], path: Path | None = None) -> Source:
    """Return what a view shows of a source; what DuckDB says of a wrong one names its words, and no value.

    A view reads no other file than this one, and nothing from the network.
    """
    import duckdb

    for feature in map(FEATURES.__getitem__, features):
        if feature.measured is not None:
            connection.execute(_unit_macro(feature.name, feature.measured.units))
    readable = ", ".join(map(_sql_text, (str(path), _literal(path)))) if path is not None else ""
    connection.execute(f"SET allowed_paths = [{readable}]")
    connection.execute("SET enable_external_access = false")
    rows, parameters, _ = source
    with _faults_of(path.name if path is not None else "the table"):
        connection.sql(f"SELECT * FROM {rows}", params=parameters).create_view("rows")  # noqa: S608 - our own text
        try:
            statements = connection.extract_statements(view)
            if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
                raise BatchRefused("The view cannot be used: it is one SELECT from rows.")
            columns = tuple(connection.sql(view).columns)
        except (
            duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.PermissionException
        ) as error:  # fmt: skip
            raise BatchRefused(f"The view cannot be used: {str(error).partition(chr(10) * 2)[0]}") from None
    names = [name.lower() for name in columns]
    if twice := [name for name in columns if names.count(name.lower()) > 1]:
        replacing = view_with(twice[0], "...")
        raise BatchRefused(
            f"The view has two columns called {twice[0]!r}. To change a column of the table: {replacing}."
        )
    return f"({view.strip().rstrip(';')}\n)", [], columns


def _unit_macro(name: str, units: Mapping[str, Conversion]) -> str:
    """Return the function of a view that converts a value of this input; one in a unit that is not known stays a text.

    Such a text is no number, so it is counted among what was not used, and never scored.
    """
    number = "TRY_CAST(value AS DOUBLE)"
    cases = " ".join(
        f"WHEN {_sql_text(_plain_unit(unit))} THEN CAST({number} * {to.factor!r} + {to.offset!r} AS VARCHAR)"
        for unit, to in sorted(units.items())
    )
    text = "CAST(value AS VARCHAR)"
    converted = f"CASE {_PLAIN_UNIT} {cases} ELSE {text} || ' in another unit' END"
    is_number = f"{number} IS NOT NULL AND NOT contains({text}, '_')"
    return f"CREATE MACRO {_quoted(name)}(value, unit) AS CASE WHEN {is_number} THEN {converted} ELSE {text} END"


_PLAIN_UNIT = "translate(lower(trim(CAST(unit AS VARCHAR))), 'μµ', 'uu')"


def _plain_unit(unit: str) -> str:
    """Write a unit as `_PLAIN_UNIT` does."""
    return unit.lower().replace("μ", "u").replace("µ", "u")


def _sql_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _text(path: Path, form: str) -> Source:
    sign = "\t" if form == ".tsv" else ","
    columns = _header(path, sign)
    if len(columns) == 1 and any(sign in columns[0] for sign in ";\t|"):
        raise BatchRefused(f"{path.name} has one column, {columns[0][:40]!r}: separate its columns by commas.")
    names = dict.fromkeys(columns, "VARCHAR")
    options = "header = true, delim = ?, quote = '\"', escape = '\"', auto_detect = false, max_line_size = ?"
    options += ", hive_partitioning = false"
    return (
        f"read_csv(?, columns = ?, compression = ?, {options})",
        [_literal(path), names, "gzip" if is_packed(path) else "none", sign, _LONGEST_LINE],
        columns,
    )


def _header(path: Path, sign: str) -> tuple[str, ...]:
    opened = gzip.open if is_packed(path) else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as text:
            header = next(csv.reader(bounded_lines(text.readline, path.name, _LONGEST_LINE), delimiter=sign), None)
    except LongLine as error:
        raise BatchRefused(f"{error}.") from error
    except (UnicodeError, EOFError, OSError, csv.Error) as error:
        raise BatchRefused(
            f"{path.name} cannot be read as text in UTF-8, packed with gzip or not: save it as CSV in UTF-8."
        ) from error
    if not header:
        raise BatchRefused(f"{path.name} has no header, so nothing says what its columns are.")
    return tuple(column.strip() for column in header)


def _parquet(connection: Any, path: Path) -> Source:
    source = "read_parquet(?, hive_partitioning = false)"
    columns = connection.sql(f"SELECT * FROM {source}", params=[_literal(path)]).columns  # noqa: S608 - our own text
    return source, [_literal(path)], tuple(columns)


def _literal(path: Path) -> str:
    """Return the file of this very name for DuckDB: not those that its signs stand for."""
    return _GLOB_SIGN.sub(r"[\1]", str(path))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
