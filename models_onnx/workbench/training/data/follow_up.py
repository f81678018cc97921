"""Outcomes of people followed for less than the horizon, and the rows that one fit sees.

Labels come with weights, by which those who were followed stand for those like them who were not (IPCW).

The chance of still being followed, G(t), is the Kaplan-Meier curve of leaving the study, by stratum. A person who died
at t counts 1/G(t-) times, one who was followed through the horizon 1/G(horizon-) times, and one who left before it not
at all: those who stayed stand for them (Robins and Rotnitzky 1992; Graf 1999 for the scores).

A stratum of whom fewer than a tenth were followed through the horizon counts nowhere: nobody in it could stand for
those who left, and the censoring of other strata says nothing about it. It is reported as insufficient.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models_onnx.errors import TrainingRefused
from models_onnx.spec import InputSpec, OutcomeSpec

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Observed:
    """What happened to each row: the outcome within the horizon, its weight, time in years and whether it ended so.

    Without follow-up every weight is 1 and every time the horizon. `unfollowed` marks the rows of strata that count
    nowhere because too few of them were followed through the horizon.
    """

    y: NDArray[np.int64]
    weight: Array
    years: Array
    event: NDArray[np.bool_]
    unfollowed: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))

    def part(self, rows: NDArray[Any]) -> "Observed":
        """Return the same of some of the rows: a mask, or places that may repeat."""
        unfollowed = self.unfollowed[rows] if len(self.unfollowed) else self.unfollowed
        return Observed(self.y[rows], self.weight[rows], self.years[rows], self.event[rows], unfollowed)


def observe(outcome: OutcomeSpec, rows: pd.DataFrame, period: NDArray[np.bool_]) -> Observed:
    """From the outcome's column or follow-up; censoring is estimated apart in each stratum, else in each `period`.

    TrainingRefused where a value is neither 0 nor 1, a time is missing or below zero, or no stratum was followed.
    """
    horizon = outcome.horizon_years
    if outcome.follow_up is None:
        y = _zero_one(outcome, rows)
        return Observed(y, np.ones(len(y)), np.full(len(y), horizon), y == 1, np.zeros(len(y), dtype=np.bool_))
    time = np.asarray(outcome.follow_up.time(rows), dtype=np.float64) / outcome.follow_up.per_year
    event = np.asarray(outcome.follow_up.event(rows), dtype=np.float64)
    if not (time >= 0).all() or not np.isin(event, (0.0, 1.0)).all():
        raise TrainingRefused(f"{outcome.column}: each row needs a follow-up time from 0 on and an event of 0 or 1")
    happened = event == 1.0
    y = (happened & (time <= horizon + 1e-9)).astype(np.int64)
    weight, unfollowed = np.zeros(len(y)), np.zeros(len(y), dtype=np.bool_)
    strata = period if outcome.follow_up.strata is None else np.asarray(outcome.follow_up.strata(rows))
    for stratum in np.unique(strata):
        part = strata == stratum
        weights = _weights(time[part], happened[part], horizon)
        unfollowed[part] = weights is None
        weight[part] = 0.0 if weights is None else weights
    if unfollowed.all():
        raise TrainingRefused("fewer than a tenth were followed through the horizon: its risk cannot be estimated")
    return Observed(y, weight, np.minimum(time, horizon), y == 1, unfollowed)


def _zero_one(outcome: OutcomeSpec, rows: pd.DataFrame) -> NDArray[np.int64]:
    column = outcome.of(rows) if outcome.of is not None else rows[outcome.column]
    try:
        values = np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError) as problem:
        raise TrainingRefused(
            f"the outcome {outcome.column} holds texts: it must be 0 or 1 in each row; write 1 where it happened"
        ) from problem
    if blank := int(np.isnan(values).sum()):
        raise TrainingRefused(
            f"the outcome {outcome.column} is blank in {blank:,} rows: leave out of the table who was not followed so "
            "long"
        )
    if not np.isin(values, (0.0, 1.0)).all():
        raise TrainingRefused(f"the outcome {outcome.column} must be 0 or 1 in each row that is trained on")
    return values.astype(np.int64)


# With a smaller chance of still being followed one survivor would stand for more than ten people.
LEAST_FOLLOWED = 0.1


def _weights(time: Array, happened: NDArray[np.bool_], horizon: float) -> Array | None:
    """1 / G just before the event or the horizon; 0 for who left before either; None where G(horizon-) is below 0.1."""
    times, position = np.unique(time, return_inverse=True)
    at_risk = len(time) - np.concatenate([[0], np.cumsum(np.bincount(position))])[:-1]
    departed = np.bincount(position, weights=~happened, minlength=len(times))
    died = np.bincount(position, weights=happened, minlength=len(times))
    # Deaths come before departures at the same time, as in the Kaplan-Meier curve of survival.
    staying = 1.0 - departed / np.maximum(at_risk - died, 1.0)
    before = np.concatenate([[1.0], np.cumprod(staying)])
    end = np.searchsorted(times, horizon - 1e-9)
    at_event, at_horizon = before[position], before[end] if end < len(before) else before[-1]
    is_whole = time >= horizon - 1e-9
    died_within = happened & (time <= horizon + 1e-9)
    if at_horizon < LEAST_FOLLOWED:
        return None
    return np.where(died_within, 1.0 / np.maximum(at_event, 1e-12), np.where(is_whole, 1.0 / at_horizon, 0.0))


@dataclass(frozen=True, slots=True)
class FittingRows:
    """Inputs X [n, F] of `inputs`, what was observed, and the `reference` rows with whom contributions compare."""

    inputs: tuple[InputSpec, ...]
    X: Array
    observed: Observed
    reference: NDArray[np.bool_]

    @property
    def weight(self) -> Array:
        return self.observed.weight

    @property
    def knots(self) -> list[tuple[float, ...] | None]:
        return [item.knots for item in self.inputs]
