"""Rounding of what is written into a file, so that the last bits of another processor do not change its hash."""

DIGITS = 7


def significant(value: float, digits: int = DIGITS) -> float:
    """The value to so many significant decimal digits.

    >>> significant(0.123456789), significant(123456789.0)
    (0.1234568, 123456800.0)
    """
    return float(f"{value:.{digits - 1}e}")


def at_most(value: float, digits: int = DIGITS) -> float:
    """Rounded, but never above the value: the low end of a range that must hold it.

    >>> at_most(0.19998169), at_most(0.1)
    (0.1999816, 0.1)
    """
    rounded = significant(value, digits)
    return rounded if rounded <= value else significant(rounded - 10.0 ** (_magnitude(value) - digits + 1), digits)


def at_least(value: float, digits: int = DIGITS) -> float:
    """Rounded, but never below the value: the high end."""
    return -at_most(-value, digits)


def _magnitude(value: float) -> int:
    return int(f"{abs(value):e}".rpartition("e")[2])
