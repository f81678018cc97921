"""How large deep trees may be, and how far the shares along their paths are from Shapley values, worked out by hand."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families import path_trees
from models_onnx.workbench.compiler.families.path_trees import Apart, PathTrees
from models_onnx.workbench.compiler.families.trees import Ensemble
from models_onnx.workbench.compiler.link import LOGIT, FittedModel
from tests.models_onnx.workbench.compiler.families.test_trees import tree
from tests.models_onnx.workbench.compiler.people import Array

TREE = tree(zero_missing=[False] * 5)
COHORT = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 3.0], [1.0, 3.0]])
MODEL = PathTrees.of(Ensemble(("a", "b"), (TREE, TREE), 0.5, LOGIT), COHORT)


def test_a_question_that_comes_twice_has_both_changes() -> None:
    twice = tree(zero_missing=[False] * 5, feature=[0, -1, 0, -1, -1])
    model = PathTrees.of(Ensemble(("a", "b"), (twice,), 0.0, LOGIT), np.array([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]]))
    assert model.contributions(np.array([[3.0, 0.0]])) == pytest.approx(np.array([[4 - 7 / 3, 0.0]]))
    shares = path_trees._leaf_shares(twice, model.means[0])
    assert shares == {1: {0: pytest.approx(1 - 7 / 3)}, 3: {0: pytest.approx(2 - 7 / 3)}, 4: {0: pytest.approx(5 / 3)}}


def test_a_file_of_at_most_64_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten nodes of 40 bytes and 12 for each of two questions on the way: 640."""
    monkeypatch.setattr(path_trees, "_ALL_BYTES", 640)
    assert PathTrees.of(MODEL.ensemble, COHORT).low == (0.0, 0.0)
    monkeypatch.setattr(path_trees, "_ALL_BYTES", 639)
    with pytest.raises(CompileRefused, match=r"^the trees have 10 nodes, about 0 MB with their shares, and a file "):
        PathTrees.of(MODEL.ensemble, COHORT)


@pytest.mark.parametrize(
    ("model", "approximate"),
    [
        (MODEL, True),
        (SimpleNamespace(), False),
        (SimpleNamespace(inner=SimpleNamespace()), False),
        (SimpleNamespace(inner=MODEL), True),
        (SimpleNamespace(members=[SimpleNamespace(model=SimpleNamespace()), SimpleNamespace(model=MODEL)]), True),
        (SimpleNamespace(members=[SimpleNamespace(model=SimpleNamespace())]), False),
    ],
)
def test_a_model_with_such_shares_inside_is_an_approximation(model: Any, approximate: bool) -> None:
    assert path_trees.is_approximate(model) is approximate


def _product(contributions: tuple[float, float]) -> FittedModel:
    """The product of both inputs, and everybody's contributions as told."""
    model = SimpleNamespace(
        margin=lambda X: X[:, 0] * X[:, 1], contributions=lambda X: np.tile(contributions, (len(X), 1))
    )
    return cast(FittedModel, model)


def test_sampled_values_share_what_two_inputs_do_together() -> None:
    draw = np.random.default_rng(0)
    sampled = path_trees._sampled(_product((0, 0)), np.array([2.0, 3.0]), np.zeros((4, 2)), draw)
    assert sampled.sum() == pytest.approx(6.0)
    assert (np.abs(sampled - 3.0) < 1.0).all(), "half of the orders, up to chance"
    line = cast(FittedModel, SimpleNamespace(margin=lambda X: X[:, 0] - 2.0 * X[:, 1]))
    assert path_trees._sampled(line, np.array([2.0, 3.0]), np.ones((4, 2)), draw).tolist() == [1.0, -4.0]


@pytest.mark.parametrize(
    ("contributions", "people", "apart"),
    [
        ((0.0, 0.0), 30, Apart(20, 1.0, 0.0)),
        ((0.5, 0.0), 30, Apart(20, 1.0, 0.25)),
        ((0.0, -0.5), 5, Apart(5, 0.0, 0.25)),
    ],
)
def test_how_far_shares_are_apart_where_everybody_is_alike(
    contributions: tuple[float, float], people: int, apart: Apart
) -> None:
    """Nobody differs from the cohort, so that every Shapley value is nothing."""
    cohort: Array = np.ones((people, 2))
    assert path_trees.apart_from_shapley(_product(contributions), cohort) == apart
    assert path_trees.words_of_approximation(_product(contributions), cohort) == (
        "APPROXIMATION: its contributions are shares along the paths of deep trees, no Shapley values. Of "
        f"{apart.people} people of the reference cohort the strongest input is the same for "
        f"{apart.people if apart.strongest else 0}; a contribution is {apart.difference:g} off on average, on the "
        "scale of the margin. It shows no cards (gate G6)."
    )
