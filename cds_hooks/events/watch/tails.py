"""Tails of counts: how unlikely so few or so many are, where counts vary more than by chance alone."""

from math import erfc, exp, lgamma, log, sqrt


def few(count: float, mean: float, spread: float) -> float:
    """Return the probability of at most `count` where `mean` is expected, with a variance of `spread` times the mean.

    >>> round(few(0, 9.0, 1.0), 6), few(40, 60.0, 1.5) > few(40, 60.0, 1.2)
    (0.000123, True)
    """
    if mean > 400:
        return 0.5 * erfc((mean - count) / sqrt(2 * mean * spread))
    if mean <= 0:
        return 1.0
    if spread <= 1.0001:
        return min(1.0, sum(exp(number * log(mean) - mean - lgamma(number + 1)) for number in range(int(count) + 1)))
    size = mean / (spread - 1)
    term = -size * log(spread)
    total, ratio = exp(term), log(1 - 1 / spread)
    for number in range(1, int(count) + 1):
        term += ratio + log((size + number - 1) / number)
        total += exp(term)
    return min(total, 1.0)


def many(count: float, mean: float, spread: float = 1.0) -> float:
    """Return the probability of at least `count` where `mean` is expected; of large counts a bound (Chernoff).

    >>> round(many(2, 1.0), 4), many(1, 2.0)
    (0.2642, 1.0)
    """
    if count <= mean:
        return 1.0
    if mean <= 0:
        return 0.0
    if count <= 100 and spread == 1.0:
        term = exp(count * log(mean) - mean - lgamma(count + 1))
        total = term
        for number in range(int(count) + 1, int(count) + 60):
            term *= mean / number
            total += term
        return total
    return exp(-(mean - count + count * log(count / mean)) / spread)
