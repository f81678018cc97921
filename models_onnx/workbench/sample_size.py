"""Says how many people a model of a yes-or-no outcome needs before it is trained.

Source: Riley RD, Ensor J, Snell KIE, et al. Calculating the sample size required for developing a clinical prediction
model. BMJ 2020;368:m441, criteria for binary outcomes (figures 2 and 3 of the paper): a shrinkage of 0.9 or more, an
optimism in the explained share (Nagelkerke's R2) of 0.05 or less, and the overall risk within 0.05.
"""

from dataclasses import dataclass
from math import ceil, exp, log, sqrt
from typing import Final

import numpy as np

from models_onnx.errors import TrainingRefused

SHRINKAGE: Final = 0.9
OPTIMISM: Final = 0.05
MARGIN: Final = 0.05
HIGHEST_AUROC: Final = 0.995
_Z: Final = 1.96
_NODES: Final = 4001
_WIDEST: Final = 12.0


@dataclass(frozen=True, slots=True)
class SampleSize:
    """The people that each criterion asks for; `r2` is the Cox-Snell R2 that was assumed."""

    r2: float
    shrinkage: int
    optimism: int
    overall_risk: int
    prevalence: float
    parameters: int

    @property
    def people(self) -> int:
        """The most that a criterion asks for."""
        return max(self.shrinkage, self.optimism, self.overall_risk)

    @property
    def events(self) -> int:
        """The events among so many people."""
        return ceil(self.people * self.prevalence)


def sample_size(prevalence: float, parameters: int, auroc: float | None = None, r2: float | None = None) -> SampleSize:
    """Returns how many people are needed to fit so many parameters (a spline or a code counts each of its terms).

    Either the AUROC that is expected of the model or its Cox-Snell R2 is given.

    Raises:
        TrainingRefused: A share is not between 0 and 1, or the R2 cannot be reached with this prevalence.
    """
    if not 0 < prevalence < 1:
        raise TrainingRefused(f"the share of people with the outcome is {prevalence:g}; it must be between 0 and 1")
    if parameters < 1:
        raise TrainingRefused(f"{parameters} parameters: a model has one at least")
    if (auroc is None) == (r2 is None):
        raise TrainingRefused("give either the AUROC that is expected, or the Cox-Snell R2")
    if auroc is not None and not 0.5 < auroc < HIGHEST_AUROC:
        raise TrainingRefused(f"an AUROC of {auroc:g} is expected; it must be above 0.5 and below {HIGHEST_AUROC}")
    r2 = r2_of(auroc, prevalence) if auroc is not None else r2
    highest = 1 - exp(2 * (prevalence * log(prevalence) + (1 - prevalence) * log(1 - prevalence)))
    if r2 is None or not 0 < r2 < highest:
        raise TrainingRefused(f"a Cox-Snell R2 of {r2} cannot be: with this outcome it is between 0 and {highest:.3f}")
    with_optimism = r2 / (r2 + OPTIMISM * highest)
    return SampleSize(
        r2,
        _for_shrinkage(SHRINKAGE, r2, parameters),
        _for_shrinkage(with_optimism, r2, parameters),
        ceil((_Z / MARGIN) ** 2 * prevalence * (1 - prevalence)),
        prevalence,
        parameters,
    )


def r2_of(auroc: float, prevalence: float) -> float:
    """The Cox-Snell R2 of a calibrated model with this AUROC whose log odds are normal in those with and without it.

    Source: Riley RD, Van Calster B, Collins GS. A note on estimating the Cox-Snell R2 from a reported C statistic.
    Stat Med 2021;40:859. There it is simulated; here the same distributions are integrated.
    """
    apart = sqrt(2) * _normal_quantile(auroc)
    grid = np.linspace(-_WIDEST, _WIDEST + apart, _NODES)
    with_event = np.exp(-((grid - apart) ** 2) / 2) * prevalence
    without = np.exp(-(grid**2) / 2) * (1 - prevalence)
    risk = np.clip(with_event / (with_event + without), 1e-300, 1 - 1e-16)
    density = (with_event + without) / (with_event + without).sum()
    likelihood = float((density * (risk * np.log(risk) + (1 - risk) * np.log1p(-risk))).sum())
    nothing = prevalence * log(prevalence) + (1 - prevalence) * log(1 - prevalence)
    return 1 - exp(2 * (nothing - likelihood))


def _for_shrinkage(shrinkage: float, r2: float, parameters: int) -> int:
    return ceil(parameters / ((shrinkage - 1) * log(1 - r2 / shrinkage)))


def _normal_quantile(share: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(share)
