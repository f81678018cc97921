"""The general form: any ONNX file, explained by the exact Shapley values of at most ten named groups of its inputs.

The file is asked once for each coalition of the groups, in one batch: the inputs outside the coalition have the values
of a fixed background, the mean of the reference cohort. From these answers the Shapley values of the groups follow by
their definition, so they are exact with respect to this background. Log odds are explained where the file gives them,
otherwise its probability.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
from models_onnx.workbench.compiler.explaining_graph import Groups
from models_onnx.workbench.compiler.families.trees import as_float32, limits
from models_onnx.workbench.compiler.graph import FLOAT, Graph
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


@dataclass(frozen=True, slots=True)
class GroupedModel:
    """The file, its groups and the background [F]; margin = intercept + slope * the file's answer.

    `fills`: a missing input has the value of the background, as a whole number always has. Otherwise the file itself
    knows what missing means: it is told by a mask, or takes NaN.
    """

    network: Network
    features: tuple[str, ...]
    groups: Groups
    background: Array
    low: tuple[float, ...]
    high: tuple[float, ...]
    fills: bool
    intercept: float = 0.0
    slope: float = 1.0
    clips: ClassVar[bool] = True
    """Values beyond the trained range count as its ends: what a network says of others is not known."""

    @classmethod
    def read(
        cls, source: OnnxSource, features: tuple[str, ...], declared: Mapping[str, Sequence[str]], X: Array
    ) -> Self:
        """Return the file against the cohort [n, F].

        Raises:
            CompileRefused: the file cannot be run or takes other inputs, or the groups are too many.
        """
        groups = Groups.of(features, declared or _quantities(features, source.steps))
        if len(groups.names) > MOST_GROUPS:
            raise CompileRefused(
                f"{source.name} is explained by at most {MOST_GROUPS} groups of its inputs, and there are "
                f"{len(groups.names)}: declare groups={{'name': ('input', 'input'), ...}}"
            )
        low, high = limits(X)
        # four digits, as the manifest's reference values: what a reader is told is what is computed with
        background = np.array([float(f"{np.nanmean(column):.3e}") for column in X.T])
        for j in source.texts_of(features):  # there is no text between two texts: the most frequent one
            values, counts = np.unique(X[~np.isnan(X[:, j]), j], return_counts=True)
            background[j] = values[counts.argmax()]
        network = Network.read(source, features, np.array(low), np.array(high))
        background = np.where(network.whole_numbers(len(features)), np.round(background), background)
        fills = not network.has_mask and not network.takes_missing(background)
        return cls(network, features, groups, background, low, high, fills)

    @property
    def link(self) -> Link:
        """Log odds where the file gives them, otherwise the probability itself."""
        return LOGIT if self.network.scale == "log odds" else IDENTITY

    @property
    def base(self) -> float:
        return float(self._margins(self.background[None], np.ones((1, len(self.features))))[0])

    @property
    def edges(self) -> tuple[tuple[float, ...], ...]:
        """None: what the file asks of its inputs is not known."""
        return ((),) * len(self.features)

    def margin(self, X: Array) -> Array:
        return self._margins(*self._seen(X))

    def contributions(self, X: Array) -> Array:
        """Return each group's Shapley value at the group's first input, 0 at the others."""
        values, recorded = self._seen(X)
        answers = []
        for chosen in self._coalitions.astype(bool) @ self.groups.matrix().T.astype(bool):
            mixed = np.where(chosen, values, self.background)
            answers.append(self._margins(mixed, np.where(chosen, recorded, 1.0)))
        return np.asarray(np.column_stack(answers) @ self._weights @ self._first)

    def recalibrated(self, intercept: float, slope: float) -> Self:
        return replace(self, intercept=intercept + slope * self.intercept, slope=slope * self.slope)

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:
        """Write the file with every coalition of its groups, and the Shapley values of its answers."""
        count, coalitions = len(self.features), len(self._coalitions)
        low, high = (
            graph.constant(end, as_float32(np.array(getattr(self, end))), np.float32) for end in ("low", "high")
        )
        inside = graph.node("Min", [graph.node("Max", [features, low], "not_below"), high], "inside")
        fill = graph.constant("fill", self._fill, np.float32)
        chosen = self._coalitions.astype(bool) @ self.groups.matrix().T.astype(bool)
        mask = graph.constant("chosen", chosen[None], np.bool_)
        flat, axis = graph.constant("flat", [-1, count], np.int64), graph.constant("coalition_axis", [1], np.int64)

        def mixed(tensor: str, rest: Any, name: str) -> str:
            wide = graph.node("Unsqueeze", [tensor, axis], f"{name}_wide")
            parts = [mask, wide, graph.constant(f"{name}_rest", rest, np.float32)]
            return graph.node("Reshape", [graph.node("Where", parts, f"{name}_mixed"), flat], name)

        values = mixed(graph.node("Where", [missing, fill, inside], "seen"), self.background, "values")
        recorded = ""
        if self.network.has_mask:
            there = graph.node("Cast", [graph.node("Not", [missing], "there")], "there_as_number", to=FLOAT)
            recorded = mixed(there, np.ones(count), "recorded")
        answers = self.network.write(graph, values, recorded, count)
        table = graph.node("Reshape", [answers, graph.constant("table", [-1, coalitions], np.int64)], "of_coalitions")
        weights = graph.constant("weights", self.slope * self._weights, np.float64)
        first = graph.constant("first_of_group", self._first, np.float64)
        return graph.node("MatMul", [graph.node("MatMul", [table, weights], "shares"), first], "of_inputs")

    @property
    def _fill(self) -> Array:
        if self.fills:
            return self.background
        if self.network.has_mask:
            return np.zeros(len(self.features))
        return np.where(self.network.whole_numbers(len(self.features)), self.background, np.nan)

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

    @property
    def _first(self) -> Array:
        """1 where an input [column] is the first of a group [row]."""
        matrix = np.zeros((len(self.groups.names), len(self.features)))
        for row, members in enumerate(self.groups.members):
            matrix[row, members[0]] = 1.0
        return matrix

    def _seen(self, X: Array) -> tuple[Array, Array]:
        """Return the values within the trained range, missing ones filled, and 1 where a value is recorded."""
        seen = np.clip(as_float32(X), as_float32(np.array(self.low)), as_float32(np.array(self.high)))
        missing = np.isnan(seen)
        return np.where(missing, as_float32(self._fill), seen).astype(np.float64), (~missing).astype(np.float64)

    def _margins(self, values: Array, recorded: Array) -> Array:
        parts = [
            self.network.answers(values[start : start + _AT_ONCE], recorded[start : start + _AT_ONCE])
            for start in range(0, len(values), _AT_ONCE)
        ]
        return np.asarray(self.intercept + self.slope * np.concatenate(parts))


def facts_of(model: GroupedModel) -> dict[str, str]:
    """Return the metadata of the file: what a reader has to know, and how often the network is run for a person."""
    sentence = EXPLANATION.format(groups=", ".join(model.groups.names))
    return {"explanation": sentence, "coalitions": str(len(model._coalitions))}


def _quantities(features: tuple[str, ...], steps: int | None) -> dict[str, tuple[str, ...]]:
    """Return the steps of each quantity of a series as a group; none for a table.

    >>> _quantities(("rate_1", "rate_2", "age_1", "age_2"), 2)
    {'rate': ('rate_1', 'rate_2'), 'age': ('age_1', 'age_2')}
    """
    if steps is None:
        return {}
    parts = [features[start : start + steps] for start in range(0, len(features), steps)]
    return {part[0].rsplit("_", 1)[0]: part for part in parts}
