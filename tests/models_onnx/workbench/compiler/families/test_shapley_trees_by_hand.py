"""One tree of two questions against a cohort: its shares by hand, zero that counts as missing, and what depth costs."""

from typing import Any

import numpy as np
import pytest

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.explaining_graph import write_file
from models_onnx.workbench.compiler.families import shapley_trees
from models_onnx.workbench.compiler.families.shapley_trees import ShapleyTrees, exact_megabytes
from models_onnx.workbench.compiler.families.trees import Ensemble, Tree
from models_onnx.workbench.compiler.link import LOGIT
from tests.models_onnx.workbench.compiler.families.test_trees import tree
from tests.models_onnx.workbench.compiler.people import says
from tests.models_onnx.workbench.compiler.test_compile import REFERENCE

NAN = float("nan")
# Input 0 up to 0.5 or missing: 1. Else input 1 up to 2 and not zero or missing: 2, the others: 4.
TREE = tree()
LEAF = tree(feature=[-1], threshold=[0.0], left=[0], right=[0], nan_left=[False], zero_missing=[False], value=[0.25])
# Half of the cohort ends at 1, a quarter at 2 and a quarter at 4.
COHORT = np.array([[0.0, 1.0], [0.0, 3.0], [1.0, 1.0], [1.0, 3.0]] * 5)
PEOPLE = {
    # who asks a person of the cohort: f(x), f(x0, cohort), f(cohort, x1)
    (0.5, 9.0): (1.0, 1.0, 2.5),
    (NAN, 1.0): (1.0, 1.0, 1.5),
    (0.6, 2.0): (2.0, 3.0, 1.5),
    (0.6, 2.1): (4.0, 3.0, 2.5),
    (0.6, NAN): (4.0, 3.0, 2.5),
    (0.6, 0.0): (4.0, 3.0, 2.5),
    (0.6, -1e-35): (4.0, 3.0, 2.5),
    (0.6, 2e-35): (2.0, 3.0, 1.5),
}


def _zero_left(**changes: Any) -> Tree:
    """The same with zero on the left: what is missing or zero goes to 2."""
    return tree(nan_left=[True, False, True, False, False], **changes)


def test_shares_of_two_questions_where_zero_counts_as_missing() -> None:
    """Each input has the mean of what it changes first and last; the cohort's mean is 2."""
    model = ShapleyTrees.of(Ensemble(("a", "b"), (TREE, LEAF), 0.5, LOGIT), COHORT)
    expected = [
        [(first - 2.0 + both - second) / 2, (second - 2.0 + both - first) / 2]
        for both, first, second in PEOPLE.values()
    ]
    rows = np.array([*PEOPLE])
    assert model.base == 0.5 + 0.25 + 2.0
    assert model.contributions(rows) == pytest.approx(np.array(expected))
    told = says(write_file("m", model, REFERENCE, {}), rows)
    assert told["contributions"] == pytest.approx(np.array(expected), abs=1e-12)
    assert told["margin"] == pytest.approx([0.75 + both for both, _, _ in PEOPLE.values()])


def test_one_file_asks_an_input_with_zero_on_either_side_and_as_a_number() -> None:
    trees = (TREE, _zero_left(), _zero_left(zero_missing=[False] * 5), tree(zero_missing=[False] * 5))
    model = ShapleyTrees.of(Ensemble(("a", "b"), trees, 0.0, LOGIT), COHORT)
    rows = np.array([*PEOPLE])
    told = says(write_file("m", model, REFERENCE, {}), rows)
    missing_right, missing_left = [1, 1, 2, 4, 4], [1, 1, 2, 4, 2]
    zero_right, zero_left, number = [4, 4, 2], [2, 2, 2], [2, 2, 2]
    expected = np.sum(
        [missing_right + zero_right, missing_left + zero_left, missing_left + number, missing_right + number], axis=0
    )
    assert told["margin"] == pytest.approx(expected)
    assert told["contributions"] == pytest.approx(model.contributions(rows), abs=1e-12)


def test_the_tables_of_a_tree_have_a_row_for_each_pattern_and_a_column_for_each_input_and_the_sum() -> None:
    plain = Ensemble(("a", "b"), (TREE,), 0.0, LOGIT)
    assert exact_megabytes(plain) == 4 * 3 * 8 / 2**20
    same = tree(feature=[0, -1, 0, -1, -1])
    assert exact_megabytes(Ensemble(("a",), (same, same), 0.0, LOGIT)) == 2 * 4 * 2 * 8 / 2**20


@pytest.mark.parametrize(
    ("trees", "most", "depth"),
    [(128, 6, 6), (129, 6, 5), (200, 6, 5), (201, 6, 4), (201, 3, 3), (1, 5, 5), (200, 4, 4)],
)
def test_the_depth_that_is_explained_within_the_time_of_a_card(trees: int, most: int, depth: int) -> None:
    """A tree of depth 6 has 16 blocks of 128 rows of 8 numbers: 128 of them are 16 MB."""
    assert shapley_trees._depth_in_time(Ensemble(("a", "b"), (TREE,) * trees, 0.0, LOGIT), most) == depth


INSTEAD = (
    "twice as much with each more (a file has at most 64 MB). Train with max_depth={}, often as good (cds-hooks model "
    "compare); {}approximate=True (of compile_model, of Fitted(...) in the declaration of a model that is adopted; "
    "cds-hooks model compile --approximate) gives each input its share along the path, which is marked as an "
    "approximation and refused for cards by gate G6"
)


def _chain(depth: int) -> Tree:
    """A tree that asks about another input at each step to the right."""
    inner = list(range(0, 2 * depth, 2))
    count = 2 * depth + 1
    column: dict[str, Any] = {"feature": [-1] * count, "left": [0] * count, "right": [0] * count}
    for number, node in enumerate(inner):
        column["feature"][node], column["left"][node], column["right"][node] = number, node + 1, node + 2
    plain = {"threshold": [0.0] * count, "nan_left": [False] * count, "zero_missing": [False] * count}
    return tree(**column, **plain, value=[1.0] * count)


def test_trees_that_are_too_deep_say_what_works_in_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    names = tuple("abcdefgh")
    monkeypatch.setattr(shapley_trees, "exact_megabytes", lambda _: 1234.4)
    for depth, deepest, cost, most, train, exact in (
        (5, 4, 1234.4, 4, 4, "deepest=5 explains these exactly; "),
        (6, 4, 1.0, 4, 4, "deepest=6 explains these exactly; "),
        (6, 5, 0.9, 5, 5, "deepest=6 explains these exactly; "),
        (7, 4, 0.9, 4, 4, ""),
        (7, 9, 2.0, 6, 6, ""),
    ):
        monkeypatch.setattr(shapley_trees, "exact_megabytes", lambda _, cost=cost: cost)
        with pytest.raises(CompileRefused) as refused:
            ShapleyTrees.of(Ensemble(names, (_chain(depth),), 0.0, LOGIT), np.zeros((20, 8)), deepest=deepest)
        size = f"would take about {cost:,.0f} MB" if cost >= 1 else "would be small"
        assert str(refused.value) == (
            f"the trees are {depth} deep, up to {most} are explained exactly: their tables {size}, "
            + INSTEAD.format(train, exact)
        )
    assert ShapleyTrees.of(Ensemble(names, (_chain(6),), 0.0, LOGIT), np.zeros((20, 8)), deepest=6).base == 1.0
    with pytest.raises(CompileRefused, match=r"^a reference cohort has 20 rows or more, 19 were given$"):
        ShapleyTrees.of(Ensemble(names, (_chain(2),), 0.0, LOGIT), np.zeros((19, 8)))
