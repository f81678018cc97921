"""Which model is it: files and objects made by hand of every library, each read in its form or refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.additive_curves import AdditiveCurves
from models_onnx.workbench.compiler.families.additive_trees import AdditiveTrees
from models_onnx.workbench.compiler.families.path_trees import APPROXIMATE, PathTrees
from models_onnx.workbench.compiler.families.shapley_trees import ShapleyTrees
from models_onnx.workbench.compiler.families.trees import Ensemble
from models_onnx.workbench.compiler.link import IDENTITY, LOGIT, FittedModel
from models_onnx.workbench.compiler.readers.column import Inputs
from models_onnx.workbench.compiler.readers.prepared import Prepared
from models_onnx.workbench.compiler.readers.regressions import LogitModel
from models_onnx.workbench.compiler.readers.source import (
    CoxModel,
    booster_of,
    from_ensemble,
    linear_model,
    logistic,
    open_source,
    read_file,
    reader_of,
)
from tests.models_onnx.workbench.compiler.families.test_additive_trees import written_down
from tests.models_onnx.workbench.compiler.readers.test_regressions_by_hand import made
from tests.models_onnx.workbench.compiler.readers.test_tree_files import HEADER, LEARNER, TREE, text_of_lightgbm
from tests.models_onnx.workbench.compiler.readers.test_trees_by_hand import _catboost

NAN = float("nan")
LIGHT = text_of_lightgbm(HEADER, TREE).replace("tree=", "tree", 1)
STUMP = {**TREE, "num_leaves": "2", "split_feature": "1", "threshold": "2.5", "decision_type": "2"}
STUMPS = text_of_lightgbm(HEADER, STUMP | {"left_child": "-1", "right_child": "-2", "leaf_value": "-0.5 1.5"})
EXTREME, CAT = json.dumps({"learner": LEARNER}).encode(), json.dumps(_catboost()).encode()
ROWS = np.array([[1.0, 2.0], [1.0, 3.0], [0.0, 3.0], [5.0, 2.0]])
COHORT = np.tile(ROWS, (5, 1))
BOTH = Inputs(("age", "bun"), frozenset(), {})


def facts(ensemble: Ensemble | None) -> tuple[Any, ...]:
    """What a reader made, short."""
    assert ensemble is not None
    return ensemble.features, ensemble.start, len(ensemble.trees), ensemble.margin(ROWS).tolist()


# by hand: bun at most 2.5 (XGBoost: below 2), then whether the age is at least 0.25; LightGBM has zero for missing
OF_LIGHT = (("age", "bun"), 0.0, 1, [-1.0, 3.0, 3.0, -1.0])
OF_EXTREME = (("age", "bun"), 0.0, 1, [0.75, 0.75, 0.125, 0.75])
OF_CAT = (("age", "bun"), 0.25, 1, [2.25, 6.25, 6.25, 2.25])


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("m.txt", LIGHT.encode(), OF_LIGHT),
        ("m.model", LIGHT.replace("\n", "\r\n").encode(), OF_LIGHT),
        ("m.json", EXTREME, OF_EXTREME),
        ("m.json", b" \n" + EXTREME, OF_EXTREME),
        ("m.json", CAT, OF_CAT),
    ],
)
def test_a_file_is_known_by_its_content(name: str, content: bytes, expected: Any, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert facts(read_file(tmp_path / name)) == expected
    for path in (tmp_path / name, str(tmp_path / name)):
        source = open_source(path)
        assert (source.form, source.features, source.preparation) == ("boosted trees", ("age", "bun"), None)
        assert source.explained(COHORT, BOTH).margin(ROWS) == pytest.approx(expected[-1], abs=1e-12)


PICKLE = (
    "{} is a pickle or an archive of one: it could run anything when read, so it never is. Write the model in its "
    "library's own format (LightGBM: text; XGBoost, CatBoost: JSON), or call compile_model"
)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("m.PKL", b"anything", PICKLE.format("m.PKL")),
        ("m.txt", b"\x80\x04", PICKLE.format("m.txt")),
        ("m.txt", b"PK\x03\x04", PICKLE.format("m.txt")),
        ("m.bin", b"CBM1...", "m.bin is CatBoost's binary form; write it with save_model(..., format='json')"),
        (
            "m.txt",
            b"hello",
            "m.txt is neither a LightGBM text file nor a CatBoost JSON file nor an XGBoost JSON or UBJ file",
        ),
        ("m.txt", b"trees\n", "m.txt is neither a LightGBM text file nor a CatBoost JSON file nor an XGBoost JSON or "
         "UBJ file"),
    ],
)  # fmt: skip
def test_a_file_of_another_kind_is_refused_with_its_sentence(
    name: str, content: bytes, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CompileRefused) as refused:
        read_file(tmp_path / name)
    assert str(refused.value) == sentence
    with pytest.raises(CompileRefused) as refused:
        read_file(tmp_path / "nothing")
    assert str(refused.value) == f"{tmp_path / 'nothing'} is not there"


def light(text: str = LIGHT, name: str = "LGBMClassifier", **members: Any) -> Any:
    """A classifier of LightGBM, as far as it is asked."""
    booster = made("Booster", model_to_string=lambda: text)
    probabilities = {"predict_proba": lambda rows: np.zeros((len(rows), 2))}
    return made(name, booster_=booster, classes_=[0, 1], **(probabilities | members))


def cat() -> Any:
    """A classifier of CatBoost, which writes a file."""

    def save_model(path: str, **settings: str) -> None:
        Path(path).write_bytes(CAT if settings == {"format": "json"} else b"")

    return made("CatBoostClassifier", save_model=save_model, classes_=[0, 1])


def extreme() -> Any:
    """A classifier of XGBoost."""
    booster = made("Booster", save_raw=lambda form: bytearray(EXTREME if form == "json" else b""))
    return made("XGBClassifier", get_booster=lambda: booster, classes_=[0, 1])


def test_an_object_of_a_library_is_read_by_what_it_writes() -> None:
    assert facts(booster_of(light())) == OF_LIGHT
    assert facts(booster_of(light().booster_)) == OF_LIGHT
    assert facts(booster_of(cat())) == OF_CAT
    assert facts(booster_of(extreme())) == OF_EXTREME
    assert facts(booster_of(extreme().get_booster())) == OF_EXTREME
    for other in (made("CatBoostPool"), made("Keras", save_model=print), LogisticRegression()):
        assert booster_of(other) is None
        assert reader_of(other) is None


def chain(depth: int) -> Ensemble:
    """One tree of so many questions in a row about two inputs in turn."""
    count = depth + 1
    return read_light(
        {
            "num_leaves": str(count),
            "split_feature": " ".join(str(number % 2) for number in range(depth)),
            "threshold": " ".join(str(number) for number in range(depth)),
            "decision_type": " ".join(["2"] * depth),
            "left_child": " ".join(str(-number - 1) for number in range(depth)),
            "right_child": " ".join(str(number + 1) if number < depth - 1 else str(-count) for number in range(depth)),
            "leaf_value": " ".join(str(number) for number in range(count)),
        }
    )


def read_light(changes: dict[str, str]) -> Ensemble:
    """The ensemble of one changed tree."""
    ensemble = booster_of(light(text_of_lightgbm(HEADER, TREE | changes)))
    assert ensemble is not None
    return ensemble


@pytest.mark.parametrize(
    ("depth", "deepest", "family"),
    [
        (1, 4, AdditiveTrees),
        (1, APPROXIMATE, AdditiveTrees),
        (2, 4, ShapleyTrees),
        (4, APPROXIMATE, ShapleyTrees),
        (5, 5, ShapleyTrees),
        (5, APPROXIMATE, PathTrees),
    ],
)
def test_trees_are_explained_exactly_where_they_can_be(depth: int, deepest: int, family: type) -> None:
    ensemble = chain(depth)
    model = from_ensemble(ensemble, COHORT, deepest)
    assert type(model) is family
    assert (model.features, model.link) == (("age", "bun"), LOGIT)
    assert model.margin(ROWS) == pytest.approx(ensemble.margin(ROWS), abs=1e-12)


def test_trees_too_deep_for_exact_contributions_are_refused_unless_an_approximation_is_declared() -> None:
    with pytest.raises(CompileRefused):
        from_ensemble(chain(5), COHORT)


def fitted(kind: Any, **settings: Any) -> Any:
    """A model of scikit-learn of the two inputs, named."""
    import pandas as pd

    X = np.tile(ROWS, (10, 1))
    return kind(**settings).fit(pd.DataFrame(X, columns=["age", "bun"]), (X[:, 1] > 2).astype(int))


def piped(step: Any, last: Any) -> Pipeline:
    """A pipeline whose step is fitted to the rows."""
    return Pipeline([("step", step.fit(ROWS)), ("last", last)])


def test_every_form_has_its_name_and_the_names_of_its_inputs() -> None:
    named = ("age", "bun")
    ebm = written_down(feature_names_in_=["age", "bun"])
    sources = [
        (light(), "boosted trees", named),
        (light(STUMPS), "additive trees", named),
        (LogitModel((1.0, 2.0), 0.5, named), "logistic", named),
        (made("ExplainableBoostingClassifier", **vars(ebm)), "EBM", named),
        (made("ExplainableBoostingClassifier", **vars(written_down())), "EBM", None),
        (fitted(LogisticRegression), "logistic", named),
        (fitted(RandomForestClassifier, n_estimators=2, max_depth=2), "forest", named),
        (fitted(HistGradientBoostingClassifier, max_iter=2, max_depth=2), "boosted trees", named),
        (piped(SimpleImputer(), light()), "boosted trees", None),
        (CoxModel((0.5, 1.0), {5.0: 0.25}, 5.0), "Cox", None),
        (CoxModel((0.5, 1.0), {5.0: 0.25}, 5.0, names=named), "Cox", named),
    ]
    for model, form, names in sources:
        source = open_source(model)
        assert (source.form, source.features) == (form, names)


def explained(model: Any, X: Any = COHORT) -> FittedModel:
    """What a model becomes against these rows."""
    return open_source(model).explained(np.asarray(X), BOTH)


def test_a_regression_adds_its_coefficients_up_from_its_intercept() -> None:
    model = explained(LogitModel((1.0, -2.0), 0.5, ("age", "bun")))
    assert isinstance(model, AdditiveCurves)
    assert model.margin(ROWS).tolist() == pytest.approx([-2.5, -4.5, -5.5, 1.5])
    cox = explained(CoxModel((1.0, -2.0), {1.0: 0.125, 5.0: 0.25}, 5.0))
    assert cox.margin(ROWS).tolist() == pytest.approx([v - 0.5 + np.log(0.25) for v in (-2.5, -4.5, -5.5, 1.5)])
    scaled = StandardScaler()
    pipeline = Pipeline([("scale", scaled), ("last", LogisticRegression())]).fit(ROWS, [0, 1, 1, 0])
    assert explained(pipeline).margin(ROWS) == pytest.approx(pipeline.decision_function(ROWS), abs=1e-12)
    assert open_source(pipeline).preparation.steps == pipeline[:-1].steps
    alone = Pipeline([("last", LogisticRegression())]).fit(ROWS, [0, 1, 1, 0])
    assert open_source(alone).preparation is None
    assert [column.input for column in open_source(alone).columns(BOTH)] == [0, 1]


def test_an_ebm_is_explained_with_its_intercept_against_the_cohort() -> None:
    categories = written_down()
    model = explained(made("ExplainableBoostingClassifier", **vars(categories)), [[0.5, 1.0], [2.0, 3.0]])
    # 10 + 11 + 11 - 0.5 and 30 + 13 + 22 - 0.5
    assert model.margin(np.array([[0.5, 1.0], [2.0, 3.0]])) == pytest.approx([31.5, 64.5])


def test_a_booster_behind_a_preparation_is_read_under_the_names_of_the_inputs() -> None:
    model = explained(piped(SimpleImputer(), light()))
    assert (model.features, model.margin(ROWS).tolist()) == (("age", "bun"), OF_LIGHT[-1])
    # the imputer's means are 1.75 and 2.5: a missing age goes right of zero, a missing bun goes left
    assert model.margin(np.array([[NAN, 3.0], [1.0, NAN]])).tolist() == [3.0, -1.0]
    indicated = SimpleImputer(add_indicator=True).fit([[1.0, NAN], [3.0, 3.0]])
    pipeline = Pipeline([("step", indicated), ("last", light(LIGHT.replace("age bun", "age bun gone")))])
    prepared = explained(pipeline)
    assert isinstance(prepared, Prepared)
    assert prepared.inner.features == ("age#0", "bun#1", "bun#2")
    assert prepared.margin(ROWS).tolist() == OF_LIGHT[-1]


def refuses(rows: Any) -> Any:
    """A predict_proba that takes nothing missing."""
    if np.isnan(rows).any():
        raise ValueError("Input X contains NaN")
    return np.zeros((len(rows), 2))


def test_trees_that_know_nothing_missing_get_the_middle_of_the_cohort() -> None:
    gone = np.array([[NAN, 3.0], [1.0, NAN]])
    step = FunctionTransformer()
    low, high = np.tile([[-1.0, 2.0]] * 3 + [[9.0, 9.0]], (5, 1)), np.tile([[1.0, 3.0]] * 3 + [[0.0, 0.0]], (5, 1))
    for model, cohort, margins in (
        (light(), low, [3.0, -1.0]),
        (light(predict_proba=refuses), low, [0.5, -1.0]),
        (light(predict_proba=refuses), high, [3.0, 3.0]),
    ):
        assert explained(piped(step, model), cohort).margin(gone) == pytest.approx(margins, abs=1e-12)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (piped(SimpleImputer(), made("LGBMClassifier", booster_=light().booster_)),
         "LGBMClassifier is not a fitted classifier"),
        (piped(StandardScaler(), light(predict_proba=refuses)),
         "LGBMClassifier behind a scaler is not compiled: leave the scaler out and fit it again; its trees ask the "
         "same questions without"),
        (piped(FunctionTransformer(np.log1p), light(predict_proba=refuses)),
         "age reaches the trees as a curve (a spline or a function), which no threshold can follow to the last bit: "
         "give trees the input itself, a rising function of it changes none of their questions"),
        (LogitModel((1.0, 2.0, 3.0), 0.5, ("age", "bun")), "3 coefficients do not fit the 2 columns before them"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_explained_behind_its_preparation_says_why(model: Any, sentence: str) -> None:
    with pytest.raises(CompileRefused) as refused:
        explained(model)
    assert str(refused.value) == sentence


def test_coefficients_of_a_logistic_regression_of_two_classes_are_taken_and_others_are_refused() -> None:
    X, y = np.tile(ROWS, (3, 1)), np.array([0, 1, 1, 0] * 3)
    fit = SGDClassifier(loss="log_loss", random_state=0).fit(X, y)
    coefficients, intercept = logistic(fit)
    assert (coefficients.tolist(), intercept) == (fit.coef_[0].tolist(), float(fit.intercept_[0]))
    refusals = {
        "SGDClassifier with the loss 'hinge' gives no probability; use loss='log_loss'": SGDClassifier().fit(X, y),
        "LogisticRegression is not fitted": LogisticRegression(),
        "LogisticRegression has 3 classes, and models of two are compiled: say which classes are the event, or fit one "
        "model for each": LogisticRegression().fit(X, np.arange(12) % 3),
    }
    for sentence, model in refusals.items():
        with pytest.raises(CompileRefused) as refused:
            logistic(model)
        assert str(refused.value) == sentence


def test_two_columns_of_one_input_are_one_curve() -> None:
    columns = [*BOTH.start(), BOTH.start()[1]]
    model = linear_model(columns, np.array([1.0, 2.0, 3.0]), 0.25, ROWS, BOTH, IDENTITY)
    assert isinstance(model, AdditiveCurves)
    assert (len(model.paths), model.link) == (2, IDENTITY)
    assert model.margin(ROWS).tolist() == pytest.approx([11.25, 16.25, 15.25, 15.25])
