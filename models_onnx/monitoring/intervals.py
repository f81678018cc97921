"""A value with its interval, as figures and pages tell it."""

from math import sqrt
from statistics import NormalDist

from msgspec import Struct


class Interval(Struct, frozen=True):
    """A value with both ends of its interval."""

    value: float
    low: float
    high: float

    def lies_outside(self, low: float, high: float) -> bool:
        """Return whether the whole interval is below `low` or above `high`."""
        return self.high < low or self.low > high

    @property
    def words(self) -> str:
        """The value and both ends, for a sentence."""
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def wilson(count: float, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, `count` of `total` (over 0), for pages: the server loads no scipy.

    Source: Wilson 1927. The tests compare it with statsmodels.
    """
    z = NormalDist().inv_cdf(0.975)
    share = count / total
    middle = share + z * z / (2 * total)
    half = z * sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    # rounding must not leave the share itself outside where it is 0 or 1
    return max(0.0, min(share, (middle - half) / scale)), min(1.0, max(share, (middle + half) / scale))
