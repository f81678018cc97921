"""The interface of a fitted model for the compiler: its link from margin to probability, and its terms.

Contributions are additive on the margin. The link is logistic or the identity.
"""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.workbench.compiler.graph import DOUBLE, SECOND_AXIS, Graph

Array = NDArray[np.float64]

# The runtime computes exponentials eight at a time and the remaining ones singly, with a difference in the last bit: a
# row alone would get another probability than in a batch (gate speed). Each row has a multiple of eight.
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Logit:
    """probability = 1 / (1 + exp(-margin))."""

    name: str = "logit"

    def probability(self, margin: Array) -> Array:
        """Return the logistic function without overflow at either end."""
        return np.asarray(0.5 * (1.0 + np.tanh(0.5 * margin)))

    def write(self, graph: Graph, margin: str) -> None:
        """Write eight equal columns and take one, so that a row's probability does not depend on the batch."""
        eight = graph.constant("eight_times", np.zeros(AT_ONCE), np.float64)
        sigmoid = graph.node("Sigmoid", [graph.node("Add", [margin, eight], "margin_eight_times")], "probabilities")
        graph.node("Gather", [sigmoid, graph.constant("first", 0, np.int64)], "probability", axis=1)
        graph.output("probability", DOUBLE, ["N"])


@dataclass(frozen=True, slots=True)
class Identity:
    """The margin is the probability: an average of probabilities, as of a random forest."""

    name: str = "identity"

    def probability(self, margin: Array) -> Array:
        """Return the margin clipped to 0-1: rounding can put a sum of contributions just outside."""
        return np.clip(margin, 0.0, 1.0)

    def write(self, graph: Graph, margin: str) -> None:
        """One operator on the margin [N]."""
        ends = [graph.constant("none", 0.0, np.float64), graph.constant("certain", 1.0, np.float64)]
        graph.node("Clip", [graph.node("Squeeze", [margin, SECOND_AXIS], "average"), *ends], "probability")
        graph.output("probability", DOUBLE, ["N"])


Link = Logit | Identity
"""link(probability) = margin = base + sum of contributions; its name stands in manifest and metadata.

`write` writes and declares the output `probability` [N] of margins [N, 1].
"""
LOGIT = Logit()
IDENTITY = Identity()


class FittedModel(Protocol):
    """A model whose margin is base + sum of one contribution per input, and whose link gives the probability."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the inputs, in the order of the vector."""

    @property
    def base(self) -> float:
        """The margin of the reference: the prediction where every contribution is 0."""

    @property
    def link(self) -> Link:
        """The link from margin to probability."""

    @property
    def low(self) -> tuple[float, ...]:
        """Lowest value of each input in training."""

    @property
    def high(self) -> tuple[float, ...]:
        """Highest value of each input in training; infinite where higher values are scored as the highest."""

    @property
    def edges(self) -> tuple[tuple[float, ...], ...]:
        """The values of each input at which the model has a knot or a step: the verification tests them."""

    def contributions(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the contributions [N, F], computed in numpy without the graph."""

    def margin(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the margin [N], computed in numpy without the graph."""

    def recalibrated(self, intercept: float, slope: float) -> Self:
        """Return the same model with margin = intercept + slope * margin; contributions stay exact."""

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:
        """Write the terms and return their contributions, a float64 [N, F].

        `features` is float32 [N, F] with NaN where missing, `missing` bool [N, F].
        """
