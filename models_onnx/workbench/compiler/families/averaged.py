"""Calibrations that are no line on the margin: isotonic ones, and averages of several models, calibrated or not.

The probability is the weighted mean of g_k(m_k) over members: g_k is the calibration, m_k = b_k + the sum of
contributions of a model that is exact on its own margin. An input's contribution to the probability is its
Aumann-Shapley share along the straight way from the reference to the person, which has a closed form, because the
margin is a sum:

    mean over k of  contribution_kj * (g_k(m_k) - g_k(b_k)) / (m_k - b_k)

The shares add up to the probability less that of the reference, mean of g_k(b_k).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.workbench.compiler.families.piecewise import Curve, write_curves
from models_onnx.workbench.compiler.graph import Graph
from models_onnx.workbench.compiler.link import IDENTITY, LOGIT, FittedModel, Link

Array = NDArray[np.float64]
# Nearer to the reference than this the slope of the calibration there is taken, instead of a quotient of nothings.
_AT_REFERENCE = 1e-9
_AT_ONCE = 8  # as in link.py: a row gets the same bits alone and in any batch


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Steps from a margin to a probability: sigmoids of a line, and curves; each takes what the one before gives."""

    steps: tuple[tuple[float, float] | Curve, ...]

    def probability(self, margin: Array) -> Array:
        """Returns the probability of each margin."""
        for step in self.steps:
            margin = step.values(margin) if isinstance(step, Curve) else LOGIT.probability(step[0] + step[1] * margin)
        return margin

    def slope(self, at: float) -> float:
        """Returns its slope at a margin, by a small difference."""
        ends = self.probability(np.array([at - 1e-6, at + 1e-6]))
        return float((ends[1] - ends[0]) / 2e-6)

    def write(self, graph: Graph, margin: str) -> str:
        """Returns the same of margins [N, 1]."""
        for number, step in enumerate(self.steps):
            with graph.under(f"step{number}/"):
                margin = (
                    _write_curve(graph, margin, step) if isinstance(step, Curve) else _write_line(graph, margin, step)
                )
        return margin


def _write_line(graph: Graph, margin: str, line: tuple[float, float]) -> str:
    scaled = graph.node("Mul", [margin, graph.constant("slope", line[1], np.float64)], "scaled")
    eight = graph.constant("eight_times", np.full(_AT_ONCE, line[0]), np.float64)
    sigmoid = graph.node("Sigmoid", [graph.node("Add", [scaled, eight], "line_eight_times")], "probabilities")
    return graph.node("Gather", [sigmoid, graph.constant("first", [0], np.int64)], "sigmoid", axis=1)


def _write_curve(graph: Graph, margin: str, curve: Curve) -> str:
    return write_curves(graph, margin, graph.node("IsNaN", [margin], "none_is_missing"), [curve.at_missing(0.0)])


@dataclass(frozen=True, slots=True)
class Member:
    """A model that is exact on its own margin, and the calibration of that margin."""

    model: FittedModel
    calibration: Calibration

    def share(self, rows: Array) -> Array:
        """Returns the shares [N, F] of this member's probability."""
        contributions = self.model.contributions(rows)
        away = contributions.sum(axis=1)
        before = self.calibration.probability(np.array([self.model.base]))[0]
        near = np.abs(away) < _AT_REFERENCE
        gained = self.calibration.probability(self.model.base + away) - before
        mean = np.where(near, self.calibration.slope(self.model.base), gained / np.where(near, 1.0, away))
        return np.asarray(contributions * mean[:, None])

    def write(self, graph: Graph, features: str, missing: str) -> str:
        """Returns the same in a graph."""
        with graph.under("own/"):
            contributions = self.model.write_contributions(graph, features, missing)
        away = graph.row_sums(contributions, len(self.model.features), "away")
        base = graph.constant("base", self.model.base, np.float64)
        calibrated = self.calibration.write(graph, graph.node("Add", [away, base], "margin"))
        before = self.calibration.probability(np.array([self.model.base]))[0]
        gained = graph.node("Sub", [calibrated, graph.constant("before", before, np.float64)], "gained")
        size = graph.node("Abs", [away], "size")
        near = graph.node("Less", [size, graph.constant("at_reference", _AT_REFERENCE, np.float64)], "near")
        unit = graph.constant("one", 1.0, np.float64)
        quotient = graph.node("Div", [gained, graph.node("Where", [near, unit, away], "divisor")], "quotient")
        slope = graph.constant("slope_there", self.calibration.slope(self.model.base), np.float64)
        return graph.node("Mul", [contributions, graph.node("Where", [near, slope, quotient], "mean_slope")], "shares")


