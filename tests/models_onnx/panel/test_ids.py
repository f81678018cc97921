"""Names of rows: which rows have none, which have one that stood before, and what cannot be a name."""

from typing import Any

import numpy as np
import pytest

from models_onnx.errors import PanelRefused
from models_onnx.panel.ids import RowNames, is_blank, refuse_unnamed


@pytest.mark.parametrize(
    ("name", "blank"),
    [
        (None, True), ("", True), (" \t", True), (float("nan"), True), (np.nan, True), ("a", False), (" a ", False),
        (0, False), (0.0, False), ("None", False),
    ],
)  # fmt: skip
def test_nothing_spaces_and_no_number_name_nobody(name: Any, *, blank: bool) -> None:
    assert is_blank(name) is blank


def test_rows_are_counted_over_all_parts_by_their_names() -> None:
    names = RowNames()
    assert (names.rows, names.unnamed, names.repeated) == (0, 0, 0)
    names.take(["a", "b", None, "a"])
    assert (names.rows, names.unnamed, names.repeated) == (4, 1, 1)
    names.take([])
    names.take(["a", " ", "c", 7, "7"])
    assert (names.rows, names.unnamed, names.repeated) == (9, 2, 3), "a number and its text are the same name"


@pytest.mark.parametrize("name", [{"value": 1}, ["a"], ("a",), b"a", bytearray(b"a"), True])
def test_a_structure_a_list_bytes_or_a_yes_names_no_row(name: Any) -> None:
    names = RowNames()
    with pytest.raises(PanelRefused) as refused:
        names.take(["a", name])
    assert str(refused.value) == (
        "The column of --id holds lists, structures or bytes: a text or a number names a row."
    )
    assert (names.rows, names.unnamed) == (0, 0)


def test_the_first_row_without_a_name_is_refused_by_its_number() -> None:
    refuse_unnamed(["a", 7], 1)
    refuse_unnamed([], 1)
    with pytest.raises(PanelRefused) as refused:
        refuse_unnamed(["a", "b", "", None], 20_001)
    assert str(refused.value) == (
        "Row 20003 has no id, and a RiskAssessment says whom it is about: name its row, or write to .csv or .parquet."
    )
