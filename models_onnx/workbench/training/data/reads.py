"""What a declaration reads from a table, found by shuffling each column in turn, whatever the declaration calls it."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.patient import Age, Sex
from models_onnx.errors import TrainingRefused
from models_onnx.spec import ModelSpec
from models_onnx.workbench.training.data.cohort import Cohort, input_column
from models_onnx.workbench.training.data.follow_up import observe
from models_onnx.workbench.training.data.leaks import separates

Array = NDArray[np.float64]
_SEED = 20260101
# Rows whose columns are shuffled: enough that every value of a small group is among them.
_ROWS = 4000


@dataclass(frozen=True, slots=True)
class Reads:
    """What the declaration reads: the inputs that are read from each column, and the columns behind the outcome."""

    inputs: Mapping[str, list[str]]
    outcome: frozenset[str]
    columns: tuple[str, ...]
    some: pd.DataFrame
    """The rows whose columns were shuffled."""

    @classmethod
    def of(cls, spec: ModelSpec, cohort: Cohort) -> Self:
        """Read the inputs of some rows again and again, each time with one column of the table shuffled."""
        rows = some_of(cohort.rows)
        columns = [str(name) for name in rows.columns if name != spec.fold_column]
        inputs: dict[str, list[str]] = {}
        for item in spec.inputs:
            for column in read_by(partial(input_column, spec, item.name, is_checked=False), rows, columns):
                inputs.setdefault(column, []).append(item.name)
        return cls(inputs, frozenset(_behind_outcome(spec, rows, columns)), tuple(columns), rows)


def _behind_outcome(spec: ModelSpec, rows: pd.DataFrame, columns: Iterable[str]) -> set[str]:
    period = np.ones(len(rows), dtype=np.bool_)

    def seen(table: pd.DataFrame) -> Array:
        try:
            observed = observe(spec.outcome, table, period)
        except TrainingRefused:  # shuffled, a row has the event and the competing one: the column is read
            return np.full((len(table), 3), np.nan)
        return np.column_stack([observed.y, observed.years, observed.event])

    follow_up = spec.outcome.follow_up
    strata = (
        read_by(follow_up.strata, rows, columns) if follow_up is not None and follow_up.strata is not None else set()
    )
    return read_by(seen, rows, columns) - strata


class _Watched:
    """A table that remembers which of its columns were asked for, and whether anything but columns was."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self._rows = rows
        self.asked: set[str] = set()
        self.is_opaque = False

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            self.asked.add(key)
        elif isinstance(key, list):
            self.asked.update(map(str, key))
        else:
            self.is_opaque = True
        return self._rows[key]

    def __getattr__(self, name: str) -> Any:
        self.is_opaque = True
        return getattr(self._rows, name)


def read_by(function: Callable[[Any], Any], rows: pd.DataFrame, columns: Iterable[str]) -> set[str]:
    """Return the columns that change what the function gives; only those it asks for are tried, if that can be seen."""
    watched = _Watched(rows)
    try:
        before = _comparable(function(watched))
        tried = set(columns) if watched.is_opaque else watched.asked & set(columns)
    except (KeyError, TypeError, AttributeError, ValueError):
        before, tried = _comparable(function(rows)), set(columns)
    return {name for name in tried if _comparable(function(_shuffled(rows, name))) != before}


def _comparable(answers: Any) -> bytes:
    values = np.asarray(answers if not isinstance(answers, pd.Series) else answers.astype(object).fillna("").to_numpy())
    return values.tobytes() if values.dtype != object else repr(values.tolist()).encode()


