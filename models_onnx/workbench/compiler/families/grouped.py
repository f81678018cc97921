"""Any ONNX file: input by input where its answer is a sum of terms of single inputs, else by groups of its inputs.

The file is asked once for each coalition of the groups, in one batch: the inputs outside the coalition have the values
of a fixed background, the mean of the reference cohort. From these answers the Shapley values of the groups follow by
their definition, so they are exact with respect to this background. Log odds are explained where the file gives them,
otherwise its probability.

An additive file, such as a regression behind scalers, codes and bins, is asked with each input alone in place of
the background's. These answers, less their mean over the reference cohort, are the terms of its sum. Where a term is a
line it is computed from its slope, so that a file of hundreds of inputs is as quick as one of ten.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.families.trees import as_float32, limits
from models_onnx.workbench.compiler.graph import DOUBLE, Graph
from models_onnx.workbench.compiler.link import IDENTITY, LOGIT, Link
from models_onnx.workbench.compiler.readers.network import Network, OnnxSource

Array = NDArray[np.float64]
MOST_GROUPS = 10
EXPLANATION = (
    "Groups of inputs are explained, not single inputs: the Shapley values of {groups}, exact over all their "
    "coalitions, against the mean of the reference cohort, rounded to four digits. A group's share stands at its last "
    "input that is recorded."
)
# The runtime computes up to sixteen numbers at a time and the remainder in another way: with a multiple of sixteen rows
# for each person, a person alone gets the same bits as in a batch.
_LEAST_COALITIONS = 16
_AT_ONCE = 4096
# People of the cohort with whom a file is tried, and what single precision may change of its sum.
_TRIED, _ADDS_UP = 500, 1e-5
# What single precision may change of a term that is a line.
_ON_LINE = 1e-6
# An additive file is asked with no value beyond it, so that no term is infinite.
_FARTHEST, _FARTHEST_WHOLE = 1e30, 1e9


@dataclass(frozen=True, slots=True)
class Groups:
    """Each input belongs to one group, which is a column of the contributions."""

    names: tuple[str, ...] = ()
    members: tuple[tuple[int, ...], ...] = ()

    @classmethod
    def of(cls, features: Sequence[str], declared: Mapping[str, Sequence[str]]) -> Self:
        """Put declared groups where their first input stands, the others alone; refuse an unknown or twice used input.

        >>> Groups.of(["age", "unit_a", "unit_b"], {"unit": ["unit_a", "unit_b"]}).members
        ((0,), (1, 2))
        """
        used = [member for members in declared.values() for member in members]
        if unknown := sorted(set(used) - set(features)):
            raise CompileRefused(f"a group names {', '.join(unknown)}, which is not an input")
        if twice := sorted({member for member in used if used.count(member) > 1}):
            raise CompileRefused(f"{', '.join(twice)} is in two groups; its contribution can be shown once only")
        if clash := sorted((set(declared) & set(features)) - set(used)):
            raise CompileRefused(f"a group is called like the input {', '.join(clash)}, which is not in it")
        owner = {member: name for name, members in declared.items() for member in members}
        members_of: dict[str, list[int]] = {}
        for j, feature in enumerate(features):
            members_of.setdefault(owner.get(feature, feature), []).append(j)
        return cls(tuple(members_of), tuple(tuple(members) for members in members_of.values()))

    def listed(self, features: Sequence[str]) -> dict[str, list[str]]:
        """Return the inputs of each group, in the order of the contributions; none where each input is alone."""
        if self.members == tuple((j,) for j in range(len(self.members))):
            return {}
        members_by_name = zip(self.names, self.members, strict=True)
        return {name: [features[j] for j in members] for name, members in members_by_name}

    def inputs(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the inputs [questions, F] of chosen groups [questions, G]."""
        owner = np.zeros(sum(map(len, self.members)), dtype=np.int64)
        for column, members in enumerate(self.members):
            owner[list(members)] = column
        return chosen[:, owner]


