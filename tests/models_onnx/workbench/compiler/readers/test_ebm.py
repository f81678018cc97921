"""EBM: curves and tables of pairs as interpret explains them, gaps learned."""

import warnings
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.explaining_graph import write_file
from models_onnx.workbench.compiler.families.additive_curves import AdditiveCurves, PairTable
from models_onnx.workbench.compiler.families.piecewise import Curve
from models_onnx.workbench.compiler.readers.ebm import read_ebm
from tests.libraries import glassbox
from tests.models_onnx.workbench.compiler.people import NAMES, Array, beside, by_coalitions, invented, says
from tests.models_onnx.workbench.compiler.test_compile import REFERENCE


@cache
def machine(nominal: bool = False) -> Any:
    """An EBM with two pairs, whose last input may be a category."""
    X, y = invented()
    kinds = ["continuous"] * 4 + (["nominal"] if nominal else ["continuous"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return glassbox.ExplainableBoostingClassifier(
            interactions=2, max_rounds=60, outer_bags=2, n_jobs=1, feature_types=kinds
        ).fit(X, y)


def compiled(fitted: Any, X: Array) -> tuple[AdditiveCurves, bytes]:
    """The model of an EBM and its file."""
    model = read_ebm(fitted, X, NAMES)
    return model, write_file("m", model, REFERENCE, {})


@pytest.mark.parametrize("nominal", [False, True])
def test_an_ebm_says_what_interpret_says_also_on_every_cut(nominal: bool) -> None:
    X, _ = invented()
    fitted = machine(nominal)
    model, content = compiled(fitted, X)
    rows = np.vstack([X, beside(X, tuple(edges[::7] for edges in model.edges))])
    told = says(content, rows)
    assert np.abs(told["probability"] - fitted.predict_proba(rows)[:, 1]).max() < 1e-6
    assert np.abs(told["contributions"] - model.contributions(rows)).max() < 1e-6


def test_terms_are_those_of_interprets_local_explanation() -> None:
    X, _ = invented()
    fitted = machine()
    _, content = compiled(fitted, X)
    told = says(content, X[:40])
    explained = fitted.explain_local(X[:40])
    assert any(len(inputs) == 2 for inputs in fitted.term_features_)
    for number in range(40):
        margin = float(np.sum(explained.data(number)["scores"])) + float(np.ravel(fitted.intercept_)[0])
        assert abs(told["margin"][number] - margin) < 1e-6


def test_contributions_of_pairs_are_shapley_values_over_all_coalitions_of_inputs_that_go_together() -> None:
    X, _ = invented()
    X = X[:120].copy()
    X[:, 1] = 0.7 * X[:, 0] + 0.3 * X[:, 1]  # halves of a pair are exact for independent inputs only
    X = X.astype(np.float32).astype(np.float64)
    fitted = machine()
    _, content = compiled(fitted, X)
    told = says(content, X[:6])["contributions"]

    def margin(rows: Array) -> Array:
        p = fitted.predict_proba(rows)[:, 1]
        return np.asarray(np.log(p / (1 - p)), dtype=np.float64)

    for number in range(6):
        assert np.abs(told[number] - by_coalitions(margin, X[number], X)).max() < 1e-5


def test_a_missing_input_contributes_what_was_learned() -> None:
    X, _ = invented()
    gone = X[:20].copy()
    gone[:, 0] = np.nan
    _, learned = compiled(machine(), X)
    assert (says(learned, gone)["contributions"][:, 0] != 0).all()


def test_contributions_are_nothing_on_average_over_the_cohort() -> None:
    X, _ = invented()
    _, content = compiled(machine(), X)
    assert np.abs(says(content, X)["contributions"].mean(axis=0)).max() < 1e-6


def test_recalibration_multiplies_the_steps() -> None:
    X, _ = invented()
    model, content = compiled(machine(), X)
    moved = says(write_file("m", model.recalibrated(0.2, 1.3), REFERENCE, {}), X)
    before = says(content, X)
    assert np.abs(moved["margin"] - (0.2 + 1.3 * before["margin"])).max() < 1e-6
    assert np.abs(moved["contributions"] - 1.3 * before["contributions"]).max() < 1e-6


def test_a_pair_is_parted_into_means_over_the_cohort_and_a_rest() -> None:
    cohort = np.array([[0.0, 0.0], [0.0, 2.0], [2.0, 2.0], [2.0, np.nan]])
    pair = PairTable((0, 1), ([1.0], [1.0]), np.arange(9.0).reshape(3, 3) ** 2)
    rest, (first, second) = pair.parted(cohort)
    whole = rest.values_of(cohort) + first.values(cohort[:, 0]) + second.values(cohort[:, 1])
    assert whole.tolist() == pair.values_of(cohort).tolist()
    # the second input is low in 1 of 4, high in 2, missing in 1; the first is low in half of them
    means = [(0 + 2 * 1 + 4) / 4, (9 + 2 * 16 + 25) / 4, (36 + 2 * 49 + 64) / 4]
    assert [*first.intercepts, first.missing] == pytest.approx(means)
    assert [*second.intercepts, second.missing] == pytest.approx([(0 + 9) / 2, (1 + 16) / 2, (4 + 25) / 2])


def written_down(**changes: Any) -> Any:
    """What interpret keeps of a machine: two cuts of the first input (one in pairs), and an input of categories."""
    machine_of = {
        "classes_": np.array([0, 1]),
        "link_": "logit",
        "bins_": [[np.array([1.0, 2.0]), np.array([1.5])], [{"1": 1, "3": 2}]],
        "term_features_": [(0,), (1,), (0, 1)],
        # missing first, then the bins, then values that interpret does not know
        "term_scores_": [
            np.array([9.0, 10.0, 20.0, 30.0, 99.0]),
            np.array([7.0, 11.0, 13.0, 55.0]),
            np.array([[0.0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23], [90, 91, 92, 93]]),
        ],
        "intercept_": np.array([-0.5]),
    }
    return SimpleNamespace(**(machine_of | changes))


def test_cells_of_an_ebm_are_interprets_bins_in_our_order_with_the_missing_last() -> None:
    below = float(np.nextafter(np.float32(1), np.float32(0)))
    X = np.array([[below, 1], [1, 3], [2, 2], [np.nan, np.nan], [np.inf, -np.inf]])
    cohort = np.tile(X[:4], (5, 1))
    model = read_ebm(written_down(), cohort, ("a", "b"))
    # of each row: the bin of the first input, that of the second (2 is no category), that of the pair; and the start
    expected = [10 + 11 + 11 - 0.5, 20 + 13 + 12 - 0.5, 30 + 55 + 23 - 0.5, 9 + 7 + 0 - 0.5, 30 + 55 + 23 - 0.5]
    assert model.margin(X) == pytest.approx(expected)
    assert model.contributions(cohort).mean(axis=0) == pytest.approx([0.0, 0.0])
    told = says(write_file("m", model, REFERENCE, {}), X)
    assert told["margin"] == pytest.approx(expected)
    assert told["contributions"] == pytest.approx(model.contributions(X))


def test_a_category_is_a_cell_of_its_own_beside_the_next_float32() -> None:
    neighbours = {"1": 1, "1.0000001": 2}  # the second is the float32 after 1
    fitted = written_down(bins_=[[neighbours]], term_features_=[(0,)], term_scores_=[np.array([7.0, 11, 13, 55])])
    after = np.nextafter(np.float32(1), np.float32(2))
    X = np.array([[0.5], [1.0], [after], [np.nextafter(after, np.float32(2))], [np.nan]])
    assert read_ebm(fitted, X, ("a",)).margin(X) + 0.5 == pytest.approx([55, 11, 13, 55, 7])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"classes_": np.arange(3)},
            "only an ExplainableBoostingClassifier of two classes with the logit link is compiled",
        ),
        ({"link_": "log"}, "only an ExplainableBoostingClassifier of two classes with the logit link is compiled"),
        (
            {"term_features_": [(0, 1, 0)], "term_scores_": [np.zeros((2, 2, 2))]},
            "the term a & b & a has more than two inputs, which is not explained exactly: train with interactions=5, "
            "say, which makes pairs only",
        ),
        (
            {"bins_": [[np.array([1.0])], [{"ward": 1}]]},
            "b has categories that are no numbers: code them before training",
        ),
    ],
)
def test_a_machine_that_is_not_explained_exactly_is_refused_with_a_sentence(
    changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(CompileRefused) as refused:
        read_ebm(written_down(**changes), np.zeros((20, 2)), ("a", "b"))
    assert str(refused.value) == sentence


def test_the_file_answers_on_every_cell_of_a_pair_and_halves_it() -> None:
    pair = PairTable((0, 2), ([1.0, 2.0, 3.0], [10.0, 20.0]), np.arange(20.0).reshape(5, 4) ** 2)
    nothing = Curve.steps([], [0.0], 0.0)
    curves = (nothing, nothing, Curve.steps([15.0], [100.0, 200.0], 300.0))
    model = AdditiveCurves(("a", "b", "c"), curves, -7.0, (0.0,) * 3, (1.0,) * 3, pairs=(pair,))
    first, second = [0.5, 1.0, 2.0, 3.0, np.nan], [5.0, 10.0, 20.0, np.nan]
    X = np.array([[low, 5.0, high] for low in first for high in second])
    halves = [(4 * i + j) ** 2 / 2 for i in range(5) for j in range(4)]
    lone = [100.0, 100.0, 200.0, 300.0] * 5
    expected = [[half, 0.0, half + more] for half, more in zip(halves, lone, strict=True)]
    margins = [2 * half + more - 7 for half, more in zip(halves, lone, strict=True)]
    moved = model.recalibrated(0.5, 2.0)
    assert (model.contributions(X).tolist(), model.margin(X).tolist()) == (expected, margins)
    assert moved.margin(X).tolist() == [0.5 + 2 * margin for margin in margins]
    for written, slope in ((model, 1), (moved, 2)):
        answer = says(write_file("m", written, REFERENCE, {}), X)
        assert answer["contributions"].tolist() == (slope * np.array(expected)).tolist()
    assert model.edges == ((1.0, 2.0, 3.0), (), (10.0, 15.0, 20.0))
