"""Columns of a table as numbers: every form of a value, every unit, and what is refused at its limits."""

from typing import Any

import numpy as np
import pyarrow

from fhir.mapping.features.catalog import FEATURES
from models_onnx.batch.columns import Column, column_of, read_input, read_yes
from models_onnx.batch.declaration import InputColumn, YesColumn
from models_onnx.errors import BatchRefused

CREATININE = FEATURES["creatinine_mg_dl"]
NAN = float("nan")


def _column(name: str = "creatinine_mg_dl", **more: Any) -> InputColumn:
    return InputColumn(FEATURES[name], more.pop("column", name), **more)


def _arrow(*values: Any) -> Column:
    """The values as Arrow has them: all numbers, or all texts."""
    are_numbers = all(type(value) in (int, float, type(None)) for value in values)
    texts = [None if value is None else str(value) for value in values]
    array = pyarrow.array(values, pyarrow.float64()) if are_numbers else pyarrow.array(texts, pyarrow.string())
    return column_of(array, "a")


def _read(source: InputColumn, *values: Any) -> Any:
    """The values (None where missing), the places of the unreadable ones and of the implausible ones."""
    try:
        numbers, unreadable, implausible = read_input(source, _arrow(*values))
    except BatchRefused as refused:
        return str(refused)
    rounded = [None if np.isnan(number) else round(float(number), 4) for number in numbers]
    return rounded, np.flatnonzero(unreadable).tolist(), np.flatnonzero(implausible).tolist()


def test_numbers_and_what_is_none() -> None:
    assert _read(_column(), 1.0, "1.25", " 2 ", 1, None, "", "NA", "n/a", "nan", "null", "None", "<NA>") == (
        [1.0, 1.25, 2.0, 1.0, None, None, None, None, None, None, None, None],
        [],
        [],
    )
    assert _read(_column(), 1, 2, 3, "<5", "1_0", True, b"1", "high") == (
        "The column creatinine_mg_dl (creatinine) has 5 values that are no numbers and 3 that "
        "are: write numbers with a decimal point, or leave them blank."
    )
    assert _read(_column(), 1, "x", "y") == (
        "The column creatinine_mg_dl (creatinine) has 2 values that are no numbers and 1 that "
        "are: write numbers with a decimal point, or leave them blank."
    )
    assert _read(_column(), 1, "x") == ([1.0, None], [1], [])
    assert _read(_column(), 0.04, 0.05, 30.0, 40.0, 50.0, 51.0) == (
        [0.04, 0.05, 30.0, 40.0, 50.0, 51.0],
        [],
        [0, 1, 2, 3, 4, 5],
    )
    assert _read(_column(coding={"n": "", "two": "2"}), "n", " two ", 1) == ([None, 2.0, 1.0], [], [])
    assert _read(_column("age_years"), 64.99, 65, 0.5, 200) == ([64.0, 65.0, 0.0, 200.0], [], [3])


def test_a_declared_unit_of_a_column() -> None:
    analyte = CREATININE.measured
    assert analyte is not None
    source = _column(conversion=analyte.conversion("umol/L"))
    assert _read(source, 88.4, 176.8, 5.0) == ([1.0, 2.0, 0.0566], [], [2])
    assert len(_read(source, *[1.0] * 19)[2]) == 19, "so few values are not judged as a column"


def _strange(*values: float) -> Any:
    """Return how many values cannot be; the sentence where the column is refused."""
    read = _read(_column(), *values)
    return read if isinstance(read, str) else len(read[2])


def test_a_column_of_which_a_twentieth_cannot_be_is_in_another_unit_or_in_two() -> None:
    usual, other = [1.0] * 95, [88.0, 90.0, 92.0, 94.0]
    assert _strange(*usual, *other) == 4
    assert _strange(*[1.0] * 96, *other, 96.0) == 5
    assert _strange(*usual, *other, 96.0) == (
        "5 of 100 values of the column creatinine_mg_dl are outside 0.1 to 20 mg/dL, which nobody's creatinine is. A "
        "column is in one unit: say which (--unit creatinine_mg_dl=UNIT), convert the rows that are in another one, "
        "and leave blank what is no value."
    )
    assert "20 of 20 values" in _strange(*[88.0] * 20)
    assert _strange(*[88.0] * 19) == 19


def test_the_sexes_and_yes_or_no() -> None:
    assert _read(_column("sex_male", column="gender"), "male", "Female", "other", "unknown", None, "") == (
        [1.0, 0.0, None, None, None, None],
        [],
        [],
    )
    assert _read(_column("sex_male", column="gender"), "1") == (
        "The column gender (sex) has the value '1', whose meaning nobody declared. Known are: "
        "male, female, other, unknown. Say what it means: --values gender=1:MEANING, where "
        "the meaning is one of these."
    )
    assert _read(_column("sex_male"), 1, "0", True, False, 1.0) == ([1.0, 0.0, 1.0, 0.0, 1.0], [], [])
    assert _read(
        _column("sex_male", column="sex", coding={"M": "male", "W": " Female ", "": "unknown"}), "M", "W", ""
    ) == ([1.0, 0.0, None], [], [])


def test_whom_a_column_leaves_out() -> None:
    def leaves_out(*values: Any, coding: dict[str, str] | None = None) -> Any:
        try:
            return read_yes(YesColumn("pregnancy", "pregnant", "pregnant", coding), _arrow(*values)).tolist()
        except BatchRefused as refused:
            return str(refused)

    assert leaves_out("yes", "No", 1, 0, "1.0", "true", None, "NA", False) == [
        True, False, True, False, True, True, False, False, False,
    ]  # fmt: skip
    assert leaves_out("X", coding={"X": "yes"}) == [True]
    assert leaves_out("2026-01-02") == (
        "The column pregnant holds dates, and is asked for a yes or a no: write 1 where there "
        "is a date and 0 where there is none."
    )
    assert leaves_out("maybe, or something that is much longer") == (
        "The column pregnant has the value 'maybe, or something ', whose meaning nobody "
        "declared. Known are: 1, 0, 1.0, 0.0, true, false, yes, no. Say what it means: "
        "--values pregnant=maybe, or something :MEANING, where the meaning is one of these."
    )
