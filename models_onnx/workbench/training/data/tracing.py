"""From which columns of the table an input is read, found by shuffling each column in turn; and what knows the outcome.

A declaration names its derived inputs as it likes; what it reads is seen only by changing the table. The columns behind
the outcome and behind each axis of fairness are found in the same way, so a specification cannot leave them out.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.patient import Age, Sex
from models_onnx.errors import TrainingRefused
from models_onnx.spec import ColumnOf, ModelSpec
from models_onnx.workbench.training.data.cohort import Cohort, input_column
from models_onnx.workbench.training.data.follow_up import observe
from models_onnx.workbench.training.data.leaks import (
    after_horizon,
    alone,
    copied_people,
    fitted_at_once,
    losses_without,
    read_by_name_or_order,
    separates,
    telling_columns,
    too_good,
)
from models_onnx.workbench.training.seen_before import seen_before

Array = NDArray[np.float64]
# Rows whose columns are shuffled: enough that every value of a small group is among them.
_ROWS = 4000
_SEED = 20260101
# Columns that may be behind no input, whatever the specification calls them (45 CFR 92.210; README of the tables).
PROTECTED = re.compile(r"race|ethnic|language|religio|payer|insur|income|poverty|education", re.IGNORECASE)
# An input that tells a protected group from the others as well as this stands for it.
PROXY = 0.9
_LEAST_GROUP = 50
LEAST_EVENTS = 20
"""The fewest rows with the outcome, and without it, from which it is told whether an input knows it."""


@dataclass(frozen=True, slots=True)
class Traced:
    """What the inputs read, as sentences: `leaks` of the outcome, `smuggled` protected groups, `unnamed` axes.

    Among the leaks are exclusions that know the outcome, and rows that are there several times.

    `unnamed` are columns of race, sex or age for which the specification has no axis of fairness of that name;
    `unjudged` other columns of a few values by which there is no axis, and which may be groups of people.
    """

    leaks: tuple[str, ...]
    smuggled: tuple[str, ...]
    unnamed: tuple[str, ...]
    unjudged: tuple[str, ...] = ()


def trace(spec: ModelSpec, cohort: Cohort) -> Traced:
    """Reads the inputs of some rows again and again, each time with one column of the table shuffled."""
    rows = _some(cohort.rows)
    columns = [str(name) for name in rows.columns if name != spec.fold_column]
    inputs: dict[str, list[str]] = {}
    for item in spec.inputs:
        for column in _read_by(partial(input_column, spec, item.name, is_checked=False), rows, columns):
            inputs.setdefault(column, []).append(item.name)
    outcome = _behind_outcome(spec, rows, columns)
    leaks = [
        f"{', '.join(read)} is read from {column}, from which the outcome is read"
        for column, read in inputs.items()
        if column in outcome
    ]
    leaks += read_by_name_or_order(spec, inputs, rows)
    leaks += telling_columns(inputs, cohort, outcome)
    leaks += _chosen_by_outcome(spec, rows, outcome)
    leaks += [seen] if (seen := seen_before(spec, cohort)) is not None else []
    leaks += [copied] if (copied := copied_people(spec, cohort)) is not None else []
    axes = _behind_axes(spec.subgroups, rows, columns)
    smuggled = list(_smuggled(inputs, axes)) + list(_proxies(spec, cohort))
    read = {*inputs, *outcome, *(column for behind in axes.values() for column in behind), spec.patient_column}
    unjudged = (name for name in columns if name not in read and _makes_groups(cohort.rows[name]))
    return Traced(tuple(leaks), tuple(smuggled), tuple(_unnamed(axes, columns, cohort.rows)), tuple(unjudged))


_MOST_GROUPS = 12


def _makes_groups(column: pd.Series) -> bool:
    """Returns whether a column has a few values, of which two or more are of as many rows as a group needs.

    A number with decimals is a measurement, whatever its values.
    """
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 != 0).any():
        return False
    counts = column.dropna().astype(str).value_counts()
    return len(counts) <= _MOST_GROUPS and int((counts >= _LEAST_GROUP).sum()) >= 2


def leaks_of(spec: ModelSpec, cohort: Cohort) -> list[str]:
    """Return every sentence on an input that knows the outcome, before a model is trained: those of `trace`, and more.

    A logistic regression stands for the model, to see whether it would rest on one input. Of fewer than 20 rows with or
    without the outcome nothing is said: by chance an input separates these.
    """
    if min(np.bincount(cohort.y[cohort.weight > 0], minlength=2)) < LEAST_EVENTS:
        return []
    is_followed = cohort.weight > 0
    losses = losses_without(fitted_at_once(cohort.X[is_followed], cohort.y[is_followed]), cohort)
    return [*trace(spec, cohort).leaks, *too_good(alone(cohort), after_horizon(spec, cohort), losses)]


def _chosen_by_outcome(spec: ModelSpec, rows: pd.DataFrame, outcome: set[str]) -> Iterator[str]:
    """Exclusions that look at what happened to somebody: at the bedside nobody can be left out for that.

    They are asked about the rows that are left. One that leaves out whose outcome is not known reads nothing there that
    shuffling could change.
    """
    for exclusion in spec.exclusions:
        if read := _read_by(exclusion.leaves_out, rows, outcome):
            yield (
                f"the exclusion {exclusion.reason!r} chooses people by {', '.join(sorted(read))}, from which the "
                "outcome is read"
            )


# Columns whose groups are judged under these names of axes: an axis of another name would be judged by less.
_AXES = {
    "race": re.compile("race|ethnic", re.IGNORECASE),
    "sex": re.compile(r"(?:^|_)(?:sex|gender)(?:_|$)", re.IGNORECASE),
    "age": re.compile(r"(?:^|_)age(?:_|$)", re.IGNORECASE),
}


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
    """Returns whether an input of another kind reads the column of sex or age; other axes are no protected group."""
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
        _read_by(follow_up.strata, rows, columns) if follow_up is not None and follow_up.strata is not None else set()
    )
    return _read_by(seen, rows, columns) - strata


def columns_behind_axes(axes: Mapping[str, ColumnOf], rows: pd.DataFrame) -> dict[str, set[str]]:
    """Returns the columns from which each axis is read, whatever the declaration calls it."""
    return _behind_axes(axes, _some(rows), [str(name) for name in rows.columns])


def _behind_axes(axes: Mapping[str, ColumnOf], rows: pd.DataFrame, columns: Iterable[str]) -> dict[str, set[str]]:
    return {axis: _read_by(column_of, rows, columns) for axis, column_of in axes.items()}


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


def _read_by(function: Callable[[Any], Any], rows: pd.DataFrame, columns: Iterable[str]) -> set[str]:
    """The columns that change what the function gives; only those it asks for are tried, where that can be seen."""
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


def _some(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.iloc[np.linspace(0, len(rows) - 1, min(_ROWS, len(rows))).astype(int)]


def _shuffled(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    order = np.random.default_rng(_SEED).permutation(len(rows))
    return rows.assign(**{name: rows[name].iloc[order].array})
