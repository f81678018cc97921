"""Columns of a table as numbers: every form of a value, every unit, and what is refused at its limits."""

from typing import Any

import numpy as np
import pyarrow

from fhir.mapping.features.catalog import FEATURES
from models_onnx.batch.columns import Column, column_of, other_units, read_input, read_yes
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


def _read(source: InputColumn, *values: Any, units: Any = None) -> Any:
    """The values (None where missing), the places of the unreadable ones and of the implausible ones."""
    try:
        numbers, unreadable, implausible = read_input(
            source, _arrow(*values), _arrow(*units) if units is not None else None
        )
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
    most = [1.0] * 11 + [100.0] * 9
    assert _read(source, *most) == (
        "Most values of the column creatinine_mg_dl are outside 0.1 to 20 mg/dL, which "
        "nobody's creatinine is: the column is in another unit or of something else. It would "
        "fit in: mg/dL, mmol/L, mg/L (--unit creatinine_mg_dl=…)."
    )
    assert _read(source, *most[1:], 100.0) == (
        "The column creatinine_mg_dl (creatinine) seems to be in two units: 10 of 20 values "
        "are outside 0.1 to 20 mg/dL and would fit in mg/dL, mmol/L, mg/L. Others of them may "
        "fit in both and would be scored wrong: bring the column to one unit first. Most are "
        "0.0113122: leave it blank if it is no value."
    )
    assert len(_read(source, *[1.0] * 19)[2]) == 19


def test_the_unit_of_each_row() -> None:
    source = _column(unit_column="unit", unit_coding={"SI": "umol/L"})
    assert _read(source, 1.0, 88.4, 88.4, None, 2.0, units=["mg/dL", "umol/L", "SI", "x", ""]) == (
        [1.0, 1.0, 1.0, None, None],
        [4],
        [],
    )
    assert _read(source, 1.0, 2.0, units=["mg/dL", "bottles"]) == ([1.0, None], [1], [])
    assert _read(source, 1.0, 2.0, 3.0, units=["mg/dL", "bottles of a very long and strange kind", "NA"]) == (
        "The column unit names no unit that is known for creatinine_mg_dl for most of its "
        "values, as 'bottles of a very lo'; known are: mcmol/L, mcmol/l, mg%, mg/100 mL, "
        "mg/100 ml, mg/100mL, mg/100ml, mg/L, mg/dL, mg/dl, mg/l, mmol/L, mmol/l, umol/L, "
        "umol/l, µmol/L, µmol/l. Say what it means by --values unit=TEXT:UNIT."
    )


def _strange(*values: float) -> Any:
    """Return how many values cannot be; the sentence where the column is refused."""
    read = _read(_column(), *values)
    return read if isinstance(read, str) else len(read[2])


def test_two_units_in_one_column() -> None:
    usual, other = [1.0] * 95, [88.0, 90.0, 92.0, 94.0]
    assert _strange(*usual, *other) == 4
    assert _strange(*usual, *other, 96.0) == (
        "The column creatinine_mg_dl (creatinine) seems to be in two units: 5 of 100 values "
        "are outside 0.1 to 20 mg/dL and would fit in umol/L, mg/L. Others of them may fit in "
        "both and would be scored wrong: bring the column to one unit first."
    )
    assert _strange(*usual, *[999.0] * 5) == 5
    assert _strange(*usual, *[120.0] * 5) == (
        "The column creatinine_mg_dl (creatinine) seems to be in two units: 5 of 100 values "
        "are outside 0.1 to 20 mg/dL and would fit in umol/L, mg/L. Others of them may fit in "
        "both and would be scored wrong: bring the column to one unit first. Most are 120: "
        "leave it blank if it is no value."
    )
    assert _strange(*[1.0] * 96, *other, 96.0) == 5
    assert _strange(*[999.0] * 30, *other, 96.0, *usual) == 35
    assert _strange(*[999.0] * 6, *other, 96.0, *usual[6:]) == (
        "The column creatinine_mg_dl (creatinine) seems to be in two units: 5 of 100 values "
        "are outside 0.1 to 20 mg/dL and would fit in umol/L, mg/L. Others of them may fit in "
        "both and would be scored wrong: bring the column to one unit first. Most are 999: "
        "leave it blank if it is no value."
    )
    assert _strange(*[88.0] * 11, *[1.0] * 9) == (
        "Most values of the column creatinine_mg_dl are outside 0.1 to 20 mg/dL, which "
        "nobody's creatinine is: the column is in another unit or of something else. It would "
        "fit in: umol/L, mg/L (--unit creatinine_mg_dl=…)."
    )
    assert _strange(*[88.0] * 10, *[1.0] * 10) == 10


def test_units_that_a_column_could_be_in_as_well() -> None:
    assert other_units(_column(), _arrow(1.0, 1.2)) == ["mmol/L", "mg/L"]
    assert other_units(_column(), _arrow(10.0, 12.0, 1.0)) == ["umol/L", "mg/L"]
    assert other_units(_column(), _arrow(20.0, 1.0)) == ["mg/L"]
    assert other_units(_column(unit_column="unit"), _arrow(20.0)) == []
    assert other_units(_column("age_years"), _arrow(20.0)) == []


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
