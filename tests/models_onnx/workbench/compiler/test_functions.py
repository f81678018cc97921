"""Functions before a regression: logarithms, powers, quantiles and orders, against scikit-learn's own predictions."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
)

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler import compile_model
from models_onnx.workbench.compiler.families.functions import Function
from tests.models_onnx.workbench.compiler.people import Array, by_coalitions, says

NAMES = ["age", "crp", "ferritin"]


def people(count: int = 500, seed: int = 5, low: float = 0.01) -> tuple[pd.DataFrame, Any]:
    """Invented people with skewed laboratory values above `low`, on a grid, so that values repeat."""
    draw = np.random.default_rng(seed)
    columns = [draw.normal(60, 15, count).round(), draw.lognormal(1, 1.5, count).round(1), draw.lognormal(4, 1, count)]
    X = np.column_stack(columns)
    X[:, 1:] = np.maximum(X[:, 1:], low)
    X = X.astype(np.float32).astype(float)
    margin = 0.03 * (X[:, 0] - 60) + 0.5 * np.log1p(np.abs(X[:, 1])) - 1.2
    return pd.DataFrame(X, columns=NAMES), (draw.random(count) < 1 / (1 + np.exp(-margin))).astype(int)


def regression(*steps: Any) -> Any:
    """A regression behind these steps."""
    return make_pipeline(*steps, StandardScaler(), LogisticRegression(max_iter=500))


def agrees(fitted: Any, cohort: pd.DataFrame, rows: pd.DataFrame) -> dict[str, Any]:
    """The file's answers, which are scikit-learn's to 1e-9, with contributions that are those of the definition."""
    told = says(compile_model(fitted, cohort).content, rows.to_numpy(dtype=float))
    assert np.abs(told["probability"] - fitted.predict_proba(rows)[:, 1]).max() < 1e-9
    few, background = rows.to_numpy(dtype=float)[:5], cohort.to_numpy(dtype=float)

    def margin(X: Array) -> Array:
        return np.asarray(fitted.decision_function(pd.DataFrame(X, columns=cohort.columns)))

    expected = np.array([by_coalitions(margin, row, background) for row in few])
    assert np.abs(told["contributions"][:5] - expected).max() < 1e-6
    return told


@pytest.mark.parametrize(
    "function",
    [np.log, np.log2, np.log10, np.log1p, np.sqrt, np.square, np.reciprocal, np.absolute, np.arcsinh, np.tanh],
)
def test_a_function_of_numpy_before_a_regression_is_exact(function: Any) -> None:
    cohort, y = people()
    fitted = regression(FunctionTransformer(function)).fit(cohort, y)
    agrees(fitted, cohort, people(seed=6)[0])


@pytest.mark.parametrize("function", [np.exp, np.expm1])
def test_an_exponential_behind_a_scaler_is_exact(function: Any) -> None:
    cohort, y = people()
    fitted = regression(StandardScaler(), FunctionTransformer(function)).fit(cohort, y)
    agrees(fitted, cohort, people(seed=6)[0].clip(upper=cohort.max(), axis=1))


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("method", ["yeo-johnson", "box-cox"])
def test_a_power_transform_is_exact(method: str, standardize: bool) -> None:
    cohort, y = people()
    fitted = regression(PowerTransformer(method=method, standardize=standardize)).fit(cohort, y)
    agrees(fitted, cohort, people(seed=6)[0])


@pytest.mark.parametrize("output", ["uniform", "normal"])
@pytest.mark.parametrize("count", [5, 100, 500])
def test_a_quantile_transform_is_exact_also_at_repeated_values_and_beyond_both_ends(output: str, count: int) -> None:
    cohort, y = people(low=1.0)
    own = QuantileTransformer(n_quantiles=count, output_distribution=output, random_state=0)
    fitted = regression(own).fit(cohort, y)
    rows = people(seed=6)[0]
    rows.loc[:40, "crp"] = 1.0
    rows.loc[41:60] = cohort.min().to_numpy()
    rows.loc[61:80] = cohort.max().to_numpy()
    agrees(fitted, cohort, rows.astype(np.float32).astype(float))


@pytest.mark.parametrize("output", ["uniform", "normal"])
def test_a_quantile_transform_is_exact_at_repeated_values_that_no_float32_holds(output: str) -> None:
    cohort, y = people(low=1.0)
    cohort["crp"] = cohort["crp"].round() / 88.4  # umol/L as mg/dL
    own = QuantileTransformer(n_quantiles=50, output_distribution=output, random_state=0)
    fitted = regression(SimpleImputer(strategy="median"), own).fit(cohort, y)
    seen = cohort.astype(np.float32).astype(float)
    agrees(fitted, seen, seen)


def test_a_spline_of_a_logarithm_and_of_a_quantile_are_exact() -> None:
    cohort, y = people()
    steps = ColumnTransformer(
        [
            ("log", make_pipeline(FunctionTransformer(np.log1p), SplineTransformer(n_knots=4)), ["crp", "ferritin"]),
            ("rank", make_pipeline(QuantileTransformer(n_quantiles=50), SplineTransformer(n_knots=3)), ["ferritin"]),
        ],
        remainder="passthrough",
    )
    agrees(regression(steps).fit(cohort, y), cohort, people(seed=6)[0])


def test_a_value_that_is_imputed_before_or_after_the_logarithm_is_the_one_that_scikit_learn_takes() -> None:
    cohort, y = people()
    cohort.loc[::7, "crp"] = np.nan
    for steps in (
        (SimpleImputer(strategy="median", add_indicator=True), FunctionTransformer(np.log1p)),
        (FunctionTransformer(np.log1p), SimpleImputer()),
    ):
        fitted = regression(*steps).fit(cohort, y)
        told = says(compile_model(fitted, cohort).content, cohort.to_numpy(dtype=float))
        assert np.abs(told["probability"] - fitted.predict_proba(cohort)[:, 1]).max() < 1e-9


def test_a_row_gets_the_same_bits_alone_and_in_any_batch() -> None:
    cohort, y = people()
    fitted = regression(PowerTransformer(), FunctionTransformer(np.arcsinh)).fit(cohort, y)
    content, X = compile_model(fitted, cohort).content, cohort.to_numpy(dtype=float)
    whole = says(content, X)
    for count in (1, 3, 17):
        part = says(content, X[:count])
        assert all(part[name].tobytes() == whole[name][:count].tobytes() for name in ("probability", "contributions"))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20),
    st.floats(-4, 6),
    st.sampled_from(["yeo-johnson", "arcsinh", "tanh", "log1p", "sqrt"]),
)
def test_a_function_in_the_file_is_the_one_in_numpy_and_unknown_at_the_same_values(
    values: list[float], power: float, kind: str
) -> None:
    import onnxruntime

    from models_onnx.workbench.compiler.families.functions import write_functions
    from models_onnx.workbench.compiler.graph import DOUBLE, Graph

    graph, function = Graph(), Function(kind, power)
    source = graph.input("x", DOUBLE, ["N", 1])
    graph.node("Identity", [write_functions(graph, source, [function])], "y")
    graph.output("y", DOUBLE, ["N", 1])
    session = onnxruntime.InferenceSession(graph.model("f", {}).SerializeToString())
    x = np.array(values)
    told, expected = session.run(["y"], {"x": x[:, None]})[0][:, 0], function.values(x)
    assert (np.isnan(told) == np.isnan(expected)).all()
    known = ~np.isnan(told)
    assert (np.abs(told - expected)[known] <= 1e-9 * np.maximum(1.0, np.abs(expected[known])) + 1e-7).all()


def test_an_order_of_words_and_of_numbers_is_the_one_that_was_learned() -> None:
    cohort, y = people()
    draw = np.random.default_rng(1)
    cohort = cohort.assign(ward=draw.choice(["low", "mid", "top"], len(cohort)), stage=draw.integers(1, 5, len(cohort)))
    orders = [["mid", "low", "top"], [4, 1, 2]]
    encoder = OrdinalEncoder(categories=orders, handle_unknown="use_encoded_value", unknown_value=-1)
    steps = ColumnTransformer([("order", encoder, ["ward", "stage"])], remainder="passthrough")
    plain = regression(ColumnTransformer([("order", OrdinalEncoder(), ["stage"])], remainder="drop")).fit(cohort, y)
    with pytest.raises(CompileRefused, match="OrdinalEncoder of the numbers of stage"):
        compile_model(plain, cohort)
    with pytest.raises(ValueError, match="sorted"):
        encoder.fit(cohort[["ward", "stage"]])
    encoder.set_params(categories=[["mid", "low", "top"], [1, 2, 4]])
    fitted = regression(steps).fit(cohort, y)
    codes = cohort.assign(ward=cohort["ward"].map({"mid": 0.0, "low": 1.0, "top": 2.0}))
    compiled = compile_model(fitted, cohort)
    told = says(compiled.content, codes.to_numpy(dtype=float))
    assert compiled.report.categories == {"ward": ("mid", "low", "top")}
    assert np.abs(told["probability"] - fitted.predict_proba(cohort)[:, 1]).max() < 1e-9


def test_what_is_refused_says_what_works_in_its_place() -> None:
    cohort, y = people()

    def refusal(*steps: Any, rows: pd.DataFrame = cohort) -> str:
        with pytest.raises(CompileRefused) as caught:
            compile_model(regression(*steps).fit(rows, y), rows)
        return str(caught.value)

    assert "numpy's log, log2, log10, log1p" in refusal(FunctionTransformer(lambda X: X + 1))
    assert "kw_args" in refusal(FunctionTransformer(np.log, kw_args={"dtype": float}))
    changed = refusal(FunctionTransformer(np.log1p), OneHotEncoder(handle_unknown="ignore", sparse_output=False))
    assert "was changed before it" in changed
    trees = make_pipeline(FunctionTransformer(np.log1p), HistGradientBoostingClassifier(max_depth=2, max_iter=5))
    trees.fit(cohort, y)
    with pytest.raises(CompileRefused, match="give trees the input itself"):
        compile_model(trees, cohort)


def test_a_logarithm_of_nothing_in_the_reference_rows_is_refused_and_in_a_person_unknown() -> None:
    cohort, y = people()
    fitted = regression(FunctionTransformer(np.log)).fit(cohort, y)
    with pytest.raises(CompileRefused, match="crp: log gives no number for 1 values"):
        compile_model(fitted, cohort.assign(crp=[0.0, *cohort["crp"][1:]]))
    person = cohort.to_numpy(dtype=float)[:1].copy()
    person[0, 1] = 0.0
    told = says(compile_model(fitted, cohort).content, person)
    assert told["contributions"][0, 1] == 0.0
    assert told["out_of_range"][0, 1]