def some_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows evenly from the table, as many as are shuffled."""
    return rows.iloc[np.linspace(0, len(rows) - 1, min(_ROWS, len(rows))).astype(int)]


def _shuffled(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    order = np.random.default_rng(_SEED).permutation(len(rows))
    return rows.assign(**{name: rows[name].iloc[order].array})


Figures = dict[str, Any]
# Columns that may be behind no input, whatever the specification calls them (45 CFR 92.210; README of the tables).
PROTECTED = re.compile(r"race|ethnic|language|religio|payer|insur|income|poverty|education", re.IGNORECASE)
# An input that tells a protected group from the others as well as this stands for it.
PROXY = 0.9
_LEAST_GROUP = 50
# Columns whose groups are judged under these names of axes: an axis of another name would be judged by less.
_AXES = {
    "race": re.compile("race|ethnic", re.IGNORECASE),
    "sex": re.compile(r"(?:^|_)(?:sex|gender)(?:_|$)", re.IGNORECASE),
    "age": re.compile(r"(?:^|_)age(?:_|$)", re.IGNORECASE),
}


@dataclass(frozen=True, slots=True)
class TracedGroups:
    """What an axis does not say: `smuggled` are sentences on inputs that stand for a protected group.

    `unnamed` are columns of race, sex or age for which the specification has no axis of fairness of that name.
    """

    smuggled: tuple[str, ...]
    unnamed: tuple[str, ...]


def traced_groups(spec: ModelSpec, cohort: Cohort, reads: Reads) -> TracedGroups:
    """Return which groups inputs read or tell, and which columns no axis is read from."""
    axes = {axis: read_by(column_of, reads.some, reads.columns) for axis, column_of in spec.subgroups.items()}
    smuggled = (*_smuggled(reads.inputs, axes), *_proxies(spec, cohort))
    return TracedGroups(smuggled, tuple(_unnamed(axes, reads.columns, cohort.rows)))


def _unnamed(axes: Mapping[str, set[str]], columns: Iterable[str], rows: pd.DataFrame) -> Iterator[str]:
    """Columns of race, sex or age that no axis of that name is read from, whatever other axes are called.

    A column of race or ethnicity in which nothing is recorded makes no groups.
    """
    for kind, pattern in _AXES.items():
        prefixes = ("race", "ethnic") if kind == "race" else (kind,)
        covered = {column for axis, columns in axes.items() if axis.lower().startswith(prefixes) for column in columns}
        there = [name for name in columns if pattern.search(name)]
        if kind == "race":
            yield from (name for name in there if name not in covered and _is_recorded(rows[name]))
        elif there and not covered & set(there):
            yield there[0]


def _is_recorded(column: pd.Series) -> bool:
    return bool((column.dropna().astype(str).str.strip() != "").any())


def _smuggled(inputs: Mapping[str, list[str]], axes: Mapping[str, set[str]]) -> Iterator[str]:
    behind = {column: axis for axis, columns in axes.items() for column in columns}
    for column, read in inputs.items():
        axis = behind.get(column, "")
        if not PROTECTED.search(column) and not PROTECTED.search(axis):
            read = [name for name in read if _may_not_read(name, axis)]
        if read:
            yield f"{', '.join(read)} is read from {column}{f', which makes the axis {axis}' if axis else ''}"


def _may_not_read(name: str, axis: str) -> bool:
    """Return whether an input of another kind reads the column of sex or age; other axes are no protected group."""
    feature = FEATURES.get(name)
    if axis.startswith("sex"):
        return not isinstance(feature, Sex)
    return axis.startswith("age") and not isinstance(feature, Age)


def _proxies(spec: ModelSpec, cohort: Cohort) -> Iterator[str]:
    for axis, column_of in spec.subgroups.items():
        if not PROTECTED.search(axis):
            continue
        group = column_of(cohort.rows).to_numpy(dtype=object)
        for value in sorted({str(member) for member in group if not pd.isna(member)}):
            is_member = np.array([str(member) == value for member in group])
            if is_member.sum() < _LEAST_GROUP or (~is_member).sum() < _LEAST_GROUP:
                continue
            for position, name in enumerate(cohort.features):
                separation = separates(cohort.X[:, position], is_member.astype(np.int64))
                if separation >= PROXY:
                    yield f"{name} tells {value} of the axis {axis} from the others (AUROC {separation:.2f})"
