"""From a fitted model to its file: what goes in, what the file says, what is refused and how it is put."""

import json
import warnings
from functools import cache
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import checker
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from models_onnx.artifact.onnx_file import refuse_unsafe
from models_onnx.errors import CompileRefused, ParityRefused
from tests.models_onnx.workbench.compiler.people import NAMES, compiled, invented, says

pytestmark = pytest.mark.slow  # They compile whole models.


def boosting(**other: Any) -> Any:
    """Boosted trees that know no missing values."""
    return GradientBoostingClassifier(n_estimators=10, max_depth=3, random_state=0, **other)


@cache
def fitted() -> Any:
    """Shallow boosted trees on a data frame."""
    X, y = invented()
    return HistGradientBoostingClassifier(max_iter=10, max_depth=3).fit(pd.DataFrame(X, columns=list(NAMES)), y)


def table() -> pd.DataFrame:
    """The invented people with names."""
    return pd.DataFrame(invented()[0], columns=list(NAMES))


def test_the_same_model_gives_the_same_file() -> None:
    first, again = (compiled(fitted(), table()) for _ in range(2))
    assert first.content == again.content


def test_a_group_contributes_the_sum_of_its_inputs_and_keeps_its_place() -> None:
    X, _ = invented()
    alone = says(compiled(fitted(), table()).content, X)["contributions"]
    grouped = compiled(fitted(), table(), groups={"body": ["weight", "age"]})
    assert grouped.groups == ("body", "lab", "pressure", "count")
    told = says(grouped.content, X)["contributions"]
    assert np.abs(told[:, 0] - alone[:, 0] - alone[:, 3]).max() < 1e-12
    props = {each.key: each.value for each in onnx.load_from_string(grouped.content).metadata_props}
    assert json.loads(props["groups"])[0] == {"name": "body", "members": ["age", "weight"]}
    for groups, word in (
        ({"a": ["age"], "b": ["age"]}, "two groups"),
        ({"a": ["height"]}, "height"),
        ({"lab": ["age"]}, "called like the input"),
    ):
        with pytest.raises(CompileRefused, match=word):
            compiled(fitted(), table(), groups=groups)


@pytest.mark.parametrize(
    "model",
    [
        boosting(loss="exponential"),
        GradientBoostingClassifier(n_estimators=40, max_depth=1),
        boosting(init="zero"),
        RandomForestClassifier(8, max_depth=4, random_state=0),
        ExtraTreesClassifier(8, max_depth=4, random_state=0),
        DecisionTreeClassifier(max_depth=4, random_state=0),
        make_pipeline(SimpleImputer(), boosting()),
        make_pipeline(
            ColumnTransformer([("c", SimpleImputer(), [4, 2])], remainder="passthrough"),
            HistGradientBoostingClassifier(max_iter=10, max_depth=3),
        ),
    ],
    ids=lambda model: type(model[-1] if hasattr(model, "steps") else model).__name__,
)
def test_trees_say_what_scikit_learn_says_on_every_edge(model: Any) -> None:
    X, y = invented(gaps=0.1 if hasattr(model, "steps") or hasattr(model, "n_jobs") else 0.0)
    file = compiled(model.fit(X, y), X)
    agreement = file.agreement
    assert agreement.probability < 1e-9
    assert agreement.contribution < 1e-9
    assert np.abs(says(file.content, X)["probability"] - model.predict_proba(X)[:, 1]).max() < 1e-9


def test_where_a_library_takes_nothing_missing_the_cohorts_middle_value_stands_in() -> None:
    X, y = invented(gaps=0.0)
    model = boosting().fit(X, y)
    gone, middle = X.copy(), X.copy()
    gone[:, 0], middle[:, 0] = np.nan, np.float32(np.median(X[:, 0]))
    told = says(compiled(model, X).content, gone)["probability"]
    assert np.abs(told - model.predict_proba(middle)[:, 1]).max() < 1e-12


def test_a_calibration_that_is_a_line_is_folded_in_and_one_that_bends_is_refused() -> None:
    X, y = invented()
    whole = CalibratedClassifierCV(FrozenEstimator(fitted()), method="sigmoid", ensemble=False).fit(table(), y)
    file = compiled(whole, table())
    told = says(file.content, X)
    assert np.abs(told["probability"] - whole.predict_proba(table())[:, 1]).max() < 1e-12
    assert np.abs(told["margin"] - file.fitted.base - told["contributions"].sum(axis=1)).max() < 1e-12
    bent = CalibratedClassifierCV(FrozenEstimator(fitted()), method="isotonic", ensemble=False).fit(table(), y)
    with pytest.raises(CompileRefused, match="use method='sigmoid', or write the model as an ONNX file"):
        compiled(bent, table())


