"""Checks the table on which PREVENT is tried on real people: columns, keys, words, numbers, units, outcomes."""

from pathlib import Path

import pandas as pd

from models_onnx.calculation.finding import get_equation
from models_onnx.calculation.people import COLUMNS, TABLE
from models_onnx.errors import TrainingRefused
from models_onnx.training.data_check import Report

EQUATION = "prevent_base"
_KEY = "participant_id"
# Each column of words with what may stand in it (README-nhanes.md, table 2).
_WORDS = {"sex": {"female", "male"}, "smoking": {"never", "former", "current", ""}}
_OUTCOMES = ("death_10y", "death_heart_10y")


def is_people_table(path: Path) -> bool:
    """Whether the file is called as that table is."""
    return path.name.partition(".")[0] == TABLE.name.partition(".")[0]


def check_people(path: Path) -> Report:
    """What is wrong with the rows as people for PREVENT."""
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, OSError, EOFError) as problem:
        raise TrainingRefused(f"{path.name} cannot be read as a table: {problem}") from problem
    report = Report(path.name, f"people for {EQUATION}", {"rows": len(rows), "columns": len(rows.columns)})
    needed = {_KEY, *_WORDS, *COLUMNS.values(), *_OUTCOMES}
    report.add("missing-column", "error", "columns", "the equation is tried on it", sorted(needed - set(rows.columns)))
    report.add(
        "duplicate-rows", "warning", "rows", "rows that repeat another in every column", int(rows.duplicated().sum())
    )
    if _KEY in rows:
        report.add("duplicate-key", "error", _KEY, "a person stands more than once", int(rows[_KEY].duplicated().sum()))
        report.add("empty-key", "error", _KEY, "rows without a key", int((rows[_KEY] == "").sum()))
    for column, words in _WORDS.items():
        if column in rows:
            strange = rows[column][~rows[column].isin(words)]
            report.add("unknown-word", "error", column, f"none of {', '.join(sorted(words - {''}))}", strange)
    for name, column in COLUMNS.items():
        if column in rows:
            _numbers(name, column, rows[column], report)
    if set(_OUTCOMES) <= set(rows.columns):
        alive = (rows["death_heart_10y"] == "1") & (rows["death_10y"] != "1")
        report.add("contradiction", "error", "death_heart_10y", "died of the heart and did not die", int(alive.sum()))
    return report


def _numbers(name: str, column: str, texts: pd.Series, report: Report) -> None:
    numbers = pd.to_numeric(texts, errors="coerce")
    report.add("not-a-number", "warning", column, "texts among numbers", texts[numbers.isna() & (texts != "")])
    known = numbers.dropna()
    item = next(item for item in get_equation(EQUATION).inputs if item.name == name)
    if item.low is None or item.high is None or known.empty:
        report.add("not-yes-or-no", "error", column, "neither 0 nor 1", known[~known.isin((0, 1))])
        return
    outside = known[(known < item.low) | (known > item.high)]
    share = f"outside {item.low:g} to {item.high:g} {item.unit}: no score ({len(outside) / len(known):.1%})"
    report.add("out-of-range", "note", column, share, [f"{value:.5g}" for value in outside])
    middle = float(known.median())
    if not item.low <= middle <= item.high:
        text = f"its middle is outside {item.low:g} to {item.high:g} {item.unit}: another unit?"
        report.add("unit-shift", "error", column, text, [f"median {middle:.4g}"])
