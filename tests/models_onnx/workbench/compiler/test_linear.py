"""Logistic pipelines and Cox models: every step folded into one curve per input, against the libraries' own sums."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler import CoxModel, read_model
from models_onnx.workbench.compiler.explaining_graph import Groups, write_file
from models_onnx.workbench.compiler.graph import DOUBLE, Graph
from models_onnx.workbench.compiler.link import LOGIT, Survival
from models_onnx.workbench.compiler.readers.cox import cox_of
from models_onnx.workbench.compiler.reference import QUANTILES, Familiarity, Reference, build_reference
from tests.each import for_rows
from tests.libraries import statsmodels
from tests.models_onnx.workbench.compiler.oracles import linear_shap
from tests.models_onnx.workbench.compiler.people import NAMES, Array, BrokenLine, compiled, invented, piecewise, says
from tests.models_onnx.workbench.compiler.test_compile import REFERENCE


def frame(people: int = 500) -> tuple[pd.DataFrame, Any]:
    """Invented people with a ward as a number; nobody misses it."""
    X, y = invented(people)
    table = pd.DataFrame(X, columns=list(NAMES))
    table["count"] = table["count"].fillna(0.0)
    ward = np.random.default_rng(2).integers(0, 3, people).astype(float)
    return table.assign(ward=ward), y


def closed_form(fitted: Pipeline, table: pd.DataFrame, rows: pd.DataFrame) -> Array:
    """Coefficient times (column - its mean over the cohort), summed by the input that the column is named after."""
    coefficients = fitted[-1].coef_[0]
    terms = (fitted[:-1].transform(rows) - fitted[:-1].transform(table).mean(axis=0)) * coefficients
    owners = [name.split("__")[-1].split("_")[0].removeprefix("missingindicator") for name in names_of(fitted)]
    return np.column_stack([terms[:, [o == name for o in owners]].sum(axis=1) for name in table.columns])


def names_of(fitted: Pipeline) -> list[str]:
    """The columns that reach the regression, by scikit-learn's names."""
    return [str(name).replace("missingindicator_", "") for name in fitted[:-1].get_feature_names_out()]


def test_scalers_imputers_and_codes_say_what_scikit_learn_says() -> None:
    table, y = frame()
    scaled = make_pipeline(SimpleImputer(), StandardScaler())
    codes = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    steps = ColumnTransformer(
        [("s", scaled, ["age", "lab"]), ("c", codes, ["count", "ward"]), ("i", MissingIndicator(), ["lab"])],
        remainder=make_pipeline(SimpleImputer(strategy="median"), RobustScaler()),
    )
    fitted = Pipeline([("prepare", steps), ("model", LogisticRegression(max_iter=500))]).fit(table, y)
    file = compiled(fitted, table, outcomes=y)
    rows = table.copy()
    rows["age"] = (rows["age"] * 3).astype(np.float32).astype(float)  # far outside the cohort
    told = says(file.content, rows.to_numpy(dtype=float))
    assert np.abs(told["probability"] - fitted.predict_proba(rows)[:, 1]).max() < 1e-12
    assert np.abs(told["contributions"] - closed_form(fitted, table, rows)).max() < 1e-8


def test_contributions_agree_with_shap_on_the_prepared_columns() -> None:
    X, y = invented(people=400)
    fitted = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()).fit(X, y)
    told = says(compiled(fitted, X).content, X)["contributions"]
    prepared = fitted[:-1].transform(X)
    expected = linear_shap(fitted[-1].coef_[0], float(fitted[-1].intercept_[0]), prepared, prepared)
    assert np.abs(told - expected).max() < 1e-8


@pytest.mark.parametrize(
    ("step", "word"),
    [
        (PCA(2), "PCA"),
        (PolynomialFeatures(2), "PolynomialFeatures"),
        (KNNImputer(), "KNNImputer"),
        (KBinsDiscretizer(2, strategy="uniform"), "KBinsDiscretizer is not compiled input by input"),
        (SplineTransformer(), "SplineTransformer"),
        (MinMaxScaler(clip=True), "clip"),
        (make_pipeline(StandardScaler(), OneHotEncoder(handle_unknown="ignore")), "as they are"),
        (OneHotEncoder(max_categories=3, handle_unknown="infrequent_if_exist"), "infrequent"),
    ],
    ids=str,
)
def test_a_step_that_mixes_inputs_or_is_not_read_is_refused_by_name(step: Any, word: str) -> None:
    X, y = invented(gaps=0.0, grid=1)
    fitted = make_pipeline(step, LogisticRegression(max_iter=2000)).fit(X, y)
    with pytest.raises(CompileRefused, match=word):
        compiled(fitted, X)


def study(people: int = 600) -> tuple[Array, Array, Any]:
    """Inputs, times and whether somebody died: hazards that rise with the first two inputs."""
    X, _ = invented(people)
    draw = np.random.default_rng(4)
    hazard = 0.1 * np.exp(np.nan_to_num(X[:, 0]) - 0.5 * np.nan_to_num(X[:, 1]))
    time = draw.exponential(1 / hazard)
    return X, np.minimum(time, 8.0), (time < 8.0).astype(int)


