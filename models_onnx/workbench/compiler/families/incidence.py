"""The risk of an event beside a competing one: hazards of both causes, and the cumulative incidence that follows.

Within interval k the hazards of a person are h_k exp(m) for the event and c_k exp(n) for the competing event; m and n
are sums of broken lines. The risk is the sum over intervals of S_k h/(h + c) (1 - exp(-h - c)), where S_k is the chance
of having had neither before (Prentice 1978; Benichou and Gail, Biometrics 1990;46:813).

An input acts through both hazards. The margin log(-log(1 - risk)) at (m, n), less that of the reference (0, 0), is
divided between the two hazards by their Shapley values; within a hazard, whose predictor is a sum, each input has its
part in proportion. The shares add up to the margin, and an input that is in neither hazard has none.
"""

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.workbench.compiler.families.additive_curves import AdditiveCurves
from models_onnx.workbench.compiler.graph import Graph
from models_onnx.workbench.compiler.link import AT_ONCE, Survival

Array = NDArray[np.float64]

AT_HORIZONS = "terms/at_horizons"
"""The tensor [N, H] of a file: log(-log(1 - risk)) at each horizon, padded to a multiple of eight."""
# Nearer to the reference than this a hazard's share is taken at this distance instead of as a quotient of nothings.
_NEAR = 1e-6
_NOBODY = 1e-300


@dataclass(frozen=True, slots=True)
class Incidence(Survival):
    """The link of such a model; the risk at other horizons follows from both hazards and not from the margin."""

    def risk(self, margin: Array) -> Array:
        raise NotImplementedError("the risk at each horizon follows from both hazards: CauseHazards.margins")

    def write(self, graph: Graph, margin: str) -> None:
        """Write `risk` and `survival` at every horizon from the tensor of the model, `probability` at the main one."""
        del margin  # the same number, from which the contributions were made
        self.write_from(graph, AT_HORIZONS)

    def metadata(self) -> dict[str, str]:
        """Add that the risk is a cumulative incidence."""
        return {**Survival.metadata(self), "incidence": "true"}


@dataclass(frozen=True, slots=True)
class CauseHazards:
    """Cumulative hazards within each interval where both predictors are 0; `reach` intervals end at each horizon."""

    event: tuple[float, ...]
    competing: tuple[float, ...]
    reach: tuple[int, ...]

    def margins(self, m: Array, n: Array) -> Array:
        h, c = np.exp(m)[:, None] * self.event, np.exp(n)[:, None] * self.competing
        both = h + c
        before = np.exp(both - np.cumsum(both, axis=1))
        gained = before * h / np.maximum(both, _NOBODY) * -np.expm1(-both)
        incidence = np.cumsum(gained, axis=1)[:, np.array(self.reach) - 1]
        return np.asarray(np.log(-np.log1p(-incidence)))

    def link(self, horizons: list[float]) -> Incidence:
        """Return the link to the risk at the last of these horizons."""
        reference = np.exp(self.margins(np.zeros(1), np.zeros(1))[0])
        return Incidence.at(dict(zip(horizons, reference.tolist(), strict=True)), horizons[-1])

    def write(self, graph: Graph, m: str, n: str) -> str:
        """Return the same of predictors [N, 1] in a graph, padded to a multiple of eight columns."""
        count, horizons = len(self.event), len(self.reach)
        pad, wide = -count % AT_ONCE, -horizons % AT_ONCE
        hazards = []
        for name, predictor, baseline in (("event", m, self.event), ("competing", n, self.competing)):
            logs = np.pad(np.log(np.maximum(baseline, _NOBODY)), (0, pad), constant_values=np.log(_NOBODY))
            shifted = graph.node("Add", [predictor, graph.constant(f"log_{name}", logs, np.float64)], f"{name}_logs")
            hazards.append(graph.node("Exp", [shifted], f"{name}_hazard"))
        both = graph.node("Add", hazards, "both")
        earlier = graph.constant("earlier", np.triu(np.ones((count + pad, count + pad)), 1), np.float64)
        before = graph.node("Exp", [graph.node("Neg", [graph.node("MatMul", [both, earlier], "so_far")], "left")], "s")
        end = graph.node("Exp", [graph.node("Neg", [both], "minus_both")], "stays")
        whole = graph.constant("one", 1.0, np.float64)
        share = graph.node("Div", [hazards[0], both], "share")
        gained = graph.node("Mul", [share, graph.node("Sub", [whole, end], "leaves")], "gained_of_those_left")
        gained = graph.node("Mul", [gained, before], "gained")
        until = np.zeros((count + pad, horizons + wide))
        for column, intervals in enumerate((*self.reach, *self.reach[-1:] * wide)):
            until[:intervals, column] = 1.0
        incidence = graph.node("MatMul", [gained, graph.constant("until", until, np.float64)], "incidence")
        none = graph.node("Log", [graph.node("Sub", [whole, incidence], "free")], "log_free")
        return graph.node("Log", [graph.node("Neg", [none], "minus_log_free")], "margins")


