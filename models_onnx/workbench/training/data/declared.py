"""What the functions of a declaration read from a table; a function that fails is a sentence, not a traceback.

The words of its error are left out where they may hold a value of a row.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from sysconfig import get_paths
from traceback import extract_tb
from typing import Any

import numpy as np
import pandas as pd

from models_onnx.errors import TrainingRefused
from models_onnx.spec import ModelSpec

_SHOWN_COLUMNS = 40
_LIBRARIES = tuple(get_paths()[kind] for kind in ("stdlib", "purelib", "platlib"))


@contextmanager
def reading(spec: ModelSpec, subject: str) -> Iterator[None]:
    """Says which part of the declaration asks for a column that is not there, or fails."""
    try:
        yield
    except KeyError as absent:
        raise TrainingRefused(
            f"{spec.id}: {subject} reads the column {absent}, which {spec.table} does not have"
        ) from absent
    except TrainingRefused:
        raise
    except Exception as problem:
        raise TrainingRefused(
            f"{spec.id}: {subject} cannot be told from {spec.table}: its function ended with {_words(problem)}"
        ) from problem


def _words(problem: Exception) -> str:
    """Return the kind of an error, with its words where these tell of types and names and not of values."""
    kind = type(problem).__name__
    text = f"{kind} ({problem})" if isinstance(problem, TypeError | AttributeError | NameError) else kind
    files = ((frame.filename, frame.lineno) for frame in extract_tb(problem.__traceback__))
    of_a_person = [(file, line) for file, line in files if Path(file).is_file() and not file.startswith(_LIBRARIES)]
    return f"{text} in {Path(of_a_person[-1][0]).name}, line {of_a_person[-1][1]}" if of_a_person else text


def one_for_each_row(
    spec: ModelSpec, subject: str, function: Callable[[pd.DataFrame], Any], rows: pd.DataFrame
) -> pd.Series:
    """Return what the function gives: a value for each of the rows.

    Raises:
        KeyError: the table lacks a column that it reads.
        TrainingRefused: it fails otherwise, or gives something else than a value for each row.
    """
    try:
        values = function(rows)
    except KeyError:
        raise
    except Exception as problem:
        raise TrainingRefused(f"{spec.id}: the function of {subject} ended with {_words(problem)}") from problem
    if isinstance(values, list | np.ndarray | pd.Index) and len(values) == len(rows) and np.ndim(values) == 1:
        values = pd.Series(values, index=rows.index)
    if not isinstance(values, pd.Series):
        raise TrainingRefused(
            f"{spec.id}: the function of {subject} gives one {type(values).__name__}: have it give a value for each "
            "row, as a column of the table"
        )
    if len(values) != len(rows):
        raise TrainingRefused(
            f"{spec.id}: the function of {subject} gives {len(values):,} values for {len(rows):,} rows: rows without a "
            "value stay, as NaN"
        )
    if not values.index.equals(rows.index) and values.index.sort_values().equals(rows.index.sort_values()):
        raise TrainingRefused(
            f"{spec.id}: the function of {subject} gives its values in another order than the rows, so they would be "
            "those of other people: leave out what sorts them"
        )
    return values


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
        f"{spec.table}: no row has a number for {name}; {texts:,} of its values are texts. Have derived[{name!r}] give "
        "numbers, 1 and 0 for yes and no, or leave it out of the inputs"
    )
