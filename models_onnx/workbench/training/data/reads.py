"""What a declaration reads from a table, found by shuffling each column in turn, whatever the declaration calls it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models_onnx.spec import ModelSpec
from models_onnx.workbench.training.data.cohort import Cohort, input_column
from models_onnx.workbench.training.data.follow_up import observe

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
        observed = observe(spec.outcome, table, period)
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
