"""Copies of people under other names: counted where both halves of the columns say the same, and not by chance."""

import numpy as np
import pandas as pd
import pytest

from models_onnx.workbench.training.data.leaks import copied_rows


def _people(columns: int = 4, count: int = 50) -> pd.DataFrame:
    """People of whom no two have any answer in common."""
    return pd.DataFrame({f"c{column}": np.arange(count) * 10 + column for column in range(columns)})


@pytest.mark.parametrize("times", [1, 2, 3, 6])
def test_each_further_copy_of_a_person_is_counted(times: int) -> None:
    people = _people()
    assert copied_rows(pd.concat([people, *[people[:7]] * (times - 1)], ignore_index=True)) == 7 * (times - 1)


def test_fewer_than_four_columns_of_several_answers_say_nothing() -> None:
    for columns, copies in ((4, 5), (3, 0)):
        people = pd.concat([_people(columns), _people(columns)[:5]], ignore_index=True)
        assert copied_rows(people.assign(same=1)) == copies
    assert copied_rows(pd.DataFrame({"a": [1, 1]})) == 0


def test_rows_of_one_patient_are_no_copies_and_count_once() -> None:
    people = pd.concat([_people(), _people()[:5], _people()[:5]], ignore_index=True)
    same = np.concatenate([np.arange(50), np.arange(5), np.arange(5)])
    assert copied_rows(people, same) == 0
    other = np.concatenate([np.arange(50), np.arange(5), 100 + np.arange(5)])
    assert copied_rows(people, other) == 5


def test_the_columns_with_the_most_answers_are_dealt_in_turn() -> None:
    """Of two columns of few answers one is in each half, beside one of many: by the few alone all would be alike."""
    count = 40
    content = pd.DataFrame(
        {"few": [0, 1] * 20, "many": np.arange(count), "more": np.arange(count) * 3, "some": np.arange(count) // 10}
    )
    content.loc[39] = content.loc[0]
    assert copied_rows(content) == 1
