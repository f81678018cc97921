"""Is this a combination of values that the reference cohort knows? A distance, with the cohort's own limit.

Each input is standardised on the cohort (median, standard deviation of the values within five of them; an input of two
values in steps of one), a missing one is put at the median, one that is farther than six is put at six, and the length
of the vector is taken in the metric of the cohort's correlations, shrunk by a tenth towards none so that inputs which
nearly repeat each other stay finite, with variances of a quarter at least, so that a rare yes is not strange by itself.
It is the Mahalanobis distance, robust against wild values, and says nothing about why: the range check names single
inputs, this one looks at how they go together.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from models_onnx.compiler.graph import BOOL, DOUBLE, FLOAT, SECOND_AXIS, Graph

LEVEL = 0.999
SHRINK = 0.1
# In standard deviations: beyond it a single value says no more than that it is wild; also keeps infinity out of sums.
FARTHEST = 6.0
_NEAR = 5.0
_LEAST_VARIANCE = 0.25


@dataclass(frozen=True, slots=True)
class Familiarity:
    """Centre and metric [F, F] of the standardised cohort; a squared distance above `limit` is unfamiliar."""

    centre: tuple[float, ...]
    scale: tuple[float, ...]
    metric: tuple[tuple[float, ...], ...]
    limit: float

    @classmethod
    def of(cls, cohort: NDArray[np.float64], level: float = LEVEL) -> Self:
        """From the cohort's inputs [n, F], NaN where missing; `level` of its people are familiar."""
        centre = np.array([np.nanmedian(x) if not np.isnan(x).all() else 0.0 for x in cohort.T])
        scale = np.array([_spread(x, middle) for x, middle in zip(cohort.T, centre, strict=True)])
        z = _standardised(cohort, centre, scale)
        covariance = np.cov(np.clip(z, -_NEAR, _NEAR), rowvar=False).reshape(len(scale), len(scale))
        variance = np.diag(covariance)
        lifted = covariance + np.diag(np.maximum(0.0, _LEAST_VARIANCE - variance))
        shrunk = (1.0 - SHRINK) * lifted + SHRINK * np.diag(np.diag(lifted))
        metric = np.linalg.cholesky(np.linalg.inv(shrunk))
        limit = float(np.quantile(((z @ metric) ** 2).sum(axis=1), level))
        rows = tuple(tuple(float(f"{x:.6e}") for x in row) for row in metric.tolist())
        return cls(tuple(centre.tolist()), tuple(scale.tolist()), rows, float(f"{limit:.6e}"))

    def distance(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distance of each row as a multiple of the limit: above 1 is unfamiliar."""
        z = _standardised(X, np.array(self.centre), np.array(self.scale))
        return np.asarray(np.sqrt(((z @ np.array(self.metric)) ** 2).sum(axis=1) / self.limit))

    def write(self, graph: Graph, features: str, missing: str) -> None:
        """Outputs `distance` [N], a multiple of the limit, and `out_of_distribution` [N]."""
        low = graph.constant("farthest_low", -FARTHEST, np.float64)
        high = graph.constant("farthest_high", FARTHEST, np.float64)
        centre = graph.constant("centre", self.centre, np.float32)
        there = graph.node("Where", [missing, centre, features], "placed")
        away = graph.node("Sub", [graph.node("Cast", [there], "placed_wide", to=DOUBLE), self._centre(graph)], "away")
        scaled = graph.node("Div", [away, graph.constant("spread_scale", self.scale, np.float64)], "scaled")
        z = graph.node("Clip", [scaled, low, high], "standardised")
        metric = graph.constant("metric", np.array(self.metric) / np.sqrt(self.limit), np.float64)
        turned = graph.node("MatMul", [z, metric], "turned")
        squares = graph.row_sums(graph.node("Mul", [turned, turned], "squares"), len(self.centre), "sum_of_squares")
        length = graph.node("Sqrt", [graph.node("Squeeze", [squares, SECOND_AXIS], "squared")], "length")
        graph.node("Cast", [length], "distance", to=FLOAT)
        graph.node("Greater", [length, graph.constant("one", 1.0, np.float64)], "out_of_distribution")
        graph.output("distance", FLOAT, ["N"])
        graph.output("out_of_distribution", BOOL, ["N"])

    def _centre(self, graph: Graph) -> str:
        # As float32, like the value it replaces: a missing input is then exactly at the centre.
        return graph.constant("centre_wide", np.array(self.centre, dtype=np.float32), np.float64)


def _spread(x: NDArray[np.float64], middle: float) -> float:
    known = x[np.isfinite(x)]
    if len(known) < 2 or known.std() == 0.0:
        return 1.0
    if len(np.unique(known)) == 2:
        return float(known.max() - known.min())
    near = known[np.abs(known - middle) <= _NEAR * known.std()]
    return float(near.std()) or float(known.std())


def _standardised(
    X: NDArray[np.float64], centre: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    # float32 first, as the file is given it
    values = np.asarray(X, dtype=np.float32).astype(np.float64)
    middle = centre.astype(np.float32).astype(np.float64)
    placed = np.where(np.isnan(values), middle, values)
    return np.clip((placed - middle) / scale, -FARTHEST, FARTHEST)