def test_a_cox_model_says_survival_at_every_horizon_and_adds_up_on_the_hazard() -> None:
    X, time, died = study()
    X = np.nan_to_num(X)
    fitted = statsmodels.PHReg(time, X, status=died).fit()
    cox = replace(cox_of(fitted, (1.0, 3.0, 5.0), 1.0), names=None)
    file = compiled(cox, X, outcomes=(died == 1) & (time <= 5.0))
    told = says(file.content, X)
    predictor = X @ fitted.params
    for column, horizon in enumerate((1.0, 3.0, 5.0)):
        baseline = breslow(time, died, predictor, horizon)
        assert np.abs(told["survival"][:, column] - np.exp(-baseline * np.exp(predictor))).max() < 1e-8
        assert np.abs(told["risk"][:, column] + told["survival"][:, column] - 1).max() < 1e-15
    assert (told["probability"] == told["risk"][:, 2]).all()
    assert file.fitted.link.name == "cloglog"
    assert np.abs(told["margin"] - np.log(-np.log1p(-told["probability"]))).max() < 1e-9
    assert np.abs(told["contributions"].sum(axis=1) - (predictor - predictor.mean())).max() < 1e-8


def breslow(time: Array, died: Any, predictor: Array, until: float) -> float:
    """The cumulative baseline hazard up to and including a time, by its definition."""
    events = np.unique(time[(died == 1) & (time <= until)])
    return float(sum(died[time == each].sum() / np.exp(predictor[time >= each]).sum() for each in events))


def test_events_at_the_horizon_itself_count_where_times_are_months() -> None:
    X, time, died = study()
    Z = SimpleImputer().fit_transform(X)
    months = np.ceil(time * 2.0)  # few distinct times, so that many die at the horizon itself
    fitted = statsmodels.PHReg(months, Z, status=died).fit()
    cox = cox_of(fitted, (0.5,), 12.0)
    expected = breslow(months, died, Z @ fitted.params, 6.0)
    assert cox.hazards[0.5] == pytest.approx(expected, rel=1e-12)
    before = breslow(months, died, Z @ fitted.params, 5.0)
    assert before < 0.9 * expected


def test_a_recalibrated_cox_model_keeps_the_shape_of_its_baseline() -> None:
    X, _, died = study()
    cox = CoxModel((0.4, 0.0, 0.0, 0.0, 0.0), {1.0: 0.05, 5.0: 0.3}, 5.0)
    read = read_model(cox, X, NAMES)
    moved = read.recalibrated(0.2, 0.9)
    told = says(
        write_file(
            "m", moved, build_reference(moved.margin(X), moved.margin(X), died, np.ones(len(X)), moved.link), {}
        ),
        X,
    )
    before = says(compiled(cox, X).content, X)
    assert np.abs(told["margin"] - (0.2 + 0.9 * before["margin"])).max() < 1e-12
    ratio = np.log(told["survival"][:, 0]) / np.log(told["survival"][:, 1])
    assert np.abs(ratio - 0.05 / 0.3).max() < 1e-12


@for_rows(
    ("hazards", "main"), [({1.0: 0.2, 5.0: 0.1}, 5.0), ({1.0: 0.0}, 1.0), ({1.0: 0.1}, 2.0), ({1.0: float("nan")}, 1.0)]
)
def test_a_baseline_that_falls_or_lacks_the_main_horizon_is_refused(hazards: dict[float, float], main: float) -> None:
    with pytest.raises(CompileRefused):
        Survival.at(hazards, main)


onnxruntime = pytest.importorskip("onnxruntime")


def compared(reference: Reference, margins: list[float]) -> dict[str, list[float]]:
    """What the reference's part of a graph says about these margins."""
    graph = Graph()
    reference.write(graph, graph.input("margin", DOUBLE, ["N", 1]))
    content = graph.model("part", {}).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    told = session.run(names, {"margin": np.array(margins)[:, None]})
    return {name: values.tolist() for name, values in zip(names, told, strict=True)}


def test_the_first_bin_begins_below_everything() -> None:
    assert REFERENCE.margin_low(REFERENCE.bins[0]) == -np.inf
    assert REFERENCE.margin_low(REFERENCE.bins[1]) == -1.0


def cohort(people: int = 4000) -> Array:
    """Two inputs that rise together, a third that is nearly constant, gaps, and one wild value."""
    draw = np.random.default_rng(6)
    first = draw.normal(70, 10, people)
    X = np.column_stack([first, first * 2 + draw.normal(0, 3, people), (draw.random(people) < 0.01) * 1.0])
    X[draw.random(X.shape) < 0.1] = np.nan
    X[0, 0] = 1e6
    return X


