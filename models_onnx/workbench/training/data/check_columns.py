"""Checks a table for which no model is declared yet: what each column holds, and what no input should be."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from models_onnx.workbench.training.data.check_tables import COPIED, DataReport, repeated, report_missing_codes
from models_onnx.workbench.training.data.cohort import read_plain
from models_onnx.workbench.training.data.leaks import TWIN, copied_rows, separates
from models_onnx.workbench.training.groups import PROTECTED

_LEAST_EVENTS = 20
_MOST_OUTCOMES = 30
_MISSING = 0.05
_WRITTEN = (
    ("decimal-comma", r"-?\d{1,9},\d{1,9}", "a decimal comma: written so, it is a text and no number"),
    ("not-iso-date", r"\d{1,2}[./-]\d{1,2}[./-]\d{4}", "day and month may be exchanged: write dates as 2024-07-05"),
)
# A column of texts or whole numbers with so many different values names rows or patients.
_NAMES = 0.3


def check_columns(path: Path) -> DataReport:
    """Return what can be said of a table before a declaration says what its columns are."""
    rows = read_plain(path)
    report = DataReport(path.name, "no model is declared for it", {"rows": len(rows), "columns": len(rows.columns)})
    texts = {str(name): _texts(rows[name]) for name in rows.columns}
    for name, among in texts.items():
        report.add("not-a-number", "warning", name, "texts among numbers: they count as missing", among)
    rows = rows.assign(**{name: pd.to_numeric(rows[name], errors="coerce") for name, among in texts.items() if among})
    names = [name for name in rows.columns if _names_rows(rows[name])]
    report.add("names-rows", "note", "columns", "names rows or patients (patient_column, row_column): no input", names)
    report.add("duplicate-rows", "warning", "rows", "rows that repeat another in every column", repeated(rows))
    report.add("copied-rows", "warning", "rows", COPIED, copied_rows(rows.drop(columns=names)))
    groups = [str(name) for name in rows.columns if PROTECTED.search(str(name))]
    text = "stands for a group or for who pays: an axis of `subgroups` or in `never_inputs`, no input"
    report.add("group-column", "note", "columns", text, groups)
    for name in rows.columns:
        _written_elsewhere(str(name), rows[name], report)
    report_missing_codes(rows, report)
    _contents(rows, report)
    for name, text in _same(rows.drop(columns=names)):
        report.add("same-column", "warning", name, text, 1)
    _outcomes(rows.drop(columns=names), report)
    return report


def _contents(rows: pd.DataFrame, report: DataReport) -> None:
    for name in rows.columns:
        column, kinds = rows[name], rows[name].nunique()
        if not kinds:
            report.add("always-missing", "warning", str(name), "no row has a value", len(rows))
        elif kinds == 1 and column.notna().all():
            text = "the same in all rows: nothing can be learned from it"
            report.add("constant-column", "warning", str(name), text, len(rows))
        elif (missing := int(column.isna().sum())) > _MISSING * len(rows):
            report.add("missing", "note", str(name), f"no value ({missing / len(rows):.0%} of the rows)", missing)


def _written_elsewhere(name: str, column: pd.Series, report: DataReport) -> None:
    """Report numbers and dates as other countries write them, and answers in words: none of them is read."""
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return
    values = column.dropna().astype(str)
    for kind, pattern, text in _WRITTEN:
        count = int(values.str.fullmatch(pattern).sum())
        report.add(kind, "warning", name, text, count if 2 * count > len(values) else 0)
    if values.nunique() == 2 and column.notna().all():
        report.add("two-answers", "note", name, "two answers in words: an outcome is written as 0 or 1", values)


def _texts(column: pd.Series) -> list[str]:
    """Return the texts of a column that mostly holds numbers."""
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return []
    values = column.dropna()
    texts = values[pd.to_numeric(values, errors="coerce").isna()]
    return [str(text) for text in texts] if 2 * len(texts) < len(values) else []


def _names_rows(column: pd.Series) -> bool:
    """Return whether a column names rows or patients: texts or whole numbers, nearly as many as rows."""
    values = column.dropna()
    if column.nunique() < max(_LEAST_EVENTS, _NAMES * len(column)):
        return False
    if not pd.api.types.is_numeric_dtype(values):
        return bool(
            pd.to_datetime(values.head(_LEAST_EVENTS), errors="coerce", format="ISO8601", utc=True).isna().any()
        )
    return bool((values % 1 == 0).all())


def _same(rows: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield columns that put all rows in the same order as an earlier one: a copy, perhaps in another unit."""
    seen: dict[bytes, str] = {}
    for name in rows.columns:
        if rows[name].nunique() < 2:
            continue
        codes = rows[name].rank(method="dense").to_numpy() if _is_number(rows[name]) else pd.factorize(rows[name])[0]
        earlier = seen.setdefault(np.asarray(codes, dtype=np.float64).tobytes(), str(name))
        if earlier != str(name):
            yield str(name), f"tells the same as {earlier}, as the same values or in another unit"


def _outcomes(rows: pd.DataFrame, report: DataReport) -> None:
    """Report the columns of 0 and 1 with their rates, and what tells such a column by itself."""
    numbers = _as_numbers(rows)
    answers = [
        name for name in numbers.columns if rows[name].nunique() == 2 and numbers[name].dropna().isin((0, 1)).all()
    ]
    for outcome in answers[:_MOST_OUTCOMES]:
        y = numbers[outcome]
        events, rest = int((y == 1).sum()), int((y == 0).sum())
        if _is_number(rows[outcome]):
            report.add("yes-or-no", "note", str(outcome), f"0 or 1: 1 in {events / (events + rest):.1%}", events)
        if min(events, rest) < _LEAST_EVENTS:
            continue
        there = y.notna().to_numpy()
        for name in numbers.columns:
            column = np.asarray(numbers[name], dtype=np.float64)[there]
            if name != outcome and separates(column, y[there].to_numpy(dtype=np.int64)) >= TWIN:
                text = f"tells {outcome} by itself: known only after it, if this is the outcome"
                report.add("tells-outcome", "warning", str(name), text, 1)


def _as_numbers(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of numbers, two answers in words as 1 for the rarer, and of texts whether there is one."""
    columns = {}
    for name in rows.columns:
        column, counts = rows[name], rows[name].value_counts()
        if _is_number(column):
            columns[name] = column
        elif len(counts) == 2:
            columns[name] = (column == counts.index[-1]).astype(float).where(column.notna())
        elif column.isna().any():
            columns[name] = column.notna().astype(float)
    return pd.DataFrame({name: column for name, column in columns.items() if column.nunique() > 1})


def _is_number(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))
