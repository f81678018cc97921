"""Cox regression by Newton's method: Breslow's ties, an L2 penalty, the cumulative baseline hazard at any time.

Written here because what it must be is deterministic to the last step and quick on tens of thousands of rows and few
distinct times; statsmodels' PHReg is the oracle of the tests.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models_onnx.errors import TrainingRefused

Array = NDArray[np.float64]
_STEPS = 50
_SMALL = 1e-10


@dataclass(frozen=True, slots=True)
class Hazards:
    """Coefficients, and the cumulative baseline hazard: `cumulative[k]` from `times[k]` on."""

    coefficients: Array
    times: Array
    cumulative: Array

    def until(self, time: float) -> float:
        """The cumulative baseline hazard of a linear predictor of 0 at this time."""
        place = int(np.searchsorted(self.times, time + 1e-9, side="right"))
        return float(self.cumulative[place - 1]) if place else 0.0


def fit_cox(Z: Array, time: Array, event: NDArray[np.bool_], penalty: float) -> Hazards:
    """Maximises the penalised partial likelihood; TrainingRefused where nothing happened or it does not settle."""
    if not event.any():
        raise TrainingRefused("nobody had the event: there is nothing to fit")
    risk = _RiskSets(Z, time, event)
    beta = np.zeros(Z.shape[1])
    value = risk.likelihood(beta) - 0.5 * penalty * beta @ beta
    for _ in range(_STEPS):
        gradient, curvature = risk.derivatives(beta)
        step = np.linalg.solve(
            curvature + penalty * np.eye(len(beta)) + 1e-9 * np.eye(len(beta)), gradient - penalty * beta
        )
        while True:
            after = beta + step
            reached = risk.likelihood(after) - 0.5 * penalty * after @ after
            if reached >= value - 1e-9 * abs(value) or np.abs(step).max() < _SMALL:
                break
            step = step / 2.0
        beta, value = after, reached
        if np.abs(step).max() < _SMALL:
            times, cumulative = risk.baseline(beta)
            return Hazards(beta, times, cumulative)
    raise TrainingRefused("the Cox regression does not settle: raise the penalty or leave out inputs that repeat")


class _RiskSets:
    """Rows by falling time, so that everybody at risk at a time stands before it."""

    def __init__(self, Z: Array, time: Array, event: NDArray[np.bool_]) -> None:
        order = np.argsort(-time, kind="stable")
        self._Z, self._event = Z[order], event[order].astype(np.float64)
        self._falling, self._first = np.unique(-time[order], return_index=True)
        self._group = np.searchsorted(self._falling, -time[order])
        self._deaths = np.bincount(self._group, weights=self._event, minlength=len(self._falling))

    def likelihood(self, beta: Array) -> float:
        eta = self._Z @ beta
        dead = self._deaths > 0
        at_risk = self._at_risk(np.exp(eta))
        return float((self._event * eta).sum() - (self._deaths[dead] * np.log(at_risk[dead])).sum())

    def derivatives(self, beta: Array) -> tuple[Array, Array]:
        """Gradient and minus the second derivative."""
        weight = np.exp(self._Z @ beta)
        at_risk = self._at_risk(weight)
        first = np.cumsum(np.add.reduceat(self._Z * weight[:, None], self._first, axis=0), axis=0)
        hazard = self._deaths / at_risk
        exposed = np.cumsum(hazard[::-1])[::-1]
        expected = weight * exposed[self._group]
        mean = first / at_risk[:, None]
        gradient = self._Z.T @ (self._event - expected)
        curvature = (self._Z * expected[:, None]).T @ self._Z - (mean * self._deaths[:, None]).T @ mean
        return gradient, curvature

    def baseline(self, beta: Array) -> tuple[Array, Array]:
        """Rising times of events and the cumulative hazard from each on (Breslow)."""
        hazard = (self._deaths / self._at_risk(np.exp(self._Z @ beta)))[::-1]
        times, dead = -self._falling[::-1], self._deaths[::-1] > 0
        return times[dead], np.cumsum(hazard)[dead]

    def _at_risk(self, weight: Array) -> Array:
        return np.asarray(np.cumsum(np.bincount(self._group, weights=weight, minlength=len(self._falling))))
