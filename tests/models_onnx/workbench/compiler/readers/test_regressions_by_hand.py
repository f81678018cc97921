"""Regressions of other libraries as their objects look, made by hand: which are read as what, which are refused."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.readers.regressions import LogitModel, SurvivalForest, regression_of
from models_onnx.workbench.compiler.readers.source import CoxModel

NAMES = ["age", "male"]


def made(name: str, **members: Any) -> Any:
    """An object of a class of this name."""
    return type(name, (SimpleNamespace,), {})(**members)


def logit(kind: str = "Logit", constant: int | None = 1, **of_model: Any) -> Any:
    """The results of a logistic regression with the coefficients 0.5 and -1, and a constant of 2 between them."""
    names, params = (["age", "const", "male"], [0.5, 2.0, -1.0]) if constant == 1 else (NAMES, [0.5, -1.0])
    model = made(
        kind,
        exog_names=names,
        data=SimpleNamespace(const_idx=constant),
        predict=lambda params, rows: (params * rows).sum(axis=1),
        **of_model,
    )
    return made("ResultsWrapper", _results=SimpleNamespace(model=model, params=np.array(params)))


def test_a_logistic_regression_gives_its_constant_as_the_intercept() -> None:
    model = regression_of(logit())
    assert (model.coefficients, model.intercept, model.constant) == ((0.5, -1.0), 2.0, 1)
    assert (model.feature_names_in_, model.classes_) == (("age", "male"), (0, 1))
    assert model.predict_proba([[3.0, 1.0]]).tolist() == [[-1.5, 2.5]]  # the library's own: 1.5 + 2 - 1
    without = regression_of(logit(constant=None))
    assert (without.coefficients, without.intercept, without.constant) == ((0.5, -1.0), 0.0, None)
    assert without.predict_proba([[3.0, 1.0]]).tolist() == [[0.5, 0.5]]
    plain = LogitModel((0.5, -1.0), 0.5, ("age", "male"))
    assert plain.predict_proba([[1.0, 1.0], [0.0, 0.5 - np.log(3.0)]])[:, 1].tolist() == pytest.approx([0.5, 0.75])
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError, match="missing and infinite values are not predicted"):
            plain.predict_proba([[1.0, value]])


@pytest.mark.parametrize(("family", "link", "is_read"), [
    ("Binomial", "Logit", True), ("Binomial", "Probit", False), ("Poisson", "Logit", False),
])  # fmt: skip
def test_of_generalized_models_the_binomial_one_with_the_logit_link_is_read(
    family: str, link: str, is_read: bool
) -> None:
    glm = logit("GLM", family=made(family, link=made(link)))
    if is_read:
        assert regression_of(glm).intercept == 2.0
    else:
        with pytest.raises(CompileRefused, match=f"a GLM of {family} with the link {link} is not compiled"):
            regression_of(glm)


def scikit_survival(**changes: Any) -> Any:
    """A Cox regression of scikit-survival, whose hazard rises by 0.01 a month."""
    coefficients = np.array([0.1, -0.2])
    return made("CoxPHSurvivalAnalysis", coef_=coefficients, cum_baseline_hazard_=_Hazard(), **changes)


class _Hazard:
    """A hazard that rises by 0.01 a month, of a study of five years."""

    x = np.array([1.0, 60.0])

    def __call__(self, time: float) -> float:
        return 0.01 * time


def test_a_cox_model_of_scikit_survival_gives_its_hazards_at_each_horizon() -> None:
    model = regression_of(scikit_survival(feature_names_in_=np.array(NAMES)), (1.0, 5.0), per_year=12.0)
    assert isinstance(model, CoxModel)
    assert (model.coefficients, model.hazards, model.horizon) == ((0.1, -0.2), {1.0: 0.12, 5.0: 0.6}, 5.0)
    assert (model.names, model.unit, model.preparation) == (("age", "male"), "years", None)
    assert regression_of(scikit_survival(), (1.0,), per_year=12.0).names is None


def test_a_horizon_after_the_study_or_without_a_unit_is_refused() -> None:
    assert regression_of(scikit_survival(), (5.0 * (1 + 1e-10),), per_year=12.0).horizon
    with pytest.raises(CompileRefused, match=r"followed for at most 60, and the horizon is 61.2 in its unit \(12 in"):
        regression_of(scikit_survival(), (1.0, 5.1), per_year=12.0)
    with pytest.raises(CompileRefused, match="CoxPHSurvivalAnalysis: the unit of its time is not known"):
        regression_of(scikit_survival(), (1.0,))
    with pytest.raises(CompileRefused, match="CoxnetSurvivalAnalysis is not compiled; CoxPHSurvivalAnalysis is"):
        regression_of(made("CoxnetSurvivalAnalysis", model=SimpleNamespace(endog=[60.0])), (1.0,), per_year=12.0)
    other = object()
    assert regression_of(other) is other


def lifelines(**changes: Any) -> Any:
    """A Cox regression of lifelines of which the people's means are 60 and 0.5."""
    mean = pd.Series([0.5, 60.0], index=["male", "age"])

    def hazard(average: pd.DataFrame, times: list[float]) -> pd.DataFrame:
        assert average[NAMES].to_numpy().tolist() == [[60.0, 0.5]]
        return pd.DataFrame({0: [0.01 * time for time in times]}, index=times)

    members = {"strata": None, "params_": pd.Series([0.02, -0.4], index=NAMES), "_norm_mean": mean}
    members |= {"durations": np.array([1.0, 60.0]), "predict_cumulative_hazard": hazard}
    return made("CoxPHFitter", **members | changes)