@dataclass(frozen=True, slots=True)
class IncidenceModel:
    """Broken lines for both hazards, each 0 at the reference; `slope` and `intercept` recalibrate the margin."""

    event: AdditiveCurves
    competing: AdditiveCurves
    hazards: CauseHazards
    link: Incidence
    intercept: float = 0.0
    slope: float = 1.0
    features: tuple[str, ...] = field(init=False)
    low: tuple[float, ...] = field(init=False)
    high: tuple[float, ...] = field(init=False)
    edges: tuple[tuple[float, ...], ...] = field(init=False)

    def __post_init__(self) -> None:
        for name in ("features", "low", "high", "edges"):  # both hazards have the knots of the same people
            object.__setattr__(self, name, getattr(self.event, name))

    @property
    def base(self) -> float:
        return float(self.margins(np.full((1, len(self.features)), np.nan))[0, -1])

    def recalibrated(self, intercept: float, slope: float) -> Self:
        return replace(self, intercept=intercept + slope * self.intercept, slope=slope * self.slope)

    def margins(self, X: Array) -> Array:
        m, n = (lines.contributions(X).sum(axis=1) for lines in (self.event, self.competing))
        return np.asarray(self.intercept + self.slope * self.hazards.margins(m, n))

    def margin(self, X: Array) -> Array:
        return np.asarray(self.margins(X)[:, -1])

    def contributions(self, X: Array) -> Array:
        parts = [lines.contributions(X) for lines in (self.event, self.competing)]
        m, n = (_away(part.sum(axis=1)) for part in parts)
        zero = np.zeros(len(X))
        whole, event, other, none = (
            self.hazards.margins(*at)[:, -1] for at in ((m, n), (m, zero), (zero, n), (zero, zero))
        )
        by_event, by_other = ((whole - other) + (event - none)) / 2, ((whole - event) + (other - none)) / 2
        return np.asarray(self.slope * (parts[0] * (by_event / m)[:, None] + parts[1] * (by_other / n)[:, None]))

    def write_contributions(self, graph: Graph, features: str, missing: str) -> str:
        """Write both sums of broken lines, the margins of four mixtures of them, and the shares."""
        parts, away, sums = [], [], []
        for name, lines in (("event/", self.event), ("competing/", self.competing)):
            with graph.under(name):
                parts.append(lines.write_contributions(graph, features, missing))
                sums.append(graph.row_sums(parts[-1], len(self.features), "sum"))
                away.append(_write_away(graph, sums[-1]))
        zero = graph.constant("at_reference", np.zeros((1, 1)), np.float64)
        wide = len(self.hazards.reach) + -len(self.hazards.reach) % AT_ONCE
        main = graph.constant("main", [len(self.hazards.reach) - 1], np.int64)

        def margin(name: str, at: list[str]) -> str:
            with graph.under(name):
                return graph.node("Gather", [self.hazards.write(graph, *at), main], "margin", axis=1)

        none = graph.constant("none", self.hazards.margins(np.zeros(1), np.zeros(1))[0, -1], np.float64)
        whole, event, other = margin("whole/", away), margin("m/", [away[0], zero]), margin("n/", [zero, away[1]])
        scaled = graph.constant("slope", np.full(wide, self.slope), np.float64)
        with graph.under("exact/"):
            exact = self.hazards.write(graph, *sums)
        shifted = graph.node("Mul", [exact, scaled], "scaled")
        graph.node("Add", [shifted, graph.constant("intercept", self.intercept, np.float64)], "at_horizons")
        half = graph.constant("half", self.slope / 2, np.float64)
        shares = []
        for name, part, distance, with_it, without in (
            ("event_share/", parts[0], away[0], event, other),
            ("competing_share/", parts[1], away[1], other, event),
        ):
            with graph.under(name):
                gained = graph.node("Sub", [whole, without], "last")
                gained = graph.node("Add", [gained, graph.node("Sub", [with_it, none], "first")], "twice")
                mean = graph.node("Div", [graph.node("Mul", [gained, half], "share"), distance], "mean_slope")
                shares.append(graph.node("Mul", [part, mean], "of_inputs"))
        return graph.node("Add", shares, "of_inputs")


def _away(predictor: Array) -> Array:
    return np.where(np.abs(predictor) < _NEAR, _NEAR, predictor)


def _write_away(graph: Graph, predictor: str) -> str:
    near = graph.constant("near", _NEAR, np.float64)
    is_near = graph.node("Less", [graph.node("Abs", [predictor], "size"), near], "is_near")
    return graph.node("Where", [is_near, near, predictor], "away")
