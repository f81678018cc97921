"""ONNX files of linear models are explained input by input, those of trees by groups, exactly, as the library says."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from skl2onnx import to_onnx
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler import read_model
from models_onnx.workbench.compiler.entry import imputed_values
from models_onnx.workbench.compiler.readers.network import OnnxSource

NUMBERS = [f"lab{number}" for number in range(14)]  # more than the ten groups
NAMES = (*NUMBERS, "sex_male")
SEX = {"F": 0.0, "M": 1.0}


def people(count: int = 400, seed: int = 3) -> tuple[pd.DataFrame, Any]:
    """Invented people: numbers, some of them missing, and sex as a text."""
    draw = np.random.default_rng(seed)
    table = pd.DataFrame(draw.normal(0, 1, (count, len(NUMBERS))).astype(np.float32), columns=NUMBERS)
    table = table.mask(draw.random(table.shape) < 0.05)
    table["sex"] = draw.choice(list(SEX), count)
    margin = table["lab0"].fillna(0) - 0.5 * table["lab1"].fillna(0) + 0.4 * (table["sex"] == "M") - 0.5
    return table, (draw.random(count) < 1 / (1 + np.exp(-margin))).astype(int)


def numbers(table: pd.DataFrame) -> pd.DataFrame:
    """The same with sex as a number, as the file receives it here."""
    return table[NUMBERS].assign(sex_male=table["sex"].map(SEX)).astype(np.float32)


def of_texts(last: Any, unknown: str) -> Any:
    """A pipeline of a ColumnTransformer, whose sex is a text."""
    imputed = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    encoder = OneHotEncoder(handle_unknown=unknown)
    return make_pipeline(ColumnTransformer([("n", imputed, NUMBERS), ("c", encoder, ["sex"])]), last)


def of_numbers(*steps: Any) -> Any:
    """A pipeline on a table of numbers, missing values imputed."""
    return make_pipeline(SimpleImputer(), *steps)


PIPELINES: dict[str, Any] = {
    "columns": of_texts(LogisticRegression(), "ignore"),
    "columns that refuse other texts": of_texts(LogisticRegression(), "error"),
    "linear": of_numbers(StandardScaler(), LogisticRegression()),
    "gradient descent": of_numbers(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)),
}


def exported(fitted: Any, rows: pd.DataFrame, texts: Mapping[str, Mapping[str, float]]) -> OnnxSource:
    """The file that the guide tells to write."""
    columns = tuple(rows.columns) if texts else ()
    content = to_onnx(fitted, rows[:1] if texts else rows[:1].to_numpy(), target_opset={"": 18, "ai.onnx.ml": 3})
    return OnnxSource("own.onnx", content.SerializeToString(), columns, texts=texts)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("name", PIPELINES)
def test_a_file_with_more_inputs_than_groups_is_explained_input_by_input(name: str) -> None:
    pipeline = PIPELINES[name]
    table, y = people()
    is_text = name.startswith("columns")
    rows = table if is_text else numbers(table)
    fitted = pipeline.fit(rows, y)
    X = numbers(table).to_numpy(dtype=np.float64)
    read = read_model(exported(fitted, rows, {"sex_male": SEX} if is_text else {}), X, NAMES, {})
    assert type(read).__name__ == "AdditiveFile"
    assert np.abs(read.link.probability(read.margin(X)) - fitted.predict_proba(rows)[:, 1]).max() < 1e-5
    assert np.allclose(read.base + read.contributions(X).sum(axis=1), read.margin(X), atol=1e-5)


@pytest.mark.parametrize("strategy", ["mean", "median"])
def test_trees_of_a_file_are_explained_by_groups_and_its_imputed_values_are_found(strategy: str) -> None:
    table, y = people()
    rows = numbers(table)
    trees = GradientBoostingClassifier(n_estimators=150, random_state=0)
    fitted = make_pipeline(SimpleImputer(strategy=strategy), trees).fit(rows, y)
    source, X = exported(fitted, rows, {}), rows.to_numpy(np.float64)
    with pytest.raises(CompileRefused, match=r"at most 10 groups of its inputs, and there are 15"):
        read_model(source, X, NAMES, {})
    read = read_model(source, X, NAMES, {"others": NUMBERS[2:]})
    assert np.abs(read.link.probability(read.margin(X)) - fitted.predict_proba(rows)[:, 1]).max() < 1e-5
    values = imputed_values(source, read, X)
    assert values.keys() == set(NAMES)
    for name, value in values.items():
        absent, imputed = rows.assign(**{name: np.nan}), rows.assign(**{name: value})
        assert np.array_equal(fitted.predict_proba(absent), fitted.predict_proba(imputed))


def test_a_file_in_another_unit_answers_for_the_features_unit() -> None:
    table, y = people()
    rows = numbers(table)
    fitted = of_numbers(StandardScaler(), LogisticRegression()).fit(rows.assign(lab0=88.4 * rows["lab0"]), y)
    source = exported(fitted, rows, {})
    factors = tuple(1 / 88.4 if name == "lab0" else 1.0 for name in NAMES)
    read = read_model(OnnxSource(source.name, source.content, factors=factors), rows.to_numpy(np.float64), NAMES, {})
    expected = fitted.predict_proba(rows.assign(lab0=88.4 * rows["lab0"]))[:, 1]
    assert np.abs(read.link.probability(read.margin(rows.to_numpy(np.float64))) - expected).max() < 1e-5


def test_reference_rows_that_do_not_fit_and_three_classes_are_refused_with_a_sentence() -> None:
    table, y = people()
    rows = numbers(table)
    X = rows.to_numpy(np.float64)
    source = exported(of_numbers(StandardScaler(), LogisticRegression()).fit(rows, y), rows, {})
    three = exported(of_numbers(LogisticRegression()).fit(rows, np.arange(len(y)) % 3), rows, {})
    for model, cohort, said in (
        (source, np.where(X > 2, np.inf, X), "infinite"),
        (source, X[:19], "20 rows or more"),
        (three, X, "one probability of each is needed"),
    ):
        with pytest.raises(CompileRefused, match=said):
            read_model(model, cohort, NAMES, {})
