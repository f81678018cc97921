"""Boosted trees and forests with exact contributions: interventional Shapley values against a whole cohort.

The method is that of responsible-ai 7.3 (b3): evaluate the questions (splits), form the pattern of answers, look up a
table, sum.

A leaf is reached where all questions on its path are answered accordingly. For a person x and a cohort member r, let
o_j(x) be "x satisfies every question about input j". With x's values for the inputs in S and r's for the others the
leaf is reached or not, and the Shapley values of this game have a closed form (`weights`). Their mean over the cohort
depends only on how often each pattern of answers occurs in it. So the table of a block of leaves is computed once, and
a person's values are looked up by the person's own pattern. The size of the cohort does not affect the file or its
speed, and no row of the cohort is in the file.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from math import factorial
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.trees import (
    Ensemble,
    Tree,
    TreePath,
    as_float32,
    limits,
)
from models_onnx.workbench.compiler.graph import DOUBLE, Graph
from models_onnx.workbench.compiler.link import LOGIT, Link

Array = NDArray[np.float64]
# Leaves below a node of this height share one table: 2^(questions above + 3) rows are fewer numbers than one table for
# each leaf, and need a fourth of the comparisons.
_SHARED_HEIGHT = 2


@cache
def weights(count: int) -> Array:
    """W[pattern of x, pattern of r, j] for a leaf that asks about `count` inputs and has the value 1.

    With A the inputs only x satisfies and B those only r satisfies: (|A|-1)! |B|! / (|A|+|B|)! for j in A, minus
    |A|! (|B|-1)! / (|A|+|B|)! for j in B, nothing where neither satisfies some input.
    """
    table = np.zeros((2**count, 2**count, count))
    for x in range(2**count):
        for r in range(2**count):
            if x | r != 2**count - 1:
                continue
            only_x = [j for j in range(count) if x >> j & 1 and not r >> j & 1]
            only_r = [j for j in range(count) if r >> j & 1 and not x >> j & 1]
            a, b = len(only_x), len(only_r)
            if only_x:
                table[x, r, only_x] = factorial(a - 1) * factorial(b) / factorial(a + b)
            if only_r:
                table[x, r, only_r] = -factorial(a) * factorial(b - 1) / factorial(a + b)
    return table


@dataclass(frozen=True, slots=True)
class Block:
    """Some leaves of a tree: the questions on their paths, and the table [2^questions, inputs] of contributions.

    A row of the table is a pattern of answers: bit k is set where question k is answered "left".
    """

    tree: Tree
    questions: tuple[int, ...]
    inputs: tuple[int, ...]
    table: Array
    base: float

    def contributions(self, X: NDArray[np.float32]) -> Array:
        """Return those of `inputs` for each row, looked up by its pattern."""
        return np.asarray(self.table[_patterns_of(self.tree, self.questions, X)])


def _patterns_of(tree: Tree, questions: tuple[int, ...], X: NDArray[np.float32]) -> NDArray[np.int64]:
    patterns = np.zeros(len(X), dtype=np.int64)
    for bit, node in enumerate(questions):
        patterns += tree.answers(X, node).astype(np.int64) << bit
    return patterns


def blocks(tree: Tree, cohort: NDArray[np.float32]) -> Iterator[Block]:
    """Yield the blocks of a tree against a cohort; their bases and contributions add up to the tree's value."""
    for root, path in _parts(tree, 0, ()):
        leaves = list(tree.leaves(root, path))
        questions = tuple(dict.fromkeys(node for _, path in leaves for node, _ in path))
        patterns = _patterns_of(tree, questions, cohort)
        frequency = np.bincount(patterns, minlength=2 ** len(questions)) / len(cohort)
        yield _block(tree, questions, leaves, frequency)


