"""Step functions: EBM as interpret explains it, gaps learned."""

import warnings
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.explaining_graph import write_file
from models_onnx.workbench.compiler.families.additive_trees import AdditiveTrees, Term, _parted, ebm_terms
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


def compiled(fitted: Any, X: Array) -> tuple[AdditiveTrees, bytes]:
    """The model of an EBM and its file."""
    terms, start = ebm_terms(fitted, NAMES)
    model = AdditiveTrees.centred(NAMES, terms, start, X)
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


def test_a_step_function_answers_at_infinity_and_on_its_edge() -> None:
    term = Term((0,), ((1.0,),), np.array([10.0, 20.0, 30.0]))
    X = np.array([[-np.inf], [1.0], [np.nextafter(np.float32(1), np.float32(2))], [np.inf], [np.nan]])
    model = AdditiveTrees(("a",), (term,), 0.0, (0.0,), (1.0,))
    expected = [10.0, 10.0, 20.0, 20.0, 30.0]
    assert model.contributions(X)[:, 0].tolist() == expected
    assert says(write_file("m", model, REFERENCE, {}), X)["contributions"][:, 0].tolist() == expected


def test_recalibration_multiplies_the_steps() -> None:
    X, _ = invented()
    model, content = compiled(machine(), X)
    moved = says(write_file("m", model.recalibrated(0.2, 1.3), REFERENCE, {}), X)
    before = says(content, X)
    assert np.abs(moved["margin"] - (0.2 + 1.3 * before["margin"])).max() < 1e-6
    assert np.abs(moved["contributions"] - 1.3 * before["contributions"]).max() < 1e-6


def test_a_machine_of_three_classes_is_refused() -> None:
    X, y = invented()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = glassbox.ExplainableBoostingClassifier(interactions=0, max_rounds=3, outer_bags=1, n_jobs=1).fit(
            X, np.arange(len(y)) % 3
        )
    with pytest.raises(CompileRefused, match="two classes"):
        ebm_terms(fitted, NAMES)


def test_a_pair_is_parted_into_means_over_the_cohort_and_a_rest_and_one_input_stays() -> None:
    cohort = np.array([[0.0, 0.0], [0.0, 2.0], [2.0, 2.0], [2.0, np.nan]], dtype=np.float32)
    alone = Term((0,), ((1.0,),), np.array([0.0, 1.0, 5.0]))
    assert _parted(alone, cohort) == (alone,)
    pair = Term((0, 1), ((1.0,), (1.0,)), np.arange(9.0).reshape(3, 3) ** 2)
    rest, first, second = _parted(pair, cohort)
    whole = rest.values_of(cohort) + first.values_of(cohort) + second.values_of(cohort)
    assert whole.tolist() == pair.values_of(cohort).tolist()
    # the second input is low in 1 of 4, high in 2, missing in 1; the first is low in half of them
    assert first.values.tolist() == pytest.approx([(0 + 2 * 1 + 4) / 4, (9 + 2 * 16 + 25) / 4, (36 + 2 * 49 + 64) / 4])
    assert second.values.tolist() == pytest.approx([(0 + 9) / 2, (1 + 16) / 2, (4 + 25) / 2])


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


def before(value: float) -> float:
    """The float32 below."""
    return float(np.nextafter(np.float32(value), np.float32(-np.inf)))


def test_cells_of_an_ebm_are_interprets_bins_in_our_order_with_the_missing_last() -> None:
    (first, second, pair), start = ebm_terms(written_down(), ("a", "b"))
    assert start == -0.5
    assert (first.inputs, first.edges) == ((0,), ((before(1), before(2)),))
    assert first.values.tolist() == [10, 20, 30, 9]
    # at most before(1): unknown; at most 1: the category 1; between: unknown; the category 3; above: unknown; missing
    categories = (before(1), 1.0, before(3), 3.0)
    assert (second.inputs, second.edges) == ((1,), (categories,))
    assert second.values.tolist() == [55, 11, 55, 13, 55, 7]
    assert (pair.inputs, pair.edges) == ((0, 1), ((before(1.5),), categories))
    assert pair.values.tolist() == [[13, 11, 13, 12, 13, 10], [23, 21, 23, 22, 23, 20], [3, 1, 3, 2, 3, 0]]
    X = np.array([[before(1), 1], [1, 3], [2, 2], [np.nan, np.nan]], dtype=np.float32)
    assert [term.values_of(X).tolist() for term in (first, second, pair)] == [
        [10, 20, 30, 9],
        [11, 13, 55, 7],
        [11, 12, 23, 0],
    ]


