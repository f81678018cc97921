"""Reads a training table and leaves out whom the specification leaves out, counting each step."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models_onnx.errors import TrainingRefused
from models_onnx.spec import ModelSpec

NO_FOLD = -1


@dataclass(frozen=True, slots=True)
class Left:
    """How many rows one exclusion took, of those that were still there."""

    reason: str
    words: str
    count: int


@dataclass(frozen=True, slots=True)
class Table:
    """A training table as read, with the digest of its bytes."""

    name: str
    sha256: str
    rows: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Cohort:
    """Inputs X [n, F] with NaN, outcome y, fold and the rows' other columns (for subgroups), in the table's order."""

    features: tuple[str, ...]
    X: NDArray[np.float64]
    y: NDArray[np.int64]
    fold: NDArray[np.int64]
    recent: NDArray[np.bool_]
    rows: pd.DataFrame
    table_rows: int
    left_out: tuple[Left, ...]

    def __len__(self) -> int:
        return len(self.y)


def read_table(spec: ModelSpec, data_folder: Path) -> Table:
    """The table the specification names, from `<data_folder>/tabular`; TrainingRefused where it is not there."""
    path = data_folder / "tabular" / spec.table
    if not path.is_file():
        raise TrainingRefused(f"{spec.table} is not in {path.parent}; give the data folder with --data or CDS_DATA_DIR")
    content = path.read_bytes()
    return Table(spec.table, hashlib.sha256(content).hexdigest(), pd.read_csv(path, dtype={spec.patient_column: str}))


def build_cohort(spec: ModelSpec, table: pd.DataFrame) -> Cohort:
    """The rows that are left, as inputs and outcome; refuses a table that lacks a column or has a patient twice."""
    _refuse_unusable(spec, table)
    rows, left_out = table, []
    for exclusion in spec.exclusions:
        out = np.asarray(exclusion.leaves_out(rows), dtype=bool)
        left_out.append(Left(exclusion.reason, exclusion.words, int(out.sum())))
        rows = rows[~out]
    return Cohort(
        features=spec.feature_names,
        X=inputs_of(spec, rows),
        y=rows[spec.outcome.column].to_numpy(dtype=np.int64),
        fold=_folds(spec, rows),
        recent=(rows[spec.recalibration.column] >= spec.recalibration.since).to_numpy(),
        rows=rows,
        table_rows=len(table),
        left_out=tuple(left_out),
    )


def inputs_of(spec: ModelSpec, rows: pd.DataFrame) -> NDArray[np.float64]:
    """The inputs [n, F] in the order declared, NaN where missing; clipped where the study stops."""
    columns = []
    for item in spec.inputs:
        column = spec.derived[item.name](rows) if item.name in spec.derived else rows[item.name]
        values = column.to_numpy(dtype=np.float64)
        columns.append(values if item.clip_high is None else np.minimum(values, item.clip_high))
    return np.column_stack(columns)


def _folds(spec: ModelSpec, rows: pd.DataFrame) -> NDArray[np.int64]:
    """The fold of each row; NO_FOLD in a table that only serves to evaluate a finished model."""
    if spec.fold_column not in rows.columns:
        return np.full(len(rows), NO_FOLD, dtype=np.int64)
    return np.asarray(rows[spec.fold_column], dtype=np.int64)


def _refuse_unusable(spec: ModelSpec, table: pd.DataFrame) -> None:
    needed = {item.name for item in spec.inputs if item.name not in spec.derived}
    needed |= {spec.outcome.column, spec.patient_column, spec.recalibration.column}
    if absent := sorted(needed - set(table.columns)):
        raise TrainingRefused(f"{spec.table} has no column {', '.join(absent)}")
    if table[spec.patient_column].duplicated().any():
        raise TrainingRefused(f"{spec.table} has a {spec.patient_column} twice; rows must be people, or folds leak")
