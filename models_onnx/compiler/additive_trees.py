"""Sums of step functions of one input, or two: EBM, and trees that each ask about one input only.

A pair's value is split in halves between its two inputs: the Shapley value of a two-way term whose means over either
input are nothing, as purified terms have them under independence (responsible-ai 7.3 b1). The halves always add up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.compiler.graph import DOUBLE, Graph
from models_onnx.compiler.link import LOGIT, Link
from models_onnx.compiler.tree_writer import TreeWriter
from models_onnx.compiler.trees import Ensemble, as_float32, limits
from models_onnx.errors import CompileRefused

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Term:
    """A step function of one or two inputs; `values` has one axis per input: x <= each edge in turn, above, missing.

    Edges rise and are float32. `centre` is what the reference cohort has on average, already taken away from `values`.
    """

    inputs: tuple[int, ...]
    edges: tuple[tuple[float, ...], ...]
    values: Array = field(repr=False)
    centre: float = 0.0

    def of(self, X: NDArray[np.float32]) -> Array:
        """The term's value for each row."""
        return np.asarray(self.values[tuple(self._places(X))])

    def missing(self, X: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Where one of its inputs is missing."""
        return np.asarray(np.isnan(X[:, self.inputs]).any(axis=1))

    def _places(self, X: NDArray[np.float32]) -> list[NDArray[np.int64]]:
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
        low: Sequence[float] | None = None,
        high: Sequence[float] | None = None,
        missing_is_neutral: bool = False,
    ) -> Self:
        """Terms as learned, centred on the cohort [n, F]; the trained range is the cohort's where it is not given.

        `missing_is_neutral`: a missing input contributes 0, as in the additive models of this project, whatever was
        learned about it; a pair contributes 0 where either of its inputs is missing.
        """
        seen = as_float32(cohort)
        found = tuple(_centred(term, seen, missing_is_neutral) for term in terms)
        lowest, highest = limits(cohort)
        base = start + sum(term.centre for term in found)
        return cls(tuple(features), found, base, tuple(low or lowest), tuple(high or highest), link)

    @property
    def edges(self) -> tuple[tuple[float, ...], ...]:
        """Every step of each input."""
        found: list[set[float]] = [set() for _ in self.features]
        for term in self.terms:
            for j, edges in zip(term.inputs, term.edges, strict=True):
                found[j] |= set(edges)
        return tuple(tuple(sorted(values)) for values in found)

    def of_terms(self, X: Array) -> Array:
        """The centred value of every term [N, T]."""
        seen = as_float32(X)
        return np.column_stack([term.of(seen) for term in self.terms]) if self.terms else np.zeros((len(X), 0))

    def contributions(self, X: Array) -> Array:
        """Terms of one input whole, pairs in halves."""
        return self.of_terms(X) @ self._shares()

    def margin(self, X: Array) -> Array:
        """base + sum of terms."""
        return np.asarray(self.base + self.of_terms(X).sum(axis=1))

    def recalibrated(self, intercept: float, slope: float) -> Self:
        """margin = intercept + slope * margin, multiplied into the steps."""
        terms = tuple(replace(term, values=slope * term.values, centre=slope * term.centre) for term in self.terms)
        return replace(self, terms=terms, base=intercept + slope * self.base)

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:  # noqa: ARG002  # a first node asks
        """One tree per term; where each term is one input's own, its target is the input's column."""
        alone = sorted(term.inputs for term in self.terms) == sorted({(term.inputs[0],) for term in self.terms})
        writer = TreeWriter()
        for number, term in enumerate(self.terms):
            writer.steps(term.inputs[0] if alone else number, term.inputs, term.edges, term.values)
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


def additive(ensemble: Ensemble) -> bool:
    """Whether every tree asks about one input only, so that the ensemble is a sum of step functions."""
    return all(len(set(tree.feature[tree.inner])) <= 1 for tree in ensemble.trees)


def steps_of(ensemble: Ensemble) -> tuple[tuple[Term, ...], float]:
    """One term per input, and where they start; CompileRefused for trees that ask about several inputs."""
    if not additive(ensemble):
        raise CompileRefused("a tree asks about several inputs; such trees are not a sum of one function per input")
    start, terms = ensemble.start, []
    edges = ensemble.thresholds()
    for j, own in enumerate(edges):
        trees = [tree for tree in ensemble.trees if len(tree.inner) and tree.feature[0] == j]
        if not trees:
            continue
        rows = np.zeros((len(own) + 2, len(edges)), dtype=np.float32)
        rows[:, j] = [*own, np.inf, np.nan]
        terms.append(Term((j,), (own,), sum((t.values(rows) for t in trees), np.zeros(len(rows)))))
    start += sum(float(tree.value[0]) for tree in ensemble.trees if not len(tree.inner))
    return tuple(terms), start


def _centred(term: Term, cohort: NDArray[np.float32], missing_is_neutral: bool) -> Term:
    learned = term.of(cohort)
    there = ~term.missing(cohort) if missing_is_neutral else np.ones(len(cohort), dtype=bool)
    centre = float(learned[there].mean()) if there.any() else 0.0
    values = term.values - centre
    if missing_is_neutral:
        for axis in range(values.ndim):
            np.moveaxis(values, axis, 0)[-1] = 0.0
    return replace(term, values=values, centre=centre)