@dataclass(frozen=True, slots=True)
class Averaged:
    """The mean of calibrated members on the scale of the probability; `scale` and `shift` recalibrate it."""

    members: tuple[Member, ...]
    scale: float = 1.0
    shift: float = 0.0
    weights: tuple[float, ...] = ()
    """How much each member counts; empty where all count the same."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return self.members[0].model.features

    @property
    def link(self) -> Link:
        """The identity: contributions add up to the probability."""
        return IDENTITY

    @property
    def base(self) -> float:
        """The mean of the members' probabilities at their references."""
        before = [float(member.calibration.probability(np.array([member.model.base]))[0]) for member in self.members]
        return self.shift + self.scale * float(self._mean(before))

    @property
    def low(self) -> tuple[float, ...]:
        """Those of the members, which have the same cohort."""
        return self.members[0].model.low

    @property
    def high(self) -> tuple[float, ...]:
        """Those of the members."""
        return self.members[0].model.high

    @property
    def edges(self) -> tuple[tuple[float, ...], ...]:
        """Those of every member."""
        edges_of_members = [member.model.edges for member in self.members]
        return tuple(
            tuple(sorted({edge for edges in edges_of_input for edge in edges}))
            for edges_of_input in zip(*edges_of_members, strict=True)
        )

    def contributions(self, X: Array) -> Array:
        """Returns the mean of the members' shares."""
        return np.asarray(self.scale * self._mean([member.share(X) for member in self.members]))

    def margin(self, X: Array) -> Array:
        """Returns the mean of the members' probabilities."""
        probabilities = [member.calibration.probability(member.model.margin(X)) for member in self.members]
        return np.asarray(self.shift + self.scale * self._mean(probabilities))

    def _mean(self, values: Sequence[Any]) -> Any:
        return np.average(values, axis=0, weights=self.weights or None)

    @property
    def _relative(self) -> tuple[float, ...]:
        """The weights, 1 on average."""
        return tuple(weight / float(np.mean(self.weights)) for weight in self.weights)

    def recalibrated(self, intercept: float, slope: float) -> Self:
        """intercept + slope * probability."""
        return replace(self, scale=slope * self.scale, shift=intercept + slope * self.shift)

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:
        """Member after member, then their mean."""
        parts = []
        for number, member in enumerate(self.members):
            with graph.under(f"member{number}/"):
                parts.append(member.write(graph, features, missing))
        if self.weights:
            parts = [
                graph.node("Mul", [part, graph.constant(f"weight{number}", weight, np.float64)], f"weighted{number}")
                for number, (part, weight) in enumerate(zip(parts, self._relative, strict=True))
            ]
        total = parts[0]
        for number, part in enumerate(parts[1:]):
            total = graph.node("Add", [total, part], f"sum{number}")
        factor = graph.constant("share_of_each", self.scale / len(parts), np.float64)
        return graph.node("Mul", [total, factor], "of_inputs")


def isotonic(x: Sequence[float], y: Sequence[float]) -> Curve:
    """Returns a line from point to point, level beyond both ends, as scikit-learn's IsotonicRegression predicts."""
    places, values = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(places) == 1:
        return Curve.steps([], [float(values[0])])
    slopes = np.diff(values) / np.diff(places)
    table = np.column_stack([[values[0], *values], [0.0, *slopes, 0.0]])
    return Curve(places, np.array([places[0], *places]), table)