def test_cuts_that_no_float32_parts_leave_the_bin_between_them_out() -> None:
    cuts = np.array([0.5, 1 + 1e-12, 1 + 2e-12, 3.0])
    scores = np.array([9.0, 10, 20, 30, 40, 50, 99])
    fitted = written_down(bins_=[[cuts]], term_features_=[(0,)], term_scores_=[scores])
    (term,), _ = ebm_terms(fitted, ("a",))
    assert (term.edges, term.values.tolist()) == (((before(0.5), 1.0, before(3)),), [10, 20, 40, 50, 9])
    neighbours = {"1": 1, "1.0000001": 2}  # the second is the float32 after 1
    fitted = written_down(bins_=[[neighbours]], term_features_=[(0,)], term_scores_=[np.array([7.0, 11, 13, 55])])
    (term,), _ = ebm_terms(fitted, ("a",))
    after = float(np.nextafter(np.float32(1), np.float32(2)))
    assert (term.edges, term.values.tolist()) == (((before(1), 1.0, after),), [55, 11, 13, 55, 7])


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
        ebm_terms(written_down(**changes), ("a", "b"))
    assert str(refused.value) == sentence


def test_the_file_answers_on_every_cell_of_a_pair_and_halves_it() -> None:
    edges = ((1.0, 2.0, 3.0), (10.0, 20.0))
    pair = Term((0, 2), edges, np.arange(20.0).reshape(5, 4) ** 2)
    alone = Term((2,), ((15.0,),), np.array([100.0, 200.0, 300.0]))
    model = AdditiveTrees(("a", "b", "c"), (pair, alone), -7.0, (0.0,) * 3, (1.0,) * 3)
    first, second = [1.0, 2.0, 3.0, 4.0, np.nan], [10.0, 20.0, 30.0, np.nan]
    X = np.array([[low, 5.0, high] for low in first for high in second])
    halves = [(4 * i + j) ** 2 / 2 for i in range(5) for j in range(4)]
    lone = [100.0, 200.0, 200.0, 300.0] * 5
    expected = [[half, 0.0, half + more] for half, more in zip(halves, lone, strict=True)]
    margins = [2 * half + more - 7 for half, more in zip(halves, lone, strict=True)]
    moved = model.recalibrated(0.5, 2.0)
    assert (model.contributions(X).tolist(), model.margin(X).tolist()) == (expected, margins)
    assert moved.margin(X).tolist() == [0.5 + 2 * margin for margin in margins]
    for written, slope in ((model, 1), (moved, 2)):
        answer = says(write_file("m", written, REFERENCE, {}), X)
        assert answer["contributions"].tolist() == (slope * np.array(expected)).tolist()
    assert model.edges == ((1.0, 2.0, 3.0), (), (10.0, 15.0, 20.0))


def test_two_terms_of_one_input_are_added_up_in_the_file() -> None:
    terms = (Term((1,), ((0.0,),), np.array([1.0, 2.0, 4.0])), Term((1,), ((5.0,),), np.array([10.0, 20.0, 40.0])))
    model = AdditiveTrees(("a", "b"), terms, 0.0, (0.0, 0.0), (1.0, 1.0))
    X = np.array([[9.0, 0.0], [9.0, 1.0], [9.0, 6.0], [9.0, np.nan]])
    expected = [[0.0, 11.0], [0.0, 12.0], [0.0, 22.0], [0.0, 44.0]]
    assert model.contributions(X).tolist() == expected
    assert says(write_file("m", model, REFERENCE, {}), X)["contributions"].tolist() == expected


def test_centring_moves_the_cohorts_mean_into_the_base() -> None:
    terms = (Term((0,), ((1.0,),), np.array([1.0, 3.0, 8.0])),)
    cohort = np.array([[0.0], [2.0], [2.0], [1.0]])
    model = AdditiveTrees.centred(("a",), terms, 0.25, cohort)
    assert (model.base, model.terms[0].values.tolist(), model.terms[0].centre) == (2.25, [-1.0, 1.0, 6.0], 2.0)
    assert (model.low, model.high) == ((0.0,), (2.0,))
    assert model.recalibrated(1.0, 3.0).terms[0].centre == 6.0
    nothing = AdditiveTrees(("a",), (), 1.5, (0.0,), (1.0,))
    assert (nothing.margin(cohort).tolist(), nothing.contributions(cohort).tolist()) == ([1.5] * 4, [[0.0]] * 4)