def test_a_cox_model_of_lifelines_is_moved_from_its_mean_to_nothing() -> None:
    model = regression_of(lifelines(), (1.0, 5.0), per_year=12.0)
    assert (model.coefficients, model.names) == ((0.02, -0.4), ("age", "male"))
    assert list(model.hazards.values()) == pytest.approx([0.12 * np.exp(-1.0), 0.6 * np.exp(-1.0)])
    with pytest.raises(CompileRefused, match="with strata has several baselines"):
        regression_of(lifelines(strata=["ward"]), (1.0,), per_year=12.0)
    with pytest.raises(CompileRefused, match="with a formula is not compiled"):
        regression_of(lifelines(_norm_mean=pd.Series([60.0], index=["age"])), (1.0,), per_year=12.0)
    with pytest.raises(CompileRefused, match="at most 60"):
        regression_of(lifelines(), (5.1,), per_year=12.0)


def forest(**changes: Any) -> Any:
    """A survival forest of one tree with one question, followed for 3 to 24 months."""
    value = np.array([[[0.0, 1.0], [0.0, 0.7]], [[0.0, 0.9], [0.0, 0.5]], [[0.0, 0.4], [0.0, 0.2]]])
    tree = SimpleNamespace(
        children_left="left", children_right="right", feature="feature", threshold="at", missing_go_to_left="gaps",
        value=value,
    )  # fmt: skip
    members = {
        "unique_times_": [3.0, 24.0],
        "estimators_": [SimpleNamespace(tree_=tree)],
        "n_features_in_": 2.0,
        "predict_survival_function": lambda _, return_array: np.array([[0.9, 0.6]]) if return_array else None,
    }
    return made("RandomSurvivalForest", **members | changes)


def test_a_survival_forest_is_one_of_risks_at_the_newest_time_up_to_the_horizon() -> None:
    early = regression_of(forest(), (0.25, 1.5), per_year=12.0)
    assert isinstance(early, SurvivalForest)
    assert (early.column, early.n_features_in_, early.feature_names_in_, early.classes_) == (0, 2, None, (0, 1))
    assert early.predict_proba([[1.0, 2.0]]).tolist() == pytest.approx(np.array([[0.9, 0.1]]))
    late = regression_of(forest(feature_names_in_=NAMES), (2.0,), per_year=12.0)
    assert (late.column, late.feature_names_in_) == (1, NAMES)
    (tree,) = late.estimators_
    assert tree.value.tolist() == pytest.approx(np.array([[[0.7, 0.3]], [[0.5, 0.5]], [[0.2, 0.8]]]))
    assert (tree.tree_, tree.children_left, tree.children_right) == (tree, "left", "right")
    assert (tree.feature, tree.threshold, tree.missing_go_to_left) == ("feature", "at", "gaps")


@pytest.mark.parametrize(("years", "is_read"), [(0.2499, False), (0.25, True), (2.0, True), (2.01, False)])
def test_the_horizon_of_a_survival_forest_lies_within_its_study(years: float, is_read: bool) -> None:
    if is_read:
        assert regression_of(forest(), (years,), per_year=12.0)
        return
    with pytest.raises(CompileRefused, match=r"followed from 3 to 24, and the horizon is .* \(12 in a year\)"):
        regression_of(forest(), (years,), per_year=12.0)


def test_a_survival_forest_without_its_functions_or_its_unit_is_refused() -> None:
    with pytest.raises(CompileRefused, match="low_memory=True keeps no survival function"):
        regression_of(forest(low_memory=True), (1.0,), per_year=12.0)
    assert regression_of(forest(low_memory=False), (1.0,), per_year=12.0)
    with pytest.raises(CompileRefused, match="RandomSurvivalForest: the unit of its time is not known"):
        regression_of(forest(), (1.0,))


def phreg(strata: int = 1, offset: Any = None) -> Any:
    """Results of a proportional hazards regression of four people, who come under watch at once.

    Two die in the sixth month, one in the twelfth; the last one is lost after that.
    """
    surv = SimpleNamespace(
        nstrat=strata,
        exog_s=[np.array([[0.0], [1.0], [0.0], [1.0]])],
        offset_s=offset,
        ufailt=[np.array([6.0, 12.0])],
        risk_enter=[[np.array([0, 1]), np.array([2, 3])]],
        risk_exit=[[np.array([], dtype=int), np.array([], dtype=int)]],
        ufailt_ix=[[[0, 1], [2]]],
    )
    model = made("PHReg", surv=surv, endog=np.array([6.0, 6.0, 12.0, 24.0]), exog_names=["age"])
    return made("PHRegResults", model=model, params=np.array([np.log(2.0)]))


def test_the_baseline_of_statsmodels_is_breslow_s_with_the_events_of_the_horizon() -> None:
    model = regression_of(phreg(), (0.5, 1.0), per_year=12.0)
    # two of the weights 1 + 2 + 1 + 2 at six months, then one of 1 + 2
    assert list(model.hazards.values()) == pytest.approx([2 / 6, 2 / 6 + 1 / 3])
    assert (model.coefficients, model.names, model.horizon) == ((pytest.approx(np.log(2.0)),), ("age",), 1.0)
    moved = regression_of(phreg(offset=[np.full(4, np.log(2.0))]), (0.5, 2.0), per_year=12.0)
    assert list(moved.hazards.values()) == pytest.approx([1 / 6, 1 / 3])
    with pytest.raises(CompileRefused, match="a Cox model with strata has several baselines"):
        regression_of(phreg(strata=2), (1.0,), per_year=12.0)
    with pytest.raises(CompileRefused, match="nobody in the study had an event up to 5"):
        regression_of(phreg(), (5.0 / 12, 1.0), per_year=12.0)
    with pytest.raises(CompileRefused, match="at most 24"):
        regression_of(phreg(), (2.1,), per_year=12.0)
