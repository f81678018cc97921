"""A simulated cohort with the structure that Obermeyer et al. published: what a cost label does to invented people.

Source of every figure: Obermeyer Z, Powers B, Vogeli C, Mullainathan S. Science 2019;366:447-453, tables 1 and 2:
88,080 patient-years of White and 11,929 of Black patients; active chronic conditions 1.20 and 1.90 on average; cost
7,540 and 8,442 dollars. So a Black patient costs less for each condition. Of those above the 97th percentile of a model
that predicts cost 14.1 % are Black; the score in use enrolled 17.7 % Black patients, and need would have made it 46.5 %
(text). Nobody in the simulation is a person, and it holds no more than these averages.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SHARE_BLACK = 11_929 / (88_080 + 11_929)
CONDITIONS = {"White": 1.20, "Black": 1.90}
COST = {"White": 7_540.0, "Black": 8_442.0}
# What the tables do not give: how unlike people are (counts, spending habits that last, chance), how many conditions
# are new within a year, and what a year costs without any. They make ranking hard; they are the same in both groups.
_DISPERSION = 1.2
_HABIT, _CHANCE = 0.5, 0.5
_NEW_PER_YEAR = 0.1
_PLAIN_COST = 1_500.0


@dataclass(frozen=True, slots=True)
class Panel:
    """Invented people: group, inputs of the year before, and in the year after their conditions and their cost."""

    group: NDArray[np.str_]
    inputs: Array
    conditions: Array
    cost: Array


def simulate(people: int, seed: int = 2019) -> Panel:
    """Invented people. Inputs: conditions and log cost of the year before; the group is not among them."""
    draw = np.random.default_rng(seed)
    group = np.where(draw.random(people) < SHARE_BLACK, "Black", "White")
    mean = np.where(group == "Black", CONDITIONS["Black"], CONDITIONS["White"])
    illness = mean * draw.gamma(_DISPERSION, 1.0 / _DISPERSION, people)
    # Chronic conditions persist: most conditions of a year existed in the year before.
    before = draw.poisson(illness * (1.0 - _NEW_PER_YEAR)).astype(float)
    after = before + draw.poisson(illness * _NEW_PER_YEAR)
    per_condition = np.where(group == "Black", _per_condition("Black"), _per_condition("White"))
    habit = _around_one(draw, _HABIT, people)
    cost_before = (_PLAIN_COST + per_condition * before) * habit * _around_one(draw, _CHANCE, people)
    cost = (_PLAIN_COST + per_condition * after) * habit * _around_one(draw, _CHANCE, people)
    inputs = np.column_stack([before, np.log(cost_before)])
    return Panel(group, inputs, np.asarray(after, dtype=np.float64), cost)


def score_trained_on(panel: Panel, label: Array) -> Array:
    """A simple model (least squares on the inputs, their squares and product) of that label, without the group."""
    conditions, cost = panel.inputs.T
    design = np.column_stack([np.ones(len(label)), conditions, cost, conditions**2, cost**2, conditions * cost])
    weights, *_ = np.linalg.lstsq(design, label, rcond=None)
    return np.asarray(design @ weights)


def _per_condition(group: str) -> float:
    return (COST[group] - _PLAIN_COST) / CONDITIONS[group]


def _around_one(draw: np.random.Generator, scatter: float, people: int) -> Array:
    return np.asarray(draw.lognormal(-(scatter**2) / 2, scatter, people))
