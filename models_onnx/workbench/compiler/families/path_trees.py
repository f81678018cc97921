"""Trees too deep for exact contributions: each question's share along the path, an approximation that is marked as one.

On its way to a leaf a person passes questions; at each, the mean of the reference cohort below changes, and the change
is counted for the question's input (Saabas 2014, "Interpreting random forests"). The shares add up to the margin
exactly. They are no Shapley values: questions near the root get too little where inputs work together (Lundberg et al.,
Nat Mach Intell 2020;2:56). Gate G6 refuses such a file for cards.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.trees import LEAF, Ensemble, ExplainedEnsemble, Tree, as_float32, limits
from models_onnx.workbench.compiler.graph import DOUBLE, Graph, TreeWriter
from models_onnx.workbench.compiler.link import FittedModel

Array = NDArray[np.float64]
APPROXIMATE = 1000
"""As `deepest`: trees of any depth are explained along their paths."""
_ALL_BYTES = 64 * 1024 * 1024
_BYTES_OF_A_NODE = 40
_PEOPLE, _ORDERS = 20, 120


def is_approximate(model: FittedModel) -> bool:
    """Returns whether contributions of this model, or of one inside it, are such shares."""
    if isinstance(model, PathTrees):
        return True
    inner = getattr(model, "inner", None)
    members = [member.model for member in getattr(model, "members", ())]
    return any(is_approximate(part) for part in ([inner] if inner is not None else []) + members)


@dataclass(frozen=True, slots=True)
class PathTrees(ExplainedEnsemble):
    """An ensemble with the mean margin of the reference cohort below each node, tree by tree."""

    means: tuple[Array, ...]

    @classmethod
    def of(cls, ensemble: Ensemble, cohort: Array) -> Self:
        """Returns the ensemble against the cohort [n, F]; CompileRefused where the file would be too large."""
        nodes = sum(len(tree.feature) for tree in ensemble.trees)
        size = nodes * (_BYTES_OF_A_NODE + 12 * ensemble.depth)
        if size > _ALL_BYTES:
            raise CompileRefused(
                f"the trees have {nodes:,} nodes, about {size / 2**20:.0f} MB with their shares, and a file has at "
                f"most {_ALL_BYTES // 2**20} MB: train fewer or shallower trees"
            )
        seen = as_float32(cohort)
        low, high = limits(cohort)
        return cls(ensemble, low, high, tuple(_means(tree, seen) for tree in ensemble.trees))

    @property
    def base(self) -> float:
        """Mean margin of the cohort."""
        return self.ensemble.start + sum(float(means[0]) for means in self.means)

    def contributions(self, X: Array) -> Array:
        """Returns the shares, computed by following the trees; without the file's tables of leaves."""
        seen, shares = as_float32(X), np.zeros((len(X), len(self.features)))
        for tree, means in zip(self.ensemble.trees, self.means, strict=True):
            at = np.zeros(len(X), dtype=np.int64)
            rows = np.flatnonzero(tree.feature[at] != LEAF)
            while len(rows):
                for node in np.unique(at[rows]):
                    here = rows[at[rows] == node]
                    left = tree.answers(seen[here], int(node))
                    below = np.where(left, tree.left[node], tree.right[node])
                    shares[here, tree.feature[node]] += means[below] - means[node]
                    at[here] = below
                rows = rows[tree.feature[at[rows]] != LEAF]
        return shares

    def recalibrated(self, intercept: float, slope: float) -> Self:
        """margin = intercept + slope * margin: leaves and means are multiplied."""
        means = tuple(slope * mean for mean in self.means)
        return replace(self, ensemble=self.ensemble.scaled(intercept, slope), means=means)

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:  # noqa: ARG002  # the nodes ask
        """Returns one operator: the trees, each of whose leaves has the shares of its path as targets."""
        if any(tree.zero_missing.any() for tree in self.ensemble.trees):
            raise CompileRefused(
                "deep trees of LightGBM with zero_as_missing are not explained: train without it, or with max_depth=4"
            )
        writer = TreeWriter()
        for number, (tree, means) in enumerate(zip(self.ensemble.trees, self.means, strict=True)):
            for node in tree.inner.tolist():
                children = (int(tree.left[node]), int(tree.right[node]))
                threshold, missing_left = float(tree.threshold[node]), bool(tree.nan_left[node])
                writer.add_split(number, node, int(tree.feature[node]), threshold, children, missing_left)
            for leaf, shares in _leaf_shares(tree, means).items():
                writer.add_leaf(number, leaf, shares)
        written = writer.write(graph, features, len(self.features), "path_shares")
        return graph.node("Cast", [written], "of_inputs", to=DOUBLE)


