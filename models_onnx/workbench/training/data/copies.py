"""Counts rows that stand in a table again under other names: who is in two folds is predicted by a model that saw them.

Rows of a few categories are alike by chance. So the columns are split into two halves: a copy is alike in both, and in
neither are many more people alike; by chance, people who are alike in one half differ in the other.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# With fewer columns a half is one or two answers, in which people are alike by chance.
_LEAST_COLUMNS = 4
# How many times as many people may be alike in a half as in both. With 3, 11 of 81,086 stays of three inputs and six
# answers of few kinds were taken for copies, and 1,600 of 2,702 planted ones were found; with all columns none and all.
_BESIDE = 3
MANY = 0.01
"""The share of copied rows from which on figures out of fold are too good."""
FEW = 20


def copied_rows(content: pd.DataFrame, patient: NDArray[Any] | None = None) -> int:
    """Return how many rows are the copy of a row of another patient, as far as this is no chance.

    `content` are columns that tell of people, without those that name a row. Without `patient` each row is a person.
    """
    kinds = content.nunique()
    # the columns with the most different values first, in turn to each half
    order = kinds[kinds > 1].sort_values(ascending=False, kind="stable").index
    if len(order) < _LEAST_COLUMNS:
        return 0
    digests = {
        half: pd.util.hash_pandas_object(content[columns], index=False).to_numpy()
        for half, columns in (("left", order[0::2]), ("right", order[1::2]))
    }
    person = np.arange(len(content)) if patient is None else patient
    rows = pd.DataFrame({"person": person, **digests}).drop_duplicates()
    left, right, both = (rows.groupby(by)["person"].transform("nunique") for by in ("left", "right", ["left", "right"]))
    is_copy = (both > 1) & (left <= _BESIDE * both) & (right <= _BESIDE * both)
    return round(float(((both - 1) / both)[is_copy].sum()))