def _block(tree: Tree, questions: tuple[int, ...], leaves: list[tuple[int, TreePath]], frequency: Array) -> Block:
    inputs = tuple(dict.fromkeys(int(tree.feature[node]) for node in questions))
    table, base = np.zeros((2 ** len(questions), len(inputs))), 0.0
    for leaf, path in leaves:
        leaf_inputs = tuple(dict.fromkeys(int(tree.feature[node]) for node, _ in path))
        pattern = _patterns(tree, questions, path, leaf_inputs)
        of_cohort = np.bincount(pattern, weights=frequency, minlength=2 ** len(leaf_inputs))
        values = tree.value[leaf] * np.einsum("xrj,r->xj", weights(len(leaf_inputs)), of_cohort)
        table[:, [inputs.index(j) for j in leaf_inputs]] += values[pattern]
        base += float(tree.value[leaf] * of_cohort[-1])
    return Block(tree, questions, inputs, table, base)


def _patterns(tree: Tree, questions: tuple[int, ...], path: TreePath, inputs: tuple[int, ...]) -> NDArray[np.int64]:
    """For every pattern of answers: which of the leaf's inputs are satisfied, as bits in the order of `inputs`."""
    answers = np.arange(2 ** len(questions))
    patterns = np.zeros(2 ** len(questions), dtype=np.int64)
    for bit, feature in enumerate(inputs):
        satisfied = np.ones(len(answers), dtype=bool)
        for node, left in path:
            if tree.feature[node] == feature:
                satisfied &= (answers >> questions.index(node) & 1 == 1) == left
        patterns += satisfied.astype(np.int64) << bit
    return patterns


def _parts(tree: Tree, node: int, path: TreePath) -> Iterator[tuple[int, TreePath]]:
    if tree.height(node) <= _SHARED_HEIGHT:
        yield node, path
        return
    yield from _parts(tree, int(tree.left[node]), (*path, (node, True)))
    yield from _parts(tree, int(tree.right[node]), (*path, (node, False)))


# responsible-ai 7.4 wants 4 and allows 6; what more questions cost in time is bounded by the gate speed.
DEEPEST = 6
# responsible-ai 7.3: averages over fewer people could reveal data of one person.
LEAST_COHORT = 20
# Looked-up numbers of one input are added sixteen at a time, then the sums: few zeros to pad with, a small matrix.
_TOGETHER = 16


