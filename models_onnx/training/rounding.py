"""Rounding of what is written into a file, so that the last bits of another processor do not change its hash."""

DIGITS = 7


def significant(value: float, digits: int = DIGITS) -> float:
    """The value to so many significant decimal digits.

    >>> significant(0.123456789), significant(123456789.0)
    (0.1234568, 123456800.0)
    """
    return float(f"{value:.{digits - 1}e}")
