"""Whether shares of calls, values or cards are other than before: in all days of a window together, and on each day.

Every figure is a table of days by categories: failed and answered calls, missing and present values, deciles of an
input. The size of a change is the share of calls that would have to change category (the total variation distance) less
what chance makes of it; its certainty is that of chi-square, or of Fisher's exact test where two categories are rare.
Where the days before differ among themselves by more than chance, chi-square is divided by their dispersion.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from math import sqrt
from typing import Any, Final

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray
from scipy import stats

from models_onnx.monitoring.figure import State

Table = NDArray[np.int64]
"""Shape (days, categories)."""
_EXPECTED: Final = 5
"""Categories with fewer expected values are put together: below, chi-square promises more than it holds."""
_WATCH_DOUBT, _ACT_DOUBT = 1e-3, 1e-5


class Limits(Struct, frozen=True):
    """From which change on there is something to watch and to act on, alone on one day, and of how many at least."""

    watch: float
    act: float
    of_day: float
    fewest: int
    of_day_fewest: int
    watched: str = ""
    """The one category whose share is watched; "" where there are many."""
    both_ways: bool = True
    """Whether a fall counts as a rise of that share does."""


class Change(Struct, frozen=True):
    """The change of shares: `size` is what changed of 1, `now` and `before` are the share of the watched category."""

    state: State
    n: int
    size: float = 0.0
    now: float = 0.0
    before: float = 0.0
    day: date | None = None


def compare(
    window: Mapping[date, Sequence[int]], reference: Mapping[date, Sequence[int]], categories: Sequence[str],
    limits: Limits, comparisons: int,
) -> Change:  # fmt: skip
    """Return how a window differs from the days before it, in all, else on its worst day."""
    now, then = _table(window, len(categories)), _table(reference, len(categories))
    position = categories.index(limits.watched) if limits.watched in categories else None
    n, m = int(now.sum()), int(then.sum())
    if min(n, m) < limits.fewest:
        return Change("insufficient", min(n, m))
    dispersion = dispersion_of(then)
    if position is None and limits.watched:  # nobody has it, now or before
        return Change("good", n)

    def judge(one: Table, before: Table, watch: float, act: float, several: int) -> Change:
        size = distance(one, before)
        share, then_share = (
            (float(one[position] / one.sum()), float(before[position] / before.sum())) if limits.watched else (0.0, 0.0)
        )
        if limits.watched:
            gap = share - then_share if not limits.both_ways else abs(share - then_share)
            size = round(gap, 9)  # three points are three points, whatever floats make of 0.05 - 0.02
        doubt = chance(one, before, dispersion) * several if size >= min(watch, act) else 1.0
        state: State = "act" if size >= act and doubt < _ACT_DOUBT else "good"
        if state == "good" and size >= watch and doubt < _WATCH_DOUBT:
            state = "watch"
        return Change(state, int(one.sum()), size, share, then_share)

    whole = judge(now.sum(axis=0), then.sum(axis=0), limits.watch, limits.act, comparisons)
    if whole.state == "act":
        return whole
    for day, counts in window.items():
        alike = [row for other, row in reference.items() if other.weekday() == day.weekday()]
        before = _table(dict(enumerate(alike if len(alike) > 1 else reference.values())), len(categories)).sum(axis=0)
        if min(sum(counts), int(before.sum())) < limits.of_day_fewest:
            continue
        change = judge(np.array(counts, dtype=np.int64), before, 1.1, limits.of_day, comparisons * len(window))
        if change.state == "act":
            return replace(change, day=day)
    return whole


def _table(days: Mapping[Any, Sequence[int]], categories: int) -> Table:
    return np.array(list(days.values()), dtype=np.int64).reshape(len(days), categories)


def dispersion_of(days: Table) -> float:
    """Return how much more the days differ than chance has them: Pearson's chi-square by its degrees, at least 1."""
    days = days[days.sum(axis=1) > 0]
    days = days[:, days.sum(axis=0) > 0]
    if min(days.shape) < 2:
        return 1.0
    test = stats.chi2_contingency(days, correction=False)
    return max(1.0, float(test.statistic / test.dof))


def distance(now: Table, then: Table) -> float:
    """Return the share that would have to change category, without what chance alone makes of it (in quadrature)."""
    n, m = now.sum(), then.sum()
    pooled = (now + then) / (n + m)
    noise = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m)).sum() * sqrt(2 / np.pi) / 2
    moved = np.abs(now / n - then / m).sum() / 2
    return float(round(sqrt(max(0.0, float(moved**2 - noise**2))), 9))


def chance(now: Table, then: Table, dispersion: float = 1.0) -> float:
    """Return the probability that counts of one distribution differ so much."""
    table = _put_together(np.stack([now, then]))
    if table.shape[1] < 2:
        return 1.0
    if table.shape[1] == 2 and dispersion < 1.5 and stats.contingency.expected_freq(table).min() < _EXPECTED:
        return float(stats.fisher_exact(table).pvalue)
    test = stats.chi2_contingency(table, correction=False)
    return float(stats.chi2.sf(test.statistic / dispersion, test.dof))


def _put_together(table: Table) -> Table:
    """Put neighboring categories together until each row would have at least five in each of them, of two at least."""
    table = table[:, table.sum(axis=0) > 0]
    least = _EXPECTED * table.sum() / max(1, table.sum(axis=1).min())
    columns = [table[:, 0]] if table.shape[1] else []
    for column in table.T[1:]:
        if columns[-1].sum() < least and table.shape[1] > 2:
            columns[-1] = columns[-1] + column
        else:
            columns.append(column)
    if len(columns) > 2 and columns[-1].sum() < least:
        last = columns.pop()
        columns[-1] = columns[-1] + last
    return np.stack(columns, axis=1) if columns else table


def fewer_by_chance(count: int, expected: float) -> float:
    """Return the probability of `count` or fewer where `expected` come on average (Poisson)."""
    return float(stats.poisson.cdf(count, expected)) if expected > 0 else 1.0


def more_by_chance(count: int, expected: float) -> float:
    """Return the probability of `count` or more where `expected` come on average (Poisson)."""
    return float(stats.poisson.sf(count - 1, expected))
