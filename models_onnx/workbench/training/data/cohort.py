"""Reads a training table and leaves out whom the specification leaves out, counting each step."""

import hashlib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fhir.mapping.features.catalog import FEATURES
from fhir.terminology.plain_file import is_packed, refuse_long_lines, unreadable
from models_onnx.artifact.manifest import CohortStep
from models_onnx.errors import TrainingRefused
from models_onnx.spec import ModelSpec
from models_onnx.workbench.training.data.follow_up import Observed, observe

_FOLDS = 5


@dataclass(frozen=True, slots=True)
class Table:
    """A training table as read, with the digest of its bytes."""

    name: str
    sha256: str
    rows: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Cohort:
    """Inputs X [n, F] with NaN, what was observed, fold and the rows' other columns, in the table's order.

    `patient` numbers the patients, of whom one may have several rows; `recent` marks the reference cohort.
    """

    features: tuple[str, ...]
    X: NDArray[np.float64]
    observed: Observed
    fold: NDArray[np.int64]
    recent: NDArray[np.bool_]
    patient: NDArray[np.int64]
    rows: pd.DataFrame
    table_rows: int
    left_out: tuple[CohortStep, ...]

    def __len__(self) -> int:
        return len(self.fold)

    @property
    def y(self) -> NDArray[np.int64]:
        """Whether the outcome happened within the horizon, as far as it was seen."""
        return self.observed.y

    @property
    def weight(self) -> NDArray[np.float64]:
        """How many people each row stands for; 0 where its outcome is not known."""
        return self.observed.weight

    @property
    def unfollowed(self) -> NDArray[np.bool_]:
        """The rows that no figure counts, because too few of those alike were followed to the horizon."""
        return self.observed.unfollowed

    def content(self) -> pd.DataFrame:
        """Return inputs, outcome and time: what tells of people, without what names them."""
        return pd.DataFrame(np.column_stack([self.X, self.y, self.observed.years]))


def read_table(spec: ModelSpec, data_folder: Path) -> Table:
    """Read the table the specification names, from `tabular` in the folder or the folder; TrainingRefused without."""
    path = data_folder / "tabular" / spec.table
    if not path.is_file():
        path = data_folder / spec.table
    if not path.is_file():
        raise TrainingRefused(
            f"{spec.table} is neither in {data_folder} nor in {data_folder / 'tabular'}; give the data folder with "
            "--data or CDS_DATA_DIR"
        )
    return Table(spec.table, hashlib.sha256(path.read_bytes()).hexdigest(), read_rows(spec, path))


def read_rows(spec: ModelSpec, path: Path, as_it_is: bool = False) -> pd.DataFrame:
    """Return a table of the specification's form; codes and keys stay text, and `as_it_is` texts among numbers too."""
    if not path.is_file():
        raise TrainingRefused(unreadable(path))
    how: dict[str, Any] = {"dtype": dict.fromkeys(_keys(spec), str), "low_memory": False}
    if spec.text:
        how = {"dtype": str, "keep_default_na": False}
    return (_with_keys if as_it_is else _compact)(spec, read_csv(path, how))


def read_csv(path: Path, how: dict[str, Any]) -> pd.DataFrame:
    """Return a table, read as `how` says to pandas; TrainingRefused where it is none."""
    try:
        refuse_long_lines(path)
        how["compression"] = "gzip" if is_packed(path) else None if path.suffix == ".gz" else "infer"
        top = partial(pd.read_csv, path, header=None, dtype=str, compression=how["compression"])
        header = top(nrows=1).iloc[0].dropna().tolist()
        if header and (not header[0].isprintable() or header[0].startswith(("{", "[", "PK"))):
            raise TrainingRefused(
                f"{path.name} is not a CSV file: a table is read from text with commas between its cells"
            )
        if len(header) == 1 and (separator := next((mark for mark in ";\t|" if mark in header[0]), None)):
            raise TrainingRefused(
                f"{path.name} has one column, {header[0][:40]!r}: its columns are separated by {separator!r}, and are "
                "read where commas separate them (in Python: pandas.read_csv(name, sep=None).to_csv(name, index=False))"
            )
        if len(set(header)) < len(header):
            twice = next(name for name in header if header.count(name) > 1)
            raise TrainingRefused(f"{path.name} has the column {twice!r} twice: nobody can say which of them is meant")
        # pandas refuses a header with fewer cells than the row beneath only here; else it shifts its columns
        if len(top(nrows=2)) == 1:
            raise TrainingRefused(f"{path.name} has no row beneath its header")
        # copied, because a table as it was read has each column by itself: to leave rows out of 100,000 columns then
        # took 5 seconds for each exclusion
        return pd.read_csv(path, **how).copy()
    except UnicodeDecodeError as problem:
        raise TrainingRefused(f"{path.name} is not in UTF-8: save it as CSV in UTF-8") from problem
    except (ValueError, OSError, EOFError, zlib.error) as problem:
        raise TrainingRefused(f"{path.name} cannot be read as a table: {str(problem).strip()}") from problem


