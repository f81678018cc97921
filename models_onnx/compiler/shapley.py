"""Interventional Shapley values of trees against a whole cohort, exactly: responsible-ai 7.3 (b3).

A leaf counts where all questions on its way are answered its way. For a person x and a cohort member r let o_j(x) be
"x satisfies every question about input j". The game "x's values for the inputs in S, r's for the others" reaches the
leaf or not, and its Shapley values are known in closed form (`weights`). The mean over the cohort needs only how
often each pattern of answers occurs in it, so the table of a block of leaves is made once, and a person's values are
looked up by his own pattern: the cohort's size costs nothing afterwards, and no row of it is in the file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import factorial

import numpy as np
from numpy.typing import NDArray

from models_onnx.compiler.trees import LEAF, Tree

Array = NDArray[np.float64]
Way = tuple[tuple[int, bool], ...]
# Leaves below a node of this height share one table: 2^(questions above + 3) rows are fewer numbers than one table for
# each leaf, and need a fourth of the comparisons.
_SHARED_HEIGHT = 2


@cache
def weights(count: int) -> Array:
    """W[pattern of x, pattern of r, j] for a leaf that asks about `count` inputs and has the value 1.

    With A the inputs only x satisfies and B those only r satisfies: (|A|-1)! |B|! / (|A|+|B|)! for j in A, minus
    |A|! (|B|-1)! / (|A|+|B|)! for j in B, nothing where neither satisfies some input.
    """
    found = np.zeros((2**count, 2**count, count))
    for x in range(2**count):
        for r in range(2**count):
            if x | r != 2**count - 1:
                continue
            only_x = [j for j in range(count) if x >> j & 1 and not r >> j & 1]
            only_r = [j for j in range(count) if r >> j & 1 and not x >> j & 1]
            a, b = len(only_x), len(only_r)
            if only_x:
                found[x, r, only_x] = factorial(a - 1) * factorial(b) / factorial(a + b)
            if only_r:
                found[x, r, only_r] = -factorial(a) * factorial(b - 1) / factorial(a + b)
    return found


@dataclass(frozen=True, slots=True)
class Block:
    """Some leaves of a tree: the questions they depend on, and the table [2^questions, inputs] of contributions.

    A row of the table is the pattern of answers: bit k is set where question k is answered "left".
    """

    tree: Tree
    questions: tuple[int, ...]
    inputs: tuple[int, ...]
    table: Array
    base: float


def blocks(tree: Tree, cohort: NDArray[np.float32]) -> Iterator[Block]:
    """The blocks of a tree against a cohort; their bases and contributions add up to the tree's value."""
    answers = {int(node): tree.answers(cohort, int(node)) for node in tree.inner}
    for root, way in _parts(tree, 0, ()):
        leaves = list(_leaves(tree, root, way))
        questions = tuple(dict.fromkeys(node for _, path in leaves for node, _ in path))
        codes = sum((answers[node] * np.int64(1 << k) for k, node in enumerate(questions)), np.zeros(len(cohort), int))
        frequency = np.bincount(codes, minlength=2 ** len(questions)) / len(cohort)
        yield _block(tree, questions, leaves, frequency)


def _block(tree: Tree, questions: tuple[int, ...], leaves: list[tuple[int, Way]], frequency: Array) -> Block:
    inputs = tuple(dict.fromkeys(int(tree.feature[node]) for node in questions))
    table, base = np.zeros((2 ** len(questions), len(inputs))), 0.0
    for leaf, way in leaves:
        own = tuple(dict.fromkeys(int(tree.feature[node]) for node, _ in way))
        pattern = _patterns(tree, questions, way, own)
        of_cohort = np.bincount(pattern, weights=frequency, minlength=2 ** len(own))
        values = tree.value[leaf] * np.einsum("xrj,r->xj", weights(len(own)), of_cohort)
        table[:, [inputs.index(j) for j in own]] += values[pattern]
        base += float(tree.value[leaf] * of_cohort[-1])
    return Block(tree, questions, inputs, table, base)


def _patterns(tree: Tree, questions: tuple[int, ...], way: Way, own: tuple[int, ...]) -> NDArray[np.int64]:
    """For every pattern of answers: which of the leaf's inputs are satisfied, as bits in the order of `own`."""
    answers = np.arange(2 ** len(questions))
    found = np.zeros(2 ** len(questions), dtype=np.int64)
    for bit, feature in enumerate(own):
        satisfied = np.ones(len(answers), dtype=bool)
        for node, left in way:
            if tree.feature[node] == feature:
                satisfied &= (answers >> questions.index(node) & 1 == 1) == left
        found += satisfied.astype(np.int64) << bit
    return found


def _parts(tree: Tree, node: int, way: Way) -> Iterator[tuple[int, Way]]:
    if tree.height(node) <= _SHARED_HEIGHT:
        yield node, way
        return
    yield from _parts(tree, int(tree.left[node]), (*way, (node, True)))
    yield from _parts(tree, int(tree.right[node]), (*way, (node, False)))


def _leaves(tree: Tree, node: int, way: Way) -> Iterator[tuple[int, Way]]:
    if tree.feature[node] == LEAF:
        yield node, way
        return
    yield from _leaves(tree, int(tree.left[node]), (*way, (node, True)))
    yield from _leaves(tree, int(tree.right[node]), (*way, (node, False)))


def directly(tree: Tree, X: NDArray[np.float32], cohort: NDArray[np.float32], count: int) -> Array:
    """The same contributions [N, count] leaf by leaf, without blocks or tables: for the proof."""
    found = np.zeros((len(X), count))
    of_rows, of_cohort = ({int(n): tree.answers(rows, int(n)) for n in tree.inner} for rows in (X, cohort))
    for leaf, way in tree.leaves():
        own = tuple(dict.fromkeys(int(tree.feature[node]) for node, _ in way))
        if not own:
            continue
        frequency = np.bincount(_satisfied(tree, way, own, of_cohort), minlength=2 ** len(own)) / len(cohort)
        of_pattern = tree.value[leaf] * np.einsum("xrj,r->xj", weights(len(own)), frequency)
        found[:, own] += of_pattern[_satisfied(tree, way, own, of_rows)]
    return found


def _satisfied(tree: Tree, way: Way, own: tuple[int, ...], answers: dict[int, NDArray[np.bool_]]) -> NDArray[np.int64]:
    found = np.zeros(len(answers[way[0][0]]), dtype=np.int64)
    for bit, feature in enumerate(own):
        satisfied = np.ones(len(found), dtype=bool)
        for node, left in way:
            if tree.feature[node] == feature:
                satisfied &= answers[node] == left
        found += satisfied.astype(np.int64) << bit
    return found