@dataclass(frozen=True, slots=True)
class ShapleyTrees:
    """An ensemble and the cohort against which it is explained (float32, as the trees see it).

    The file does not contain the cohort. `low` and `high` are the trained ranges.
    """

    ensemble: Ensemble
    low: tuple[float, ...]
    high: tuple[float, ...]
    cohort: NDArray[np.float32]
    parts: tuple[Block, ...]

    @classmethod
    def of(cls, ensemble: Ensemble, cohort: Array) -> Self:
        """Return the ensemble explained against the whole cohort [n, F], whose range is that of the training.

        Raises:
            CompileRefused: a tree is deeper than 6.
        """
        if ensemble.depth > DEEPEST:
            raise CompileRefused(
                f"the trees are {ensemble.depth} deep, and up to {DEEPEST} are explained exactly: train with a lower "
                "max_depth, or write the model as an ONNX file (onnxmltools) and declare groups of its inputs"
            )
        seen = as_float32(cohort)
        parts = tuple(block for tree in ensemble.trees for block in blocks(tree, seen))
        return cls(ensemble, *limits(cohort), seen, parts)

    @property
    def features(self) -> tuple[str, ...]:
        return self.ensemble.features

    @property
    def link(self) -> Link:
        return LOGIT

    @property
    def edges(self) -> tuple[tuple[float, ...], ...]:
        return self.ensemble.thresholds()

    def margin(self, X: Array) -> Array:
        return self.ensemble.margin(X)

    @property
    def base(self) -> float:
        return self.ensemble.start + sum(part.base for part in self.parts)

    def contributions(self, X: Array) -> Array:
        seen, contributions = as_float32(X), np.zeros((len(X), len(self.features)))
        for part in self.parts:
            contributions[:, part.inputs] += part.contributions(seen)
        return contributions

    def recalibrated(self, intercept: float, slope: float) -> Self:
        parts = tuple(replace(part, table=slope * part.table, base=slope * part.base) for part in self.parts)
        return replace(self, ensemble=self.ensemble.scaled(intercept, slope), parts=parts)

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:
        """Questions → patterns → rows of the tables → sums by input; float64 from the tables on."""
        if not any(part.inputs for part in self.parts):
            nothing = graph.node("Cast", [missing], "no_trees", to=DOUBLE)
            return graph.node("Mul", [nothing, graph.constant("nothing", 0.0, np.float64)], "of_inputs")
        width = 1 + max(len(part.inputs) for part in self.parts)
        codes = self._write_codes(graph, features, missing)
        starts = np.cumsum([0, *(len(part.table) for part in self.parts[:-1])])
        rows_of_tables = graph.node("Add", [codes, graph.constant("table_starts", starts, np.int32)], "place")
        table = np.vstack([np.pad(part.table, ((0, 0), (0, width - len(part.inputs)))) for part in self.parts])
        rows = graph.node("Gather", [graph.constant("tables", table, np.float64), rows_of_tables], "of_blocks", axis=0)
        flat = graph.constant("one_row", [-1, len(self.parts) * width], np.int64)
        entries = graph.node("Reshape", [rows, flat], "of_entries")
        chunks, owners = [], []
        for j in range(len(self.features)):
            entries_of_input = [n * width + p.inputs.index(j) for n, p in enumerate(self.parts) if j in p.inputs]
            for first in range(0, len(entries_of_input), _TOGETHER):
                chunk = entries_of_input[first : first + _TOGETHER]
                # The last column of every table is zero: it fills incomplete chunks.
                chunks.append(chunk + [width - 1] * (_TOGETHER - len(chunk)))
                owners.append(j)
        order = graph.constant("by_input", chunks, np.int32)
        sorted_entries = graph.node("Gather", [entries, order], "entries_by_input", axis=1)
        last = graph.constant("last_axis", [2], np.int64)
        sums = graph.node("ReduceSum", [sorted_entries, last], "of_chunks", keepdims=0)
        matrix = np.zeros((len(chunks), len(self.features)))
        matrix[np.arange(len(chunks)), owners] = 1.0
        return graph.node("MatMul", [sums, graph.constant("input_of_chunk", matrix, np.float64)], "of_inputs")

    def _write_codes(self, graph: Graph, features: str, missing: str) -> str:
        """Return the pattern of answers of every block, int32 [N, blocks]."""
        width = max(len(part.questions) for part in self.parts)
        column = np.zeros((len(self.parts), width), dtype=np.int32)
        threshold = np.zeros((len(self.parts), width), dtype=np.float32)
        power = np.zeros((len(self.parts), width), dtype=np.int32)
        for number, part in enumerate(self.parts):
            for bit, node in enumerate(part.questions):
                tree = part.tree
                # in the second half of the vector a missing value is minus infinity, which goes left
                column[number, bit] = tree.feature[node] + len(self.features) * int(tree.nan_left[node])
                threshold[number, bit] = tree.threshold[node]
                power[number, bit] = 1 << bit
        wide = features
        if (column >= len(self.features)).any():
            left_side = graph.constant("left_side", float("-inf"), np.float32)
            wide = graph.node(
                "Concat", [features, graph.node("Where", [missing, left_side, features], "to_left")], "versions", axis=1
            )
        compared = graph.node("Gather", [wide, graph.constant("asked_input", column, np.int32)], "asked", axis=1)
        left = graph.node("LessOrEqual", [compared, graph.constant("thresholds", threshold, np.float32)], "goes_left")
        bits = graph.node(
            "Where", [left, graph.constant("bits", power, np.int32), graph.constant("no_bit", 0, np.int32)], "bits_set"
        )
        return graph.node("ReduceSum", [bits, graph.constant("last_axis", [2], np.int64)], "codes", keepdims=0)
