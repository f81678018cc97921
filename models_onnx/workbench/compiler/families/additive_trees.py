"""Sums of step functions of one or two inputs: EBM.

They are written as trees of one TreeEnsembleRegressor, with one target for each term.

A pair of inputs is parted into what either input does on the average of the reference cohort and the rest, which is
divided equally between them. These are the interventional Shapley values of a two-way term against that cohort,
whatever its inputs have to do with each other (responsible-ai 7.3 b1), and they add up to its value.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.trees import as_float32, below, limits
from models_onnx.workbench.compiler.graph import DOUBLE, Graph, TreeWriter
from models_onnx.workbench.compiler.link import LOGIT, Link

Array = NDArray[np.float64]
_INFINITY = float("inf")


@dataclass(frozen=True, slots=True)
class Term:
    """A step function of one or two inputs; `values` has one axis per input: x <= each edge in turn, above, missing.

    Edges increase and are float32. `centre` is the reference cohort's mean, already subtracted from `values`.
    """

    inputs: tuple[int, ...]
    edges: tuple[tuple[float, ...], ...]
    values: Array = field(repr=False)
    centre: float = 0.0

    def values_of(self, X: NDArray[np.float32]) -> Array:
        """Return the term's value for each row."""
        return np.asarray(self.values[tuple(self.places(X))])

    def places(self, X: NDArray[np.float32]) -> list[NDArray[np.int64]]:
        """Return the cell of each row, one array for each axis."""
        return [
            np.where(np.isnan(X[:, j]), len(edges) + 1, np.searchsorted(np.array(edges, np.float32), X[:, j], "left"))
            for j, edges in zip(self.inputs, self.edges, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class AdditiveTrees:
    """base + the terms, each centred on the reference cohort."""

    features: tuple[str, ...]
    terms: tuple[Term, ...]
    base: float
    low: tuple[float, ...]
    high: tuple[float, ...]
    link: Link = LOGIT

    @classmethod
    def centred(
        cls,
        features: Sequence[str],
        terms: Sequence[Term],
        start: float,
        cohort: Array,
        link: Link = LOGIT,
    ) -> Self:
        """Return the terms as learned, centred on the cohort [n, F], with its range."""
        seen = as_float32(cohort)
        centred_terms = tuple(_centred(part, seen) for term in terms for part in _parted(term, seen))
        base = start + sum(term.centre for term in centred_terms)
        return cls(tuple(features), centred_terms, base, *limits(cohort), link)

    @property
    def edges(self) -> tuple[tuple[float, ...], ...]:
        """Every step of each input."""
        edge_sets: list[set[float]] = [set() for _ in self.features]
        for term in self.terms:
            for j, edges in zip(term.inputs, term.edges, strict=True):
                edge_sets[j] |= set(edges)
        return tuple(tuple(sorted(values)) for values in edge_sets)

    def of_terms(self, X: Array) -> Array:
        """Return the centred value of every term [N, T]."""
        seen = as_float32(X)
        return np.column_stack([term.values_of(seen) for term in self.terms]) if self.terms else np.zeros((len(X), 0))

    def contributions(self, X: Array) -> Array:
        """Terms of one input count for that input; what is left of a pair counts half for each."""
        return self.of_terms(X) @ self._shares()

    def margin(self, X: Array) -> Array:
        """Return base + sum of terms."""
        return np.asarray(self.base + self.of_terms(X).sum(axis=1))

    def recalibrated(self, intercept: float, slope: float) -> Self:
        """margin = intercept + slope * margin, multiplied into the steps."""
        terms = tuple(replace(term, values=slope * term.values, centre=slope * term.centre) for term in self.terms)
        return replace(self, terms=terms, base=intercept + slope * self.base)

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:  # noqa: ARG002  # a first node asks
        """Write one tree per term; if each input has one term of its own, the tree's target is the input's column."""
        alone = sorted(term.inputs for term in self.terms) == sorted({(term.inputs[0],) for term in self.terms})
        writer = TreeWriter()
        for number, term in enumerate(self.terms):
            _TermTree(writer, number, term.inputs[0] if alone else number).grow(term.inputs, term.edges, term.values)
        targets = len(self.features) if alone else len(self.terms)
        terms = graph.node("Cast", [writer.write(graph, features, targets, "steps")], "terms", to=DOUBLE)
        if alone:
            return terms
        return graph.node("MatMul", [terms, graph.constant("shares", self._shares(), np.float64)], "of_inputs")

    def _shares(self) -> Array:
        shares = np.zeros((len(self.terms), len(self.features)))
        for number, term in enumerate(self.terms):
            shares[number, list(term.inputs)] = 1.0 / len(term.inputs)
        return shares


class _TermTree:
    """Writes one term as a tree, its nodes numbered parent first, then all below its first child, then the others."""

    def __init__(self, writer: TreeWriter, number: int, target: int) -> None:
        self._writer, self._tree, self._target = writer, number, target
        self._count = 0

    def grow(self, features: Sequence[int], edges: Sequence[Sequence[float]], values: Array) -> None:
        """Add the nodes over the first feature; where its cells end, those over the other features begin."""
        if not features:
            self._writer.add_leaf(self._tree, self._count, {self._target: float(values)})
            self._count += 1
            return
        # NaN fails x <= +infinity, which every number passes: with BRANCH_LT, +infinity would land with the missing.
        self._split(features[0], _INFINITY, _cells_size(edges, len(edges[0]) + 1))
        self._cells(features, edges, values, 0, len(edges[0]))
        self.grow(features[1:], edges[1:], values[-1])

    def _cells(
        self, features: Sequence[int], edges: Sequence[Sequence[float]], values: Array, first: int, last: int
    ) -> None:
        """Add a balanced tree over the cells first..last of the first feature."""
        if first == last:
            self.grow(features[1:], edges[1:], values[first])
            return
        middle = (first + last) // 2
        self._split(features[0], float(edges[0][middle]), _cells_size(edges, middle - first + 1))
        self._cells(features, edges, values, first, middle)
        self._cells(features, edges, values, middle + 1, last)

    def _split(self, feature: int, threshold: float, size: int) -> None:
        """Add a node with `size` nodes below its first child."""
        number = self._count
        self._count += 1
        self._writer.add_split(self._tree, number, feature, threshold, (number + 1, number + 1 + size))


def _cells_size(edges: Sequence[Sequence[float]], cells: int) -> int:
    """Return how many nodes a tree over so many cells of the first feature has."""
    return cells * (_size(edges[1:]) + 1) - 1


def _size(edges: Sequence[Sequence[float]]) -> int:
    """Return how many nodes a tree over all cells of these features has."""
    return 1 + _cells_size(edges, len(edges[0]) + 1) + _size(edges[1:]) if edges else 1


def _parted(term: Term, cohort: NDArray[np.float32]) -> tuple[Term, ...]:
    """Return a pair as the mean effect of each of its inputs over the other one's values in the cohort and the rest."""
    if len(term.inputs) == 1:
        return (term,)
    places = term.places(cohort)
    sizes = term.values.shape
    shares = [np.bincount(cells, minlength=size) / len(cohort) for cells, size in zip(places, sizes, strict=True)]
    first, second = term.values @ shares[1], shares[0] @ term.values
    interaction = replace(term, values=term.values - first[:, None] - second[None, :])
    alone = zip(term.inputs, term.edges, (first, second), strict=True)
    return (interaction, *(Term((j,), (edges,), values) for j, edges, values in alone))


def _centred(term: Term, cohort: NDArray[np.float32]) -> Term:
    centre = float(term.values_of(cohort).mean())
    return replace(term, values=term.values - centre, centre=centre)


def ebm_terms(model: Any, features: Sequence[str]) -> tuple[tuple[Term, ...], float]:
    """Return the terms of a fitted ExplainableBoostingClassifier of two classes, and its intercept, on the logit scale.

    Refused by name: terms of three inputs, inputs that are not numbers, more than two classes.
    """
    if len(getattr(model, "classes_", ())) != 2 or getattr(model, "link_", "") != "logit":
        raise CompileRefused("only an ExplainableBoostingClassifier of two classes with the logit link is compiled")
    terms = []
    for inputs, scores in zip(model.term_features_, model.term_scores_, strict=True):
        if len(inputs) > 2:
            raise CompileRefused(
                f"the term {' & '.join(features[j] for j in inputs)} has more than two inputs, which is not explained "
                "exactly: train with interactions=5, say, which makes pairs only"
            )
        axes = [_axis(model, features, j, len(inputs)) for j in inputs]
        values = np.asarray(scores, dtype=np.float64)
        for axis, (_, cells) in enumerate(axes):
            values = np.take(values, cells, axis=axis)
        terms.append(Term(tuple(int(j) for j in inputs), tuple(edges for edges, _ in axes), values))
    return tuple(terms), float(np.asarray(model.intercept_).ravel()[0])


def _axis(model: Any, features: Sequence[str], j: int, dimensions: int) -> tuple[tuple[float, ...], list[int]]:
    """Find our cells' edges, and interpret's bin of each: 0 missing, 1.. increasing, the last for unknown values."""
    resolutions = model.bins_[j]
    bins = resolutions[min(dimensions, len(resolutions)) - 1]
    if isinstance(bins, dict):
        return _categories(features[j], bins)
    cuts = np.asarray(bins, dtype=np.float64)
    # interpret: a value on a cut belongs to the bin above it
    edges = [float(below(float(cut))) for cut in cuts]
    return _distinct(edges, [*range(1, len(edges) + 1), len(edges) + 1, 0])


def _categories(feature: str, bins: dict[str, int]) -> tuple[tuple[float, ...], list[int]]:
    """Numbers treated as categories: each has its own cell, and all numbers between them the bin of unknown values."""
    try:
        numbers = sorted((np.float32(name), number) for name, number in bins.items())
    except ValueError:
        raise CompileRefused(f"{feature} has categories that are no numbers: code them before training") from None
    unknown = max(bins.values()) + 1
    edges: list[float] = []
    cells: list[int] = []
    for value, bin_number in numbers:
        edges += [float(np.nextafter(value, np.float32(-np.inf))), float(value)]
        cells += [unknown, bin_number]
    return _distinct(edges, [*cells, unknown, 0])


def _distinct(edges: list[float], cells: list[int]) -> tuple[tuple[float, ...], list[int]]:
    """Edges without repetition, and the cells below them and after: no float32 lies between an edge and its like."""
    repeated = {number for number, (low, high) in enumerate(pairwise(edges), 1) if low == high}
    kept = [cell for number, cell in enumerate(cells) if number not in repeated]
    return tuple(dict.fromkeys(edges)), kept
