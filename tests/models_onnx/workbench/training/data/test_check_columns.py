"""What is told of a table without a declaration, column by column, exactly at its limits."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models_onnx.workbench.training.data import check_columns as checks
from models_onnx.workbench.training.data import leaks
from models_onnx.workbench.training.data.check_tables import DataReport


def _report() -> DataReport:
    return DataReport("t.csv", "table", {})


def _found(report: DataReport) -> list[tuple[Any, ...]]:
    return [(each.kind, each.severity, each.where, each.text, each.count) for each in report.findings]


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([None] * 40, [("always-missing", "warning", "x", "no row has a value", 40)]),
        ([1.0] * 40, [("constant-column", "warning", "x", "the same in all rows: nothing can be learned from it", 40)]),
        ([None, *[1.0] * 39], []),
        ([None, None, *range(38)], []),
        ([None, None, None, *range(37)], [("missing", "note", "x", "no value (8% of the rows)", 3)]),
        ([*[None] * 3, *[1.0] * 37], [("missing", "note", "x", "no value (8% of the rows)", 3)]),
    ],
)
def test_columns_without_values_of_one_value_or_with_gaps(values: list[Any], found: list[Any]) -> None:
    report = _report()
    checks._contents(pd.DataFrame({"x": values}), report)
    assert _found(report) == found


COMMA = "a decimal comma: written so, it is a text and no number"
DATES = "day and month may be exchanged: write dates as 2024-07-05"


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["1,5", "-2,25", "x", None], [("decimal-comma", "warning", "x", COMMA, 2)]),
        (["1,5", "-2,25", "x", "y"], []),
        (["3.7.2024", "03/07/2024", "2024-07-03"], [("not-iso-date", "warning", "x", DATES, 2)]),
        (
            ["yes", "no", "no"],
            [("two-answers", "note", "x", "two answers in words: an outcome is written as 0 or 1", 3)],
        ),
        (["yes", "no", None], []),
        (["yes", "no", "maybe"], []),
        ([1, 2, 2], []),
        ([True, False, True], []),
    ],
)
def test_numbers_dates_and_answers_as_others_write_them(values: list[Any], found: list[Any]) -> None:
    report = _report()
    checks._written_elsewhere("x", pd.Series(values), report)
    assert _found(report) == found


def test_columns_that_say_the_same() -> None:
    rows = pd.DataFrame({
        "mg": [1.0, 2.0, 2.0, 3.0], "umol": [88.0, 177.0, 177.0, 265.0], "other": [1.0, 2.0, 3.0, 3.0],
        "one": [1, 1, 1, 1], "still_one": [2, 2, 2, 2], "word": list("abbc"), "words": list("xyyz"),
    })  # fmt: skip
    assert list(checks._same(rows)) == [
        ("umol", "tells the same as mg, as the same values or in another unit"),
        ("words", "tells the same as word, as the same values or in another unit"),
    ]


def test_columns_as_numbers() -> None:
    rows = pd.DataFrame({
        "number": [1.0, 2.0, 3.0, None], "flag": [True, False, True, True], "answer": ["no", "yes", "no", None],
        "text": ["a", "b", "c", None], "whole": ["a", "b", "c", "d"], "same": [1, 1, 1, 1],
    })  # fmt: skip
    numbers = checks._as_numbers(rows)
    assert list(numbers.columns) == ["number", "flag", "answer", "text"]
    assert numbers["answer"].fillna(-1).tolist() == [0.0, 1.0, 0.0, -1]
    assert numbers["text"].tolist() == [1.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize(("events", "is_told"), [(20, True), (19, False)])
def test_a_column_that_tells_an_outcome_of_twenty(events: int, is_told: bool) -> None:
    y = np.array([1.0] * events + [0.0] * (100 - events) + [np.nan] * 5)
    rows = pd.DataFrame({"y": y, "teller": np.where(np.isnan(y), 7.0, y * 3 + np.arange(105) / 200), "noise": 1.5})
    report = _report()
    checks._outcomes(rows, report)
    told = [("tells-outcome", "warning", "teller", "tells y by itself: known only after it, if this is the outcome", 1)]
    assert _found(report) == [
        ("yes-or-no", "note", "y", f"0 or 1: 1 in {events}.0%", events), *(told if is_told else []),
    ]  # fmt: skip


def test_a_whole_table_is_told_column_by_column(tmp_path: Path) -> None:
    pd.DataFrame({"mrn": [f"m{n}" for n in range(30)], "race": ["a"] * 30, "hb": ["12", "<5", *["13"] * 28]}).to_csv(
        tmp_path / "t.csv", index=False
    )
    report = checks.check_columns(tmp_path / "t.csv")
    assert (report.name, report.kind, report.counts) == (
        "t.csv", "no model is declared for it", {"rows": 30, "columns": 3},
    )  # fmt: skip
    assert [(each.kind, each.severity, each.where, each.examples) for each in report.findings] == [
        ("not-a-number", "warning", "hb", ("<5",)),
        ("names-rows", "note", "columns", ("mrn",)),
        ("group-column", "note", "columns", ("race",)),
        ("constant-column", "warning", "race", ()),
    ]


def test_the_rate_of_a_code_is_that_of_the_other_half_drawn_to_the_mean_by_two_rows() -> None:
    y = np.array([1, 0, 1, 1, 0, 0, 1, 0])
    codes = np.array([0, 0, 0, 1, 1, 1, 0, 1])
    half = np.random.default_rng(leaks._SEED).random(8) < 0.5
    for row, rate in enumerate(leaks._rates_elsewhere(codes, y)):
        others = (codes == codes[row]) & (half != half[row])
        assert rate == pytest.approx((y[others].sum() + 2 * 0.5) / (others.sum() + 2))


def test_a_column_as_numbers_to_tell_the_outcome_by(monkeypatch: pytest.MonkeyPatch) -> None:
    y = np.array([1, 0, 1, 0])

    def numbers(*values: Any) -> list[float]:
        return list(np.nan_to_num(leaks._as_numbers(pd.Series(list(values)), y), nan=-1.0))

    assert numbers(1, 2, 3, 4) == [1.0, 2.0, 3.0, 4.0]
    assert numbers("a", "a", "b", None) == [0.5, 0.5, 1.0, -1.0]
    monkeypatch.setattr(leaks, "_MOST_TEXTS", 1)
    day = 19_723.0  # 1 January 2024
    assert numbers("2024-01-01", "2024-01-03", "x", None) == [day, day + 2, -1.0, -1.0]
    assert numbers("2024-01-01", "y", "x", None) == [0.0, 0.0, 0.0, -1.0]
    assert numbers("2024-01-01", "y", None, None) == [0.0, 0.0, -1.0, -1.0]
