"""Exact interventional values: against their definition, against shap, in the file as in numpy, for any cohort size."""

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.explaining_graph import write_file
from models_onnx.workbench.compiler.families.shapley_trees import ShapleyTrees
from models_onnx.workbench.compiler.families.trees import Ensemble
from models_onnx.workbench.compiler.readers.sklearn_trees import (
    from_gradient_boosting,
    from_hist_gradient_boosting,
)
from models_onnx.workbench.compiler.reference import Reference
from tests.models_onnx.workbench.compiler.oracles import BACKGROUND, tree_shap
from tests.models_onnx.workbench.compiler.people import NAMES, Array, beside, by_coalitions, invented, says
from tests.models_onnx.workbench.compiler.test_compile import REFERENCE


def boosted(X: Array, y: object, depth: int = 3, rounds: int = 20) -> HistGradientBoostingClassifier:
    """Trees that learned where gaps go."""
    return HistGradientBoostingClassifier(max_iter=rounds, max_depth=depth, learning_rate=0.3, max_bins=64).fit(X, y)


def file_of(model: ShapleyTrees, reference: Reference = REFERENCE) -> bytes:
    """The model's file."""
    return write_file("m", model, reference, {})


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_contributions_are_the_shapley_values_of_their_definition(depth: int) -> None:
    X, y = invented()
    fitted = boosted(X, y, depth)
    model = ShapleyTrees.of(from_hist_gradient_boosting(fitted, NAMES), X[:60])
    rows = np.vstack([X[:6], beside(X, model.edges)[::60]])
    told = says(file_of(model), rows)["contributions"]
    for row, own in zip(rows, told, strict=True):
        assert np.abs(own - by_coalitions(fitted.decision_function, row, X[:60])).max() < 1e-12


@pytest.mark.parametrize("grid", [2, None])
def test_values_agree_with_shap_on_boosted_trees_that_learned_gaps(grid: int | None) -> None:
    X, y = invented(grid=grid)
    fitted = boosted(X, y, 4)
    model = ShapleyTrees.of(from_hist_gradient_boosting(fitted, NAMES), X[:BACKGROUND])
    expected, base = tree_shap(fitted, X[:BACKGROUND], X[100:400])
    assert np.abs(says(file_of(model), X[100:400])["contributions"] - expected).max() < 1e-6
    assert model.base == pytest.approx(base, abs=1e-6)


def test_on_thresholds_the_definition_decides() -> None:
    X, y = invented(people=300, gaps=0.0, grid=1)
    fitted = GradientBoostingClassifier(n_estimators=10, max_depth=3, random_state=1).fit(X, y)
    model = ShapleyTrees.of(from_gradient_boosting(fitted, NAMES), X[:50])
    rows = beside(X, model.edges, infinite=False, missing=False)[::30]
    told = says(file_of(model), rows)["contributions"]
    for row, own in zip(rows, told, strict=True):
        assert np.abs(own - by_coalitions(fitted.decision_function, row, X[:50])).max() < 1e-12


def test_the_whole_cohort_counts_and_leaves_no_row_in_the_file() -> None:
    X, y = invented(people=2000)
    read = from_hist_gradient_boosting(boosted(X[:600], y[:600]), NAMES)
    small, large = (ShapleyTrees.of(read, X[:count]) for count in (100, 2000))
    assert len(file_of(large)) == pytest.approx(len(file_of(small)), abs=64)
    told = says(file_of(large), X)["contributions"]
    assert np.abs(told.mean(axis=0)).max() < 1e-12  # the mean over the cohort itself is nothing
    assert np.abs(told - large.contributions(X)).max() < 1e-12


def test_deep_trees_and_few_people_are_refused() -> None:
    X, y = invented()
    with pytest.raises(CompileRefused, match="up to 6 are explained exactly"):
        ShapleyTrees.of(from_hist_gradient_boosting(boosted(X, y, 7, 3), NAMES), X)
    assert ShapleyTrees.of(from_hist_gradient_boosting(boosted(X, y, 6, 3), NAMES), X).base
    with pytest.raises(CompileRefused, match="20 rows or more"):
        ShapleyTrees.of(from_hist_gradient_boosting(boosted(X, y), NAMES), X[:19])


def test_a_model_without_a_single_question_contributes_nothing() -> None:
    X, y = invented()
    fitted = boosted(X, y, 3, 1)
    stump = from_hist_gradient_boosting(fitted, NAMES)
    empty = Ensemble(stump.features, (), stump.start, stump.link)
    told = says(file_of(ShapleyTrees.of(empty, X)), X[:30])
    assert (told["contributions"] == 0).all()
    assert np.allclose(told["margin"], stump.start)
