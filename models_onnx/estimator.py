"""The families of models that can be declared, simplest first; `training/families.py` fits them.

AdditiveLogistic   broken lines, logistic                  logit      exact contributions
AdditiveCox        broken lines, proportional hazards      cloglog    exact contributions, several horizons
AdditiveTrees      boosted step functions, one per input   logit      exact contributions
ShallowTrees       boosted trees to depth 4                logit      exact Shapley values
"""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class AdditiveLogistic:
    """Logistic regression on piecewise-linear inputs: `knots` at quantiles of each, L2 penalty `C` of scikit-learn."""

    knots: int
    C: float

    @property
    def words(self) -> str:
        """What it is, for a reader."""
        return "additive logistic regression (piecewise-linear in every input)"


@dataclass(frozen=True, slots=True)
class AdditiveCox:
    """Cox regression on the same basis, Breslow's ties, followed to the horizon; L2 penalty on scaled coefficients."""

    knots: int
    penalty: float
    horizons_years: tuple[float, ...]

    @property
    def words(self) -> str:
        """What it is, for a reader."""
        return "Cox regression (piecewise-linear in every input)"


@dataclass(frozen=True, slots=True)
class AdditiveTrees:
    """Boosted step functions of one input each (scikit-learn's HistGradientBoosting without interactions)."""

    rounds: int
    rate: float
    leaf: int

    @property
    def words(self) -> str:
        """What it is, for a reader."""
        return "additive boosted trees (a step function of every input)"


@dataclass(frozen=True, slots=True)
class ShallowTrees:
    """Boosted trees of at most `depth` questions (scikit-learn's HistGradientBoosting); 4 is the limit of cards."""

    depth: int
    rounds: int
    rate: float
    leaf: int

    @property
    def words(self) -> str:
        """What it is, for a reader."""
        return f"boosted trees of depth {self.depth}"


Estimator: TypeAlias = AdditiveLogistic | AdditiveCox | AdditiveTrees | ShallowTrees
