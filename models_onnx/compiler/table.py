"""Reads the rows of a reference cohort from CSV (also .gz), without pandas: the inputs by name, and an outcome."""

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused

Array = NDArray[np.float64]
_MISSING = frozenset({"", "na", "nan", "null", "none"})


@dataclass(frozen=True, slots=True)
class Rows:
    """Inputs [n, F] in the order asked for, NaN where empty, and the outcome of each row where one was asked for."""

    X: Array
    outcomes: NDArray[np.int64] | None


def read_rows(path: Path, features: Sequence[str], outcome: str | None = None) -> Rows:
    """The rows of that file; CompileRefused names a column that is not there, or that holds something else."""
    if not path.is_file():
        raise CompileRefused(f"{path} is not there")
    with _open(path) as stream:
        reader = csv.reader(stream)
        header = next(reader, [])
        wanted = [*features, *([outcome] if outcome else [])]
        if absent := [name for name in wanted if name not in header]:
            raise CompileRefused(f"{path.name} has no column {', '.join(absent)}")
        places = [header.index(name) for name in wanted]
        values = [[_number(row, place, header[place], path) for place in places] for row in reader if row]
    if not values:
        raise CompileRefused(f"{path.name} has no rows")
    table = np.array(values, dtype=np.float64)
    if not outcome:
        return Rows(table, None)
    if not np.isin(table[:, -1], (0.0, 1.0)).all():
        raise CompileRefused(f"the outcome {outcome} of {path.name} is not 0 or 1 in every row")
    return Rows(table[:, :-1], table[:, -1].astype(np.int64))


def _open(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _number(row: list[str], place: int, name: str, path: Path) -> float:
    # The value itself is a patient's and is not repeated in the message.
    text = row[place].strip() if place < len(row) else ""
    if text.lower() in _MISSING:
        return float("nan")
    try:
        return float(text)
    except ValueError:
        raise CompileRefused(f"{path.name}: column {name} holds text; code it as the model was trained on") from None