def texts_among_numbers(spec: ModelSpec, rows: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Columns that hold numbers by most of what is in them, each with the texts between them, which count as missing.

    Without this one text would make a whole column text, and change how everybody else is read.
    """
    texts_by_column = {}
    columns = () if spec.text else rows.select_dtypes(exclude=["number", "bool"]).columns.difference(_keys(spec))
    for name in columns:
        values = rows[name].dropna()
        texts = values[pd.to_numeric(values, errors="coerce").isna()]
        if len(texts) * 2 < len(values):
            texts_by_column[str(name)] = tuple(map(str, texts))
    return texts_by_column


def without_texts(rows: pd.DataFrame, texts: Mapping[str, tuple[str, ...]]) -> pd.DataFrame:
    """Return the rows with those columns as numbers, NaN where a text was."""
    return rows.assign(**{name: pd.to_numeric(rows[name], errors="coerce") for name in texts})


def _with_keys(spec: ModelSpec, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with an empty text for each empty key, which pandas reads as a number."""
    return rows.assign(**{name: rows[name].fillna("") for name in _keys(spec) if name in rows.columns})


def _compact(spec: ModelSpec, rows: pd.DataFrame) -> pd.DataFrame:
    """Texts as categories: each is looked at once, however often it stands in the table."""
    if not spec.text:
        rows = _with_keys(spec, rows)
        return without_texts(rows, texts_among_numbers(spec, rows))
    return rows.astype({name: "category" for name in rows.columns if name not in _keys(spec)})


def build_cohort(spec: ModelSpec, table: pd.DataFrame) -> Cohort:
    """Return the rows that are left, as inputs and outcome; refuse a table that lacks a column or has a row twice."""
    _refuse_unusable(spec, table)
    if leaks := inputs_from_forbidden_columns(spec, table):
        columns = ", ".join(name for name in spec.never_inputs if name in table.columns)
        raise TrainingRefused(f"{spec.id}: {', '.join(leaks)} is read from a column that no input may be ({columns})")
    rows, left_out = table, []
    for exclusion in spec.exclusions:
        answers = _read(spec, f"the exclusion {exclusion.reason!r}", exclusion.leaves_out, rows)
        out = np.asarray(answers, dtype=bool)
        left_out.append(CohortStep(exclusion.reason, exclusion.words, int(out.sum())))
        rows = rows[~out]
    if rows.empty:
        raise TrainingRefused(f"{spec.table} has no row that the exclusions leave; there were {len(table)}")
    for axis, column_of in spec.subgroups.items():
        _read(spec, f"the subgroup {axis!r}", column_of, rows)
    inputs = inputs_of(spec, rows)
    for name, x in zip(spec.feature_names, inputs.T, strict=True):
        if (shifted := column_in_another_unit(name, x)) is not None:
            raise TrainingRefused(f"{spec.table}: {shifted}")
        if np.isnan(x).all() and spec.fold_column in rows.columns:
            raise TrainingRefused(why_empty(spec, name, rows))
    everybody = np.ones(len(rows), dtype=bool)
    recent = everybody if spec.recalibration is None else np.asarray(spec.recalibration.rows(rows), dtype=bool)
    patient = pd.factorize(rows[spec.patient_column])[0].astype(np.int64)
    # in a table without folds the patients go into them in turn
    has_folds = spec.fold_column in rows.columns
    fold = np.asarray(rows[spec.fold_column], dtype=np.int64) if has_folds else patient % _FOLDS
    return Cohort(
        features=spec.feature_names,
        X=without_implausible(spec, inputs),
        observed=observe(spec.outcome, rows, recent),
        fold=fold,
        recent=recent,
        patient=patient,
        rows=rows,
        table_rows=len(table),
        left_out=tuple(left_out),
    )


def inputs_of(spec: ModelSpec, rows: pd.DataFrame) -> NDArray[np.float64]:
    """Return the inputs [n, F] in the order declared, NaN where missing or no number; clipped where the study stops.

    A column that the table does not have at all is missing throughout.
    """
    columns = []
    for item in spec.inputs:
        column = input_column(spec, item.name, rows)
        columns.append(column if item.clip_high is None else np.minimum(column, item.clip_high))
    return np.column_stack(columns)


def without_implausible(spec: ModelSpec, X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without what the mapping would not believe at the bedside: nothing is learned from such a value."""
    low = np.array([FEATURES[name].plausible_low for name in spec.feature_names])
    high = np.array([FEATURES[name].plausible_high for name in spec.feature_names])
    with np.errstate(invalid="ignore"):
        return np.where((low > X) | (high < X), np.nan, X)


def inputs_from_forbidden_columns(spec: ModelSpec, rows: pd.DataFrame) -> list[str]:
    """Return the inputs that change when the columns are gone that know the outcome or stand for who pays."""
    present = [name for name in spec.never_inputs if name in rows.columns]
    if not present:
        return []
    inputs, blind = inputs_of(spec, rows), inputs_of(spec, rows.drop(columns=present))
    pairs = zip(spec.feature_names, inputs.T, blind.T, strict=True)
    return [name for name, a, b in pairs if not np.array_equal(a, b, equal_nan=True)]


def input_column(spec: ModelSpec, name: str, rows: pd.DataFrame) -> NDArray[np.float64]:
    """Return one input [n], NaN where it is missing or no number; missing throughout where the table lacks its column.

    Raises:
        TrainingRefused: its column holds something of another kind.
    """
    try:
        column = _read(spec, f"the input {name}", spec.derived.get(name, itemgetter(name)), rows)
    except AbsentColumn:
        return np.full(len(rows), np.nan)
    if isinstance(column.dtype, pd.CategoricalDtype):
        # One conversion per category: a text that is not a number becomes missing.
        numbers = np.append(np.asarray(pd.to_numeric(column.cat.categories, errors="coerce"), dtype=np.float64), np.nan)
        return np.asarray(numbers[column.cat.codes])
    return np.asarray(pd.to_numeric(column, errors="coerce"), dtype=np.float64)


def _keys(spec: ModelSpec) -> tuple[str, ...]:
    return (spec.patient_column, spec.key)


def _refuse_unusable(spec: ModelSpec, table: pd.DataFrame) -> None:
    needed = {item.name for item in spec.inputs if item.name not in spec.derived}
    needed |= {spec.patient_column, spec.key}
    needed |= {spec.outcome.column} if spec.outcome.of is None and spec.outcome.follow_up is None else set()
    needed |= {period.column for period in (spec.recalibration, spec.newest) if period is not None}
    if absent := sorted(needed - set(table.columns)):
        raise TrainingRefused(f"{spec.table} has no column {', '.join(absent)}")
    if table[spec.key].duplicated().any():
        raise TrainingRefused(
            f"{spec.table} has a {spec.key} twice: where a patient has several rows, name the column that numbers them "
            "(row)"
        )
    if spec.fold_column in table.columns and table.groupby(spec.patient_column)[spec.fold_column].nunique().max() > 1:
        raise TrainingRefused(f"{spec.table} has a {spec.patient_column} in two folds: folds are by patient")


Array = NDArray[np.float64]
# Of a column in its own unit hardly any value is implausible, of one in another unit most are.
_MOST = 0.5
_LEAST = 20


def column_in_another_unit(name: str, x: Array) -> str | None:
    """Say that most values of a feature's column are implausible; None where they are not, or are fewer than 20."""
    feature, values = FEATURES[name], x[~np.isnan(x)]
    if len(values) < _LEAST or not _outside(name, values) > _MOST:
        return None
    low, high = feature.plausible_low, feature.plausible_high
    return (
        f"{name}: {_outside(name, values):.0%} of its values are outside {low:g} to {high:g} {feature.unit}, their "
        f"middle is {float(np.median(values)):.4g}: is it another unit, or another column? Convert "
        f"the column to {feature.unit}, or declare the factor of the input"
    )


def _outside(name: str, values: Array) -> float:
    low, high = FEATURES[name].plausible_low, FEATURES[name].plausible_high
    return float(((values < low) | (values > high)).mean())


_SHOWN_COLUMNS = 40


class AbsentColumn(TrainingRefused):
    """The declaration reads a column that the table does not have."""


def _read(spec: ModelSpec, subject: str, function: Callable[[pd.DataFrame], Any], rows: pd.DataFrame) -> Any:
    """Return what a function of the declaration gives for the rows.

    Raises:
        TrainingRefused: it reads a column that is not there, or one of another kind, such as texts for numbers.
    """
    try:
        return function(rows)
    except KeyError as absent:
        raise AbsentColumn(
            f"{spec.id}: {subject} reads the column {absent}, which {spec.table} does not have"
        ) from absent
    except (TypeError, ValueError, AttributeError) as problem:  # its words may tell values
        raise TrainingRefused(
            f"{spec.id}: {subject} cannot be read from {spec.table}: {type(problem).__name__}. Are there texts in "
            "place of numbers?"
        ) from problem


def why_empty(spec: ModelSpec, name: str, rows: pd.DataFrame) -> str:
    """Write the sentence about an input for which no row has a number: what its column holds, or that it is absent."""
    try:
        values = spec.derived[name](rows) if name in spec.derived else rows[name]
    except KeyError as absent:
        where = f"{name} is read from the column {absent}, which {spec.table} does not have"
        columns = ", ".join(map(str, rows.columns[:_SHOWN_COLUMNS]))
        return f"{spec.id}: {where}; it has {columns}"
    texts = int(values.notna().sum())
    if not texts:
        return f"{spec.table}: no row has a number for {name}, all are blank; leave it out of the inputs"
    return (
        f"{spec.table}: no row has a number for {name}; {texts:,} of its values are texts. Declare the number of each "
        "(values), or leave it out of the inputs"
    )
