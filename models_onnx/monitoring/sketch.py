"""Counts of values in buckets of equal relative width, which can be added up over days, clients and processes.

The buckets are those of DDSketch (Masson, Rim, Lee: DDSketch, a fast and fully-mergeable quantile sketch with
relative-error guarantees, VLDB 2019): a quantile is off by at most 1 % of itself, whatever the distribution. A bucket
says how many values fell into it, not whose they were.
"""

from collections import Counter
from math import ceil, log

RELATIVE_ERROR = 0.01
"""By how much a value that is read from a sketch may differ from the value that was counted, as a share of it."""

_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA = log(_GAMMA)
_SMALLEST = 1e-9
_SPAN = 1 << 20

Sketch = Counter[int]
"""How many values each bucket has. The order of the buckets is that of their values; bucket 0 holds zero."""


def bucket_of(value: float) -> int:
    """Return the bucket of a finite value; values nearer to 0 than 1e-9 are counted as 0."""
    if -_SMALLEST < value < _SMALLEST:
        return 0
    bucket = ceil(log(abs(value)) / _LOG_GAMMA) + _SPAN
    return bucket if value > 0 else -bucket


def bucket_at(sketch: Sketch, share: float) -> int:
    """Return the bucket below which this share (0 to 1) of what was counted lies; of a sketch that is not empty."""
    rank, below = share * (sketch.total() - 1), 0
    for bucket in sorted(sketch):
        below += sketch[bucket]
        if below > rank:
            return bucket
    return max(sketch)