def test_a_calibrated_forest_is_explained_on_log_odds() -> None:
    X, y = invented()
    forest = RandomForestClassifier(8, max_depth=4, random_state=0).fit(X, y)
    assert compiled(forest, X).fitted.link.name == "identity"
    whole = CalibratedClassifierCV(FrozenEstimator(forest), method="sigmoid", ensemble=False).fit(X, y)
    file = compiled(whole, X)
    assert file.fitted.link.name == "logit"
    assert np.abs(says(file.content, X)["probability"] - whole.predict_proba(X)[:, 1]).max() < 1e-12
    first_three = ColumnTransformer([("first", SimpleImputer(), [0, 1, 2])])
    behind = make_pipeline(first_three, RandomForestClassifier(8, max_depth=4, random_state=0)).fit(X, y)
    whole = CalibratedClassifierCV(FrozenEstimator(behind), method="sigmoid", ensemble=False).fit(X, y)
    told = says(compiled(whole, X).content, X)
    assert np.abs(told["probability"] - whole.predict_proba(X)[:, 1]).max() < 1e-12
    assert not told["contributions"][:, 3:].any()


def test_what_has_no_exact_explanation_is_refused_with_what_explains_it() -> None:
    X, y = invented(gaps=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = make_pipeline(StandardScaler(), MLPClassifier((3,), max_iter=20, random_state=0)).fit(X, y)
    with pytest.raises(CompileRefused, match="of no form that is explained input by input"):
        compiled(network, X)


def test_a_library_that_says_otherwise_than_what_was_read_is_not_believed() -> None:
    class Other(type(fitted())):  # type: ignore[misc]  # the class of a fitted object
        def predict_proba(self, X: Any) -> Any:
            return super().predict_proba(X) ** 2

    other = fitted().__class__.__new__(Other)
    other.__dict__.update(fitted().__dict__)
    Other.__name__ = "HistGradientBoostingClassifier"
    with pytest.raises(ParityRefused, match="read wrongly"):
        compiled(other, table())


def test_reference_rows_that_do_not_fit_are_refused_with_a_sentence() -> None:
    X, y = invented()
    plain = HistGradientBoostingClassifier(max_iter=3, max_depth=2).fit(X, y)
    for rows, word in (
        (X[:, :3], "takes 5 inputs, the reference rows have 3 columns"),
        (np.where(X > 2, np.inf, X), "infinite"),
        (X[:19], "20 rows or more"),
    ):
        with pytest.raises(CompileRefused, match=word):
            compiled(plain, rows)
    turned = pd.DataFrame(X, columns=list(NAMES[::-1]))
    with pytest.raises(CompileRefused, match="named in another order than the model's: age, lab"):
        compiled(fitted(), turned)


def test_a_model_that_is_not_fitted_is_refused() -> None:
    for model in (LogisticRegression(), HistGradientBoostingClassifier(), RandomForestClassifier()):
        with pytest.raises(CompileRefused, match=r"not.*fitted"):
            compiled(model, invented()[0])


def test_trees_behind_a_step_that_changes_values_are_refused_with_what_works() -> None:
    X, y = invented(gaps=0.05)
    for trees in (boosting(), HistGradientBoostingClassifier(max_iter=3, max_depth=2)):
        for steps in (make_pipeline(SimpleImputer(), StandardScaler()), SimpleImputer(add_indicator=True)):
            with pytest.raises(CompileRefused, match=r"a step that changes values .* leave a scaler out and fit it"):
                compiled(make_pipeline(steps, trees).fit(X, y), X)


def test_categorical_splits_are_refused_by_the_inputs_name() -> None:
    X, y = invented(gaps=0.0)
    model = HistGradientBoostingClassifier(max_iter=5, max_depth=3, categorical_features=[4])
    with pytest.raises(CompileRefused, match="categorical splits on count"):
        compiled(model.fit(pd.DataFrame(X, columns=list(NAMES)), y), table())


def test_a_model_of_three_classes_is_refused() -> None:
    X, y = invented(gaps=0.0)
    three = np.arange(len(y)) % 3
    for model in (LogisticRegression(), boosting(), RandomForestClassifier(3, max_depth=2)):
        with pytest.raises(CompileRefused, match="3 classes"):
            compiled(model.fit(X, three), X)


def test_one_run_says_everything_with_standard_operators_only() -> None:
    X, y = invented()
    file = compiled(fitted(), table(), outcomes=y)
    refuse_unsafe(file.content)
    proto = onnx.load_from_string(file.content)
    checker.check_model(proto, full_check=True)
    assert [opset.domain for opset in proto.opset_import] == [""]
    told = says(file.content, X)
    assert set(told) == {
        "probability",
        "margin",
        "contributions",
        "missing",
        "out_of_range",
        "percentile",
        "observed_rate",
        "observed_low",
        "observed_high",
        "observed_count",
        "distance",
        "out_of_distribution",
    }
    assert (told["missing"] == np.isnan(X)).all()
    assert not told["out_of_range"].any()
    assert 0 < told["out_of_distribution"].mean() <= 0.002
    assert ((told["observed_low"] <= told["observed_rate"]) & (told["observed_rate"] <= told["observed_high"])).all()
    props = {each.key: each.value for each in proto.metadata_props}
    assert float(props["base"]) == file.fitted.base
    assert props["link"] == "logit"