@dataclass(frozen=True, slots=True)
class _AskedFile:
    """The file and the background [F]; margin = intercept + slope * the file's answer.

    `takes_missing` [F]: the file takes NaN. A missing input of the others has the value of the background.
    """

    network: Network
    features: tuple[str, ...]
    background: Array
    low: tuple[float, ...]
    high: tuple[float, ...]
    takes_missing: NDArray[np.bool_]
    intercept: float = 0.0
    slope: float = 1.0
    clips: ClassVar[bool] = True
    """Values beyond the trained range count as its ends: what a network says of others is not known."""

    @classmethod
    def _against(cls, source: OnnxSource, features: tuple[str, ...], X: Array, digits: int) -> Self:
        low, high = limits(X)
        background = np.array([float(f"{np.nanmean(column):.{digits - 1}e}") for column in X.T])
        for j in source.texts_of(features):  # there is no text between two texts: the most frequent one
            values, counts = np.unique(X[~np.isnan(X[:, j]), j], return_counts=True)
            background[j] = values[counts.argmax()]
        network = Network.read(source, features, np.array(low), np.array(high))
        background = np.where(network.whole_numbers(len(features)), np.round(background), background)
        taken = network.takes_missing(background)
        return cls(network, features, background, low, high, taken)

    @property
    def fills(self) -> bool:
        """Whether every missing input has the value of the background."""
        return not self.takes_missing.any()

    @property
    def link(self) -> Link:
        """Log odds where the file gives them, otherwise the probability itself."""
        return LOGIT if self.network.scale == "log odds" else IDENTITY

    @property
    def base(self) -> float:
        return self._background_margin()

    def _background_margin(self) -> float:
        return float(self._margins(self.background[None])[0])

    @property
    def edges(self) -> tuple[tuple[float, ...], ...]:
        """None: what the file asks of its inputs is not known."""
        return ((),) * len(self.features)

    def margin(self, X: Array) -> Array:
        return self._margins(self._seen(X))

    def contributions(self, X: Array) -> Array:
        """Return the contributions that follow from the answers to all questions."""
        values = self._seen(X)
        answers = [self._margins(np.where(chosen, values, self.background)) for chosen in self._questions]
        return np.asarray(np.column_stack(answers) @ self._weights)

    def recalibrated(self, intercept: float, slope: float) -> Self:
        return replace(self, intercept=intercept + slope * self.intercept, slope=slope * self.slope)

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:
        """Write the file with every question, and the contributions that follow from its answers."""
        return self._write_shares(graph, self._written(graph, features, missing))

    def _write_shares(self, graph: Graph, seen: str) -> str:
        questions = self._questions
        count, mask = len(self.features), graph.constant("chosen", questions[None], np.bool_)
        flat, axis = graph.constant("flat", [-1, count], np.int64), graph.constant("coalition_axis", [1], np.int64)
        wide = graph.node("Unsqueeze", [seen, axis], "values_wide")
        parts = [mask, wide, graph.constant("values_rest", self.background, np.float32)]
        values = graph.node("Reshape", [graph.node("Where", parts, "values_mixed"), flat], "values")
        answers = self.network.write(graph, values)
        table = graph.node(
            "Reshape", [answers, graph.constant("table", [-1, len(questions)], np.int64)], "of_coalitions"
        )
        weights = graph.constant("weights", self.slope * self._weights, np.float64)
        return graph.node("MatMul", [table, weights], "shares")

    def _written(self, graph: Graph, features: str, missing: str) -> str:
        """Write the values as the file is asked with them, as `_seen` has them."""
        low, high = (
            graph.constant(end, value, np.float32) for end, value in zip(("low", "high"), self._ends, strict=True)
        )
        inside = graph.node("Min", [graph.node("Max", [features, low], "not_below"), high], "inside")
        fill = graph.constant("fill", self._fill, np.float32)
        return graph.node("Where", [missing, fill, inside], "seen")

    @property
    def _ends(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The lowest and the highest value of each input that the file is asked with."""
        if self.clips:
            return as_float32(np.array(self.low)), as_float32(np.array(self.high))
        whole = self.network.whole_numbers(len(self.features))
        far = np.where(whole, _FARTHEST_WHOLE, _FARTHEST).astype(np.float32)
        return -far, far

    @property
    def _fill(self) -> Array:
        return np.where(self.takes_missing, np.nan, self.background)

    @property
    def _questions(self) -> NDArray[np.bool_]:
        """Which inputs [column] have the person's values in each question [row], in sixteen questions or more."""
        raise NotImplementedError

    @property
    def _weights(self) -> Array:
        """The weight of each question's answer in each contribution [questions, contributions]."""
        raise NotImplementedError

    def _seen(self, X: Array) -> Array:
        """Return the values within the trained range, missing ones filled."""
        seen = np.clip(as_float32(X), *self._ends)
        return np.where(np.isnan(seen), as_float32(self._fill), seen).astype(np.float64)

    def _margins(self, values: Array) -> Array:
        starts = range(0, len(values), _AT_ONCE)
        parts = [self.network.answers(values[start : start + _AT_ONCE]) for start in starts]
        return np.asarray(self.intercept + self.slope * np.concatenate(parts))


@dataclass(frozen=True, slots=True)
class GroupedModel(_AskedFile):
    """A file explained by the Shapley values of its groups."""

    groups: Groups = field(default_factory=Groups)

    @classmethod
    def read(
        cls, source: OnnxSource, features: tuple[str, ...], declared: Mapping[str, Sequence[str]], X: Array
    ) -> Self:
        """Return the file against the cohort [n, F].

        Raises:
            CompileRefused: the file cannot be run or takes other inputs, or the groups are too many.
        """
        groups = Groups.of(features, declared)
        if len(groups.names) > MOST_GROUPS:
            raise CompileRefused(
                f"{source.name} is explained by at most {MOST_GROUPS} groups of its inputs, and there are "
                f'{len(groups.names)}: declare them under [groups], as name = ["input", "input"]'
            )
        # four digits, as the manifest's reference values: what a reader is told is what is computed with
        model = cls._against(source, features, X, 4)
        whole = model.network.whole_numbers(len(features))
        taken = np.full(len(features), (model.takes_missing | whole).all()) & ~whole
        return replace(model, groups=groups, takes_missing=taken)

    @property
    def _questions(self) -> NDArray[np.bool_]:
        return self.groups.inputs(self._coalitions.astype(bool))

    @property
    def _coalitions(self) -> Array:
        """1 where a group [column] is in a coalition [row], the empty one first, repeated at the end to be sixteen."""
        count = len(self.groups.names)
        numbers = np.arange(max(2**count, _LEAST_COALITIONS))
        return np.asarray((numbers[:, None] * (numbers < 2**count)[:, None] >> np.arange(count)) & 1, dtype=np.float64)

    @property
    def _weights(self) -> Array:
        """The weight of each coalition's answer in the Shapley value of each group [coalitions, G]."""
        count = len(self.groups.names)
        chosen = self._coalitions[: 2**count]
        ways = [math.factorial(number) for number in range(count + 1)]
        size = chosen.sum(axis=1).astype(int).tolist()
        joins = np.array([ways[n - 1] * ways[count - n] / ways[count] if n else 0.0 for n in size])
        stays = np.array([ways[n] * ways[max(0, count - n - 1)] / ways[count] for n in size])
        weights = np.where(chosen == 1, joins[:, None], -stays[:, None])
        return np.vstack([weights, np.zeros((len(self._coalitions) - len(weights), count))])


@dataclass(frozen=True, slots=True)
class AdditiveFile(_AskedFile):
    """A file whose answer is a sum of terms of single inputs; `centre` [F] is the mean of each term over the cohort."""

    slopes: Array = field(default_factory=lambda: np.zeros(0))
    """Of each input whose term is a line its slope [F], NaN of the others: about these the file is asked."""
    absent: Array = field(default_factory=lambda: np.zeros(0))
    """What an input whose term is a line adds where it is missing."""
    centre: Array = field(default_factory=lambda: np.zeros(0))
    codes: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    """Inputs that are whole numbers in the cohort, as codes are: a converter may cut the others to whole numbers."""
    clips: ClassVar[bool] = False

    @classmethod
    def read(cls, source: OnnxSource, features: tuple[str, ...], X: Array) -> Self | None:
        """Return the file against the cohort [n, F]; None where two inputs change its answer together.

        Raises:
            CompileRefused: the file cannot be run or takes other inputs.
        """
        model = cls._against(source, features, X, 9)
        codes = np.array([(x == np.round(x)).all() for x in (column[~np.isnan(column)] for column in X.T)])
        nothing = np.zeros(len(features))
        model = replace(model, centre=nothing, codes=codes, slopes=np.full(len(features), np.nan), absent=nothing)
        # what a file makes of missing values may not add up though the rest does: then the background counts
        for asked in (model, replace(model, takes_missing=np.zeros(len(features), dtype=bool))):
            for way in (asked._with_lines(X), asked):
                if way._adds_up(X):
                    return replace(way, centre=way.contributions(X).mean(axis=0))
        return None

    def _with_lines(self, X: Array) -> Self:
        """Return the file with the slopes of the terms that are lines, within the cohort and far beyond it."""
        values = np.vstack([np.nanquantile(X, (0, 0.25, 0.5, 0.75, 1), axis=0), *np.broadcast_arrays(*self._ends)])
        rows = np.tile(self.background, (len(values) + 1, len(self.features), 1))
        each = np.arange(len(self.features))
        rows[:-1, each, each] = as_float32(values)
        rows[-1, each, each] = self._fill
        terms = self._margins(rows.reshape(-1, len(each))).reshape(len(rows), -1) - self._background_margin()
        away = as_float32(values) - self.background
        span = values[4] - values[0]
        slopes = (terms[4] - terms[0]) / np.where(span > 0, span, np.nan)
        is_line = (np.abs(terms[:-1] - slopes * away) <= _ON_LINE * np.maximum(1.0, np.abs(terms[:-1]))).all(axis=0)
        is_line &= ~self.network.whole_numbers(len(each)) & ~np.isin(each, list(self.network.texts))
        return replace(self, slopes=np.where(is_line, slopes, np.nan), absent=np.where(is_line, terms[-1], 0.0))

    def _adds_up(self, X: Array) -> bool:
        """Return whether the terms add up for people, for mixtures of people, and where values are missing."""
        draw = np.random.default_rng(0)
        people = X[draw.integers(0, len(X), _TRIED)]
        mixed = np.column_stack([draw.permutation(column) for column in people.T])
        holes = np.where(draw.random(mixed.shape) < 0.3, np.nan, mixed)
        rows = np.vstack([people, mixed, holes])
        terms, margin = self.contributions(rows), self.margin(rows)
        gap = np.abs(margin - self.base - terms.sum(axis=1))
        return bool((gap <= _ADDS_UP * np.maximum(1.0, np.abs(terms).sum(axis=1))).all())

    @property
    def base(self) -> float:
        return self._background_margin() + self.slope * float(self.centre.sum())

    def contributions(self, X: Array) -> Array:
        lines = np.nan_to_num(self.slopes) * (np.nan_to_num(self._seen(X)) - self.background)
        terms = np.where(np.isnan(as_float32(X)), self.absent, lines) - self.centre
        return _AskedFile.contributions(self, X) + self.slope * terms

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:
        seen = self._written(graph, features, missing)
        away = graph.node("Cast", [seen], "seen_exactly", to=DOUBLE)
        away = graph.node("Sub", [away, graph.constant("usual", self.background, np.float64)], "away")
        slopes = graph.constant("slopes", self.slope * np.nan_to_num(self.slopes), np.float64)
        absent = graph.constant("absent", self.slope * self.absent, np.float64)
        lines = graph.node("Where", [missing, absent, graph.node("Mul", [away, slopes], "raised")], "lines")
        terms = graph.node("Add", [self._write_shares(graph, seen), lines], "terms")
        return graph.node("Sub", [terms, graph.constant("centre", self.slope * self.centre, np.float64)], "centred")

    @property
    def _questions(self) -> NDArray[np.bool_]:
        asked = np.flatnonzero(np.isnan(self.slopes))
        rows = np.zeros((-(-(len(asked) + 1) // _LEAST_COALITIONS) * _LEAST_COALITIONS, len(self.features)), dtype=bool)
        rows[1 + np.arange(len(asked)), asked] = True
        return rows

    @property
    def _weights(self) -> Array:
        weights = self._questions.astype(np.float64)
        weights[0] = -np.isnan(self.slopes).astype(np.float64)
        return weights


def facts_of(model: GroupedModel | AdditiveFile) -> dict[str, str]:
    """Return the metadata of the file: what a reader has to know, and how often the network is run for a person."""
    runs = {"coalitions": str(len(model._questions))}
    if isinstance(model, AdditiveFile):
        return runs
    return {"explanation": EXPLANATION.format(groups=", ".join(model.groups.names)), **runs}
