"""The interface of a fitted model for the compiler: its link from margin to probability, and its terms.

Contributions are additive on the margin. The link is logistic, the identity, or a survival function (Cox).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import CompileRefused
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

    def metadata(self) -> dict[str, str]:
        return {}


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

    def metadata(self) -> dict[str, str]:
        return {}


@dataclass(frozen=True, slots=True)
class Survival:
    """Proportional hazards: margin = log H0(main) + linear predictor; risk(t) = 1 - exp(-H0(t)/H0(main) exp(margin)).

    H0 is the cumulative baseline hazard: that of a linear predictor of 0. `probability` is the risk at `main`, so
    log(-log(1 - probability)) = margin; `risk` and `survival` [N, H] are given at every horizon.
    """

    horizons: tuple[float, ...]
    hazards: tuple[float, ...]
    main: float
    name: str = "cloglog"

    @classmethod
    def at(cls, hazards: Mapping[float, float], main: float) -> Self:
        """Return the link for cumulative baseline hazards by horizon.

        It refuses a `main` horizon that is not among them, and hazards that decrease.
        """
        pairs = sorted((float(t), float(h)) for t, h in hazards.items())
        rising = all(h > 0.0 for _, h in pairs) and all(a[1] <= b[1] for a, b in pairwise(pairs))
        if not rising or not all(math.isfinite(number) and number > 0 for pair in pairs for number in pair):
            raise CompileRefused("cumulative baseline hazards are positive and never fall from one horizon to the next")
        if float(main) not in dict(pairs):
            raise CompileRefused(f"the main horizon {main:g} is not one of {', '.join(f'{t:g}' for t, _ in pairs)}")
        return cls(tuple(t for t, _ in pairs), tuple(h for _, h in pairs), float(main))

    @property
    def log_hazard(self) -> float:
        """log H0(main): the base of the model is this plus the mean linear predictor of the reference cohort."""
        return math.log(self.hazards[self.horizons.index(self.main)])

    @property
    def shifts(self) -> Array:
        """log H0(t) - log H0(main) for every horizon."""
        return np.asarray(np.log(np.array(self.hazards)) - self.log_hazard)

    def probability(self, margin: Array) -> Array:
        return np.asarray(-np.expm1(-np.exp(np.minimum(margin, 700.0))))

    def risk(self, margin: Array) -> Array:
        """Return the risk [N, H] at every horizon."""
        return self.probability(np.asarray(margin)[:, None] + self.shifts)

    def write(self, graph: Graph, margin: str) -> None:
        """Write survival at every horizon from one exponential; the probability is one of its columns."""
        shifts = np.pad(self.shifts, (0, -len(self.horizons) % AT_ONCE))
        shifted = graph.node("Add", [margin, graph.constant("horizon_shift", shifts, np.float64)], "log_hazards")
        self.write_from(graph, shifted)

    def write_from(self, graph: Graph, log_hazards: str) -> None:
        """Write the outputs from log cumulative hazards at every horizon, padded to a multiple of eight columns."""
        count = len(self.horizons)
        hazard = graph.node("Exp", [log_hazards], "cumulative_hazard")
        padded = graph.node("Exp", [graph.node("Neg", [hazard], "minus_hazard")], "survival_padded")
        columns = graph.constant("own_horizons", np.arange(count), np.int64)
        survival = graph.node("Gather", [padded, columns], "survival", axis=1)
        risk = graph.node("Sub", [graph.constant("certain", 1.0, np.float64), survival], "risk")
        main = graph.constant("main_horizon", self.horizons.index(self.main), np.int64)
        graph.node("Gather", [risk, main], "probability", axis=1)
        graph.output("probability", DOUBLE, ["N"])
        graph.output("survival", DOUBLE, ["N", len(self.horizons)])
        graph.output("risk", DOUBLE, ["N", len(self.horizons)])

    def metadata(self) -> dict[str, str]:
        """Return the horizons of the columns of `risk` and `survival` in years, and that of `probability`."""
        listed = ",".join(repr(t) for t in self.horizons)
        return {"horizons": f"[{listed}]", "horizon": repr(self.main), "horizon_unit": "years"}


Link = Logit | Identity | Survival
"""link(probability) = margin = base + sum of contributions; its name stands in manifest and metadata.

`write` writes and declares the outputs that follow from margins [N, 1], `probability` [N] among them; `metadata` is
what a reader of the file needs besides the name.
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