def file_of(known: Familiarity) -> bytes:
    """A small model's file with this cohort in it."""
    lines = tuple(BrokenLine(name, (0.0,), (0.01,), 0.0, 200.0, 200.0) for name in ("a", "b", "c"))
    return write_file("m", piecewise(lines, 0.0), Reference(REFERENCE.quantiles, REFERENCE.bins, known), {})


@pytest.fixture(scope="module")
def known() -> Familiarity:
    """Of the cohort."""
    return Familiarity.of(cohort())


def test_one_in_a_thousand_of_the_cohort_is_beyond_its_own_limit(known: Familiarity) -> None:
    told = says(file_of(known), cohort())
    assert told["out_of_distribution"].mean() == pytest.approx(0.001, abs=0.0005)
    assert np.abs(told["distance"] - known.distance(cohort())).max() < 1e-5


def test_two_ordinary_values_that_never_go_together_are_unfamiliar(known: Familiarity) -> None:
    told = says(file_of(known), np.array([[90.0, 180.0, 0.0], [90.0, 100.0, 0.0], [50.0, 180.0, np.nan]]))
    assert told["out_of_distribution"].tolist() == [False, True, True]


def test_a_rare_yes_is_not_strange_by_itself(known: Familiarity) -> None:
    told = says(file_of(known), np.array([[70.0, 140.0, 1.0]]))
    assert told["distance"][0] < 0.7


def test_a_missing_value_is_never_what_makes_a_row_unfamiliar(known: Familiarity) -> None:
    told = says(file_of(known), np.full((1, 3), np.nan))
    assert told["distance"].tolist() == [0.0]


def test_infinite_values_are_unfamiliar_and_give_a_number(known: Familiarity) -> None:
    told = says(file_of(known), np.array([[np.inf, np.nan, 0.0], [-np.inf, np.inf, np.inf]]))
    assert told["out_of_distribution"].all()
    assert np.isfinite(told["distance"]).all()


def test_a_cohort_without_any_value_or_without_difference_still_gives_a_limit() -> None:
    X = cohort()
    X[:, 1], X[:, 2] = np.nan, 3.0
    known = Familiarity.of(X)
    assert np.isfinite(known.distance(X)).all()
    assert says(file_of(known), X)["distance"].max() < 20


FEATURES = ("age", "unit_a", "sex", "unit_b")


@pytest.mark.parametrize(
    ("declared", "refusal"),
    [
        ({"unit": ["unit_a", "ward", "bed"]}, "a group names bed, ward, which is not an input"),
        (
            {"a": ["age", "sex"], "b": ["sex", "age"]},
            "age, sex is in two groups; its contribution can be shown once only",
        ),
        ({"age": ["unit_a", "unit_b"]}, "a group is called like the input age, which is not in it"),
    ],
)
def test_groups_that_are_refused(declared: dict[str, list[str]], refusal: str) -> None:
    with pytest.raises(CompileRefused) as problem:
        Groups.of(FEATURES, declared)
    assert str(problem.value) == refusal


def _reference(y: list[int], weight: list[float] | None = None) -> list[tuple[int, int, int, float]]:
    """Start, people, events and rate of each bin; 200 people whose margins rise, ten of each twentieth."""
    margin = np.linspace(-3.0, 3.0, len(y))
    weights = np.ones(len(y)) if weight is None else np.array(weight)
    reference = build_reference(margin, margin, np.array(y), weights, LOGIT, None, (0, 25, 50, 75))
    return [(each.quantile, each.count, each.events, each.rate) for each in reference.bins]


def _quarters(*events: int) -> list[int]:
    return [int(number < count) for count in events for number in range(50)]


STEP = (QUANTILES + 1) // 4


def test_bins_whose_rates_rise_stay_apart_and_one_that_falls_joins_the_one_below() -> None:
    assert _reference(_quarters(5, 10, 10, 20)) == [
        (0, 50, 5, 0.1), (STEP, 50, 10, 0.2), (2 * STEP, 50, 10, 0.2), (3 * STEP, 50, 20, 0.4),
    ]  # fmt: skip
    assert _reference(_quarters(5, 10, 9, 20)) == [(0, 50, 5, 0.1), (STEP, 100, 19, 0.19), (3 * STEP, 50, 20, 0.4)]
    assert _reference(_quarters(20, 10, 5, 1)) == [(0, 200, 36, 0.18)]


def test_people_of_no_weight_are_in_no_bin_and_an_empty_bin_joins_its_neighbour() -> None:
    without_second = [1.0] * 50 + [0.0] * 50 + [1.0] * 100
    assert _reference(_quarters(5, 50, 10, 20), without_second) == [
        (0, 50, 5, 0.1), (2 * STEP, 50, 10, 0.2), (3 * STEP, 50, 20, 0.4),
    ]  # fmt: skip
    without_first = [0.0] * 50 + [1.0] * 150
    assert _reference(_quarters(0, 5, 10, 20), without_first) == [
        (0, 50, 5, 0.1), (2 * STEP, 50, 10, 0.2), (3 * STEP, 50, 20, 0.4),
    ]  # fmt: skip
