"""Everything that the file and the report of a small regression say, worked out by hand."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from onnx import load_from_string
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler import compile_model, entry
from models_onnx.workbench.compiler.parity import Agreement
from tests.models_onnx.workbench.compiler.people import says

# Of each input 40 whole numbers, whose means are 19.5 and 39
ROWS = np.column_stack([np.arange(40.0), 2.0 * np.arange(40.0)[::-1]])


def _line(coefficients: list[float], intercept: float) -> Any:
    model = LogisticRegression().fit(ROWS, np.arange(40) % 2)
    model.coef_, model.intercept_ = np.array([coefficients]), np.array([intercept])
    return model


MODEL = _line([0.5, -0.25], 1.0)
EXPLANATION = (
    "Each input's own term, less its mean over the 40 people of the reference cohort, on the scale of the log odds."
)


def _metadata(content: bytes) -> dict[str, str]:
    return {item.key: item.value for item in load_from_string(content).metadata_props}


def test_the_report_and_the_file_of_a_regression(tmp_path: Path) -> None:
    compiled = compile_model(MODEL, ROWS, features=("a", "b"), name="line", version="1.2", card={"x": 1})
    report = compiled.report
    assert report == entry.CompilationReport(
        form="logistic",
        link="logit",
        base=1.0 + 0.5 * 19.5 - 0.25 * 39.0,
        features=("a", "b"),
        groups=("a", "b"),
        categories={},
        horizons=(),
        explanation=EXPLANATION,
        reference_rows=40,
        rows_asked_of_library=report.rows_asked_of_library,
        rows_moved_by_float32=0,
        agreement=report.agreement,
        approximation=None,
        bytes=len(compiled.content),
        sha256=hashlib.sha256(compiled.content).hexdigest(),
    )
    assert isinstance(report.agreement, Agreement)
    assert report.rows_asked_of_library >= 1000
    assert report.as_dict()["form"] == "logistic"
    told = _metadata(compiled.content)
    assert {name: told[name] for name in ("model_id", "model_version", "reference_rows", "explanation", "link")} == {
        "model_id": "line",
        "model_version": "1.2",
        "reference_rows": "40",
        "explanation": EXPLANATION,
        "link": "logit",
    }
    assert json.loads(told["features"]) == ["a", "b"]
    assert json.loads(told["model_card"]) == {"x": 1}
    assert json.loads(told["feature_dictionary"]) == [
        {"name": "a", "trained_low": 0.0, "trained_high": 39.0},
        {"name": "b", "trained_low": 0.0, "trained_high": 78.0},
    ]
    assert "approximate" not in told
    compiled.save(tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == compiled.content
    answer = says(compiled.content, np.array([[20.0, 40.0], [np.nan, 40.0]]))
    assert answer["contributions"] == pytest.approx(np.array([[0.25, -0.25], [0.0, -0.25]]))


def test_a_dictionary_of_ones_own_and_nothing_at_all_about_the_model() -> None:
    told = _metadata(compile_model(MODEL, ROWS, dictionary=[{"name": "x0"}]).content)
    assert json.loads(told["feature_dictionary"]) == [{"name": "x0"}]
    assert (told["model_id"], told["model_version"], told["model_card"]) == ("model", "0.0.0", "{}")


def test_a_recalibration_and_groups_are_of_the_whole_model() -> None:
    compiled = compile_model(
        MODEL,
        ROWS,
        features=("a", "b"),
        groups={"both": ["b", "a"]},
        calibration=(0.5, 2.0),
        outcomes=np.arange(40) % 2,
    )
    assert compiled.report.base == pytest.approx(0.5 + 2.0 * 1.0)
    assert compiled.report.groups == ("both",)
    answer = says(compiled.content, np.array([[20.0, 36.0]]))
    assert answer["contributions"].ravel().tolist() == pytest.approx([2.0 * (0.25 + 0.75)])
    assert answer["margin"].tolist() == pytest.approx([0.5 + 2.0 * (1.0 + 10.0 - 9.0)])
    assert not np.isnan(answer["observed_rate"]).any()


def test_a_text_input_has_its_categories_in_the_dictionary() -> None:
    table = pd.DataFrame({"ward": ["a", "b"] * 20})
    fitted = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(table, np.arange(40) % 4 // 2)
    compiled = compile_model(fitted, table)
    assert compiled.report.categories == {"ward": ("a", "b")}
    assert json.loads(_metadata(compiled.content)["feature_dictionary"]) == [
        {"name": "ward", "trained_low": 0.0, "trained_high": 1.0, "categories": ["a", "b"]}
    ]


@pytest.mark.parametrize(
    ("rows", "refusal"),
    [
        (np.column_stack([ROWS, ROWS[:, 0]]), "the model takes 2 inputs, the reference rows have 3 columns"),
        (ROWS[:19], "a reference cohort has 20 rows or more, 19 were given"),
        (np.where(ROWS == 3.0, np.inf, ROWS), "the reference cohort holds infinite values; a missing value is NaN"),
    ],
)
def test_rows_that_no_model_is_compared_with(rows: Any, refusal: str) -> None:
    with pytest.raises(CompileRefused) as refused:
        compile_model(MODEL, rows)
    assert str(refused.value) == refusal
    assert compile_model(MODEL, ROWS[:20]).report.reference_rows == 20