def _means(tree: Tree, cohort: NDArray[np.float32]) -> Array:
    """The mean value below each node for the people of the cohort who come there; of its children where nobody does."""
    total, count = np.zeros(len(tree.feature)), np.zeros(len(tree.feature))
    values = np.array(tree.value, dtype=np.float64)

    def walk(node: int, rows: NDArray[np.int64]) -> None:
        count[node] = len(rows)
        if tree.feature[node] == LEAF:
            total[node] = values[node] * len(rows)
            return
        goes_left = tree.answers(cohort[rows], node)
        below = (int(tree.left[node]), int(tree.right[node]))
        walk(below[0], rows[goes_left])
        walk(below[1], rows[~goes_left])
        total[node] = total[below[0]] + total[below[1]]
        values[node] = total[node] / count[node] if len(rows) else (values[below[0]] + values[below[1]]) / 2

    walk(0, np.arange(len(cohort)))
    return values


def _leaf_shares(tree: Tree, means: Array) -> dict[int, dict[int, float]]:
    """Returns the share of each input for each leaf."""
    shares_of_leaves: dict[int, dict[int, float]] = {}
    for leaf, path in tree.leaves():
        shares: dict[int, float] = {}
        for node, left in path:
            below = int(tree.left[node] if left else tree.right[node])
            feature = int(tree.feature[node])
            shares[feature] = shares.get(feature, 0.0) + float(means[below] - means[node])
        shares_of_leaves[leaf] = shares
    return shares_of_leaves


@dataclass(frozen=True, slots=True)
class Apart:
    """How far the shares are from Shapley values, sampled on people of the cohort.

    `strongest`: for which share of people the strongest input is the same; `difference`: mean absolute difference of a
    contribution, on the scale of the margin, the error of the sampling included.
    """

    people: int
    strongest: float
    difference: float


def apart_from_shapley(model: FittedModel, cohort: Array, seed: int = 0) -> Apart:
    """The shares beside Shapley values against the same cohort, estimated with random orders (Strumbelj 2014)."""
    draw = np.random.default_rng(seed)
    some = cohort[draw.choice(len(cohort), min(_PEOPLE, len(cohort)), replace=False)]
    contributions = model.contributions(some)
    sampled = np.array([_sampled(model, person, cohort, draw) for person in some])
    same = np.argmax(np.abs(contributions), axis=1) == np.argmax(np.abs(sampled), axis=1)
    return Apart(len(some), float(same.mean()), float(np.abs(contributions - sampled).mean()))


def words_of_approximation(model: FittedModel, cohort: Array) -> str:
    """Returns what a reader of a model with such shares has to know, with how far they are from Shapley values here."""
    apart = apart_from_shapley(model, cohort)
    return (
        "APPROXIMATION: its contributions are shares along the paths of deep trees, no Shapley values. Of "
        f"{apart.people} people of the reference cohort the strongest input is the same for "
        f"{round(apart.strongest * apart.people)}; a contribution is {apart.difference:.2g} off on average, on the "
        "scale of the margin. It shows no cards (gate G6)."
    )


def _sampled(model: FittedModel, person: Array, cohort: Array, draw: np.random.Generator) -> Array:
    count = len(person)
    people = cohort[draw.integers(0, len(cohort), _ORDERS)]
    orders = np.array([draw.permutation(count) for _ in range(_ORDERS)])
    rows = np.repeat(people[:, None, :], count + 1, axis=1)
    for step in range(count):
        for number in range(_ORDERS):
            rows[number, step + 1 :, orders[number, step]] = person[orders[number, step]]
    margins = model.margin(rows.reshape(-1, count)).reshape(_ORDERS, count + 1)
    shares = np.zeros((_ORDERS, count))
    np.put_along_axis(shares, orders, np.diff(margins, axis=1), axis=1)
    return np.asarray(shares.mean(axis=0))
