"""Rows that do not fit are refused by the name of their column."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from models_onnx.errors import CompileRefused
from tests.models_onnx.workbench.compiler.people import compiled


def _regression(table: pd.DataFrame, *steps: Any) -> Any:
    y = (np.arange(len(table)) % 3 == 0).astype(int)
    return make_pipeline(*steps, LogisticRegression(max_iter=200)).fit(table, y)


def test_text_and_dates_among_numbers_are_named() -> None:
    table = pd.DataFrame({"age": np.linspace(20.0, 90.0, 60), "crp": np.linspace(1.0, 9.0, 60)})
    fitted = _regression(table, SimpleImputer())
    with pytest.raises(CompileRefused, match="age is text; at the bedside inputs are numbers"):
        compiled(fitted, table.assign(age="old"))
    with pytest.raises(CompileRefused, match="crp holds dates or times: give numbers"):
        compiled(fitted, table.assign(crp=pd.Timestamp("2020-01-01")))
